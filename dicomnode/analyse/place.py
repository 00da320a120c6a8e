"""Where a lesion lies in the organ that was searched: on which side, and how far from the organ's border."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.algorithms import Part, Side
from dicomnode.analyse.algorithms.shapes import inner_distance
from dicomnode.analyse.grids import Bool, box_of
from dicomnode.analyse.interpret import Region
from dicomnode.values import Grid, Mask, PointLps

Index = NDArray[np.intp]

_LOOK: Final = 8  # voxels around a lesion that are looked at first; most lie nearer to a border
_NEAREST: Final = 0.5 - 1e-6  # of a voxel: who is nearer to its centre is nearest to it alone


class Organ:
    """The organ that an earlier step found: the region that a network was cropped to, and its parts."""

    def __init__(self, region: Region, parts: Sequence[Part]) -> None:
        self._region = region
        self._parts = [part for part in parts if part.side is not None and part.mask.any()]
        # Beyond the edge of the images the organ goes on: that edge is no border
        self._box = box_of(region.mask, margin=1)

    @cached_property
    def _voxels(self) -> list[tuple[Side, Index]]:
        return [(part.side, np.argwhere(part.mask)) for part in self._parts if part.side is not None]

    def side_of(self, centre_lps_mm: PointLps) -> Side | None:
        """Return the side of the part that holds the point, or is nearest to it; None where there is none."""
        grid = self._region.grid
        at = grid.to_index_kji(centre_lps_mm)
        voxel = np.rint(at)
        if (np.abs(at - voxel) < _NEAREST).all() and (voxel >= 0).all() and (voxel < grid.shape_kji).all():
            holding = [part.side for part in self._parts if part.mask[tuple(voxel.astype(np.intp))]]
            if len(holding) == 1:
                return holding[0]
        spacing = np.array(grid.spacing_kji_mm)
        apart = [
            (float((((voxels - at) * spacing) ** 2).sum(axis=1).min()), side) for side, voxels in self._voxels
        ]
        return min(apart)[1] if apart else None

    def to_border_mm(self, mask: Mask, grid: Grid) -> float:
        """Return how far the nearest voxel of `mask` lies from the border of the organ; 0 outside of it."""
        if self._box is None:
            return 0.0
        index = np.argwhere(mask.crop()) + [part.start for part in mask.slices_kji]
        own, organ = self._region.grid, self._region.mask[self._box]
        start = np.array([part.start for part in self._box])
        at = np.rint(own.to_index_kji(grid.to_lps_mm(index))).astype(np.intp) - start
        if (at < 0).any() or (at >= organ.shape).any():
            return 0.0
        # Distances are to the centre of the first voxel outside: the border is half a voxel nearer
        return max(_least_distance(organ, at) - 0.5, 0.0) * min(own.spacing_kji_mm)


def _least_distance(organ: Bool, at: Index) -> float:
    """Return the least of `inner_distance` at some voxels, without that of all the others.

    It is looked for within a box around them, in voxels. What lies beyond the box is farther than its margin:
    once something is found that is not, it is the least.
    """
    low, high = at.min(axis=0), at.max(axis=0) + 1
    margin = _LOOK
    while True:
        begin, end = np.maximum(low - margin, 0), np.minimum(high + margin, organ.shape)
        part = organ[tuple(slice(a, b) for a, b in zip(begin, end, strict=True))]
        whole = part.shape == organ.shape
        if whole or not part.all():
            nearest = float(inner_distance(part)[tuple((at - begin).T)].min())
            if whole or nearest <= margin:
                return nearest
        margin *= 2
