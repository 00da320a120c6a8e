"""What a network sees: a part of a world, with nodules planted into it and then scanned.

Each patch is drawn from (seed, number) alone: however many processes draw them, and wherever a training
stopped and went on, the same number gives the same patch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.learn.planted.acquisition import MARGIN, draw_exposure, rescanned, scanned
from dicomnode.learn.planted.grain import as_scanned
from dicomnode.learn.planted.masses import draw_mass
from dicomnode.learn.planted.slabs import OFTEN, cut_off
from dicomnode.learn.planted.targets import Cells, Centre, cells_of
from dicomnode.learn.planted.world import SPACING_MM, World
from dicomnode.phantom.lumps import Kind, PlantedLump, draw_lump, draw_plan, plant_lump

SIDE: Final = 48
"""Voxels of a patch along each axis: 60 mm."""

KINDS: Final[Mapping[Kind, float]] = MappingProxyType(
    {"solid": 0.52, "part-solid": 0.14, "ground glass": 0.22, "calcified": 0.08, "cavity": 0.04}
)
"""How often each kind is planted. Ground glass more often than it occurs: the first version missed it."""

SIZES_MM: Final = ((0.50, 3.0, 8.0), (0.30, 6.0, 16.0), (0.20, 12.0, 40.0))
"""How often, and from where to where (log-uniform). Small ones more often, since those were missed."""

HIDDEN: Final = 0.25
"""A planted nodule that keeps less of its volume is not to be found, and no background either."""

_CENTRES: Final = (("lung", 0.40), ("pleura", 0.25), ("vessel", 0.27))  # of patches; the rest lies anywhere
_COUNTS: Final = (0.22, 0.33, 0.25, 0.13, 0.07)  # of 0 to 4 nodules
_AT_PLEURA, _AT_VESSEL = 0.30, 0.15  # of nodules
_MINED: Final = 0.30  # of patches, where there is anything that was mistaken for a nodule
_BEYOND: Final = 2  # voxels around what is seen in which centres lie, too: some nodules are cut by the edge
_APART_MM: Final = 3.0  # between the surfaces of two nodules
_OUTSIDE_HU: Final = -1000.0
_PATCH: Final = 21  # what a generator is drawn for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """A world with what was learned of it. wrong: float32 (n, 3), index of what was mistaken for a nodule."""

    world: World
    wrong: Float32 = field(default_factory=lambda: np.zeros((0, 3), dtype=np.float32))

    def with_ignored(self, balls: Float32) -> Ground:
        """Return it with more places that are neither nodule nor none, (n, 4) as of `World`."""
        if not len(balls):
            return self
        every = np.concatenate([self.world.balls, balls]).astype(np.float32)
        return replace(self, world=replace(self.world, balls=every))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """hu: float32 (48, 48, 48). mask, ignore: uint8 of its voxels. cells: of two voxels each."""

    hu: Float32
    mask: NDArray[np.uint8]
    ignore: NDArray[np.uint8]
    cells: Cells


def draw_patch(grounds: Sequence[Ground], seed: int, number: int) -> Patch:
    """Draw the patch of a number. Of the real worlds each comes as often, and so does each of the others."""
    rng = np.random.default_rng([seed, _PATCH, number])
    ground = _one_of(grounds, rng)
    world, side = ground.world, SIDE + 2 * MARGIN
    corner = _corner(ground, side, rng)
    hu, lungs = _cut(world, corner, side)
    ignore = _ignored(world, corner, side)
    mask, centres = _planted(hu, lungs, ignore, world, rng)
    shown = rescanned(hu, rng) if world.is_real else scanned(hu, draw_exposure(rng), rng)
    inner = (slice(MARGIN, MARGIN + SIDE),) * 3
    within = [replace(one, at=_less(one.at, MARGIN)) for one in centres]
    shown, mask, ignore = shown[inner].copy(), mask[inner].copy(), ignore[inner].copy()
    if rng.uniform() < OFTEN:
        within = cut_off(shown, mask, ignore, within, rng)
    cells = cells_of((SIDE, SIDE, SIDE), within)
    fine: list[NDArray[Any]] = [shown, mask.astype(np.uint8), ignore.astype(np.uint8)]
    fine, coarse = _turned(fine, [cells.heat, cells.size, cells.sized], rng)
    return Patch(hu=fine[0], mask=fine[1], ignore=fine[2], cells=Cells(*coarse))


def _less(at: tuple[float, float, float], by: int) -> tuple[float, float, float]:
    k, j, i = at
    return k - by, j - by, i - by


def real_part(count: int) -> float:
    """Say how many of the patches lie in `count` real worlds: with more of them more, but half at most.

    One scan that is seen ten thousand times is known by heart, and what is new to it is called a nodule.
    """
    return 0.5 * count / (count + 1)


def _one_of(grounds: Sequence[Ground], rng: np.random.Generator) -> Ground:
    real = [one for one in grounds if one.world.is_real]
    drawn = [one for one in grounds if not one.world.is_real]
    some = real if real and (not drawn or rng.uniform() < real_part(len(real))) else drawn
    return some[int(rng.integers(len(some)))]


def _corner(ground: Ground, side: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw where a patch begins; it may reach beyond the world by its margin."""
    world = ground.world
    if len(ground.wrong) and rng.uniform() < _MINED:
        middle = ground.wrong[int(rng.integers(len(ground.wrong)))]
        reach = SIDE // 4
    else:
        middle, reach = _middle(world, rng), side // 4
    low = np.rint(middle).astype(np.intp) - side // 2 + rng.integers(-reach, reach + 1, 3)
    last = np.array(world.shape) + MARGIN - side
    corner: NDArray[np.intp] = low.clip(-MARGIN, np.maximum(last, -MARGIN))
    return corner


