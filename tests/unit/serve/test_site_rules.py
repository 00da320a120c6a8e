"""What the rules of the site say of a study: the first that fits decides."""

from __future__ import annotations

import pytest

from dicomnode.serve.deciding.site_rules import (
    NO_WISH,
    PRIORITIES,
    ROUTINE,
    Origin,
    early_origin,
    lane_of,
    wish_for,
)
from dicomnode.settings import RuleSettings
from tests.unit.journal.world import instance


def origin(calling=("CT1",), called=("DICOMNODE",), station=("ROOM1",), modality=("CT",)):
    return Origin(
        calling=frozenset(calling),
        called=frozenset(called),
        modality=frozenset(modality),
        station=None if station is None else frozenset(station),
    )


EMERGENCY = RuleSettings(
    name="emergency", calling=("CT1",), station=("ER*",), priority="stat", engines=("head",)
)
NIGHT = RuleSettings(calling=("CT*",), never=("lung-ct",), priority="low", destinations=("east",))
REST = RuleSettings(name="rest", mode="shadow")
RULES = (EMERGENCY, NIGHT, REST)


def test_without_rules_all_may_run_as_configured():
    assert wish_for((), origin()) == NO_WISH
    assert (NO_WISH.priority, NO_WISH.destinations, NO_WISH.mode, NO_WISH.name) == (ROUTINE, (), "", "")
    assert NO_WISH.allows("lung-ct")


@pytest.mark.parametrize(
    ("of", "decides"),
    [
        (origin(station=("ER-CT",)), EMERGENCY),
        (origin(station=("ROOM1", "ER-CT")), EMERGENCY),
        (origin(), NIGHT),
        (origin(calling=("CT22",), station=("ER-CT",)), NIGHT),
        (origin(calling=("MR1",)), REST),
        (origin(calling=("ct1",)), REST),
    ],
    ids=["both conditions", "of one image", "one of two", "wildcard", "no conditions", "capitals count"],
)
def test_the_first_rule_whose_conditions_all_hold_decides(of, decides):
    assert wish_for(RULES, of).rule is decides


def test_each_rule_that_was_asked_says_what_it_found():
    said = [(answer.name, answer.fits, answer.text) for answer in wish_for(RULES, origin()).answers]
    assert said == [
        ("emergency", False, "Rule emergency does not fit: Station Name is ROOM1, wanted ER*."),
        (
            "number 2",
            True,
            (
                "Rule number 2 fits: calling AE title is CT1. It decides: lung-ct must not run; "
                "priority low; results go to east only."
            ),
        ),
    ]
    assert wish_for(RULES, origin()).name == "number 2"


def test_a_study_without_a_station_fits_no_rule_on_one():
    (first, *_) = wish_for(RULES, origin(station=())).answers
    assert first.text == "Rule emergency does not fit: Station Name is not given, wanted ER*."


@pytest.mark.parametrize(
    ("rule", "head", "lung"),
    [
        (EMERGENCY, True, False),
        (NIGHT, True, False),
        (REST, True, True),
        (RuleSettings(mode="off"), False, False),
    ],
)
def test_a_rule_says_which_engines_may_run(rule, head, lung):
    wish = wish_for((RuleSettings(**_without_conditions(rule)),), origin())
    assert (wish.allows("head"), wish.allows("lung-ct")) == (head, lung)


def _without_conditions(rule):
    return {name: getattr(rule, name) for name in ("engines", "never", "mode")}


@pytest.mark.parametrize(("calling", "lane"), [("CT1", "stat"), ("CT2", "low"), ("MR1", "routine")])
def test_before_the_headers_are_read_the_highest_lane_that_may_be_is_taken(calling, lane):
    assert lane_of(RULES, origin(calling=(calling,), station=None)) == PRIORITIES[lane]
    assert lane_of((EMERGENCY,), origin(calling=(calling,), station=None)) == (
        PRIORITIES["stat"] if calling == "CT1" else ROUTINE
    )


def test_what_the_associations_said_is_known_before_the_headers_are_read():
    early = early_origin([instance(1), instance(2)], ["CT"])
    assert early == Origin(
        calling=frozenset({"CT1"}), called=frozenset({"DICOMNODE"}), modality=frozenset({"CT"})
    )
