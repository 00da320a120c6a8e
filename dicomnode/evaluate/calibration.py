"""Whether a probability means what it says: of a hundred cases with 70 %, it is so in about 70.

Brier score: Brier, Monthly Weather Review 78 (1950). Expected calibration error: Naeini et al., AAAI 2015;
bins of equal mass, Nixon et al., CVPR workshops 2019. Slope and intercept: Cox, Biometrika 45 (1958); Van
Calster et al., BMC Medicine 17 (2019).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.cases import NO_CASES, ScoredCases
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.scikit import need_scikit_learn
from dicomnode.values.geometry import Float64

BINS: Final = 10

NEAREST: Final = 1e-6
"""Probabilities nearer to 0 or 1 are taken as this near for the slope: their log odds would be infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Cases of about the same probability: how many, their mean probability, and how many are positive."""

    lowest: float
    highest: float
    count: int
    positives: int
    mean_probability: float

    @property
    def observed(self) -> float:
        """Share of the cases that are positive, 0 to 1."""
        return self.positives / self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far probabilities can be believed.

    brier: mean squared error, 0 (best) to 1. ece: mean distance between probability and frequency, weighted
    by the cases of each bin, 0 to 1. bins: the reliability table, lowest probabilities first.
    slope, intercept: of a logistic regression of the truth on the log odds of the probability; 1 and 0 are
    right, a slope below 1 is too sure of itself. in_the_large: the intercept with a slope of 1; above 0 where
    probabilities are too low over all. drawn_in: probabilities that had to be taken as `NEAREST`.
    """

    brier: Figure
    ece: Figure
    bins: tuple[ReliabilityBin, ...]
    slope: Figure
    intercept: Figure
    in_the_large: Figure
    drawn_in: int


def calibration_of(cases: ScoredCases, bins: int = BINS) -> Calibration:
    """Judge the probabilities of cases with yes or no.

    Raises ValueError on scores outside 0 to 1: they are no probabilities.
    """
    _must_be_probabilities(cases)
    table = reliability(cases, bins)
    slope, intercept = _line(cases)
    drawn_in = int(np.count_nonzero(cases.scores != _held(cases.scores)))
    return Calibration(
        brier=brier(cases),
        ece=_gap(table, cases.truth.size),
        bins=table,
        slope=slope,
        intercept=intercept,
        in_the_large=_in_the_large(cases),
        drawn_in=drawn_in,
    )


def brier(cases: ScoredCases) -> Figure:
    """Mean of (probability - truth)², 0 to 1; None without a case. Raises ValueError as `calibration_of`."""
    _must_be_probabilities(cases)
    if not cases.truth.size:
        return Figure(name="brier", value=None, reason=NO_CASES)
    need_scikit_learn("The Brier score")
    from sklearn.metrics import brier_score_loss  # noqa: PLC0415 (of an extra)

    return Figure(name="brier", value=float(brier_score_loss(cases.truth, cases.scores, pos_label=True)))


def expected_calibration_error(cases: ScoredCases, bins: int = BINS) -> Figure:
    """As `Calibration.ece`, alone: for a bootstrap. Raises ValueError as `calibration_of`."""
    return _gap(reliability(cases, bins), cases.truth.size)


def reliability(cases: ScoredCases, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Sort cases into at most `bins` bins of equally many, by probability.

    Cases of equal probability stay together, whatever their order: with many of them there are fewer bins.
    Raises ValueError as `calibration_of`, and on fewer than one bin.
    """
    _must_be_probabilities(cases)
    if bins < 1:
        raise ValueError(f"at least one bin, got {bins}")
    scores = cases.scores
    if not scores.size:
        return ()
    # Each bin begins at a score, which takes all its equals along
    edges = np.sort(scores)[np.arange(1, bins) * scores.size // bins]
    of = np.searchsorted(edges, scores, side="right")
    return tuple(_bin(scores[of == n], cases.truth[of == n]) for n in np.unique(of))


def _bin(scores: Float64, truth: NDArray[np.bool_]) -> ReliabilityBin:
    return ReliabilityBin(
        lowest=float(scores.min()),
        highest=float(scores.max()),
        count=scores.size,
        positives=int(np.count_nonzero(truth)),
        mean_probability=float(scores.mean()),
    )


def _gap(table: tuple[ReliabilityBin, ...], cases: int) -> Figure:
    if not table:
        return Figure(name="ece", value=None, reason=NO_CASES)
    apart = sum(one.count * abs(one.observed - one.mean_probability) for one in table)
    return Figure(name="ece", value=apart / cases)


def _must_be_probabilities(cases: ScoredCases) -> None:
    if cases.scores.size and (cases.scores.min() < 0.0 or cases.scores.max() > 1.0):
        raise ValueError("calibration is of probabilities, 0 to 1; these scores are none")


def _held(scores: Float64) -> Float64:
    held: Float64 = np.clip(scores, NEAREST, 1.0 - NEAREST)
    return held


def _log_odds(cases: ScoredCases) -> Float64:
    from scipy.special import logit  # noqa: PLC0415 (slow to load, of use only here)

    odds: Float64 = logit(_held(cases.scores))
    return odds


def _line(cases: ScoredCases) -> tuple[Figure, Figure]:
    """Slope and intercept, or why no line fits: it would be infinitely steep, or stand nowhere."""
    why = cases.one_sided() or _no_line(cases)
    if why:
        return (
            Figure(name="calibration_slope", value=None, reason=why),
            Figure(name="calibration_intercept", value=None, reason=why),
        )
    need_scikit_learn("The slope of a calibration")
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 (of an extra)
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    # Newton's method without a penalty: to the last digits, where the default stops after four
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    with warnings.catch_warnings():
        # At the minimum to the last digit no step leads further down: another solver confirms it
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(_log_odds(cases)[:, np.newaxis], cases.truth)
    return (
        Figure(name="calibration_slope", value=float(model.coef_[0, 0])),
        Figure(name="calibration_intercept", value=float(model.intercept_[0])),
    )


def _no_line(cases: ScoredCases) -> str:
    """Albert and Anderson, Biometrika 71 (1984): a fit exists where both kinds overlap, and only there."""
    odds = _held(cases.scores)
    yes, no = odds[cases.truth], odds[~cases.truth]
    if odds.min() == odds.max():
        return "all probabilities are the same"
    if no.max() <= yes.min() or yes.max() <= no.min():
        return "a threshold parts both kinds of cases: the slope would be infinite"
    return ""


def _in_the_large(cases: ScoredCases) -> Figure:
    name = "calibration_in_the_large"
    why = cases.one_sided()
    if why:
        return Figure(name=name, value=None, reason=why)
    from scipy.optimize import brentq  # noqa: PLC0415 (slow to load, of use only here)
    from scipy.special import expit  # noqa: PLC0415

    odds = _log_odds(cases)

    def surplus(shift: float) -> float:
        return float(expit(odds + shift).sum() - cases.positives)

    # Monotone: at this far up all are certain, at this far down none is possible
    reach = float(np.abs(odds).max()) + np.log(cases.truth.size) + 1.0
    return Figure(name=name, value=float(brentq(surplus, -reach, reach, xtol=1e-12)))
