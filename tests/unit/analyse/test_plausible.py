"""The table of checks on lungs: each limit, on both sides of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.analyse.algorithms.airless import Airless
from dicomnode.analyse.algorithms.plausible import REASONS, REFUSALS, LungFacts, reasons, refused

GOOD = LungFacts(
    right_ml=2300.0,
    left_ml=2000.0,
    mean_hu=-830.0,
    median_hu=-860.0,
    share=0.5,
    height_mm=250.0,
    airways_ml=40.0,
    branches=4,
)
ASIDE = replace(GOOD, goes_on="left")
CUT = replace(GOOD, cut_at_top=("right", "left"), cut_at_bottom=("right",))


def test_usual_lungs_are_neither_refused_nor_doubted():
    assert refused(GOOD) is None
    assert reasons(GOOD) == ()


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (replace(CUT, right_ml=80.0, left_ml=60.0), "only 140 ml"),
        (replace(GOOD, right_ml=280.0, left_ml=130.0), "seen whole and hold only 410 ml"),
        (replace(ASIDE, right_ml=280.0, left_ml=0.0, open_sides=("left",)), "the left, the field of view is"),
        (replace(GOOD, median_hu=-980.0), "no lung tissue"),
        (replace(GOOD, share=0.08), "at most 8 %"),
    ],
    ids=["little air", "bowel gas", "a part of a lung", "gas", "small part of the body"],
)
def test_what_are_no_lungs_is_refused_with_the_value_found(facts, text):
    assert text in (refused(facts) or "")


@pytest.mark.parametrize(
    "facts",
    [
        replace(CUT, right_ml=90.0, left_ml=60.0),
        replace(GOOD, right_ml=450.0, left_ml=350.0),
        replace(CUT, right_ml=280.0, left_ml=130.0),
        replace(CUT, right_ml=280.0, left_ml=130.0, open_sides=("left",)),
        replace(ASIDE, right_ml=280.0, left_ml=0.0),
        replace(GOOD, median_hu=-965.0),
        replace(GOOD, share=0.12),
    ],
    ids=[
        "150 ml",
        "800 ml seen whole",
        "a slab",
        "a slab with an open side",
        "one lung alone",
        "emphysema",
        "a slab of the base",
    ],
)
def test_at_the_limit_they_are_not_refused(facts):
    assert refused(facts) is None


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (replace(GOOD, left_ml=0.0), "Only the right lung"),
        (replace(GOOD, by_plane=True), "divided by a plane"),
        (replace(GOOD, right_ml=5000.0, left_ml=4100.0), "hold 9100 ml"),
        (replace(GOOD, right_ml=800.0, left_ml=600.0), "hold 1400 ml"),
        (replace(GOOD, right_ml=1922.0, left_ml=940.0), "Right lung 1922 ml, left lung 940 ml"),
        (replace(GOOD, right_ml=940.0, left_ml=1922.0), "Right lung 940 ml, left lung 1922 ml"),
        (replace(GOOD, mean_hu=-640.0), "mean of -640 HU"),
        (replace(GOOD, mean_hu=-955.0), "mean of -955 HU"),
        (CUT, "cut off the right and left lungs at the top and the right lung at the bottom"),
        (replace(GOOD, dense_ml=3.0), "dense region of about 3 ml"),
        (
            replace(GOOD, airless=Airless(wall_left_ml=16.0)),
            "(0 ml lie between on the right, 16 ml on the left)",
        ),
        (replace(GOOD, airless=Airless(uneven_ml=81.0)), "mediastinum is 81 ml larger on the right"),
        (replace(GOOD, airless=Airless(uneven_ml=-81.0)), "mediastinum is 81 ml larger on the left"),
        (replace(GOOD, airless=Airless(within_ml=11.0)), "11 ml of dense tissue lie among a lung"),
        (replace(GOOD, extra_air_ml=60.0), "60 ml of air lie beside"),
        (replace(GOOD, airways_ml=0.0, branches=0), "trachea was not found"),
        (replace(GOOD, airways_ml=8.0), "followed over 8 ml"),
        (replace(GOOD, airways_ml=151.0), "followed over 151 ml"),
        (replace(GOOD, branches=1), "1 branch(es)"),
    ],
)
def test_what_speaks_against_the_outline_is_said(facts, text):
    found = [reason for reason in reasons(facts) if text in reason]
    assert len(found) == 1


@pytest.mark.parametrize(
    "facts",
    [
        replace(CUT, right_ml=400.0, left_ml=380.0),
        replace(GOOD, right_ml=900.0, left_ml=300.0, height_mm=40.0, cut_at_top=("right",), airways_ml=0.0),
    ],
    ids=["volume of a slab", "ratio and airways of a slab"],
)
def test_what_a_slab_cannot_tell_is_not_held_against_it(facts):
    assert all(text.startswith("The images do not cover") for text in reasons(facts))


def test_every_check_has_a_name_of_its_own():
    names = [check.name for check in (*REFUSALS, *REASONS)]
    assert len(set(names)) == len(names)
