"""What waits: a task says what for and since when; a destination, how much waits for it and how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, distinct, func, or_, select

from dicomnode.faults import OUTSIDE_HOURS, RESULTS_HELD
from dicomnode.journal import schema
from dicomnode.journal.deliveries import REPLACED, STORED
from dicomnode.journal.records import Scalar
from dicomnode.journal.released import RELEASED_BY
from dicomnode.journal.transitions import Event, TaskKind, TaskState, states_before

_task: Final = schema.task
_delivery: Final = schema.delivery
_object: Final = schema.result_object

_OPEN: Final = (TaskState.WAITING, TaskState.READY, TaskState.RETRY, TaskState.RUNNING)
_WAITING: Final = (TaskState.WAITING, TaskState.READY, TaskState.RETRY, TaskState.PARKED)
# What one clerk does one after the other; all others stand in a queue for each destination
_DESK: Final = (TaskKind.DISPATCH, TaskKind.REPORT)
_DROPPABLE: Final = TaskKind.PREFETCH  # it waits for nothing: it may be thrown away

_TURN: Final[Mapping[TaskKind, str]] = {
    TaskKind.FETCH: "its turn at {destination}",
    TaskKind.DISPATCH: "its turn: the choice of engines",
    TaskKind.ANALYSE: "a worker",
    TaskKind.REPORT: "its turn: the writing of results",
    TaskKind.DELIVER: "its turn at {destination}",
    TaskKind.CONFIRM: "its turn at {destination}",
    TaskKind.FEEDBACK: "its turn: the comparison with our results",
}
_ANSWER: Final[Mapping[TaskKind, str]] = {
    TaskKind.CONFIRM: "the word of {destination} that it keeps what it stored",
    TaskKind.FETCH: "an earlier study that is on its way",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A task that waits. waits_for: in words. since: when that began.

    not_before: when it is tried again; None where it does not wait for a time. code: the row of the table of
    faults that tells why, None where nothing is amiss.
    """

    kind: TaskKind
    study_version: int
    engine: str | None
    destination: str | None
    state: TaskState
    waits_for: str
    since: datetime
    not_before: datetime | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Objects that wait for a destination.

    waiting: to be sent, by the node itself; since: of the oldest of them, next_try: the first. why: what the
    last try with the oldest one said, "" before there was one. unconfirmed: stored there, without a word yet
    that it keeps them. held: until a person lets them go. for_a_person: until one looks at what failed.
    """

    destination: str
    waiting: int = 0
    since: datetime | None = None
    next_try: datetime | None = None
    why: str = ""
    unconfirmed: int = 0
    unconfirmed_since: datetime | None = None
    held: int = 0
    for_a_person: int = 0


def of_study(connection: Connection, study_uid: str, now: datetime) -> list[Wait]:
    """What waits of a study, oldest task first."""
    rows = connection.execute(
        select(_task)
        .where(
            _task.c.study_instance_uid == study_uid,
            _task.c.state.in_(_WAITING),
            _task.c.kind != _DROPPABLE,
        )
        .order_by(_task.c.id)
    ).all()
    return [_wait(connection, row, now) for row in rows]


def _wait(connection: Connection, row: Row[Any], now: datetime) -> Wait:
    state = TaskState(row.state)
    since = row.changed_at
    if state is TaskState.RETRY:
        since = due_since(connection, row)
    return Wait(
        kind=TaskKind(row.kind),
        study_version=row.study_version,
        engine=row.engine or None,
        destination=row.destination or None,
        state=state,
        waits_for=_waits_for(connection, row, now),
        since=since,
        not_before=row.not_before if state is TaskState.RETRY else None,
        code=row.error_code,
    )


def _waits_for(connection: Connection, row: Row[Any], now: datetime) -> str:
    state, kind = TaskState(row.state), TaskKind(row.kind)
    named = {"destination": row.destination or "the archives"}
    text = row.error_text or ""
    if state is TaskState.READY:
        return _TURN.get(kind, "its turn").format(**named) + _queue(connection, row, now)
    if state is TaskState.PARKED:
        return f"a person: {text}"
    if state is TaskState.WAITING:
        return "what comes before it"
    if row.error_code == OUTSIDE_HOURS.code:
        return f"the hours of {named['destination']}: {text}"
    if text:
        return f"its next try: {text}"
    return _ANSWER.get(kind, "its next try").format(**named)


def _queue(connection: Connection, row: Row[Any], now: datetime) -> str:
    """Say how many tasks are before one that may start, and how many of its kind are at work."""
    lane: tuple[ColumnElement[bool], ...] = (_task.c.kind.in_(_DESK),)
    if row.kind not in _DESK:
        lane = (_task.c.kind == row.kind, _task.c.destination == row.destination)
    first = or_(_task.c.priority > row.priority, and_(_task.c.priority == row.priority, _task.c.id < row.id))
    due = (_task.c.state.in_(sorted(states_before(Event.CLAIMED))), _task.c.not_before <= now)
    before = _count(connection, *lane, *due, first)
    at_work = _count(connection, *lane, _task.c.state == TaskState.RUNNING)
    return f" ({before} before it, {at_work} at work)"


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(_task).where(*conditions)).scalar_one()


def due_since(connection: Connection, row: Row[Any]) -> datetime:
    """Since when a task is to be done by the node itself.

    Since it was made, was begun anew, or was handed back by a person whom it had waited for. Who has it tried
    at once while the node goes on by itself changes nothing: it waits on.
    """
    table = schema.event.c
    begun = (f"{row.kind}.{Event.REOPENED}", f"{row.kind}.{Event.RETRIED}", "results.released")
    rows = connection.execute(
        select(table.at, table.what, table.facts).where(
            table.study_instance_uid == row.study_instance_uid, table.what.in_(begun)
        )
    )
    times: list[datetime] = [row.created_at]
    times += [at for at, what, facts in rows if _begins(row, what, facts)]
    return max(times)


def _begins(row: Row[Any], what: str, facts: Mapping[str, Scalar]) -> bool:
    if what == "results.released":
        return bool(row.payload.get(RELEASED_BY))
    if facts.get("task") != row.id:
        return False
    return what.endswith(Event.REOPENED) or facts.get("was") == TaskState.PARKED


def backlogs(connection: Connection) -> dict[str, Backlog]:
    """What waits for each destination that something waits for, by name."""
    found: dict[str, Backlog] = {}
    for row in connection.execute(_groups()):
        there = found.get(row.destination, Backlog(destination=row.destination))
        found[row.destination] = _with(there, row)
    return {
        name: _with_oldest(connection, found[name]) if found[name].waiting else found[name]
        for name in sorted(found)
    }


def _groups() -> Any:
    """Count the objects of deliveries and confirmations, by destination and by what becomes of the task.

    It begins with the tasks that are not done: those are few, deliveries are as many as there ever were.
    """
    wanted = and_(_task.c.kind == TaskKind.DELIVER, _delivery.c.outcome.not_in([STORED, REPLACED]))
    asked = and_(
        _task.c.kind == TaskKind.CONFIRM, _delivery.c.outcome == STORED, _delivery.c.confirmed_by.is_(None)
    )
    by = (_task.c.destination, _task.c.kind, _task.c.state, _task.c.error_code)
    return (
        select(
            *by,
            func.count(distinct(_object.c.sop_instance_uid)).label("objects"),
            func.min(_task.c.not_before).label("next_try"),
            func.min(_delivery.c.changed_at).label("stored_at"),
        )
        .select_from(
            _task.join(
                _object,
                and_(
                    _object.c.study_instance_uid == _task.c.study_instance_uid,
                    _object.c.study_version == _task.c.study_version,
                    or_(_task.c.engine == _object.c.engine, _task.c.engine == ""),
                ),
            ).join(
                _delivery,
                and_(
                    _delivery.c.sop_instance_uid == _object.c.sop_instance_uid,
                    _delivery.c.destination == _task.c.destination,
                ),
            )
        )
        .where(
            _task.c.state.in_([*_OPEN, TaskState.PARKED]),
            or_(wanted, asked),
            _object.c.sop_instance_uid.not_in(select(schema.rejected.c.sop_instance_uid)),
        )
        .group_by(*by)
    )


def _with(backlog: Backlog, row: Row[Any]) -> Backlog:
    """Add one group."""
    if row.state == TaskState.PARKED:
        if row.error_code == RESULTS_HELD.code:
            return replace(backlog, held=backlog.held + row.objects)
        return replace(backlog, for_a_person=backlog.for_a_person + row.objects)
    if row.kind == TaskKind.CONFIRM:
        since = _earlier(backlog.unconfirmed_since, row.stored_at)
        return replace(backlog, unconfirmed=backlog.unconfirmed + row.objects, unconfirmed_since=since)
    next_try = _earlier(backlog.next_try, row.next_try)
    return replace(backlog, waiting=backlog.waiting + row.objects, next_try=next_try)


def _earlier(known: datetime | None, another: datetime) -> datetime:
    return another if known is None else min(known, another)


def _with_oldest(connection: Connection, backlog: Backlog) -> Backlog:
    """Add since when the oldest delivery waits, and what its last try said."""
    rows = connection.execute(
        select(_task)
        .where(
            _task.c.kind == TaskKind.DELIVER,
            _task.c.destination == backlog.destination,
            _task.c.state.in_(_OPEN),
        )
        .order_by(_task.c.created_at, _task.c.id)
    )
    for row in rows:
        # None of those after it can have waited longer
        if backlog.since is not None and row.created_at >= backlog.since:
            break
        since = due_since(connection, row)
        if backlog.since is None or since < backlog.since:
            backlog = replace(backlog, since=since, why=row.error_text or "")
    rows.close()
    return backlog
