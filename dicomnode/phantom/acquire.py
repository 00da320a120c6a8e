"""What a scanner adds to the anatomy: its blur, its noise, and numbers that are whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.phantom.lattice import Float32

_WIDE_MM: Final = 1.1  # a sharp kernel raises what is narrower than about twice this


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """Blur and noise of a reconstruction.

    blur_mm: SD of the point spread in the slice. noise_hu: SD in the middle of the body. grain_mm: SD of the
    blur of its grain. sharpen: how much edges are raised, as a sharp kernel does, against all around them.
    """

    blur_mm: float = 0.55
    noise_hu: float = 17.0
    grain_mm: float = 0.8
    sharpen: float = 0.0


def acquire(voxels: Float32, pixel_mm: float, scanner: Scanner, seed: int) -> NDArray[np.int16]:
    """Turn anatomy (k, j, i) HU into what a CT scanner would give, int16 HU; `voxels` is used up.

    Slices have noise of their own, drawn from (seed, slice): coloured as a soft kernel's is, with more of it
    where more tissue lies in the way.
    """
    out = np.empty(voxels.shape, dtype=np.int16)
    blur = scanner.blur_mm / pixel_mm
    for k, plane in enumerate(voxels):
        image = ndimage.gaussian_filter(plane, blur, truncate=3.0) if blur > 0.2 else plane
        if scanner.sharpen:
            image = image + scanner.sharpen * (image - ndimage.gaussian_filter(image, _WIDE_MM / pixel_mm))
        image = image + _noise(plane, pixel_mm, scanner, (seed, k))
        np.rint(image, out=image)
        # 12 bits with an offset of 1024: what most scanners store
        np.clip(image, -1024, 3071, out=image)
        out[k] = image
    return out


def _noise(plane: Float32, pixel_mm: float, scanner: Scanner, seed: tuple[int, int]) -> Float32:
    rng = np.random.default_rng((0xC7, *seed))
    grain = rng.standard_normal(plane.shape, dtype=np.float32)
    fine = max(scanner.grain_mm / pixel_mm, 0.4)
    grain = ndimage.gaussian_filter(grain, fine, truncate=2.5)
    grain -= 0.6 * ndimage.uniform_filter(grain, max(3, int(4.5 / pixel_mm)))  # little noise of low frequency
    grain /= max(float(grain.std()), 1e-6)
    # Attenuation of the rays through each row and column: the lungs are quiet, the shoulders are not.
    tissue = np.clip((plane + 1000.0) / 1000.0, 0.0, 2.0) * np.float32(pixel_mm / 10.0)
    rays = 0.5 * (tissue.sum(axis=0)[None, :] + tissue.sum(axis=1)[:, None])
    strength = scanner.noise_hu * np.exp(0.055 * (rays - 16.0))
    noise: Float32 = (grain * np.clip(strength, 0.35 * scanner.noise_hu, 2.2 * scanner.noise_hu)).astype(
        np.float32
    )
    return noise
