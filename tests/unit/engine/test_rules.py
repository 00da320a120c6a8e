"""Rules of engine.toml: in words, and whether a series holds them."""

from __future__ import annotations

import pytest

from dicomnode.engine import Requirement
from dicomnode.engine.rules import Check, check, text_of, words
from dicomnode.values import FACT_TAGS, SeriesFacts


def series(**facts) -> SeriesFacts:
    return SeriesFacts(
        study_instance_uid="1.2",
        series_instance_uid="1.2.3",
        tags={
            "Modality": "CT",
            "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
            "KVP": "120",
            "ContrastBolusAgent": "",
            "SliceThickness": 2.0,
        },
        facts={"spacing_k_mm": 2.5, "covers": ("chest", "lung"), "lossy": False, "rows": 512, **facts},
    )


TABLE = [
    # rule, words, holds, found
    ({"tag": "Modality", "equals": "CT"}, "Modality equals CT", True, "CT"),
    ({"tag": "Modality", "equals": "MR"}, "Modality equals MR", False, "CT"),
    ({"tag": "Modality", "one_of": ("CT", "PT")}, "Modality one of CT, PT", True, "CT"),
    ({"tag": "Modality", "one_of": ("MR",)}, "Modality one of MR", False, "CT"),
    ({"tag": "ImageType", "equals": "AXIAL"}, "ImageType equals AXIAL", True, "ORIGINAL, PRIMARY, AXIAL"),
    (
        {"tag": "ImageType", "matches": "(?i)^loc"},
        "ImageType matches (?i)^loc",
        False,
        "ORIGINAL, PRIMARY, AXIAL",
    ),
    ({"tag": "Modality", "matches": "^C"}, "Modality matches ^C", True, "CT"),
    ({"tag": "Modality", "present": True}, "Modality is present", True, "CT"),
    ({"tag": "ContrastBolusAgent", "present": True}, "ContrastBolusAgent is present", False, "absent"),
    ({"tag": "ContrastBolusAgent", "absent": True}, "ContrastBolusAgent is absent", True, "absent"),
    ({"tag": "Modality", "absent": True}, "Modality is absent", False, "CT"),
    ({"tag": "KVP", "at_least": 100.0}, "KVP at least 100.0", True, "120"),
    ({"tag": "Modality", "at_least": 1.0}, "Modality at least 1.0", False, "CT"),
    ({"fact": "spacing_k_mm", "at_most": 5.0}, "spacing_k_mm at most 5.0", True, "2.5"),
    ({"fact": "spacing_k_mm", "at_most": 2.0}, "spacing_k_mm at most 2.0", False, "2.5"),
    ({"fact": "spacing_k_mm", "at_most": 2.5}, "spacing_k_mm at most 2.5", True, "2.5"),
    ({"fact": "spacing_k_mm", "at_least": 2.5}, "spacing_k_mm at least 2.5", True, "2.5"),
    ({"fact": "extent_k_mm", "at_least": 20.0}, "extent_k_mm at least 20.0", False, "absent"),
    ({"fact": "extent_k_mm", "at_most": 20.0}, "extent_k_mm at most 20.0", False, "absent"),
    ({"fact": "rows", "at_least": 64.0}, "rows at least 64.0", True, "512"),
    ({"fact": "lossy", "equals": False}, "lossy equals false", True, "false"),
    ({"fact": "lossy", "equals": True}, "lossy equals true", False, "false"),
    ({"fact": "lossy", "equals": 0}, "lossy equals 0", False, "false"),
    ({"fact": "covers", "contains": "lung"}, "covers contains lung", True, "chest, lung"),
    ({"fact": "covers", "contains": "head"}, "covers contains head", False, "chest, lung"),
    ({"tag": "SliceThickness", "equals": 2}, "SliceThickness equals 2", True, "2.0"),
]


@pytest.mark.parametrize(("rule", "said", "holds", "found"), TABLE, ids=[row[1] for row in TABLE])
def test_a_rule_says_itself_and_is_held_or_not(rule, said, holds, found):
    requirement = Requirement(**rule)
    assert words(requirement) == said
    assert check(requirement, series()) == Check(holds, found)


@pytest.mark.parametrize("covers", [None, ()])
def test_what_a_series_covers_is_taken_for_now_when_it_is_unknown(covers):
    result = check(Requirement(fact="covers", contains="lung"), series(covers=covers))
    assert result == Check(holds=True, found="unknown, taken", provisional=True)


def test_noise_of_decimal_positions_does_not_fail_a_limit():
    assert check(Requirement(fact="spacing_k_mm", at_most=5.0), series(spacing_k_mm=5.0000003)).holds
    assert check(Requirement(fact="spacing_k_mm", at_least=5.0), series(spacing_k_mm=4.9999997)).holds
    over = check(Requirement(fact="spacing_k_mm", at_most=5.0), series(spacing_k_mm=5.00001))
    assert over == Check(holds=False, found="5.00001")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("comparison", ["at_least", "at_most"])
def test_a_number_that_is_none_fails_every_comparison(value, comparison):
    assert not check(Requirement(fact="spacing_k_mm", **{comparison: 1.0}), series(spacing_k_mm=value)).holds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "absent"),
        ("", "absent"),
        ((), "absent"),
        (True, "true"),
        (2.50000000001, "2.5"),
        (5.0, "5.0"),
        (512, "512"),
        (("a", "b"), "a, b"),
        ((0.5, 2.0), "0.5, 2.0"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_values_are_written_as_people_read_them(value, text):
    assert text_of(value) == text


def test_no_attribute_that_a_rule_may_name_says_who_the_patient_is():
    assert not [
        keyword for keyword in FACT_TAGS if keyword.startswith("Patient") and keyword != "PatientPosition"
    ]
