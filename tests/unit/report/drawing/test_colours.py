"""Findings are told apart by their colours, in pictures and in viewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from math import dist

import pytest
from highdicom.color import CIELabColor
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.drawing.colours import coloured
from dicomnode.values import FindingKind, Segment
from dicomnode.values.colours import FIXED, Rgb, next_colour, to_lab
from tests.unit.report.sources import SALT, findings
from tests.unit.report.test_objects import _read

ORGAN, LESION = findings().segments[0], findings().segments[2]


def _organs(colours: Sequence[Rgb]) -> list[Segment]:
    return [replace(ORGAN, label=f"organ {n}", colour_rgb=colour) for n, colour in enumerate(colours)]


def _apart(colours: Sequence[Rgb]) -> float:
    return min(dist(to_lab(a), to_lab(b)) for a, b in combinations(colours, 2))


def test_the_fixed_colours_are_apart_and_are_seen_on_black_and_on_white() -> None:
    assert _apart(FIXED) > 25
    assert all(58 < to_lab(colour)[0] < 93 for colour in FIXED)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_distances_are_those_of_the_colours_that_the_segmentation_carries(colour: Rgb) -> None:
    written = CIELabColor.from_rgb(*colour)
    assert to_lab(colour) == pytest.approx((written.l_star, written.a_star, written.b_star), abs=0.05)


def test_an_engine_s_own_colours_stay_where_they_differ() -> None:
    own = [(102, 170, 255), (102, 220, 190), (255, 160, 0)]
    assert [one.colour_rgb for one in coloured(_organs(own))] == own


@pytest.mark.parametrize("count", [2, 8, len(FIXED)])
def test_organs_of_one_colour_are_given_different_ones(count: int) -> None:
    shown = [one.colour_rgb for one in coloured(_organs([(255, 160, 0)] * count))]
    assert shown[0] == (255, 160, 0)
    assert _apart(shown) >= 25


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=2, max_size=20))
def test_whatever_an_engine_says_neighbours_in_the_list_differ(colours: list[Rgb]) -> None:
    shown = [one.colour_rgb for one in coloured(_organs(colours))]
    assert len(shown) > 4 or _apart(shown) >= 25
    assert all(a != b for a, b in pairwise(shown))


def test_of_more_organs_than_colours_neighbours_differ() -> None:
    shown = [one.colour_rgb for one in coloured(_organs([(255, 160, 0)] * 104))]
    assert all(a != b for a, b in pairwise(shown))


def test_numbered_lesions_are_of_one_sort_and_numbered_organs_are_not() -> None:
    lesions = [replace(LESION, label=f"nodule-{n}") for n in (1, 2)]
    organs = [replace(ORGAN, label=f"rib-{n}", kind=FindingKind.ANATOMY) for n in (1, 2)]
    first, second, third, fourth = (one.colour_rgb for one in coloured([*lesions, *organs]))
    assert first == second
    assert len({second, third, fourth}) == 3


def test_a_colour_that_nobody_asks_for_is_the_first_that_is_free() -> None:
    assert next_colour([]) == FIXED[0]
    assert next_colour([FIXED[0]]) == FIXED[1]


def test_the_segmentation_carries_the_colours_of_the_pictures() -> None:
    segments = tuple(replace(one, colour_rgb=(255, 160, 0)) for one in findings().segments)
    seg = _read(make_objects(findings(segments=segments), ReportProfile(kinds=("SEG",)), SALT)[0])
    written = [tuple(item.RecommendedDisplayCIELabValue) for item in seg.SegmentSequence]
    wanted = [CIELabColor.from_rgb(*one.colour_rgb).value for one in coloured(segments)]
    assert written == wanted
    assert len(set(written)) == 3
