"""The outline of a blob: what hangs together around its middle above half of its contrast."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.values import Float64

_REACH: Final = 0.75  # diameters from the middle at which a region ends, …
_REACH_MM: Final = 1.25  # … and so many mm more: a vessel that leads into it is cut off there
_CORE: Final = 0.25  # diameters: what the blob's own value is taken from
_AROUND: Final = (0.8, 1.4)  # diameters: where the lung beside it is looked at
_AROUND_MM: Final = 3.0
_BACKGROUND: Final = 25.0  # percent: vessels and the next lesion lie above


def region_of(
    hu: Float32, inside: Bool, at_kji: Float64, diameter_mm: float, spacing: tuple[float, float, float]
) -> tuple[tuple[int, int, int], Bool]:
    """Return where the crop of the region begins, and its voxels: those above half of its contrast.

    hu: (k, j, i). inside: where a region may be. At least the voxel in the middle is in it.
    """
    steps = np.array(spacing)
    around = _AROUND[1] * diameter_mm + _AROUND_MM
    low = np.maximum(np.floor(at_kji - around / steps), 0).astype(int)
    high = np.minimum(np.ceil(at_kji + around / steps) + 1, hu.shape).astype(int)
    cut = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    axes = [(np.arange(a, b) - m) * s for a, b, m, s in zip(low, high, at_kji, steps, strict=True)]
    k, j, i = np.ix_(*axes)
    away = np.sqrt(k**2 + j**2 + i**2)
    values, free = hu[cut], inside[cut]
    middle = np.unravel_index(int(away.argmin()), away.shape)
    near = away <= max(_CORE * diameter_mm, float(steps.max()) * 0.6)
    own = float(values[near].mean()) if near.any() else float(values[middle])
    shell = free & (away > _AROUND[0] * diameter_mm) & (away <= around)
    lung = float(np.percentile(values[shell], _BACKGROUND)) if shell.any() else float(values.min())
    mask = free & (values > 0.5 * (own + lung)) & (away <= _REACH * diameter_mm + _REACH_MM)
    mask[middle] = True
    labels, _ = ndimage.label(mask)
    mask = labels == labels[middle]
    part = ndimage.find_objects(mask.astype(np.uint8))[0]
    start = [int(a) + p.start for a, p in zip(low, part, strict=True)]
    return (start[0], start[1], start[2]), np.ascontiguousarray(mask[part])
