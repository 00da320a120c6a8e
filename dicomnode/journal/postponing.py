"""Putting off: what a destination is not to get now waits for its hours, without having been begun."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from dicomnode.faults import NodeError
from dicomnode.journal import events, schema, sentences, studies, tasks
from dicomnode.journal.records import TaskRecord
from dicomnode.journal.transitions import Event, TaskKind, states_before

_task: Final = schema.task


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A destination that gets nothing now. until: when it does again; why: for those who ask."""

    destination: str
    until: datetime
    why: NodeError


def postpone(
    connection: Connection,
    kinds: Collection[TaskKind],
    closed: Closed,
    unless: Callable[[TaskRecord], bool],
    now: datetime,
) -> int:
    """Let the tasks of a closed destination wait until it opens; give how many.

    unless: tells of a task that it is not to be put off. They have not been begun: no try is counted.
    """
    rows = connection.execute(
        select(_task)
        .where(
            _task.c.kind.in_(sorted(kinds)),
            _task.c.destination == closed.destination,
            _task.c.state.in_(sorted(states_before(Event.POSTPONED))),
            _task.c.not_before < closed.until,
        )
        .order_by(_task.c.id)
        .with_for_update()
    ).all()
    put_off = [row for row in rows if not unless(tasks.record(row))]
    code, text = closed.why.fault.code, closed.why.fault.text(**closed.why.values)
    for row in put_off:
        values = {"not_before": closed.until, "error_code": code, "error_text": text}
        tasks.move(connection, row, Event.POSTPONED, now, **values)
        said = sentences.of_task(Event.POSTPONED, tasks.said(row, error=text))
        facts = {"task": row.id, "code": code}
        events.append(connection, row.study_instance_uid, now, f"{row.kind}.postponed", said, **facts)
    for uid in {row.study_instance_uid for row in put_off}:
        studies.settle_state(connection, uid, now)
    return len(put_off)
