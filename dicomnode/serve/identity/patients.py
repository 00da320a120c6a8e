"""Patients: what HL7 says of them is applied to their studies. Source files stay as they are.

A study is found by a key of its Patient ID, which tells nothing of it: a keyed hash with the installation's
salt. The key of a study is made when it is asked for the first time, and after each correction.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from dicomnode.faults import (
    FILE_UNREADABLE,
    ID_LEFT_OUT,
    IDENTITY_UNREADABLE,
    PATIENT_UNREAD,
    NodeError,
)
from dicomnode.journal import IdentityChange, Journal, Note, PatientKey
from dicomnode.receive.hl7_message import PatientChange, PatientNumber
from dicomnode.serve.identity.patient_header import read_patient_header
from dicomnode.serve.identity.whose import renaming_of
from dicomnode.serve.logs import fault_facts
from dicomnode.store import Store
from dicomnode.store.persons import KEYWORDS, person_of

log = structlog.get_logger("dicomnode.serve")

_BATCH: Final = 200  # studies whose keys are kept at once: what was read is not read once more
_NOBODY: Final = "-"  # a study that says nothing of its patient
# What concerns one study only, where the store is there
_OF_ONE_STUDY: Final = (FILE_UNREADABLE, IDENTITY_UNREADABLE)
# So long after its first failure a study refuses messages: it may be the disk's bad moment. Counted in time,
# as each message meets it, whosever the message is
_WAITED_FOR: Final = timedelta(minutes=10)
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR})

Unread = dict[str, NodeError]  # why it cannot be read whose a study is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Whose a study is: by its headers, and by what was told since. former, told: as of a `Renaming`.

    after: as of an `IdentityChange`.
    """

    header: Mapping[str, str]
    told: Mapping[str, str]
    former: tuple[Mapping[str, str], ...]
    after: int

    @property
    def persons(self) -> tuple[Mapping[str, str], ...]:
        """Who the patient was, and is by now: each once."""
        now = {keyword: value for keyword, value in self.values.items() if keyword in KEYWORDS}
        return (*(one for one in self.former if one != now), now)

    @property
    def values(self) -> dict[str, str]:
        return {**self.header, **self.told}


