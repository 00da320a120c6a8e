"""Probabilities against what came true: sums and bins by plain numpy, the line by Newton's steps by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dicomnode.evaluate import (
    ScoredCases,
    brier,
    calibration_of,
    expected_calibration_error,
    reliability,
)

probabilities = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.5, 0.8, 0.99, 1.0])),
    min_size=1,
    max_size=40,
)


def _cases(of: list[tuple[bool, float]]) -> ScoredCases:
    return ScoredCases(truth=np.array([t for t, _ in of], bool), scores=np.array([p for _, p in of], float))


def _drawn(many: int, *, sure: float = 1.0, shift: float = 0.0, seed: int = 0) -> ScoredCases:
    """Cases whose log odds are `sure` times too large and `shift` too high."""
    generator = np.random.default_rng(seed)
    odds = generator.normal(0.0, 1.5, many)
    truth = generator.random(many) < 1 / (1 + np.exp(-odds))
    return ScoredCases(truth=truth, scores=1 / (1 + np.exp(-(sure * odds + shift))))


@settings(deadline=None)
@given(probabilities)
def test_brier_is_the_mean_squared_error(of: list[tuple[bool, float]]) -> None:
    assert brier(_cases(of)).value == pytest.approx(np.mean([(p - t) ** 2 for t, p in of]))


def _bins_plainly(of: list[tuple[bool, float]], bins: int) -> list[list[tuple[bool, float]]]:
    """Walk up the sorted cases; a bin ends where its share is full and the next probability is another."""
    ordered = sorted(of, key=lambda case: case[1])
    cuts = {ordered[k * len(of) // bins][1] for k in range(1, bins)}
    found: list[list[tuple[bool, float]]] = [[]]
    for case in ordered:
        if found[-1] and case[1] in cuts and case[1] != found[-1][-1][1]:
            found.append([])
        found[-1].append(case)
    return found


@settings(deadline=None)
@given(probabilities, st.integers(1, 12))
def test_bins_and_their_error_are_what_walking_up_says(of: list[tuple[bool, float]], bins: int) -> None:
    table = reliability(_cases(of), bins)
    plain = _bins_plainly(of, bins)
    assert [(one.count, one.positives) for one in table] == [(len(b), sum(t for t, _ in b)) for b in plain]
    assert [(one.lowest, one.highest) for one in table] == [(b[0][1], b[-1][1]) for b in plain]
    gaps = [abs(sum(t for t, _ in b) - sum(p for _, p in b)) for b in plain]
    assert expected_calibration_error(_cases(of), bins).value == pytest.approx(sum(gaps) / len(of), abs=1e-12)


def test_bins_are_of_equal_mass() -> None:
    assert [one.count for one in reliability(_drawn(200), 10)] == [20] * 10


def test_equal_probabilities_stay_in_one_bin() -> None:
    (one,) = reliability(_cases([(True, 0.3)] * 6 + [(False, 0.3)] * 14), 10)
    assert (one.count, one.observed, one.mean_probability) == (20, 0.3, pytest.approx(0.3))


@settings(deadline=None)
@given(probabilities, st.randoms(use_true_random=False))
def test_the_order_of_cases_does_not_matter(of: list[tuple[bool, float]], random) -> None:
    shuffled = list(of)
    random.shuffle(shuffled)
    one, other = (expected_calibration_error(_cases(cases)).value for cases in (of, shuffled))
    assert one == pytest.approx(other, abs=1e-12)


@settings(deadline=None)
@given(probabilities)
def test_the_opposite_question_is_as_well_calibrated(of: list[tuple[bool, float]]) -> None:
    turned = [(not t, 1.0 - p) for t, p in of]
    assert brier(_cases(turned)).value == pytest.approx(brier(_cases(of)).value)


def _newton(cases: ScoredCases) -> tuple[float, float]:
    """Slope and intercept of largest likelihood, by Newton's steps."""
    odds = np.log(cases.scores / (1 - cases.scores))
    design, weights = np.column_stack([odds, np.ones_like(odds)]), np.zeros(2)
    for _ in range(50):
        expected = 1 / (1 + np.exp(-design @ weights))
        curvature = (design * (expected * (1 - expected))[:, None]).T @ design
        weights = weights + np.linalg.solve(curvature, design.T @ (cases.truth - expected))
    return float(weights[0]), float(weights[1])


