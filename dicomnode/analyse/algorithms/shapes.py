"""Shapes in voxels: components, balls, holes. Lengths are in voxels of an isotropic grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool

Labels = NDArray[np.int32]
Counts = NDArray[np.int64]


def components(mask: Bool) -> tuple[Labels, Counts]:
    """Label what hangs together by faces: labels from 1, and the voxels of each (index 0 is 0)."""
    labels, _ = ndimage.label(mask)
    counts = np.bincount(labels.ravel()).astype(np.int64)
    counts[0] = 0
    return labels, counts


def largest(mask: Bool) -> Bool:
    """Return the largest component; of equal ones the first in the order of the array."""
    labels, counts = components(mask)
    result: Bool = labels == counts.argmax() if counts.any() else np.zeros_like(mask)
    return result


def chosen(labels: Labels, wanted: NDArray[np.bool_]) -> Bool:
    """Return the voxels whose label is wanted: `wanted` has one entry a label, that of 0 is ignored."""
    table = wanted.copy()
    table[0] = False
    result: Bool = table[labels]
    return result


def inner_distance(mask: Bool) -> NDArray[np.float64]:
    """Return the distance of each voxel in `mask` to the nearest outside; beyond the array is no outside."""
    if mask.all():
        return np.full(mask.shape, float(max(mask.shape)))
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(mask)
    return distance


def closed(mask: Bool, radius: float) -> Bool:
    """Close by a ball: what no ball of `radius` outside the mask can reach belongs to it.

    The array must leave `radius` voxels of room around the mask where the closing shall go on beyond it.
    """
    room = int(np.ceil(radius)) + 1
    wide = np.pad(mask, room)
    grown = inner_distance(~wide) <= radius
    shut: Bool = (inner_distance(grown) > radius) | wide
    inside = slice(room, -room)
    return shut[inside, inside, inside]


def filled_slices(mask: Bool) -> Bool:
    """Fill what each slice (first axis) encloses."""
    filled = np.empty_like(mask)
    for index, plane in enumerate(mask):
        filled[index] = ndimage.binary_fill_holes(plane)
    return filled


def grown_back(seeds: NDArray[np.int8], depth: NDArray[np.float64], radius: int) -> tuple[Bool, Bool]:
    """Let two seeds (1 and 2) grow back over what an erosion took, from the deep to the shallow.

    depth: distance of each voxel to what is outside; radius: of the erosion that left the seeds. At each
    level a voxel takes the label that most of its labelled neighbours have. A thin rim so stays with the
    lung that it hangs on, where the nearest seed might be the other lung's.
    """
    room = [(1, 1)] * 3
    sides = np.pad(seeds, room)
    levels = np.pad(np.ceil(depth).astype(np.int16), room).ravel()
    flat = sides.ravel()
    steps = np.array([stride * sign for stride in _strides(sides.shape) for sign in (-1, 1)])
    waiting = np.flatnonzero((flat == 0) & (levels > 0))
    for level in range(radius, 0, -1):
        here = levels[waiting] >= level
        rest, front = waiting[~here], waiting[here]
        while front.size:
            around = flat[front[:, None] + steps]
            first, second = (around == 1).sum(axis=1), (around == 2).sum(axis=1)
            reached = (first + second) > 0
            if not reached.any():
                break
            flat[front[reached]] = np.where(first >= second, 1, 2)[reached]
            front = front[~reached]
        waiting = np.concatenate([rest, front])
    inside = (slice(1, -1),) * 3
    return sides[inside] == 1, sides[inside] == 2


def _strides(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return shape[1] * shape[2], shape[2], 1
