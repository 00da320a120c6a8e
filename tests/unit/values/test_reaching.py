"""A score reaches a threshold that it is equal to in the numbers that networks give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.values import Classification, Code, just_above, least_reaching, reaches

HUNDREDTHS = [0.01, 0.1, 0.3, 0.35, 0.45, 0.5, 0.7, 0.9, 0.95, 1.0]


@pytest.mark.parametrize("threshold", HUNDREDTHS)
def test_a_network_that_gives_the_very_threshold_reaches_it(threshold: float) -> None:
    given_by_network = float(np.float32(threshold))
    assert reaches(given_by_network, threshold)
    assert reaches(threshold, threshold)
    assert reaches(given_by_network, given_by_network)
    of_class = Classification(
        label="one", type=Code("1", "99TEST", "One"), probability=given_by_network, threshold=threshold
    )
    assert of_class.present


@given(st.floats(0.0, 1.0, width=32), st.floats(0.01, 1.0))
def test_of_what_a_network_can_give_a_lower_number_reaches_nothing(score: float, threshold: float) -> None:
    assert reaches(score, threshold) == bool(np.float32(score) >= np.float32(threshold))
    below = float(np.nextafter(np.float32(threshold), np.float32(0.0)))
    assert not reaches(below, threshold)


@given(st.floats(0.0, 1.0))
def test_what_reaches_the_threshold_as_it_is_written_reaches_it_still(threshold: float) -> None:
    assert least_reaching(threshold) <= threshold
    assert least_reaching(threshold) == pytest.approx(threshold, rel=1e-7)


@pytest.mark.parametrize("threshold", [1e39, -1e39, 1e-50, -1e-50, 0.0])
def test_thresholds_that_are_no_float32_are_what_they_are(threshold: float) -> None:
    assert least_reaching(threshold) == threshold


@given(st.floats(-1e38, 1e38))
def test_just_above_a_score_is_a_threshold_that_it_does_not_reach(score: float) -> None:
    assert not reaches(score, just_above(score))
    assert just_above(score) <= score + 2e-7 * abs(score) + 1e-44
