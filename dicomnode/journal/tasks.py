"""Tasks: made once, claimed with a lease and a fence, taken over when a worker is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from dicomnode.faults import KILLED_ITS_WORKER, LEASE_LOST, SEARCH_LOST, Fault, NodeError
from dicomnode.journal import events, failures, places, priors, schema, sentences, studies
from dicomnode.journal.records import NewTask, Progress, TaskRecord
from dicomnode.journal.transitions import Event, TaskKind, TaskState, states_before, step

# A task that has ended its process so often would end the next one too
MOST_LOST: Final = 3
# In a payload: what a FETCH task is for, and in that of the analysis that follows, why it came to nothing
ASKS: Final = "asks"
PRIORS: Final = "priors"
GIVEN_UP: Final = "given_up"
# What has been due for so long gets a turn, whatever its priority
PATIENCE: Final = timedelta(hours=1)

_task: Final = schema.task
_CLAIMABLE: Final = states_before(Event.CLAIMED)
_RETRIABLE: Final = states_before(Event.RETRIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a worker asks for. destination None: any.

    after: the priority of the task that it did last; None where there was none.
    """

    kinds: Collection[TaskKind]
    owner: str
    lease: timedelta
    destination: str | None = None
    after: int | None = None

    @property
    def wanted(self) -> list[ColumnElement[bool]]:
        """Conditions on the tasks that it can do."""
        conditions: list[ColumnElement[bool]] = [_task.c.kind.in_(sorted(self.kinds))]
        if self.destination is not None:
            conditions.append(_task.c.destination == self.destination)
        return conditions


def record(row: Row[Any]) -> TaskRecord:
    """Make the record of a row."""
    return TaskRecord(
        id=row.id,
        kind=TaskKind(row.kind),
        study_instance_uid=row.study_instance_uid,
        study_version=row.study_version,
        engine=row.engine or None,
        destination=row.destination or None,
        payload=row.payload,
        state=TaskState(row.state),
        attempt=row.attempt,
        fence=row.fence,
        owner=row.owner,
        priority=row.priority,
        not_before=row.not_before,
        error_code=row.error_code,
        error_text=row.error_text,
        created_at=row.created_at,
    )


def said(row: Row[Any], **more: Any) -> sentences.Said:
    """What a sentence on this task may speak of."""
    return sentences.Said(
        kind=TaskKind(row.kind),
        engine=row.engine,
        destination=row.destination,
        attempt=more.pop("attempt", row.attempt),
        seeks_prior=_seeks_prior(row),
        **more,
    )


def _seeks_prior(row: Row[Any]) -> bool:
    return bool(row.kind == TaskKind.FETCH and row.payload.get(ASKS) == PRIORS)


def move(connection: Connection, row: Row[Any], event: Event, now: datetime, **values: Any) -> TaskState:
    """Write the state that the table says, with what else changes: the one place that writes states.

    Raises IllegalTransition for a pair that the table does not have, NodeError(LEASE_LOST) when the row is
    not any more as it was read.
    """
    state = step(TaskState(row.state), event)
    changed = connection.execute(
        update(_task)
        .where(_task.c.id == row.id, _task.c.fence == row.fence, _task.c.state == row.state)
        .values(state=state, changed_at=now, **values)
    )
    if changed.rowcount != 1:
        raise NodeError(LEASE_LOST, task=row.id)
    return state


def add(connection: Connection, new: Iterable[NewTask], now: datetime) -> None:
    """Make tasks, ready at once; those that are there already stay as they are, but for `NewTask.again`."""
    for task in new:
        key = {
            "kind": task.kind,
            "study_instance_uid": task.study_instance_uid,
            "study_version": task.study_version,
            "engine": task.engine or "",
            "destination": task.destination or "",
        }
        there = connection.execute(
            select(_task).where(*(_task.c[name] == value for name, value in key.items()))
        ).first()
        if there is not None and task.again and there.state == TaskState.DONE:
            _reopen(connection, there, task, now)
        if there is None:
            connection.execute(
                insert(_task).values(
                    **key,
                    payload=dict(task.payload),
                    state=TaskState.READY,
                    priority=task.priority,
                    not_before=now,
                    attempt=0,
                    lost=0,
                    fence=0,
                    created_at=now,
                    changed_at=now,
                )
            )
            if task.kind is TaskKind.ANALYSE:
                priors.note_given(connection, task)


