"""Identities: whose studies are, as messages say after the images have come; the images stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select, update

from dicomnode.journal import events, schema, sentences, studies, tasks
from dicomnode.journal.closing import SHORTFALL
from dicomnode.journal.records import NewTask
from dicomnode.journal.transitions import TaskKind
from dicomnode.journal.versions import CorrectionKind, add, locked, rejected_answers, reopen

_correction: Final = schema.correction
_study: Final = schema.study


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChange:
    """Whose a study is, as a message says. path: of the record in the store; keywords: of what is new in it.

    after: the study's newest correction when it was read whose it was (`newest_correction`).
    """

    path: Path
    keywords: tuple[str, ...]
    source: str  # "ADT^A40 of 10.1.2.3"
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What messages said of whose a version is. path: of the record in the store.

    corrected: keywords of what headers have said since, otherwise than was told; of these they have the last
    word.
    """

    path: Path
    corrected: frozenset[str]


class Record(NamedTuple):
    """What a message said of whose a study is, in a file of the store. of: images that had come by then."""

    path: Path
    of: frozenset[str]


class PatientKey(NamedTuple):
    """Whose a study is, by a key that tells nothing of the patient. after: as of an `IdentityChange`."""

    key: str
    after: int


def correct_identity(
    connection: Connection, study_uid: str, change: IdentityChange, now: datetime
) -> int | None:
    """Keep who the patient is; results that were written are written again, as the study's next version.

    Not those that were taken back: a message says more of a patient, or that two IDs are one person's, and a
    study that was wrongly his is so under the other ID too. Gives the version that it holds for; None where
    the study was corrected since it was read whose it is.
    """
    row = locked(connection, study_uid)
    if newest_correction(connection, study_uid) != change.after:
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
    lacks = (payload[SHORTFALL], sentences.AGAIN) if SHORTFALL in payload else None
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
    """Whether results of this version are being written, or are; and nobody took them back."""
    if studies.is_retracted(connection, study_uid, version):
        return False
    task = schema.task.c
    engines = connection.execute(
        select(task.engine).where(
            task.study_instance_uid == study_uid,
            task.study_version == version,
            task.kind == TaskKind.REPORT,
            task.engine.not_like(f"{studies.RETRACTION}%"),
        )
    ).scalars()
    written = {(engine, version) for engine in engines}
    return bool(written) and not written <= rejected_answers(connection, study_uid).keys()


def identity(connection: Connection, study_uid: str, version: int) -> Identity | None:
    """What messages said of whose a version of a study is; None where its headers alone say it.

    Headers that were corrected since have the last word, each attribute for itself, but where they say as the
    message had told. What undoes it, by the Patient ID from before, ends all that was told; of which images
    the rest was told, their headers say (`store.persons`).
    """
    rows = connection.execute(
        select(_correction)
        .where(
            _correction.c.study_instance_uid == study_uid,
            _correction.c.study_version <= version,
            _correction.c.kind.in_([CorrectionKind.IDENTITY, CorrectionKind.HEADER]),
        )
        .order_by(_correction.c.id.desc())
    )
    corrected: set[str] = set()
    for row in rows:
        if row.kind == CorrectionKind.IDENTITY:
            return Identity(path=Path(row.path), corrected=frozenset(corrected))
        corrected.update(row.anew)
        if "PatientID" in corrected:
            return None
    return None


def newest_record(connection: Connection, study_uid: str) -> Record | None:
    """The last record of whose a study is, also where headers have said it anew since."""
    row = connection.execute(
        select(_correction.c.path, _correction.c.at)
        .where(
            _correction.c.study_instance_uid == study_uid,
            _correction.c.kind == CorrectionKind.IDENTITY,
        )
        .order_by(_correction.c.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    of = connection.execute(
        select(schema.instance.c.sop_instance_uid).where(
            schema.instance.c.study_instance_uid == study_uid,
            schema.instance.c.first_received_at <= row.at,
        )
    ).scalars()
    return Record(path=Path(row.path), of=frozenset(of))


def newest_correction(connection: Connection, study_uid: str) -> int:
    """The number of the last correction of a study, of whatever kind; 0: there was none."""
    of_study = _correction.c.study_instance_uid == study_uid
    found: int | None = connection.execute(select(func.max(_correction.c.id)).where(of_study)).scalar_one()
    return found or 0


def without_patient_key(connection: Connection) -> list[str]:
    """Studies of which it is not known (any more) whose they are."""
    query = select(_study.c.study_instance_uid).where(_study.c.patient_key.is_(None))
    return list(connection.execute(query.order_by(_study.c.study_instance_uid)).scalars())


def set_patient_keys(connection: Connection, keys: Mapping[str, PatientKey]) -> None:
    """Write whose studies are: Study Instance UID → key. One that was corrected meanwhile stays open."""
    for study_uid, (key, after) in sorted(keys.items()):
        locked(connection, study_uid)  # who corrects it has it locked: what is newest now stays so
        if newest_correction(connection, study_uid) == after:
            connection.execute(
                update(_study).where(_study.c.study_instance_uid == study_uid).values(patient_key=key)
            )


def studies_of(connection: Connection, keys: Collection[str]) -> list[str]:
    """Studies of patients."""
    query = select(_study.c.study_instance_uid).where(_study.c.patient_key.in_(sorted(keys)))
    return list(connection.execute(query.order_by(_study.c.study_instance_uid)).scalars())
