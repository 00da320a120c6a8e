"""Where a nodule may lie: free, at the pleura, on a vessel, at the hilum; and how it gets its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.phantom.change import Site
from dicomnode.phantom.lattice import Field, Float32, Point
from dicomnode.phantom.lumps import Kind, LumpPlan, Margin, PlantedLump, draw_lump, plant_lump
from dicomnode.phantom.surfaces import at_depth
from dicomnode.phantom.trees import Points
from dicomnode.values import Grid

Bool = NDArray[np.bool_]
Place = Literal["free", "pleura", "vessel", "hilum"]

PLACES: Final[tuple[Place, ...]] = ("free", "pleura", "vessel", "hilum")
HIDDEN: Final = 0.25
"""A nodule that keeps less of its volume is not to be found: nobody sees it in the wall or in a vessel."""

_FREE_MM: Final = 4.0  # between a free nodule and the pleura
_CLEAR_MM: Final = 1.5  # and a vessel that is thicker than _THIN_MM
_THIN_MM: Final = 1.1
_HILUM_MM: Final = (14.0, 36.0)  # from the middle of the hilum
_APART_MM: Final = 10.0  # between two nodules
_TRIALS: Final = 40
_SEATS: Final = 12  # places that are tried in earnest
_KEPT: Final = 0.6  # what a nodule keeps of its volume where it is to be seen
_DENSE_HU: Final = -300.0
_MOST_DENSE: Final = 0.15  # part of the lung around a nodule: its vessels, but no consolidation
_NEAR: Final = 0.04  # part of the diameter by which it may miss the one wished for


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A nodule that is wished for: of the diameter that it has in the lung, in mm."""

    diameter_mm: float
    kind: Kind = "solid"
    place: Place = "free"
    margin: Margin = "smooth"


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """What nodules are planted into.

    hu, lungs: (k, j, i), noise-free HU, and 0, 1 right, 2 left. grid: where they lie. site: the patient in
    the model's heights, of which `stretch` times are the grid's. vessels: (n, 3) and their radii in mm.
    """

    hu: Float32
    lungs: NDArray[np.uint8]
    grid: Grid
    site: Site
    vessels: Points
    radii_mm: NDArray[np.float64]

    def voxel(self, point: Point) -> tuple[int, int, int]:
        """The voxel of a point (z, y, x) in the model's heights."""
        z, y, x = point
        k, j, i = np.rint(self.grid.to_index_kji((x, y, z * self.site.patient.stretch))).astype(int)
        return int(k), int(j), int(i)


@dataclass(frozen=True, eq=False)
class Seated:
    """A nodule in its place. centre_mm: z, y, x in the model's heights; diameter_mm: what it has."""

    wish: Wish
    centre_mm: Point
    lump: PlantedLump
    diameter_mm: float


