"""What a detector and a workstation make of the ways of the rays: exposure, scatter, grid, noise, grey scale.

Numbers are those of no device: they are drawn from wide ranges, so that none of them is learned.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.phantom.lattice import Float32

_SOFT_PER_MM: Final = (
    0.016,
    0.024,
)  # water at 60 to 100 keV is 0.0206 to 0.0171 (NIST XCOM)
_BONE_PER_MM: Final = (0.018, 0.050)  # a mm of 1000 HU above it: more at low voltage
_DARKEST: Final = 1e-4


def exposed(soft_mm: Float32, bone_mm: Float32, rng: np.random.Generator) -> Float32:
    """Return how dense each pixel is, float32 (j, i): -log of what came through, with what disturbs it."""
    through = np.exp(-rng.uniform(*_SOFT_PER_MM) * soft_mm - rng.uniform(*_BONE_PER_MM) * bone_mm)
    through = through.astype(np.float32)
    j, i = (np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in through.shape)
    scatter = float(rng.uniform(0.0, 0.5))
    broad = ndimage.uniform_filter(through, size=max(3, len(j) // 6), mode="nearest")
    through = (1.0 - scatter) * through + scatter * broad
    heel, tilted = rng.uniform(-0.25, 0.25, size=2)
    through *= 1.0 + np.float32(heel) * j[:, None] + np.float32(tilted) * i[None, :]
    if rng.uniform() < 0.15:
        lines = np.sin(j * float(rng.uniform(20.0, 400.0)))[:, None]
        through *= 1.0 + float(rng.uniform(0.005, 0.04)) * lines
    quanta = float(np.exp(rng.uniform(np.log(3e3), np.log(3e5))))
    noise = rng.standard_normal(through.shape, dtype=np.float32)
    through += np.sqrt(np.clip(through, _DARKEST, None) / np.float32(quanta)) * noise
    dense: Float32 = -np.log(np.clip(through, _DARKEST, None))
    if rng.uniform() < 0.2:  # no logarithm: as the detector counted, dense is bright
        dense = (1.0 - through / max(float(through.max()), _DARKEST)).astype(np.float32)
    return dense


def displayed(dense: Float32, inside: NDArray[np.bool_], rng: np.random.Generator) -> Float32:
    """Return the picture, 0 to 1 with bones bright. inside: what was exposed; around it is a border."""
    if rng.uniform() < 0.5:  # large differences are made smaller (unsharp masking, multi-frequency)
        broad = ndimage.uniform_filter(dense, size=max(3, len(dense) // int(rng.integers(4, 12))))
        dense = dense - float(rng.uniform(0.2, 0.7)) * broad
    if rng.uniform() < 0.4:
        fine = ndimage.uniform_filter(dense, size=3)
        dense = dense + float(rng.uniform(0.3, 1.5)) * (dense - fine)
    seen = dense[inside][::7]
    if len(seen) < 2:
        seen = dense.ravel()
    low, high = np.percentile(seen, (rng.uniform(0.0, 4.0), rng.uniform(96.0, 100.0)))
    grey = np.clip((dense - low) / max(float(high - low), _DARKEST), 0.0, 1.0)
    if rng.uniform() < 0.4:  # sigmoid VOI LUT (PS3.3 C.11.2.1.3.1)
        steep, middle = rng.uniform(3.0, 9.0), rng.uniform(0.35, 0.65)
        grey = 1.0 / (1.0 + np.exp(-steep * (grey - middle)))
        grey = (grey - grey.min()) / max(float(grey.max() - grey.min()), _DARKEST)
    else:
        grey = grey ** float(np.exp(rng.uniform(np.log(0.55), np.log(1.8))))
    if not inside.all():
        border = 0.0 if rng.uniform() < 0.6 else float(rng.uniform(0.75, 1.0))
        noise = float(rng.uniform(0.0, 0.03)) * rng.standard_normal(grey.shape)
        grey = np.where(inside, grey, np.clip(border + noise, 0.0, 1.0))
    picture: Float32 = grey.astype(np.float32)
    return picture
