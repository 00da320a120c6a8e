"""Deliveries: which object a destination shall get, and what it said."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from dicomnode.faults import RESULTS_HELD
from dicomnode.journal import events, schema, sentences
from dicomnode.journal.records import DeliveryOutcome, DeliveryRecord, NewDelivery, ObjectRecord, TaskRecord
from dicomnode.journal.results import object_record
from dicomnode.journal.transitions import TaskKind

_delivery: Final = schema.delivery
_object: Final = schema.result_object
_rejected: Final = schema.rejected
_task: Final = schema.task
WANTED: Final = "wanted"
STORED: Final = "stored"
REPLACED: Final = "replaced"
REPORT: Final = "SR"  # kind of object


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a destination said of an object. status: of the C-STORE response, None when there was none."""

    sop_instance_uid: str
    outcome: DeliveryOutcome
    status: int | None
    text: str


def add(connection: Connection, wanted: Iterable[NewDelivery], now: datetime) -> None:
    """Write that destinations shall get objects; what is known already stays as it is."""
    for new in wanted:
        there = connection.execute(
            select(_delivery.c.outcome).where(
                _delivery.c.sop_instance_uid == new.sop_instance_uid,
                _delivery.c.destination == new.destination,
            )
        ).first()
        if there is None:
            connection.execute(
                insert(_delivery).values(
                    sop_instance_uid=new.sop_instance_uid,
                    destination=new.destination,
                    outcome=WANTED,
                    text="",
                    changed_at=now,
                )
            )


def replace(
    connection: Connection, task: TaskRecord, made: Collection[str], text: str, now: datetime
) -> None:
    """Write that the destination of a report task gets the objects made now, and no others of before.

    What it has stored stays. made: SOP Instance UIDs. text: why, for what it does not get any more.
    """
    rows = connection.execute(
        select(_delivery.c.sop_instance_uid, _delivery.c.outcome, _delivery.c.may_be_there)
        .join(_object)
        .where(
            _delivery.c.destination == (task.destination or ""),
            _delivery.c.outcome != STORED,
            _object.c.study_instance_uid == task.study_instance_uid,
            _object.c.study_version == task.study_version,
            _object.c.engine == (task.engine or ""),
        )
    ).all()
    for row in rows:
        wanted = row.sop_instance_uid in made
        if wanted == (row.outcome != REPLACED):
            continue
        values = (WANTED, "") if wanted else (REPLACED, text)
        connection.execute(
            update(_delivery)
            .where(
                _delivery.c.sop_instance_uid == row.sop_instance_uid,
                _delivery.c.destination == task.destination,
            )
            .values(
                outcome=values[0],
                text=values[1],
                may_be_there=row.may_be_there or row.outcome == "retry",
                changed_at=now,
            )
        )


def end(connection: Connection, study_uid: str, version: int, engine: str, text: str, now: datetime) -> None:
    """Write that no destination gets the objects of an answer any more; what it has, or may have, stays.

    text: why.
    """
    rows = connection.execute(
        select(
            _delivery.c.sop_instance_uid, _delivery.c.destination, may_have_arrived().label("may_be_there")
        )
        .join(_object)
        .where(
            _delivery.c.outcome.not_in([STORED, REPLACED]),
            _object.c.study_instance_uid == study_uid,
            _object.c.study_version == version,
            _object.c.engine == engine,
        )
    ).all()
    for row in rows:
        connection.execute(
            update(_delivery)
            .where(
                _delivery.c.sop_instance_uid == row.sop_instance_uid,
                _delivery.c.destination == row.destination,
            )
            .values(outcome=REPLACED, text=text, may_be_there=bool(row.may_be_there), changed_at=now)
        )


def undelivered(connection: Connection, task: TaskRecord) -> list[ObjectRecord]:
    """What the task's destination shall get of its study version (and engine) and has not stored."""
    query = (
        select(_object)
        .join(_delivery)
        .where(
            _delivery.c.destination == (task.destination or ""),
            _delivery.c.outcome.not_in([STORED, REPLACED]),
            _object.c.study_instance_uid == task.study_instance_uid,
            _object.c.study_version == task.study_version,
            _object.c.sop_instance_uid.not_in(select(schema.rejected.c.sop_instance_uid)),
        )
        .order_by(_object.c.created_at, _object.c.kind, _object.c.path)
    )
    if task.engine is not None:
        query = query.where(_object.c.engine == task.engine)
    return [object_record(row) for row in connection.execute(query)]


