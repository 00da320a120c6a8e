"""The end of a try: all that it has made and what follows from it, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from dicomnode.faults import NodeError
from dicomnode.journal import (
    confirmations,
    deliveries,
    events,
    failures,
    feedback,
    identities,
    results,
    sentences,
    studies,
    superseding,
    tasks,
)
from dicomnode.journal.feedback import FeedbackRecord
from dicomnode.journal.records import (
    Maker,
    NewDelivery,
    NewTask,
    Note,
    ObjectRecord,
    Scalar,
    TaskRecord,
)
from dicomnode.journal.transitions import FINISHING, Event, IllegalTransition, TaskKind
from dicomnode.values import Verdict


class Overtaken(Exception):  # noqa: N818  no error: what was made is made again
    """The study was corrected while something was made that depends on whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a try ended. not_before: of the next try, for FAILED. deliveries None: see `Journal.finish`.

    after: as there.
    """

    event: Event
    error: NodeError | None = None
    not_before: datetime | None = None
    new_tasks: Sequence[NewTask] = ()
    verdicts: Sequence[Verdict] = ()
    finding_path: Path | None = None
    maker: Maker | None = None
    objects: Sequence[ObjectRecord] = ()
    deliveries: Sequence[NewDelivery] | None = None
    notes: Sequence[Note] = ()
    payload: Mapping[str, Scalar] | None = None
    after: int | None = None
    feedback: Sequence[FeedbackRecord] = ()

    @property
    def wanted(self) -> list[NewDelivery]:
        """Which destination shall get which object."""
        if self.deliveries is not None:
            return list(self.deliveries)
        return [
            NewDelivery(destination=task.destination, sop_instance_uid=made.sop_instance_uid)
            for task in self.new_tasks
            if task.kind is TaskKind.DELIVER and task.destination is not None
            for made in self.objects
        ]


def finish(connection: Connection, task: TaskRecord, ending: Ending, now: datetime) -> None:
    """Write the end of a try; raises NodeError(LEASE_LOST) or Overtaken, and then nothing is written."""
    if ending.event not in FINISHING:
        raise IllegalTransition(f"a worker does not end a task with {ending.event}")
    row = tasks.held(connection, task)
    study_uid = task.study_instance_uid
    if ending.after is not None and identities.newest_correction(connection, study_uid) != ending.after:
        raise Overtaken(f"task {task.id}")
    if ending.verdicts:
        results.replace_verdicts(connection, task, ending.verdicts)
    if ending.finding_path is not None:
        results.add_finding(connection, task, ending.finding_path, ending.maker, now)
    results.add_objects(connection, ending.objects, now)
    if task.kind is TaskKind.FEEDBACK and ending.event is Event.COMMITTED:
        feedback.write(connection, task, ending.feedback)
    tasks.add(connection, ending.new_tasks, now)
    deliveries.add(connection, ending.wanted, now)
    if task.kind is TaskKind.REPORT and ending.event is Event.COMMITTED:
        made = {one.sop_instance_uid for one in ending.objects}
        deliveries.replace(connection, task, made, sentences.INSTEAD, now)
    if task.kind is TaskKind.ANALYSE and ending.event is Event.COMMITTED:
        superseding.replace_failure(connection, task, now)
    for note in ending.notes:
        events.append(connection, task.study_instance_uid, now, note.what, note.text, **note.facts)
    _end(connection, row, ending, now)
    if task.kind is TaskKind.CONFIRM and ending.event is Event.FAILED:
        confirmations.due_if_answered(connection, task, now)
    studies.settle_state(connection, task.study_instance_uid, now)


def _end(connection: Connection, row: Row[Any], ending: Ending, now: datetime) -> None:
    """Write the task's new state, and what there is to tell of it."""
    not_before, error = ending.not_before or now, ending.error
    code = error.fault.code if error is not None else None
    text = error.fault.text(**error.values) if error is not None else None
    event = ending.event
    if event is Event.NEEDS_PERSON and tasks.given_up(connection, row, text or "", now):
        event = Event.GIVEN_UP
    values: dict[str, Any] = {
        "owner": None,
        "lease_until": None,
        "not_before": not_before,
        "lost": 0,
        "error_code": code,
        "error_text": text,
    }
    if ending.payload is not None:
        values["payload"] = dict(ending.payload)
    tasks.move(connection, row, event, now, **values)
    if event is Event.NEEDS_PERSON:
        tasks.add(connection, failures.documents(connection, row, code), now)
    said = tasks.said(
        row,
        error=str(error) if error is not None else None,
        not_before=not_before if not_before > now else None,
    )
    events.append(
        connection,
        row.study_instance_uid,
        now,
        f"{row.kind}.{event}",
        sentences.of_task(event, said),
        task=row.id,
        attempt=row.attempt,
        code=code,
    )
