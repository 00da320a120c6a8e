"""What a scanner does to a world before a network sees it: drawn anew for each patch, after planting.

Blur, slices of a thickness with real gaps between their centres, noise with the grain of a kernel, edges
raised by sharp ones, and a scale of HU that is a little off: a network that has seen one kernel knows one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Float32
from dicomnode.learn.planted.world import SPACING_MM

MARGIN: Final = 6
"""Voxels around a patch that its blur reaches; what lies farther changes nothing that is seen."""

_FWHM: Final = 2.3548  # of a Gaussian, in its SD
_THICK_MM: Final = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
_HOW_OFTEN: Final = (0.20, 0.20, 0.10, 0.15, 0.15, 0.10, 0.05, 0.05)
_LOUDEST_HU: Final = 80.0
_ADDED_HU: Final = 60.0  # most noise that a real scan is given beside its own: as of a sharp kernel
_TRUNCATE: Final = 2.5  # of kernels, in their SD: what MARGIN is enough for
_WIDE: Final = 0.8  # voxels: what a sharp kernel raises edges against


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """How one patch, or one whole world, is scanned. Lengths in voxels of 1.25 mm, numbers in HU.

    thickness: SD of a slice's profile; step: from slice to slice, 1 where none is left out; phase: of the
    first one. gain, offset: of the scale around -1000 HU.
    """

    blur: float
    thickness: float
    step: float
    phase: float
    noise_hu: float
    grain: float
    sharpen: float
    gain: float
    offset_hu: float


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw a protocol: thin slices more often; sharp kernels are noisy and thick slices are not."""
    thick_mm = float(rng.choice(_THICK_MM, p=_HOW_OFTEN))
    overlap = float(rng.choice((1.0, 0.8, 0.5), p=(0.6, 0.25, 0.15)))
    step = max(thick_mm * overlap / SPACING_MM, 1.0)
    sharp = float(rng.uniform(0.2, 1.0)) if rng.uniform() < 0.3 else 0.0
    noise = abs(float(rng.normal(0.0, 26.0))) * (1.0 + sharp) * (1.25 / max(thick_mm, 1.0)) ** 0.5
    return Exposure(
        blur=float(rng.uniform(0.25, 0.75)),
        thickness=thick_mm / _FWHM / SPACING_MM,
        step=step,
        phase=float(rng.uniform(0.0, step)),
        noise_hu=min(noise, _LOUDEST_HU),
        grain=float(rng.uniform(0.3, 0.55) if sharp else rng.uniform(0.4, 0.9)),
        sharpen=sharp,
        gain=float(rng.uniform(0.96, 1.04)),
        offset_hu=float(rng.normal(0.0, 10.0)),
    )


def scanned(hu: Float32, exposure: Exposure, rng: np.random.Generator) -> Float32:
    """Return noise-free `hu` (k, j, i) as that protocol would show it, resampled to the same grid."""
    sigma = (exposure.thickness, exposure.blur, exposure.blur)
    image = ndimage.gaussian_filter(hu, sigma, truncate=_TRUNCATE)
    if exposure.step > 1.0:
        image = _at(image, _slices(len(hu), exposure))
    if exposure.sharpen:
        soft = ndimage.gaussian_filter(image, (0.0, _WIDE, _WIDE), truncate=_TRUNCATE)
        image = image + np.float32(exposure.sharpen) * (image - soft)
    image = image + noise_like(image.shape, (0.0, exposure.grain, exposure.grain), exposure.noise_hu, rng)
    if exposure.step > 1.0:
        at = (np.arange(len(hu)) - exposure.phase) / exposure.step
        image = _at(image, at.clip(0.0, len(image) - 1.0))
    shown: Float32 = (image + 1000.0) * np.float32(exposure.gain) - np.float32(1000.0 - exposure.offset_hu)
    return shown


def _slices(count: int, exposure: Exposure) -> np.ndarray:
    """Return where slices lie: at least one."""
    return np.arange(min(exposure.phase, count - 1.0), count - 1e-6, exposure.step)


def _at(image: Float32, at: np.ndarray) -> Float32:
    """Interpolate along k at indices within."""
    low = np.floor(at).astype(np.intp).clip(0, len(image) - 1)
    high = np.minimum(low + 1, len(image) - 1)
    part = (at - low).astype(np.float32)[:, None, None]
    between: Float32 = image[low] * (1.0 - part) + image[high] * part
    return between


def noise_like(
    shape: tuple[int, ...], grain: tuple[float, float, float], sd_hu: float, rng: np.random.Generator
) -> Float32:
    """Draw noise of an SD, with structure of `grain` voxels along each axis."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, grain, truncate=_TRUNCATE)
    shown: Float32 = noise * np.float32(sd_hu / max(float(noise.std()), 1e-6))
    return shown


def rescanned(hu: Float32, rng: np.random.Generator) -> Float32:
    """Return a patch of a real scan a little noisier, softer or sharper than it is, with another scale."""
    image = hu
    if rng.uniform() < 0.5:
        grain = float(rng.uniform(0.3, 0.9))
        image = image + noise_like(image.shape, (0.4, grain, grain), float(rng.uniform(0.0, _ADDED_HU)), rng)
    kind = rng.uniform()
    if kind < 0.3:
        image = ndimage.gaussian_filter(image, float(rng.uniform(0.2, 0.6)), truncate=_TRUNCATE)
    elif kind < 0.5:
        soft = ndimage.gaussian_filter(image, _WIDE, truncate=_TRUNCATE)
        image = image + np.float32(rng.uniform(0.1, 0.8)) * (image - soft)
    gain, offset = rng.uniform(0.96, 1.04), rng.normal(0.0, 10.0)
    shown: Float32 = ((image + 1000.0) * np.float32(gain) - np.float32(1000.0 - offset)).astype(np.float32)
    return shown
