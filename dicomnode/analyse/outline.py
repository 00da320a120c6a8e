"""From the grid of an algorithm to that of the source: found coarsely, put down finely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool, align, box_of, box_onto, cropped, sample
from dicomnode.values import Grid, Mask

# Of the coarse grid: it takes off the steps. From 2 mm, balls of 40 mm radius come out with a Dice of 0.994
# (0.989 without) and 0.4 % too small; lungs are larger.
_SMOOTH_VOXELS: Final = 0.7
_REACH: Final = 3  # voxels: as far as the smoothing sees
_ON_A_FACE: Final = 1e-3  # of a voxel of the grid: spacings are rounded


def onto_source(mask: Bool, grid: Grid, source: Grid, *, whole: bool = False) -> Mask:
    """Put `mask` (bool, k j i, of `grid`) down in the grid of the source.

    whole: a voxel of the grid was made of whole voxels of the source, which take over what it is; so it is
    where the grids agree voxel by voxel. Else a smooth field of the mask is interpolated and cut at one half,
    which lies on the border.
    """
    nested = _nested(grid, source)
    if nested is not None and (whole or nested.one_to_one):
        return _repeated(mask, nested, source)
    box = box_of(mask, margin=_REACH)
    if box is None:
        return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), source.shape_kji, (0, 0, 0))
    target = box_onto(box, grid, source)
    origin = (target[0].start, target[1].start, target[2].start)
    if any(part.stop <= part.start for part in target):
        return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), source.shape_kji, (0, 0, 0))
    field = ndimage.gaussian_filter(mask[box].astype(np.float32), _SMOOTH_VOXELS, mode="nearest")
    return Mask.from_crop(sample(field, cropped(grid, box), source, target) > 0.5, source.shape_kji, origin)


@dataclass(frozen=True, slots=True)
class _Nested:
    """Which voxel of a grid each of the source lies in: along axis a of the source, `places[a]` on `axes[a]`.

    -1: in none. one_to_one: voxels of both are alike.
    """

    one_to_one: bool
    axes: tuple[int, int, int]
    places: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _nested(grid: Grid, source: Grid) -> _Nested | None:
    """Find how the source lies in the grid; None where a voxel of it lies in two, or axes are askew."""
    try:
        how = align(grid, source)
    except ValueError:
        return None
    places = []
    for axis, scale, offset, size in zip(how.axes, how.scale, how.offset, source.shape_kji, strict=True):
        at = offset + scale * np.arange(size)
        inside = np.rint(at)
        if np.abs(at - inside).max() + abs(scale) / 2.0 > 0.5 + _ON_A_FACE:
            return None
        beyond = (inside < 0) | (inside >= grid.shape_kji[axis])
        places.append(np.where(beyond, -1, inside).astype(np.int64))
    one_to_one = max(abs(abs(scale) - 1.0) for scale in how.scale) < _ON_A_FACE
    return _Nested(one_to_one, how.axes, (places[0], places[1], places[2]))


def _repeated(mask: Bool, nested: _Nested, source: Grid) -> Mask:
    turned = np.transpose(mask, nested.axes)
    box = box_of(turned)
    if box is None:
        return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), source.shape_kji, (0, 0, 0))
    found = [
        np.flatnonzero((place >= part.start) & (place < part.stop))
        for place, part in zip(nested.places, box, strict=True)
    ]
    if any(not one.size for one in found):
        return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), source.shape_kji, (0, 0, 0))
    k, j, i = (place[one] for place, one in zip(nested.places, found, strict=True))
    crop = turned[k][:, j][:, :, i]
    return Mask.from_crop(crop, source.shape_kji, (int(found[0][0]), int(found[1][0]), int(found[2][0])))
