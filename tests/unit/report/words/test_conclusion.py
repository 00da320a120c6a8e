"""What was found is said in sentences that follow the findings, kind by kind."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, sampled_from

from dicomnode.faults import UNDECIDED
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.words.conclusion import conclusion
from dicomnode.report.words.wording import joined, number_text, sentence, size_text, volume_text
from dicomnode.values import Code, Findings, Mask, Outcome, PicturePlane, Remark, SourceFrame
from dicomnode.values.codes import (
    CUBIC_MILLIMETRE,
    HOUNSFIELD,
    MILLILITRE,
    MILLIMETRE,
    NO_UNIT,
    SUV_BODY_WEIGHT,
)
from tests.unit.report.kinds import ABSENT, KINDS, UNSEEN
from tests.unit.report.sources import LUNG, findings

LIVER = Code("10200004", "SCT", "Liver")
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


def test_images_of_a_clip_are_called_frames() -> None:
    found, _ = KINDS["a sequence of slices"]
    plane = PicturePlane(spacing_ji_mm=(0.5, 0.4))
    source = replace(found.sources[0], grid=plane.grid(found.sources[0].grid.shape_kji), plane=plane)
    assert "of 12 frames the highest score is 90.0 %" in conclusion(replace(found, sources=(source,)), {})[1]


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


SQUARE_MILLIMETRE = Code("mm2", "UCUM", "mm2")
PLAIN = [
    (0.0, NO_UNIT, "0"),
    (-0.0, NO_UNIT, "0"),
    (0.00001234, NO_UNIT, "0.00001234"),
    (999.96, NO_UNIT, "1000"),
    (1234.5, HOUNSFIELD, "1234 HU"),
    (9999.6, NO_UNIT, "10\u00a0000"),
    (-1_234_567.0, NO_UNIT, "-1\u00a0234\u00a0567"),
    (999.9, SQUARE_MILLIMETRE, "999.9 mm2"),
    (1000.0, SQUARE_MILLIMETRE, "10 cm2"),
    (18_912.0, SQUARE_MILLIMETRE, "189.1 cm2"),
    (-18_912.0, SQUARE_MILLIMETRE, "-189.1 cm2"),
    (999.9, CUBIC_MILLIMETRE, "999.9 mm3"),
    (18_912.0, CUBIC_MILLIMETRE, "18.91 ml"),
    (12_345.6, MILLILITRE, "12\u00a0346 ml"),
]


@pytest.mark.parametrize(("value", "unit", "text"), PLAIN)
def test_large_and_small_numbers_are_written_out_and_large_sizes_in_larger_units(
    value: float, unit: Code, text: str
) -> None:
    assert number_text(value, unit) == text


@given(value=floats(-1e12, 1e12), unit=sampled_from([NO_UNIT, SQUARE_MILLIMETRE, MILLILITRE]))
def test_no_number_has_an_exponent_and_each_is_right_to_four_digits(value: float, unit: Code) -> None:
    text = number_text(value, unit)
    number, _, written = text.partition(" ")
    assert "e" not in number
    times = 100.0 if written == "cm2" else 1.0
    assert float(number.replace("\u00a0", "")) * times == pytest.approx(value, rel=5.001e-4, abs=1e-300)


def test_the_area_of_a_finding_on_a_large_film_is_in_square_centimetres() -> None:
    plane = PicturePlane(spacing_ji_mm=(0.15, 0.15))
    source = replace(findings().sources[0], grid=plane.grid((1, 2000, 2400)), plane=plane)
    mask = np.zeros((1, 2000, 2400), dtype=bool)
    mask[0, 400:1600, 300:1000] = True
    lung = replace(findings().segments[0], mask=Mask.from_array(mask), measurements=())
    film = findings(sources=(source,), segments=(lung,))
    assert size_text(lung, film) == "189 cm2"
    pixels = replace(source, plane=replace(plane, spacing_ji_mm=None))
    assert size_text(lung, replace(film, sources=(pixels,))) == "840\u00a0000 pixels"


def test_the_area_of_a_finding_on_a_clip_is_that_on_the_frame_with_most_of_it() -> None:
    plane = PicturePlane(spacing_ji_mm=(0.5, 0.4))
    source = replace(findings().sources[0], grid=plane.grid((9, 200, 240)), plane=plane)
    mask = np.zeros((9, 200, 240), dtype=bool)
    mask[2, 40:60, 30:40], mask[3:8, 40:60, 30:50] = True, True
    one = replace(findings().segments[0], mask=Mask.from_array(mask), measurements=())
    clip = findings(sources=(source,), segments=(one,))
    assert size_text(one, clip) == "up to 80 mm2"
    pixels = replace(
        source, plane=replace(plane, spacing_ji_mm=None), grid=PicturePlane().grid((9, 200, 240))
    )
    assert size_text(one, replace(clip, sources=(pixels,))) == "up to 400 pixels"


def test_units_are_words_and_not_their_codes() -> None:
    assert number_text(7.93, SUV_BODY_WEIGHT) == "7.93 SUVbw"
    assert number_text(-812.3, HOUNSFIELD) == "-812.3 HU"


SITED = replace(ABSENT, site=LUNG), replace(ABSENT, site=LIVER)
# What was looked for and is not there, and what is said of it
NOT_THERE = [
    ((replace(ABSENT, site=None),), "No nodule marked."),
    (SITED[:1], "No nodule marked (lung)."),
    (SITED, "No nodule marked (lung); no nodule marked (liver)."),
    ((*SITED, *SITED), "No nodule marked (lung); no nodule marked (liver)."),
    ((replace(UNSEEN, site=LUNG),), "Nodule not looked for (lung)."),
    ((replace(UNSEEN, code=UNDECIDED.code),), "Nodule not determined (lung)."),
]


@pytest.mark.parametrize(("remarks", "said"), NOT_THERE)
def test_what_is_not_there_is_said_with_its_place_and_once(remarks: tuple[Remark, ...], said: str) -> None:
    found = findings(segments=(), outcome=Outcome.NO_FINDINGS, remarks=remarks)
    assert conclusion(found, {}) == [said]


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
