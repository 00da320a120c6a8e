"""What matching is told of a stack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.assemble.facts import covers, facts_of
from dicomnode.assemble.stacks import StackPlan, plan_series
from tests.unit.assemble.series import PLANES, Series, affine_of
from tests.unit.assemble.test_placing import at, record


def facts(headers):
    (plan,) = plan_series(headers, lambda one, other: False).stacks
    return facts_of(plan, 0)


def test_facts_say_number_extent_spacing_matrix_and_plane():
    result = facts(at(0, 2, 4, 6))
    assert dict(result.facts) == {
        "kind": "volume",
        "instances": 4,
        "lossy": False,
        "covers": None,
        "rows": 9,
        "columns": 7,
        "spacing_k_mm": 2.0,
        "spacing_j_mm": 0.7,
        "spacing_i_mm": 0.9,
        "extent_k_mm": 8.0,
        "plane": "axial",
        "unit": "HU",
    }
    assert result.refusal is None


def test_facts_of_a_refused_stack_say_what_needs_no_volume():
    result = facts(at(0, 2, 6, 8))
    assert result.refusal.code == "DN-3005"
    assert "spacing_k_mm" not in result.facts
    assert (result.facts["instances"], result.facts["plane"]) == (4, "axial")


@pytest.mark.parametrize("plane", list(PLANES))
def test_a_plane_is_named_by_the_body_axis_that_its_normal_follows(plane):
    (plan,) = plan_series(Series(affine=affine_of(*PLANES[plane])).headers(), lambda a, b: False).stacks
    assert facts_of(plan, 0).facts["plane"] == plane.split(",")[0]


def test_tags_are_those_of_the_first_slice_with_several_values_as_tuples():
    series = Series(tags={"ConvolutionKernel": ["B31f", "3"], "KVP": "120", "ContrastBolusAgent": ""})
    result = facts(series.headers())
    assert result.tags["Modality"] == "CT"
    assert result.tags["ConvolutionKernel"] == ("B31f", "3")
    assert result.tags["KVP"] == 120.0
    assert result.tags["ImageType"] == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert result.tags["SOPClassUID"] == "1.2.840.10008.5.1.4.1.1.2"
    assert "ContrastBolusAgent" not in result.tags


def test_no_attribute_of_the_patient_nor_a_time_is_among_the_tags():
    result = facts(Series(tags={"AcquisitionTime": "101112", "PatientAge": "055Y"}).headers())
    assert not [
        keyword for keyword in result.tags if keyword.startswith("Patient") and keyword != "PatientPosition"
    ]
    assert "AcquisitionTime" not in result.tags


@pytest.mark.parametrize(
    ("tags", "parts"),
    [
        ({"BodyPartExamined": "CHEST"}, ("chest", "lung")),
        ({"BodyPartExamined": "LUNG"}, ("chest", "lung")),
        ({"BodyPartExamined": "THORAX_1MM"}, ("chest", "lung")),
        ({"BodyPartExamined": "CHESTABDPELVIS"}, ("abdomen", "chest", "lung")),
        ({"SeriesDescription": "CT IMAGES LUNG DELAYS"}, ("chest", "lung")),
        ({"ProtocolName": "6.1 PET_CT_WBS_2D"}, ("abdomen", "chest", "head", "lung", "neck", "pelvis")),
        (
            {"StudyDescription": "PET EYES TO THIGH"},
            ("abdomen", "chest", "leg", "lung", "neck", "pelvis"),
        ),
        ({"BodyPartExamined": "ABDOMEN", "SeriesDescription": "Thorax nativ"}, ("abdomen", "chest", "lung")),
        ({"BodyPartExamined": "HEAD"}, ("brain", "head")),
        ({"BodyPartExamined": "C-SPINE"}, ("spine",)),
        ({"BodyPartExamined": "ABDOMEN"}, ("abdomen",)),
        ({"SeriesDescription": "CORONAL MPR ARMS UP"}, None),
        ({"SeriesDescription": "hippocampus"}, None),
        ({"SeriesDescription": "handling, legend, footprint"}, None),
        ({"SeriesDescription": "abduction"}, None),
        ({"SeriesDescription": "HIPS"}, ("leg",)),
        ({"SeriesDescription": "Handgelenk"}, ("arm",)),
        ({"SeriesDescription": "Abdo 5mm"}, ("abdomen",)),
        ({"BodyPartExamined": "ZZ17"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_covers_names_the_parts_that_the_header_names_or_says_that_it_is_not_known(tags, parts):
    assert covers(replace(record((0, 0, 0)), tags=tags)) == parts


@pytest.mark.parametrize(
    ("change", "lossy"),
    [
        ({}, False),
        ({"tags": {"LossyImageCompression": "01"}}, True),
        ({"tags": {"LossyImageCompression": "00"}}, False),
        ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.50"}, True),
        ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.81"}, True),
        ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.80"}, False),
        ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.90"}, False),
        ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.91"}, True),
    ],
)
def test_one_lossy_image_makes_the_stack_lossy(change, lossy):
    headers = at(0, 2, 4)
    headers[1] = replace(headers[1], **change)
    assert facts_of(StackPlan(headers=tuple(headers)), 0).facts["lossy"] is lossy
