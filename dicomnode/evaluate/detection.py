"""Free-response ROC: how many findings are found at how many false alarms a study.

Bunch et al., SPIE 127 (1977); the rates of false positives and their mean, the competition performance
metric, of Setio et al., Medical Image Analysis 42 (2017). What is a hit: `matching`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.figures import Figure, mean, share
from dicomnode.evaluate.matching import KnownFinding, match_candidates
from dicomnode.values import PointLps, reaches
from dicomnode.values.geometry import Float64, read_only

RATES: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives a study at which the sensitivity is read."""

SIZES_MM: Final = (6.0, 8.0, 15.0)
"""Where nodules change their category: Lung-RADS 2022, solid nodules at baseline (mean diameter)."""

NO_FINDINGS: Final = "there is no finding that counts"
NO_STUDIES: Final = "there is no study"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLesion:
    """A finding that counts: its diameter in mm, and the highest score of a candidate on it, if any."""

    diameter_mm: float
    score: float | None

    def __post_init__(self) -> None:
        if not 0.0 <= self.diameter_mm < math.inf:
            raise ValueError(f"KnownLesion.diameter_mm must be 0 and more, got {self.diameter_mm!r}")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"KnownLesion.score must be finite, got {self.score!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutcome:
    """What a study adds: its findings, and the scores of the candidates that lie on nothing."""

    lesions: tuple[KnownLesion, ...]
    false_alarms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(math.isfinite(score) for score in self.false_alarms):
            raise ValueError("StudyOutcome.false_alarms must be finite scores")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrocCurve:
    """Sensitivity and false positives a study, threshold by threshold, the strictest first.

    thresholds: float64 (m,), descending, one for each different score that changes something. found: int64
    (m,), findings with a candidate of that score or more. false_alarms: int64 (m,), over all studies.
    at_rates: sensitivity at each of `rates`, the highest that comes with no more false positives than that.
    cpm: their mean. ceiling: the share of findings with any candidate at all.
    """

    thresholds: Float64
    found: NDArray[np.int64]
    false_alarms: NDArray[np.int64]
    lesions: int
    studies: int
    rates: tuple[float, ...]
    at_rates: tuple[Figure, ...]
    cpm: Figure
    ceiling: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeClass:
    """Findings of `from_mm` up to, but not including, `below_mm` (None: no end), and how many are found."""

    from_mm: float
    below_mm: float | None
    sensitivity: Figure


def study_outcome(found: Sequence[tuple[PointLps, float]], truth: Sequence[KnownFinding]) -> StudyOutcome:
    """Match the candidates of a study (centre in LPS mm, score) with what is true; see `match_candidates`.

    Matching once holds for every threshold: a finding is found where its best candidate is, and what lies on
    nothing lies on nothing. Raises ValueError on a score that is not finite.
    """
    if not all(math.isfinite(score) for _, score in found):
        raise ValueError("the score of a candidate must be finite")
    matching = match_candidates(found, truth)
    score_of = {hit.truth: hit.score for hit in matching.hits}
    return StudyOutcome(
        lesions=tuple(
            KnownLesion(diameter_mm=known.diameter_mm, score=score_of.get(index))
            for index, known in enumerate(truth)
            if not known.ignore
        ),
        false_alarms=tuple(float(found[n][1]) for n in matching.false_positives),
    )


def froc(studies: Sequence[StudyOutcome], rates: Sequence[float] = RATES) -> FrocCurve:
    """Make the curve of all studies. Raises ValueError where rates are none, below 0 or not ascending.

    Sensitivities are None without a finding that counts, and without a study.
    """
    if not rates or min(rates) < 0 or any(b <= a for a, b in pairwise(rates)):
        raise ValueError(f"rates of false positives ascend from 0 up, got {tuple(rates)!r}")
    scores, alarms, lesions = _scores(studies)
    steps = np.unique(np.concatenate([scores, alarms]))[::-1]
    found, false_alarms = _reaching(scores, steps), _reaching(alarms, steps)
    at_rates = tuple(_at(rate, found, false_alarms, lesions, len(studies)) for rate in rates)
    for array in (steps, found, false_alarms):
        read_only(array)
    return FrocCurve(
        thresholds=steps,
        found=found,
        false_alarms=false_alarms,
        lesions=lesions,
        studies=len(studies),
        rates=tuple(rates),
        at_rates=at_rates,
        cpm=mean("cpm", at_rates),
        ceiling=share("sensitivity_ceiling", scores.size, lesions, NO_FINDINGS),
    )


