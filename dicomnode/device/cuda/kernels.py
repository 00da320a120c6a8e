"""The node's own kernels on a GPU: a fatbin loaded into a context, and its kernels launched there."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from dicomnode.device.buffer import Buffer
from dicomnode.device.cpu import Device
from dicomnode.device.cuda.buffers import CudaBuffer
from dicomnode.device.cuda.context import CudaContext
from dicomnode.device.fatbins import fatbin
from dicomnode.device.launched import LaunchedKernels
from dicomnode.device.launches import LAUNCHES, Extent3, Launch


class CudaKernels(LaunchedKernels):
    """`Kernels` on a CUDA device. Calls return at once; what they queue runs in order in the one stream.

    Raises, besides what `Kernels` says: TypeError for a buffer that does not lie in this context, NodeError
    for what the device refuses. Call it in the context's thread.
    """

    def __init__(self, context: CudaContext, compiled: bytes | None = None) -> None:
        """Load the kernels; compiled: a fatbin, else the one of this installation that the driver takes.

        Raises NodeError: CUDA_UNFIT where it does not serve this GPU, and what `fatbin` raises.
        """
        super().__init__(_CudaMachine(context, compiled or fatbin(context.cuda_version)))
        self._context = context

    @property
    def context(self) -> CudaContext:
        """What it works in."""
        return self._context


_loaded: dict[int, CudaKernels] = {}


def kernels_of(context: CudaContext) -> CudaKernels:
    """Return the kernels of a context, loaded once for all who work in it. Raises as `CudaKernels`."""
    if id(context) not in _loaded:
        _loaded[id(context)] = CudaKernels(context)
        context.before_close(lambda: _loaded.pop(id(context), None))
    return _loaded[id(context)]


class _CudaMachine:
    """The `Machine` of a context: its memory, and launches in its stream."""

    def __init__(self, context: CudaContext, compiled: bytes) -> None:
        self._context = context
        self._functions: dict[str, Any] = {}
        with context.working("loading the node's kernels") as driver:
            self._module: Any = driver.module_from_buffer(compiled)
            for name, launch in LAUNCHES.items():
                self._functions[name] = self._module.get_function(name).prepare(launch.codes)
        context.before_close(self._unload)

    @property
    def device(self) -> Device:
        """The GPU."""
        return self._context.device

    def upload(self, array: ArrayLike) -> CudaBuffer:
        """Bring an array to the device."""
        return self._context.upload(array)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> CudaBuffer:
        """Return room for an array."""
        return self._context.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> CudaBuffer:
        """Return an array of zeros."""
        return self._context.zeros(shape, dtype)

    def part(self, values: Buffer, index: int) -> CudaBuffer:
        """Return an entry along the first axis, as a view."""
        return self._here(values).part(index)

    def reshaped(self, values: Buffer, shape: tuple[int, ...]) -> CudaBuffer:
        """Return the same buffer under other lengths."""
        return self._here(values).reshaped(shape)

    def copy(self, values: Buffer, target: Buffer, offset: int) -> None:
        """Queue a copy on the device."""
        where = self._here(target).address + offset * target.dtype.itemsize
        with self._context.working("copying on the device") as driver:
            driver.memcpy_dtod_async(
                where, self._here(values).address, values.nbytes, self._context.stream.raw
            )

    def address(self, buffer: Buffer) -> int:
        """Return where a buffer begins; TypeError for one that does not lie in this context."""
        return self._here(buffer).address

    def launch(self, launch: Launch, grid: Extent3, arguments: tuple[float, ...]) -> None:
        """Queue a kernel."""
        with self._context.working(f"launching {launch.kernel}"):
            self._functions[launch.kernel].prepared_async_call(
                grid, launch.block, self._context.stream.raw, *arguments
            )

    def _here(self, buffer: Buffer) -> CudaBuffer:
        if not isinstance(buffer, CudaBuffer) or buffer.context is not self._context:
            raise TypeError(f"{buffer!r} does not lie on {self.device.name}: upload it first")
        return buffer

    def _unload(self) -> None:
        self._functions.clear()
        self._module = None
