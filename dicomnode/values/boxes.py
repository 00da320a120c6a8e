"""Boxes of voxels in patient space."""

from __future__ import annotations

import itertools

import numpy as np

from dicomnode.values.findings import PointLps
from dicomnode.values.geometry import Grid


def outer_box_lps_mm(
    grid: Grid, box_kji: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
) -> tuple[PointLps, PointLps]:
    """Return the smallest and the largest x, y, z (LPS mm) of a half-open box of voxels, faces included.

    Of slices that are oblique it is the box along the patient's axes that holds all of these voxels. A voxel
    reaches half of itself to each side of its centre; of a picture without spacing mm are pixels.
    """
    ends = [(start - 0.5, stop - 0.5) for start, stop in box_kji]
    corners = grid.to_lps_mm(np.array(list(itertools.product(*ends))))
    low, high = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
