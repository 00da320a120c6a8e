"""Patches at the end of a scan: beyond the last slice the engine fills up with air, and that is to be known.

Of a nodule whose middle lies beyond it nobody knows what it is; what shows of it is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.learn.planted.targets import Centre
from dicomnode.learn.planted.world import SPACING_MM

OFTEN: Final = 0.15
"""How many patches are cut off."""

_LEAST: Final = 12  # voxels along k that are left
_PAD_HU: Final = -1000.0  # as of the engine's crop
_HALO_MM: Final = 2.0


def cut_off(
    hu: Float32, mask: Bool, ignore: Bool, centres: Sequence[Centre], rng: np.random.Generator
) -> list[Centre]:
    """End the scan within a patch (k, j, i), whose arrays are changed; return the centres that are left."""
    depth = len(hu)
    at = int(rng.integers(_LEAST, depth - _LEAST + 1))
    beyond, left = (slice(at, None), slice(0, at)) if rng.uniform() < 0.5 else (slice(0, at), slice(at, None))
    hu[beyond], mask[beyond], ignore[beyond] = _PAD_HU, False, False
    seen = range(depth)[left]
    kept = []
    for one in centres:
        if seen[0] <= one.at[0] <= seen[-1]:
            kept.append(one)
            continue
        radius = (one.diameter_mm / 2.0 + _HALO_MM) / SPACING_MM
        k, j, i = np.ogrid[0 : hu.shape[0], 0 : hu.shape[1], 0 : hu.shape[2]]
        near = (k - one.at[0]) ** 2 + (j - one.at[1]) ** 2 + (i - one.at[2]) ** 2 <= radius**2
        near[beyond] = False
        ignore |= near
        mask &= ~near
    return kept
