"""A doctor's answer that comes without an object: findings accepted or rejected by a command, or on a page.

It goes where the answers go that are pushed, and counts as they do: of each finding the last word. Who gives
it is a role; the account that it came from is kept as a hash with the installation's salt, so that equal ones
are known and nobody is named.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from unicodedata import combining

from pydicom import Dataset, dcmread

from dicomnode.faults import ANSWER_NO_RESULT, ANSWER_UNKNOWN_FINDING, ANSWER_WHICH_ENGINE, USAGE, NodeError
from dicomnode.journal import (
    BY_HAND,
    COMMENT,
    NO_IMAGES,
    FeedbackRecord,
    FindingRecord,
    Journal,
    Note,
    ObjectRecord,
    is_failure,
)
from dicomnode.serve.feedback.groups import tracked_in
from dicomnode.serve.naming import engine_of
from dicomnode.store import Store, load_findings
from dicomnode.store.foreign import UNREADABLE_ITEMS, quiet
from dicomnode.values import Findings, Region, Segment

ANSWERED: Final = "feedback.answered"
_DIGITS: Final = 16
_WORD: Final = re.compile(r"[^\W_]+")
_LETTERS: Final = 3  # that a word of a name has at least, and an ID: what is shorter is in any text
_OUTLINES: Final = ("SEG", "LABELMAP", "RTSTRUCT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person says. findings: labels or tracking UIDs, () of all. way: "command", "page".

    reader: the role in which he says it. account: that it came from; only a hash of it is kept.
    """

    kind: Literal["accepted", "rejected"]
    reader: str
    account: str
    engine: str | None = None
    findings: tuple[str, ...] = ()
    comment: str = ""
    way: str = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer did. new: how many of the findings had not been answered so before."""

    study_instance_uid: str
    engine: str
    engine_version: str
    study_version: int
    labels: tuple[str, ...]
    new: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Result:
    """What an analysis found, and the objects that say it. labels: of its findings, by tracking UID."""

    of: FindingRecord
    findings: Findings
    objects: tuple[ObjectRecord, ...]
    labels: Mapping[str, str]

    @property
    def engine(self) -> str:
        return engine_of(self.of.engine)


def give_answer(journal: Journal, store: Store, study: str, answer: Answer, now: datetime) -> Told:
    """Write an answer down, and keep what it speaks of as a label; the same again changes nothing.

    study: its UID or accession number. Raises NodeError: STUDY_NOT_FOUND, STUDY_AMBIGUOUS, ANSWER_NO_RESULT,
    ANSWER_WHICH_ENGINE, ANSWER_UNKNOWN_FINDING, STORE_WRITE_FAILED; USAGE where the comment names the
    patient.
    """
    study_uid = journal.study(study).study_instance_uid
    _require_discreet(journal, study_uid, answer.comment)
    result_of = _chosen(_results(journal, study_uid), study_uid, answer)
    records = [
        record for result, wanted in result_of for record in _records(study_uid, result, wanted, answer, now)
    ]
    for result, _ in result_of:
        _keep(journal, store, study_uid, result, now)
    new = journal.answer(records, _note(records, answer, store.salt), now)
    first = records[0]
    return Told(
        study_instance_uid=study_uid,
        engine=first.engine,
        engine_version=first.engine_version,
        study_version=first.study_version,
        labels=tuple(one.label for one in records),
        new=new,
    )


def _results(journal: Journal, study_uid: str) -> list[_Result]:
    """The latest that each analysis found, if it stands: what was taken back is answered already."""
    taken_back, rejected = journal.rejected_answers(study_uid), journal.rejected(study_uid)
    objects = journal.objects(study_uid)
    latest = {one.engine: one for one in journal.findings(study_uid) if not is_failure(one.engine)}
    found = []
    for name, record in sorted(latest.items()):
        key = (name, record.study_version)
        own = tuple(one for one in objects if (one.engine, one.study_version) == key)
        standing = tuple(one for one in own if one.sop_instance_uid not in rejected)
        if key in taken_back or (own and not standing):
            continue
        findings = load_findings(record.path)
        found.append(
            _Result(of=record, findings=findings, objects=standing, labels=_labels(findings, standing))
        )
    return found


def _labels(findings: Findings, objects: Iterable[ObjectRecord]) -> dict[str, str]:
    """Labels of what can be answered: all with a place, then classes, which our report gives their UIDs."""
    placed: list[Segment | Region] = [*findings.segments, *findings.regions]
    labels = {one.tracking_uid: one.label for one in placed}
    if findings.classifications:
        tracked = tracked_in([one.path for one in objects if one.kind == "SR"])
        labels |= {tracked.get(one.label, one.label): one.label for one in findings.classifications}
    return labels


def _chosen(
    results: Sequence[_Result], study_uid: str, answer: Answer
) -> list[tuple[_Result, tuple[str, ...]]]:
    """The results that are meant, with the tracking UIDs of what is answered of each."""
    some = [one for one in results if one.labels]
    names = list(dict.fromkeys(one.engine for one in some))
    there = f"findings have {', '.join(names)}" if names else "no engine has any there"
    engine = answer.engine or (names[0] if len(names) == 1 else None)
    if engine is None and names:
        raise NodeError(ANSWER_WHICH_ENGINE, study=study_uid, engines=", ".join(names))
    meant = [one for one in some if one.engine == engine]
    if not meant:
        raise NodeError(ANSWER_NO_RESULT, study=study_uid, engine=engine or "any engine", there=there)
    for finding in answer.findings:
        if not any(finding in (*one.labels, *one.labels.values()) for one in meant):
            has = ", ".join(label for one in meant for label in one.labels.values())
            raise NodeError(
                ANSWER_UNKNOWN_FINDING, engine=engine, finding=finding, study=study_uid, there=has
            )
    wanted = [(one, _wanted(one.labels, answer.findings)) for one in meant]
    return [(one, uids) for one, uids in wanted if uids]


def _wanted(labels: Mapping[str, str], named: Sequence[str]) -> tuple[str, ...]:
    return tuple(uid for uid, label in labels.items() if not named or uid in named or label in named)


def _records(
    study_uid: str, result: _Result, wanted: Sequence[str], answer: Answer, now: datetime
) -> list[FeedbackRecord]:
    made_by = result.findings.provenance
    object_uid = min((one.sop_instance_uid for one in _said_by(result)), default=None)
    return [
        FeedbackRecord(
            study_instance_uid=study_uid,
            study_version=result.of.study_version,
            engine=result.engine,
            engine_version=made_by.version,
            engine_digest=made_by.engine_digest,
            their_uid=BY_HAND,
            their_class_uid="",
            finding=uid,
            label=result.labels[uid],
            kind=answer.kind,
            recognised_by=answer.way,
            at=now,
            object_uid=object_uid,
            tracking_uid=uid,
        )
        for uid in wanted
    ]


def _said_by(result: _Result) -> list[ObjectRecord]:
    """Our objects that the answer speaks of: outlines, else the report."""
    outlines = [one for one in result.objects if one.kind in _OUTLINES]
    return outlines or [one for one in result.objects if one.kind == "SR"]


def _keep(journal: Journal, store: Store, study_uid: str, result: _Result, now: datetime) -> None:
    """Keep what is answered as a label, with the images that it speaks of. Before the journal tells of it."""
    series = {one.series_instance_uid for one in result.findings.sources}
    images = [
        {"series_instance_uid": one.series_instance_uid, "sop_instance_uid": one.sop_instance_uid}
        for one in journal.instances(study_uid)
        if one.series_instance_uid in series and one.sop_class_uid not in NO_IMAGES
    ]
    for one in _said_by(result):
        if not one.path.exists():
            continue  # what was found is kept all the same
        record = {
            "schema": 1,
            "study_instance_uid": study_uid,
            "sop_instance_uid": one.sop_instance_uid,
            "sop_class_uid": one.sop_class_uid,
            "received_at": now.isoformat(),
            "engines": [result.engine],
            "images": images,
        }
        names = (study_uid, one.sop_instance_uid)
        store.keep_label(one.path, names, json.dumps(record, indent=1).encode())


def _note(records: Sequence[FeedbackRecord], answer: Answer, salt: bytes) -> Note:
    labels = ", ".join(one.label for one in records)
    first = records[0]
    said = f': "{answer.comment}"' if answer.comment else ""
    did = f"has {answer.kind} {labels} of {first.engine}, by {answer.way}{said}"
    return Note(
        what=ANSWERED,
        text=f"A reader ({answer.reader}) {did}.",
        facts={
            "kind": answer.kind,
            "engine": first.engine,
            "findings": labels,
            "reader": answer.reader,
            "account": account_key(answer.account, salt),
            "way": answer.way,
            COMMENT: answer.comment or None,
        },
    )


def _require_discreet(journal: Journal, study_uid: str, comment: str) -> None:
    """Refuse a comment with a word of the patient's name, or his ID: it would stand in the story for good."""
    instances = journal.instances(study_uid) if comment else []
    there = [one.path for one in instances if one.path.exists()]
    if there and _names_patient(comment, _header(there[0])):
        raise NodeError(USAGE, problem="The comment names the patient: say it without a name and an ID")


def _header(path: Path) -> Dataset:
    try:
        with quiet():
            return dcmread(path, stop_before_pixels=True, specific_tags=["PatientName", "PatientID"])
    except UNREADABLE_ITEMS:
        return Dataset()


def _names_patient(comment: str, header: Dataset) -> bool:
    said = _plain(comment)
    name = _WORD.findall(_plain(str(header.get("PatientName") or "")))
    patient_id = _plain(str(header.get("PatientID") or "")).strip()
    if len(patient_id) >= _LETTERS and patient_id in said:
        return True
    # Other scripts put no spaces between words, and one sign of theirs is a name
    return any(
        one in _WORD.findall(said) if one.isascii() else one in said
        for one in name
        if len(one) >= _LETTERS or not one.isascii()
    )


def _plain(text: str) -> str:
    """Leave case and accents out."""
    return "".join(one for one in unicodedata.normalize("NFKD", text.casefold()) if not combining(one))


def account_key(account: str, salt: bytes) -> str:
    """Give 16 hex digits that stand for an account of this machine; nobody finds it out without the salt."""
    return hmac.new(salt, b"account " + account.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
