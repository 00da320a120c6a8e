"""What lies outside the ribs in a slice: muscles of the back and shoulder, and the fat between them.

A slice cuts each rib, slanting as it runs, once or twice; seen from the spine the pieces stand about the
cavity. Between two that stand near each other the cage goes on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Bool

_DEEP_MM: Final = 30.0  # below the outer side of the ring of muscles: calcified vessels and bowel lie deeper
_SPINE_MM: Final = 45.0  # about the front of the vertebra: its own bone, and the heads of ribs
_BEHIND_DEGREES: Final = 35.0  # to either side of straight behind: its processes
_BINS: Final = 180
_GAP_DEGREES: Final = 40.0


def outside_ribs(
    bone: Bool, depth: NDArray[np.float64], front: tuple[float, float], mm: tuple[float, float]
) -> Bool:
    """Return the pixels (j, i) that lie farther from the spine than ribs, or the hip bone, at their angle.

    bone: without contrast medium. depth: mm below the outer side of the ring. front: row and column of the
    front of the vertebra. Where no bone stands, as before the belly, nothing is outside.
    """
    j, i = np.ogrid[: bone.shape[0], : bone.shape[1]]
    down, left = (j - front[0]) * mm[0], (i - front[1]) * mm[1]
    away = np.hypot(down, left)
    angle = np.arctan2(left, -down)  # 0 straight before the spine
    numbers = np.floor((angle + np.pi) / (2.0 * np.pi) * _BINS).astype(np.int64) % _BINS
    beside = np.abs(angle) < np.pi - np.deg2rad(_BEHIND_DEGREES)
    ribs = bone & (depth > 0.0) & (depth < _DEEP_MM) & (away > _SPINE_MM) & beside
    nearest = np.full(_BINS, np.inf)
    np.minimum.at(nearest, numbers[ribs], away[ribs])
    outside: Bool = away > _bridged(nearest)[numbers]
    return outside


def _bridged(nearest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bridge narrow gaps of angles by a straight line; wide ones stay without an end."""
    there = np.flatnonzero(np.isfinite(nearest))
    result = nearest.copy()
    for one, other in pairwise(there):
        if 1 < other - one <= _GAP_DEGREES * _BINS / 360.0:
            result[one : other + 1] = np.interp(
                np.arange(one, other + 1), (one, other), (nearest[one], nearest[other])
            )
    return result
