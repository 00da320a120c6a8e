"""Whose a study is and of when: by the header of an image, and by what HL7 said of the patient since."""

from __future__ import annotations

import errno
import struct
import warnings
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError

from dicomnode.faults import FILE_UNREADABLE, NodeError
from dicomnode.journal import Journal
from dicomnode.net import Patient, day_of, time_of
from dicomnode.store import load_identity
from dicomnode.values import Instance

_KEYWORDS: Final = ("PatientID", "IssuerOfPatientID", "StudyDate", "StudyTime")
# What pydicom says of bytes that are no data set; RuntimeError: also NotImplementedError, RecursionError
_UNPARSABLE: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NameError,  # a data set that ends within an element (pydicom 3.0.2)
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
# pydicom's own, and places that no file has, where a damaged length points to
_NOT_OF_THE_DISK: Final = (None, errno.EINVAL, errno.EOVERFLOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoAndWhen:
    """day, at: Study Date and Study Time; None where there is none."""

    patient: Patient
    day: date | None
    at: time | None


def who_and_when(instance: Instance, journal: Journal) -> WhoAndWhen | None:
    """Say whose the study of an instance is and of when; None where its header cannot be read.

    After a merge the patient has the new ID, and the one of the header as the former. Raises NodeError:
    FILE_UNREADABLE where the disk does not give the file, IDENTITY_UNREADABLE.
    """
    header = _header(instance.path)
    if header is None:
        return None
    study_uid = instance.study_instance_uid
    record = journal.identity(study_uid, journal.study(study_uid).version)
    now = {**header, **(load_identity(record) if record else {})}
    before, patient = _patient(header), _patient(now)
    if before != patient and before.patient_id:
        patient = Patient(patient_id=patient.patient_id, issuer=patient.issuer, former=before)
    return WhoAndWhen(patient=patient, day=day_of(header["StudyDate"]), at=time_of(header["StudyTime"]))


def _patient(values: dict[str, str]) -> Patient:
    return Patient(patient_id=values["PatientID"], issuer=values["IssuerOfPatientID"])


def _header(path: Path) -> dict[str, str] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's words quote values
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
            return {name: str(header.get(name) or "").strip() for name in _KEYWORDS}
    except OSError as error:
        if error.errno in _NOT_OF_THE_DISK:
            return None
        said = error.strerror or type(error).__name__
        raise NodeError(FILE_UNREADABLE, path=path, error=said) from error
    except _UNPARSABLE:
        return None