class Seats:
    """Finds places in one patient, one after the other, apart from each other."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._lattice = ground.site.lattice
        lungs: Field = ground.site.lungs
        self._depth = ndimage.distance_transform_edt(lungs < 0.0, sampling=self._lattice.step_mm)
        hila = (ground.site.chest.hilum_right, ground.site.chest.hilum_left)
        self._from_hilum = np.minimum(*(self._away(hilum) for hilum in hila))
        self._taken: list[tuple[Point, float]] = []

    def _away(self, point: Point) -> Float32:
        lattice = self._lattice
        squares = (lattice.z - point[0]) ** 2 + (lattice.y - point[1]) ** 2 + (lattice.x - point[2]) ** 2
        away: Float32 = np.sqrt(squares)
        return away

    def seat(self, wish: Wish, number: int, stream: np.random.Generator) -> Seated | None:
        """Plant a nodule where it can be seen; None where no place of its kind is left."""
        tried = 0
        for _ in range(_TRIALS):
            centre = self._draw(wish, stream)
            if centre is None or tried >= _SEATS:
                return None
            if not self._is_aerated(centre, wish.diameter_mm / 2):
                continue
            tried += 1
            seated = _fitted(self._ground, wish, centre, (number, int(stream.integers(1 << 30))))
            if seated is not None:
                self._taken.append((centre, wish.diameter_mm / 2))
                return seated
        return None

    def _draw(self, wish: Wish, rng: np.random.Generator) -> Point | None:
        """Draw a place for the middle of a nodule."""
        radius = wish.diameter_mm / 2
        if wish.place == "vessel":
            return self._beside_a_vessel(radius, rng)
        if wish.place == "pleura":
            there = (self._depth > 0.0) & (self._depth < 7.0) & (self._from_hilum > _HILUM_MM[1] + radius)
        elif wish.place == "hilum":
            low, high = _HILUM_MM
            there = (
                (self._from_hilum > low) & (self._from_hilum < high + radius) & (self._depth > 0.5 * radius)
            )
        else:
            there = (self._depth > radius + _FREE_MM) & (self._from_hilum > _HILUM_MM[1])
        for centre, other in self._taken:
            there &= self._away(centre) > radius + other + _APART_MM
        places = np.argwhere(there)
        if not len(places):
            return None
        at = places[rng.integers(len(places))] + rng.uniform(-0.5, 0.5, 3)
        z, y, x = at * self._lattice.step_mm + np.array(self._lattice.origin_zyx_mm)
        point = (float(z), float(y), float(x))
        if wish.place == "pleura":
            depth = radius * float(rng.uniform(0.35, 0.85))
            return at_depth(self._ground.site.lungs, self._lattice, point, depth)
        if wish.place == "free":
            return self._clear_of_vessels(point, radius)
        return point

    def _clear_of_vessels(self, point: Point, radius: float) -> Point:
        """Push a place away from the nearest thick vessel, if it is too near."""
        thick = self._ground.radii_mm > _THIN_MM
        ways = np.array(point) - self._ground.vessels[thick]
        gaps = np.linalg.norm(ways, axis=1) - self._ground.radii_mm[thick] - radius - _CLEAR_MM
        if not len(gaps) or gaps.min() >= 0.0:
            return point
        way = ways[gaps.argmin()]
        z, y, x = np.array(point) - gaps.min() * way / max(float(np.linalg.norm(way)), 1e-3)
        return float(z), float(y), float(x)

    def _beside_a_vessel(self, radius: float, rng: np.random.Generator) -> Point | None:
        vessels, radii = self._ground.vessels, self._ground.radii_mm
        fit = (radii > 0.8) & (radii < min(max(1.2, 0.6 * radius), 3.0))
        index = np.rint((vessels - np.array(self._lattice.origin_zyx_mm)) / self._lattice.step_mm).astype(int)
        index = index.clip(0, np.array(self._lattice.shape_zyx) - 1)
        k, j, i = index.T
        fit &= (self._depth[k, j, i] > radius + 2.0) & (self._from_hilum[k, j, i] > _HILUM_MM[1])
        for centre, other in self._taken:
            fit &= np.linalg.norm(vessels - np.array(centre), axis=1) > radius + other + _APART_MM
        chosen = np.flatnonzero(fit)
        if not len(chosen):
            return None
        node = int(chosen[rng.integers(len(chosen))])
        way = rng.standard_normal(3)
        way *= (radii[node] + rng.uniform(0.2, 0.85) * radius) / max(float(np.linalg.norm(way)), 1e-6)
        z, y, x = vessels[node] + way
        return float(z), float(y), float(x)

    def _is_aerated(self, centre: Point, radius: float) -> bool:
        """Whether there is air around: a nodule in consolidated lung is seen by nobody."""
        ground = self._ground
        spacing = np.array(ground.grid.spacing_kji_mm)
        middle, reach = np.array(ground.voxel(centre)), np.ceil((radius + 4.0) / spacing).astype(int)
        low = np.maximum(middle - reach, 0)
        cut = tuple(slice(a, b) for a, b in zip(low, middle + reach + 1, strict=True))
        lungs = ground.lungs[cut] > 0
        return bool(lungs.any()) and float((ground.hu[cut][lungs] > _DENSE_HU).mean()) < _MOST_DENSE


def _fitted(ground: Ground, wish: Wish, centre: Point, seed: Sequence[int]) -> Seated | None:
    """Plant a nodule that has the diameter wished for; None where it cannot be seen there.

    The wall cuts a part off, so it is planted larger until what is left has the size.
    """
    at = ground.voxel(centre)
    spacing = ground.grid.spacing_kji_mm
    volume = float(np.prod(spacing))
    planned = wish.diameter_mm
    reach = [int(np.ceil((wish.diameter_mm * 1.5 + 8.0) / step)) for step in spacing]
    low = [max(a - n, 0) for a, n in zip(at, reach, strict=True)]
    cut = tuple(slice(lo, a + n + 1) for lo, a, n in zip(low, at, reach, strict=True))
    lungs = ground.lungs[cut] > 0
    own = (at[0] - low[0], at[1] - low[1], at[2] - low[2])
    for _ in range(5):
        plan = LumpPlan(diameter_mm=planned, kind=wish.kind, margin=wish.margin)
        lump = draw_lump(plan, spacing, np.random.default_rng(tuple(seed)))
        hu = ground.hu[cut].copy()
        planted = plant_lump(hu, lungs, lump, own)
        count = int(planted.inside.sum())
        if not count or planted.kept < (HIDDEN if wish.place == "pleura" else _KEPT):
            return None
        diameter = (6.0 * count * volume / np.pi) ** (1 / 3)
        near = abs(diameter / wish.diameter_mm - 1.0) < max(_NEAR, 0.2 * volume / wish.diameter_mm**3)
        if near:
            ground.hu[cut] = hu
            at_grid = tuple(
                slice(part.start + lo, part.stop + lo) for part, lo in zip(planted.at, low, strict=True)
            )
            planted = PlantedLump((at_grid[0], at_grid[1], at_grid[2]), planted.inside, planted.kept)
            return Seated(wish, centre, planted, diameter)
        planned = float(np.clip(planned * wish.diameter_mm / diameter, 2.0, 1.5 * wish.diameter_mm))
    return None
