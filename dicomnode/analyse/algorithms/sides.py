"""Right and left lung: told apart, also where they touch."""

from __future__ import annotations

from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.shapes import components, grown_back, inner_distance
from dicomnode.analyse.grids import Bool, box_of

_APART_SHARE: Final = 0.25  # the second largest piece is a lung if it has this share of the largest
_SPLIT_SHARE: Final = 0.2
_SPLIT_AT_MOST_MM: Final = 14.0  # lungs touch in front of the heart over a few mm


def sides_of(lungs: Bool, mm: float) -> tuple[Bool, Bool | None]:
    """Split `lungs` (bool, k j i) into two, or return it whole with None if there is but one.

    Pieces that are neither of the two are left out. The order says nothing of the side.
    """
    labels, counts = components(lungs)
    order = np.argsort(-counts, kind="stable")
    if len(order) > 1 and counts[order[1]] > _APART_SHARE * counts[order[0]]:
        return labels == order[0], labels == order[1]
    one = labels == order[0]
    box = box_of(one)
    halves = None if box is None else _split(one[box], mm)
    if box is None or halves is None:
        return one, None
    first, second = np.zeros_like(one), np.zeros_like(one)
    first[box], second[box] = halves
    return first, second


def _split(one: Bool, mm: float) -> tuple[Bool, Bool] | None:
    """Erode until it falls into two, then let both grow back along what was eroded."""
    depth = inner_distance(one)
    for radius in range(1, int(_SPLIT_AT_MOST_MM / mm) + 1):
        labels, counts = components(depth > radius)
        if len(counts) < 3:
            continue
        order = np.argsort(-counts, kind="stable")
        if counts[order[1]] > _SPLIT_SHARE * counts[order[0]]:
            seeds = np.zeros(one.shape, dtype=np.int8)
            seeds[labels == order[0]] = 1
            seeds[labels == order[1]] = 2
            return grown_back(seeds, depth, radius)
    return None


def in_order(first: Bool, second: Bool | None, middle_i: float) -> tuple[Bool | None, Bool | None]:
    """Return right and left lung: i runs to the patient's left, so the right one has the smaller i.

    middle_i: of the body; the side that a single lung is on.
    """
    if second is None:
        return (first, None) if _centre_i(first) < middle_i else (None, first)
    return (first, second) if _centre_i(first) < _centre_i(second) else (second, first)


def _centre_i(mask: Bool) -> float:
    across = mask.sum(axis=(0, 1))
    return float((across * np.arange(len(across))).sum() / max(int(across.sum()), 1))
