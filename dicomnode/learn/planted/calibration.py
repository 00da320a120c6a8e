"""From heat to a probability, and the score from which on a candidate is reported.

Platt scaling (Platt 1999): a line on the logit, fitted on worlds that were never trained on. Two numbers are
enough for that, and unlike a curve of steps (isotonic) they can stand in the graph of the network itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.evaluate import KnownLesion, StudyOutcome, froc
from dicomnode.values.geometry import Float64

FALSE_ALARMS: Final = 1.0
"""False alarms a scan that are allowed."""

_FEW: Final = 10  # candidates of a kind that a line is fitted to
_STEPS: Final = 100
_FLAT: Final = 0.05  # a smaller slope would say that the score says nothing
_UNTRIED: Final = 0.5
_LEAST: Final = 0.01
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Probability = logistic of slope · logit + offset. fitted: whether there was enough to fit it to."""

    slope: float = 1.0
    offset: float = 0.0
    fitted: bool = False

    def of(self, scores: Sequence[float]) -> list[float]:
        """Return the probabilities of scores."""
        return [float(one) for one in _logistic(self.slope * _logit(scores) + self.offset)]


def fit_line(scores: Sequence[float], right: Sequence[bool]) -> Line:
    """Fit by Newton's method, with Platt's targets, so that no score becomes 0 or 1.

    Too few of a kind, or scores that say nothing, give the line that changes nothing.
    """
    good = int(np.sum(right))
    bad = len(right) - good
    if min(good, bad) < _FEW:
        return Line()
    x = _logit(scores)
    wanted = np.where(np.asarray(right), (good + 1.0) / (good + 2.0), 1.0 / (bad + 2.0))
    design = np.stack([x, np.ones_like(x)], axis=1)
    line = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        said = _logistic(design @ line)
        slope = design.T @ (wanted - said) - 1e-6 * line
        curve = (design * (said * (1.0 - said))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        line = line + np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-9:
            break
    if not line[0] > _FLAT:
        return Line()
    return Line(slope=float(line[0]), offset=float(line[1]), fitted=True)


def calibrated_outcome(outcome: StudyOutcome, line: Line) -> StudyOutcome:
    """Return an outcome with probabilities in the place of scores."""
    return StudyOutcome(
        lesions=tuple(
            KnownLesion(
                diameter_mm=one.diameter_mm, score=None if one.score is None else line.of([one.score])[0]
            )
            for one in outcome.lesions
        ),
        false_alarms=tuple(line.of(outcome.false_alarms)),
    )


def threshold_for(outcomes: Sequence[StudyOutcome], rate: float = FALSE_ALARMS) -> float:
    """Return the lowest score with at most `rate` false alarms a study, halfway down to the next score.

    Halfway, so that a last bit that differs on another machine lets no further candidate through.
    """
    curve = froc(outcomes)
    allowed = np.flatnonzero(curve.false_alarms <= rate * len(outcomes))
    if not allowed.size:  # the surest of all is already one too many
        return (
            _UNTRIED if not curve.thresholds.size else min(round(float(curve.thresholds[0]) + 1e-3, 4), 1.0)
        )
    last = int(allowed[-1])
    below = float(curve.thresholds[last + 1]) if last + 1 < len(curve.thresholds) else _LEAST
    return max(round((float(curve.thresholds[last]) + below) / 2.0, _DIGITS), _LEAST)


def _logit(scores: Sequence[float]) -> Float64:
    inside = np.clip(np.asarray(scores, dtype=np.float64), 1e-7, 1.0 - 1e-7)
    logits: Float64 = np.log(inside / (1.0 - inside))
    return logits


def _logistic(x: Float64) -> Float64:
    said: Float64 = 1.0 / (1.0 + np.exp(-x))
    return said
