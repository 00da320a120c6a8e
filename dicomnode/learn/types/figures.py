"""How often the type of a nodule is right, on patients of nobody: a table of answers, and figures of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate import Figure, FigureOf, Interval, Resampling, bootstrap_interval
from dicomnode.learn.types.chests import KINDS
from dicomnode.learn.types.forest import Lessons, usual_weights
from dicomnode.values import Float64, least_reaching

SIZES_MM: Final = (6.0, 8.0, 15.0)
"""Where each stratum of size begins; what is smaller has one of its own, and the last one has no end."""

NOT_SURE: Final = len(KINDS)
"""Column of the table for what reaches the threshold with no type."""

_RESAMPLES: Final = 1000

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeLine:
    """One line of the figures."""

    name: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TypeTable:
    """What came of the judged patients.

    answers: int (types, types + 1): true type by what was said; the last column is "not sure". planted: of
    each type, how many were there to be found. sure: probability from which a type is said. usual: of what is
    said, how much is right where types are as frequent as usual, and how much it says of itself (mean
    probability); None where nothing is said. patients: who were looked at, also those in whom nothing was
    found. alarms: lesions on nothing; alarms_typed: those of them that are
    given a type.
    """

    patients: int
    sure: float
    answers: NDArray[np.intp]
    planted: tuple[int, ...]
    lines: tuple[TypeLine, ...]
    usual: tuple[Interval, float] | None
    alarms: int
    alarms_typed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Probabilities, float64 (n, types), of lesions on nodules and on nothing, in so many patients."""

    patients: int
    lessons: Lessons
    probabilities: Float64
    of_alarms: Float64
    planted: tuple[int, ...]


def called(probabilities: Float64, sure: float) -> Rows:
    """Return what is said of each: the number of its type, or `NOT_SURE`."""
    if not len(probabilities):
        return np.zeros(0, dtype=np.intp)
    best = probabilities.argmax(axis=1)
    found: Rows = np.where(probabilities.max(axis=1) >= least_reaching(sure), best, NOT_SURE).astype(np.intp)
    return found


def table_of(judged: Judged, sure: float, seed: int) -> TypeTable:
    """Make it; intervals of 95 % are drawn by patient."""
    lessons, said = judged.lessons, called(judged.probabilities, sure)
    answers = np.zeros((len(KINDS), len(KINDS) + 1), dtype=np.intp)
    np.add.at(answers, (lessons.types, said), 1)
    return TypeTable(
        patients=judged.patients,
        sure=sure,
        answers=answers,
        planted=judged.planted,
        lines=tuple(_lines(lessons, said, seed)),
        usual=_usual(judged, said, seed),
        alarms=len(judged.of_alarms),
        alarms_typed=int((called(judged.of_alarms, sure) != NOT_SURE).sum()),
    )


def _lines(lessons: Lessons, said: Rows, seed: int) -> list[TypeLine]:
    types, sizes = lessons.types, np.array(lessons.diameters_mm)
    right, told = said == types, said != NOT_SURE
    every = np.ones(len(types), dtype=bool)
    asked: list[tuple[str, Rows, NDArray[np.bool_]]] = [
        ("right, of all that were found", right, every),
        ("right, of those given a type", right, told),
        ("given a type", told, every),
    ]
    asked += [(f"{kind}: called so", right, types == n) for n, kind in enumerate(KINDS)]
    asked += [(f"called {kind}: is so", right, said == n) for n, kind in enumerate(KINDS)]
    asked.append((f"right, under {SIZES_MM[0]:g} mm", right, sizes < SIZES_MM[0]))
    for low, high in pairwise((*SIZES_MM, np.inf)):
        name = f"{low:g} to {high:g} mm" if np.isfinite(high) else f"from {low:g} mm"
        asked.append((f"right, {name}", right, (sizes >= low) & (sizes < high)))
    return [TypeLine(name=name, interval=_interval(lessons, one, of, seed)) for name, one, of in asked]


def _interval(lessons: Lessons, good: Rows, of: NDArray[np.bool_], seed: int) -> Interval:
    def figure(rows: Rows) -> Figure:
        among = rows[of[rows]]
        part, whole = int(np.count_nonzero(good[among])), len(among)
        if not whole:
            return Figure(name="share", value=None, reason="there is none", part=0, whole=0)
        return Figure(name="share", value=part / whole, part=part, whole=whole)

    return _by_patient(lessons, figure, seed)


def _by_patient(lessons: Lessons, figure: FigureOf, seed: int) -> Interval:
    patients = [str(one) for one in lessons.seeds]
    return bootstrap_interval(patients, figure, Resampling(resamples=_RESAMPLES, seed=seed))


def _usual(judged: Judged, said: Rows, seed: int) -> tuple[Interval, float] | None:
    types, told = judged.lessons.types, said != NOT_SURE
    if not told.any():
        return None

    def right(rows: Rows) -> Figure:
        weights = usual_weights(types[rows]) * told[rows]
        whole = float(weights.sum())
        if not whole > 0.0:
            return Figure(name="share", value=None, reason="nothing is said")
        return Figure(name="share", value=float((weights * (said == types)[rows]).sum()) / whole)

    weights = usual_weights(types) * told
    sure = float((weights * judged.probabilities.max(axis=1)).sum()) / float(weights.sum())
    return _by_patient(judged.lessons, right, seed), sure


def planted_of(kinds: Sequence[str]) -> tuple[int, ...]:
    """Count nodules by type."""
    return tuple(sum(one == kind for one in kinds) for kind in KINDS)
