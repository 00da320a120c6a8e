"""Results that wait for a person, and are let go by one who gives his name."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, select

from dicomnode.faults import RESULTS_HELD
from dicomnode.journal import events, schema, sentences, studies, tasks
from dicomnode.journal.transitions import TaskState

_task: Final = schema.task
RELEASED_BY: Final = "released_by"  # in the payload of a delivery


def held(connection: Connection, study_uid: str | None, destination: str | None) -> dict[str, list[str]]:
    """Which destinations results are held for: Study Instance UID → names. None: of all."""
    query = select(_task.c.study_instance_uid, _task.c.destination).distinct()
    rows = connection.execute(
        query.where(*_is_held(study_uid, destination)).order_by(
            _task.c.study_instance_uid, _task.c.destination
        )
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.study_instance_uid, []).append(row.destination)
    return found


def release_results(
    connection: Connection, study_uid: str, destination: str | None, by: str, now: datetime
) -> list[str]:
    """Let the held deliveries of a study go; give their destinations. by: who says so, for the audit."""
    query = select(_task).where(*_is_held(study_uid, destination)).order_by(_task.c.id)
    rows = connection.execute(query.with_for_update()).all()
    names = sorted({row.destination for row in rows})
    for row in rows:
        tasks.again(connection, row, now, payload={**row.payload, RELEASED_BY: by})
    if rows:
        text = sentences.results_released(by, names)
        events.append(connection, study_uid, now, "results.released", text, by=by)
        studies.settle_state(connection, study_uid, now)
    return names


def _is_held(study_uid: str | None, destination: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        _task.c.state == TaskState.PARKED,
        _task.c.error_code == RESULTS_HELD.code,
    ]
    if study_uid is not None:
        conditions.append(_task.c.study_instance_uid == study_uid)
    if destination is not None:
        conditions.append(_task.c.destination == destination)
    return conditions
