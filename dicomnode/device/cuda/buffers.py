"""Buffers that lie on the device."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dicomnode.device.buffer import Place

if TYPE_CHECKING:
    from dicomnode.device.cuda.context import CudaContext


class CudaBuffer:
    """A contiguous block of numbers in C order on a device.

    Its memory goes back to the context when it is closed, and to the next one only behind all work that is
    queued by then. A buffer that is dropped unclosed, on whatever thread, is found by the context later.
    """

    __slots__ = (
        "__weakref__",
        "_closes_whole",
        "_context",
        "_dtype",
        "_open",
        "_release",
        "_shape",
        "_start",
        "_whole",
    )

    def __init__(
        self,
        context: CudaContext,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        view_of: tuple[CudaBuffer, int] | None = None,
        *,
        closes_whole: bool = False,
    ) -> None:
        """Take memory for it; what lies in it is not said. view_of: a part of another from this byte on.

        closes_whole: such a view, when it is closed, closes the other one too.

        Raises NodeError(CUDA_MEMORY) where there is no memory.
        """
        self._context = context
        self._shape = tuple(int(length) for length in shape)
        self._dtype = np.dtype(dtype)
        self._whole: CudaBuffer | None = None
        self._closes_whole = closes_whole
        self._release: Any = None
        if view_of is None:
            self._start = context.pool.allocate(self.nbytes)
            self._release = weakref.finalize(self, context.pool.lose, self._start)
            self._release.atexit = False
        else:
            self._whole, self._start = view_of
        self._open = True

    @property
    def place(self) -> Place:
        """On a CUDA device."""
        return "cuda"

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self._shape) * self._dtype.itemsize

    @property
    def context(self) -> CudaContext:
        """Where it lies."""
        return self._context

    @property
    def address(self) -> int:
        """Address on the device, for kernels and TensorRT's `set_tensor_address`. ValueError once closed."""
        if not self._open:
            raise ValueError(f"{self!r} is closed")
        return self._start if self._whole is None else self._whole.address + self._start

    def host(self) -> NDArray[Any]:
        """Copy it down, once the device has done all that is queued; read-only."""
        array = self._context.download(self)
        array.setflags(write=False)
        return array

    def reshaped(self, shape: tuple[int, ...]) -> CudaBuffer:
        """Return the same buffer under other lengths: closing one of the two closes both."""
        if math.prod(shape) != math.prod(self._shape):
            raise ValueError(f"{self!r} cannot be seen as {tuple(shape)}")
        return self._view(0, tuple(shape), closes_whole=True)

    def part(self, index: int) -> CudaBuffer:
        """Return entry `index` along the first axis, as a view."""
        if not self._shape or not 0 <= index < self._shape[0]:
            raise ValueError(f"{self!r} has no entry {index}")
        shape = self._shape[1:]
        return self._view(index * math.prod(shape) * self._dtype.itemsize, shape)

    def close(self) -> None:
        """Give the memory back; a second call does nothing. A view ends with what it is a part of."""
        if self._open and self._release is not None:
            self._context.take_back(self._start)
            self._release.detach()
        self._open = False
        if self._closes_whole and self._whole is not None:
            self._whole.close()

    def _view(self, offset: int, shape: tuple[int, ...], *, closes_whole: bool = False) -> CudaBuffer:
        view = CudaBuffer(
            self._context, shape, self._dtype, view_of=(self, offset), closes_whole=closes_whole
        )
        if not view.address:  # asks every buffer up to the whole, which may be closed
            raise ValueError(f"{self!r} is closed")
        return view

    def __repr__(self) -> str:
        return f"CudaBuffer({self._dtype} {self._shape})"
