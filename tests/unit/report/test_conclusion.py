"""What was found is said in sentences that follow the findings, kind by kind."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from dicomnode.report.conclusion import conclusion
from dicomnode.report.headers import read_heading
from dicomnode.report.wording import joined, number_text, sentence, volume_text
from dicomnode.values import Findings, SourceFrame
from dicomnode.values.codes import HOUNSFIELD, MILLIMETRE, NO_UNIT
from tests.unit.report.kinds import KINDS
from tests.unit.report.sources import findings

_OF_NO_FINDING = {"outcome", "sources", "earlier", "provenance", "made_at", "study_version", "remarks"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_finding_has_its_sentence(kind: str) -> None:
    found, said = KINDS[kind]
    assert conclusion(found, read_heading(found).numbers) == said


def test_every_field_of_findings_has_a_kind_in_the_table() -> None:
    told = {one.name for one in fields(Findings)} - _OF_NO_FINDING
    assert {name for name in told if any(getattr(found, name) for found, _ in KINDS.values())} == told


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "lesion" not in kind and "found" not in kind])
def test_nothing_is_said_of_lesions_where_no_engine_speaks_of_them(kind: str) -> None:
    found, _ = KINDS[kind]
    if found.outcome.value == "findings":
        assert "lesion" not in " ".join(conclusion(found, {}))


def test_a_frame_of_one_object_and_a_slice_without_a_number_are_named_by_what_they_have() -> None:
    found, _ = KINDS["a sequence of slices"]
    assert "on slice 5 of the volume" in conclusion(found, {})[1]
    frames = tuple(replace(one, frame=SourceFrame("1.2", one.k + 1)) for one in found.frame_scores)
    assert "on frame 5" in conclusion(replace(found, frame_scores=frames), {})[1]


def test_a_hundred_organs_are_counted_after_the_first_six() -> None:
    lung = findings().segments[0]
    organs = tuple(replace(lung, label=f"organ {n}", tracking_uid=f"1.2.{n}") for n in range(104))
    (said,) = conclusion(findings(segments=organs, remarks=()), {})
    assert said.count("right lung") + said.count("Right lung") == 6
    assert said.endswith("and 98 more structures segmented.")


@pytest.mark.parametrize(
    ("mm3", "text"),
    [
        (2_345_678.0, "2346 ml"),
        (12_340.0, "12.3 ml"),
        (1_234.0, "1.23 ml"),
        (999.0, "999 mm3"),
        (35.4, "35 mm3"),
        (4.56, "4.6 mm3"),
    ],
)
def test_volumes_have_about_three_digits(mm3: float, text: str) -> None:
    assert volume_text(mm3) == text


def test_numbers_carry_the_unit_that_people_know() -> None:
    assert number_text(-812.3456, HOUNSFIELD) == "-812.3 HU"
    assert number_text(0.25, NO_UNIT) == "0.25"
    assert number_text(7.0, MILLIMETRE) == "7 mm"


def test_sentences_begin_with_a_capital_and_end_once() -> None:
    assert [sentence(text) for text in ("ends here", "Ends. ", "ends?", "")] == [
        "Ends here.",
        "Ends.",
        "Ends?",
        "",
    ]
    assert [joined(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
