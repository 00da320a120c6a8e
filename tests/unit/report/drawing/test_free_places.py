"""Texts find places near what they speak of, on the image, on no other text, and on few lines."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.report.drawing.free_places import Box, FreePlaces, box_around, nearest

SIZE = (300.0, 200.0)


def places() -> FreePlaces:
    return FreePlaces(SIZE, (5.0, 10.0))


def around(x: float, y: float, half: float = 6.0) -> Box:
    return x - half, y - half, x + half, y + half


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 300), st.floats(0, 200), st.floats(5, 120), st.floats(5, 40)),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_is_placed_lies_on_the_image_and_on_nothing_that_is_taken(
    wanted: list[tuple[float, float, float, float]],
) -> None:
    free = places()
    kept: Box = (10.0, 180.0, 290.0, 198.0)
    free.take(kept)
    found = [free.place(wide, high, around(x, y)) for x, y, wide, high in wanted]
    boxes = [kept, *(box for box in found if box is not None)]
    for left, top, right, bottom in boxes:
        assert (left >= 0, top >= 0, right <= 300, bottom <= 200) == (True,) * 4
    assert not any(overlap(one, other) for one, other in combinations(boxes, 2))
    assert found[0] is not None


def test_a_text_stands_outwards_of_what_it_speaks_of_and_inwards_only_at_the_edge() -> None:
    for x, is_right in ((220.0, True), (80.0, False), (288.0, False), (12.0, True)):
        box = places().place(60, 10, around(x, 100))
        assert box is not None
        assert box[0] > x if is_right else box[2] < x, x


def test_lines_are_left_free_where_there_is_room_beside_them() -> None:
    free = places()
    for row in range(80, 121, 5):
        free.avoid(np.array([[230.0, row], [300.0, row]]))
    box = free.place(60, 10, around(220, 100))
    assert box is not None
    assert not overlap(box, (230.0, 80.0, 300.0, 121.0))


def test_where_nothing_is_free_or_near_enough_there_is_no_place() -> None:
    free = places()
    assert free.place(301, 10, around(100, 100)) is None
    free.take((0.0, 0.0, 300.0, 150.0))
    assert free.place(60, 10, around(100, 100), farthest=3.0) is None
    box = free.place(60, 10, around(100, 100))
    assert box is not None
    assert box[1] >= 150


def test_a_line_leads_from_a_text_to_the_nearest_point() -> None:
    points = np.array([[10.0, 10.0], [50.0, 10.0], [50.0, 60.0], [10.0, 60.0]])
    assert box_around(points) == (10, 10, 50, 60)
    assert nearest(points, (70.0, 55.0, 90.0, 65.0)) == (50, 60)
    assert nearest(points, (0.0, 0.0, 9.0, 5.0)) == (10, 10)
