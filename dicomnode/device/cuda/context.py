"""The primary context of a device: one owner thread, one stream, memory, and what fails."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from dicomnode.device.cpu import Device
from dicomnode.device.cuda.buffers import CudaBuffer
from dicomnode.device.cuda.driver import (
    DriverError,
    count_devices,
    describe,
    driver_version,
    pycuda_driver,
    take_off,
)
from dicomnode.device.cuda.errors import code_of, row_of
from dicomnode.device.cuda.pools import DevicePool, PinnedPool
from dicomnode.device.cuda.streams import Stream
from dicomnode.device.cuda.transfers import Traffic, Transfers
from dicomnode.faults import CUDA_BROKEN, CUDA_MEMORY, CUDA_MISSING, NodeError

_PINNED_LIMIT_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of a device, in bytes: free for anybody, and in all."""

    free: int
    total: int


class CudaContext:
    """A device, held by the thread that opened it. Everything on it happens in that thread and `stream`.

    It is the device's primary context, which TensorRT and all that is built on the CUDA runtime share: a
    context of our own would know nothing of their memory, nor they of ours. Use it in a `with`; a process
    that ends with a context on its thread's stack is aborted by PyCUDA.
    """

    def __init__(self, which: int | str = 0, *, pinned_limit_bytes: int = _PINNED_LIMIT_BYTES) -> None:
        """Open a device by its number, among those that this process sees, or by its UUID.

        Raises NodeError: CUDA_MISSING without driver, PyCUDA or device; CUDA_MEMORY where it is full.
        """
        self._owner = threading.get_ident()
        self._driver = pycuda_driver()
        self._broken: NodeError | None = None
        self._parts, self._endings = ExitStack(), ExitStack()
        self._primary: Any = None
        self.device = _find(self._driver, which)
        try:
            self._primary = self._driver.Device(self.device.index).retain_primary_context()
            self._primary.push()
        except self._driver.Error as error:
            self._primary = None
            raise self.failed(error, "opening it") from error
        if threading.current_thread() is threading.main_thread():
            atexit.register(self.close)
        try:
            self._furnish(pinned_limit_bytes)
        except BaseException:
            self._leave()
            raise

    def _furnish(self, pinned_limit_bytes: int) -> None:
        self.stream = Stream(self)
        self._parts.callback(self.stream.close)
        self.pool = DevicePool(self)
        self._parts.callback(self.pool.close)
        self.pinned = PinnedPool(self, pinned_limit_bytes)
        self._parts.callback(self.pinned.close)
        self._transfers = Transfers(self)
        self._parts.callback(self._transfers.close)

    # ── Buffers ──────────────────────────────────────────────────────────────────────────────────

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> CudaBuffer:
        """Return room for an array; what lies in it is not said."""
        return CudaBuffer(self, shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> CudaBuffer:
        """Return an array of zeros."""
        buffer = self.empty(shape, dtype)
        if buffer.nbytes:
            with self.working("filling memory with zeros") as driver:
                driver.memset_d8_async(buffer.address, 0, buffer.nbytes, self.stream.raw)
        return buffer

    def upload(self, array: ArrayLike) -> CudaBuffer:
        """Bring an array to the device. It may be changed when this returns."""
        contiguous = np.require(array, requirements=("C", "A"))
        buffer = self.empty(contiguous.shape, contiguous.dtype)
        self._transfers.up(contiguous, buffer.address)
        return buffer

    def download(self, buffer: CudaBuffer) -> NDArray[Any]:
        """Return a copy of a buffer on the host, once the device has done all that is queued."""
        return self._transfers.down(buffer.address, buffer.shape, buffer.dtype)

    def take_back(self, address: int) -> None:
        """Take the memory of a buffer that is closed; nothing to do once the context itself is."""
        if self._primary is not None:
            self._check_thread()
            self.pool.give_back(address)

    # ── What it is and has done ──────────────────────────────────────────────────────────────────

    @property
    def traffic(self) -> Traffic:
        """What has gone up and down so far."""
        return self._transfers.traffic

    @property
    def cuda_version(self) -> int:
        """The version of CUDA that the driver is of: 13000 for 13.0."""
        return driver_version()

    @property
    def multiprocessors(self) -> int:
        """How many multiprocessors the device, or the slice of it, has."""
        with self.working("looking at the device") as driver:
            attribute = driver.device_attribute.MULTIPROCESSOR_COUNT
            return int(driver.Device(self.device.index).get_attribute(attribute))

    def memory(self) -> Memory:
        """Return what memory of the device is free now, whoever holds the rest."""
        with self.working("looking at its memory") as driver:
            free, total = driver.mem_get_info()
        return Memory(free=int(free), total=int(total))

    @property
    def broken(self) -> bool:
        """Tell whether it failed for good: the process must end."""
        return self._broken is not None

    # ── Failures ─────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def working(self, doing: str) -> Iterator[Any]:
        """Give `pycuda.driver` to the owner thread; what fails comes out as NodeError. doing: "copying up".

        Raises RuntimeError in another thread, ValueError once it is closed, and NodeError(CUDA_BROKEN)
        ever after a failure that the process does not survive.
        """
        self._check_thread()
        if self._primary is None:
            raise ValueError(f"the context of {self.device.name} is closed")
        if self._broken is not None:
            raise NodeError(CUDA_BROKEN, **self._broken.values)
        try:
            yield self._driver
        except self._driver.Error as error:
            raise self.failed(error, doing) from error

    def failed(self, error: Exception, doing: str) -> NodeError:
        """Return the failure for an error of PyCUDA, or of what else uses the device, by what it says."""
        row = row_of(code_of(error))
        facts: dict[str, object] = {"device": self.device.name, "doing": doing, "error": str(error)}
        if row is CUDA_MEMORY:
            free, used = self._free_and_used()
            facts |= {"free_mb": free / 1e6, "used_mb": used / 1e6}
        failure = NodeError(row, **facts, reason=str(error))
        if row is CUDA_BROKEN:
            self._broken = failure
        return failure

    def _free_and_used(self) -> tuple[int, int]:
        try:
            free = int(self._driver.mem_get_info()[0])
        except self._driver.Error:  # so full that there is not even a context
            return 0, 0
        pool: DevicePool | None = self.__dict__.get("pool")  # it may have been on its way
        return free, pool.used + pool.held if pool else 0

    def _check_thread(self) -> None:
        if threading.get_ident() != self._owner:
            raise RuntimeError(
                f"the context of {self.device.name} belongs to another thread: one does all work on a device"
            )

    # ── End ──────────────────────────────────────────────────────────────────────────────────────

    def before_close(self, ending: Callable[[], object]) -> None:
        """Have `ending` called when it closes, the latest first: sessions, engines, modules."""
        self._endings.callback(ending)

    def close(self) -> None:
        """Wait for what is queued, free everything, let go of the device; a second call does nothing.

        Raises NodeError(CUDA_BROKEN) where that wait brings a failure to light.
        """
        if self._primary is None:
            return
        self._check_thread()
        failure: NodeError | None = None
        if not self.broken:
            try:
                self.stream.synchronize()
                self._endings.close()
            except NodeError as error:
                failure = error
        self._leave()
        if failure is not None:
            raise failure

    def _leave(self) -> None:
        """Memory, pop, detach: in this order. On a broken device nothing is freed: that would fail too."""
        atexit.unregister(self.close)
        primary, self._primary = self._primary, None
        handle = int(primary.handle)
        if not self.broken:
            self._parts.close()
        elif "pool" in self.__dict__:
            self.pool.recall()
        primary.pop()
        primary.detach()
        take_off(handle)
        self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _find(driver: Any, which: int | str) -> Device:
    """Return the device of this number or UUID; NodeError(CUDA_MISSING) where there is none."""
    try:
        driver.init()
        devices = [describe(index) for index in range(count_devices())]
    except (driver.Error, DriverError) as error:
        raise NodeError(CUDA_MISSING, reason=str(error)) from error
    for device in devices:
        if which in (device.index, device.uuid):
            return device
    seen = ", ".join(f"{device.index} {device.name} {device.uuid}" for device in devices) or "none"
    raise NodeError(CUDA_MISSING, reason=f"there is no device {which}; this process sees: {seen}")
