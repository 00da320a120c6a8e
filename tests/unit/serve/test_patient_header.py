"""What a header says of its patient: read, not to be understood, or not given by the disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dicomnode.faults import FILE_UNREADABLE, NodeError
from dicomnode.serve.identity import patient_header
from dicomnode.serve.identity.patient_header import read_patient_header
from tests.unit.serve.test_whose import content, patient_id


def image(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "image.dcm"
    path.write_bytes(bytes(128) + data)
    return path


def test_what_a_header_does_not_say_is_empty(tmp_path):
    header = read_patient_header(image(tmp_path, content(patient_id(b"P1 "))))
    assert header == {
        "PatientID": "P1",
        "IssuerOfPatientID": "",
        "PatientName": "",
        "PatientBirthDate": "",
        "PatientSex": "",
        "AccessionNumber": "",
        "StudyDate": "20260301",
        "StudyTime": "",
    }


@pytest.mark.parametrize(
    "data",
    [b"", b"no DICOM", content(patient_id(b"P1", "ZZ")), content(patient_id(b"123456", "UL"))],
    ids=["nothing", "something else", "a VR that is none", "a number of a wrong length"],
)
def test_a_file_that_is_not_understood_says_nothing(tmp_path, data):
    assert read_patient_header(image(tmp_path, data)) is None


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO, errno.ESTALE, errno.EACCES])
def test_what_the_disk_does_not_give_is_the_machines_fault(tmp_path, monkeypatch, number):
    path = image(tmp_path, content(patient_id(b"P1")))
    if number == errno.ENOENT:
        path.unlink()
    else:
        monkeypatch.setattr(patient_header, "dcmread", failing(number))
    with pytest.raises(NodeError) as caught:
        read_patient_header(path)
    assert caught.value.fault is FILE_UNREADABLE
    assert caught.value.values["path"] == path


@pytest.mark.parametrize("number", [None, errno.EINVAL, errno.EOVERFLOW])
def test_a_length_that_leads_out_of_the_file_is_the_files_fault(tmp_path, monkeypatch, number):
    monkeypatch.setattr(patient_header, "dcmread", failing(number))
    assert read_patient_header(image(tmp_path, content())) is None


def failing(number: int | None):
    def read(*_: object, **__: object) -> None:
        raise OSError(number, "said") if number else OSError("said")

    return read
