"""Sensitivity against false alarms: threshold by threshold, matching anew at each, in plain loops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.evaluate import (
    KnownLesion,
    StudyOutcome,
    competition_performance,
    false_alarms_at,
    froc,
    match_candidates,
    sensitivity_at,
    sensitivity_by_size,
    study_outcome,
)

Point = tuple[float, float, float]
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Known:
    centre_lps_mm: Point
    diameter_mm: float = 10.0
    ignore: bool = False


points = st.tuples(*[st.floats(-15, 15)] * 3)
candidates = st.lists(st.tuples(points, st.sampled_from([0.1, 0.3, 0.5, 0.9])), max_size=6)
findings = st.lists(st.builds(Known, points, st.floats(1, 25), st.booleans()), max_size=4)
study_lists = st.lists(st.tuples(candidates, findings), min_size=1, max_size=4)


def _outcomes(studies: list) -> list[StudyOutcome]:
    return [study_outcome(found, truth) for found, truth in studies]


def _plainly(studies: list, threshold: float) -> tuple[int, int, int]:
    """Findings that are found, that count, and candidates on nothing: with the candidates of that score."""
    hits = misses = false = 0
    for found, truth in studies:
        matching = match_candidates([one for one in found if one[1] >= threshold], truth)
        hits += len(matching.hits)
        misses += len(matching.misses)
        false += len(matching.false_positives)
    return hits, hits + misses, false


@given(study_lists)
def test_every_point_is_what_matching_at_its_threshold_says(studies: list) -> None:
    curve = froc(_outcomes(studies))
    for threshold, found, false in zip(curve.thresholds, curve.found, curve.false_alarms, strict=True):
        assert (found, curve.lesions, false) == _plainly(studies, threshold)
    assert (np.diff(curve.thresholds) < 0).all()


@given(study_lists)
def test_the_sensitivity_at_a_rate_is_the_best_that_its_false_alarms_allow(studies: list) -> None:
    curve = froc(_outcomes(studies))
    for rate, figure in zip(RATES, curve.at_rates, strict=True):
        at_each = [_plainly(studies, threshold) for threshold in (0.1, 0.3, 0.5, 0.9, 1.0)]
        best = max(hits for hits, _, false in at_each if false / len(studies) <= rate)
        lesions = at_each[0][1]
        assert figure.value == (best / lesions if lesions else None)
    if curve.lesions:
        assert curve.cpm.value == pytest.approx(np.mean([figure.value for figure in curve.at_rates]))
        assert curve.ceiling.value == _plainly(studies, 0.0)[0] / curve.lesions


@given(study_lists, st.sampled_from([0.1, 0.2, 0.5, 1.0]))
def test_figures_at_a_threshold_are_what_matching_there_says(studies: list, threshold: float) -> None:
    outcomes = _outcomes(studies)
    hits, lesions, false = _plainly(studies, threshold)
    assert sensitivity_at(outcomes, threshold).value == (hits / lesions if lesions else None)
    assert false_alarms_at(outcomes, threshold).value == false / len(studies)


@given(study_lists, st.randoms(use_true_random=False))
def test_neither_the_order_of_studies_nor_a_rising_map_of_scores_matters(studies: list, random) -> None:
    other = [([(at, 5 * score**3) for at, score in found], truth) for found, truth in studies]
    random.shuffle(other)
    one, two = froc(_outcomes(studies)), froc(_outcomes(other))
    assert one.at_rates == two.at_rates
    assert one.found.tolist() == two.found.tolist()


def _lesion(diameter_mm: float, score: float | None) -> KnownLesion:
    return KnownLesion(diameter_mm=diameter_mm, score=score)


TWO = [
    StudyOutcome(lesions=(_lesion(5, 0.9), _lesion(7, None)), false_alarms=(0.8, 0.6)),
    StudyOutcome(lesions=(_lesion(9, 0.7), _lesion(20, 0.2)), false_alarms=(0.1,)),
]


def test_two_studies_by_hand() -> None:
    curve = froc(TWO)
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.7, 0.6, 0.2, 0.1]
    assert curve.found.tolist() == [1, 1, 2, 2, 3, 3]
    assert curve.false_alarms.tolist() == [0, 1, 1, 2, 2, 3]
    # Rates of 1/8 and 1/4 allow none, 1/2 allows one, 1 and 2 allow two and more
    assert [figure.part for figure in curve.at_rates] == [1, 1, 2, 3, 3, 3, 3]
    assert curve.cpm.value == pytest.approx(16 / 28)
    assert competition_performance(TWO) == curve.cpm
    assert curve.ceiling.text == "0.750 (3 of 4)"


def test_sensitivity_by_size_by_hand() -> None:
    classes = sensitivity_by_size(TWO, 0.5)
    assert [(one.from_mm, one.below_mm, one.sensitivity.text) for one in classes] == [
        (0.0, 6.0, "1.000 (1 of 1)"),
        (6.0, 8.0, "0.000 (0 of 1)"),
        (8.0, 15.0, "1.000 (1 of 1)"),
        (15.0, None, "0.000 (0 of 1)"),
    ]


@given(study_lists, st.sampled_from([0.0, 0.3, 0.9]))
def test_sizes_part_the_findings(studies: list, threshold: float) -> None:
    outcomes = _outcomes(studies)
    all_together, edges = sensitivity_at(outcomes, threshold), (3.0, 10.0)
    classes = sensitivity_by_size(outcomes, threshold, edges)
    assert sum(one.sensitivity.part for one in classes) == all_together.part
    assert sum(one.sensitivity.whole for one in classes) == all_together.whole
    sizes = [known.diameter_mm for _, truth in studies for known in truth if not known.ignore]
    assert classes[1].sensitivity.whole == sum(3.0 <= size < 10.0 for size in sizes)


def test_a_size_on_the_edge_belongs_above_it() -> None:
    study = StudyOutcome(lesions=(_lesion(6.0, 0.9),), false_alarms=())
    assert [one.sensitivity.whole for one in sensitivity_by_size([study], 0.5)] == [0, 1, 0, 0]
    assert sensitivity_by_size([study], 0.5)[0].sensitivity.reason == "no finding is of this size"


def test_a_finding_to_be_ignored_counts_nowhere() -> None:
    study = study_outcome([((0.0, 0.0, 0.0), 0.9)], [Known((0.0, 0.0, 0.0), ignore=True)])
    assert study == StudyOutcome(lesions=(), false_alarms=())


@pytest.mark.parametrize(
    ("studies", "why"),
    [([], "there is no study"), ([StudyOutcome(lesions=(), false_alarms=(0.5,))], "no finding that counts")],
    ids=["no study", "no finding"],
)
def test_without_findings_there_is_no_sensitivity_and_it_says_why(studies: list, why: str) -> None:
    curve = froc(studies)
    assert all(figure.value is None and why in figure.reason for figure in curve.at_rates)
    assert curve.cpm.value is None
    assert why in curve.cpm.reason
    assert sensitivity_at(studies, 0.5).value is None


def test_without_a_study_there_are_no_false_alarms_a_study() -> None:
    assert false_alarms_at([], 0.5).reason == "there is no study"


@pytest.mark.parametrize("rates", [(), (1.0, 1.0), (2.0, 1.0), (-1.0, 1.0)])
def test_rates_that_do_not_ascend_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        froc(TWO, rates)


@pytest.mark.parametrize("edges", [(0.0,), (6.0, 6.0), (8.0, 6.0)])
def test_sizes_that_do_not_ascend_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        sensitivity_by_size(TWO, 0.5, edges)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: _lesion(-1.0, 0.5),
        lambda: _lesion(math.nan, 0.5),
        lambda: _lesion(5.0, math.nan),
        lambda: StudyOutcome(lesions=(), false_alarms=(math.inf,)),
        lambda: sensitivity_at(TWO, math.nan),
        lambda: false_alarms_at(TWO, math.nan),
    ],
)
def test_sizes_scores_and_thresholds_are_numbers(wrong) -> None:
    with pytest.raises(ValueError, match=r"finite|0 and more|a number"):
        wrong()


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_candidate_without_a_finite_score_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        study_outcome([((0.0, 0.0, 0.0), score)], [])
