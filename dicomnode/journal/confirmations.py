"""Confirmations: by what it is known that a destination keeps what it stored, and what it takes at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from dicomnode.journal import events, schema, sentences
from dicomnode.journal.deliveries import STORED
from dicomnode.journal.records import Confirmation, ObjectRecord, TaskRecord
from dicomnode.journal.results import object_record

_asked: Final = schema.asked_commitment
_class: Final = schema.peer_class
_delivery: Final = schema.delivery
_object: Final = schema.result_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Unconfirmed:
    """An object that a destination has stored, and of which nothing tells yet that it keeps it.

    losses: how often it was stored before and then not there.
    """

    record: ObjectRecord
    stored_at: datetime
    losses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCommitment:
    """A storage commitment that was asked for (PS3.4 J.3.2), and the answer.

    answered_at: None while there is none. committed: SOP Instance UIDs. failed: SOP Instance UID → Failure
    Reason (0008,1197).
    """

    transaction_uid: str
    asked_at: datetime
    answered_at: datetime | None
    committed: frozenset[str]
    failed: Mapping[str, int]


def unconfirmed(connection: Connection, task: TaskRecord) -> list[Unconfirmed]:
    """What the task's destination has stored of its study version and engine, without a confirmation."""
    query = (
        select(_object, _delivery.c.losses, _delivery.c.changed_at)
        .join(_delivery)
        .where(
            _delivery.c.destination == (task.destination or ""),
            _delivery.c.outcome == STORED,
            _delivery.c.confirmed_by.is_(None),
            _object.c.study_instance_uid == task.study_instance_uid,
            _object.c.study_version == task.study_version,
            _object.c.engine == (task.engine or ""),
            # What somebody has rejected is hidden there, and wanted no more
            _object.c.sop_instance_uid.not_in(select(schema.rejected.c.sop_instance_uid)),
        )
        .order_by(_object.c.created_at, _object.c.kind, _object.c.path)
    )
    return [
        Unconfirmed(record=object_record(row), stored_at=row.changed_at, losses=row.losses)
        for row in connection.execute(query)
    ]


def confirm(
    connection: Connection, task: TaskRecord, uids: Collection[str], by: Confirmation, now: datetime
) -> None:
    """Write by what it is known that the task's destination keeps objects."""
    destination = task.destination or ""
    connection.execute(
        update(_delivery)
        .where(_delivery.c.destination == destination, _delivery.c.sop_instance_uid.in_(sorted(uids)))
        .values(confirmed_by=by, changed_at=now)
    )
    text = sentences.confirmed(destination, len(uids), by)
    events.append(
        connection, task.study_instance_uid, now, "objects.confirmed", text, destination=destination, by=by
    )


def lose(connection: Connection, task: TaskRecord, uids: Collection[str], why: str, now: datetime) -> None:
    """Write that the task's destination does not have what it said that it has stored: it is sent again."""
    destination = task.destination or ""
    connection.execute(
        update(_delivery)
        .where(_delivery.c.destination == destination, _delivery.c.sop_instance_uid.in_(sorted(uids)))
        .values(outcome="retry", losses=_delivery.c.losses + 1, confirmed_by=None, text=why, changed_at=now)
    )
    text = sentences.lost(destination, len(uids), why)
    events.append(connection, task.study_instance_uid, now, "objects.lost", text, destination=destination)


def ask(connection: Connection, task: TaskRecord, transaction_uid: str, now: datetime) -> None:
    """Write that storage commitment is asked for, before it is: the answer may be faster."""
    connection.execute(
        insert(_asked).values(
            transaction_uid=transaction_uid,
            task=task.id,
            destination=task.destination or "",
            asked_at=now,
            committed=[],
            failed={},
        )
    )


def asked(connection: Connection, task: TaskRecord) -> AskedCommitment | None:
    """The last commitment that was asked for in a task."""
    row = connection.execute(
        select(_asked).where(_asked.c.task == task.id).order_by(_asked.c.asked_at.desc()).limit(1)
    ).first()
    if row is None:
        return None
    return AskedCommitment(
        transaction_uid=row.transaction_uid,
        asked_at=row.asked_at,
        answered_at=row.answered_at,
        committed=frozenset(row.committed),
        failed={uid: int(reason) for uid, reason in row.failed.items()},
    )


def answer(
    connection: Connection,
    transaction_uid: str,
    committed: Collection[str],
    failed: Mapping[str, int],
    now: datetime,
) -> bool:
    """Write the answer to a commitment, and let its task be due; False for one that nobody asked for."""
    row = connection.execute(select(_asked).where(_asked.c.transaction_uid == transaction_uid)).first()
    if row is None:
        return False
    connection.execute(
        update(_asked)
        .where(_asked.c.transaction_uid == transaction_uid)
        .values(answered_at=now, committed=sorted(committed), failed=dict(failed))
    )
    # Whoever waits for it waits for its own time no longer
    connection.execute(
        update(schema.task)
        .where(schema.task.c.id == row.task, schema.task.c.state == "retry")
        .values(not_before=now)
    )
    return True


def due_if_answered(connection: Connection, task: TaskRecord, now: datetime) -> None:
    """Let a confirm task that begins to wait be due at once, where its answer came in just that moment."""
    answered = select(_asked.c.transaction_uid).where(
        _asked.c.task == task.id, _asked.c.answered_at.is_not(None)
    )
    if connection.execute(answered).first() is not None:
        connection.execute(update(schema.task).where(schema.task.c.id == task.id).values(not_before=now))


def settle(connection: Connection, transaction_uid: str) -> None:
    """Forget a commitment that was asked for: its answer is written elsewhere, or is waited for no longer."""
    connection.execute(delete(_asked).where(_asked.c.transaction_uid == transaction_uid))


def forget(connection: Connection, tasks: Collection[int]) -> None:
    """Forget what was asked for in tasks that are not needed any more."""
    connection.execute(delete(_asked).where(_asked.c.task.in_(sorted(tasks))))


def note_classes(
    connection: Connection, destination: str, accepted: Mapping[str, bool], now: datetime
) -> None:
    """Write what a destination said of SOP Classes when contexts were negotiated."""
    for sop_class_uid, taken in sorted(accepted.items()):
        found = connection.execute(
            update(_class)
            .where(_class.c.destination == destination, _class.c.sop_class_uid == sop_class_uid)
            .values(accepted=taken, at=now)
        )
        if not found.rowcount:
            connection.execute(
                insert(_class).values(
                    destination=destination, sop_class_uid=sop_class_uid, accepted=taken, at=now
                )
            )


def refused_classes(connection: Connection, destination: str, since: datetime) -> frozenset[str]:
    """SOP Classes that a destination has refused when it was asked last, and not before `since`."""
    query = select(_class.c.sop_class_uid).where(
        _class.c.destination == destination, _class.c.accepted.is_(False), _class.c.at >= since
    )
    return frozenset(connection.execute(query).scalars())
