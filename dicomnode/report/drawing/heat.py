"""A map of numbers laid over images in colour: nothing where it is low, dark red to yellow where it is high.

The map is placed by patient space, on whatever grid it has, and interpolated linearly; what lies outside of
it stays grey. Of numbers below and above 0 those below are not shown: they speak against what those above
speak for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.report.drawing.patient_views import View
from dicomnode.values import Float64, Grid, ScalarMap

# Dark red, red, orange, yellow: brightness rises with the number, so that it is read in grey, too
_RAMP: Final = np.array([[90, 0, 30], [200, 20, 20], [250, 140, 10], [255, 240, 90]], dtype=np.float64)
_MOST: Final = 0.62  # of the colour where it is highest: the anatomy stays visible
_HIGHEST: Final = 99.9  # percentile: a single voxel does not set the scale
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRange:
    """The number without colour, and that of the full colour; low < high."""

    low: float
    high: float


def range_of(one: ScalarMap) -> HeatRange:
    """Choose the range that a map is shown in: from 0 where it has numbers above it, else from end to end."""
    least, most = float(one.values.min()), float(one.values.max())
    low = 0.0 if most > 0.0 and least >= 0.0 else max(least, 0.0) if most > 0.0 else least
    above = one.values[one.values > low]
    high = float(np.percentile(above, _HIGHEST)) if above.size else low
    return HeatRange(low=low, high=high if high > low else low + 1.0)


def hottest_kji(one: ScalarMap, grid: Grid) -> tuple[int, int, int]:
    """Return the voxel of `grid` that is nearest to the maximum of a map; of equal ones to the first."""
    at = np.unravel_index(int(one.values.argmax()), one.values.shape)
    index = grid.to_index_kji(one.grid.to_lps_mm(np.array(at, dtype=np.float64)))
    k, j, i = (int(n) for n in np.clip(np.rint(index), 0, np.array(grid.shape_kji) - 1))
    return k, j, i


def heat_on(one: ScalarMap, grid: Grid, view: View, across: int, shown: HeatRange) -> Float64:
    """Return how hot each pixel of a plane of `grid` is, 0 … 1, as rows and columns of the picture."""
    from scipy import ndimage  # noqa: PLC0415 (slow to load, and few results have a map)

    rest = [axis for axis in range(3) if axis != view.axes[2]]
    cut = np.indices([grid.shape_kji[axis] for axis in rest], dtype=np.float64)
    index = np.empty((*cut.shape[1:], 3))
    index[..., view.axes[2]] = across
    for axis, places in zip(rest, cut, strict=True):
        index[..., axis] = places
    at = one.grid.to_index_kji(grid.to_lps_mm(index))
    values = ndimage.map_coordinates(
        one.values.astype(np.float64), np.moveaxis(at, -1, 0), order=1, mode="nearest"
    )
    sizes = np.array(one.grid.shape_kji)
    inside = ((at >= -_HALF) & (at <= sizes - _HALF)).all(axis=-1)
    heat = np.clip((values - shown.low) / (shown.high - shown.low), 0.0, 1.0) * inside
    return np.asarray(view.orient(heat), dtype=np.float64)


def heated(pixels: NDArray[np.uint8], heat: Float64) -> NDArray[np.uint8]:
    """Lay heat (rows, columns), 0 … 1, over pixels of a screen, grey or red, green, blue: uint8 (r, c, 3)."""
    grey = pixels.astype(np.float64)
    grey = grey[..., np.newaxis].repeat(3, axis=-1) if grey.ndim == 2 else grey
    places = np.linspace(0.0, 1.0, len(_RAMP))
    colour = np.stack([np.interp(heat, places, _RAMP[:, n]) for n in range(3)], axis=-1)
    part = (_MOST * np.sqrt(heat) * (heat > 0.0))[..., np.newaxis]
    return np.rint(grey * (1.0 - part) + colour * part).astype(np.uint8)
