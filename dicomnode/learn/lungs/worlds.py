"""Coarse chests with their lungs: of nobody before any scanner, and real ones whose lungs are sure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.onto import onto
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.learn.drawn.kept import read_arrays, write_arrays
from dicomnode.learn.planted.backgrounds import Background, image_of, sure_lungs
from dicomnode.phantom.change import Disease
from dicomnode.phantom.disease import draw_diseases
from dicomnode.phantom.patients import World, bare_chest
from dicomnode.phantom.streams import stream
from dicomnode.values import Refusal, no_progress

UInt8 = NDArray[np.uint8]

SPACING_MM: Final = 4.0
"""Of all worlds, along all axes: what the engine prepares the network's input to."""
FORM: Final = 1
"""Goes up when a world would be another: what is kept of an earlier form is made again."""
RIGHT, LEFT = 1, 2

_FOLD: Final = 2  # drawn twice as fine, and averaged: a voxel of a coarse scan is an average
_MARGIN_MM: Final = 60.0  # around the lungs: the whole trunk, neck and upper belly
_LOWEST_HU, _HIGHEST_HU = -1024, 3071
# How often what classical code is wrong about is there, beside what a patient has anyway
_DENSE: Final[tuple[tuple[Disease, float], ...]] = (
    ("consolidation", 0.40),
    ("collapse", 0.35),
    ("effusion", 0.35),
)
DENSE_DISEASES: Final = tuple(name for name, _ in _DENSE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coarse:
    """A chest of 4 mm, (k, j, i) along the patient's axes (LPS).

    name: of one of nobody its seed, of a real one its Series Instance UID. hu: int16; of one of nobody before
    any scanner. sides: uint8, 0, 1 right lung, 2 left; consolidated and collapsed lung is lung, fluid is not.
    diseases: of one of nobody. is_real: whether it has been through a scanner.
    """

    name: str
    hu: NDArray[np.int16]
    sides: UInt8
    diseases: tuple[str, ...] = ()
    is_real: bool = False


def world_of(seed: int) -> Coarse:
    """Draw the patient of `seed`, with more of what has no air in it; equal seeds give equal worlds."""
    chances = stream(seed, "dense lungs").uniform(size=len(_DENSE))
    more = {name for (name, often), at in zip(_DENSE, chances, strict=True) if at < often}
    usual = {name for name in draw_diseases(seed) if name not in dict(_DENSE)}
    return coarse_chest(seed, tuple(sorted(more | usual)))


def coarse_chest(seed: int, diseases: tuple[Disease, ...] | None) -> Coarse:
    """Draw the patient of `seed` with these diseases; None: with those of the seed."""
    fine = SPACING_MM / _FOLD
    bare = bare_chest(seed, spacing_mm=fine, margin_mm=_MARGIN_MM, world=World(diseases=diseases))
    sides = np.zeros([size // _FOLD for size in bare.hu.shape], dtype=np.uint8)
    for side in (RIGHT, LEFT):
        sides[_averaged((bare.lungs == side).astype(np.float32)) > 0.5] = side
    return Coarse(
        name=str(seed), hu=_whole(_averaged(bare.hu)), sides=sides, diseases=tuple(map(str, bare.diseases))
    )


def real_world(background: Background) -> Coarse | Refusal:
    """Make the world of a real scan, lungs by the node's `lungs`; a refusal where they are not sure."""
    image = image_of(background)
    if isinstance(image, Refusal):
        return image
    anatomy = sure_lungs(background, image)
    if isinstance(anatomy, Refusal):
        return anatomy
    coarse = resample(image, (SPACING_MM,) * 3)
    sides = np.zeros(coarse.grid.shape_kji, dtype=np.uint8)
    for part in anatomy.parts:
        mask = Prepared(part.mask.astype(np.float32), anatomy.grid)
        sides[onto(mask, coarse.grid, 0.0, no_progress)[0] > 0.5] = RIGHT if part.side == "right" else LEFT
    return Coarse(name=background.uid, hu=_whole(np.asarray(coarse.voxels)), sides=sides, is_real=True)


def write_world(world: Coarse, path: Path) -> None:
    """Keep a world as one file, whole or not at all. Raises NodeError(RUN_NOT_WRITTEN)."""
    arrays: dict[str, NDArray[Any]] = {
        "hu": world.hu,
        "sides": world.sides,
        "name": np.array(world.name),
        "diseases": np.array(world.diseases, dtype=np.str_),
        "is_real": np.array(world.is_real),
    }
    write_arrays(path, arrays)


def open_world(path: Path) -> Coarse | None:
    """Read a world; None where there is none, or half of one."""
    kept = read_arrays(path)
    if kept is None or not {"hu", "sides", "name", "diseases", "is_real"} <= kept.keys():
        return None
    return Coarse(
        name=str(kept["name"]),
        hu=kept["hu"],
        sides=kept["sides"],
        diseases=tuple(str(one) for one in kept["diseases"]),
        is_real=bool(kept["is_real"]),
    )


def _averaged(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average blocks of voxels; what does not fill one at the end is left out."""
    k, j, i = (size // _FOLD for size in fine.shape)
    cut = fine[: k * _FOLD, : j * _FOLD, : i * _FOLD]
    mean: NDArray[np.float32] = cut.reshape(k, _FOLD, j, _FOLD, i, _FOLD).mean(axis=(1, 3, 5))
    return mean


def _whole(hu: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(np.clip(hu, _LOWEST_HU, _HIGHEST_HU)).astype(np.int16)
