"""Whose studies are: found by keys that tell nothing, and only said to be known when they were read."""

from __future__ import annotations

import errno
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.receive.hl7_message import parse, read_changes
from dicomnode.serve.hl7 import Hl7Desk
from dicomnode.serve.ingest import ingest
from dicomnode.serve.patients import Patients
from dicomnode.settings import Hl7Settings, Settings
from tests.unit.receive.test_hl7_message import message
from tests.unit.serve.test_corrections import changed
from tests.unit.store.part10 import NOON, receive
from tests.wire.peers import free_port
from tests.wire.plain_engines import series


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """One image of each of three studies of one patient."""
    (first, *_) = series(tmp_path / "ct", 1)
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(
            changed(first, StudyInstanceUID=f"1.2.{number}", PatientID="P0", PatientName="Wrong^Name")
        )
        found.append(path)
    return found


@pytest.fixture
def patients(store, journal, files) -> Patients:
    for number, path in enumerate(files):
        receive(store, path.read_bytes()[128:], NOON + timedelta(seconds=number))
    ingest(store, journal, datetime.now(UTC))
    return Patients(store, journal)


def apply(patients: Patients) -> int:
    changes = read_changes(parse(message("PID|||P0||Right^Name"), "8859/1", "10.0.0.1"), "10.0.0.1")
    return patients.apply(changes, "ADT^A08 of 10.0.0.1", datetime.now(UTC))


def test_a_study_that_the_disk_does_not_give_is_not_taken_for_nobodys(patients, journal, monkeypatch):
    bad = journal.instances("1.2.1")[0].path

    def failing(path: Path, **more: object) -> pydicom.Dataset:
        if path == bad:
            raise OSError(errno.EIO, "Input/output error")
        return dcmread(path, **more)

    with monkeypatch.context() as patched:
        patched.setattr(pydicom, "dcmread", failing)
        with pytest.raises(NodeError) as caught:
            apply(patients)
    assert caught.value.fault is STORE_WRITE_FAILED
    assert "1.2.1" in journal.without_patient_key()
    assert journal.identity("1.2.0", 1) is not None, "what was read was not corrected"
    assert apply(patients) == 1
    assert journal.identity("1.2.1", 1) is not None


def test_keys_are_kept_batch_by_batch(patients, journal, monkeypatch):
    monkeypatch.setattr("dicomnode.serve.patients._BATCH", 2)
    first, second = patients.without_key()
    patients.make_keys(first)
    assert journal.without_patient_key() == second == ["1.2.2"]
    patients.make_keys(second)
    assert patients.without_key() == []


def test_the_service_finds_out_whose_its_studies_are_before_it_is_asked(patients, store, journal):
    settings = Settings(hl7=Hl7Settings(port=free_port(), senders=("127.0.0.0/8",)))
    stopping = threading.Event()
    desk = Hl7Desk(settings, store, journal, stopping)
    desk.make_keys()
    assert journal.without_patient_key() == []
    stopping.set()
    desk.run()  # closes the port


def test_the_name_of_a_record_tells_nothing_without_the_salt(tmp_path, store, patients, journal):
    apply(patients)
    path = journal.identity("1.2.0", 1)
    other = type(store).open(tmp_path / "other")
    values = {"PatientName": "Right^Name"}
    again = store.put_identity("1.2.0", values)
    elsewhere = other.put_identity("1.2.0", values)
    assert again == path
    assert elsewhere.name != again.name
    other.close()
