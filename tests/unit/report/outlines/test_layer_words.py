"""What is said of outlines that are not on every slice stands in texts and layers, however short they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.report.outlines.drawn_slices import DrawnSegment
from dicomnode.report.outlines.layer_words import layer_text, left_out, more_text, words_of_segment
from tests.unit.report.sources import findings


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (1, ""),
        (2, "outline on every 2nd slice"),
        (8, "outline on every 8th slice"),
        (0, "outline left out: too large"),
    ],
)
def test_it_is_the_last_line_of_a_text(step: int, said: str) -> None:
    found = findings()
    one = DrawnSegment(found.segments[2], 6, step, {})
    assert left_out(one) == said
    words = words_of_segment(one, found)
    assert words.last == ((said,) if said else ())
    assert words.lines[0] == "nodule-1: Nodule, right lung"
    assert words.lines[-1] == "score 87.1 %"


def test_a_score_that_is_calibrated_is_called_a_probability() -> None:
    found = findings()
    segment = replace(found.segments[2], calibrated=True)
    words = words_of_segment(DrawnSegment(segment, 6, 1, {}), found)
    assert words.lines[-1] == "calibrated probability 87.1 %"


def test_the_end_of_a_layers_description_is_never_cut() -> None:
    assert layer_text("nodule-1: Nodule") == "nodule-1: Nodule"
    assert layer_text("x" * 90) == "x" * 64
    assert layer_text("x" * 90, "outline on every 2nd slice") == "x" * 36 + ", outline on every 2nd slice"


def test_those_without_a_text_are_counted_by_what_is_left_out() -> None:
    assert more_text(7, {}) == "+ 7 more: see the layers"
    said = {"outline on every 4th slice": 3, "outline left out: too large": 1}
    assert more_text(7, said) == (
        "+ 7 more: see the layers; 1 with outline left out: too large; 3 with outline on every 4th slice"
    )