def _reopen(connection: Connection, row: Row[Any], new: NewTask, now: datetime) -> None:
    """Make a task ready that was done: what followed from it shows that it is to be done again.

    What a confirmation had learned is not known of what was sent since.
    """
    payload = dict(new.payload) if new.kind is TaskKind.CONFIRM else row.payload
    move(
        connection,
        row,
        Event.REOPENED,
        now,
        not_before=now,
        attempt=0,
        lost=0,
        error_code=None,
        error_text=None,
        payload=payload,
    )
    text = sentences.of_task(Event.REOPENED, said(row))
    events.append(connection, row.study_instance_uid, now, f"{row.kind}.reopened", text, task=row.id)


def given_up(connection: Connection, row: Row[Any], error: str, now: datetime) -> bool:
    """Make what follows from a task that would be parked; tell whether something follows without it.

    That is so of a search for priors: a study is analysed without one. error: why it came to nothing.
    """
    if not _seeks_prior(row):
        return False
    analysis = NewTask(
        kind=TaskKind.ANALYSE,
        study_instance_uid=row.study_instance_uid,
        study_version=row.study_version,
        engine=row.engine,
        payload={**row.payload, GIVEN_UP: error},
        priority=row.priority,
    )
    add(connection, [analysis], now)
    return True


def claim(connection: Connection, wanted: Claim, now: datetime) -> TaskRecord | None:
    """Take the task whose turn it is, and give it the worker's name and lease."""
    _take_from_the_dead(connection, wanted, now)
    row = _next(connection, wanted, now)
    if row is None:
        return None
    move(
        connection,
        row,
        Event.CLAIMED,
        now,
        owner=wanted.owner,
        lease_until=now + wanted.lease,
        fence=row.fence + 1,
        attempt=row.attempt + 1,
        progress_stage=None,
        progress_done=None,
        progress_total=None,
    )
    events.append(
        connection,
        row.study_instance_uid,
        now,
        f"{row.kind}.claimed",
        sentences.of_task(Event.CLAIMED, said(row, attempt=row.attempt + 1)),
        task=row.id,
        owner=wanted.owner,
    )
    studies.settle_state(connection, row.study_instance_uid, now)
    return record(connection.execute(select(_task).where(_task.c.id == row.id)).one())


def _next(connection: Connection, wanted: Claim, now: datetime) -> Row[Any] | None:
    """The task of highest priority, the oldest first; in between, one that has waited for `PATIENCE`.

    Such a one goes before others when the worker did one of that priority, or of a higher one, just now. So
    between two of it there is at most one of the lower priorities: what is urgent waits for one task that is
    not, and what is not urgent gets every second turn, however much that is urgent comes.
    """
    first = _first(connection, wanted, now, _task.c.priority.desc(), _task.c.id)
    if first is None or wanted.after is None or wanted.after < first.priority:
        return first
    waits = (_task.c.priority < first.priority, _task.c.not_before <= now - PATIENCE)
    return _first(connection, wanted, now, _task.c.not_before, _task.c.id, but=waits) or first


