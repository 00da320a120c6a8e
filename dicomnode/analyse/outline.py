"""From the grid of an algorithm to that of the source: found coarsely, put down finely."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, align, box_of, box_onto, cropped, sample
from dicomnode.values import Grid, Mask

# Of the coarse grid: it takes off the steps. From 2 mm, balls of 40 mm radius come out with a Dice of 0.994
# (0.989 without) and 0.4 % too small; lungs are larger.
_SMOOTH_VOXELS: Final = 0.7
_REACH: Final = 3  # voxels: as far as the smoothing sees


def onto_source(mask: Bool, grid: Grid, source: Grid) -> Mask:
    """Put `mask` (bool, k j i, of `grid`) down in the grid of the source.

    Where the grids agree voxel by voxel the result is the mask itself. Else a smooth field of it is
    interpolated and cut at one half, which lies on the border.
    """
    box = box_of(mask, margin=_REACH)
    if box is None:
        return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), source.shape_kji, (0, 0, 0))
    target = box_onto(box, grid, source)
    origin = (target[0].start, target[1].start, target[2].start)
    if any(part.stop <= part.start for part in target):
        return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), source.shape_kji, (0, 0, 0))
    field = mask[box].astype(np.float32)
    if not _agree(grid, source):
        field = ndimage.gaussian_filter(field, _SMOOTH_VOXELS, mode="nearest")
    return Mask.from_crop(sample(field, cropped(grid, box), source, target) > 0.5, source.shape_kji, origin)


def _agree(grid: Grid, source: Grid) -> bool:
    """Tell whether each voxel of the source lies on one of the grid."""
    how = align(grid, source)
    on_voxels = np.abs(np.array(how.offset) - np.rint(how.offset)).max() < 1e-5
    return bool(on_voxels and np.abs(np.abs(how.scale) - 1.0).max() < 1e-7)
