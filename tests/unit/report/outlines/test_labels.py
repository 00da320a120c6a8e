"""Texts stand beside what they speak of, on the image, and not on each other while there is room."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.report.outlines.labels import Box, SliceTexts
from dicomnode.values import Grid

GRID = Grid((1, 200, 300), np.diag([0.7, 0.9, 2.0, 1.0]), "1.2.3")


def square(column: float, row: float, half: float = 5.0) -> np.ndarray:
    return np.array([(column + x, row + y) for x in (-half, half) for y in (-half, half)])


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_a_text_stands_outwards_of_its_finding_and_points_at_it() -> None:
    for column, is_right in ((220.0, True), (80.0, False)):
        placed = SliceTexts(GRID).place(["nodule-1"], square(column, 100.0))
        assert (placed.box[0] > column + 5) == is_right
        assert (placed.box[2] < column - 5) == (not is_right)
        assert placed.anchor[0] == column + (5 if is_right else -5)


def test_at_the_edge_of_the_image_it_stands_on_the_other_side() -> None:
    assert SliceTexts(GRID).place(["nodule-1"], square(293.0, 100.0)).box[2] < 288.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(10, 290), st.floats(10, 190)), min_size=1, max_size=8))
def test_texts_lie_on_the_image_and_not_on_each_other(places: list[tuple[float, float]]) -> None:
    texts = SliceTexts(GRID)
    boxes = [texts.place(["a nodule", "12 mm3"], square(*place)).box for place in places]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 300
        assert 0 <= top < bottom <= 200
    assert not any(overlap(one, other) for one, other in combinations(boxes, 2))


def test_a_text_longer_than_the_image_and_a_finding_as_large_as_it_have_a_place_all_the_same() -> None:
    texts = SliceTexts(GRID)
    everything = np.array([[0.0, 0.0], [300.0, 200.0]])
    left, top, right, bottom = texts.place(["x" * 500] * 100, everything).box
    assert (left, top, right, bottom) == (0, 0, 300, 200)
