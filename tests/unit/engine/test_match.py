"""Which stack of a study an engine takes, and why not the others."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.engine import (
    COVERS_FROM,
    PIXELS,
    Preference,
    find_engine,
    hang_on_pixels,
    match,
    match_further,
    match_tied,
    may_want,
    read_manifest,
    wanted_but_refused,
)
from dicomnode.engine.matching import _worth
from dicomnode.faults import GANTRY_TILT, LOCALIZER
from dicomnode.values import Refusal, SeriesFacts
from tests.unit.engine.small_engine import MANIFEST

SMALL, _ = read_manifest(Path("engine.toml"), MANIFEST.replace("SHA256", "0" * 64).encode())


def stack(uid: str = "1.2.3", *, number: int = 0, refusal: Refusal | None = None, modality="CT", **facts):
    known = {"spacing_k_mm": 2.0, "covers": ("chest", "lung"), "instances": 100, **facts}
    return SeriesFacts(
        study_instance_uid="1.2",
        series_instance_uid=uid,
        stack=number,
        tags={"Modality": modality},
        facts=known,
        refusal=refusal,
    )


def refused(fault) -> Refusal:
    return Refusal(code=fault.code, text=f"refused by {fault.code}")


def test_the_first_rule_that_fails_is_named_with_the_value_found():
    [verdict] = match(SMALL, [stack(modality="MR", spacing_k_mm=9.0)])
    assert (verdict.chosen, verdict.score) == (False, None)
    assert (verdict.rule, verdict.found) == ("Modality is CT", "MR")
    [verdict] = match(SMALL, [stack(spacing_k_mm=9.0)])
    assert (verdict.rule, verdict.found) == ("spacing between slices at most 5 mm", "9 mm")
    assert (verdict.engine, verdict.version) == ("small", "0.1.0")


def test_the_only_stack_that_holds_all_rules_is_chosen():
    chosen, other = match(SMALL, [stack("1.1"), stack("1.2", modality="SR")])
    assert (chosen.chosen, chosen.score) == (True, 1.0)
    assert (chosen.rule, chosen.found) == ("holds all rules", "spacing between slices: 2 mm")
    assert not other.chosen


def test_of_several_the_one_with_the_highest_score_is_chosen_and_the_others_say_by_how_much():
    thick, thin = match(SMALL, [stack("1.1", spacing_k_mm=5.0), stack("1.2", spacing_k_mm=1.25)])
    assert (thin.chosen, thin.score) == (True, 1.0)
    assert thin.rule == "the best of 2 series that hold all rules"
    assert (thick.chosen, thick.score) == (False, 0.25)
    assert (thick.rule, thick.found) == (
        "another series is preferred",
        "score 0.250, the chosen one has 1.000",
    )


def test_equal_scores_are_decided_by_more_instances_then_by_the_lower_uid():
    few, many = match(SMALL, [stack("1.1", instances=10), stack("1.2", instances=11)])
    assert (few.chosen, many.chosen) == (False, True)
    first, second = match(SMALL, [stack("1.2"), stack("1.1")])
    assert (first.series_instance_uid, first.chosen, second.chosen) == ("1.1", True, False)


def test_a_stack_whose_anatomy_is_unknown_is_taken_and_it_is_said():
    [verdict] = match(SMALL, [stack(covers=())])
    assert verdict.chosen
    assert verdict.found == "spacing between slices: 2 mm; body parts shown: not known, taken for now"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_in_which_the_series_came_changes_nothing(order):
    stacks = [stack("1.9", spacing_k_mm=1.0), stack("1.10"), stack("1.10", number=1, spacing_k_mm=1.0)]
    assert match(SMALL, [stacks[n] for n in order]) == match(SMALL, stacks)


def test_no_stack_gives_no_verdict():
    assert match(SMALL, []) == []
    assert wanted_but_refused(SMALL, []) == []


def test_a_refused_stack_that_the_engine_wanted_gives_the_text_of_its_refusal():
    one = stack(refusal=refused(GANTRY_TILT), spacing_k_mm=None)
    [verdict] = match(SMALL, [one])
    assert (verdict.chosen, verdict.score) == (False, None)
    assert (verdict.rule, verdict.found) == (f"refused by {GANTRY_TILT.code}", GANTRY_TILT.code)
    assert wanted_but_refused(SMALL, [one]) == [one]


def test_of_several_refused_stacks_the_one_with_the_most_instances_comes_first():
    few, many = (stack(f"1.{n}", refusal=refused(GANTRY_TILT), instances=n) for n in (2, 30))
    assert wanted_but_refused(SMALL, [few, many]) == [many, few]


@pytest.mark.parametrize(
    ("one", "rule"),
    [
        (stack(refusal=refused(GANTRY_TILT), modality="MR"), "Modality is CT"),
        (stack(refusal=refused(GANTRY_TILT), covers=("head",)), "body parts shown include lung"),
        (stack(refusal=refused(LOCALIZER)), f"refused by {LOCALIZER.code}"),
        (stack(spacing_k_mm=9.0), "spacing between slices at most 5 mm"),
        (stack(), "holds all rules"),
    ],
    ids=["other modality", "other body part", "a localizer", "too thick", "chosen"],
)
def test_what_the_engine_did_not_want_or_could_have_is_not_wanted_but_refused(one, rule):
    [verdict] = match(SMALL, [one])
    assert verdict.rule == rule
    assert wanted_but_refused(SMALL, [one]) == []


def test_a_refusal_that_the_table_does_not_know_is_answered_too():
    one = stack(refusal=Refusal(code="DN-3999", text="of a newer version"))
    assert wanted_but_refused(SMALL, [one]) == [one]


@pytest.mark.parametrize(
    ("preference", "value", "worth"),
    [
        ({"fact": "spacing_k_mm", "smaller": True}, 4.0, 0.5),
        ({"fact": "spacing_k_mm", "larger": True}, 4.0, 1.0),
        ({"fact": "spacing_k_mm", "larger": True}, 1.0, 0.5),
        ({"fact": "spacing_k_mm", "smaller": True}, None, 0.0),
        ({"fact": "spacing_k_mm", "smaller": True}, 0.0, 0.0),
        ({"fact": "spacing_k_mm", "smaller": True}, "text", 0.0),
        ({"fact": "plane", "equals": "axial"}, "axial", 1.0),
        ({"fact": "plane", "equals": "axial"}, "coronal", 0.0),
        ({"fact": "covers", "matches": "^l"}, ("chest", "lung"), 1.0),
        ({"fact": "covers", "matches": "^l"}, ("head",), 0.0),
    ],
)
def test_a_preference_is_worth_nought_to_one(preference, value, worth):
    one = Preference(**preference)
    this = stack("1.1", **{one.fact: value})
    other = stack("1.2", spacing_k_mm=2.0)
    assert _worth(one, this, [this, other]) == worth


@given(
    st.lists(
        st.tuples(st.floats(0.1, 9.0), st.integers(1, 500), st.sampled_from(["CT", "MR"])),
        min_size=0,
        max_size=6,
    )
)
def test_exactly_one_is_chosen_when_any_holds_and_it_has_the_highest_score(rows):
    stacks = [
        stack(f"1.{n}", spacing_k_mm=spacing, instances=count, modality=modality)
        for n, (spacing, count, modality) in enumerate(rows)
    ]
    verdicts = match(SMALL, stacks)
    able = [spacing for spacing, _, modality in rows if modality == "CT" and spacing <= 5.0]
    chosen = [verdict for verdict in verdicts if verdict.chosen]
    assert len(verdicts) == len(rows)
    assert len(chosen) == min(1, len(able))
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    assert len(scores) == len(able)
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert not chosen or chosen[0].score == max(scores)


def test_the_shipped_engine_takes_the_thin_soft_axial_series_of_a_chest_ct():
    def chest(uid, **changes):
        tags = {
            "Modality": "CT",
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "ConvolutionKernel": changes.pop("kernel", "B70f"),
        }
        facts = {
            "instances": 200,
            "extent_k_mm": 300.0,
            "spacing_k_mm": 1.5,
            "rows": 512,
            "columns": 512,
            "plane": "axial",
            "covers": ("chest", "lung"),
            "lossy": False,
            "unit": "HU",
        }
        return SeriesFacts(
            study_instance_uid="1", series_instance_uid=uid, tags=tags, facts={**facts, **changes}
        )

    study = [
        chest("1.1", kernel="B30f"),
        chest("1.2"),
        chest("1.3", kernel="B30f", spacing_k_mm=5.0),
        chest("1.4", kernel="B30f", plane="coronal"),
        chest("1.5", kernel="B30f", extent_k_mm=40.0),
        chest("1.6", kernel="B30f", lossy=True),
        chest("1.7", extent_k_mm=15.0),
    ]
    verdicts = match(find_engine("lung-ct").manifest, study)
    assert [verdict.chosen for verdict in verdicts] == [True] + [False] * 6
    assert verdicts[5].rule == "images never compressed with loss"
    assert verdicts[6].rule == "length that the slices cover at least 20 mm"


def matching(**keys):
    """The small engine, its first input with these keys."""
    spec = replace(SMALL.input[0], **keys)
    return replace(SMALL, input=(spec, *SMALL.input[1:]))


def test_of_all_series_each_that_holds_the_rules_is_taken():
    stacks = [
        stack("1.1", spacing_k_mm=5.0),
        stack("1.2", spacing_k_mm=9.0),
        stack("1.3"),
        stack("1.3", number=1),
    ]
    verdicts = match(matching(series="all"), stacks)
    assert [verdict.chosen for verdict in verdicts] == [True, False, True, True]
    assert verdicts[0].rule == "one of 3 series that hold all rules, each of which is taken"
    assert (verdicts[0].score, verdicts[2].score) == (0.4, 1.0)


EQUALS = [stack("1.2"), stack("1.1"), stack("1.3", spacing_k_mm=4.0)]


@pytest.mark.parametrize(
    ("ties", "chosen"),
    [("first", ["1.1"]), ("all", ["1.1", "1.2"]), ("none", [])],
    ids=["first", "all", "none"],
)
def test_what_is_taken_of_two_that_are_equally_good_is_the_engine_s_to_say(ties, chosen):
    engine = matching(ties=ties)
    verdicts = match(engine, EQUALS)
    assert [verdict.series_instance_uid for verdict in verdicts if verdict.chosen] == chosen
    tied = [one.series_instance_uid for one in match_tied(engine, EQUALS)]
    assert tied == (["1.1", "1.2"] if ties == "none" else [])
    if ties == "none":
        assert verdicts[0].rule == "several series fit equally well, and the engine takes one only"
        assert (verdicts[0].score, verdicts[2].score) == (1.0, 0.5)


def test_one_that_is_better_or_has_more_images_is_no_tie():
    assert match_tied(matching(ties="none"), [stack("1.1"), stack("1.2", spacing_k_mm=1.0)]) == []
    assert match_tied(matching(ties="none"), [stack("1.1"), stack("1.2", instances=101)]) == []
    assert match_tied(matching(ties="none"), [stack(modality="MR")]) == []


@pytest.mark.parametrize(
    ("one", "hangs"),
    [
        (stack(covers=None), True),
        (stack(covers=("head",)), True),
        (stack(), True),
        (stack(modality="MR"), False),
        (stack(spacing_k_mm=9.0, covers=None), False),
        (stack(refusal=refused(GANTRY_TILT), covers=None), False),
    ],
    ids=["not known", "another part", "as wanted", "another modality", "too thick", "refused"],
)
def test_a_verdict_hangs_on_pixels_where_all_but_the_body_part_holds(one, hangs):
    assert hang_on_pixels(SMALL, [one]) == ([one] if hangs else [])


def test_an_engine_without_a_rule_on_the_body_part_needs_no_look():
    require = tuple(rule for rule in SMALL.input[0].require if rule.fact != "covers")
    assert hang_on_pixels(matching(require=require), [stack(covers=None)]) == []


def test_what_was_seen_in_the_images_is_said():
    seen = {COVERS_FROM: PIXELS}
    [taken] = match(SMALL, [stack(**seen)])
    assert taken.found == "spacing between slices: 2 mm; body parts shown: chest, lung (seen in the images)"
    [other] = match(SMALL, [stack(covers=("head",), **seen)])
    assert (other.chosen, other.found) == (False, "head (seen in the images)")


def test_from_one_instance_an_engine_tells_whether_it_may_want_the_series():
    assert may_want(SMALL, stack(spacing_k_mm=99.0))  # what needs all instances is not asked yet
    assert not may_want(SMALL, stack(modality="MR"))


PAIR, _ = read_manifest(
    Path("engine.toml"),
    MANIFEST.replace("SHA256", "0" * 64)
    .replace(
        "[[step]]",
        """[[input]]
