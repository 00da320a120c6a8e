"""The table of a network on patients that it has never seen: by `evaluate`, with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from dicomnode.evaluate import (
    Figure,
    Interval,
    Resampling,
    StudyOutcome,
    bootstrap_interval,
    competition_performance,
    false_alarms_at,
    froc,
    sensitivity_at,
)
from dicomnode.learn.planted.exams import Answered, Truth
from dicomnode.phantom.lumps import KINDS
from dicomnode.values import reaches

SIZES_MM: Final = (3.0, 4.0, 6.0, 8.0, 15.0)
"""Where each stratum of size begins; the last one has no end."""

_MEASURED_FROM_MM: Final = 6.0  # of volumes: a voxel is a third of a smaller one's diameter
_RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """One line of the table."""

    name: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """Error of volume in percent of the true one, of nodules from 6 mm that were found: quartiles, median."""

    count: int
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """threshold: at which `lines` are. rates: sensitivity by false alarms a scan, whatever the threshold."""

    scans: int
    nodules: int
    threshold: float
    lines: tuple[TableLine, ...]
    rates: tuple[tuple[float, Figure], ...]
    volumes: Volumes | None


def table_of(answers: Sequence[Answered], threshold: float, seed: int) -> Table:
    """Make it. Each scan is a patient of its own, by which the intervals are drawn."""
    wanted: list[tuple[str, Callable[[Truth], bool]]] = [("all", lambda _: True)]
    for low, high in pairwise([*SIZES_MM, np.inf]):
        name = f"{low:g} to {high:g} mm" if np.isfinite(high) else f"above {low:g} mm"
        wanted.append((name, lambda one, a=low, b=high: a <= one.diameter_mm < b))  # type: ignore[misc]
    wanted += [(kind, lambda one, k=kind: one.kind == k) for kind in KINDS]  # type: ignore[misc]
    every = [one.outcome for one in answers]
    lines = [
        TableLine(name=f"sensitivity, {name}", interval=_sensitivity(_only(answers, those), threshold, seed))
        for name, those in wanted
    ]
    lines += [
        TableLine(
            name="false alarms a scan",
            interval=_drawn(every, seed, lambda some: false_alarms_at(some, threshold)),
        ),
        TableLine(
            name="mean sensitivity at 1/8 to 8 false alarms",
            interval=_drawn(every, seed, competition_performance),
        ),
    ]
    curve = froc(every)
    return Table(
        scans=len(answers),
        nodules=curve.lesions,
        threshold=threshold,
        lines=tuple(lines),
        rates=tuple(zip(curve.rates, curve.at_rates, strict=True)),
        volumes=_volumes(answers, threshold),
    )


def _only(answers: Sequence[Answered], those: Callable[[Truth], bool]) -> list[StudyOutcome]:
    """Return outcomes of the truths that are asked for alone; false alarms are everybody's."""
    return [
        StudyOutcome(
            lesions=tuple(
                lesion for lesion, truth in zip(one.outcome.lesions, one.counted, strict=True) if those(truth)
            ),
            false_alarms=one.outcome.false_alarms,
        )
        for one in answers
    ]


def _sensitivity(outcomes: Sequence[StudyOutcome], threshold: float, seed: int) -> Interval:
    return _drawn(outcomes, seed, lambda some: sensitivity_at(some, threshold))


def _drawn(
    outcomes: Sequence[StudyOutcome], seed: int, figure: Callable[[Sequence[StudyOutcome]], Figure]
) -> Interval:
    names = [str(number) for number in range(len(outcomes))]
    how = Resampling(resamples=_RESAMPLES, seed=seed)
    return bootstrap_interval(names, lambda rows: figure([outcomes[row] for row in rows]), how)


def _volumes(answers: Sequence[Answered], threshold: float) -> Volumes | None:
    errors = [
        error
        for one in answers
        for number, error in one.volumes
        if one.counted[number].diameter_mm >= _MEASURED_FROM_MM
        and reaches(one.outcome.lesions[number].score or 0.0, threshold)
    ]
    if not errors:
        return None
    low, median, high = (float(value) for value in np.percentile(errors, (25, 50, 75)))
    return Volumes(count=len(errors), low=low, median=median, high=high)
