"""Whose a study is: a header that cannot be read says nothing, and after a merge both IDs count."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from dicomnode.faults import FILE_UNREADABLE, NodeError
from dicomnode.journal import IdentityChange
from dicomnode.net import Patient
from dicomnode.serve.identity import patient_header
from dicomnode.serve.identity.whose import who_and_when
from dicomnode.serve.intake.ingest import ingest
from tests.unit.store.part10 import CT, INSTANCE, NOON, SERIES, STUDY, element, meta, receive


def content(*about: bytes) -> bytes:
    before = ((0x08, 0x16, "UI", CT), (0x08, 0x18, "UI", INSTANCE), (0x08, 0x20, "DA", "20260301"))
    after = ((0x20, 0x0D, "UI", STUDY), (0x20, 0x0E, "UI", SERIES))
    return b"".join(
        (
            meta(),
            *(element(group, number, vr, value.encode()) for group, number, vr, value in before),
            *about,
            *(element(group, number, vr, value.encode()) for group, number, vr, value in after),
        )
    )


def patient_id(value: bytes, vr: str = "LO") -> bytes:
    return element(0x10, 0x20, vr, value)


def kept(store, journal, *about: bytes):
    receive(store, content(*about))
    ingest(store, journal, NOON)
    (instance,) = journal.instances(STUDY)
    return instance


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(patient_id(b"P1", "ZZ"), id="a value representation that is none"),
        pytest.param(patient_id(b"123456", "UL"), id="a number of a length that it cannot have"),
    ],
)
def test_a_header_that_cannot_be_read_says_nothing(store, journal, tmp_path, wrong):
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(bytes(128) + content(wrong))
    assert who_and_when(replace(kept(store, journal), path=damaged), journal) is None


def test_a_value_that_the_library_warns_of_is_read_without_a_word(store, journal):
    read = who_and_when(kept(store, journal, patient_id(b"P" * 70)), journal)
    assert read is not None
    assert (read.patient.ids, read.day) == (("P" * 70,), date(2026, 3, 1))


def test_what_the_disk_does_not_give_is_no_other_patient(store, journal, monkeypatch):
    instance = kept(store, journal, patient_id(b"P1"))

    def failing(path: Path, **_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(patient_header, "dcmread", failing)
    with pytest.raises(NodeError) as caught:
        who_and_when(instance, journal)
    assert caught.value.fault is FILE_UNREADABLE


def test_after_a_merge_the_new_id_counts_and_the_former_one_is_of_the_same_patient(store, journal):
    instance = kept(store, journal, patient_id(b"OLD"))
    path = store.put_identity(STUDY, {"PatientID": "NEW"}, [{"PatientID": "OLD"}])
    change = IdentityChange(path=path, keywords=("PatientID",), source="ADT^A40 of 10.0.0.1", after=0)
    journal.correct_identity(STUDY, change, NOON)
    read = who_and_when(instance, journal)
    assert read is not None
    assert read.patient.ids == ("NEW", "OLD")
    assert [read.patient.is_same(Patient(patient_id=one)) for one in ("NEW", "OLD", "OTHER", "")] == [
        True,
        True,
        False,
        False,
    ]
