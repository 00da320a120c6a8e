"""Grouping on records: no file, no pixel."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, MRImageStorage

from dicomnode.assemble import stacks
from dicomnode.assemble.blocks import MINIMUM_SLICES
from dicomnode.assemble.record import Header
from dicomnode.assemble.stacks import plan_series
from tests.unit.assemble.series import CT, MR
from tests.unit.assemble.test_placing import at, record

SR = "1.2.840.10008.5.1.4.1.1.88.34"


def never_same(one, other):
    return False


def always_same(one, other):
    return True


def not_asked(one, other):
    raise AssertionError("pixels are only asked for where two images are at one position")


def plan(headers, same_pixels=not_asked):
    return plan_series(headers, same_pixels)


def only(headers, same_pixels=not_asked):
    """The one stack of a series."""
    stacks = plan(headers, same_pixels).stacks
    assert len(stacks) == 1
    return stacks[0]


def test_slices_are_sorted_along_the_normal_whatever_order_and_numbers_they_have():
    headers = at(0, 2, 4, 6, 8, 10, 12)
    expected = only(headers)
    for seed in range(10):
        shuffled = headers[:]
        random.Random(seed).shuffle(shuffled)
        assert only(shuffled).headers == expected.headers
    renumbered = [replace(one, instance_number=100 - n) for n, one in enumerate(headers)]
    assert [one.position_lps_mm[2] for one in only(renumbered).headers] == [0, 2, 4, 6, 8, 10, 12]
    assert np.array_equal(only(renumbered).placement.affine_lps, expected.placement.affine_lps)


def test_a_series_of_two_orientations_gives_two_stacks_the_larger_first():
    sagittal = [record((x, 0, 0), row=(0, 1, 0), column=(0, 0, -1), number=50 + x) for x in range(4)]
    stacks = plan(sagittal + at(0, 2, 4, 6, 8)).stacks
    assert [len(stack.headers) for stack in stacks] == [5, 4]
    assert all(stack.placement is not None for stack in stacks)


@pytest.mark.parametrize(
    "change",
    [{"rows": 10}, {"columns": 8}, {"spacing_ji_mm": (0.7, 0.91)}, {"sop_class_uid": MR}],
    ids=["rows", "columns", "spacing", "class"],
)
def test_slices_that_differ_in_matrix_spacing_or_class_are_not_in_one_stack(change):
    other = [replace(one, sop_instance_uid=one.sop_instance_uid + ".9", **change) for one in at(1, 3, 5)]
    stacks = plan(at(0, 2, 4, 6) + other).stacks
    assert [len(stack.headers) for stack in stacks] == [4, 3]


def test_rounding_of_direction_cosines_and_spacing_does_not_split_a_stack():
    headers = at(0, 2, 4, 6)
    headers[2] = replace(headers[2], orientation=(0.99999, 0.00002, 0, 0, 1, 0), spacing_ji_mm=(0.70001, 0.9))
    assert len(only(headers).headers) == 4


def test_a_slice_whose_spacing_was_written_with_fewer_digits_stays_and_it_is_said():
    headers = [
        replace(one, spacing_ji_mm=(0.703125, 0.703125), rows=512, columns=512) for one in at(*range(6))
    ]
    assert only(headers).repairs == ()
    headers[5] = replace(headers[5], spacing_ji_mm=(0.703, 0.703))
    stack = only(headers)
    assert len(stack.headers) == 6
    (repair,) = stack.repairs
    assert repair.kind == "spacing"
    assert "from 0.703 to 0.703125 mm" in repair.text
    assert "no pixel by more than 0.064 mm" in repair.text
    assert stack.placement.affine_lps[0, 0] == 0.703125


def test_the_spacing_of_most_slices_is_that_of_the_stack():
    headers = [
        replace(one, spacing_ji_mm=(0.703125, 0.703125), rows=512, columns=512) for one in at(*range(6))
    ]
    headers[0] = replace(headers[0], spacing_ji_mm=(0.703, 0.703))
    assert only(headers).placement.affine_lps[0, 0] == 0.703125


def test_too_few_slices_are_refused_before_anything_else():
    headers = [replace(one, position_lps_mm=None) for one in at(0, 2)]
    refusal = only(headers).refusal
    assert refusal.code == "DN-3007"
    assert f"2 slice(s); a volume needs at least {MINIMUM_SLICES}" in refusal.text


MISSING = {
    "ImagePositionPatient": {"position_lps_mm": None},
    "ImageOrientationPatient": {"orientation": None},
    "PixelSpacing": {"spacing_ji_mm": None},
    "Rows": {"rows": None},
    "Columns": {"columns": None},
    "RescaleSlope": {"rescale": None},
    "FrameOfReferenceUID": {"frame_of_reference_uid": None},
}


@pytest.mark.parametrize("keyword", list(MISSING))
def test_a_required_attribute_that_all_lack_is_named(keyword):
    stack = only([replace(one, **MISSING[keyword]) for one in at(0, 2, 4)])
    assert stack.placement is None
    assert stack.refusal.code == "DN-3003"
    assert f"{keyword} is missing, empty or not valid in 3 of 3 instances" in stack.refusal.text


@pytest.mark.parametrize("keyword", [k for k in MISSING if k != "FrameOfReferenceUID"])
def test_one_slice_that_lacks_an_attribute_refuses_the_series_and_is_named(keyword):
    headers = at(0, 2, 4, 6)
    headers[1] = replace(headers[1], **MISSING[keyword])
    stack = only(headers)
    assert stack.refusal.code == "DN-3003"
    assert stack.refusal.sop_instance_uids == ("1.2.1",)
    assert len(stack.headers) == 4


SIZES = {
    "pixels in metres": ({"spacing_ji_mm": (0.0007, 0.0009)}, "DN-3018", "pixels of 0.0007 x 0.0009 mm"),
    "pixels of a metre": ({"spacing_ji_mm": (1000.0, 1.0)}, "DN-3018", "the images cover"),
    "too many": (
        {"rows": 60000, "columns": 60000, "spacing_ji_mm": (0.01, 0.01)},
        "DN-3019",
        "60000 x 60000",
    ),
}


@pytest.mark.parametrize(("changes", "code", "words"), list(SIZES.values()), ids=list(SIZES))
def test_a_size_that_no_scan_has_is_refused_before_a_pixel_is_decoded(changes, code, words):
    refusal = only([replace(one, **changes) for one in at(0, 2, 4)]).refusal
    assert refusal.code == code
    assert words in refusal.text


def test_slices_over_more_than_a_patient_are_refused():
    assert only(at(0, 1000, 2000, 3000)).refusal is None
    assert only(at(0, 1000, 2000, 3001)).refusal.code == "DN-3018"


def test_two_slices_of_one_uid_are_refused_as_no_result_could_say_which_it_means():
    headers = at(0, 2, 4, 6)
    headers[3] = replace(headers[3], sop_instance_uid=headers[0].sop_instance_uid)
    stack = only(headers)
    assert stack.placement is None
    assert stack.refusal.code == "DN-3020"


def test_mr_may_lack_rescale_slope():
    headers = [replace(one, sop_class_uid=MR, rescale=None) for one in at(0, 2, 4)]
    assert only(headers).refusal is None


def test_missing_slices_are_a_better_reason_than_a_missing_frame_of_reference():
    headers = [replace(one, frame_of_reference_uid=None) for one in at(0, 2, 6, 8, 10)]
    assert only(headers).refusal.code == "DN-3005"


DISAGREEING = {
    "PatientID": {"patient_key": "another"},
    "FrameOfReferenceUID": {"frame_of_reference_uid": "1.99"},
    "Modality": {"modality": "PT"},
    "RescaleType": {"tags": {"RescaleType": "Z_EFF"}},
    "PatientPosition": {"tags": {"PatientPosition": "HFP"}},
}


@pytest.mark.parametrize("keyword", list(DISAGREEING))
def test_slices_that_disagree_in_what_must_be_one_are_refused(keyword):
    headers = at(0, 2, 4, 6)
    headers[1] = replace(headers[1], **DISAGREEING[keyword])
    refusal = only(headers).refusal
    assert refusal.code == "DN-3004"
    assert keyword in refusal.text


def test_two_patients_in_a_series_are_told_without_their_identifiers():
    headers = [replace(one, patient_key=f"secret{n % 2}") for n, one in enumerate(at(0, 2, 4))]
    refusal = only(headers).refusal
    assert "PatientID differs within the series: 2 different values" in refusal.text
    assert "secret" not in refusal.text
    assert "secret" not in repr(headers)


def test_a_rescale_type_of_hu_and_none_are_one_in_ct():
    headers = at(0, 2, 4)
    headers[0] = replace(headers[0], tags={"RescaleType": "HU"})
    assert only(headers).refusal is None


UNTOLD = {
    "RescaleSlope": [{"rescale": (1.0, 0.0)}, {"rescale": (2.0, 0.0)}],
    "PixelData": [{}, {}],
}


@pytest.mark.parametrize("keyword", list(UNTOLD))
def test_images_that_no_attribute_tells_apart_are_refused_and_how_they_differ_is_named(keyword):
    first, second = UNTOLD[keyword]
    headers = [replace(one, **first) for one in at(0, 2, 4)]
    headers += [replace(one, sop_instance_uid=f"{one.sop_instance_uid}.9", **second) for one in at(0, 2, 4)]
    refusal = only(headers, never_same).refusal
    assert refusal.code == "DN-3008"
    assert f"2 images lie at one position (0.00 mm along the normal) and differ in {keyword}." in refusal.text
    assert refusal.sop_instance_uids == ("1.2.0", "1.2.0.9")


def test_images_at_one_position_only_are_refused_by_what_differs_as_no_part_of_them_is_a_volume():
    headers = [
        replace(record((0, 0, 5), number=n), tags={"AcquisitionNumber": n, "EchoTime": 4.0}) for n in range(4)
    ]
    refusal = only(headers, never_same).refusal
    assert refusal.code == "DN-3008"
    assert "4 images lie at one position" in refusal.text
    assert refusal.text.endswith("differ in AcquisitionNumber.")


def test_scouts_of_three_planes_fall_apart_each_with_a_plain_reason():
    planes = [((1, 0, 0), (0, 1, 0)), ((1, 0, 0), (0, 0, -1)), ((0, 1, 0), (0, 0, -1))]
    scouts = [record((0, 0, n), row=r, column=c, number=n) for n, (r, c) in enumerate(planes)]
    for some in (scouts, scouts[:2]):
        stacks = plan(some).stacks
        assert [len(stack.headers) for stack in stacks] == [1] * len(some)
        assert {stack.refusal.code for stack in stacks} == {"DN-3007"}


@given(st.permutations(range(24)))
@settings(max_examples=25, deadline=None)
def test_any_order_of_arrival_gives_the_same_stacks(order):
    series = [
        replace(
            record((0, 0.3 * z, z), number=n), sop_instance_uid=f"1.{z}.{echo}", tags={"EchoTime": 4.0 + echo}
        )
        for n, (z, echo) in enumerate((z, echo) for echo in (0, 1) for z in range(0, 24, 2))
    ]
    expected, result = plan(series, never_same), plan([series[n] for n in order], never_same)
    assert [stack.headers for stack in result.stacks] == [stack.headers for stack in expected.stacks]
    for one, other in zip(result.stacks, expected.stacks, strict=True):
        assert np.array_equal(one.placement.affine_lps, other.placement.affine_lps)
        assert one.repairs == other.repairs


def test_images_side_by_side_at_one_position_are_refused():
    headers = at(0, 2, 4)
    headers.append(replace(headers[1], sop_instance_uid="1.9", position_lps_mm=(50.0, 0.0, 2.0)))
    assert "differ in ImagePositionPatient" in only(headers, always_same).refusal.text


def test_exact_duplicates_are_left_out_and_told():
    headers = at(0, 2, 4)
    double = replace(headers[1], sop_instance_uid="1.9", instance_number=9)
    result = plan([double, *headers], always_same)
    (stack,) = result.stacks
    assert stack.headers == tuple(headers)
    assert [repair.kind for repair in stack.repairs] == ["duplicate"]
    (aside,) = result.set_aside
    assert (aside.sop_instance_uid, aside.code) == ("1.9", "DN-3014")
    assert "1.2.1, which is used" in aside.text


def test_what_is_left_of_duplicates_may_be_too_few():
    headers = at(0, 2)
    doubles = [replace(one, sop_instance_uid=f"1.9.{n}", instance_number=9) for n, one in enumerate(headers)]
    assert only(headers + doubles, always_same).refusal.code == "DN-3007"


def test_damaged_pixels_refuse_the_stack_before_an_engine_waits_for_it():
    headers = at(0, 2, 4)
    headers[2] = replace(headers[2], damage="it has no Pixel Data")
    refusal = only(headers).refusal
    assert refusal.code == "DN-3010"
    assert "1 of 3 instances" in refusal.text
    assert refusal.sop_instance_uids == ("1.2.2",)


@pytest.mark.parametrize("word", ["LOCALIZER", "SCOUT", "DOSE_INFO", "REF_SURVIEW", "SCREEN SAVE"])
def test_localizers_and_pages_are_set_aside_and_the_volume_is_made_without_them(word):
    page = replace(record((5, 5, 5), number=77), image_type=("DERIVED", "SECONDARY", word))
    result = plan([*at(0, 2, 4), page])
    assert [len(stack.headers) for stack in result.stacks] == [3]
    (aside,) = result.set_aside
    assert aside.code == "DN-3013"
    assert word in aside.text


@pytest.mark.parametrize(
    ("sop_class", "code"),
    [
        (SR, "DN-3002"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "DN-3002"),  # presentation state
        ("1.2.840.10008.5.1.4.1.1.88.59", "DN-3002"),  # key objects
        ("1.2.840.10008.5.1.4.1.1.481.3", "DN-3002"),  # RTSTRUCT
        ("1.2.840.10008.5.1.4.1.1.104.1", "DN-3002"),  # PDF
        ("1.2.840.10008.5.1.4.1.1.66.1", "DN-3002"),  # registration
    ],
)
def test_objects_without_images_are_set_aside(sop_class, code):
    headers = [replace(one, sop_class_uid=sop_class, has_pixels=False) for one in at(0, 2, 4)]
    result = plan(headers)
    assert result.stacks == ()
    assert [aside.code for aside in result.set_aside] == [code] * 3


def test_segmentations_and_secondary_captures_are_set_aside_although_they_have_pixels():
    classes = {"1.2.840.10008.5.1.4.1.1.66.4": "DN-3002", "1.2.840.10008.5.1.4.1.1.7": "DN-3012"}
    for sop_class, code in classes.items():
        result = plan([replace(one, sop_class_uid=sop_class) for one in at(0, 2, 4)])
        assert result.stacks == ()
        assert {aside.code for aside in result.set_aside} == {code}


NOT_SLICES = {
    "Ultrasound Multi-frame Image Storage": {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.3.1"},
    "Nuclear Medicine Image Storage of planar images": {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.20"},
    "CT Image Storage with 20 frames": {"frames": 20},
    "MOSAIC": {"sop_class_uid": MR, "image_type": ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")},
    "CT Image Storage in colour (RGB)": {"samples": 3, "photometric": "RGB"},
}


@pytest.mark.parametrize("words", list(NOT_SLICES))
def test_images_that_are_not_one_slice_of_ct_or_mr_are_refused_by_their_kind(words):
    stack = only([replace(one, **NOT_SLICES[words]) for one in at(0, 2, 4)])
    assert stack.refusal.code == "DN-3012"
    assert words in stack.refusal.text


def test_each_header_is_in_one_stack_or_set_aside():
    rng = random.Random(5)
    variants: list[dict] = [
        {},
        {"sop_class_uid": SR, "has_pixels": False},
        {"rows": 4},
        {"position_lps_mm": None},
        {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
        {"frames": 3},
    ]
    for _ in range(50):
        headers: list[Header] = [
            replace(record((0, 0, rng.randrange(4)), number=n), **rng.choice(variants)) for n in range(12)
        ]
        result = plan(headers, lambda one, other: rng.random() < 0.5)
        used = [header.sop_instance_uid for stack in result.stacks for header in stack.headers]
        aside = [one.sop_instance_uid for one in result.set_aside]
        assert sorted(used + aside) == sorted(header.sop_instance_uid for header in headers)
        assert all((stack.placement is None) == (stack.refusal is not None) for stack in result.stacks)


def test_classes_are_what_the_standard_says():
    assert CTImageStorage == CT
    assert MRImageStorage == MR


def test_images_that_all_lie_otherwise_are_compared_with_some_of_them_only(monkeypatch):
    """20 000 frames that turn about an axis would otherwise hold the scheduler for minutes."""
    compared = []
    is_alike = stacks._is_alike
    monkeypatch.setattr(stacks, "_is_alike", lambda one, other: compared.append(1) or is_alike(one, other))
    angles = np.linspace(0, np.pi, 400, endpoint=False)
    turned = [(np.cos(angle), np.sin(angle), 0.0, 0.0, 0.0, 1.0) for angle in angles]
    headers = [
        replace(header, orientation=tuple(float(value) for value in orientation))
        for header, orientation in zip(at(*range(400)), turned, strict=True)
    ]
    assert len(plan(headers).stacks) == 400
    assert len(compared) <= 64 * 400
    compared.clear()
    plan(at(*range(400)))
    assert compared == []
