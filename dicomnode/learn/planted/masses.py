"""Masses: nodules as irregular as cancers are. A ball with a waving surface does not teach what they are.

A part of the large ones is of several knots, holds bubbles of air (pseudocavitation) or takes up contrast
medium (Hansell 2008, Radiology 246:697). Of training alone: phantoms, and what is judged, have none of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.learn.planted.world import SPACING_MM
from dicomnode.phantom.lumps import LEAST_MM, Lump, LumpPlan, draw_lump, draw_margin

FROM_MM: Final = 8.0
"""Smaller nodules stay as they are."""

_KNOTTED, _BUBBLED, _ENHANCED = 0.40, 0.25, 0.40  # of those
_KNOTS: Final = (1, 4)  # from, below
_KNOT_PART: Final = (0.35, 0.75)  # of the diameter
_KNOT_AWAY: Final = (0.25, 0.50)  # of the diameter, from middle to middle
_BUBBLES: Final = (1, 6)
_BUBBLE_MM: Final = (0.8, 2.4)  # radius
_BUBBLE_HU: Final = -900.0
_UPTAKE_HU: Final = (10.0, 80.0)
_TISSUE_HU: Final = -150.0  # what takes up contrast medium
_SPACING: Final = (SPACING_MM,) * 3


def draw_mass(lump: Lump, rng: np.random.Generator) -> Lump:
    """Return a nodule on a grid of 1.25 mm as it is, or as one of those."""
    if lump.plan.diameter_mm < FROM_MM:
        return lump
    if lump.plan.kind != "cavity" and rng.uniform() < _KNOTTED:
        lump = _knotted(lump, rng)
    if lump.plan.kind in {"solid", "part-solid"} and rng.uniform() < _BUBBLED:
        lump = _bubbled(lump, rng)
    if lump.plan.kind in {"solid", "part-solid", "cavity"} and rng.uniform() < _ENHANCED:
        more = float(rng.uniform(*_UPTAKE_HU))
        lump = replace(lump, hu=np.where(lump.hu > _TISSUE_HU, lump.hu + np.float32(more), lump.hu))
    return lump


def _knotted(lump: Lump, rng: np.random.Generator) -> Lump:
    """Add knots that grow out of it, of its own kind."""
    for _ in range(int(rng.integers(*_KNOTS))):
        across = lump.plan.diameter_mm * float(rng.uniform(*_KNOT_PART))
        if across < LEAST_MM[lump.plan.kind]:
            continue
        plan = LumpPlan(diameter_mm=across, kind=lump.plan.kind, margin=draw_margin(rng, across))
        knot = draw_lump(plan, _SPACING, rng)
        away = rng.standard_normal(3)
        away *= lump.plan.diameter_mm * float(rng.uniform(*_KNOT_AWAY)) / np.linalg.norm(away)
        lump = _joined(lump, knot, np.rint(away / SPACING_MM).astype(int))
    return lump


def _joined(lump: Lump, knot: Lump, away: NDArray[np.int_]) -> Lump:
    """Put `knot` into `lump`, its middle `away` voxels from that one's, in a box that holds both."""
    own = np.array(lump.cover.shape) // 2
    other = np.array(knot.cover.shape) // 2
    half = np.maximum(own, np.abs(away) + other)
    more = [(int(n), int(n)) for n in half - own]
    cover, hu = np.pad(lump.cover, more), np.pad(lump.hu, more, mode="edge")
    inside, air = np.pad(lump.inside, more), np.pad(lump.air, more)
    at = tuple(
        slice(int(n), int(n) + size) for n, size in zip(half + away - other, knot.cover.shape, strict=True)
    )
    hu[at] = np.where(knot.cover > cover[at], knot.hu, hu[at])
    cover[at] = np.maximum(cover[at], knot.cover)
    inside[at] |= knot.inside
    return Lump(lump.plan, cover, hu, inside, air)


def _bubbled(lump: Lump, rng: np.random.Generator) -> Lump:
    """Put bubbles of air into it; they belong to it."""
    places = np.argwhere(lump.inside)
    hu, air = lump.hu.copy(), lump.air.copy()
    axes = np.ogrid[0 : hu.shape[0], 0 : hu.shape[1], 0 : hu.shape[2]]
    for _ in range(int(rng.integers(*_BUBBLES))):
        middle = places[int(rng.integers(len(places)))] + rng.uniform(-0.5, 0.5, 3)
        radius = float(rng.uniform(*_BUBBLE_MM)) / SPACING_MM
        apart = np.sqrt(sum((axis - m) ** 2 for axis, m in zip(axes, middle, strict=True)))
        filled = (np.clip(0.5 + radius - apart, 0.0, 1.0) * lump.inside).astype(np.float32)
        hu += (np.float32(_BUBBLE_HU) - hu) * filled
        air |= filled > 0.5
    return replace(lump, hu=hu, air=air)
