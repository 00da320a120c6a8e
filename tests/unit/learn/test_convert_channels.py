"""Which series a channel is: what is proposed from its name, and what a person says instead."""

from __future__ import annotations

import pytest

from dicomnode.engine.manifest.inputs import Requirement
from dicomnode.engine.rules import check
from dicomnode.faults import ANSWER_WRONG, QUESTIONS_OPEN, NodeError
from dicomnode.learn.convert.channels import ChannelInput, channel_inputs, proposal_note
from dicomnode.values import SeriesFacts

BRAIN = ("T1c", "T1", "T2", "FLAIR")
# How scanners of four makers and two houses describe a brain's series, whether they name a contrast agent
DESCRIBED = {
    "t1_mprage_sag_p2_iso": ("T1", False),
    "t1_mprage_sag_p2_iso_KM": ("T1c", True),
    "Ax T1 FSE": ("T1", False),
    "Ax T1 FLAIR": ("T1", False),
    "3D BRAVO +C": ("T1c", True),
    "AX T1 POST": ("T1c", True),
    "t2_tse_tra": ("T2", False),
    "Ax T2 PROPELLER": ("T2", True),
    "t2_tirm_tra_dark-fluid": ("FLAIR", False),
    "T2W_FLAIR": ("FLAIR", False),
    "Sag CUBE FLAIR": ("FLAIR", True),
    "t2_fl2d_tra_hemo T2*": (None, False),
    "ep2d_diff_b1000": (None, False),
    "localizer": (None, False),
}


def facts(description: str, *, agent: bool, modality: str = "MR") -> SeriesFacts:
    tags = {"Modality": modality, "SeriesDescription": description}
    return SeriesFacts(
        study_instance_uid="1.2",
        series_instance_uid="1.2.3",
        tags=tags | ({"ContrastBolusAgent": "Gadovist"} if agent else {}),
    )


def taken(one: ChannelInput, series: SeriesFacts) -> bool:
    return all(check(Requirement(**rule), series).holds for rule in one.require)


@pytest.mark.parametrize("description", DESCRIBED)
def test_a_series_is_the_channel_that_its_description_tells_and_no_other(description):
    channel, agent = DESCRIBED[description]
    series = facts(description, agent=agent)
    inputs = channel_inputs(BRAIN, None, source="x")
    found = [name for name, one in zip(BRAIN, inputs, strict=True) if taken(one, series)]
    assert found == ([channel] if channel else [])


@pytest.mark.parametrize(
    "name", ["T1c", "T1ce", "T1Gd", "T1_Gd", "t1 post", "T1+C", "ce-T1", "T1w CE", "T1 KM"]
)
def test_many_names_are_t1_with_contrast(name):
    [one, _] = channel_inputs((name, "FLAIR"), None, source="x")
    assert {"tag": "ContrastBolusAgent", "present": True} in one.require


@pytest.mark.parametrize("name", ["T1", "t1w", "T1 native", "t1n", "T1-pre"])
def test_a_plain_t1_is_one_without_contrast(name):
    [one, _] = channel_inputs((name, "FLAIR"), None, source="x")
    assert {"tag": "ContrastBolusAgent", "absent": True} in one.require


def test_two_modalities_need_no_more_than_that():
    ct, pet = channel_inputs(("CT", "PET"), None, source="x")
    assert ct.require == ({"tag": "Modality", "equals": "CT"},)
    assert pet.require == ({"tag": "Modality", "equals": "PT"},)
    assert pet.table([], first=False)["beside_first"] is True
    assert "beside_first" not in ct.table([], first=True)


def test_a_further_ct_that_ends_before_the_first_series_goes_on_as_air():
    _, ct = channel_inputs(("PET", "CT"), None, source="x")
    assert ct.table([], first=False)["outside"] == -1024.0


def test_a_name_that_is_not_known_is_looked_for_in_the_description():
    one, other = channel_inputs(("arterial (a.)", "venous"), None, source="x", modality="CT")
    assert one.name == "arterial-a"
    assert one.require[0] == {"tag": "Modality", "equals": "CT"}
    assert taken(one, facts("Abdomen ARTERIAL (A.) 1.0", agent=True, modality="CT"))
    assert not taken(other, facts("Abdomen ARTERIAL (A.) 1.0", agent=True, modality="CT"))


def test_rules_of_all_series_take_the_place_of_the_one_on_the_modality():
    common = [{"tag": "Modality", "equals": "MR"}, {"fact": "extent_k_mm", "at_least": 100}]
    for one in channel_inputs(("T1", "T2"), None, source="x", require=common):
        assert one.require[:2] == tuple(common)
        assert one.require[2]["tag"] == "SeriesDescription"


def test_what_a_person_says_stands_before_what_is_proposed():
    rule = {"tag": "SeriesDescription", "equals": "mine"}
    said = {"t1c": {"require": [rule]}, "1": {"prefer": [{"fact": "spacing_k_mm", "smaller": True}]}}
    one, other = channel_inputs(("T1c", "T2"), said, source="x")
    assert (one.require, one.proposed) == ((rule,), False)
    assert other.prefer == ({"fact": "spacing_k_mm", "smaller": True},)
    assert "t2" in str(proposal_note((one, other)))
    assert "t1c" not in str(proposal_note((one, other)))
    assert proposal_note((one,)) is None


@pytest.mark.parametrize("names", [("0", "1"), ("image", "image"), ("channel 1", "channel 2"), ("MR", "mri")])
def test_names_that_tell_no_series_are_asked_for(names):
    with pytest.raises(NodeError, match="how the series of channel 0") as raised:
        channel_inputs(names, None, source="x", modality="MR")
    assert raised.value.fault is QUESTIONS_OPEN
    assert "channels={" in raised.value.remedy


def test_two_channels_that_would_take_the_same_series_are_asked_for():
    with pytest.raises(NodeError, match="T1 post, told from T1c") as raised:
        channel_inputs(("T1c", "T1 post"), None, source="x")
    assert raised.value.fault is QUESTIONS_OPEN


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"T3": {"require": []}}, "0 (T1), 1 (T2)"),
        ({"T1": {"rules": []}}, "require, prefer or outside"),
        ({"T1": [1]}, "require, prefer or outside"),
        ({"T1": {"require": "MR"}}, "a list of rules"),
        ({"T1": {"prefer": ["MR"]}}, "a list of rules"),
        ({"T1": {"outside": "air"}}, "a number"),
    ],
)
def test_an_answer_of_a_wrong_form_is_refused(said, expected):
    with pytest.raises(NodeError) as raised:
        channel_inputs(("T1", "T2"), said, source="x")
    assert raised.value.fault is ANSWER_WRONG
    assert expected in str(raised.value)
