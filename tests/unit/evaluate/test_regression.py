"""Errors, limits of agreement and concordance of numbers, recomputed by plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.evaluate.regression import (
    MeasuredCases,
    bias,
    concordance,
    limits_of_agreement,
    mean_absolute_error,
    pearson,
    root_mean_square_error,
)

FOUND = np.array([10.0, 12.5, 9.0, 30.0, 22.0])
TRUE = np.array([11.0, 12.0, 7.5, 33.0, 20.0])
CASES = MeasuredCases.of(FOUND, TRUE)


def test_errors_and_bias_are_those_of_numpy():
    apart = FOUND - TRUE
    assert mean_absolute_error(CASES).value == pytest.approx(np.abs(apart).mean())
    assert root_mean_square_error(CASES).value == pytest.approx(np.sqrt((apart**2).mean()))
    assert bias(CASES).value == pytest.approx(apart.mean())


def test_limits_of_agreement_are_bland_and_altman_s():
    low, high = limits_of_agreement(CASES)
    apart = FOUND - TRUE
    assert low.value == pytest.approx(apart.mean() - 1.959964 * apart.std(ddof=1), abs=1e-5)
    assert high.value == pytest.approx(apart.mean() + 1.959964 * apart.std(ddof=1), abs=1e-5)


def test_concordance_is_lin_s_and_correlation_is_pearson_s():
    covariance = np.cov(FOUND, TRUE, ddof=0)[0, 1]
    expected = 2 * covariance / (FOUND.var() + TRUE.var() + (FOUND.mean() - TRUE.mean()) ** 2)
    assert concordance(CASES).value == pytest.approx(expected)
    assert pearson(CASES).value == pytest.approx(np.corrcoef(FOUND, TRUE)[0, 1])


def test_twice_the_truth_correlates_perfectly_and_does_not_agree():
    doubled = MeasuredCases.of(2 * TRUE, TRUE)
    assert pearson(doubled).value == pytest.approx(1.0)
    assert concordance(doubled).value < 0.6
    assert bias(doubled).value == pytest.approx(TRUE.mean())


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e6, 1e6)))
def test_numbers_that_are_right_have_no_error(values):
    cases = MeasuredCases.of(values, values)
    assert mean_absolute_error(cases).value == 0.0
    agreed = concordance(cases)
    if len(np.unique(values)) == 1:
        assert agreed.value is None
    elif np.ptp(values) > 1e-3:  # nearer ones are rounding
        assert agreed.value == pytest.approx(1.0)


def test_nothing_divided_by_nothing_is_a_reason_and_not_a_number():
    none = MeasuredCases.of([], [])
    for figure in (mean_absolute_error, root_mean_square_error, bias, concordance, pearson):
        assert figure(none).value is None
        assert figure(none).reason
    one = MeasuredCases.of([1.0], [2.0])
    assert all(figure.value is None for figure in limits_of_agreement(one))
    flat = MeasuredCases.of([1.0, 2.0], [3.0, 3.0])
    assert pearson(flat).reason == "all true numbers are the same"
    assert concordance(flat).value == 0.0


@pytest.mark.parametrize(
    ("found", "true"), [([1.0], [1.0, 2.0]), ([np.nan], [1.0]), ([[1.0]], [[1.0]]), ([1.0], [np.inf])]
)
def test_cases_that_cannot_be_are_not_made(found, true):
    with pytest.raises(ValueError):
        MeasuredCases.of(found, true)
