"""Which images are slices, and which attribute says that one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.assemble.kinds import kind_refusal, not_a_slice, set_aside
from tests.unit.assemble.series import Series

SLICE = Series().headers()[0]
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def of_type(*words):
    return replace(SLICE, image_type=words)


@pytest.mark.parametrize(
    "words",
    [
        ("DERIVED", "SECONDARY", "REFORMATTED"),
        ("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"),
        ("DERIVED", "SECONDARY", "MPR"),
        ("DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 SEQ"),
        ("ORIGINAL", "PRIMARY", "AXIAL"),
        ("ORIGINAL", "PRIMARY", "M", "NORM", "DIS3D"),
        (),
    ],
)
def test_an_image_is_not_set_aside_for_being_derived(words):
    assert set_aside(of_type(*words)) is None


@pytest.mark.parametrize(
    "words",
    [
        ("DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"),
        ("DERIVED", "PRIMARY", "PROJECTION IMAGE", "M", "MIP"),
        ("DERIVED", "SECONDARY", "REFORMATTED", "MIN_IP"),
        ("DERIVED", "SECONDARY", "VRT"),
        ("DERIVED", "PRIMARY", "VOLUME", "MAX_IP"),
    ],
)
def test_a_view_through_a_volume_is_set_aside_with_its_image_type(words):
    aside = set_aside(of_type(*words))
    assert aside.code == "DN-3051"
    assert "\\".join(words) in aside.text


@pytest.mark.parametrize(
    ("keyword", "value", "tag"),
    [
        ("VolumetricProperties", "SAMPLED", "(0008,9206)"),
        ("VolumetricProperties", "DISTORTED", "(0008,9206)"),
        ("VolumeBasedCalculationTechnique", "CURVED_MPR", "(0008,9207)"),
        ("SeriesType", ("WHOLE BODY", "REPROJECTION"), "(0054,1000)"),
    ],
)
def test_what_other_attributes_say_of_a_projection_counts_too(keyword, value, tag):
    aside = set_aside(replace(SLICE, tags={keyword: value}))
    assert aside.code == "DN-3051"
    assert tag in aside.text


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("VolumetricProperties", "VOLUME"), ("VolumeBasedCalculationTechnique", "MPR"), ("SeriesType", "IMAGE")],
)
def test_a_reformatted_volume_is_a_volume(keyword, value):
    assert set_aside(replace(SLICE, tags={keyword: value})) is None


COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def test_an_image_that_came_without_its_pixels_is_told_from_an_object_that_never_had_any():
    image = replace(SLICE, sop_class_uid=COMPUTED_RADIOGRAPHY, has_pixels=False)
    lost, never = set_aside(image), set_aside(replace(image, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.22"))
    assert (lost.code, never.code) == ("DN-3063", "DN-3002")
    assert "(7FE0,0010) PixelData" in lost.text


def test_a_captured_localizer_is_set_aside_as_a_localizer():
    page = replace(of_type("DERIVED", "SECONDARY", "REF_SURVIEW"), sop_class_uid=SECONDARY_CAPTURE)
    assert set_aside(page).code == "DN-3013"
    assert set_aside(replace(page, image_type=("DERIVED", "SECONDARY"))).code == "DN-3012"


def test_a_part_of_a_concatenation_is_no_whole_volume():
    frame = replace(
        SLICE, sop_class_uid=ENHANCED_CT, frames=9, frame_number=1, tags={"ConcatenationUID": "1.2.3"}
    )
    assert "(0020,9161 ConcatenationUID)" in kind_refusal(frame).text


def test_a_frame_of_an_enhanced_object_is_a_slice_and_the_whole_object_is_none():
    whole = replace(SLICE, sop_class_uid=ENHANCED_CT, frames=9)
    assert kind_refusal(whole).code == "DN-3050"
    assert not_a_slice(replace(whole, frame_number=3)) is None
    assert kind_refusal(replace(whole, frames=1)) is None
