"""What a network that has learned for a while takes for nodules where none were planted.

In a procedural world that is known to be wrong: there is nothing but what was drawn, and what a reader could
not tell from a nodule is ignored there. Patches are drawn around it more often then. In a real scan nobody
has said what is there: what the network finds again and again, however the scan is shifted by a few voxels,
may be a nodule that nobody has marked. It is ignored from then on: to teach the opposite would teach to miss.
What it finds in one position and not in the next is no lesion but a border case of the network's own grid:
that is drawn more often, as in procedural worlds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from dicomnode.analyse.grids import Float32
from dicomnode.engine import CentreHeat
from dicomnode.faults import RUN_DIFFERS, NodeError
from dicomnode.learn.planted.acquisition import draw_exposure, scanned
from dicomnode.learn.planted.batches import Mined, mined_bytes
from dicomnode.learn.planted.looking import MOST, Candidate, Run, by_torch, candidates_in, grid_of
from dicomnode.learn.planted.loss import MASK_LOGIT
from dicomnode.learn.planted.world import SPACING_MM, World, open_world
from dicomnode.values import Progress, no_progress

STAGE: Final = "looking for mistakes"
WRONG_FROM: Final = 0.15
"""Score from which on it counts."""

_SURE_FROM: Final = 0.3  # mean score of what may be a nodule of a real scan
_SHIFTS: Final = ((0, 0, 0), (1, 2, 1), (2, 1, 3))  # voxels
_SAME_MM: Final = 4.0
_HALO_MM: Final = 3.0
_USUAL_MM: Final = 8.0
_MINE: Final = 31  # what a generator is drawn for

LOOSE: Final = CentreHeat(
    stride=2,
    within_mm=3.75,
    heat_at_least=WRONG_FROM,
    threshold=WRONG_FROM,
    mask_logit=MASK_LOGIT,
    at_most=MOST,
)


def mine(
    network: nn.Module, worlds: Sequence[Path], seed: int, step: int, progress: Progress = no_progress
) -> bytes:
    """Run it over whole worlds; return what it mistook, by folder, as a file. NodeError(RUN_DIFFERS)."""
    run, found = by_torch(network), {}
    for number, folder in enumerate(worlds):
        world = open_world(folder)
        if world is None:
            raise NodeError(RUN_DIFFERS, run=folder.parent, what=f"its world {folder.name} is gone")
        rng = np.random.default_rng([seed, _MINE, step, number])
        found[folder.name] = mined_real(run, world) if world.is_real else mined_procedural(run, world, rng)
        progress(STAGE, number + 1, len(worlds))
    return mined_bytes(found)


def mined_procedural(run: Run, world: World, rng: np.random.Generator) -> Mined:
    """All that is found is wrong, unless it is to be ignored."""
    hu = scanned(world.hu.astype(np.float32), draw_exposure(rng), rng)
    at = [_index(one, world) for one in _found(run, world, hu)]
    wrong = [one for one in at if not _is_ignored(one, world)]
    return Mined(wrong=_rows(wrong, 3), ignored=_rows([], 4))


def mined_real(run: Run, world: World) -> Mined:
    """What stays where it is when the scan is shifted is ignored; what comes and goes is wrong."""
    hu = world.hu.astype(np.float32)
    seen: list[list[tuple[Float32, float, float]]] = []
    for shift in _SHIFTS:
        moved = np.pad(hu, [(n, 0) for n in shift], mode="edge")
        lungs = np.pad(world.lungs_in(_whole(world)), [(n, 0) for n in shift])
        found = candidates_in(run, moved, lungs, LOOSE)
        seen.append(
            [
                (_index(one, world) - np.array(shift, dtype=np.float32), one.score, _diameter_mm(one))
                for one in found
            ]
        )
    wrong, ignored = [], []
    for at, score, diameter in seen[0]:
        if _is_ignored(at, world):
            continue
        again = [_nearest(at, other) for other in seen[1:]]
        scores = [score, *(one for one in again if one is not None)]
        if len(scores) == len(_SHIFTS) and float(np.mean(scores)) >= _SURE_FROM:
            ignored.append([*at, (diameter / 2.0 + _HALO_MM) / SPACING_MM])
        else:
            wrong.append(at)
    return Mined(wrong=_rows(wrong, 3), ignored=_rows(ignored, 4))


def _found(run: Run, world: World, hu: Float32) -> list[Candidate]:
    return candidates_in(run, hu, world.lungs_in(_whole(world)), LOOSE)


def _whole(world: World) -> tuple[slice, slice, slice]:
    k, j, i = world.shape
    return slice(0, k), slice(0, j), slice(0, i)


def _index(one: Candidate, world: World) -> Float32:
    at: Float32 = grid_of(world.shape).to_index_kji(one.centre_lps_mm).astype(np.float32)
    return at


def _is_ignored(at: Float32, world: World) -> bool:
    return bool((((world.balls[:, :3] - at) ** 2).sum(axis=1) <= world.balls[:, 3] ** 2).any())


def _nearest(at: Float32, found: Sequence[tuple[Float32, float, float]]) -> float | None:
    """Return the score of the same place in another look, None where nothing is there."""
    near = [score for other, score, _ in found if np.linalg.norm((other - at) * SPACING_MM) <= _SAME_MM]
    return max(near, default=None)


def _diameter_mm(one: Candidate) -> float:
    if one.mask is None:
        return _USUAL_MM
    return float((6.0 * one.mask.count * SPACING_MM**3 / np.pi) ** (1.0 / 3.0))


def _rows(rows: Sequence[object], width: int) -> Float32:
    return np.array(rows, dtype=np.float32).reshape(-1, width)