class Patients:
    """Applies changes of patients to studies."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._failing: dict[str, datetime] = {}  # since when a study cannot be read
        self._told: set[str] = set()  # studies of which it was told that they cannot be read

    def apply(self, changes: Iterable[PatientChange], source: str, now: datetime) -> int:
        """Correct whose studies are; give how many were. source: for their stories, as "ADT^A40 of 10.1.2.3".

        Doing it again changes nothing. Raises NodeError where store or journal fail, and FILE_UNREADABLE or
        IDENTITY_UNREADABLE where some study cannot be read at the moment; what could be corrected stays so. A
        study that stays unreadable is told of, and keeps the others from nothing.
        """
        unread: Unread = {}
        corrected = 0
        for change in changes:
            # Once more for what is open: one that ingest has corrected meanwhile is another patient's now
            while batches := self.without_key(unread):
                for batch in batches:
                    unread |= self.make_keys(batch)
            corrected += self._correct_all(change, source, now, unread)
            self._tell_left_out(change, source, now, unread)
        self._judge(unread, now)
        return corrected

    def without_key(self, besides: Collection[str] = ()) -> list[list[str]]:
        """Studies of which it is not known (any more) whose they are, in batches for `make_keys`."""
        missing = [one for one in self._journal.without_patient_key() if one not in besides]
        return [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]

    def make_keys(self, study_uids: Iterable[str]) -> Unread:
        """Find out whose studies are, and keep it; give those that cannot be read.

        Their keys stay open, as do those of studies that are corrected meanwhile. Raises NodeError where the
        journal fails.
        """
        keys: dict[str, PatientKey] = {}
        unread: Unread = {}
        for study_uid in study_uids:
            try:
                known = self._known(study_uid)
            except NodeError as error:
                unread[study_uid] = _of_one_study(error)
                continue
            number = known.values.get("PatientID", "")
            keys[study_uid] = PatientKey(self._key(number) if number else _NOBODY, known.after)
        if keys:
            self._journal.set_patient_keys(keys)
        return unread

    def _correct_all(self, change: PatientChange, source: str, now: datetime, unread: Unread) -> int:
        corrected = 0
        for study_uid in self._journal.studies_of({self._key(one.number) for one in change.known_as}):
            try:
                corrected += self._correct(study_uid, change, source, now)
            except NodeError as error:
                unread[study_uid] = _of_one_study(error)
        return corrected

    def _tell_left_out(self, change: PatientChange, source: str, now: datetime, unread: Unread) -> None:
        """Tell the studies of old IDs of which a merge does not say what they become."""
        for study_uid in self._journal.studies_of({self._key(one.number) for one in change.left_out}):
            try:
                values = self._known(study_uid).values
            except NodeError as error:
                unread[study_uid] = _of_one_study(error)
                continue
            if any(_is_of(values, one) for one in change.left_out):
                log.warning("hl7.id_left_out", study=study_uid, code=ID_LEFT_OUT.code)
                note = Note(
                    what="study.id_left_out",
                    text=ID_LEFT_OUT.text(source=source),
                    facts={"code": ID_LEFT_OUT.code, "source": source},
                )
                self._journal.add_notes([(study_uid, note)], now)

    def _correct(self, study_uid: str, change: PatientChange, source: str, now: datetime) -> bool:
        while True:  # until nobody else has corrected it between the reading and the writing
            known = self._known(study_uid)
            wanted = values_for(known.values, change) or {}
            news = {name: v for name, v in wanted.items() if not _same(name, known.values.get(name), v)}
            if not news:
                return False
            path = self._store.put_identity(study_uid, {**known.told, **news}, known.persons)
            told = IdentityChange(path=path, keywords=tuple(sorted(news)), source=source, after=known.after)
            since = self._journal.correct_identity(study_uid, told, now)
            if since is not None:
                log.info("study.identity", study=study_uid, version=since, keywords=told.keywords)
                return True

    def _judge(self, unread: Unread, now: datetime) -> None:
        """Raise the failure of a study that may be readable soon; tell of those that are not waited for."""
        waited_for: NodeError | None = None
        for study_uid, error in unread.items():
            since = self._failing.setdefault(study_uid, now)
            if not _is_gone(error) and now - since < _WAITED_FOR:
                waited_for = waited_for or error
            elif study_uid not in self._told:
                self._tell(study_uid, error, now)
                self._told.add(study_uid)
        if waited_for is not None:
            raise waited_for

    def _tell(self, study_uid: str, error: NodeError, now: datetime) -> None:
        told = NodeError(PATIENT_UNREAD, study=study_uid, error=str(error).rstrip("."))
        log.error("hl7.study_left_out", study=study_uid, **fault_facts(told))
        note = Note(
            what="study.patient_unread",
            text=told.fault.text(**told.values),
            facts={"code": told.fault.code, "why": error.fault.code},
        )
        self._journal.add_notes([(study_uid, note)], now)

    def _key(self, number: str) -> str:
        return hashlib.blake2b(number.encode(), key=self._store.salt, digest_size=16).hexdigest()

    def _known(self, study_uid: str) -> _Known:
        """Whose a study is: by its first image that can be read, and by what was told since.

        Raises NodeError: FILE_UNREADABLE where the disk gives none that can; IDENTITY_UNREADABLE.
        """
        after = self._journal.newest_correction(
            study_uid
        )  # first: what is corrected later is seen to be later
        header: dict[str, str] | None = None
        failed: NodeError | None = None
        for instance in self._journal.instances(study_uid):
            try:
                header = read_patient_header(instance.path)
            except NodeError as error:
                failed = failed or error
            if header is not None:
                break
        if header is None and failed is not None:
            raise failed
        renaming = renaming_of(study_uid, self._journal.study(study_uid).version, self._journal)
        told = renaming.told_of(person_of(header or {}))
        self._failing.pop(study_uid, None)
        self._told.discard(study_uid)
        former = tuple(renaming.former) if told else ()
        return _Known(header=header or {}, told=told, former=former, after=after)


def _of_one_study(error: NodeError) -> NodeError:
    """Return a failure that is of one study only; raise it where it is of the journal or the whole store."""
    path = error.values.get("path")
    if error.fault not in _OF_ONE_STUDY or not isinstance(path, Path):
        raise error
    try:
        os.scandir(path.parent.parent).close()  # the folder that has one of each study
    except OSError:
        raise error from None
    return error


def _is_gone(error: NodeError) -> bool:
    """Whether the disk says that there is no such file: it will not be there soon."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _GONE


def values_for(known: Mapping[str, str], change: PatientChange) -> dict[str, str] | None:
    """The attributes of a study's patient after a change; None where it is of another patient.

    An ID is of the same patient when whoever assigned it is the same, as far as both say who that was. A
    merged patient gets the ID that follows the one of the study.
    """
    issuer = known.get("IssuerOfPatientID", "")
    for old, new in zip(change.known_as, change.successors or change.known_as, strict=True):
        if not _is_of(known, replace(old, issuer=old.issuer or new.issuer)):
            continue
        values = dict(change.values)
        if change.successors:
            values["PatientID"] = new.number
            if new.issuer or issuer:
                values["IssuerOfPatientID"] = new.issuer or issuer
        return values
    return None


def _is_of(known: Mapping[str, str], number: PatientNumber) -> bool:
    """Whether a number is that of a study's patient: by its issuer too, as far as both say him."""
    issuer = known.get("IssuerOfPatientID", "")
    return number.number == known.get("PatientID") and not (
        issuer and number.issuer and number.issuer != issuer
    )


def _same(keyword: str, known: str | None, wanted: str) -> bool:
    if keyword == "PatientName":  # a header may have it in ideographic and phonetic writing too
        return wanted in [group.rstrip("^") for group in (known or "").split("=")]
    return (known or "") == wanted
