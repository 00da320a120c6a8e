"""Whose a study is and of when: by the header of an image, and by what HL7 said of the patient since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, time

from dicomnode.journal import Journal
from dicomnode.net import Patient, day_of, time_of
from dicomnode.serve.identity.patient_header import read_patient_header
from dicomnode.store import load_former, load_identity
from dicomnode.store.persons import NO_RENAMING, Renaming
from dicomnode.values import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoAndWhen:
    """day, at: Study Date and Study Time; None where there is none."""

    patient: Patient
    day: date | None
    at: time | None


def who_and_when(instance: Instance, journal: Journal) -> WhoAndWhen | None:
    """Say whose the study of an instance is and of when; None where its header cannot be read.

    After a merge the patient has the new ID, and is of the header as the former. Raises NodeError:
    FILE_UNREADABLE where the disk does not give the file, IDENTITY_UNREADABLE.
    """
    return whose(instance, told_now(instance.study_instance_uid, journal))


def told_now(study_uid: str, journal: Journal) -> dict[str, str]:
    """What messages say of the patient of a study as it is now: as `told_of`."""
    return told_of(study_uid, journal.study(study_uid).version, journal)


def whose(instance: Instance, told: Mapping[str, str]) -> WhoAndWhen | None:
    """Do `who_and_when` for an image of a study of which it is known what messages `told` of it."""
    header = read_patient_header(instance.path)
    if header is None:
        return None
    now = {**header, **told}
    before, patient = _patient(header), _patient(now)
    if before != patient and before.patient_id:
        patient = replace(patient, former=before)
    return WhoAndWhen(patient=patient, day=day_of(header["StudyDate"]), at=time_of(header["StudyTime"]))


def told_of(study_uid: str, version: int, journal: Journal) -> dict[str, str]:
    """What messages say of the patient of a version: keyword → value that takes the place of the headers'.

    Without what a corrected header has said anew since. Raises NodeError(IDENTITY_UNREADABLE).
    """
    return dict(renaming_of(study_uid, version, journal).told)


def renaming_of(study_uid: str, version: int, journal: Journal) -> Renaming:
    """Return what messages said of the patient of a version, as `told_of`, and who that was before."""
    told = journal.identity(study_uid, version)
    if told is None:
        return NO_RENAMING
    values = load_identity(told.path)
    return Renaming(
        told={keyword: value for keyword, value in values.items() if keyword not in told.corrected},
        former=load_former(told.path),
    )


def _patient(values: dict[str, str]) -> Patient:
    return Patient(
        patient_id=values["PatientID"],
        issuer=values["IssuerOfPatientID"],
        birth_date=values["PatientBirthDate"],
        sex=values["PatientSex"],
    )
