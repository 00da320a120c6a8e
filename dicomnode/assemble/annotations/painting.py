"""Voxels of a grid, collected piece by piece and packed: a mask in the making costs what it holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Float64, Mask
from dicomnode.values.mask import Bool

_Piece = tuple[int, int, int, tuple[int, int], NDArray[np.uint8]]
"""Slice, first row, first column, rows and columns, packed bits."""


@dataclass(slots=True, eq=False)
class Painting:
    """A mask in the making.

    outside: voxels that were painted beside the grid, and are lost. given: whether there was anything to
    paint at all: what was lost is not empty.
    """

    shape_kji: tuple[int, int, int]
    outside: int = 0
    given: bool = False
    _pieces: list[_Piece] = field(default_factory=list)
    _voxels: list[NDArray[np.int32]] = field(default_factory=list)

    def add_plane(self, k: int, plane: Bool, top: int = 0, left: int = 0) -> None:
        """Paint `plane` (j, i) on slice k; its first pixel is row `top`, column `left` of the grid."""
        rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        if not rows.size:
            return
        _, height, width = self.shape_kji
        high, low = max(int(rows[0]), -top), min(int(rows[-1]) + 1, height - top)
        first, last = max(int(columns[0]), -left), min(int(columns[-1]) + 1, width - left)
        inside = plane[max(high, 0) : max(low, 0), max(first, 0) : max(last, 0)]
        if not 0 <= k < self.shape_kji[0]:
            inside = inside[:0]
        self.outside += int(np.count_nonzero(plane) - np.count_nonzero(inside))
        if inside.any():
            shape = (int(inside.shape[0]), int(inside.shape[1]))
            self._pieces.append((k, top + high, left + first, shape, np.packbits(inside)))

    def add_voxels(self, index_kji: NDArray[np.integer]) -> None:
        """Paint voxels (n, 3)."""
        inside = np.all((index_kji >= 0) & (index_kji < np.array(self.shape_kji)), axis=1)
        self.outside += int(len(inside) - np.count_nonzero(inside))
        if inside.any():
            self._voxels.append(index_kji[inside].astype(np.int32))

    def mask(self) -> Mask:
        """Return what was painted."""
        corners: list[Float64] = []
        for k, top, left, (rows, columns), _ in self._pieces:
            corners += [np.array((k, top, left)), np.array((k + 1, top + rows, left + columns))]
        for some in self._voxels:
            corners += [some.min(axis=0), some.max(axis=0) + 1]
        if not corners:
            return Mask(self.shape_kji, ((0, 0), (0, 0), (0, 0)), np.zeros(0, dtype=np.uint8))
        low, high = np.min(corners, axis=0).astype(int), np.max(corners, axis=0).astype(int)
        crop = np.zeros(high - low, dtype=bool)
        for k, top, left, (rows, columns), packed in self._pieces:
            plane = np.unpackbits(packed, count=rows * columns).astype(bool).reshape(rows, columns)
            crop[k - low[0], top - low[1] :, left - low[2] :][:rows, :columns] |= plane
        for some in self._voxels:
            crop[tuple((some - low).T)] = True
        return Mask.from_crop(crop, self.shape_kji, (int(low[0]), int(low[1]), int(low[2])))
