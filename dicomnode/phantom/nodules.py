"""Nodules planted into the lungs, with their truth.

The truth is exact by construction: a voxel belongs to the nodule when its centre lies within the surface
that is painted; volume, diameter and centre are those of this set of voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.phantom.lattice import Field, Float32, Lattice, Point
from dicomnode.phantom.trees import Ball
from dicomnode.values import Grid, Mask, PointLps

_PLEURA_MM: Final = 7.0  # a free nodule keeps at least this distance from the pleura
_HILUM_MM: Final = 38.0  # and this one from the hilum
_APART_MM: Final = 45.0  # two nodules


@dataclass(frozen=True, eq=False)
class PlantedNodule:
    """A nodule that is known to be there.

    label: "nodule-1" … . centre_lps_mm: centroid of the mask. diameter_mm: of the ball of the same volume.
    volume_mm3: voxels of the mask × volume of a voxel. kind: "solid", "part-solid" … (lumps.Kind). side:
    "right" or "left" of the patient. mask: on the phantom's grid. ignore: True takes it out of an evaluation.
    place: "free" or what it touches (places.Place). margin: of its surface (lumps.Margin).
    """

    label: str
    centre_lps_mm: PointLps
    diameter_mm: float
    volume_mm3: float
    kind: str
    side: str
    mask: Mask
    ignore: bool = False
    place: str = "free"
    margin: str = "smooth"


@dataclass(frozen=True)
class Plan:
    """A nodule to be planted: where (z, y, x in LPS mm), how large and of which kind."""

    centre_mm: Point
    diameter_mm: float
    kind: str
    side: str

    @property
    def ball(self) -> Ball:
        """What vessels keep out of."""
        return Ball(self.centre_mm, self.diameter_mm / 2)


def plan_nodules(
    lattice: Lattice, lungs: Field, hila: tuple[Point, Point], rng: np.random.Generator
) -> list[Plan]:
    """Choose two to four nodules: a solid one free in each lung, then others.

    hila: right and left.
    """
    wanted = [("right", rng.uniform(13.0, 17.0), "solid"), ("left", rng.uniform(10.5, 13.5), "solid")]
    if rng.uniform() < 0.7:
        wanted.append(("left", rng.uniform(15.0, 21.0), "solid"))
    if rng.uniform() < 0.4:
        wanted.append(("right", rng.uniform(9.0, 12.0), "part-solid"))
    depth = ndimage.distance_transform_edt(lungs < 0.0, sampling=lattice.step_mm)
    plans: list[Plan] = []
    for side, diameter, kind in wanted:
        sign = -1.0 if side == "right" else 1.0
        free = (depth > diameter / 2 + _PLEURA_MM) & (lattice.x * sign > 0)
        hilum = hila[0] if side == "right" else hila[1]
        for centre, away in [(hilum, _HILUM_MM), *((plan.centre_mm, _APART_MM) for plan in plans)]:
            free &= _distance(lattice, centre) > away
        places = np.argwhere(free)
        if not len(places):
            continue
        at = places[rng.integers(len(places))] * lattice.step_mm + np.array(lattice.origin_zyx_mm)
        plans.append(Plan((float(at[0]), float(at[1]), float(at[2])), float(diameter), kind, side))
    return plans


def _distance(lattice: Lattice, point: Point) -> Float32:
    squares = (lattice.z - point[0]) ** 2 + (lattice.y - point[1]) ** 2 + (lattice.x - point[2]) ** 2
    away: Float32 = np.sqrt(squares)
    return away


def plant(voxels: Float32, grid: Grid, plan: Plan, label: str, rng: np.random.Generator) -> PlantedNodule:
    """Paint one nodule into `voxels` (k, j, i) HU and tell its truth."""
    cut, offsets = _around(grid, plan)
    surface, distance = _surface(plan, offsets, rng)
    width = float(np.mean(grid.spacing_kji_mm))
    cover = np.clip((surface - distance) / width + 0.5, 0.0, 1.0).astype(np.float32)
    density: Float32 | np.float32 = np.float32(rng.uniform(10.0, 60.0))
    if plan.kind == "part-solid":
        core = np.clip((0.55 * surface - distance) / width + 0.5, 0.0, 1.0)
        density = (np.float32(rng.uniform(-640.0, -540.0)) * (1 - core) + density * core).astype(np.float32)
    there = voxels[cut]
    there += np.maximum(density - there, 0.0) * cover
    inside = distance < surface
    mask = Mask.from_crop(inside, grid.shape_kji, (cut[0].start, cut[1].start, cut[2].start))
    volume = mask.count * grid.voxel_mm3
    middle = np.argwhere(inside).mean(axis=0) + [part.start for part in cut]
    x, y, z = grid.to_lps_mm(middle).tolist()
    diameter = (6.0 * volume / np.pi) ** (1 / 3)
    return PlantedNodule(label, (x, y, z), diameter, volume, plan.kind, plan.side, mask)


def _around(grid: Grid, plan: Plan) -> tuple[tuple[slice, slice, slice], NDArray[np.float64]]:
    """The part of the grid around the nodule, and there the way from its centre in mm, (k, j, i, 3)."""
    centre = grid.to_index_kji(plan.centre_mm[::-1])
    reach = (plan.diameter_mm * 0.8 + 2.0) / np.array(grid.spacing_kji_mm)
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, grid.shape_kji).astype(int)
    spans = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    index = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1
    )
    offsets: NDArray[np.float64] = grid.to_lps_mm(index) - plan.centre_mm[::-1]
    return (spans[0], spans[1], spans[2]), offsets


def _surface(
    plan: Plan, offsets: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radius of the surface in the direction of each offset, and each one's distance from the centre.

    A ball, stretched along three axes and lobed by a few waves, of the volume of the planned ball.
    """
    stretch = np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.75, 1.0)])
    stretch /= stretch.prod() ** (1 / 3)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    turned = (offsets @ turn) / stretch
    distance = np.maximum(np.linalg.norm(turned, axis=-1), 1e-6)
    direction = turned / distance[..., None]
    waves = np.zeros(distance.shape)
    for _ in range(6):
        waves += np.sin(
            direction @ (rng.standard_normal(3) * rng.uniform(1.0, 3.0)) + rng.uniform(0.0, 2 * np.pi)
        )
    surface = plan.diameter_mm / 2 * (1.0 + 0.05 * waves / 6**0.5)
    return surface, distance
