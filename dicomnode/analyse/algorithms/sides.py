"""Right and left lung: told apart, also where they touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.analyse.algorithms.across import Across
from dicomnode.analyse.algorithms.shapes import components, grown_back, inner_squares
from dicomnode.analyse.grids import Bool, box_of

_APART_SHARE: Final = 0.25  # the second largest piece is a lung if it has this share of the largest
_SPLIT_SHARE: Final = 0.2
_BESIDE_MM: Final = 40.0  # between the centres of two lungs, also where the heart is pushed aside
_NARROW_MM: Final = 25.0  # from the middle of the body, that a plane between the lungs is looked for
_NEAR_MIDDLE: Final = 0.15  # of the body's width: the middle of a lung lies at 0.2 and more
_SPLIT_AT_MOST_MM: Final = 14.0  # lungs touch in front of the heart over a few mm


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Right and left lung (bool, k j i), None where there is none.

    by_plane: the two could not be told apart and were cut where they are narrowest. unsure: there is one
    alone, and it may be either.
    """

    right: Bool | None
    left: Bool | None
    by_plane: bool = False
    unsure: bool = False


def sides_of(lungs: Bool, across: Across, mm: float) -> Sides:
    """Tell right from left in `lungs` (bool, k j i): i runs to the patient's left.

    across: of the body. Pieces that are neither of the two largest are left out.
    """
    labels, counts = components(lungs)
    if not counts.any():
        return Sides(None, None)
    order = np.argsort(-counts, kind="stable")
    first = labels == order[0]
    if len(order) > 1 and counts[order[1]] > _APART_SHARE * counts[order[0]]:
        second = labels == order[1]
        if abs(_centre_i(first) - _centre_i(second)) * mm >= _BESIDE_MM:
            return _in_order(first, second)
        # Two pieces above each other or one before the other are not right and left
        return _one(first | second, across)
    box = box_of(first)
    halves = None if box is None else _split(first[box], mm)
    if box is not None and halves is not None:
        one, other = np.zeros_like(first), np.zeros_like(first)
        one[box], other[box] = halves
        if abs(_centre_i(one) - _centre_i(other)) * mm >= _BESIDE_MM:
            return _in_order(one, other)
    halves_by_plane = _cut(first, across.middle_i, mm) if across.goes_on is None else None
    return halves_by_plane or _one(first, across)


def _in_order(first: Bool, second: Bool) -> Sides:
    if _centre_i(first) < _centre_i(second):
        return Sides(first, second)
    return Sides(second, first)


def _one(lung: Bool, across: Across) -> Sides:
    """Tell which lung it is: the other one lies where the body goes on, else beyond the body's middle."""
    off = (_centre_i(lung) - across.middle_i) / across.width
    if across.goes_on is None:
        is_right, unsure = off < 0.0, abs(off) < _NEAR_MIDDLE
    else:
        is_right = across.goes_on == "left"
        unsure = (off if is_right else -off) > _NEAR_MIDDLE
    return Sides(lung, None, unsure=unsure) if is_right else Sides(None, lung, unsure=unsure)


def _cut(lungs: Bool, middle_i: float, mm: float) -> Sides | None:
    """Cut at the sagittal plane near the middle where they are narrowest, if both sides then hold a lung."""
    across = lungs.sum(axis=(0, 1))
    reach = int(_NARROW_MM / mm)
    low, high = max(round(middle_i) - reach, 0), min(round(middle_i) + reach + 1, len(across))
    if low >= high:
        return None
    at = low + int(across[low:high].argmin())
    left = int(across[at:].sum())
    if min(left, int(across.sum()) - left) < _SPLIT_SHARE * int(across.sum()):
        return None
    halves = np.zeros_like(lungs), np.zeros_like(lungs)
    halves[0][:, :, :at], halves[1][:, :, at:] = lungs[:, :, :at], lungs[:, :, at:]
    return Sides(halves[0], halves[1], by_plane=True)


def _split(one: Bool, mm: float) -> tuple[Bool, Bool] | None:
    """Erode until it falls into two, then let both grow back along what was eroded."""
    at_most = int(_SPLIT_AT_MOST_MM / mm)
    squares = inner_squares(one, at_most)
    for radius in range(1, at_most + 1):
        labels, counts = components(squares > radius * radius)
        if len(counts) < 3:
            continue
        order = np.argsort(-counts, kind="stable")
        if counts[order[1]] > _SPLIT_SHARE * counts[order[0]]:
            seeds = np.zeros(one.shape, dtype=np.int8)
            seeds[labels == order[0]] = 1
            seeds[labels == order[1]] = 2
            return grown_back(seeds, squares, radius)
    return None


def _centre_i(mask: Bool) -> float:
    across = mask.sum(axis=(0, 1))
    return float((across * np.arange(len(across))).sum() / max(int(across.sum()), 1))
