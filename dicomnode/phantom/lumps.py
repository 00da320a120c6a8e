"""Nodules of the lung as shapes, from one generator for phantoms and for training.

A lump is drawn in a box of its own and then planted into any CT: `voxels` in HU and the lungs as booleans,
on the same grid. Its truth is exact by construction: a voxel belongs to the nodule when its centre lies
within the surface that is painted, on the lung's side of the pleura. The halo of ground glass belongs to it,
spicules do not. Sizes, kinds and forms after LIDC-IDRI (Armato 2011, Med Phys 38:915) and the Fleischner
Society's glossary (Hansell 2008, Radiology 246:697).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.phantom.lattice import Float32

Bool = NDArray[np.bool_]
Vectors = NDArray[np.float64]  # (…, 3): z, y, x in mm
Kind = Literal["solid", "part-solid", "ground glass", "calcified", "cavity"]
Margin = Literal["smooth", "lobulated", "spiculated"]

KINDS: Final[Mapping[Kind, float]] = MappingProxyType(
    {"solid": 0.66, "part-solid": 0.12, "ground glass": 0.12, "calcified": 0.08, "cavity": 0.02}
)
"""How often each kind is drawn where nobody says it."""
LEAST_MM: Final[Mapping[Kind, float]] = MappingProxyType(
    {"solid": 2.0, "part-solid": 6.0, "ground glass": 4.0, "calcified": 2.0, "cavity": 8.0}
)
"""Smaller ones of a kind cannot be told from solid ones, or not be seen at all."""

_LARGEST_MM: Final = 45.0
_WAVES: Final = 7
_WAVINESS: Final[Mapping[Margin, tuple[float, float]]] = MappingProxyType(
    {"smooth": (0.03, 0.05), "lobulated": (0.08, 0.16), "spiculated": (0.05, 0.10)}
)
_HEIGHTS: Final = (np.arange(400) + 0.5) / 200.0 - 1.0
_TURNS: Final = np.arange(400) * (np.pi * (3.0 - 5.0**0.5))  # the golden angle
_DIRECTIONS: Final = np.stack(
    [_HEIGHTS, np.sqrt(1 - _HEIGHTS**2) * np.cos(_TURNS), np.sqrt(1 - _HEIGHTS**2) * np.sin(_TURNS)], axis=-1
)
"""Unit vectors all around, evenly."""
_NEIGHBOURS: Final = np.ones((3, 3, 3), dtype=bool)
_SEEN_HU: Final = 60.0  # a voxel that the nodule changes by less shows nothing of it


@dataclass(frozen=True, slots=True, kw_only=True)
class LumpPlan:
    """A nodule that is wished for. diameter_mm: of the ball of its volume, 2 to 45."""

    diameter_mm: float
    kind: Kind = "solid"
    margin: Margin = "smooth"

    def __post_init__(self) -> None:
        if not 2.0 <= self.diameter_mm <= _LARGEST_MM:
            raise ValueError(f"LumpPlan.diameter_mm must be from 2 to {_LARGEST_MM}, got {self.diameter_mm}")


@dataclass(frozen=True, eq=False)
class Lump:
    """A nodule in a box of its own, whose middle voxel is where it is planted.

    cover: float32 (k, j, i), 0 to 1, part of each voxel that it fills, with spicules. hu: float32, what it
    fills them with. inside: bool, its truth. air: bool, its cavity, which is painted over what is there.
    """

    plan: LumpPlan
    cover: Float32
    hu: Float32
    inside: Bool
    air: Bool

    def blurred(self, sigma_kji: tuple[float, float, float]) -> Lump:
        """As a scanner would show it: for backgrounds that went through one. sigma_kji: in voxels."""
        cover = ndimage.gaussian_filter(self.cover, sigma_kji, mode="constant").astype(np.float32)
        hu = ndimage.gaussian_filter(self.hu, sigma_kji, mode="nearest").astype(np.float32)
        return replace(self, cover=cover, hu=hu)


@dataclass(frozen=True, eq=False)
class PlantedLump:
    """Where a lump ended up. at: the part of the grid; inside: bool, its truth there.

    kept: part of its volume that is in the lung and shows against what was there. Below a quarter it is
    hidden in the wall or in a vessel, and nobody can be asked to find it.
    """

    at: tuple[slice, slice, slice]
    inside: Bool
    kept: float


def draw_plan(
    rng: np.random.Generator, diameter_mm: float | None = None, kinds: Mapping[Kind, float] = KINDS
) -> LumpPlan:
    """Draw a nodule. diameter_mm: as given, or log-uniform from 3 to 30. kinds: their weights."""
    drawn = float(np.exp(rng.uniform(np.log(3.0), np.log(30.0))))
    diameter = drawn if diameter_mm is None else diameter_mm
    names = list(kinds)
    weights = np.array([kinds[name] if diameter >= LEAST_MM[name] else 0.0 for name in names])
    at = rng.uniform() * weights.sum()
    kind = names[int(np.searchsorted(np.cumsum(weights), at, side="right").clip(0, len(names) - 1))]
    return LumpPlan(
        diameter_mm=diameter, kind=kind if weights.sum() else "solid", margin=draw_margin(rng, diameter)
    )


def draw_margin(rng: np.random.Generator, diameter_mm: float) -> Margin:
    """Draw how a nodule's surface is: a quarter of those above 7 mm have spicules."""
    at = rng.uniform()
    if at < (0.25 if diameter_mm > 7.0 else 0.05):
        return "spiculated"
    return "lobulated" if at > 0.6 else "smooth"


