"""Numbers that lie somewhere, handed from room to room without a copy where that is possible."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Place = Literal["host", "cuda"]


class Buffer(Protocol):
    """A contiguous block of numbers in C order, on the host or on a device.

    Whoever needs the numbers on the host asks for `host()`: free for a block that lies there, a copy down
    (which waits for the device) for one that does not. Nobody writes through what `host()` returns.
    """

    @property
    def place(self) -> Place:
        """Where it lies."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""

    def host(self) -> NDArray[Any]:
        """Return the numbers on the host, read-only."""

    def close(self) -> None:
        """Let go of the memory; a second call does nothing. What was got by `host()` stays valid."""


class HostBuffer:
    """A block of numbers on the host.

    The array that it was made from stays its owner's and keeps its own flags. No copy is made of an array
    that is contiguous and aligned already.
    """

    __slots__ = ("_array",)

    def __init__(self, array: ArrayLike) -> None:
        view = np.require(array, requirements=("C", "A")).view()
        view.setflags(write=False)
        self._array: NDArray[Any] = view

    @property
    def place(self) -> Place:
        """On the host."""
        return "host"

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return self._array.dtype

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self._array.nbytes

    def host(self) -> NDArray[Any]:
        """Return a read-only view on the numbers; to write, copy it."""
        return self._array

    def close(self) -> None:
        """Nothing is held that the array's owner does not hold."""

    def __repr__(self) -> str:
        return f"HostBuffer({self.dtype} {self.shape})"
