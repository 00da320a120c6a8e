"""Which studies are earlier ones of the same patient: what a peer answers is looked at again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicomnode.net import (
    FetchLimits,
    Meter,
    Patient,
    Peer,
    PriorQuery,
    WebPeer,
    day_of,
    find_earlier,
    find_series,
    time_of,
)
from dicomnode.net.priors import _study

QUERY = PriorQuery(
    patient=Patient(patient_id="P1", issuer="HOSPITAL", birth_date="19600203", sex="F"),
    study_instance_uid="1.2.3",
    earliest=date(2023, 6, 1),
    day=date(2026, 6, 1),
    time_of_day=time(12, 0, 0),
)


def answer(**changes: str) -> Dataset:
    found = Dataset()
    values = {
        "PatientID": "P1",
        "IssuerOfPatientID": "HOSPITAL",
        "StudyInstanceUID": "1.2.4",
        "StudyDate": "20260101",
        "StudyTime": "101500",
        **changes,
    }
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"IssuerOfPatientID": ""},
        {"StudyTime": ""},
        {"StudyDate": "20230601"},
        {"StudyDate": "20260601", "StudyTime": "115959"},
        {"PatientID": "P1 "},
        {"PatientBirthDate": "19600203", "PatientSex": "F"},
        {"PatientBirthDate": "", "PatientSex": ""},
    ],
)
def test_an_earlier_study_of_the_patient_is_one(changes: dict[str, str]) -> None:
    found = _study(answer(**changes), QUERY)
    assert found is not None
    assert found.study_instance_uid == "1.2.4"


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "P2"},
        {"PatientID": ""},
        {"PatientID": "p1"},
        {"IssuerOfPatientID": "ELSEWHERE"},
        {"PatientBirthDate": "19600204"},
        {"PatientSex": "M"},
        {"StudyInstanceUID": "1.2.3"},
        {"StudyDate": "20230531"},
        {"StudyDate": "20260602"},
        {"StudyDate": ""},
        {"StudyDate": "20260601", "StudyTime": "120000"},
        {"StudyDate": "20260601", "StudyTime": ""},
    ],
)
def test_what_is_not_an_earlier_study_of_the_patient_is_none(changes: dict[str, str]) -> None:
    assert _study(answer(**changes), QUERY) is None


@pytest.mark.parametrize("patient_id", ["", "000", "Unknown", "P*", "P?", "P1\\P2"])
def test_a_patient_id_that_would_match_others_is_never_asked_for(patient_id: str) -> None:
    query = PriorQuery(
        patient=Patient(patient_id=patient_id),
        study_instance_uid="1.2.3",
        earliest=date(2023, 6, 1),
        day=date(2026, 6, 1),
    )
    with pytest.raises(ValueError, match="pattern"):
        find_earlier(Peer("PACS1", "PACS", "127.0.0.1", 1), "DICOMNODE", query)


@pytest.mark.parametrize("patient_id", ["", "0", "0000", "UNKNOWN", "anonymous"])
def test_an_id_that_is_nobodys_is_no_patients(patient_id: str) -> None:
    assert not Patient(patient_id=patient_id).is_same(Patient(patient_id=patient_id))
    merged = Patient(patient_id="P1", former=Patient(patient_id=patient_id))
    assert merged.ids == ("P1",)
    assert not merged.is_same(Patient(patient_id=patient_id))


def test_a_patient_is_the_one_before_a_correction_too() -> None:
    before = Patient(patient_id="P1", birth_date="19600203")
    now = Patient(patient_id="P1", birth_date="19610203", former=before)
    assert [now.is_same(Patient(patient_id="P1", birth_date=day)) for day in ("19600203", "19610203")] == [
        True,
        True,
    ]
    assert not now.is_same(Patient(patient_id="P1", birth_date="19620203"))


def test_a_patient_is_not_told_by_its_repr() -> None:
    assert "P1" not in repr(QUERY)


@pytest.mark.parametrize(
    ("text", "day"),
    [("20260131", date(2026, 1, 31)), ("2026.01.31", date(2026, 1, 31)), ("20260231", None), ("", None)],
)
def test_a_date_is_read_as_the_standard_writes_it(text: str, day: date | None) -> None:
    assert day_of(text) == day


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("101530.250000", time(10, 15, 30)),
        ("1015", time(10, 15)),
        ("10", time(10)),
        ("10:15:30", time(10, 15, 30)),
        ("256161", None),
        ("", None),
    ],
)
def test_a_time_is_read_as_the_standard_writes_it(text: str, at: time | None) -> None:
    assert time_of(text) == at


@pytest.mark.parametrize(
    "change",
    [{"url": "ftp://pacs"}, {"url": "https://"}, {"url": "https://pacs/web?x=1"}, {"timeout_s": 0.0}],
)
def test_a_web_peer_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    values: dict[str, object] = {"name": "PACS1", "url": "https://pacs/dicom-web"}
    WebPeer(**values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="WebPeer"):
        WebPeer(**{**values, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["instances", "bytes", "seconds", "object_bytes"])
def test_limits_that_take_nothing_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        FetchLimits(**{name: 0})


def test_a_meter_counts_up_to_its_limits() -> None:
    from dicomnode.faults import FETCH_TOO_LARGE, NodeError

    meter = Meter("PACS1", FetchLimits(instances=2, bytes=100))
    meter.count(1, 60)
    with pytest.raises(NodeError) as caught:
        meter.count(1, 60)
    assert caught.value.fault is FETCH_TOO_LARGE
    with pytest.raises(NodeError, match="3 images"):
        Meter("PACS1", FetchLimits(instances=2)).check_instances(3)


def test_an_attribute_of_a_series_that_cannot_be_read_is_one_that_was_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Dataset()
    found.SeriesInstanceUID, found.Modality = "1.2.4.1", "CT"
    for tag, vr, value in (
        (0x00180050, "FD", bytes(4)),
        (0x00201209, "IS", b"x "),
    ):
        found[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
    monkeypatch.setattr("dicomnode.net.priors._ask", lambda *_: [found])
    (series,) = find_series(Peer("PACS1", "PACS", "127.0.0.1", 1), "DICOMNODE", "1.2.4", ["SliceThickness"])
    assert (series.tags, series.instances) == ({"Modality": "CT"}, None)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"birth_date": ""}, True),
        ({"birth_date": "1960.02.03"}, True),
        ({"birth_date": "19600204"}, False),
        ({"sex": ""}, True),
        ({"sex": "O"}, True),
        ({"sex": "M"}, False),
        ({"issuer": ""}, True),
        ({"issuer": "OTHER"}, False),
        ({"patient_id": "P2"}, False),
    ],
)
def test_a_patient_is_the_same_where_nothing_that_both_say_contradicts(change, same):
    assert QUERY.patient.is_same(replace(QUERY.patient, **change)) is same
    assert replace(QUERY.patient, **change).is_same(QUERY.patient) is same
