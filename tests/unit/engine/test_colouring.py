"""Colours of segments that nobody gave one: an organ's usual one, all told apart, always the same."""

from __future__ import annotations

from itertools import combinations
from math import dist

import pytest

from dicomnode.engine.adding.colouring import ANATOMY, coloured
from dicomnode.engine.adding.labelling import segment_output
from dicomnode.values.colours import to_lab

LIVER = (221, 130, 101)  # of 3D Slicer's GenericAnatomyColors
SPLEEN = (157, 108, 162)
LUNG = (197, 165, 145)
MASS = (144, 238, 144)
KIDNEY = (185, 102, 83)


def colours(*names: str) -> list[tuple[int, ...]]:
    return [tuple(one["colour_rgb"]) for one in coloured([segment_output(name, []) for name in names])]


def closest(found: list[tuple[int, ...]]) -> float:
    return min(dist(to_lab(one), to_lab(other)) for one, other in combinations(found, 2))


def test_organs_have_the_colours_that_viewers_show_them_in():
    assert colours("liver", "spleen", "lungs", "tumour") == [LIVER, SPLEEN, LUNG, MASS]
    assert colours("kidney") == [KIDNEY]


def test_two_of_one_colour_are_told_apart():
    left, right = colours("left kidney", "right kidney")
    assert left == KIDNEY
    assert closest([left, right]) >= 25.0


@pytest.mark.parametrize(("count", "apart"), [(2, 100.0), (8, 50.0), (24, 25.0), (104, 10.0)])
def test_labels_that_nobody_knows_lie_far_from_each_other(count, apart):
    names = [f"thing of the sort {number}" for number in range(count)]
    found = colours(*names)
    assert closest(found) >= apart
    assert colours(*names) == found
    assert all(dist(to_lab(one)[1:], (0.0, 0.0)) >= 38.0 for one in found)  # seen on grey


def test_a_colour_that_somebody_chose_stays_and_is_no_one_elses():
    chosen = segment_output("spleen", []) | {"colour_rgb": list(LIVER)}
    spleen, liver = coloured([chosen, segment_output("liver", [])])
    assert spleen["colour_rgb"] == list(LIVER)
    assert closest([LIVER, tuple(liver["colour_rgb"])]) >= 25.0


def test_only_segments_have_a_colour():
    assert coloured([{"classification": "sick"}]) == [{"classification": "sick"}]


def test_every_usual_colour_is_a_colour():
    assert all(len(one) == 3 and all(0 <= part <= 255 for part in one) for one in ANATOMY.values())
