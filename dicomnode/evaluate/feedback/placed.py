"""Masks of two grids, one laid on the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Grid, Mask

SAME_PLACE_VOXELS: Final = 0.05
"""Corners that are nearer than this part of a voxel are one: affines are written in decimal digits."""


def is_same_grid(one: Grid, other: Grid) -> bool:
    """Tell whether two grids have the same voxels in the same order."""
    if one.shape_kji != other.shape_kji:
        return False
    k, j, i = (size - 1 for size in one.shape_kji)
    corners = np.array([[a, b, c, 1.0] for a in (0, i) for b in (0, j) for c in (0, k)]).T
    back = np.linalg.inv(one.affine_lps) @ other.affine_lps @ corners
    return bool(np.abs(back - corners).max() <= SAME_PLACE_VOXELS)


def on_grid(mask: Mask, of: Grid, to: Grid) -> Mask:
    """Give a mask of the grid `of` in the grid `to`: each voxel has the value of the nearest one.

    Both are of one Frame of Reference. What lies outside of `of` is not in the mask.
    """
    if is_same_grid(of, to):
        return mask
    if mask.is_empty:
        return Mask.from_array(np.zeros(to.shape_kji, dtype=bool))
    step = np.linalg.inv(of.affine_lps) @ to.affine_lps
    given, made = mask.to_array(), np.zeros(to.shape_kji, dtype=bool)
    rows, columns = np.indices(to.shape_kji[1:])
    for k in range(to.shape_kji[0]):  # a slice at a time: the coordinates of a whole volume are large
        index = np.stack([columns, rows, np.full_like(rows, k), np.ones_like(rows)], axis=-1) @ step.T
        made[k] = _nearest(given, index)
    return Mask.from_array(made)


def overlap(one: Mask, other: Mask) -> float:
    """Dice of two masks of one grid, from their boxes alone: a hundred organs cost no hundred volumes.

    1 where both are empty. Raises ValueError for masks of different grids.
    """
    if one.shape_kji != other.shape_kji:
        raise ValueError(f"masks of different grids: {one.shape_kji} and {other.shape_kji}")
    whole = one.count + other.count
    if whole == 0:
        return 1.0
    pairs = list(zip(one.box_kji, other.box_kji, strict=True))
    common = [(max(a[0], b[0]), min(a[1], b[1])) for a, b in pairs]
    if any(start >= stop for start, stop in common):
        return 0.0
    first, second = (_cut(mask, common) for mask in (one, other))
    return 2.0 * int(np.count_nonzero(first & second)) / whole


def _cut(mask: Mask, box: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """What of a mask lies in a box that is within its own."""
    pairs = zip(box, mask.box_kji, strict=True)
    return mask.crop()[tuple(slice(start - first, stop - first) for (start, stop), (first, _) in pairs)]


def is_near(mask: Mask, at_kji: Sequence[int], voxels: int) -> bool:
    """Tell whether a voxel of the mask lies in the cube around a place, so many voxels each way."""
    cube = [
        (max(at - voxels, start), min(at + voxels + 1, stop))
        for at, (start, stop) in zip(at_kji, mask.box_kji, strict=True)
    ]
    return all(start < stop for start, stop in cube) and bool(_cut(mask, cube).any())


def _nearest(given: NDArray[np.bool_], index: NDArray[np.float64]) -> NDArray[np.bool_]:
    i, j, k = (np.rint(index[..., axis]).astype(np.int64) for axis in range(3))
    within = np.ones(i.shape, dtype=bool)
    for place, size in zip((k, j, i), given.shape, strict=True):
        within &= (place >= 0) & (place < size)
    found = np.zeros(i.shape, dtype=bool)
    found[within] = given[k[within], j[within], i[within]]
    return found
