"""Which labels are counterparts of an output: by code and side, else by label, else as a person says it."""

from __future__ import annotations

import pytest

from dicomnode.engine import find_engine
from dicomnode.evaluate.truth import said_counterparts, wanted_outputs
from dicomnode.evaluate.truth.wanted import By
from dicomnode.faults import MATCH_WRONG, NodeError
from dicomnode.values import Code
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.evaluate.truth.values import LUNG, NODULE, lesion, organ, question

LIVER = Code("10200004", "SCT", "Liver")


@pytest.mark.parametrize(
    ("label", "type_", "expected"),
    [
        ("anything", LUNG, By.CODE),
        ("Lung", None, By.LABEL),
        ("lung", LIVER, By.LABEL),
        ("liver", LIVER, None),
        ("LUNG ", None, By.LABEL),
        ("lungs", None, None),
    ],
)
def test_a_code_matches_whatever_the_label_and_a_label_without_the_code(label, type_, expected):
    assert organ().fits(label, type_) is expected


@pytest.mark.parametrize(
    ("label", "type_", "side", "expected"),
    [
        ("x", LUNG, LEFT, By.CODE),
        ("x", LUNG, RIGHT, None),
        ("x", LUNG, None, None),  # which side it is, nobody says
        ("Left lung", LUNG, None, By.LABEL),
        ("lung_left", None, None, By.LABEL),
        ("Lung", None, LEFT, By.LABEL),
        ("left lung", LUNG, RIGHT, None),  # the code has the last word
        ("Lung", None, None, None),
    ],
)
def test_a_side_must_be_said_and_be_the_same(label, type_, side, expected):
    assert organ(laterality="left").fits(label, type_, laterality=side) is expected


def test_an_output_without_a_side_takes_both():
    for side in (LEFT, RIGHT, None):
        assert organ().fits("x", LUNG, laterality=side) is By.CODE


def test_another_organ_that_both_name_is_no_match():
    from tests.unit.evaluate.truth.values import spec

    wanted = organ(segment="nodule", kind="lesion", type=spec(NODULE), site=spec(LUNG))
    assert wanted.fits("nodule", NODULE, site=LUNG) is By.CODE
    assert wanted.fits("nodule", NODULE, site=None) is By.CODE
    assert wanted.fits("nodule", NODULE, site=LIVER) is None


@pytest.mark.parametrize("label", ["nodule-3", "Nodule 12", "nodule_1", "Nodule #2"])
def test_lesions_are_numbered(label):
    assert lesion().fits(label, None) is By.LABEL


def test_what_a_person_says_is_all_that_counts():
    wanted = organ(said=("GTV",))
    assert wanted.fits("gtv", LIVER) is By.SAID
    assert wanted.fits("GTV-2", None) is By.SAID
    assert wanted.fits("x", Code("1", "99X", "GTV")) is By.SAID
    assert wanted.fits("lung", LUNG) is None


def test_columns_are_found_by_name_or_as_said():
    columns = ("Malignant", "birads", "side")
    assert question().column(columns) == ("Malignant", By.LABEL)
    assert question(said=("BIRADS",)).column(columns) == ("birads", By.SAID)
    assert question(said=("other",)).column(columns) is None
    assert question("benign").column(("malignant tumour",)) == ("malignant tumour", By.LABEL)


def test_counterparts_are_read_from_the_command_line():
    manifest = find_engine("lung-ct").manifest
    types = ["solid", "part-solid", "ground-glass", "calcified", "cavity"]
    assert [one.label for one in wanted_outputs(manifest, {})] == [
        "lung-right",
        "lung-left",
        "nodule",
        *types,
    ]
    said = said_counterparts(["nodule=GTV", "Nodule=mass", "lung-left = L"], manifest)
    assert said == {"nodule": ("GTV", "mass"), "lung-left": ("L",)}
    assert [one.said for one in wanted_outputs(manifest, said)][:3] == [(), ("L",), ("GTV", "mass")]


@pytest.mark.parametrize("text", ["nodule", "=x", "nodule=", "liver=Liver"])
def test_what_cannot_be_meant_is_refused(text):
    with pytest.raises(NodeError) as caught:
        said_counterparts([text], find_engine("lung-ct").manifest)
    assert caught.value.fault is MATCH_WRONG


def test_an_output_of_the_other_engine_is_passed_over():
    assert said_counterparts(["liver=Liver"], find_engine("lung-ct").manifest, others_too=True) == {}
