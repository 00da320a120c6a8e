"""Curves, areas and operating points: threshold by threshold and pair by pair, in plain numpy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dicomnode.evaluate import (
    ScoredCases,
    at_sensitivity,
    at_specificity,
    average_precision,
    matrix_at,
    one_against_rest,
    precision_recall_curve,
    roc_auc,
    roc_curve,
    surest_class,
)

# Few different scores: ties are the rule here
pairs = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=20)
both_kinds = pairs.filter(lambda cases: {truth for truth, _ in cases} == {True, False})


def _cases(of: list[tuple[bool, float]]) -> ScoredCases:
    return ScoredCases(truth=np.array([t for t, _ in of], bool), scores=np.array([s for _, s in of], float))


EIGHT = _cases([(True, 0.9), (False, 0.8), (True, 0.7), (True, 0.7), (False, 0.7), (True, 0.4), (False, 0.2)])


@settings(deadline=None)
@given(both_kinds)
def test_the_area_is_the_share_of_pairs_in_right_order(of: list[tuple[bool, int]]) -> None:
    yes, no = [s for t, s in of if t], [s for t, s in of if not t]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(yes, no)]
    assert roc_auc(_cases(of)).value == pytest.approx(sum(wins) / len(wins))


@settings(deadline=None)
@given(both_kinds, st.floats(1e-3, 1e3))
def test_the_area_is_that_of_scikit_learn(of: list[tuple[bool, int]], scale: float) -> None:
    cases = _cases([(truth, score * scale) for truth, score in of])
    assert roc_auc(cases).value == pytest.approx(roc_auc_score(cases.truth, cases.scores), abs=1e-12)


@settings(deadline=None)
@given(both_kinds)
def test_the_area_is_that_of_trapezoids_under_the_points(of: list[tuple[bool, int]]) -> None:
    curve = roc_curve(_cases(of))
    assert curve.area.value == pytest.approx(np.trapezoid(curve.sensitivity, 1.0 - curve.specificity))


@settings(deadline=None)
@given(both_kinds)
def test_every_point_is_what_its_threshold_gives(of: list[tuple[bool, int]]) -> None:
    cases = _cases(of)
    curve = roc_curve(cases)
    assert list(curve.thresholds[1:]) == sorted({float(s) for _, s in of}, reverse=True)
    for threshold, found, false in zip(curve.thresholds, curve.found, curve.false_alarms, strict=True):
        assert found == sum(t and s >= threshold for t, s in of)
        assert false == sum(not t and s >= threshold for t, s in of)
    assert (curve.found[0], curve.false_alarms[0]) == (0, 0)
    assert (curve.found[-1], curve.false_alarms[-1]) == (cases.positives, cases.negatives)
    assert np.isfinite(curve.thresholds).all()


@settings(deadline=None)
@given(both_kinds)
def test_average_precision_is_the_sum_of_its_steps(of: list[tuple[bool, int]]) -> None:
    positives, before, area = sum(t for t, _ in of), 0, 0.0
    for threshold in sorted({s for _, s in of}, reverse=True):
        called = [t for t, s in of if s >= threshold]
        area += (sum(called) - before) / positives * sum(called) / len(called)
        before = sum(called)
    assert average_precision(_cases(of)).value == pytest.approx(area)


@settings(deadline=None)
@given(both_kinds)
def test_every_precision_and_recall_is_what_its_threshold_gives(of: list[tuple[bool, int]]) -> None:
    curve = precision_recall_curve(_cases(of))
    assert list(curve.thresholds) == sorted({float(s) for _, s in of})
    for threshold, precision, recall in zip(curve.thresholds, curve.precision, curve.recall, strict=True):
        called = [t for t, s in of if s >= threshold]
        assert precision == pytest.approx(sum(called) / len(called))
        assert recall == pytest.approx(sum(called) / sum(t for t, _ in of))
    assert curve.prevalence.value == sum(t for t, _ in of) / len(of)


@pytest.mark.parametrize(
    "rising",
    [lambda s: 3 * s + 7, lambda s: s**3, np.exp, lambda s: 1 / (1 + np.exp(-s))],
    ids=["linear", "cubic", "exponential", "logistic"],
)
@settings(deadline=None)
@given(of=both_kinds)
def test_what_keeps_the_order_keeps_the_areas(rising, of: list[tuple[bool, int]]) -> None:
    cases = _cases(of)
    risen = ScoredCases(truth=cases.truth, scores=rising(cases.scores))
    assert roc_auc(risen).value == pytest.approx(roc_auc(cases).value)
    assert average_precision(risen).value == pytest.approx(average_precision(cases).value)


@settings(deadline=None)
@given(both_kinds)
def test_the_area_of_the_opposite_score_and_of_the_opposite_truth_is_the_rest(
    of: list[tuple[bool, int]],
) -> None:
    area = roc_auc(_cases(of)).value
    assert roc_auc(_cases([(t, -s) for t, s in of])).value == pytest.approx(1.0 - area)
    assert roc_auc(_cases([(not t, s) for t, s in of])).value == pytest.approx(1.0 - area)


@settings(deadline=None)
@given(both_kinds, st.randoms(use_true_random=False))
def test_the_order_of_cases_does_not_matter(of: list[tuple[bool, int]], random) -> None:
    shuffled = list(of)
    random.shuffle(shuffled)
    one, other = roc_curve(_cases(of)), roc_curve(_cases(shuffled))
    assert one.found.tolist() == other.found.tolist()
    assert one.area.value == pytest.approx(other.area.value)


@pytest.mark.parametrize(
    ("of", "why"),
    [
        ([], "there is no case"),
        ([(True, 0.5), (True, 0.4)], "all 2 cases are positive: it needs both"),
        ([(False, 0.5)], "all 1 cases are negative: it needs both"),
    ],
    ids=["none", "all positive", "all negative"],
)
def test_without_both_kinds_there_is_no_area_and_it_says_why(of: list, why: str) -> None:
    cases = _cases(of)
    for figure in (roc_auc(cases), average_precision(cases), roc_curve(cases).area):
        assert figure.value is None
        assert figure.reason == why
    assert roc_curve(cases).thresholds.size == precision_recall_curve(cases).thresholds.size == 0
    assert at_sensitivity(roc_curve(cases), 0.9) is None
    assert at_specificity(roc_curve(cases), 0.9) is None


def test_operating_points_by_hand() -> None:
    curve = roc_curve(EIGHT)
    point = at_sensitivity(curve, 0.75)
    assert point.threshold == 0.7
    assert point.sensitivity.text == "0.750 (3 of 4)"
    assert point.specificity.text == "0.333 (1 of 3)"
    assert point.precision.text == "0.600 (3 of 5)"
    assert at_specificity(curve, 0.6).threshold == 0.8
    none = at_specificity(curve, 1.0)
    assert none.threshold == 0.9
    assert none.sensitivity.value == 0.25


def test_where_every_score_calls_a_negative_case_the_wished_specificity_calls_none() -> None:
    point = at_specificity(roc_curve(_cases([(False, 0.9), (True, 0.1)])), 1.0)
    assert 0.9 < point.threshold < 0.9 + 1e-7
    assert matrix_at(_cases([(False, 0.9), (True, 0.1)]), point.threshold).called == (2, 0)
    assert point.sensitivity.value == 0.0
    assert point.precision.reason == "no case is called"


@settings(deadline=None)
@given(both_kinds, st.sampled_from([0.01, 0.25, 1 / 3, 0.5, 0.9, 1.0]))
def test_an_operating_point_reaches_the_wish_and_no_other_does_it_better(
    of: list[tuple[bool, int]], wanted: float
) -> None:
    every = [s + 0.0 for _, s in of] + [10.0]
    yes, no = [s for t, s in of if t], [s for t, s in of if not t]

    def sensitivity(at: float) -> float:
        return sum(s >= at for s in yes) / len(yes)

    def specificity(at: float) -> float:
        return sum(s < at for s in no) / len(no)

    curve = roc_curve(_cases(of))
    found = at_sensitivity(curve, wanted)
    assert found.sensitivity.value == sensitivity(found.threshold) >= wanted
    assert found.specificity.value == max(specificity(at) for at in every if sensitivity(at) >= wanted)
    spared = at_specificity(curve, wanted)
    assert spared.specificity.value == specificity(spared.threshold) >= wanted
    assert spared.sensitivity.value == max(sensitivity(at) for at in every if specificity(at) >= wanted)


@pytest.mark.parametrize("wanted", [0.0, -0.1, 1.01, float("nan")])
def test_a_wish_outside_its_range_is_refused(wanted: float) -> None:
    with pytest.raises(ValueError, match="wanted rate"):
        at_sensitivity(roc_curve(EIGHT), wanted)


@pytest.mark.parametrize(
    ("truth", "scores", "says"),
    [
        ([0, 1], [0.5], "a truth and a score"),
        ([0, 1], [0.5, np.nan], "finite"),
        ([0, 1], [0.5, np.inf], "finite"),
        ([0, 2], [0.5, 0.5], "yes or no"),
        ([0.0, 0.5], [0.5, 0.5], "yes or no"),
    ],
)
def test_cases_that_are_none_are_refused(truth: list, scores: list, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ScoredCases(truth=truth, scores=scores)


def test_a_resample_repeats_cases() -> None:
    taken = EIGHT.take(np.array([0, 0, 1]))
    assert taken.truth.tolist() == [True, True, False]
    assert taken.scores.tolist() == [0.9, 0.9, 0.8]


PROBABILITIES = [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]]


def test_a_class_of_many_is_a_question_with_yes_or_no() -> None:
    cases = one_against_rest([1, 1, 2], PROBABILITIES, 1)
    assert cases.truth.tolist() == [True, True, False]
    assert cases.scores.tolist() == [0.5, 0.4, 0.2]


def test_the_surest_class_is_right_or_not() -> None:
    cases = surest_class([1, 1, 2], PROBABILITIES)
    assert cases.truth.tolist() == [True, False, True]  # of equal ones the first
    assert cases.scores.tolist() == [0.5, 0.4, 0.7]


@pytest.mark.parametrize(
    ("truth", "index", "says"),
    [([1, 1], 0, "a case"), ([1, 1, 3], 0, "outside"), ([1, 1, 2], 3, "class 3"), ([0.5] * 3, 0, "index")],
)
def test_classes_that_are_none_are_refused(truth: list, index: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        one_against_rest(truth, PROBABILITIES, index)
