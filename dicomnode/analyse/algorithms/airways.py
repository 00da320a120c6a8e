"""Trachea and large bronchi: grown from a round spot of air near the top, stopped before it leaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.algorithms.shapes import components
from dicomnode.analyse.grids import Bool, Float32

_SPOT_BELOW_HU: Final = -900.0
_SPOT_MM2: Final = (60.0, 700.0)  # cross-section of a trachea
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
    branches = max(int(ndimage.label(plane)[1]) for plane in tree)
    wall = max(1, round(_WALL_MM / mm))
    grown = ndimage.binary_dilation(tree, iterations=wall) if tree.any() else tree
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
        if _SPOT_MM2[0] < area * mm * mm < _SPOT_MM2[1]:
            roundness = area / (np.pi / 4.0 * max(spot.shape) ** 2)
            if roundness > _ROUND:
                j, i = np.argwhere(spot).mean(axis=0) + [part.start for part in box]
                found.append((float(roundness), float(j), float(i)))
    return found


def _grow(hu: Float32, air: Bool, seed: tuple[int, int, int], mm: float) -> Bool:
    """Return what hangs together with `seed` below the highest threshold that does not leak."""
    tree = np.zeros_like(air)
    before: float | None = None
    for threshold in _THRESHOLDS_HU:
        labels, counts = components((hu < threshold) & air)
        label = labels[seed]
        if label == 0:
            continue
        millilitres = float(counts[label]) * mm**3 / 1000.0
        if millilitres > _LEAK_ML or (
            before is not None and millilitres > _LEAK_RATIO * max(before, _SMALL_ML)
        ):
            break
        tree, before = labels == label, millilitres
    return tree