def draw_lump(plan: LumpPlan, spacing_kji_mm: tuple[float, float, float], rng: np.random.Generator) -> Lump:
    """Draw a nodule on a grid of `spacing_kji_mm`; its centre lies anywhere within the middle voxel.

    Each voxel's cover follows from the distance of its centre to the surface. The same stream of random
    numbers gives the same nodule at every spacing and every diameter of one kind.
    """
    spacing = np.array(spacing_kji_mm)
    shift = rng.uniform(-0.5, 0.5, 3) * spacing
    width = float(spacing.mean())
    way = 1.05 if plan.margin == "spiculated" else 0.85
    half = np.ceil((plan.diameter_mm * way + 3.0 * width) / spacing).astype(int)
    axes = [np.arange(-n, n + 1) * step for n, step in zip(half, spacing, strict=True)]
    offsets: Vectors = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) - shift
    gap, waves = _gap(plan, offsets, rng)
    soft = width * (float(rng.uniform(1.0, 2.5)) if plan.kind == "ground glass" else 1.0)
    cover = np.clip(0.5 - gap / soft, 0.0, 1.0)
    hu, air = _filling(plan, offsets, (gap, waves, width), rng)
    if plan.margin == "spiculated":
        cover = np.maximum(cover, _spicules(plan.diameter_mm / 2, offsets, width, rng))
    return Lump(plan, cover.astype(np.float32), hu.astype(np.float32), gap < 0.0, air)


def _gap(plan: LumpPlan, offsets: Vectors, rng: np.random.Generator) -> tuple[Vectors, Vectors]:
    """Distance (first order) to the surface in mm, negative inside, and the waves on it, SD about 1.

    An ellipsoid of the planned volume, turned at random, whose radius waves with the direction.
    """
    stretch = np.array([1.0, rng.uniform(0.65, 1.0), rng.uniform(0.55, 1.0)])
    stretch /= stretch.prod() ** (1 / 3)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    scaled = (offsets @ turn) / stretch
    distance = np.maximum(np.linalg.norm(scaled, axis=-1), 1e-6)
    direction = scaled / distance[..., None]
    waved = [
        (rng.standard_normal(3) * rng.uniform(1.0, 3.2), rng.uniform(0.0, 2 * np.pi)) for _ in range(_WAVES)
    ]
    waves, everywhere = _waves(direction, waved), _waves(_DIRECTIONS, waved)
    high = float(rng.uniform(*_WAVINESS[plan.margin]))
    # Waves add volume, or take it, as they fall: the nodule keeps that of its ball.
    mean = float(((1.0 + high * everywhere) ** 3).mean()) ** (1 / 3)
    radius = plan.diameter_mm / 2 * (1.0 + high * waves) / mean
    # Along a short axis the scaled distance grows faster than the way in mm.
    slope = np.maximum(np.linalg.norm(direction / stretch, axis=-1), 1e-6)
    return (distance - radius) / slope, waves


def _waves(direction: Vectors, waved: list[tuple[Vectors, float]]) -> Vectors:
    """The sum of some waves in unit vectors (…, 3), SD about 1."""
    total = np.zeros(direction.shape[:-1])
    for wave, phase in waved:
        total += np.sin(direction @ wave + phase)
    total *= (2.0 / _WAVES) ** 0.5
    return total


