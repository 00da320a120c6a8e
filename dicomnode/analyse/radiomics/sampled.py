"""What all families of features are made of: a region, its voxels, and their grey levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Bool
from dicomnode.values import Float64, Grid

Levels = NDArray[np.int64]

MOST_LEVELS: Final = 1024
"""A matrix of neighbours has so many rows and columns at most: more levels than voxels tell nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampled:
    """A region of an image, cut to its box and a margin.

    voxels: float64 (k, j, i), in the unit of the image. mask: bool of the same shape, some voxels set, none
    on a face of the box that is not a face of the image. levels: int64 (k, j, i), from 1 within the mask, 0
    outside. grid: of the box. margin_kji: voxels around the box of the mask, at its low ends.
    """

    voxels: Float64
    mask: Bool
    levels: Levels
    grid: Grid

    @property
    def values(self) -> Float64:
        """The voxels of the region, float64 (n,), in C order."""
        inside: Float64 = self.voxels[self.mask]
        return inside

    @property
    def count(self) -> int:
        """How many voxels the region has."""
        return int(np.count_nonzero(self.mask))


def levels_of(voxels: Float64, mask: Bool, bin_width: float) -> Levels:
    """Put values into bins of equal width (IBSI "fixed bin size", Q3RU); the lowest one of the region is 1.

    Bins begin at multiples of the width, so that one value is in one bin in every study.
    Raises ValueError where there would be more than `MOST_LEVELS`.
    """
    inside = np.floor(voxels[mask] / bin_width)
    lowest, highest = inside.min(), inside.max()
    if highest - lowest + 1 > MOST_LEVELS:
        raise ValueError(
            f"values from {voxels[mask].min():g} to {voxels[mask].max():g} in bins of {bin_width:g} are more "
            f"than {MOST_LEVELS} grey levels"
        )
    levels = np.zeros(mask.shape, dtype=np.int64)
    levels[mask] = (inside - lowest).astype(np.int64) + 1
    return levels


def directions() -> tuple[tuple[int, int, int], ...]:
    """The 13 directions (k, j, i) to the 26 neighbours of a voxel, one of each opposite pair."""
    every = [(k, j, i) for k in (-1, 0, 1) for j in (-1, 0, 1) for i in (-1, 0, 1)]
    return tuple(one for one in every if one > (0, 0, 0))
