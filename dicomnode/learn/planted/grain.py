"""A nodule as the scanner of a real scan would have shown it: as blurred as that scan, and as noisy.

Without its noise a planted nodule would be the one smooth place of the scan, and that would be learned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.learn.planted.acquisition import noise_like
from dicomnode.phantom.lumps import Lump

Sigma = tuple[float, float, float]

_TISSUE_HU: Final = (0.0, 90.0)  # where there is little but noise
_WIDE: Final = 1.0  # voxels: of the blur that noise is what is left beside
_LEAST_VOXELS: Final = 500
_MAD: Final = 1.4826  # of a normal distribution: its SD, by the median of what is left
_TRIED: Final = (32, 32, 32)


def noise_of(hu: Float32, lungs: Bool, sigma_kji: Sigma) -> float:
    """SD of the noise of a scan (k, j, i) in HU, taken in soft tissue; 0.0 where there is too little of that.

    sigma_kji: in voxels, of the scan's own blur, which its noise went through as well.
    """
    low, high = _TISSUE_HU
    smooth = ndimage.gaussian_filter(hu, _WIDE)
    tissue = ndimage.binary_erosion((smooth > low) & (smooth < high) & ~lungs, iterations=2)
    if int(tissue.sum()) < _LEAST_VOXELS:
        return 0.0
    left = _MAD * float(np.median(np.abs((hu - smooth)[tissue])))
    tried = noise_like(_TRIED, sigma_kji, 1.0, np.random.default_rng(0))
    part = _MAD * float(np.median(np.abs(tried - ndimage.gaussian_filter(tried, _WIDE))))
    return left / part


def as_scanned(lump: Lump, sigma_kji: Sigma, noise_hu: float, rng: np.random.Generator) -> Lump:
    """Return a nodule with the blur and the noise of a scan."""
    blurred = lump.blurred(sigma_kji)
    noise = noise_like(blurred.hu.shape, sigma_kji, noise_hu, rng)
    return replace(blurred, hu=blurred.hu + noise)