def _first(
    connection: Connection,
    wanted: Claim,
    now: datetime,
    *order: ColumnElement[Any],
    but: tuple[ColumnElement[bool], ...] = (),
) -> Row[Any] | None:
    # SQLite has no row locks and needs none: the transaction has the lock on everything
    return connection.execute(
        select(_task)
        .where(*wanted.wanted, *but, _task.c.state.in_(sorted(_CLAIMABLE)), _task.c.not_before <= now)
        .order_by(*order)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()


def _take_from_the_dead(connection: Connection, wanted: Claim, now: datetime) -> None:
    """Tasks whose lease has ended are ready again; those that end every worker are parked, or given up."""
    rows = connection.execute(
        select(_task)
        .where(*wanted.wanted, _task.c.state == TaskState.RUNNING, _task.c.lease_until < now)
        .order_by(_task.c.id)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        lost = row.lost + 1
        values: dict[str, Any] = {"owner": None, "lease_until": None, "lost": lost, "not_before": now}
        event, error = Event.LEASE_EXPIRED, None
        if lost >= MOST_LOST:
            event, fault, text = _lost_for_good(connection, row, lost, now)
            values |= {"error_code": fault.code, "error_text": text}
            error = f"{fault.code} {text}"
        move(connection, row, event, now, **values)
        if event is Event.LOST_TOO_OFTEN:
            add(connection, failures.documents(connection, row, values["error_code"]), now)
        events.append(
            connection,
            row.study_instance_uid,
            now,
            f"{row.kind}.{event}",
            sentences.of_task(event, said(row, error=error)),
            task=row.id,
            owner=row.owner,
        )
        studies.settle_state(connection, row.study_instance_uid, now)


def _lost_for_good(
    connection: Connection, row: Row[Any], lost: int, now: datetime
) -> tuple[Event, Fault, str]:
    """What becomes of a task that has ended `lost` processes, and what is said of it."""
    text = SEARCH_LOST.text(study=row.study_instance_uid, count=lost)
    if given_up(connection, row, text, now):
        return Event.GIVEN_UP, SEARCH_LOST, text
    return Event.LOST_TOO_OFTEN, KILLED_ITS_WORKER, KILLED_ITS_WORKER.text(task=row.id, count=lost)


def held(connection: Connection, task: TaskRecord) -> Row[Any]:
    """The row of a task that its worker still has; raises NodeError(LEASE_LOST) when another one has it.

    A lease that has ended without being taken over is still the worker's: its work is not thrown away.
    """
    row = connection.execute(
        select(_task)
        .where(_task.c.id == task.id, _task.c.fence == task.fence, _task.c.state == TaskState.RUNNING)
        .with_for_update()
    ).first()
    if row is None:
        raise NodeError(LEASE_LOST, task=task.id)
    return row


def heartbeat(
    connection: Connection, task: TaskRecord, lease: timedelta, now: datetime, progress: Progress | None
) -> None:
    """Make the lease longer, and say how far the work is."""
    values: dict[str, Any] = {"lease_until": now + lease, "changed_at": now}
    if progress is not None:
        stage, done, total = progress
        values |= {"progress_stage": stage, "progress_done": done, "progress_total": total}
    changed = connection.execute(
        update(_task)
        .where(_task.c.id == task.id, _task.c.fence == task.fence, _task.c.state == TaskState.RUNNING)
        .values(values)
    )
    if changed.rowcount != 1:
        raise NodeError(LEASE_LOST, task=task.id)


def end_leases(connection: Connection, owner: str, now: datetime) -> int:
    """Let the leases of a worker that is known to be dead end at once; give how many."""
    changed = connection.execute(
        update(_task)
        .where(_task.c.owner == owner, _task.c.state == TaskState.RUNNING)
        .values(lease_until=now - timedelta(microseconds=1))
    )
    return changed.rowcount


def again(connection: Connection, row: Row[Any], now: datetime, **values: Any) -> None:
    """Make a parked or waiting task ready, as a person wishes; what was wrong with it is forgotten."""
    move(
        connection, row, Event.RETRIED, now,
        not_before=now, attempt=0, lost=0, error_code=None, error_text=None, **values,
    )  # fmt: skip


def retry(connection: Connection, study_uid: str | None, destination: str | None, now: datetime) -> int:
    """Make parked and waiting-for-their-time tasks ready, as a person wishes; give how many."""
    conditions: list[ColumnElement[bool]] = [_task.c.state.in_(sorted(_RETRIABLE))]
    if study_uid is not None:
        conditions.append(_task.c.study_instance_uid == study_uid)
    if destination is not None:
        conditions.append(_task.c.destination == destination)
    rows = connection.execute(select(_task).where(*conditions).order_by(_task.c.id).with_for_update()).all()
    # Somebody may have allowed there what was refused: it is asked for again
    names = {row.destination for row in rows if row.destination}
    places.forget_classes(connection, names)
    for row in rows:
        again(connection, row, now)
        events.append(
            connection,
            row.study_instance_uid,
            now,
            f"{row.kind}.retried",
            sentences.of_task(Event.RETRIED, said(row)),
            task=row.id,
            was=row.state,
        )
    for uid in {row.study_instance_uid for row in rows}:
        studies.settle_state(connection, uid, now)
    return len(rows)


def find(
    connection: Connection, study_uid: str | None, states: Collection[TaskState] | None
) -> list[TaskRecord]:
    """Tasks, oldest first."""
    query = select(_task).order_by(_task.c.id)
    if study_uid is not None:
        query = query.where(_task.c.study_instance_uid == study_uid)
    if states is not None:
        query = query.where(_task.c.state.in_(sorted(states)))
    return [record(row) for row in connection.execute(query)]


def next_due(connection: Connection) -> datetime | None:
    """When something may be claimed next: a task's time, or the end of a lease."""
    ready = select(func.min(_task.c.not_before)).where(_task.c.state.in_(sorted(_CLAIMABLE)))
    lost = select(func.min(_task.c.lease_until)).where(_task.c.state == TaskState.RUNNING)
    times: list[datetime] = [
        time for query in (ready, lost) if (time := connection.execute(query).scalar()) is not None
    ]
    return min(times, default=None)
