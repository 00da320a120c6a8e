"""Contrast agents of enhanced objects: which, by which route, and in which phase a frame was taken."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicomnode.assemble.contrast import contrast_of
from tests.unit.assemble.multi_frame import enhanced, headers_of, item

Z = (0.0, 2.0, 4.0)


def coded(value: str, meaning: str, scheme: str = "SCT", **more) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning, **more)


IV = coded("47625008", "Intravenous route")
IV_RT = coded("G-D101", "intravenöse Gabe", "SRT")
ORAL = coded("26643006", "Oral route")
ORAL_RT = coded("G-D140", "orale Gabe", "SRT")
RECTAL = coded("37161004", "Per rectum")


def agent(number: int, route: Dataset, name: str = "Iohexol") -> Dataset:
    ingredient = coded("C-B0300", "Iodine", "SRT")
    return coded(
        "C-B0350",
        name,
        "SRT",
        ContrastBolusAgentNumber=number,
        ContrastBolusAdministrationRouteSequence=[route],
        ContrastBolusIngredientCodeSequence=[ingredient],
    )


def usage(number: int, phase: str = "", given: str = "YES") -> Dataset:
    made = item(ContrastBolusAgentNumber=number, ContrastBolusAgentAdministered=given)
    if phase:
        made.ContrastBolusAgentPhase = phase
    return made


def used(*usages: Dataset) -> dict:
    return {"ContrastBolusUsageSequence": list(usages)}


def read(tmp_path, agents, *, shared=None, frames=None, **tags):
    return headers_of(
        enhanced(Z, shared=shared, frames=frames, ContrastBolusAgentSequence=agents, **tags), tmp_path
    )


@pytest.mark.parametrize("route", [IV, IV_RT])
def test_an_injected_agent_is_told_with_its_route_and_its_phase(tmp_path, route):
    for header in read(tmp_path, [agent(1, route)], shared=used(usage(1, "PORTAL_VENOUS"))):
        assert header.tags["ContrastBolusAgent"] == "Iohexol"
        assert header.tags["ContrastBolusRoute"] == "INTRAVENOUS"
        assert header.tags["ContrastBolusAgentPhase"] == "PORTAL_VENOUS"
        assert contrast_of(header) == "venous"


@pytest.mark.parametrize("route", [ORAL, ORAL_RT, RECTAL, coded("1", "Per os", "99SITE")])
@pytest.mark.parametrize("phase", ["", "POST_CONTRAST", "DELAYED"])
def test_an_agent_that_is_not_injected_has_no_phase(tmp_path, route, phase):
    for header in read(tmp_path, [agent(1, route)], shared=used(usage(1, phase))):
        assert "ContrastBolusAgentPhase" not in header.tags
        assert contrast_of(header) is None


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_agents_the_injected_one_says_the_phase(tmp_path, order):
    agents = [agent(1, ORAL, "Barium sulfate"), agent(2, IV)]
    usages = {1: usage(1, "POST_CONTRAST"), 2: usage(2, "ARTERIAL")}
    for header in read(tmp_path, agents, shared=used(*(usages[n] for n in order))):
        assert contrast_of(header) == "arterial"
        assert sorted(str(header.tags["ContrastBolusRoute"]).split(" + ")) == ["INTRAVENOUS", "ORAL"]


def test_each_frame_says_what_had_been_given_by_then(tmp_path):
    agents = [agent(1, ORAL, "Barium sulfate"), agent(2, IV)]
    frames = [
        used(usage(1), usage(2, "PRE_CONTRAST", given="NO")),
        used(usage(1), usage(2, "ARTERIAL")),
        used(usage(1), usage(2, "PORTAL_VENOUS")),
    ]
    headers = read(tmp_path, agents, frames=frames)
    assert [header.tags["ContrastBolusAgent"] for header in headers] == [
        "Barium sulfate",
        "Barium sulfate + Iohexol",
        "Barium sulfate + Iohexol",
    ]
    assert [contrast_of(header) for header in headers] == ["none", "arterial", "venous"]


def test_a_usage_of_an_agent_that_is_not_described_keeps_its_phase(tmp_path):
    for header in read(tmp_path, [agent(1, IV)], shared=used(usage(7, "ARTERIAL"))):
        assert contrast_of(header) == "arterial"
        assert "ContrastBolusAgent" not in header.tags


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_agents_are_read_from_every_way_to_write_a_data_set(tmp_path, syntax):
    frames = [used(usage(1, "ARTERIAL")), {}, used(usage(1, "PORTAL_VENOUS"))]
    shared = used(usage(1, "DELAYED"))
    headers = read(tmp_path, [agent(1, IV)], shared=shared, frames=frames, syntax=syntax)
    assert [contrast_of(header) for header in headers] == ["arterial", "delayed", "venous"]


def test_the_usage_of_a_frame_goes_before_that_of_all_frames(tmp_path):
    frames = [used(usage(1, "ARTERIAL")), {}, {}]
    headers = read(tmp_path, [agent(1, IV)], shared=used(usage(1, "DELAYED")), frames=frames)
    assert [contrast_of(header) for header in headers] == ["arterial", "delayed", "delayed"]


def test_an_agent_that_no_frame_speaks_of_is_given(tmp_path):
    (header, *_) = read(tmp_path, [agent(1, IV)])
    assert contrast_of(header) == "given"
    assert header.tags["ContrastBolusRoute"] == "INTRAVENOUS"


def test_what_is_not_there_or_damaged_is_no_agent(tmp_path):
    for n, agents in enumerate(([], [Dataset()], [item(ContrastBolusAgentNumber=1)])):
        for header in read(tmp_path / str(n), agents, shared=used(usage(1, "ARTERIAL"))):
            assert contrast_of(header) == "arterial"
            assert "ContrastBolusAgent" not in header.tags
