"""Trachea and large bronchi: grown from a round spot of air near the top, stopped before it leaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.algorithms.shapes import components_of_slices, dilated
from dicomnode.analyse.grids import Bool, Box, Float32

_SPOT_BELOW_HU: Final = -900.0
SPOT_MM2: Final = (60.0, 700.0)
"""Least and largest cross-section of a trachea."""

_ROUND: Final = 0.45  # area over that of the circle around it
_MIDLINE_MM: Final = 40.0
_UPPER_PART: Final = 0.5  # of the lungs' height in which the trachea is looked for

# The wall of a small bronchus is thinner than a voxel, so no one threshold fits all images: it is raised
# until the volume shows that air of the lung itself is flowing in.
_THRESHOLDS_HU: Final = (-960.0, -950.0, -940.0, -930.0, -920.0, -910.0, -900.0, -880.0, -860.0)
_LEAK_ML: Final = 150.0
_LEAK_RATIO: Final = 2.0
_SMALL_ML: Final = 15.0  # below this, doubling is growth and not a leak
_WALL_MM: Final = 1.5
_ROOM: Final = 12  # voxels around what was found below one threshold, in which the next is looked for first


@dataclass(frozen=True, slots=True, eq=False)
class Airways:
    """Trachea and large bronchi with their wall (bool, k j i), their volume without it, and their branches.

    branches: the most that one slice shows at once; 0 when no trachea was found.
    """

    mask: Bool
    millilitres: float
    branches: int


def airways_of(hu: Float32, air: Bool, lungs: Bool, mm: float) -> Airways:
    """Find the airways in `air` inside the body; `lungs` (with airways in it) says where to look."""
    seed = _trachea(air & (hu < _SPOT_BELOW_HU), lungs, mm)
    if seed is None:
        return Airways(np.zeros_like(air), 0.0, 0)
    tree = _grow(hu, air, seed, mm)
    branches = int(components_of_slices(tree)[1].max())
    wall = max(1, round(_WALL_MM / mm))
    grown = dilated(tree, wall)
    return Airways(grown, float(tree.sum()) * mm**3 / 1000.0, branches)


def _trachea(dark: Bool, lungs: Bool, mm: float) -> tuple[int, int, int] | None:
    """Return a voxel of the trachea: the roundest spot in the highest slice that has one."""
    heights = np.flatnonzero(lungs.any(axis=(1, 2)))
    across = np.flatnonzero(lungs.any(axis=(0, 1)))
    if not heights.size:
        return None
    middle = (across[0] + across[-1]) / 2.0
    lowest = heights[0] + int(_UPPER_PART * (heights[-1] - heights[0]))
    for k in range(int(heights[-1]), int(lowest), -1):
        spots = [spot for spot in _spots(dark[k], mm) if abs(spot[2] - middle) * mm < _MIDLINE_MM]
        if spots:
            _, j, i = max(spots)
            return k, round(j), round(i)
    return None


def _spots(plane: Bool, mm: float) -> list[tuple[float, float, float]]:
    """Return roundness and centre (j, i) of the round spots of one slice."""
    labels, count = ndimage.label(plane)
    found = []
    for index, box in enumerate(ndimage.find_objects(labels, count), start=1):
        spot = labels[box] == index
        area = int(spot.sum())
        if SPOT_MM2[0] < area * mm * mm < SPOT_MM2[1]:
            roundness = area / (np.pi / 4.0 * max(spot.shape) ** 2)
            if roundness > _ROUND:
                j, i = np.argwhere(spot).mean(axis=0) + [part.start for part in box]
                found.append((float(roundness), float(j), float(i)))
    return found


def _grow(hu: Float32, air: Bool, seed: tuple[int, int, int], mm: float) -> Bool:
    """Return what hangs together with `seed` below the highest threshold that does not leak."""
    before: float | None = None

    def millilitres(piece: Bool) -> float:
        return float(np.count_nonzero(piece)) * mm**3 / 1000.0

    def leaks(piece: Bool) -> bool:
        ml = millilitres(piece)
        return ml > _LEAK_ML or (before is not None and ml > _LEAK_RATIO * max(before, _SMALL_ML))

    tree = np.zeros_like(air)
    box: Box = (slice(seed[0], seed[0] + 1), slice(seed[1], seed[1] + 1), slice(seed[2], seed[2] + 1))
    for threshold in _THRESHOLDS_HU:
        found = _around(hu, air, threshold, seed, box, leaks)
        if found is None:
            continue
        box, piece = found
        if leaks(piece):
            break
        tree[box], before = piece, millilitres(piece)
    return tree


def _around(
    hu: Float32,
    air: Bool,
    threshold: float,
    seed: tuple[int, int, int],
    box: Box,
    enough: Callable[[Bool], bool],
) -> tuple[Box, Bool] | None:
    """Return the piece of air below `threshold` that holds `seed`, and the box it lies in; None without one.

    It is looked for around `box`, ever farther until the piece ends within, or until what is seen of it is
    enough: most are small, and to label the whole chest for each threshold costs more than all the rest.
    """
    room = _ROOM
    while True:
        start = [max(part.start - room, 0) for part in box]
        stop = [min(part.stop + room, size) for part, size in zip(box, air.shape, strict=True)]
        wide = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
        labels, _ = ndimage.label((hu[wide] < threshold) & air[wide])
        label = labels[tuple(np.subtract(seed, start))]
        if label == 0:
            return None
        piece = labels == label
        if enough(piece) or _ends(piece, start, stop, air.shape):
            return wide, piece
        room *= 2


def _ends(piece: Bool, start: Sequence[int], stop: Sequence[int], shape: Sequence[int]) -> bool:
    """Tell whether `piece` reaches no face of its box that is not one of the whole array."""
    for axis in range(3):
        faces = np.moveaxis(piece, axis, 0)
        if (start[axis] > 0 and faces[0].any()) or (stop[axis] < shape[axis] and faces[-1].any()):
            return False
    return True
