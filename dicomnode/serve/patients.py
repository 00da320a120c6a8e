"""Patients: what HL7 says of them is applied to their studies. Source files stay as they are.

A study is found by a key of its Patient ID, which tells nothing of it: a keyed hash with the installation's
salt. The key of a study is made when it is asked for the first time, and after each correction.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.journal import IdentityChange, Journal
from dicomnode.receive.hl7_message import PatientChange, PatientNumber
from dicomnode.store import Store, load_identity

log = structlog.get_logger("dicomnode.serve")

_KEYWORDS: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
_BATCH: Final = 200  # studies whose keys are kept at once: what was read is not read once more
_NOBODY: Final = "-"  # a study that says nothing of its patient
_UNPARSABLE: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Patients:
    """Applies changes of patients to studies."""

    store: Store
    journal: Journal

    def apply(self, changes: Iterable[PatientChange], source: str, now: datetime) -> int:
        """Correct whose studies are; give how many were. source: for their stories, as "ADT^A40 of 10.1.2.3".

        Doing it again changes nothing. Raises NodeError where store or journal fail, also when the disk does
        not say whose some study is; what could be corrected stays so.
        """
        return sum(self._apply(change, source, now) for change in changes)

    def without_key(self) -> list[list[str]]:
        """Studies of which it is not known (any more) whose they are, in batches for `make_keys`."""
        missing = self.journal.without_patient_key()
        return [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]

    def make_keys(self, study_uids: Iterable[str]) -> None:
        """Find out whose studies are, and keep it.

        Raises NodeError(STORE_WRITE_FAILED) where the disk does not give some: their keys stay open, so that
        they are asked again.
        """
        keys: dict[str, str] = {}
        failed: NodeError | None = None
        for study_uid in study_uids:
            try:
                number = self._known(study_uid).get("PatientID", "")
            except NodeError as error:
                failed = failed or error
                continue
            keys[study_uid] = self._key(number) if number else _NOBODY
        if keys:
            self.journal.set_patient_keys(keys)
        if failed is not None:
            raise failed

    def _apply(self, change: PatientChange, source: str, now: datetime) -> int:
        failed: NodeError | None = None
        for batch in self.without_key():
            try:
                self.make_keys(batch)
            except NodeError as error:
                failed = failed or error
        corrected = self._correct_all(change, source, now)
        if failed is not None:
            raise failed  # the sender repeats it: whose the others are, is not known
        return corrected

    def _correct_all(self, change: PatientChange, source: str, now: datetime) -> int:
        keys = {self._key(number.number) for number in change.known_as}
        corrected = 0
        for study_uid in self.journal.studies_of(keys):
            known = self._known(study_uid)
            wanted = values_for(known, change)
            if wanted is None:
                continue
            news = {name: v for name, v in wanted.items() if not _same(name, known.get(name), v)}
            if news:
                corrected += self._correct(study_uid, news, source, now)
        return corrected

    def _correct(self, study_uid: str, news: Mapping[str, str], source: str, now: datetime) -> bool:
        version = self.journal.study(study_uid).version
        before = self.journal.identity(study_uid, version)
        values = {**(load_identity(before) if before else {}), **news}
        path = self.store.put_identity(study_uid, values)
        change = IdentityChange(path=path, keywords=tuple(sorted(news)), source=source)
        since = self.journal.correct_identity(study_uid, change, now)
        if since is not None:
            log.info("study.identity", study=study_uid, version=since, keywords=change.keywords)
        return since is not None

    def _key(self, number: str) -> str:
        return hashlib.blake2b(number.encode(), key=self.store.salt, digest_size=16).hexdigest()

    def _known(self, study_uid: str) -> dict[str, str]:
        """Whose a study is: by its first image that can be read, and by what was told since.

        Raises NodeError: STORE_WRITE_FAILED where the disk gives none that can; IDENTITY_UNREADABLE.
        """
        known: dict[str, str] = {}
        failed: NodeError | None = None
        for instance in self.journal.instances(study_uid):
            try:
                known = read_patient(instance.path)
            except NodeError as error:
                failed = failed or error
            if known:
                break
        if not known and failed is not None:
            raise failed
        record = self.journal.identity(study_uid, self.journal.study(study_uid).version)
        return {**known, **(load_identity(record) if record else {})}


def values_for(known: Mapping[str, str], change: PatientChange) -> dict[str, str] | None:
    """The attributes of a study's patient after a change; None where it is of another patient.

    An ID is of the same patient when whoever assigned it is the same, as far as both say who that was. A
    merged patient gets the new ID of the one who assigned the old one, else the first.
    """
    issuer = known.get("IssuerOfPatientID", "")
    mine = [
        one
        for one in change.known_as
        if one.number == known.get("PatientID") and (not issuer or not one.issuer or one.issuer == issuer)
    ]
    if not mine:
        return None
    values = dict(change.values)
    if change.is_merge:
        new = _of_issuer(change.numbers, mine[0].issuer or issuer)
        values["PatientID"] = new.number
        if new.issuer or issuer:
            values["IssuerOfPatientID"] = new.issuer or issuer
    return values


def _of_issuer(numbers: tuple[PatientNumber, ...], issuer: str) -> PatientNumber:
    return next((one for one in numbers if one.issuer == issuer), numbers[0])


def _same(keyword: str, known: str | None, wanted: str) -> bool:
    if keyword == "PatientName":  # a header may have it in ideographic and phonetic writing too
        return wanted in [group.rstrip("^") for group in (known or "").split("=")]
    return (known or "") == wanted


def read_patient(path: Path) -> dict[str, str]:
    """Attributes of the patient in the header of a file; {} where it cannot be understood.

    Raises NodeError(STORE_WRITE_FAILED) where the disk does not give it: that says nothing of the patient.
    """
    from pydicom import dcmread  # noqa: PLC0415  the receiver loads this package
    from pydicom.errors import BytesLengthException, InvalidDicomError  # noqa: PLC0415  as above

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's words quote values
            header = dcmread(path, stop_before_pixels=True, specific_tags=[*_KEYWORDS])
            return {keyword: str(header.get(keyword) or "").strip() for keyword in _KEYWORDS}
    except (OSError, InvalidDicomError, BytesLengthException, *_UNPARSABLE) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise NodeError(STORE_WRITE_FAILED, path=path, error=error) from error
        log.warning("header.unreadable", path=path.name, error=type(error).__name__)
        return {}
