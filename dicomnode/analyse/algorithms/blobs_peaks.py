"""Where, and at which size, an image is most like a blob: maxima over place and size."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.algorithms.blobs_lines import short_everywhere
from dicomnode.analyse.grids import Bool, Float32
from dicomnode.values import Float64

SIZES_MM: Final = (5.0, 7.0, 9.0, 13.0, 18.0, 26.0)
"""Diameters of balls that are looked for; a smaller nodule is found with the first of them."""

_LINE: Final = 7  # voxels: what is shorter than that along all lines is a blob
_SOFT: Final = 1.2  # voxels: SD of a blur against noise, on the finest grid; coarser ones are means already
_AROUND: Final = tuple(one for one in itertools.product((-1, 0, 1), repeat=3) if one != (0, 0, 0))
_LEAST_SD: Final = 0.25  # voxels
_TRUNCATE: Final = 3.0  # of a Gaussian, in its SD
_MOST: Final = 2000  # peaks that are kept, by their response
_THINNEST: Final = 5  # voxels of a grid along each axis: a maximum has neighbours on it, and a little more

Spacing = tuple[float, float, float]
Ends = tuple[tuple[bool, bool], tuple[bool, bool], tuple[bool, bool]]
"""Of each axis, whether what is looked at is cut off at its first and at its last voxel."""
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Peaks:
    """Places like a blob, the surest first.

    at_kji: float64 (n, 3), indices of the image. diameters_mm: float64 (n,), of the size it was found at.
    responses: float64 (n,), the contrast that is left of it, in HU.
    """

    at_kji: Float64
    diameters_mm: Float64
    responses: Float64


def peaks_of(
    hu: Float32,
    inside: Bool,
    spacing: Spacing,
    least_hu: float,
    cut: Ends,
    told: Callable[[int, int], object] = lambda _done, _of: None,
) -> Peaks:
    """Find blobs in `hu` (k, j, i), within `inside`, of all sizes; what has a smaller response is none.

    cut: where `inside` ends with the images: there a blob may have its middle on the last voxel.

    Large ones on coarser grids: a line of seven voxels is 9, 18 and 35 mm long on voxels of 1.25 mm.
    """
    level, image, mask = 1, hu, inside
    short: Float32 | None = None
    at, responses = [], []
    for number, diameter_mm in enumerate(SIZES_MM):
        told(number, len(SIZES_MM))
        while diameter_mm > _LINE * level * max(spacing) and min(image.shape) >= 2 * _THINNEST:
            image, mask, level = halved(image), halved(mask.astype(np.float32)) > 0.5, 2 * level
            short = None
        soft = _SOFT if level == 1 else 0.0
        if short is None:
            blurred = ndimage.gaussian_filter(image, soft, truncate=_TRUNCATE) if soft else image
            short = short_everywhere(blurred, _LINE)
        sigmas = diameter_mm / (2.0 * 3.0**0.5) / (np.array(spacing) * level)  # of a ball: Lindeberg
        more = np.sqrt(np.maximum(sigmas**2 - soft**2, _LEAST_SD**2))
        field = ndimage.gaussian_filter(short, more, truncate=_TRUNCATE, mode="nearest")
        found = _maxima(field, _but_edges(mask, cut), least_hu)
        at.append((found + 0.5) * level - 0.5)
        responses.append(field[tuple(found.T)].astype(np.float64))
    told(len(SIZES_MM), len(SIZES_MM))
    diameters = np.repeat(SIZES_MM, [len(one) for one in at])
    places, all_of_them = np.concatenate(at), np.concatenate(responses)
    order = np.argsort(-all_of_them, kind="stable")[:_MOST]
    return Peaks(at_kji=places[order], diameters_mm=diameters[order], responses=all_of_them[order])


def halved(image: Float32) -> Float32:
    """Take the mean of each two voxels along each axis; a last one without a partner is dropped."""
    for axis in range(3):
        parts = np.moveaxis(image, axis, 0)
        even = len(parts) // 2 * 2
        image = np.moveaxis((parts[0:even:2] + parts[1:even:2]) * np.float32(0.5), 0, axis)
    return np.ascontiguousarray(image)


def _but_edges(mask: Bool, cut: Ends) -> Bool:
    """Return the mask without the edges of the array at which nothing is cut off."""
    inner = mask.copy()
    for axis, (first, last) in enumerate(cut):
        planes = np.moveaxis(inner, axis, 0)
        planes[0] &= first
        planes[-1] &= last
    return inner


def _maxima(field: Float32, mask: Bool, least: float) -> Indices:
    """Return indices (n, 3) of voxels in the mask that are above `least` and above all their neighbours.

    Of equal neighbours the last one in the order of the array counts. Only what is above is looked at.
    """
    wide = np.pad(field, 1, constant_values=-np.inf)
    flat = wide.ravel()
    at = np.flatnonzero(np.pad(mask, 1).ravel() & (flat > np.float32(least)))
    strides = np.array([wide.shape[1] * wide.shape[2], wide.shape[2], 1])
    for way in _AROUND:
        step = int(np.dot(way, strides))
        other, own = flat[at + step], flat[at]
        at = at[(own > other) | ((own == other) & (step < 0))]
    found: Indices = np.stack(np.unravel_index(at, wide.shape), axis=1) - 1
    return found
