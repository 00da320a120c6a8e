"""Rules of engine.toml: in words, and whether a series holds them."""

from __future__ import annotations

import re

import pytest

from dicomnode.engine import Requirement
from dicomnode.engine.rules import Check, check
from dicomnode.engine.wording import FACTS, text_of, words
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
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
        },
        facts={"spacing_k_mm": 2.5, "covers": ("chest", "lung"), "lossy": False, "rows": 512, **facts},
    )


TABLE = [
    # rule, words, holds, found
    ({"tag": "Modality", "equals": "CT"}, "Modality is CT", True, "CT"),
    ({"tag": "Modality", "equals": "MR"}, "Modality is MR", False, "CT"),
    ({"tag": "Modality", "one_of": ("CT", "PT")}, "Modality is one of CT, PT", True, "CT"),
    ({"tag": "Modality", "one_of": ("MR",)}, "Modality is one of MR", False, "CT"),
    ({"tag": "ImageType", "equals": "AXIAL"}, "Image Type is AXIAL", True, "ORIGINAL, PRIMARY, AXIAL"),
    (
        {"tag": "ImageType", "matches": "(?i)^loc"},
        "Image Type fits the pattern (?i)^loc",
        False,
        "ORIGINAL, PRIMARY, AXIAL",
    ),
    ({"tag": "Modality", "matches": "^C"}, "Modality fits the pattern ^C", True, "CT"),
    ({"tag": "Modality", "present": True}, "Modality is given", True, "CT"),
    ({"tag": "ContrastBolusAgent", "present": True}, "Contrast Bolus Agent is given", False, "not given"),
    ({"tag": "ContrastBolusAgent", "absent": True}, "Contrast Bolus Agent is not given", True, "not given"),
    ({"tag": "Modality", "absent": True}, "Modality is not given", False, "CT"),
    ({"tag": "KVP", "at_least": 100.0}, "KVP at least 100 kV", True, "120 kV"),
    ({"tag": "Modality", "at_least": 1.0}, "Modality at least 1", False, "CT"),
    (
        {"tag": "SOPClassUID", "equals": "1.2.840.10008.5.1.4.1.1.2"},
        "SOP Class UID is CT Image Storage",
        False,
        "MR Image Storage",
    ),
    ({"fact": "spacing_k_mm", "at_most": 5.0}, "spacing between slices at most 5 mm", True, "2.5 mm"),
    ({"fact": "spacing_k_mm", "at_most": 2.0}, "spacing between slices at most 2 mm", False, "2.5 mm"),
    ({"fact": "spacing_k_mm", "at_most": 2.5}, "spacing between slices at most 2.5 mm", True, "2.5 mm"),
    ({"fact": "spacing_k_mm", "at_least": 2.5}, "spacing between slices at least 2.5 mm", True, "2.5 mm"),
    (
        {"fact": "extent_k_mm", "at_least": 20.0},
        "length that the slices cover at least 20 mm",
        False,
        "not known",
    ),
    (
        {"fact": "extent_k_mm", "at_most": 20.0},
        "length that the slices cover at most 20 mm",
        False,
        "not known",
    ),
    ({"fact": "rows", "at_least": 64.0}, "rows of an image at least 64", True, "512"),
    (
        {"fact": "lossy", "equals": False},
        "images never compressed with loss",
        True,
        "never compressed with loss",
    ),
    ({"fact": "lossy", "equals": True}, "images compressed with loss", False, "never compressed with loss"),
    ({"fact": "lossy", "equals": 0}, "images is 0", False, "never compressed with loss"),
    ({"fact": "covers", "contains": "lung"}, "body parts shown include lung", True, "chest, lung"),
    ({"fact": "covers", "contains": "head"}, "body parts shown include head", False, "chest, lung"),
    ({"fact": "contrast", "one_of": ("none",)}, "contrast phase is one of none", False, "not known"),
    ({"tag": "SliceThickness", "equals": 2}, "Slice Thickness is 2 mm", True, "2 mm"),
    ({"tag": "MRAcquisitionType", "equals": "3D"}, "MR Acquisition Type is 3D", False, "not given"),
]


@pytest.mark.parametrize(("rule", "said", "holds", "found"), TABLE, ids=[row[1] for row in TABLE])
def test_a_rule_says_itself_and_is_held_or_not(rule, said, holds, found):
    requirement = Requirement(**rule)
    assert words(requirement) == said
    assert check(requirement, series()) == Check(holds, found)


@pytest.mark.parametrize("covers", [None, ()])
def test_what_a_series_covers_is_taken_for_now_when_it_is_unknown(covers):
    result = check(Requirement(fact="covers", contains="lung"), series(covers=covers))
    assert result == Check(holds=True, found="not known, taken for now", provisional=True)


def test_noise_of_decimal_positions_does_not_fail_a_limit():
    assert check(Requirement(fact="spacing_k_mm", at_most=5.0), series(spacing_k_mm=5.0000003)).holds
    assert check(Requirement(fact="spacing_k_mm", at_least=5.0), series(spacing_k_mm=4.9999997)).holds
    over = check(Requirement(fact="spacing_k_mm", at_most=5.0), series(spacing_k_mm=5.00001))
    assert over == Check(holds=False, found="5.00001 mm")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("comparison", ["at_least", "at_most"])
def test_a_number_that_is_none_fails_every_comparison(value, comparison):
    assert not check(Requirement(fact="spacing_k_mm", **{comparison: 1.0}), series(spacing_k_mm=value)).holds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not given"),
        ("", "not given"),
        ((), "not given"),
        (True, "yes"),
        (2.50000000001, "2.5"),
        (5.0, "5"),
        (512, "512"),
        (("a", "b"), "a, b"),
        ((0.5, 2.0), "0.5, 2"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_values_are_written_as_people_read_them(value, text):
    assert text_of(value) == text


def test_no_attribute_that_a_rule_may_name_says_who_the_patient_is():
    of_the_image = {"PatientPosition", "PatientOrientation"}
    assert not [one for one in FACT_TAGS if one.startswith("Patient") and one not in of_the_image]


def test_every_fact_that_is_documented_has_words():
    documented = set(re.findall(r"`(\w+)`", SeriesFacts.__doc__ or ""))
    assert set(FACTS) <= documented
    assert all(words.name and "_" not in words.name for words in FACTS.values())
