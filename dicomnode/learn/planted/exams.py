"""Whole worlds with nodules in them, whose truth is known: what a network is calibrated and judged on.

Their patients are never trained on. Sizes are spread over the strata in which figures are printed; kinds and
places come as often as in the training, so that there are enough of the rare ones to be counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Float32
from dicomnode.engine import CentreHeat
from dicomnode.evaluate import StudyOutcome, match_candidates, study_outcome, volume_error
from dicomnode.learn.planted.acquisition import draw_exposure, scanned
from dicomnode.learn.planted.grain import as_scanned
from dicomnode.learn.planted.looking import Candidate, Run, candidates_in, grid_of
from dicomnode.learn.planted.patches import HIDDEN, KINDS, centre_of, draw_seat
from dicomnode.learn.planted.world import SPACING_MM, World
from dicomnode.phantom.lumps import Kind, PlantedLump, draw_lump, draw_plan, plant_lump
from dicomnode.values import Mask, PointLps

LEAST_MM: Final = 3.0
"""Smaller ones are ignored: they are not reported by anybody."""

_SIZES_MM: Final = ((3.0, 4.0, 2), (4.0, 6.0, 3), (6.0, 8.0, 3), (8.0, 15.0, 3), (15.0, 25.0, 1))
_APART_MM: Final = 8.0
_TRIALS: Final = 12  # seats that a nodule tries
_HALO_MM: Final = 1.0
_EXAM: Final = 41  # what a generator is drawn for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """A planted nodule, or a place that is to be ignored (then without a mask)."""

    centre_lps_mm: PointLps
    diameter_mm: float
    kind: Kind | None = None
    mask: Mask | None = None
    ignore: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exam:
    """A world as a scanner shows it, float32 (k, j, i), with what is true of it."""

    world: World
    hu: Float32
    truths: tuple[Truth, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered:
    """What was found in an exam. outcome: of all truths. counted: those that count, in the outcome's order.

    volumes: error in percent by number of the truth among `counted`, of those that were found. scores, right:
    of all candidates that count, the first of each truth.
    """

    name: str
    outcome: StudyOutcome
    counted: tuple[Truth, ...]
    volumes: tuple[tuple[int, float], ...]
    scores: tuple[float, ...]
    right: tuple[bool, ...]


def exam_of(world: World, seed: int) -> Exam:
    """Plant about twelve nodules into a world, and scan it: drawn from (seed, name of the world) alone."""
    rng = np.random.default_rng([seed, _EXAM, *world.name.encode()])
    hu = world.hu.astype(np.float32)
    k, j, i = world.shape
    lungs = world.lungs_in((slice(0, k), slice(0, j), slice(0, i)))
    grid = grid_of(world.shape)
    truths = [
        Truth(
            centre_lps_mm=_point(grid.to_lps_mm(ball[:3])),
            diameter_mm=2.0 * float(ball[3]) * SPACING_MM,
            ignore=True,
        )
        for ball in world.balls
    ]
    spots = {kind: places.astype(np.intp) for kind, places in world.places.items()}
    for low, high, count in _SIZES_MM:
        for _ in range(count):
            plan = draw_plan(rng, float(np.exp(rng.uniform(np.log(low), np.log(high)))), KINDS)
            lump = draw_lump(plan, (SPACING_MM,) * 3, rng)
            if world.is_real:
                lump = as_scanned(lump, world.sigma_kji, world.noise_hu, rng)
            for _ in range(_TRIALS):
                seat = draw_seat(spots, rng)
                at = _point(grid.to_lps_mm(seat))
                if _is_free(at, plan.diameter_mm, truths):
                    planted = plant_lump(hu, lungs, lump, (int(seat[0]), int(seat[1]), int(seat[2])))
                    truths.append(_truth(planted, plan.kind, world))
                    break
    shown = hu if world.is_real else scanned(hu, draw_exposure(rng), rng)
    return Exam(world=world, hu=shown, truths=tuple(truths))


def _point(at: Sequence[float] | np.ndarray) -> PointLps:
    x, y, z = (float(one) for one in at)
    return x, y, z


def _is_free(at: PointLps, diameter_mm: float, truths: Sequence[Truth]) -> bool:
    apart = [np.linalg.norm(np.subtract(at, one.centre_lps_mm)) for one in truths]
    needed = [(one.diameter_mm + diameter_mm) / 2.0 + _APART_MM for one in truths]
    return all(distance >= least for distance, least in zip(apart, needed, strict=True))


def _truth(planted: PlantedLump, kind: Kind, world: World) -> Truth:
    """Say what was planted; what is hidden or too small is ignored, and so is what shows of it nowhere."""
    starts = [part.start for part in planted.at]
    if not planted.inside.any():
        middle = [(part.start + part.stop) / 2.0 for part in planted.at]
        return Truth(
            centre_lps_mm=_point(grid_of(world.shape).to_lps_mm(middle)), diameter_mm=LEAST_MM, ignore=True
        )
    centre = centre_of(planted)
    hidden = planted.kept < HIDDEN
    return Truth(
        centre_lps_mm=_point(grid_of(world.shape).to_lps_mm(centre.at)),
        diameter_mm=centre.diameter_mm + (2.0 * _HALO_MM if hidden else 0.0),
        kind=kind,
        mask=Mask.from_crop(planted.inside, world.shape, (starts[0], starts[1], starts[2])),
        ignore=hidden or centre.diameter_mm < LEAST_MM,
    )


def answered(run: Run, exam: Exam, how: CentreHeat) -> Answered:
    """Have a network look at an exam, by `evaluate`'s rules of what is a hit."""
    k, j, i = exam.world.shape
    lungs = exam.world.lungs_in((slice(0, k), slice(0, j), slice(0, i)))
    candidates = candidates_in(run, exam.hu, lungs, how)
    found = [(one.centre_lps_mm, one.score) for one in candidates]
    matching = match_candidates(found, exam.truths)
    numbers = {truth: n for n, truth in enumerate(_counting(exam.truths))}
    volumes = [
        (numbers[hit.truth], error)
        for hit in matching.hits
        if (error := _volume_error(candidates[hit.found], exam.truths[hit.truth])) is not None
    ]
    hits = [(hit.score, True) for hit in matching.hits]
    counts = [*hits, *((found[n][1], False) for n in matching.false_positives)]
    return Answered(
        name=exam.world.name,
        outcome=study_outcome(found, exam.truths),
        counted=tuple(exam.truths[n] for n in _counting(exam.truths)),
        volumes=tuple(volumes),
        scores=tuple(score for score, _ in counts),
        right=tuple(right for _, right in counts),
    )


def _counting(truths: Sequence[Truth]) -> list[int]:
    return [n for n, one in enumerate(truths) if not one.ignore]


def _volume_error(found: Candidate, truth: Truth) -> float | None:
    if found.mask is None or truth.mask is None:
        return None
    return volume_error(found.mask, truth.mask, SPACING_MM**3).percent
