"""The figures of a suite of chests, with intervals over patients, from what came of each case."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from dicomnode.evaluate import (
    Figure,
    FrocCurve,
    Interval,
    KnownLesion,
    Resampling,
    ScoredCases,
    StudyOutcome,
    bootstrap_interval,
    calibration_of,
    competition_performance,
    froc,
)
from dicomnode.evaluate.cases import Rows
from dicomnode.evaluate.figures import share
from dicomnode.phantom import STRATA_MM, stratum
from dicomnode.phantom.lumps import KINDS
from tests.bench.lung.judging import AlarmRow, CaseRow, NoduleRow
from tests.bench.lung.strata import of_cases, of_lungs, of_nodules

WRONG_DICE: Final = 0.95
"""Of either lung: below it, its mask is wrong."""
GOAL_DICE: Final = 0.97
MEASURED_FROM_MM: Final = 6.0
RATE: Final = 1.0
"""False alarms a scan at which strata are read a second time, whatever the engine's threshold is."""
CALIBRATED_FROM: Final = 0.05
"""The least score of candidates whose calibration is looked at: there are dozens of hardly any below."""
_RESAMPLES: Final = 1000


def outcome(case: CaseRow, *, reported: bool = False) -> StudyOutcome:
    """Return all candidates of a case, or only those that are reported."""
    return StudyOutcome(
        lesions=tuple(
            KnownLesion(
                diameter_mm=one.diameter_mm, score=one.score if one.reported or not reported else None
            )
            for one in case.nodules
        ),
        false_alarms=tuple(one.score for one in case.alarms if one.reported or not reported),
    )


def drawn(cases: Sequence[CaseRow], figure: Callable[[Rows], Figure]) -> dict[str, Any]:
    """Draw the interval of a figure over patients, each case one."""
    how = Resampling(resamples=_RESAMPLES, seed=0)
    return told(bootstrap_interval([str(case.seed) for case in cases], figure, how))


def told(interval: Interval) -> dict[str, Any]:
    """Return a figure with its interval; without one where no resample differs, which would look certain."""
    figure = interval.figure
    says = interval.low != interval.high
    return {
        "value": figure.value,
        "low": interval.low if says else None,
        "high": interval.high if says else None,
        "part": figure.part,
        "whole": figure.whole,
    }


def of_suite(cases: Sequence[CaseRow]) -> dict[str, Any]:
    """Return all figures as JSON values."""
    found: dict[str, Any] = {"scans": len(cases), "not_analysed": [one.seed for one in cases if one.nothing]}
    if any(case.seeks for case in cases):
        found |= _nodules(cases)
    return found | {"lungs": lungs(cases)}


def _nodules(cases: Sequence[CaseRow]) -> dict[str, Any]:
    every = [outcome(case) for case in cases]
    curve = froc(every)
    at_rate = threshold_at(curve, RATE)
    down_to = max((case.down_to for case in cases if case.down_to is not None), default=None)
    least = max(CALIBRATED_FROM, down_to or 0.0)
    return {
        "nodules": sum(len(case.nodules) for case in cases),
        "ignored": counted(case.ignored for case in cases),
        "repeats": sum(case.repeats for case in cases),
        "reported": strata(cases, None),
        "at_rate": {"rate": RATE, "threshold": at_rate, **strata(cases, at_rate)},
        "froc": [
            {"rate": rate, "value": one.value} for rate, one in zip(curve.rates, curve.at_rates, strict=True)
        ],
        "down_to": down_to,
        "cpm": drawn(cases, lambda rows: competition_performance([every[n] for n in rows])),
        "ceiling": curve.ceiling.value,
        "size_by_kind": size_by_kind(cases),
        "measures": measures(cases),
        "alarms": counted((one for one in case.alarms if one.reported) for case in cases),
        "misses": misses(cases),
        "calibration": {
            "reported": calibration(cases, lambda one: one.reported),
            f"score from {least:.2g}": calibration(
                cases, lambda one: one.score is not None and one.score >= least
            ),
        },
    }


def threshold_at(curve: FrocCurve, rate: float) -> float:
    """Return the lowest score with at most `rate` false alarms a scan; 2, which no score reaches, of none."""
    allowed = np.flatnonzero(curve.false_alarms <= rate * curve.studies)
    return float(curve.thresholds[allowed[-1]]) if allowed.size else 2.0


