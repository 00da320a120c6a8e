"""Where a lesion lies in the organ that was searched: on which side, and how far from the organ's border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dicomnode.analyse.algorithms import Part, Side
from dicomnode.analyse.algorithms.shapes import inner_distance
from dicomnode.analyse.grids import box_of
from dicomnode.analyse.interpret import Region
from dicomnode.values import Grid, Mask, PointLps


class Organ:
    """The organ that an earlier step found: the region that a network was cropped to, and its parts."""

    def __init__(self, region: Region, parts: Sequence[Part]) -> None:
        self._region = region
        self._voxels = [
            (part.side, np.argwhere(part.mask)) for part in parts if part.side is not None and part.mask.any()
        ]
        # Beyond the edge of the images the organ goes on: that edge is no border
        box = box_of(region.mask, margin=1)
        self._box = box
        self._depth = None if box is None else inner_distance(region.mask[box])

    def side_of(self, centre_lps_mm: PointLps) -> Side | None:
        """Return the side of the part that holds the point, or is nearest to it; None where there is none."""
        grid = self._region.grid
        at = grid.to_index_kji(centre_lps_mm)
        spacing = np.array(grid.spacing_kji_mm)
        apart = [
            (float((((voxels - at) * spacing) ** 2).sum(axis=1).min()), side) for side, voxels in self._voxels
        ]
        return min(apart)[1] if apart else None

    def to_border_mm(self, mask: Mask, grid: Grid) -> float:
        """Return how far the nearest voxel of `mask` lies from the border of the organ; 0 outside of it."""
        if self._box is None or self._depth is None:
            return 0.0
        index = np.argwhere(mask.crop()) + [part.start for part in mask.slices_kji]
        own = self._region.grid
        start = np.array([part.start for part in self._box])
        at = np.rint(own.to_index_kji(grid.to_lps_mm(index))).astype(np.intp) - start
        if (at < 0).any() or (at >= self._depth.shape).any():
            return 0.0
        # Distances are to the centre of the first voxel outside: the border is half a voxel nearer
        nearest = float(self._depth[tuple(at.T)].min()) - 0.5
        return max(nearest, 0.0) * min(own.spacing_kji_mm)
