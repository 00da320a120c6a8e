"""How good it is on patients of nobody that it did not learn from: overlap, and what has no air in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Bool, Float32
from dicomnode.evaluate import Figure, Interval, Resampling, bootstrap_interval, dice
from dicomnode.learn.drawn.course import JUDGING, told
from dicomnode.learn.lungs.nothing import draw_nothing
from dicomnode.learn.lungs.scans import BOX, as_scanned
from dicomnode.learn.lungs.worlds import LEFT, RIGHT, SPACING_MM, Coarse, UInt8
from dicomnode.values import Progress, no_progress

MULTIPLE: Final = 16
"""Voxels that the sides of the network's input are a multiple of."""
DENSE_HU: Final = -400.0

_AIR_HU: Final = -1000.0
_ML: Final = SPACING_MM**3 / 1000.0
_PURPOSE: Final = 13
_RESAMPLES: Final = 1000
_LEAST_DENSE_ML: Final = 10.0  # less is vessels: a share of it says nothing

Run = Callable[[Float32], NDArray[np.float32]]
"""(1, 1, k, j, i) HU → (1, 3, k, j, i) logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What it said of one patient. Dice of each lung; ml of dense lung, and how much of it was seen as lung.

    beyond_ml: taken for lung that is none. diseases: that were drawn with the patient.
    """

    name: str
    right: float
    left: float
    dense_ml: float
    dense_seen_ml: float
    beyond_ml: float
    diseases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """lines: by name. nothing_ml: the most that was taken for lung in each of the images without any."""

    patients: tuple[Judged, ...]
    lines: tuple[tuple[str, Interval], ...]
    nothing_ml: tuple[float, ...]


def answer(run: Run, hu: Float32) -> UInt8:
    """Return 0, 1 right lung, 2 left of a volume of 4 mm (k, j, i), padded for the network as in service."""
    sizes = [-(-size // MULTIPLE) * MULTIPLE for size in hu.shape]
    given = np.full((1, 1, *sizes), _AIR_HU, dtype=np.float32)
    k, j, i = hu.shape
    given[0, 0, :k, :j, :i] = hu
    sides: UInt8 = run(given)[0, :, :k, :j, :i].argmax(axis=0).astype(np.uint8)
    return sides


def judged(run: Run, world: Coarse, seed: int) -> Judged:
    """Show it one patient as a scanner would."""
    hu = as_scanned(world, np.random.default_rng((seed, _PURPOSE, *world.name.encode())))
    found = answer(run, hu)
    lung = world.sides > 0
    dense = lung & (world.hu > DENSE_HU)
    return Judged(
        name=world.name,
        right=dice(found == RIGHT, world.sides == RIGHT),
        left=dice(found == LEFT, world.sides == LEFT),
        dense_ml=_ml(dense),
        dense_seen_ml=_ml(dense & (found > 0)),
        beyond_ml=_ml((found > 0) & ~lung),
        diseases=world.diseases,
    )


def table_of(run: Run, worlds: Sequence[Coarse], seed: int, progress: Progress = no_progress) -> Table:
    """Judge all of them, and as many images without lungs."""
    patients = tuple(judged(run, world, seed) for world in told(worlds, JUDGING, progress))
    nothing = []
    for number in range(len(worlds)):
        rng = np.random.default_rng((seed, _PURPOSE, number))
        nothing.append(_ml(answer(run, draw_nothing(BOX, SPACING_MM, rng)) > 0))
    names = [one.name for one in patients]
    how = Resampling(resamples=_RESAMPLES, seed=seed)
    figures: tuple[tuple[str, Callable[[Sequence[Judged]], Figure]], ...] = (
        ("Dice, right lung", lambda some: _mean([one.right for one in some])),
        ("Dice, left lung", lambda some: _mean([one.left for one in some])),
        ("share of dense lung that is seen", _dense),
        ("ml taken for lung that are none", lambda some: _mean([one.beyond_ml for one in some])),
    )
    lines = tuple(
        (name, bootstrap_interval(names, lambda rows, of=of: of([patients[row] for row in rows]), how))  # type: ignore[misc]
        for name, of in figures
    )
    return Table(patients=patients, lines=lines, nothing_ml=tuple(nothing))


def _mean(values: Sequence[float]) -> Figure:
    return Figure(name="mean", value=float(np.mean(values)))


def _dense(some: Sequence[Judged]) -> Figure:
    """The mean share over the patients who have any."""
    shares = [one.dense_seen_ml / one.dense_ml for one in some if one.dense_ml >= _LEAST_DENSE_ML]
    if not shares:
        return Figure(name="mean", value=None, reason="none of them has dense lung")
    return _mean(shares)


def _ml(mask: Bool) -> float:
    return float(np.count_nonzero(mask)) * _ML