name = "mr"
kind = "volume"
require = [ { tag = "Modality", equals = "MR" }, { fact = "spacing_k_mm", at_most = 3.0 } ]
prefer = [ { fact = "spacing_k_mm", smaller = true } ]
[[input]]
name = "second"
kind = "volume"
require = [ { tag = "Modality", equals = "MR" } ]
[[input]]
name = "patient"
kind = "tags"
tags = [ { tag = "PatientAge" } ]

[[step]]""",
        1,
    )
    .replace('window = "whole"', 'window = "whole"\ninputs = { x = ["ct", "mr", "second"], n = "patient" }')
    .encode(),
)


def test_each_further_input_gets_the_best_stack_that_is_left():
    first = stack("1.1")
    thin, thick = stack("1.2", modality="MR", spacing_k_mm=1.0), stack("1.3", modality="MR", spacing_k_mm=2.0)
    found = match_further(PAIR, [thick, first, thin], first)
    assert found == {"mr": thin, "second": thick}
    rules = {one.series_instance_uid: one.rule for one in match(PAIR, [thick, first, thin])}
    assert rules["1.2"] == "goes with the chosen one as input mr"
    assert rules["1.3"] == "goes with the chosen one as input second"


def test_a_further_input_of_the_same_frame_of_reference_comes_before_a_better_one_of_another():
    def lies_in(uid, frame, **facts):
        return replace(stack(uid, **facts), frame_of_reference_uid=frame)

    first = lies_in("1.1", "9.1")
    other = lies_in("1.2", "9.2", modality="MR", spacing_k_mm=1.0)
    same = lies_in("1.3", "9.1", modality="MR", spacing_k_mm=2.0)
    assert match_further(PAIR, [first, other, same], first) == {"mr": same, "second": other}
    nowhere = replace(first, frame_of_reference_uid=None)
    assert match_further(PAIR, [nowhere, other, same], nowhere)["mr"] == other


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([], "there is no other series"),
        ([stack("1.2", modality="PT")], "Modality is MR, found PT"),
        (
            [stack("1.2", modality="PT"), stack("1.3", modality="MR", spacing_k_mm=9.0)],
            "spacing between slices at most 3 mm, found 9 mm",
        ),
        ([stack("1.2", modality="MR", refusal=refused(GANTRY_TILT))], f"refused by {GANTRY_TILT.code}"),
    ],
    ids=["none", "another modality", "the nearest is too thick", "refused"],
)
def test_a_further_input_that_nothing_fits_says_what_came_nearest(others, said):
    first = stack("1.1")
    assert match_further(PAIR, [first, *others], first)["mr"] == said


def test_numbers_of_attributes_want_no_series():
    assert not may_want(PAIR, stack(modality="US"))
    assert may_want(PAIR, stack(modality="MR"))
