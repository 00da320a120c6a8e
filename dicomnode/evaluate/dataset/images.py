"""Cheap features of images, where an engine gives none: greys, spacing, extent, and a thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Picture, Volume
from dicomnode.values.geometry import Float64, read_only

SIDE: Final = 16
"""Pixels of a thumbnail, both ways."""

FINE: Final = 64
"""Pixels of what near duplicates are held against each other by, both ways."""

SHOWN: Final = 96
"""Pixels of the longer side of a picture for people."""

_PERCENTILES: Final = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
_WINDOW: Final = (1.0, 99.0)  # percentiles from black to white on a thumbnail
_MOST: Final = 1_000_000  # voxels are enough for percentiles

GREYS: Final = (*(f"percentile {p:g}" for p in _PERCENTILES), "mean", "standard deviation")
"""Features that turning or resampling a picture hardly changes."""

NAMES: Final = (
    *GREYS,
    *(f"spacing {axis}, mm" for axis in "kji"),
    *(f"extent {axis}, mm" for axis in "kji"),
)
"""Of the features of `image_features`, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageFeatures:
    """Features of one stack. numbers: float64 (features,), as `NAMES`; thumbnail: uint8 (16, 16).

    fine: uint8 (64, 64), the same slice less reduced. shown: uint8 (rows, columns), for people, `SHOWN`
    pixels on the longer side.
    """

    numbers: Float64
    thumbnail: NDArray[np.uint8]
    fine: NDArray[np.uint8]
    shown: NDArray[np.uint8]

    @property
    def row(self) -> tuple[tuple[str, ...], Float64]:
        """Names and numbers, as a table wants them."""
        return NAMES, self.numbers


def image_features(images: Volume | Picture) -> ImageFeatures:
    """Measure a stack. Greys are in the unit of its voxels; colours count by their mean.

    Spacing of a picture without one is taken as 1, and voxels that are no numbers are left out.
    """
    voxels = images.voxels if isinstance(images, Volume) else images.frames.mean(axis=3)
    grid = images.grid
    thinned = voxels.reshape(-1)[:: max(1, voxels.size // _MOST)].astype(np.float64)
    greys = thinned[np.isfinite(thinned)]
    greys = greys if greys.size else np.zeros(1)
    extent = [n * mm for n, mm in zip(grid.shape_kji, grid.spacing_kji_mm, strict=True)]
    all_greys = [*np.percentile(greys, _PERCENTILES), greys.mean(), greys.std()]
    numbers = np.array([*all_greys, *grid.spacing_kji_mm, *extent], dtype=np.float64)
    read_only(numbers)
    middle = voxels[voxels.shape[0] // 2]
    _, row_mm, column_mm = grid.spacing_kji_mm
    high, wide = middle.shape[0] * row_mm, middle.shape[1] * column_mm
    size = (max(1, round(SHOWN * high / max(high, wide))), max(1, round(SHOWN * wide / max(high, wide))))
    return ImageFeatures(
        numbers=numbers,
        thumbnail=thumbnail_of(middle),
        fine=_reduced(middle, (FINE, FINE)),
        shown=_reduced(middle, size),
    )


def thumbnail_of(plane: NDArray[np.generic]) -> NDArray[np.uint8]:
    """A plane (rows, columns) reduced to 16 × 16 pixels, each the mean of its part, from black to white."""
    return _reduced(plane, (SIDE, SIDE))


def _reduced(plane: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A plane reduced to so many rows and columns, from black to white between two percentiles."""
    from PIL import Image  # noqa: PLC0415 (of use only here)

    shown = np.nan_to_num(plane.astype(np.float32))
    low, high = np.percentile(shown, _WINDOW)
    scaled = np.clip((shown - low) / max(float(high - low), 1e-6), 0.0, 1.0).astype(np.float32)
    small = Image.fromarray(scaled).resize(size[::-1], Image.Resampling.BOX)
    return np.rint(np.asarray(small) * 255.0).astype(np.uint8)