@pytest.mark.parametrize(("sure", "shift"), [(1.0, 0.0), (2.0, 0.0), (0.5, 0.0), (1.0, 1.0), (2.0, -1.0)])
def test_the_line_is_that_of_newton_s_steps(sure: float, shift: float) -> None:
    cases = _drawn(300, sure=sure, shift=shift)
    found = calibration_of(cases)
    slope, intercept = _newton(cases)
    assert found.slope.value == pytest.approx(slope, rel=1e-6)
    assert found.intercept.value == pytest.approx(intercept, rel=1e-6, abs=1e-8)


def test_the_line_undoes_what_was_done_to_the_probabilities() -> None:
    right = calibration_of(_drawn(20_000))
    assert right.slope.value == pytest.approx(1.0, abs=0.05)
    assert right.intercept.value == pytest.approx(0.0, abs=0.05)
    assert right.ece.value < 0.02
    too_sure = calibration_of(_drawn(20_000, sure=2.0))
    assert too_sure.slope.value == pytest.approx(right.slope.value / 2, rel=1e-6)
    assert too_sure.ece.value > 0.05


def test_the_line_is_at_the_minimum_also_where_the_solver_finds_no_step_any_more() -> None:
    cases = _cases([(False, 0.1), (False, 0.25), (False, 0.5), (True, 0.25), (True, 0.25), (True, 0.25)])
    found = calibration_of(cases)
    odds = np.log(cases.scores / (1 - cases.scores))
    left = cases.truth - 1 / (1 + np.exp(-(found.intercept.value + found.slope.value * odds)))
    assert [left.sum(), (left * odds).sum()] == pytest.approx([0.0, 0.0], abs=1e-8)


@pytest.mark.parametrize("shift", [-2.0, 0.0, 0.7])
def test_in_the_large_is_what_makes_as_many_as_there_are(shift: float) -> None:
    cases = _drawn(400, shift=shift)
    found = calibration_of(cases).in_the_large.value
    odds = np.log(cases.scores / (1 - cases.scores))
    assert np.sum(1 / (1 + np.exp(-(odds + found)))) == pytest.approx(cases.positives)


@settings(deadline=None)
@given(probabilities)
def test_whatever_the_cases_each_figure_is_a_number_or_says_why(of: list[tuple[bool, float]]) -> None:
    found = calibration_of(_cases(of))
    assert 0.0 <= found.brier.value <= 1.0
    assert 0.0 <= found.ece.value <= 1.0
    assert found.drawn_in == sum(p in (0.0, 1.0) for _, p in of)
    yes, no = [p for t, p in of if t], [p for t, p in of if not t]
    parted = not yes or not no or max(no) <= min(yes) or max(yes) <= min(no)
    assert (found.slope.value is None) == parted
    assert (found.in_the_large.value is None) == (not yes or not no)


@pytest.mark.parametrize(
    ("of", "why"),
    [
        ([(True, 0.9), (True, 0.8), (False, 0.1)], "the slope would be infinite"),
        ([(True, 0.1), (False, 0.1), (False, 0.9)], "the slope would be infinite"),
        ([(True, 0.5), (False, 0.5)], "all probabilities are the same"),
        ([(True, 0.5), (True, 0.6)], "all 2 cases are positive"),
        ([], "there is no case"),
    ],
    ids=["parted", "parted the wrong way round", "all the same", "one class", "none"],
)
def test_where_no_line_fits_it_says_why(of: list[tuple[bool, float]], why: str) -> None:
    found = calibration_of(_cases(of))
    assert found.slope.value is None
    assert why in found.slope.reason
    assert found.intercept.reason == found.slope.reason


def test_without_a_case_there_is_no_figure_and_no_bin() -> None:
    found = calibration_of(_cases([]))
    assert found.bins == ()
    assert {found.brier.reason, found.ece.reason, found.in_the_large.reason} == {"there is no case"}


@settings(deadline=None)
@given(probabilities)
def test_scores_that_are_no_probabilities_are_refused(of: list[tuple[bool, float]]) -> None:
    assume(any(p > 0.4 for _, p in of))
    beyond = [(t, p * 3 - 0.1) for t, p in of]
    for judge in (brier, calibration_of, reliability):
        with pytest.raises(ValueError, match="probabilities"):
            judge(_cases(beyond))


def test_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one bin"):
        reliability(_drawn(10), 0)
