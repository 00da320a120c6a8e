"""Masks that cost what they hold: bits packed within the box of what is set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomnode.values.geometry import read_only

Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A set of voxels of a volume's grid.

    shape_kji: of the whole grid. box_kji: half-open (start, stop) for k, j, i of what is stored.
    bits: uint8, the box in C order, eight voxels a byte, first voxel in the highest bit (numpy.packbits).
    A hundred organs do not cost a hundred full arrays: only the box of each is held, at 1/8 byte a voxel.
    """

    shape_kji: tuple[int, int, int]
    box_kji: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    bits: NDArray[np.uint8]

    def __post_init__(self) -> None:
        for (start, stop), size in zip(self.box_kji, self.shape_kji, strict=True):
            if not 0 <= start <= stop <= size:
                raise ValueError(f"Mask.box_kji {self.box_kji} must lie within {self.shape_kji}")
        if self.bits.dtype != np.uint8 or self.bits.size != (self._box_size() + 7) // 8:
            raise ValueError(f"Mask.bits must be {(self._box_size() + 7) // 8} bytes, got {self.bits.size}")
        read_only(self.bits)

    @classmethod
    def from_array(cls, array: NDArray[np.generic]) -> Mask:
        """Pack what is not zero in `array` (k, j, i)."""
        return cls.from_crop(array, array.shape, (0, 0, 0))

    @classmethod
    def from_crop(
        cls, crop: NDArray[np.generic], shape_kji: tuple[int, ...], origin_kji: tuple[int, int, int]
    ) -> Mask:
        """Pack what is not zero in `crop` (k, j, i), whose first voxel is `origin_kji` of the whole grid."""
        if crop.ndim != 3 or len(shape_kji) != 3:
            raise ValueError(f"a mask has three axes, got {crop.ndim}")
        hit = np.asarray(crop, dtype=bool)
        box, inner = [], []
        for axis, origin in enumerate(origin_kji):
            others = tuple(a for a in range(3) if a != axis)
            where = np.flatnonzero(hit.any(axis=others))
            start, stop = (int(where[0]), int(where[-1]) + 1) if where.size else (0, 0)
            inner.append(slice(start, stop))
            box.append((origin + start, origin + stop) if where.size else (0, 0))
        k, j, i = (int(n) for n in shape_kji)
        return cls((k, j, i), (box[0], box[1], box[2]), np.packbits(hit[tuple(inner)].ravel()))

    def _box_size(self) -> int:
        (k0, k1), (j0, j1), (i0, i1) = self.box_kji
        return (k1 - k0) * (j1 - j0) * (i1 - i0)

    @property
    def slices_kji(self) -> tuple[slice, slice, slice]:
        """The box as an index into an array of the whole grid."""
        (k0, k1), (j0, j1), (i0, i1) = self.box_kji
        return slice(k0, k1), slice(j0, j1), slice(i0, i1)

    def crop(self) -> Bool:
        """Unpack the box only: bool (k, j, i) of the box's size."""
        shape = tuple(stop - start for start, stop in self.box_kji)
        return np.unpackbits(self.bits, count=self._box_size()).astype(bool).reshape(shape)

    def plane(self, k: int) -> Bool:
        """Unpack slice `k` of the grid, within the box only: bool (j, i) of the box's size."""
        (start, stop), (top, bottom), (left, right) = self.box_kji
        size = (bottom - top) * (right - left)
        if not start <= k < stop:
            return np.zeros((bottom - top, right - left), dtype=bool)
        first = (k - start) * size
        bits = np.unpackbits(self.bits[first // 8 : (first + size + 7) // 8])[first % 8 :][:size]
        return bits.view(bool).reshape(bottom - top, right - left)

    def to_array(self) -> Bool:
        """Unpack into bool (k, j, i) of the whole grid."""
        full = np.zeros(self.shape_kji, dtype=bool)
        full[self.slices_kji] = self.crop()
        return full

    @property
    def count(self) -> int:
        """Number of voxels in the mask."""
        return int(np.bitwise_count(self.bits).sum())

    @property
    def is_empty(self) -> bool:
        """Tell whether no voxel is in the mask."""
        return self.count == 0

    def union(self, other: Mask) -> Mask:
        """Voxels of either mask; both must be of the same grid (ValueError)."""
        if self.shape_kji != other.shape_kji:
            raise ValueError(f"masks of different grids: {self.shape_kji} and {other.shape_kji}")
        if self.is_empty or other.is_empty:
            return other if self.is_empty else self
        low = [min(a[0], b[0]) for a, b in zip(self.box_kji, other.box_kji, strict=True)]
        high = [max(a[1], b[1]) for a, b in zip(self.box_kji, other.box_kji, strict=True)]
        crop = np.zeros([h - lo for lo, h in zip(low, high, strict=True)], dtype=bool)
        for mask in (self, other):
            inner = tuple(
                slice(start - lo, stop - lo) for (start, stop), lo in zip(mask.box_kji, low, strict=True)
            )
            crop[inner] |= mask.crop()
        return Mask.from_crop(crop, self.shape_kji, (low[0], low[1], low[2]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return (
            self.shape_kji == other.shape_kji
            and self.box_kji == other.box_kji
            and np.array_equal(self.bits, other.bits)
        )

    __hash__ = None  # type: ignore[assignment]  # it holds an array