def strata(cases: Sequence[CaseRow], threshold: float | None) -> dict[str, Any]:
    """Return sensitivity by stratum and false alarms; threshold None: of what the engine reports."""
    found = {}
    for name, those in of_nodules().items():
        found[name] = sensitivity(cases, threshold, those)
    scans = {"all": lambda case: True} | of_cases()
    for name, some in list(scans.items())[1:]:
        found[name] = sensitivity([case for case in cases if some(case)], threshold)
    return {
        "sensitivity": found,
        "alarms_a_scan": {
            name: alarms_a_scan([case for case in cases if some(case)], threshold)
            for name, some in scans.items()
        },
    }


def is_called(one: NoduleRow | AlarmRow, threshold: float | None) -> bool:
    return one.reported if threshold is None else one.score is not None and one.score >= threshold


def sensitivity(
    cases: Sequence[CaseRow], threshold: float | None, those: Callable[[NoduleRow], bool] = lambda _: True
) -> dict[str, Any]:
    wanted = [[one for one in case.nodules if those(one)] for case in cases]
    hits = np.array([sum(is_called(one, threshold) for one in some) for some in wanted], dtype=int)
    whole = np.array([len(some) for some in wanted], dtype=int)
    none = "there is no such nodule"
    return drawn(
        cases, lambda rows: share("sensitivity", int(hits[rows].sum()), int(whole[rows].sum()), none)
    )


def alarms_a_scan(cases: Sequence[CaseRow], threshold: float | None) -> dict[str, Any]:
    many = np.array([sum(is_called(one, threshold) for one in case.alarms) for case in cases], dtype=int)

    def figure(rows: Rows) -> Figure:
        if not len(rows):
            return Figure(name="alarms", value=None, reason="there is no such scan")
        return Figure(name="alarms", value=float(many[rows].mean()))

    return drawn(cases, figure)


def size_by_kind(cases: Sequence[CaseRow]) -> dict[str, dict[str, list[int]]]:
    """Return reported and all nodules of each kind and stratum of size."""
    nodules = [one for case in cases for one in case.nodules]
    table: dict[str, dict[str, list[int]]] = {}
    for kind in KINDS:
        table[kind] = {}
        for name in (stratum(mm) for mm in STRATA_MM):
            some = [one for one in nodules if one.kind == kind and stratum(one.diameter_mm) == name]
            table[kind][name] = [sum(one.reported for one in some), len(some)]
    return table


def measures(cases: Sequence[CaseRow]) -> dict[str, Any]:
    """Return quartiles of the errors of reported nodules with an outline, by size."""
    nodules = [one for case in cases for one in case.nodules if one.reported]
    table = {}
    wanted = {f"{MEASURED_FROM_MM:g} mm and more": lambda one: one.diameter_mm >= MEASURED_FROM_MM}
    wanted |= {
        name: lambda one, n=name: stratum(one.diameter_mm) == n for name in (stratum(mm) for mm in STRATA_MM)
    }
    wanted |= {
        f"{kind}, {MEASURED_FROM_MM:g} mm and more": lambda one, k=kind: (
            one.kind == k and one.diameter_mm >= MEASURED_FROM_MM
        )
        for kind in KINDS
    }
    for name, those in wanted.items():
        some = [one for one in nodules if those(one)]
        outlined = [one for one in some if one.volume_mm3 is not None]
        table[name] = {
            "volume_percent": quartiles([100.0 * (one.volume_mm3 / one.true_mm3 - 1.0) for one in outlined]),
            "diameter_mm": quartiles([_ball_mm(one.volume_mm3) - one.diameter_mm for one in outlined]),
            "centre_mm": quartiles([one.centre_mm for one in some]),
            "dice": quartiles([one.dice for one in outlined]),
        }
    return table


def _ball_mm(volume_mm3: float) -> float:
    return (6.0 * volume_mm3 / np.pi) ** (1.0 / 3.0)


def quartiles(values: Sequence[float]) -> dict[str, float | int] | None:
    """Return lower quartile, median, upper quartile and how many; None of none."""
    if not values:
        return None
    low, middle, high = (float(one) for one in np.percentile(values, (25, 50, 75)))
    return {"low": low, "median": middle, "high": high, "count": len(values)}


def counted(of_cases: Iterable[Iterable[AlarmRow]]) -> list[dict[str, Any]]:
    """Return what candidates lie on, the most frequent first."""
    found = Counter((one.on, one.where) for some in of_cases for one in some)
    order = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [{"on": on, "where": where, "count": count} for (on, where), count in order]


