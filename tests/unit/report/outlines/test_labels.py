"""Texts stand beside what they speak of, on the image, never on each other nor on the notice."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.report.drawing.free_places import Box
from dicomnode.report.outlines.labels import SliceTexts, notice_of
from dicomnode.values import Grid

GRID = Grid((1, 200, 300), np.diag([0.7, 0.9, 2.0, 1.0]), "1.2.3")
NOTICE = notice_of("engine 1.0: what it may be used for, which is told in more than one line. " * 2, GRID)


def square(column: float, row: float, half: float = 5.0) -> np.ndarray:
    return np.array([(column + x, row + y) for x in (-half, half) for y in (-half, half)])


def on_image(part: Box) -> Box:
    return part[0] * 300, part[1] * 200, part[2] * 300, part[3] * 200


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def box(texts: SliceTexts, lines: list[str], points: np.ndarray) -> Box:
    placed = texts.place(lines, points)
    assert placed is not None
    return placed.box


def test_a_text_stands_outwards_of_its_finding_and_points_at_it() -> None:
    for column, is_right in ((220.0, True), (80.0, False)):
        placed = SliceTexts(GRID).place(["nodule-1"], square(column, 100.0))
        assert placed is not None
        assert (placed.box[0] > column + 5) == is_right
        assert (placed.box[2] < column - 5) == (not is_right)
        assert placed.anchor[0] == column + (5 if is_right else -5)


def test_at_the_edge_of_the_image_it_stands_beside_it_all_the_same() -> None:
    assert not overlap(box(SliceTexts(GRID), ["nodule-1"], square(293.0, 100.0)), (288, 95, 298, 105))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(5, 295), st.floats(5, 195)), min_size=1, max_size=60))
def test_texts_lie_on_the_image_and_neither_on_each_other_nor_on_the_notice(
    places: list[tuple[float, float]],
) -> None:
    texts = SliceTexts(GRID, NOTICE)
    placed = [texts.place(["a nodule in a lung", "12 mm3"], square(*place)) for place in places]
    boxes = [on_image(NOTICE.box), on_image(NOTICE.more), *(one.box for one in placed if one is not None)]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 300
        assert 0 <= top < bottom <= 200
    assert not any(overlap(one, other) for one, other in combinations(boxes, 2))
    assert texts.left_out == placed.count(None)
    assert texts.left_out == 0 or len(places) > 15


def test_a_text_keeps_off_the_outlines_of_others() -> None:
    """Of the same finding with and without another one where its text would stand."""
    ring = np.array([[235.0, 90.0], [262, 90], [262, 112], [235, 112], [235, 90]])
    alone = box(SliceTexts(GRID), ["nodule-1"], square(220.0, 100.0))
    beside = box(SliceTexts(GRID, lines=[ring]), ["nodule-1"], square(220.0, 100.0))
    around = (235.0, 90.0, 262.0, 112.0)
    assert (overlap(alone, around), overlap(beside, around)) == (True, False)


def test_where_room_is_short_a_text_is_its_first_line() -> None:
    texts = SliceTexts(GRID)
    texts._places.take((0.0, 0.0, 300.0, 190.0))
    placed = texts.place(["nodule-1", "12 mm3", "score 87.1 %"], square(220.0, 100.0))
    assert placed is not None
    assert placed.lines == ("nodule-1",)


def test_a_text_longer_than_the_image_and_a_finding_as_large_as_it_have_a_place_all_the_same() -> None:
    everything = np.array([[0.0, 0.0], [300.0, 200.0]])
    assert box(SliceTexts(GRID), ["x" * 500] * 100, everything) == (0, 0, 300, 200)


def test_a_notice_takes_as_many_lines_as_it_needs_and_ends_in_dots_where_that_is_too_many() -> None:
    grown = [notice_of("word " * n, GRID) for n in (1, 30, 1000)]
    assert [len(one.lines) for one in grown] == [1, 2, 5]
    assert [one.lines[-1].endswith("…") for one in grown] == [False, False, True]
    heights = [one.box[3] - one.box[1] for one in grown]
    assert [height / heights[0] for height in heights] == pytest.approx([1, 2, 5])
    assert all(one.more[3] == one.box[1] for one in grown)


def test_a_line_that_must_stand_stays_where_room_is_short() -> None:
    texts = SliceTexts(GRID)
    texts._places.take((0.0, 0.0, 300.0, 180.0))
    lines = ["nodule-1", "12 mm3", "score 87.1 %"]
    placed = texts.place(lines, square(220.0, 100.0), ["outline on every 2nd slice"])
    assert placed is not None
    assert placed.lines == ("nodule-1", "outline on every 2nd slice")
    whole = SliceTexts(GRID).place(lines, square(220.0, 100.0), ["outline on every 2nd slice"])
    assert whole is not None
    assert whole.lines == (*lines, "outline on every 2nd slice")


def test_room_is_kept_for_all_that_may_have_to_be_said_above_the_notice() -> None:
    short, long = (notice_of("word", GRID, more) for more in ("+ 12 more: see the layers", "word " * 60))
    assert short.more[2] == 0.5
    assert long.more[2] > 0.9
    assert (long.more[3] - long.more[1]) / (short.more[3] - short.more[1]) == pytest.approx(4)
