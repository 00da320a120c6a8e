"""ROC and precision-recall curves, the area under each, and the points on them that a wish names.

A point is a threshold that some score has: cases of equal score change sides together, so ties are one step.
Nothing between two points can be had, and nothing is interpolated but the area of the ROC curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.cases import ScoredCases
from dicomnode.evaluate.figures import Figure, share
from dicomnode.evaluate.scikit import need_scikit_learn
from dicomnode.values import just_above
from dicomnode.values.geometry import Float64, read_only

Counts = NDArray[np.int64]

ROC_AUC: Final = "roc_auc"
AVERAGE_PRECISION: Final = "average_precision"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RocCurve:
    """How many are found and how many are called for nothing, threshold by threshold, the strictest first.

    thresholds: float64 (m,), descending; the first lies just above the highest score, where none is called.
    found, false_alarms: int64 (m,), true and false positives. positives, negatives: all cases of each kind.
    area: as of `roc_auc`. Where one kind is missing there are no points, and the area says why.
    """

    thresholds: Float64
    found: Counts
    false_alarms: Counts
    positives: int
    negatives: int
    area: Figure

    @property
    def sensitivity(self) -> Float64:
        """Share of the positive cases that are found (m,), 0 to 1."""
        rates: Float64 = self.found / max(self.positives, 1)
        return rates

    @property
    def specificity(self) -> Float64:
        """Share of the negative cases that are not called (m,), 0 to 1."""
        rates: Float64 = (self.negatives - self.false_alarms) / max(self.negatives, 1)
        return rates


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrecisionRecallCurve:
    """How many of those called are positive, at each recall.

    thresholds, precision, recall: float64 (m,), thresholds ascending, the lowest score first.
    prevalence: the precision of calling every case. area: as of `average_precision`. Where one kind of cases
    is missing there are no points, and the area says why.
    """

    thresholds: Float64
    precision: Float64
    recall: Float64
    prevalence: Figure
    area: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """What calling cases from `threshold` up gives; figures as of the class that is looked for."""

    threshold: float
    sensitivity: Figure
    specificity: Figure
    precision: Figure


def roc_auc(cases: ScoredCases) -> Figure:
    """Area under the ROC curve by trapezoids, 0 to 1: the share of pairs, one of each kind, in right order.

    A pair of equal scores counts half (Hanley and McNeil, Radiology 143, 1982). None with one kind only.
    """
    why = cases.one_sided()
    if why:
        return Figure(name=ROC_AUC, value=None, reason=why)
    # Counted, thousands of times in a bootstrap: scikit-learn's takes some twenty times as long for the same
    _, level = np.unique(cases.scores, return_inverse=True)
    positive = np.bincount(level, weights=cases.truth)
    negative = np.bincount(level) - positive
    below = np.cumsum(negative) - negative
    won = float(positive @ (below + negative / 2.0))
    return Figure(name=ROC_AUC, value=won / (cases.positives * cases.negatives))


def average_precision(cases: ScoredCases) -> Figure:
    """Area under the precision-recall curve by steps, Σ (Rₙ - Rₙ₋₁)·Pₙ, above 0 to 1.

    No trapezoids: between two points precision does not run straight, and the area would come out too large
    (Davis and Goadrich, ICML 2006). Chance is the prevalence, not 0.5. None with one kind of cases only.
    """
    why = cases.one_sided()
    if why:
        return Figure(name=AVERAGE_PRECISION, value=None, reason=why)
    need_scikit_learn("The average precision")
    from sklearn.metrics import average_precision_score  # noqa: PLC0415 (of an extra)

    return Figure(name=AVERAGE_PRECISION, value=float(average_precision_score(cases.truth, cases.scores)))


def roc_curve(cases: ScoredCases) -> RocCurve:
    """Make the ROC curve with a point for each different score."""
    thresholds, found, false_alarms = np.empty(0), np.empty(0), np.empty(0)
    if not cases.one_sided():
        need_scikit_learn("A ROC curve")
        from sklearn import metrics  # noqa: PLC0415 (of an extra)

        false_rate, true_rate, thresholds = metrics.roc_curve(
            cases.truth, cases.scores, drop_intermediate=False
        )
        # Rates are counts divided: back to the counts, which compare exactly
        found, false_alarms = true_rate * cases.positives, false_rate * cases.negatives
        thresholds = np.array(thresholds, dtype=np.float64)
        thresholds[0] = just_above(float(cases.scores.max()))  # infinity has no place in JSON
    return RocCurve(
        thresholds=_kept(thresholds),
        found=_counts(found),
        false_alarms=_counts(false_alarms),
        positives=cases.positives,
        negatives=cases.negatives,
        area=roc_auc(cases),
    )


def precision_recall_curve(cases: ScoredCases) -> PrecisionRecallCurve:
    """Make the precision-recall curve with a point for each different score.

    scikit-learn's last point, recall 0 with precision 1, belongs to no threshold and is left out.
    """
    thresholds, precision, recall = np.empty(0), np.empty(0), np.empty(0)
    if not cases.one_sided():
        need_scikit_learn("A precision-recall curve")
        from sklearn import metrics  # noqa: PLC0415 (of an extra)

        precision, recall, thresholds = metrics.precision_recall_curve(cases.truth, cases.scores)
    many = len(thresholds)
    return PrecisionRecallCurve(
        thresholds=_kept(thresholds),
        precision=_kept(precision[:many]),
        recall=_kept(recall[:many]),
        prevalence=share("prevalence", cases.positives, cases.truth.size, "there is no case"),
        area=average_precision(cases),
    )


def at_sensitivity(curve: RocCurve, wanted: float) -> OperatingPoint | None:
    """The strictest threshold that finds at least `wanted` (above 0 to 1) of the positive cases.

    None where the curve has no points; its area says why. Raises ValueError on a wish outside the range.
    """
    _must_be_a_share(wanted)
    reached = np.flatnonzero(curve.sensitivity >= wanted)
    return _point(curve, int(reached[0])) if reached.size else None


def at_specificity(curve: RocCurve, wanted: float) -> OperatingPoint | None:
    """The mildest threshold that calls at most 1 - `wanted` of the negative cases; as `at_sensitivity`.

    Such a threshold there always is: at worst the one above the highest score, where none is called.
    """
    _must_be_a_share(wanted)
    kept = np.flatnonzero(curve.specificity >= wanted)
    return _point(curve, int(kept[-1])) if kept.size else None


def _must_be_a_share(wanted: float) -> None:
    if not 0.0 < wanted <= 1.0:
        raise ValueError(f"a wanted rate is above 0 and at most 1, got {wanted!r}")


def _point(curve: RocCurve, index: int) -> OperatingPoint:
    found, false_alarms = int(curve.found[index]), int(curve.false_alarms[index])
    called = found + false_alarms
    return OperatingPoint(
        threshold=float(curve.thresholds[index]),
        sensitivity=share("sensitivity", found, curve.positives, "no case is positive"),
        specificity=share(
            "specificity", curve.negatives - false_alarms, curve.negatives, "no case is negative"
        ),
        precision=share("precision", found, called, "no case is called"),
    )


def _kept(values: Float64) -> Float64:
    kept = np.array(values, dtype=np.float64)
    read_only(kept)
    return kept


def _counts(values: Float64) -> Counts:
    counts = np.rint(values).astype(np.int64)
    read_only(counts)
    return counts