def misses(cases: Sequence[CaseRow]) -> list[dict[str, Any]]:
    """Return the nodules that are not reported, the largest first, with the score that they do have."""
    rows = [
        {
            "case": case.seed,
            "nodule": one.label,
            "diameter_mm": one.diameter_mm,
            "kind": one.kind,
            "place": one.place,
            "thickness_mm": case.thickness_mm,
            "score": one.score,
        }
        for case in cases
        for one in case.nodules
        if not one.reported
    ]
    return sorted(rows, key=lambda row: -row["diameter_mm"])


def calibration(
    cases: Sequence[CaseRow], those: Callable[[NoduleRow | AlarmRow], bool]
) -> dict[str, Any] | None:
    """Return how far the scores of some candidates can be believed as probabilities of a nodule."""
    good = [one.score for case in cases for one in case.nodules if one.score is not None and those(one)]
    bad = [one.score for case in cases for one in case.alarms if those(one)]
    if not good and not bad:
        return None
    found = calibration_of(ScoredCases(truth=np.array([1] * len(good) + [0] * len(bad)), scores=good + bad))
    return {
        "candidates": len(good) + len(bad),
        "brier": found.brier.value,
        "ece": found.ece.value,
        "slope": found.slope.value,
        "intercept": found.intercept.value,
        "bins": [
            {"count": one.count, "mean": one.mean_probability, "observed": one.observed} for one in found.bins
        ],
    }


def lungs(cases: Sequence[CaseRow]) -> dict[str, Any]:
    """Return the agreement of lungs by disease, and whether wrong ones are said to be doubtful."""
    table = {}
    for name, those in of_lungs().items():
        some = [case for case in cases if those(case)]
        if some:
            table[name] = _agreement(some)
    wrong = {case.seed for case in cases if any(one.dice < WRONG_DICE for one in case.lungs)}
    doubted = {case.seed for case in cases if case.doubts or case.nothing}
    every = {case.seed for case in cases}
    return {
        "by_disease": table,
        "verdict": {
            "right_ok": len(every - wrong - doubted),
            "right_doubted": len((every - wrong) & doubted),
            "wrong_doubted": len(wrong & doubted),
            "wrong_ok": len(wrong - doubted),
        },
        "doubts": doubts(cases, wrong),
        "wrong_called_ok": [
            {
                "case": case.seed,
                "diseases": list(case.diseases),
                **{one.side: round(one.dice, 3) for one in case.lungs},
            }
            for case in cases
            if case.seed in wrong - doubted
        ],
        "reached_goal": sum(all(one.dice >= GOAL_DICE for one in case.lungs) for case in cases),
    }


def doubts(cases: Sequence[CaseRow], wrong: set[int]) -> list[dict[str, Any]]:
    """Return what is said against lungs, numbers left out, and of how many that are right and wrong."""
    said: dict[str, list[int]] = {}
    for case in cases:
        for text in {re.sub(r"\d[\d.]*", "…", one) for one in (*case.doubts, case.nothing) if one}:
            said.setdefault(text, [0, 0])[case.seed in wrong] += 1
    order = sorted(said.items(), key=lambda item: (-sum(item[1]), item[0]))
    return [{"text": text, "right": right, "wrong": bad} for text, (right, bad) in order]


def _agreement(cases: Sequence[CaseRow]) -> dict[str, Any]:
    """Return means with intervals, and the worst, of some chests."""
    found: dict[str, Any] = {"scans": len(cases)}
    for side in ("right", "left"):
        rows = [next(one for one in case.lungs if one.side == side) for case in cases]
        found[side] = {
            "dice": drawn(cases, _mean_of([one.dice for one in rows])),
            "least_dice": min(one.dice for one in rows),
            "hd95_mm": quartiles([one.hd95_mm for one in rows if one.hd95_mm is not None]),
            "most_hd95_mm": max((one.hd95_mm for one in rows if one.hd95_mm is not None), default=None),
            "volume_percent": quartiles([100.0 * (one.ml / one.true_ml - 1.0) for one in rows]),
            "not_found": sum(one.ml == 0.0 for one in rows),
        }
    return found


def _mean_of(values: Sequence[float]) -> Callable[[Rows], Figure]:
    array = np.array(values)
    return lambda rows: Figure(name="mean", value=float(array[rows].mean()))
