"""What a step measures on the volume before it changes values: range, mean, percentiles.

All in float64, plane by plane in a fixed order: the same volume gives the same numbers on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool
from dicomnode.analyse.resample import Prepared

_INT16_LEVELS: Final = 65536


class Measured(Protocol):
    """What the rules of `lines` ask for; the CPU measures it here, a device by its own kernels."""

    def extremes(self) -> tuple[float, float]:
        """Return the smallest and the largest value."""
        ...

    def moments(self) -> tuple[float, float]:
        """Return the mean and the standard deviation of the population."""
        ...

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """Return percentiles, interpolated linearly between the values."""
        ...


class HostMeasured:
    """Measures an array (k, j, i) where `mask` is set; everywhere without one, or when nothing is set."""

    def __init__(self, voxels: NDArray[np.generic], mask: Bool | None = None) -> None:
        self._voxels = voxels
        self._mask = mask if mask is not None and mask.any() else None

    def _planes(self) -> Iterator[NDArray[np.generic]]:
        for k, plane in enumerate(self._voxels):
            part = plane if self._mask is None else plane[self._mask[k]]
            if part.size:
                yield part

    def extremes(self) -> tuple[float, float]:
        """Return the smallest and the largest value."""
        pairs = [(float(plane.min()), float(plane.max())) for plane in self._planes()]
        return min(low for low, _ in pairs), max(high for _, high in pairs)

    def moments(self) -> tuple[float, float]:
        """Return the mean and the standard deviation of the population, in two passes."""
        count = sum(plane.size for plane in self._planes())
        mean = sum(float(plane.sum(dtype=np.float64)) for plane in self._planes()) / count
        apart = (plane.astype(np.float64) - mean for plane in self._planes())
        return mean, float(np.sqrt(sum(float(np.square(one).sum()) for one in apart) / count))

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """Return percentiles, interpolated linearly between the values (numpy's default)."""
        count = sum(plane.size for plane in self._planes())
        at = [percent / 100.0 * (count - 1) for percent in percents]
        ranks = sorted({rank for one in at for rank in (int(one), min(int(one) + 1, count - 1))})
        value = dict(zip(ranks, self._ranked(ranks), strict=True))
        return [
            value[int(one)] + (value[min(int(one) + 1, count - 1)] - value[int(one)]) * (one - int(one))
            for one in at
        ]

    def _ranked(self, ranks: Sequence[int]) -> list[float]:
        """Return the values at these places of all values in their order."""
        if self._voxels.dtype == np.int16:  # counting is faster than sorting, and as exact
            levels = np.zeros(_INT16_LEVELS, dtype=np.int64)
            for plane in self._planes():
                levels += np.bincount(plane.astype(np.int32).ravel() + 32768, minlength=_INT16_LEVELS)
            found = np.searchsorted(np.cumsum(levels), np.asarray(ranks) + 1)
            return [float(level - 32768) for level in found]
        values = np.concatenate([plane.ravel() for plane in self._planes()])
        values.partition(ranks)
        return [float(values[rank]) for rank in ranks]


def mask_over(image: Prepared, over: str) -> Bool | None:
    """Return the voxels that count: None for all, those that are not 0, or with the holes within them."""
    if over == "all":
        return None
    if over == "nonzero_filled" and image.foreground is not None:
        return image.foreground
    mask: Bool = np.asarray(image.voxels) != 0
    return np.asarray(ndimage.binary_fill_holes(mask), dtype=bool) if over == "nonzero_filled" else mask