def _middle(world: World, rng: np.random.Generator) -> NDArray[np.floating]:
    at = rng.uniform()
    for kind, part in _CENTRES:
        at -= part
        if at < 0:
            places = world.places[kind] if len(world.places[kind]) else world.places["lung"]
            place: NDArray[np.float64] = places[int(rng.integers(len(places)))].astype(np.float64)
            return place
    return rng.uniform(0.0, world.shape)


def _cut(world: World, corner: NDArray[np.intp], side: int) -> tuple[Float32, Bool]:
    """Cut HU and lungs; beyond the world there is air."""
    box = tuple(
        slice(max(int(low), 0), min(int(low) + side, size))
        for low, size in zip(corner, world.shape, strict=True)
    )
    hu = np.full((side,) * 3, _OUTSIDE_HU, dtype=np.float32)
    lungs = np.zeros((side,) * 3, dtype=bool)
    there = tuple(slice(b.start - int(low), b.stop - int(low)) for b, low in zip(box, corner, strict=True))
    k, j, i = box
    hu[there] = world.hu[k, j, i]
    lungs[there] = world.lungs_in((k, j, i))
    return hu, lungs


def _ignored(world: World, corner: NDArray[np.intp], side: int) -> Bool:
    """Mark the balls of a world that reach into a patch."""
    ignore = np.zeros((side,) * 3, dtype=bool)
    axes = np.ogrid[0:side, 0:side, 0:side]
    for ball in world.balls:
        at, radius = ball[:3] - corner, float(ball[3])
        if (at > -radius).all() and (at < side + radius).all():
            ignore |= sum((axis - m) ** 2 for axis, m in zip(axes, at, strict=True)) <= radius**2
    return ignore


def draw_diameter_mm(rng: np.random.Generator) -> float:
    """Draw how large a nodule is."""
    row = SIZES_MM[int(rng.choice(len(SIZES_MM), p=[part for part, _, _ in SIZES_MM]))]
    return float(np.exp(rng.uniform(np.log(row[1]), np.log(row[2]))))


def _planted(
    hu: Float32, lungs: Bool, ignore: Bool, world: World, rng: np.random.Generator
) -> tuple[Bool, list[Centre]]:
    """Plant nodules into `hu`; what is hidden is marked in `ignore`. Returns their mask and centres."""
    mask = np.zeros(hu.shape, dtype=bool)
    centres: list[Centre] = []
    low, high = MARGIN - _BEYOND, hu.shape[0] - MARGIN + _BEYOND
    seen = (slice(low, high),) * 3
    spots = {kind: some + low for kind, some in seats(hu[seen], lungs[seen]).items()}
    if not len(spots["lung"]):
        return mask, centres
    for _ in range(int(rng.choice(len(_COUNTS), p=_COUNTS))):
        plan = draw_plan(rng, draw_diameter_mm(rng), KINDS)
        seat = draw_seat(spots, rng)
        too_near = any(
            np.linalg.norm((np.array(one.at) - seat) * SPACING_MM)
            < (one.diameter_mm + plan.diameter_mm) / 2.0 + _APART_MM
            for one in centres
        )
        lump = draw_mass(draw_lump(plan, (SPACING_MM,) * 3, rng), rng)
        if too_near or ignore[tuple(seat)]:
            continue
        if world.is_real:
            lump = as_scanned(lump, world.sigma_kji, world.noise_hu, rng)
        planted = plant_lump(hu, lungs, lump, (int(seat[0]), int(seat[1]), int(seat[2])))
        if planted.kept < HIDDEN:
            ignore[planted.at] |= ndimage.binary_dilation(planted.inside, iterations=2)
            continue
        mask[planted.at] |= planted.inside
        centres.append(centre_of(planted))
    return mask, centres


def centre_of(planted: PlantedLump) -> Centre:
    """Return the middle of a planted nodule, and the diameter of the ball of its volume."""
    k, j, i = np.argwhere(planted.inside).mean(axis=0) + [part.start for part in planted.at]
    volume = int(planted.inside.sum()) * SPACING_MM**3
    return Centre(at=(float(k), float(j), float(i)), diameter_mm=float((6.0 * volume / np.pi) ** (1.0 / 3.0)))


def seats(hu: Float32, lungs: Bool) -> Mapping[str, NDArray[np.intp]]:
    """Return where nodules may lie, (n, 3) each: in the lung, at the pleura, on vessels."""
    rim = lungs & ~ndimage.binary_erosion(lungs, iterations=2, border_value=1)
    kinds = {"lung": lungs, "pleura": rim, "vessel": lungs & ~rim & (hu > -300.0)}
    return {kind: np.argwhere(some) for kind, some in kinds.items()}


def draw_seat(spots: Mapping[str, NDArray[np.intp]], rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw one: at the pleura, on a vessel, else anywhere in the lung."""
    at = rng.uniform()
    kind = "pleura" if at < _AT_PLEURA else "vessel" if at < _AT_PLEURA + _AT_VESSEL else "lung"
    some = spots[kind] if len(spots[kind]) else spots["lung"]
    spot: NDArray[np.intp] = some[int(rng.integers(len(some)))]
    return spot


def _turned(
    voxels: list[NDArray[Any]], cells: list[NDArray[Any]], rng: np.random.Generator
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Mirror along each axis, and turn j and i, half of the times: patches have no side that is known."""
    arrays = [*voxels, *cells]
    for axis in range(3):
        if rng.uniform() < 0.5:
            arrays = [np.flip(one, axis) for one in arrays]
    if rng.uniform() < 0.5:
        arrays = [one.transpose(0, 2, 1) for one in arrays]
    whole = [np.ascontiguousarray(one) for one in arrays]
    return whole[: len(voxels)], whole[len(voxels) :]
