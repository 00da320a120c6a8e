"""An array on a device, handed from room to room without a copy where that is possible."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Buffer:
    """A block of numbers on the host: contiguous, in C order, and not to be written through.

    The array that it was made from stays its owner's and keeps its own flags. No copy is made of an array
    that is contiguous and aligned already.
    """

    __slots__ = ("_array",)

    place: Final = "host"

    def __init__(self, array: ArrayLike) -> None:
        view = np.require(array, requirements=("C", "A")).view()
        view.setflags(write=False)
        self._array: NDArray[Any] = view

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

    def __repr__(self) -> str:
        return f"Buffer({self.dtype} {self.shape} on the {self.place})"