def _filling(
    plan: LumpPlan, offsets: Vectors, form: tuple[Vectors, Vectors, float], rng: np.random.Generator
) -> tuple[Vectors, Bool]:
    """HU of each voxel that the nodule fills, and where its cavity is."""
    gap, waves, width = form
    radius = plan.diameter_mm / 2
    grain = _grain(offsets, max(2.0, plan.diameter_mm / 4), rng)
    soft = rng.uniform(0.0, 60.0) + 10.0 * grain
    none = np.zeros(gap.shape, dtype=bool)
    part = float(rng.uniform(0.4, 0.75))
    aside = rng.standard_normal(3) * plan.diameter_mm * 0.06
    inner = np.linalg.norm(offsets - aside, axis=-1) - radius * part * (1.0 + 0.08 * waves)
    core = np.clip(0.5 - inner / width, 0.0, 1.0)
    glass = rng.uniform(-720.0, -520.0) + 40.0 * grain
    if plan.kind == "solid":
        return soft, none
    if plan.kind == "ground glass":
        return glass, none
    if plan.kind == "part-solid":
        return glass * (1.0 - core) + soft * core, none
    if plan.kind == "calcified":
        lime = rng.uniform(250.0, 900.0) * (1.0 + 0.1 * grain)
        # Diffuse, or as a dense core in soft tissue; small ones are dense throughout.
        return (
            (lime, none) if rng.uniform() < 0.6 or radius < 4.0 else (soft * (1 - core) + lime * core, none)
        )
    air = rng.uniform(-980.0, -900.0)
    return soft * (1.0 - core) + air * core, core > 0.0


def _grain(offsets: Vectors, scale_mm: float, rng: np.random.Generator) -> Vectors:
    """Random structure of about `scale_mm`, SD about 1: no tissue is of one density."""
    grain = np.zeros(offsets.shape[:-1])
    for _ in range(_WAVES):
        wave = rng.standard_normal(3) * (1.6 / scale_mm)
        grain += np.sin(offsets @ wave + rng.uniform(0.0, 2 * np.pi))
    grain *= (2.0 / _WAVES) ** 0.5
    return grain


def _spicules(radius: float, offsets: Vectors, width: float, rng: np.random.Generator) -> Vectors:
    """Cover by 4 to 16 rays that taper from the middle to beyond the surface."""
    cover = np.zeros(offsets.shape[:-1])
    squares = (offsets**2).sum(axis=-1)
    for _ in range(int(rng.integers(4, 17))):
        ray = rng.standard_normal(3)
        ray /= np.linalg.norm(ray)
        length, thick = radius * rng.uniform(1.3, 1.9), rng.uniform(0.7, 1.4)
        along = offsets @ ray
        reached = np.clip(along, 0.0, length)
        away = np.sqrt(np.maximum(squares - 2.0 * reached * along + reached**2, 0.0))
        thin = np.maximum(thick * (1.0 - reached / length), 0.2)
        drawn = np.maximum(thin, 0.5 * width)  # as strokes are: no gap between voxels, and no more mass
        np.maximum(cover, np.clip((drawn - away) / width + 0.5, 0.0, 1.0) * (thin / drawn) ** 2, out=cover)
    return cover


def plant_lump(voxels: Float32, lungs: Bool, lump: Lump, at_kji: tuple[int, int, int]) -> PlantedLump:
    """Paint a nodule into `voxels` (k, j, i) HU, its middle at the voxel `at_kji`, and tell its truth.

    lungs: bool, of the same shape. It grows in the lung and up to the wall, and never thins what is denser;
    only its cavity is painted over what is there. What lies outside the volume is cut off.
    """
    half = [n // 2 for n in lump.cover.shape]
    low = [max(at - n, 0) for at, n in zip(at_kji, half, strict=True)]
    high = [min(at + n + 1, size) for at, n, size in zip(at_kji, half, voxels.shape, strict=True)]
    cut = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return PlantedLump(cut, np.zeros((0, 0, 0), dtype=bool), 0.0)
    own = tuple(
        slice(lo - at + n, hi - at + n) for lo, hi, at, n in zip(low, high, at_kji, half, strict=True)
    )
    # A voxel that is half wall is no lung, but air must not stay between the wall and the nodule.
    beside = ndimage.binary_dilation(lungs[cut], _NEIGHBOURS)
    there = voxels[cut]
    gain = lump.hu[own] - there
    np.maximum(gain, 0.0, out=gain, where=~lump.air[own])
    gain *= lump.cover[own] * beside
    there += gain
    inside = lump.inside[own] & lungs[cut]
    shown = inside & (np.abs(gain) > _SEEN_HU)
    shown |= inside & lump.air[own]
    return PlantedLump(cut, inside, float(shown.sum()) / max(int(lump.inside.sum()), 1))
