"""Withdrawal: the rejection note of results that were taken back, written and handed to the courier."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from dicomnode.faults import BUG, NOTHING_TO_REJECT, NodeError
from dicomnode.journal import Event, Journal, ObjectRecord, TaskRecord
from dicomnode.report import Rejection, make_rejection_note
from dicomnode.serve.deciding.plan import deliver_task
from dicomnode.store import Store


def write_rejection_note(task: TaskRecord, store: Store, journal: Journal, series_number: int) -> Event:
    """Do a report task of retraction: the note of what its destination has goes into the outbox.

    series_number: as of the settings. Doing it twice gives the same note once. Raises NodeError: RESULT_GONE,
    REPORT_FAILED, STORE_WRITE_FAILED.
    """
    if task.engine is None or task.destination is None:
        raise NodeError(BUG, where="retraction", error="a task without a name or a destination")
    objects = journal.withdrawn(task)
    now = datetime.now(UTC)
    if not objects:
        nothing = NodeError(NOTHING_TO_REJECT, destination=task.destination)
        journal.finish(task, Event.COMMITTED, now, error=nothing)
        return Event.COMMITTED
    rejection = Rejection(
        objects=tuple(one.path for one in objects),
        code=str(task.payload["code"]),
        name=task.engine,
        destination=task.destination,
        made_at=task.created_at.astimezone(),
        series_number=series_number,
    )
    made = make_rejection_note(rejection, store.salt)
    record = ObjectRecord(
        sop_instance_uid=made.sop_instance_uid,
        sop_class_uid=made.sop_class_uid,
        series_instance_uid=made.series_instance_uid,
        kind=made.kind,
        study_instance_uid=task.study_instance_uid,
        study_version=task.study_version,
        engine=task.engine,
        path=store.put_object(made.sop_instance_uid, made.content),
        digest=sha256(made.content).hexdigest(),
    )
    journal.finish(task, Event.COMMITTED, now, objects=[record], new_tasks=[deliver_task(task)])
    return Event.COMMITTED
