"""Which files are of one patient: he gets one pseudonym, and all his dates move by the same days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydicom import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a file says of who it is of: Patient ID and its issuer, as they stand, and the study."""

    patient: str
    issuer: str
    study: str


def identity_of(header: Dataset) -> Identity:
    """Read it. Raises AttributeError without Study Instance UID, and what pydicom raises."""
    return Identity(
        patient=str(header.get("PatientID") or "").strip(),
        issuer=str(header.get("IssuerOfPatientID") or "").strip(),
        study=str(header.StudyInstanceUID),
    )


def name_people(found: Iterable[Identity]) -> Mapping[Identity, str]:
    """Say for each identity what the patient is told from others by.

    That is the Patient ID. Many programs leave the issuer out of what they make, so it counts only where two
    issuers gave the same ID, and what names none belongs to the one of its study. What has no ID at all is of
    whom the rest of its study is of, or else of the study alone.
    """
    identities = set(found)
    patients: dict[str, set[str]] = defaultdict(set)
    issuers: dict[str, set[str]] = defaultdict(set)
    issuers_here: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in identities:
        if one.patient:
            patients[one.study].add(one.patient)
        if one.patient and one.issuer:
            issuers[one.patient].add(one.issuer)
            issuers_here[one.study, one.patient].add(one.issuer)

    def name(one: Identity) -> str:
        patient = one.patient or _only(patients[one.study])
        if not patient:
            return f"study {one.study}"
        issuer = one.issuer or _only(issuers_here[one.study, patient])
        return f"patient {patient}" + (f"\0{issuer}" if len(issuers[patient]) > 1 else "")

    return {one: name(one) for one in identities}


def _only(values: set[str]) -> str:
    return next(iter(values)) if len(values) == 1 else ""
