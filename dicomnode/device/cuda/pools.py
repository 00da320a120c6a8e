"""Memory that is kept for the next one who asks: on the device, and page-locked on the host."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dicomnode.device.cuda.context import CudaContext


class DevicePool:
    """Device memory in the order of one stream: what is given back may be given out again at once.

    Its next user queues his work behind that of the last one, in the stream of the context; so nothing is
    freed under a running kernel, and nobody waits. Who works in another stream lets the context's stream
    wait for that one before he closes a buffer.
    """

    def __init__(self, context: CudaContext) -> None:
        self._context = context
        with context.working("making a pool of device memory"):
            from pycuda.tools import DeviceMemoryPool  # noqa: PLC0415  the context has found that it is there

            self._pool: Any = DeviceMemoryPool()
        self._given_out: dict[int, Any] = {}
        self._lost: deque[int] = deque()
        self._peak_bytes = 0

    @property
    def used(self) -> int:
        """Bytes that are given out."""
        return int(self._pool.active_bytes)

    @property
    def held(self) -> int:
        """Bytes that are kept for the next one, with what sizes are rounded up by (a sixteenth at most)."""
        return int(self._pool.managed_bytes) - int(self._pool.active_bytes)

    @property
    def peak(self) -> int:
        """The most bytes that this process ever had from the device through this pool."""
        return self._peak_bytes

    def allocate(self, nbytes: int) -> int:
        """Return the address of so many bytes; NodeError(CUDA_MEMORY) where they are not to be had.

        What is kept is given back to the device before that is said.
        """
        self._take_back_lost()
        with self._context.working(f"allocating {nbytes / 1e6:.1f} MB") as driver:
            try:
                block = self._pool.allocate(max(nbytes, 1))
            except driver.MemoryError:
                # PyCUDA has run the collector by now: buffers that nobody closed may have come to light
                if not self._take_back_lost():
                    raise
                block = self._pool.allocate(max(nbytes, 1))
        self._peak_bytes = max(self._peak_bytes, int(self._pool.managed_bytes))
        self._given_out[int(block)] = block
        return int(block)

    def give_back(self, address: int) -> None:
        """Take memory back; it is kept."""
        block = self._given_out.pop(address, None)
        if block is not None:
            block.free()

    def lose(self, address: int) -> None:
        """Note memory whose buffer went without being closed. Any thread may come here: it is freed later."""
        self._lost.append(address)

    def free_held(self) -> None:
        """Give what is kept back to the device, once all queued work is done: before a plan is built, say."""
        self._take_back_lost()
        self._context.stream.synchronize()
        with self._context.working("freeing memory"):
            self._pool.free_held()

    def recall(self) -> None:
        """Take back what is still given out: nobody gets at it any more. No call of the driver.

        PyCUDA 2026.1 ends the process (a C++ exception in a destructor) if a block comes back to a pool
        when the context is off the stack.
        """
        for block in self._given_out.values():
            block.free()
        self._given_out.clear()

    def close(self) -> None:
        """Give everything back to the device."""
        self.recall()
        self._pool.stop_holding()

    def _take_back_lost(self) -> bool:
        found = bool(self._lost)
        with contextlib.suppress(IndexError):  # it grows and shrinks under other threads
            while True:
                self.give_back(self._lost.popleft())
        return found


class PinnedPool:
    """Page-locked host memory: what copies to and from a device go through. It cannot be swapped: a limit.

    Blocks are (n) uint8. A block is given back when no copy uses it any more: its user has waited.
    """

    def __init__(self, context: CudaContext, limit_bytes: int) -> None:
        if limit_bytes < 2:
            raise ValueError(f"PinnedPool.limit_bytes must be 2 or more, got {limit_bytes!r}")
        self._context = context
        self.limit_bytes = limit_bytes
        self._free: list[NDArray[np.uint8]] = []
        self._used: dict[int, NDArray[np.uint8]] = {}

    @property
    def used(self) -> int:
        """Bytes that are given out."""
        return sum(block.nbytes for block in self._used.values())

    @property
    def held(self) -> int:
        """Bytes that are kept for the next one."""
        return sum(block.nbytes for block in self._free)

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Return a block of at least so many bytes; ValueError where that would pass the limit."""
        fitting = [block for block in self._free if block.nbytes >= nbytes]
        if fitting:
            block = min(fitting, key=lambda one: one.nbytes)
            self._free = [one for one in self._free if one is not block]
        else:
            self._free.clear()
            if self.used + nbytes > self.limit_bytes:
                raise ValueError(
                    f"{nbytes} bytes more of page-locked memory pass the limit of {self.limit_bytes}: "
                    f"{self.used} are in use"
                )
            with self._context.working(f"page-locking {nbytes / 1e6:.1f} MB of host memory") as driver:
                block = driver.pagelocked_empty(nbytes, np.uint8)
        self._used[id(block)] = block
        return block

    def give_back(self, block: NDArray[np.uint8]) -> None:
        """Take a block back; it is kept."""
        self._free.append(self._used.pop(id(block)))

    def close(self) -> None:
        """Give everything back to the system."""
        self._free.clear()
        self._used.clear()
