"""Identities: whose studies are, as messages say after the images have come; the images stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select, update

from dicomnode.journal import events, schema, sentences, studies, tasks
from dicomnode.journal.closing import SHORTFALL, THEN
from dicomnode.journal.corrections import CorrectionKind, add, locked, reopen
from dicomnode.journal.records import NewTask
from dicomnode.journal.transitions import TaskKind

_correction: Final = schema.correction
_study: Final = schema.study

# What says who the patient is: a corrected header that has one of these ends what was told by HL7 before
WHO: Final = frozenset({"PatientID", "PatientName"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChange:
    """Whose a study is, as a message says. path: of the record in the store; keywords: of what it holds."""

    path: Path
    keywords: tuple[str, ...]
    source: str  # "ADT^A40 of 10.1.2.3"


def correct_identity(
    connection: Connection, study_uid: str, change: IdentityChange, now: datetime
) -> int | None:
    """Keep who the patient is; results that were written are written again, as the study's next version.

    None when the same is known already, else the version that it holds for.
    """
    row = locked(connection, study_uid)
    if identity(connection, study_uid, row.version) == change.path:
        return None
    version: int = row.version
    again = row.complete_at is not None and _is_reported(connection, study_uid, version)
    if again:
        version = reopen(connection, study_uid, now)
    connection.execute(
        update(_study).where(_study.c.study_instance_uid == study_uid).values(patient_key=None)
    )
    add(
        connection, study_uid, version, now,
        kind=CorrectionKind.IDENTITY, keywords=list(change.keywords), is_renaming=True, path=str(change.path),
    )  # fmt: skip
    text = sentences.identified(change.source, change.keywords, version if again else None)
    events.append(
        connection, study_uid, now, "study.identity", text,
        version=version, keywords=", ".join(change.keywords),
    )  # fmt: skip
    if again:
        _dispatch_again(connection, study_uid, version, now)
    return version


def _dispatch_again(connection: Connection, study_uid: str, version: int, now: datetime) -> None:
    """Close the version at once: it has the images of the one before, and is dispatched as that was."""
    task = schema.task.c
    before = connection.execute(
        select(task.payload, task.priority).where(
            task.kind == TaskKind.DISPATCH,
            task.study_instance_uid == study_uid,
            task.study_version == version - 1,
        )
    ).first()
    payload = before.payload if before else {}
    lacks = (payload[SHORTFALL], payload[THEN]) if SHORTFALL in payload else None
    studies.complete(connection, study_uid, "its images are those of the version before", now, None, lacks)
    dispatch = NewTask(
        kind=TaskKind.DISPATCH,
        study_instance_uid=study_uid,
        study_version=version,
        payload=payload,
        priority=before.priority if before else 0,
    )
    tasks.add(connection, [dispatch], now)
    studies.settle_state(connection, study_uid, now)


def _is_reported(connection: Connection, study_uid: str, version: int) -> bool:
    """Whether results of this version are being written, or are; and it was not taken back."""
    if studies.is_retracted(connection, study_uid, version):
        return False
    task = schema.task.c
    row = connection.execute(
        select(task.id)
        .where(
            task.study_instance_uid == study_uid,
            task.study_version == version,
            task.kind == TaskKind.REPORT,
            task.engine.not_like(f"{studies.RETRACTION}%"),
        )
        .limit(1)
    ).first()
    return row is not None


def identity(connection: Connection, study_uid: str, version: int) -> Path | None:
    """The record that says whose a version of a study is; None where its headers do."""
    rows = connection.execute(
        select(_correction)
        .where(
            _correction.c.study_instance_uid == study_uid,
            _correction.c.study_version <= version,
            _correction.c.kind.in_([CorrectionKind.IDENTITY, CorrectionKind.HEADER]),
        )
        .order_by(_correction.c.id.desc())
    )
    for row in rows:
        if row.kind == CorrectionKind.IDENTITY:
            return Path(row.path)
        if WHO & set(row.keywords):
            return None
    return None


def without_patient_key(connection: Connection) -> list[str]:
    """Studies of which it is not known (any more) whose they are."""
    query = select(_study.c.study_instance_uid).where(_study.c.patient_key.is_(None))
    return list(connection.execute(query.order_by(_study.c.study_instance_uid)).scalars())


def set_patient_keys(connection: Connection, keys: Mapping[str, str]) -> None:
    """Write whose studies are, by keys that tell nothing of the patient: Study Instance UID → key."""
    for study_uid, key in keys.items():
        connection.execute(
            update(_study).where(_study.c.study_instance_uid == study_uid).values(patient_key=key)
        )


def studies_of(connection: Connection, keys: Collection[str]) -> list[str]:
    """Studies of patients."""
    query = select(_study.c.study_instance_uid).where(_study.c.patient_key.in_(sorted(keys)))
    return list(connection.execute(query.order_by(_study.c.study_instance_uid)).scalars())
