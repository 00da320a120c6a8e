"""Closed lines are filled by the even-odd rule, whatever they cross."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.assemble.annotations import rings
from dicomnode.assemble.annotations.rings import CrossingsError, fill

SHAPE = (9, 11)
corners = arrays(np.float64, st.tuples(st.integers(3, 8), st.just(2)), elements=st.floats(-4, 14))


def within(ring: np.ndarray, row: float, column: float) -> bool | None:
    """By the book: count the edges that a ray to the left crosses; None where one passes the centre."""
    inside = False
    for (r0, c0), (r1, c1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if (r0 > row) != (r1 > row):
            crossed = (c1 - c0) * (row - r0) / (r1 - r0) + c0
            if abs(crossed - column) < 1e-9:
                return None
            inside ^= bool(column > crossed)
    return inside


@settings(max_examples=100, deadline=None)
@given(some=st.lists(corners, min_size=1, max_size=3))
def test_a_centre_is_within_where_a_ray_crosses_an_odd_number_of_edges(some: list[np.ndarray]) -> None:
    some = [np.round(ring, 3) + 0.0007 for ring in some]  # no corner on a row of centres
    filled, top, left = fill(some, SHAPE)
    whole = np.zeros(SHAPE, dtype=bool)
    whole[top : top + filled.shape[0], left : left + filled.shape[1]] = filled
    for row in range(SHAPE[0]):
        for column in range(SHAPE[1]):
            found = [within(ring, row, column) for ring in some]
            assert None in found or whole[row, column] == (found.count(True) % 2 == 1)


def test_a_ring_beside_the_image_fills_nothing() -> None:
    for far in (-100.0, 100.0, 1e6):
        filled, _, _ = fill([np.array([(far, far), (far, far + 5), (far + 5, far)])], SHAPE)
        assert not filled.any()


def test_a_ring_that_crosses_more_rows_than_any_outline_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(rings, "MOST_CROSSINGS", 15)
    with pytest.raises(CrossingsError, match="16 rows"):
        fill([np.array([(0.5, 1.5), (8.5, 1.5), (8.5, 5.5), (0.5, 5.5)])], SHAPE)
