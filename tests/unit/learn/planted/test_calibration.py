"""From heat to a probability and to a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.evaluate import KnownLesion, StudyOutcome
from dicomnode.learn.planted.calibration import Line, calibrated_outcome, fit_line, threshold_for


def study(found: list[float | None], alarms: list[float]) -> StudyOutcome:
    lesions = tuple(KnownLesion(diameter_mm=8.0, score=score) for score in found)
    return StudyOutcome(lesions=lesions, false_alarms=tuple(alarms))


def test_the_line_that_made_the_truth_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, 6000)
    right = rng.uniform(size=6000) < 1.0 / (1.0 + np.exp(-(0.6 * logits - 0.8)))
    line = fit_line(list(1.0 / (1.0 + np.exp(-logits))), list(right))
    assert line.fitted
    assert line.slope == pytest.approx(0.6, abs=0.05)
    assert line.offset == pytest.approx(-0.8, abs=0.08)
    said = np.array(line.of(list(1.0 / (1.0 + np.exp(-logits)))))
    assert said.mean() == pytest.approx(right.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("scores", "right"),
    [
        ([], []),
        ([0.9] * 30, [True] * 30),
        ([0.9, 0.1] * 4, [True, False] * 4),
        ([0.9] * 20 + [0.1] * 20, [False] * 20 + [True] * 20),
    ],
    ids=["none", "all right", "too few", "the wrong way round"],
)
def test_where_nothing_can_be_fitted_nothing_is_changed(scores, right) -> None:
    assert fit_line(scores, right) == Line()


def test_scores_that_part_them_all_give_a_line_that_is_finite() -> None:
    line = fit_line([0.99] * 20 + [0.01] * 20, [True] * 20 + [False] * 20)
    assert line.fitted
    [low, high] = line.of([0.01, 0.99])
    assert 0.0 < low < 0.1
    assert 0.9 < high < 1.0


@pytest.mark.parametrize(
    ("studies", "wanted"),
    [
        ([study([0.9, 0.5], [0.7]), study([0.8], [0.3])], (0.3 + 0.01) / 2),
        ([study([0.9, 0.5], [0.8, 0.7, 0.6])], (0.8 + 0.7) / 2),
        ([study([0.9], [0.99, 0.98, 0.1])], (0.99 + 0.98) / 2),
        ([study([0.9, 0.2], [])], (0.2 + 0.01) / 2),
        ([study([None], [])], 0.5),
    ],
    ids=["all are allowed", "one is", "before the first lesion", "no alarm", "nothing"],
)
def test_the_threshold_lets_one_false_alarm_a_scan_through(studies, wanted: float) -> None:
    threshold = threshold_for(studies)
    assert threshold == pytest.approx(wanted, abs=1e-4)
    alarms = sum(score >= threshold for one in studies for score in one.false_alarms)
    assert alarms <= len(studies)


def test_two_alarms_of_one_score_are_both_kept_out() -> None:
    assert threshold_for([study([0.5], [0.9, 0.9])]) > 0.9


def test_probabilities_stand_where_scores_stood() -> None:
    line = Line(slope=2.0, offset=1.0, fitted=True)
    made = calibrated_outcome(study([0.5, None], [0.5]), line)
    assert made.lesions[0].score == pytest.approx(1.0 / (1.0 + np.exp(-1.0)))
    assert made.lesions[1].score is None
    assert made.false_alarms[0] == made.lesions[0].score
