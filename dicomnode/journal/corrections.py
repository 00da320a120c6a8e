"""Corrections: what was received is put right by its senders, and what was made from it is made again.

Three kinds: an image came again with another header, images were rejected (IOCM), or the patient was merged
or updated (HL7). Names of attributes stand here, never values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from dicomnode.journal import events, instances, priors, retraction, schema, sentences, studies
from dicomnode.journal.records import ReadIds
from dicomnode.values import Instance

_correction: Final = schema.correction
_instance: Final = schema.instance
_rejected: Final = schema.rejected
_study: Final = schema.study

KEY_OBJECTS: Final = "1.2.840.10008.5.1.4.1.1.88.59"


class CorrectionKind(StrEnum):
    """What was corrected."""

    HEADER = "header"  # images came again with the same pixels and another header
    REJECTED = "rejected"  # a rejection note sets images aside
    IDENTITY = "identity"  # whose the study is, by HL7
    RETRACTED = "retracted"  # the results of the study were taken back
    SUPERSEDED = "superseded"  # the results of earlier versions were


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderCorrection:
    """An instance with another header than before, and where the file with the old one is kept.

    keywords: of the attributes that differ. is_renaming: they say whose it is and under which number, and
    no engine looks at them.
    """

    instance: Instance
    ids: ReadIds
    keywords: tuple[str, ...]
    is_renaming: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionNote:
    """Instances of one study that an IOCM rejection note names. code: of its title, CID 7010 of PS3.16."""

    sop_instance_uid: str
    study_instance_uid: str
    code: str
    meaning: str
    instances: tuple[str, ...]


Correction = HeaderCorrection | RejectionNote


@dataclass(frozen=True, slots=True, kw_only=True)
class Retracted:
    """What a retraction did. objects: how many are taken back; destinations: that are told of it.

    ended: the study itself was ended by it, also where nothing had been made of it yet.
    """

    objects: int
    destinations: tuple[str, ...]
    ended: bool


def apply(connection: Connection, corrections: Iterable[Correction], now: datetime) -> None:
    """Enter corrections; those known already change nothing."""
    headers: dict[str, list[HeaderCorrection]] = defaultdict(list)
    notes: list[RejectionNote] = []
    for one in corrections:
        if isinstance(one, RejectionNote):
            notes.append(one)
        else:
            headers[one.instance.study_instance_uid].append(one)
    for study_uid, of_study in headers.items():
        _correct_headers(connection, study_uid, of_study, now)
    for note in notes:
        _reject(connection, note, now)


# ── headers ──


def _correct_headers(
    connection: Connection, study_uid: str, corrections: Sequence[HeaderCorrection], now: datetime
) -> None:
    rows = {
        row.sop_instance_uid: (row.digest, row.size)
        for row in connection.execute(select(_instance).where(_instance.c.study_instance_uid == study_uid))
    }
    # The last one of each instance; what the journal has already is not news
    latest = {one.instance.sop_instance_uid: one for one in corrections}
    news = [
        one
        for uid, one in latest.items()
        if uid in rows and rows[uid] != (one.instance.digest, one.instance.size)
    ]
    if not news:
        return
    for one in news:
        values = instances.described(one.instance)
        connection.execute(
            update(_instance)
            .where(
                _instance.c.study_instance_uid == study_uid,
                _instance.c.sop_instance_uid == one.instance.sop_instance_uid,
            )
            .values(values)
        )
    _correct_modalities(connection, study_uid, news)
    keywords = sorted({keyword for one in news for keyword in one.keywords})
    # The key is of the patient's ID, which may be another one now
    values = {"last_received_at": max(one.instance.received_at for one in news), "patient_key": None}
    if "AccessionNumber" in keywords:
        values["accession_number"] = news[-1].ids.accession_number
    version = reopen(connection, study_uid, now, values)
    add(
        connection, study_uid, version, now,
        kind=CorrectionKind.HEADER, keywords=keywords, is_renaming=all(one.is_renaming for one in news),
    )  # fmt: skip
    text = sentences.corrected(len(news), keywords, version)
    events.append(
        connection, study_uid, now, "study.corrected", text,
        version=version, instances=len(news), keywords=", ".join(keywords),
    )  # fmt: skip
    studies.settle_state(connection, study_uid, now)


def _correct_modalities(connection: Connection, study_uid: str, news: Iterable[HeaderCorrection]) -> None:
    """A series is of the modality that its images say: rules and lanes are by that."""
    series = schema.series
    for uid, modality in {
        one.instance.series_instance_uid: one.ids.modality for one in news if "Modality" in one.keywords
    }.items():
        connection.execute(
            update(series)
            .where(series.c.study_instance_uid == study_uid, series.c.series_instance_uid == uid)
            .values(modality=modality)
        )


def reopen(
    connection: Connection, study_uid: str, now: datetime, values: Mapping[str, Any] | None = None
) -> int:
    """Begin the next version of a study that was complete: it is being received again; give the version.

    One that was fetched as a prior stays as it is: nobody analyses it.
    """
    row = locked(connection, study_uid)
    more = {"shortfall": None, **(values or {})}
    if "last_received_at" in more:
        more["last_received_at"] = max(row.last_received_at, more["last_received_at"])
    version: int = row.version
    changed: dict[str, Any] = {}
    if priors.mark(connection, study_uid) is None:
        version, changed = instances.next_version(connection, row, now)
    connection.execute(
        update(_study)
        .where(_study.c.study_instance_uid == study_uid)
        .values({"last_added_at": max(row.last_added_at, now), **changed, **more})
    )
    return version


# ── rejection ──


def _reject(connection: Connection, note: RejectionNote, now: datetime) -> None:
    known = set(
        connection.execute(
            select(_rejected.c.sop_instance_uid).where(
                _rejected.c.study_instance_uid == note.study_instance_uid
            )
        ).scalars()
    )
    new = [uid for uid in dict.fromkeys(note.instances) if uid not in known]
    if not new:
        return
    retraction.reject(connection, note.study_instance_uid, new, note.code, note.sop_instance_uid)
    here = set(
        connection.execute(
            select(_instance.c.sop_instance_uid).where(
                _instance.c.study_instance_uid == note.study_instance_uid
            )
        ).scalars()
    )
    concerned = len(here.intersection(new))
    if concerned:
        _set_aside(connection, note, concerned, now)
    elif here:
        # Results of our own may be among what is named: they are not sent any more
        studies.settle_state(connection, note.study_instance_uid, now)


def _set_aside(connection: Connection, note: RejectionNote, count: int, now: datetime) -> None:
    study_uid = note.study_instance_uid
    version = reopen(connection, study_uid, now)
    text = sentences.rejected(count, note.meaning, note.code, version)
    events.append(
        connection, study_uid, now, "study.rejected", text,
        version=version, instances=count, code=note.code, note=note.sop_instance_uid,
    )  # fmt: skip
    number = add(connection, study_uid, version, now, kind=CorrectionKind.REJECTED, code=note.code)
    retraction.withdraw(connection, study_uid, retraction.Withdrawal(number, version, note.code), now)
    if not _left(connection, study_uid):
        retraction.retract_study(connection, study_uid, version, now)
        add(connection, study_uid, version, now, kind=CorrectionKind.RETRACTED, code=note.code)
    studies.settle_state(connection, study_uid, now)


def _left(connection: Connection, study_uid: str) -> int:
    """Instances that are not set aside, beside the notes themselves."""
    found: int = connection.execute(
        select(func.count()).where(
            _instance.c.study_instance_uid == study_uid,
            _instance.c.sop_class_uid != KEY_OBJECTS,
            _instance.c.sop_instance_uid.not_in(_aside(study_uid)),
        )
    ).scalar_one()
    return found


def _aside(study_uid: str) -> Select[tuple[str]]:
    return select(_rejected.c.sop_instance_uid).where(_rejected.c.study_instance_uid == study_uid)


# ── what follows ──


def same_images_since(connection: Connection, study_uid: str, version: int) -> int:
    """The first version whose images an engine cannot tell from those of `version`.

    Between the two, nothing came or went, and all that was corrected says whose the images are.
    """
    first = version
    while first > 1:
        of = [
            row.is_renaming
            for row in connection.execute(
                select(_correction.c.is_renaming).where(
                    _correction.c.study_instance_uid == study_uid,
                    _correction.c.study_version == first,
                    _correction.c.kind.in_(
                        [CorrectionKind.HEADER, CorrectionKind.REJECTED, CorrectionKind.IDENTITY]
                    ),
                )
            )
        ]
        came = connection.execute(
            select(func.count()).where(
                _instance.c.study_instance_uid == study_uid,
                _instance.c.study_version == first,
                _instance.c.sop_instance_uid.not_in(_aside(study_uid)),
            )
        ).scalar_one()
        if came or not of or not all(of):
            return first
        first -= 1
    return first


def locked(connection: Connection, study_uid: str) -> Row[Any]:
    """The row of a study, which nobody else changes before the end of the transaction."""
    return connection.execute(
        select(_study).where(_study.c.study_instance_uid == study_uid).with_for_update()
    ).one()


def add(connection: Connection, study_uid: str, version: int, now: datetime, **values: Any) -> int:
    """Write a correction; give its number."""
    row = {"keywords": [], "is_renaming": False, "path": "", "code": ""} | values
    done = connection.execute(
        insert(_correction).values(study_instance_uid=study_uid, study_version=version, at=now, **row)
    )
    key: Any = done.inserted_primary_key
    return int(key[0])


def retract(
    connection: Connection, study_uid: str, code: str, now: datetime, *, earlier_only: bool
) -> Retracted:
    """Take back the results of a study, or only those of its earlier versions."""
    row = locked(connection, study_uid)
    version: int = row.version
    kind = CorrectionKind.SUPERSEDED if earlier_only else CorrectionKind.RETRACTED
    ended = not earlier_only and not studies.is_retracted(connection, study_uid, version)
    number = add(connection, study_uid, version, now, kind=kind, code=code)
    below = version if earlier_only else version + 1
    withdrawal = retraction.Withdrawal(number, version, code, below=below)
    count, destinations = retraction.withdraw(connection, study_uid, withdrawal, now)
    if not earlier_only:
        retraction.retract_study(connection, study_uid, version, now)
    if count or ended:
        text = sentences.retracted(count, destinations, code, earlier_only=earlier_only)
        events.append(
            connection, study_uid, now, "results.retracted", text,
            version=version, objects=count, code=code, destinations=", ".join(destinations),
        )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    return Retracted(objects=count, destinations=destinations, ended=ended)
