from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.deliver import next_try_s


@pytest.mark.parametrize(
    ("attempt", "jitter", "wait_s"),
    [
        (1, 0.0, 10.0),
        (2, 0.0, 20.0),
        (3, 0.0, 40.0),
        (8, 0.0, 1280.0),
        (9, 0.0, 1800.0),
        (10_000, 0.0, 1800.0),
        (1, 1.0, 8.0),
        (9, 0.5, 1620.0),
    ],
)
def test_the_wait_doubles_up_to_the_longest(attempt: int, jitter: float, wait_s: float) -> None:
    assert next_try_s(attempt, 10.0, 1800.0, jitter) == pytest.approx(wait_s)


@given(
    st.integers(1, 10**9),
    st.floats(0.001, 1e6),
    st.floats(0.001, 1e6),
    st.floats(0, 1),
)
def test_the_wait_is_never_above_the_longest_nor_nothing(
    attempt: int, first_s: float, longest_s: float, jitter: float
) -> None:
    wait_s = next_try_s(attempt, first_s, longest_s, jitter)
    assert 0.79 * min(first_s, longest_s) <= wait_s <= longest_s


@given(st.integers(1, 100), st.floats(0, 1))
def test_a_later_try_never_waits_less_at_the_same_jitter(attempt: int, jitter: float) -> None:
    assert next_try_s(attempt, 10, 1800, jitter) <= next_try_s(attempt + 1, 10, 1800, jitter)


@pytest.mark.parametrize(
    "wrong", [(0, 1.0, 2.0, 0.0), (1, 0.0, 2.0, 0.0), (1, 1.0, -1.0, 0.0), (1, 1.0, 2.0, 1.1)]
)
def test_what_gives_no_wait_is_refused(wrong: tuple[int, float, float, float]) -> None:
    with pytest.raises(ValueError, match="no wait follows"):
        next_try_s(*wrong)
