"""Closing a study: the decision that it is complete, or as complete as it will be, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import Connection, select, update

from dicomnode.faults import STUDY_HELD, STUDY_NOT_FOUND, NodeError
from dicomnode.journal import evidence, schema, studies, tasks, versions
from dicomnode.journal.evidence import EvidenceRecord
from dicomnode.journal.records import NewTask
from dicomnode.journal.transitions import Event, TaskKind

_study: Final = schema.study
_task: Final = schema.task

Incomplete = Literal["analyse", "report", "hold"]
# Keys in the payload of dispatch and analyse tasks of an incomplete study: what is missing, which the results
# say, and what is done all the same (`Closing.then`)
SHORTFALL: Final = "shortfall"
THEN: Final = "then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How a study is closed.

    evidence: how it is known, as the end of a sentence ("nothing new for 60 s"). evidences: of each source.
    last_arrival: of the last instance that was known then; when another has come, nothing is closed.
    shortfall: what is missing all the same ("127 of 180 images, by the count of PACS1"); then: what is
    done without it. priority: of the dispatch task.
    """

    evidence: str
    last_arrival: datetime
    evidences: Sequence[EvidenceRecord] = ()
    shortfall: str | None = None
    then: Incomplete = "analyse"
    priority: int = 0


def close(connection: Connection, study_uid: str, closing: Closing, now: datetime) -> int | None:
    """Close a study and make its dispatch task; give its version, None when it is not to be closed now."""
    # One step of the journal's clock: what came at that very instant is what was decided on
    after = closing.last_arrival + timedelta(microseconds=1)
    if versions.carry_on(connection, study_uid, now):
        return None
    lacks = None if closing.shortfall is None else (closing.shortfall, str(closing.then))
    version = studies.complete(connection, study_uid, closing.evidence, now, after, lacks)
    if version is None:
        return None
    evidence.put(connection, study_uid, version, closing.evidences)
    evidence.stop_asking(connection, study_uid, version, now)
    payload = {} if closing.shortfall is None else {SHORTFALL: closing.shortfall, THEN: closing.then}
    dispatch = NewTask(
        kind=TaskKind.DISPATCH,
        study_instance_uid=study_uid,
        study_version=version,
        payload=payload,
        priority=closing.priority,
    )
    tasks.add(connection, [dispatch], now)
    if closing.shortfall is not None and closing.then == "hold":
        _hold(connection, study_uid, version, closing.shortfall, now)
    return version


def _hold(connection: Connection, study_uid: str, version: int, shortfall: str, now: datetime) -> None:
    """Park the dispatch task in the transaction that makes it; `retry` frees it."""
    query = select(_task).where(
        _task.c.kind == TaskKind.DISPATCH,
        _task.c.study_instance_uid == study_uid,
        _task.c.study_version == version,
    )
    tasks.move(connection, connection.execute(query).one(), Event.CLAIMED, now)
    tasks.move(
        connection,
        connection.execute(query).one(),
        Event.NEEDS_PERSON,
        now,
        error_code=STUDY_HELD.code,
        error_text=STUDY_HELD.text(shortfall=shortfall),
    )
    studies.settle_state(connection, study_uid, now)


def mark_incomplete(connection: Connection, study_uid: str, closing: Closing, now: datetime) -> bool:
    """Say that something is missing that is waited for; tell whether that is new."""
    row = connection.execute(
        select(_study).where(_study.c.study_instance_uid == study_uid).with_for_update()
    ).first()
    if row is None:
        raise NodeError(STUDY_NOT_FOUND, study=study_uid)
    stale = row.complete_at is not None or studies.last_arrival(row) > closing.last_arrival
    if stale or row.shortfall == closing.shortfall:
        return False
    evidence.put(connection, study_uid, row.version, closing.evidences)
    connection.execute(
        update(_study).where(_study.c.study_instance_uid == study_uid).values(shortfall=closing.shortfall)
    )
    studies.settle_state(connection, study_uid, now)
    return True
