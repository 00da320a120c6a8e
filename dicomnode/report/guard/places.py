"""Where what is read back lies in the patient: the slice of a frame, and what voxels add up to.

Positions may differ by a quarter of a voxel: slices of real scanners jitter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.report.guard.reading import Place
from dicomnode.report.mismatch.error import differs
from dicomnode.values import Float64, Grid

Bool = NDArray[np.bool_]

QUARTER: Final = 0.25
"""Of a voxel: what lies nearer is at the same place."""


@dataclass(slots=True, eq=False)
class PlacedSum:
    """What voxels add up to in patient space."""

    voxels: int = 0
    sum_lps_mm: Float64 = field(default_factory=lambda: np.zeros(3))
    low_lps_mm: Float64 = field(default_factory=lambda: np.full(3, np.inf))
    high_lps_mm: Float64 = field(default_factory=lambda: np.full(3, -np.inf))

    def add(self, voxels: PlacedVoxels, plane: Float64) -> None:
        """Add the voxels of a frame; plane: (3, 3), maps (column, row, 1) to LPS mm."""
        self.voxels += voxels.count
        self.sum_lps_mm += plane @ voxels.sum_ij1
        placed = plane @ voxels.ends_ij1
        self.low_lps_mm = np.minimum(self.low_lps_mm, placed.min(axis=1))
        self.high_lps_mm = np.maximum(self.high_lps_mm, placed.max(axis=1))

    @property
    def centroid_lps_mm(self) -> Float64:
        """Mean of their places."""
        return self.sum_lps_mm / max(self.voxels, 1)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedVoxels:
    """The voxels of a frame as far as sums and extents need them.

    count: how many. sum_ij1: sums of columns, of rows, and their number (3,). ends_ij1: the first and the
    last of each row (3, n); what grows steadily along both axes is smallest and largest at one of them.
    """

    count: int
    sum_ij1: Float64
    ends_ij1: Float64

    @classmethod
    def of(cls, region: Bool, top: int, left: int) -> PlacedVoxels:
        """Take those of `region` (rows, columns), which has some and begins at row `top`, column `left`."""
        in_row, in_column = np.count_nonzero(region, axis=1), np.count_nonzero(region, axis=0)
        count = int(in_row.sum())
        j, i = np.arange(len(in_row)) + top, np.arange(len(in_column)) + left
        rows = np.flatnonzero(in_row)
        first = region[rows].argmax(axis=1)
        last = region.shape[1] - 1 - region[rows, ::-1].argmax(axis=1)
        columns, both = np.concatenate((first, last)) + left, np.concatenate((rows, rows)) + top
        ends = np.stack((columns, both, np.ones_like(both))).astype(np.float64)
        return cls(count, np.array([in_column @ i, in_row @ j, count], dtype=np.float64), ends)


class SliceOf:
    """Finds the slice of the grid that a frame lies on, corner by corner."""

    def __init__(self, grid: Grid) -> None:
        count, rows, columns = grid.shape_kji
        self._count = count
        self._grid = grid
        self._corners_ji = np.array(
            [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)], dtype=np.float64
        )
        self._known: dict[Place, int] = {}

    def __call__(self, place: Place) -> int:
        """Return the slice k. Raises NodeError(GEOMETRY_GUARD) where it lies on none."""
        if place not in self._known:
            self._known[place] = self._find(place)
        return self._known[place]

    def _find(self, place: Place) -> int:
        j, i = self._corners_ji.T
        index = self._grid.to_index_kji((place.plane @ np.stack((i, j, np.ones(4)))).T)
        k = round(float(index[:, 0].mean()))
        off = np.abs(index - np.column_stack((np.full(4, k), j, i))).max(axis=0)
        if not 0 <= k < self._count:
            raise differs(f"a frame lies at slice {k}, the volume has {self._count}")
        if off.max() > QUARTER:
            away = ", ".join(f"{value:.2f}" for value in off)
            raise differs(f"a frame lies {away} voxels (k, j, i) off slice {k}")
        return k


def mm_text(point: Float64) -> str:
    """A point in patient space, in words."""
    return "(" + ", ".join(f"{value:.1f}" for value in point) + ") mm"