def competition_performance(studies: Sequence[StudyOutcome]) -> Figure:
    """The mean sensitivity at the seven `RATES`, alone: for a bootstrap."""
    return froc(studies).cpm


def sensitivity_at(studies: Sequence[StudyOutcome], threshold: float) -> Figure:
    """Share of the findings with a candidate of at least `threshold`."""
    return _found([lesion for study in studies for lesion in study.lesions], threshold, NO_FINDINGS)


def false_alarms_at(studies: Sequence[StudyOutcome], threshold: float) -> Figure:
    """Candidates on nothing of at least `threshold`, a study; 0 up."""
    name = "false_positives_per_study"
    if not studies:
        return Figure(name=name, value=None, reason=NO_STUDIES)
    _must_be_a_number(threshold)
    many = sum(reaches(score, threshold) for study in studies for score in study.false_alarms)
    return Figure(name=name, value=many / len(studies))


def sensitivity_by_size(
    studies: Sequence[StudyOutcome], threshold: float, edges_mm: Sequence[float] = SIZES_MM
) -> tuple[SizeClass, ...]:
    """How many findings of each size have a candidate of at least `threshold`.

    The classes go from 0 mm to the first edge, and so on; the last one has no end. Raises ValueError where
    the edges do not ascend above 0.
    """
    bounds = [0.0, *edges_mm]
    if any(b <= a for a, b in pairwise(bounds)):
        raise ValueError(f"sizes ascend above 0 mm, got {tuple(edges_mm)!r}")
    classes: list[list[KnownLesion]] = [[] for _ in bounds]
    for study in studies:
        for lesion in study.lesions:
            classes[bisect_right(bounds, lesion.diameter_mm) - 1].append(lesion)
    ends = [*edges_mm, None]
    return tuple(
        SizeClass(from_mm=low, below_mm=high, sensitivity=_found(of, threshold, "no finding is of this size"))
        for low, high, of in zip(bounds, ends, classes, strict=True)
    )


def _must_be_a_number(threshold: float) -> None:
    if math.isnan(threshold):
        raise ValueError("a threshold is a number")


def _found(lesions: Sequence[KnownLesion], threshold: float, reason: str) -> Figure:
    _must_be_a_number(threshold)
    hits = sum(one.score is not None and reaches(one.score, threshold) for one in lesions)
    return share("sensitivity", hits, len(lesions), reason)


def _scores(studies: Sequence[StudyOutcome]) -> tuple[Float64, Float64, int]:
    """Scores of findings that have a candidate, scores of false alarms, and how many findings there are."""
    lesions = [lesion for study in studies for lesion in study.lesions]
    scores = [lesion.score for lesion in lesions if lesion.score is not None]
    alarms = [score for study in studies for score in study.false_alarms]
    return np.array(scores, dtype=np.float64), np.array(alarms, dtype=np.float64), len(lesions)


def _reaching(scores: Float64, thresholds: Float64) -> NDArray[np.int64]:
    """How many scores reach each threshold."""
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    many: NDArray[np.int64] = (scores.size - below).astype(np.int64)
    return many


def _at(
    rate: float, found: NDArray[np.int64], false_alarms: NDArray[np.int64], lesions: int, studies: int
) -> Figure:
    name = f"sensitivity_at_{rate:g}"
    if not studies:
        return Figure(name=name, value=None, reason=NO_STUDIES)
    allowed = np.flatnonzero(false_alarms <= rate * studies)
    hits = int(found[allowed[-1]]) if allowed.size else 0  # stricter than all: nothing is called
    return share(name, hits, lesions, NO_FINDINGS)
