"""What a network is to say of a patch: how near each cell is to a centre, how large what is there is.

Cells are two voxels wide. Cell c covers the voxels 2c and 2c + 1, so that its centre is at 2c + 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.learn.planted.world import SPACING_MM

STRIDE: Final = 2
_SIGMA_PART, _LEAST_SIGMA_MM = 1.0 / 6.0, 1.6  # of the diameter
_SIZED_PART, _LEAST_SIZED_MM = 0.3, 2.2  # radius around a centre in which cells tell the size


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """A nodule of a patch: index k, j, i of its middle, which may lie beyond the patch; diameter in mm."""

    at: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """heat: float32, 1 at centres, falling around them; size: log of the diameter in mm; sized: where."""

    heat: Float32
    size: Float32
    sized: Bool


def cells_of(shape: tuple[int, int, int], centres: Sequence[Centre]) -> Cells:
    """Draw the targets of a patch of `shape` voxels; of a cell between two nodules the nearer counts."""
    cells = tuple(side // STRIDE for side in shape)
    found = Cells(
        np.zeros(cells, dtype=np.float32), np.zeros(cells, dtype=np.float32), np.zeros(cells, dtype=bool)
    )
    axes = np.ogrid[tuple(slice(0, side) for side in cells)]
    for one in centres:
        at = [(index - 0.5) / STRIDE for index in one.at]
        squares = sum((axis - middle) ** 2 for axis, middle in zip(axes, at, strict=True))
        mm2 = squares * (SPACING_MM * STRIDE) ** 2
        sigma = max(one.diameter_mm * _SIGMA_PART, _LEAST_SIGMA_MM)
        heat = np.exp(-mm2 / (2.0 * sigma**2)).astype(np.float32)
        nearer = heat > found.heat
        sized = nearer & (mm2 < max(one.diameter_mm * _SIZED_PART, _LEAST_SIZED_MM) ** 2)
        cell = tuple(round(middle) for middle in at)
        if all(0 <= c < side for c, side in zip(cell, cells, strict=True)):
            heat[cell] = 1.0
            nearer[cell] = sized[cell] = True
        found.heat[nearer] = heat[nearer]
        found.size[sized] = np.float32(np.log(one.diameter_mm))
        found.sized[sized] = True
    return found
