"""Whose a study is and of when: by the header of an image, and by what HL7 said of the patient since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, time

from dicomnode.journal import Journal
from dicomnode.net import Patient, day_of, time_of
from dicomnode.serve.identity.patient_header import read_patient_header
from dicomnode.store import load_former, load_identity
from dicomnode.store.persons import NO_RENAMING, Renaming, person_of
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


def told_now(study_uid: str, journal: Journal) -> Renaming:
    """What messages say of the patient of a study as it is now: as `renaming_of`."""
    return renaming_of(study_uid, journal.study(study_uid).version, journal)


def whose(instance: Instance, told: Renaming) -> WhoAndWhen | None:
    """Do `who_and_when` for an image of a study of which it is known what messages `told` of it."""
    header = read_patient_header(instance.path)
    if header is None:
        return None
    now = {**header, **told.told_of(person_of(header))}
    before, patient = _patient(header), _patient(now)
    if before != patient and before.patient_id:
        patient = replace(patient, former=before)
    return WhoAndWhen(patient=patient, day=day_of(header["StudyDate"]), at=time_of(header["StudyTime"]))


def renaming_of(study_uid: str, version: int, journal: Journal) -> Renaming:
    """Return what messages said of the patient of a version. Raises NodeError(IDENTITY_UNREADABLE)."""
    told = journal.identity(study_uid, version)
    if told is None:
        return NO_RENAMING
    return Renaming(told=load_identity(told.path), former=load_former(told.path), corrected=told.corrected)


def _patient(values: Mapping[str, str]) -> Patient:
    return Patient(
        patient_id=values["PatientID"],
        issuer=values["IssuerOfPatientID"],
        birth_date=values["PatientBirthDate"],
        sex=values["PatientSex"],
    )