def may_have_arrived() -> ColumnElement[bool]:
    """Condition of a query on deliveries and their objects: the destination has it, or may have it.

    It may also where only the answer was lost: once the sending has begun, nobody else knows. What is held
    has not begun to be sent, although somebody had the task.
    """
    begun = (
        select(_task.c.id)
        .where(
            _task.c.kind == TaskKind.DELIVER,
            _task.c.study_instance_uid == _object.c.study_instance_uid,
            _task.c.study_version == _object.c.study_version,
            _task.c.engine.in_((_object.c.engine, "")),  # or of all engines
            _task.c.destination == _delivery.c.destination,
            _task.c.attempt > 0,
            # The first try of what is held was to look at it
            or_(
                _task.c.attempt > 1,
                _task.c.error_code.is_(None),
                _task.c.error_code != RESULTS_HELD.code,
            ),
        )
        .exists()
    )
    lost_sight_of = (_delivery.c.outcome == REPLACED) & _delivery.c.may_be_there
    return (
        _delivery.c.outcome.in_([STORED, "retry"]) | lost_sight_of | ((_delivery.c.outcome == WANTED) & begun)
    )


def reports_at(connection: Connection, study_uid: str, destination: str) -> list[ObjectRecord]:
    """Reports on a study that a destination has, or may have, and that nobody has rejected, by version."""
    aside = select(_rejected.c.sop_instance_uid).where(_rejected.c.study_instance_uid == study_uid)
    query = (
        select(_object)
        .join(_delivery)
        .where(
            _object.c.study_instance_uid == study_uid,
            _object.c.kind == REPORT,
            _object.c.sop_instance_uid.not_in(aside),
            _delivery.c.destination == destination,
            may_have_arrived(),
        )
        .order_by(_object.c.study_version, _object.c.created_at, _object.c.path)
    )
    return [object_record(row) for row in connection.execute(query)]


def answer(connection: Connection, task: TaskRecord, said: Answer, now: datetime) -> None:
    """Write what the task's destination said; ValueError for an object that it was not to get."""
    destination = task.destination or ""
    kind = connection.execute(
        select(_object.c.kind)
        .join(_delivery)
        .where(_delivery.c.sop_instance_uid == said.sop_instance_uid, _delivery.c.destination == destination)
    ).scalar()
    if kind is None:
        raise ValueError(f"{destination!r} was not to get {said.sop_instance_uid}")
    connection.execute(
        update(_delivery)
        .where(_delivery.c.sop_instance_uid == said.sop_instance_uid, _delivery.c.destination == destination)
        .values(outcome=said.outcome, status=said.status, text=said.text, confirmed_by=None, changed_at=now)
    )
    events.append(
        connection,
        task.study_instance_uid,
        now,
        f"object.{said.outcome}",
        sentences.of_delivery(said.outcome, destination, kind, said.sop_instance_uid, said.text),
        destination=destination,
        sop_instance_uid=said.sop_instance_uid,
        status=said.status,
    )


def of_study(connection: Connection, study_uid: str) -> list[DeliveryRecord]:
    """All deliveries of a study, by version, destination and object."""
    rows = connection.execute(
        select(_delivery, _object.c.kind, _object.c.study_version)
        .join(_object)
        .where(_object.c.study_instance_uid == study_uid)
        .order_by(_object.c.study_version, _delivery.c.destination, _object.c.kind, _object.c.path)
    )
    return [
        DeliveryRecord(
            sop_instance_uid=row.sop_instance_uid,
            kind=row.kind,
            study_version=row.study_version,
            destination=row.destination,
            outcome=row.outcome,
            status=row.status,
            text=row.text,
            changed_at=row.changed_at,
            confirmed_by=row.confirmed_by,
            losses=row.losses,
        )
        for row in rows
    ]
