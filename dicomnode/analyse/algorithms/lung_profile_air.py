"""How dense aerated lung is: emptier than it should be, full of holes, or hazy.

Radiologists use the part of the lung below -950 HU (LAA-950, Gevenois and others, AJRCCM 154 (1996) 187) and
the 15th percentile. Both hang on noise and kernel, so they stand here of the images and of blurred ones,
beside what the noise is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.algorithms.lung_profile_sides import THIRDS, Sides
from dicomnode.analyse.algorithms.shapes import components, eroded, thick, within
from dicomnode.analyse.grids import Bool, Float32
from dicomnode.values import Float64

_RANKS: Final = (1, 5, 15, 50, 85, 95, 99)  # percentiles
_LOW_HU: Final = (-970, -950, -930, -910)
_HAZE_HU: Final = ((-750, -650), (-650, -500), (-500, -300), (-300, 3000))
_VESSEL_HU: Final = -800.0  # holes are looked for in what is below: vessels are no rims of holes
_HOLE_MM: Final = ((1.6, 3.2), (3.0, 6.0))  # SD of two blurs: a hole is less in the first than in the second
_HOLE_RANKS: Final = (1, 50, 90, 99)
_PATCH_HU: Final = -600.0
_PATCH_MM: Final = 5.0  # radius: vessels beyond the hilum are thinner

AIR_NAMES: Final[tuple[str, ...]] = (
    *(f"soft_p{rank}" for rank in _RANKS),
    "soft_sd",
    "noise",
    *(f"below{low}" for low in _LOW_HU),
    *(f"soft_below{low}" for low in _LOW_HU),
    *(f"soft_p15_{third}" for third in THIRDS),
    *(f"soft_p50_{third}" for third in THIRDS),
    *(f"soft_below-930_{third}" for third in THIRDS),
    *(f"hole_{number}_p{rank}" for number in range(len(_HOLE_MM)) for rank in _HOLE_RANKS),
    *(f"hole_{number}_p99_{third}" for number in range(len(_HOLE_MM)) for third in THIRDS),
    *(f"haze_{low}" for low, _ in _HAZE_HU),
    "patch_ml",
    "patch_largest_ml",
    "patch_more_side",
)
"""Percentiles in HU, `below…` and `haze…` as parts of the lungs from 0 to 1, `noise` in HU."""


def air_of_lungs(sides: Sides) -> dict[str, float]:
    """Measure the lungs without their outermost voxels, which hold part of the wall."""
    inner = eroded(sides.both, 1)
    if not inner.any():
        inner = sides.both
    raw, soft = sides.near[inner], sides.soft[inner]
    found = {f"soft_p{rank}": value for rank, value in zip(_RANKS, _at(soft, _RANKS), strict=True)}
    apart = raw - soft
    found["soft_sd"] = float(soft.std(dtype=np.float64))
    found["noise"] = 1.4826 * float(np.median(np.abs(apart - np.median(apart))))
    for low in _LOW_HU:
        found[f"below{low}"] = float((raw < low).mean())
        found[f"soft_below{low}"] = float((soft < low).mean())
    for low, high in _HAZE_HU:
        found[f"haze_{low}"] = float(((soft >= low) & (soft < high)).mean())
    return found | _by_third(sides, inner) | _holes(sides, inner) | _patches(sides)


def _at(values: Float32, ranks: tuple[int, ...]) -> list[float]:
    """Return percentiles; 0 of nothing."""
    if not values.size:
        return [0.0] * len(ranks)
    told: Float64 = np.percentile(values, ranks)
    return [float(one) for one in told]


def _by_third(sides: Sides, inner: Bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for third, part in sides.thirds().items():
        values = sides.soft[part][inner[part]]
        found[f"soft_p15_{third}"], found[f"soft_p50_{third}"] = _at(values, (15, 50))
        found[f"soft_below-930_{third}"] = float((values < -930).mean()) if values.size else 0.0
    return found


def _holes(sides: Sides, inner: Bool) -> dict[str, float]:
    """Tell how much emptier small places are than what is around them, in HU."""
    found: dict[str, float] = {}
    flat: Float32 = np.minimum(sides.near, np.float32(_VESSEL_HU))
    for number, blurs in enumerate(_HOLE_MM):
        fine, wide = (ndimage.gaussian_filter(flat, mm / sides.mm, truncate=3.0) for mm in blurs)
        depth: Float32 = wide - fine
        told = _at(depth[inner], _HOLE_RANKS)
        found |= {f"hole_{number}_p{rank}": value for rank, value in zip(_HOLE_RANKS, told, strict=True)}
        for third, part in sides.thirds().items():
            (found[f"hole_{number}_p99_{third}"],) = _at(depth[part][inner[part]], (99,))
    return found


def _patches(sides: Sides) -> dict[str, float]:
    """Measure what is hazy or dense in the outline and thicker than vessels, in ml; and its worse side."""
    radius = _PATCH_MM / sides.mm
    dense: Bool = sides.both & (sides.soft > _PATCH_HU)
    patch = within(thick(dense, radius), radius) & dense
    _, counts = components(patch)
    right, left = (float((patch & side).sum()) * sides.voxel_ml for side in (sides.right, sides.left))
    return {
        "patch_ml": right + left,
        "patch_largest_ml": float(counts.max(initial=0)) * sides.voxel_ml,
        "patch_more_side": abs(right - left),
    }
