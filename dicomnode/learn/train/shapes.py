"""What a network sees at once, and how its levels halve it: decided from spacing and size alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

Three = tuple[int, int, int]

_LONGEST: Final = 96  # voxels of a patch along an axis, unless it is given: some 900 000 in all
_LONGEST_FLAT: Final = 256
_LEAST: Final = 4  # voxels of the deepest level along an axis
_ANISOTROPY: Final = 2.0  # an axis whose spacing is so much larger is not halved yet (as nnU-Net)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """patch_kji: voxels that a network sees. strides: of each level below the first, along k, j, i.

    is_flat: one slice, so that the network has two dimensions.
    """

    patch_kji: Three
    strides: tuple[Three, ...]

    @property
    def is_flat(self) -> bool:
        """Whether it sees one slice."""
        return self.patch_kji[0] == 1

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that the network has: j and i of one that sees slices."""
        return (1, 2) if self.is_flat else (0, 1, 2)

    @property
    def own_patch(self) -> tuple[int, ...]:
        """The patch along the axes of the network."""
        return tuple(self.patch_kji[axis] for axis in self.axes)

    @property
    def own_strides(self) -> tuple[tuple[int, ...], ...]:
        """The strides along the axes of the network."""
        return tuple(tuple(one[axis] for axis in self.axes) for one in self.strides)


def median_spacing(spacings: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Return the median along each axis, rounded to a micrometre."""
    k, j, i = (round(float(one), 3) for one in np.median(np.asarray(spacings, dtype=np.float64), axis=0))
    return k, j, i


def patch_of(lengths: Sequence[Sequence[int]], levels: int) -> Three:
    """Return the patch for studies of these sizes (voxels): their median, not more than a GPU holds.

    Sides are multiples of what the levels halve, where the studies are as long as that.
    """
    middle = [max(1, round(float(one))) for one in np.median(np.asarray(lengths, dtype=np.float64), axis=0)]
    longest = _LONGEST_FLAT if middle[0] == 1 else _LONGEST
    k, j, i = (_side(min(length, longest), levels) for length in middle)
    return k, j, i


def _side(length: int, levels: int) -> int:
    multiple = 1 << (levels - 1)
    while multiple > 1 and length < multiple * _LEAST:
        multiple //= 2
    return max(multiple, math.ceil(length / multiple) * multiple) if length > 1 else 1


def shape_of(patch_kji: Three, spacing_kji_mm: Sequence[float], levels: int) -> Shape:
    """Decide how the levels halve a patch: an axis while it is even, long, and not much coarser."""
    sides, spacing = list(patch_kji), list(spacing_kji_mm)
    strides: list[Three] = []
    for _ in range(levels - 1):
        halves = [_halves(sides, spacing, axis) for axis in range(3)]
        if not any(halves) and strides:
            break
        k, j, i = (2 if half else 1 for half in halves)
        strides.append((k, j, i))
        for axis, half in enumerate(halves):
            if half:
                sides[axis] //= 2
                spacing[axis] *= 2.0
    return Shape(patch_kji=patch_kji, strides=tuple(strides))


def _halves(sides: Sequence[int], spacing: Sequence[float], axis: int) -> bool:
    able = [a for a in range(3) if sides[a] % 2 == 0 and sides[a] >= 2 * _LEAST]
    if axis not in able:
        return False
    return spacing[axis] < _ANISOTROPY * min(spacing[a] for a in able)
