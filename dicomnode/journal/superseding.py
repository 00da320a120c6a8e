"""What is unfinished and not needed any more: the study has changed, or its results were taken back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, select

from dicomnode.journal import confirmations, deliveries, events, schema, sentences, studies, tasks
from dicomnode.journal.failures import failure_of
from dicomnode.journal.records import TaskRecord
from dicomnode.journal.transitions import Event, TaskKind, states_before

_task: Final = schema.task
UNFINISHED: Final = sorted(states_before(Event.SUPERSEDED))


def supersede(connection: Connection, study_uid: str, version: int, now: datetime) -> None:
    """What is unfinished of versions before `version` is not needed any more."""
    # What takes results back is needed all the more; and what somebody said of earlier ones was said
    is_of_engine = _task.c.engine.not_like(f"{studies.RETRACTION}%")
    is_work = _task.c.kind != TaskKind.FEEDBACK
    _supersede(connection, study_uid, (_task.c.study_version < version, is_of_engine, is_work), now)


def supersede_answer(
    connection: Connection, study_uid: str, version: int, engine: str, now: datetime
) -> None:
    """What is unfinished of the results of an analysis is not needed any more."""
    of = (_task.c.study_version == version, _task.c.engine == engine)
    _supersede(connection, study_uid, of, now)


def reject_answer(connection: Connection, study_uid: str, version: int, engine: str, now: datetime) -> None:
    """What is unfinished of the results of an analysis may not go anywhere: somebody else rejects them."""
    deliveries.end(connection, study_uid, version, engine, sentences.REJECTED, now)
    supersede_answer(connection, study_uid, version, engine, now)


def reject_later_answers(
    connection: Connection, study_uid: str, version: int, engine: str, now: datetime
) -> None:
    """Nor may what the engine of such an analysis makes of later versions, whichever their number."""
    name = engine.partition(":")[0]
    rows = connection.execute(
        select(_task.c.study_version, _task.c.engine)
        .distinct()
        .where(
            _task.c.study_instance_uid == study_uid,
            _task.c.study_version >= version,
            _task.c.state.in_(UNFINISHED),
        )
    ).all()
    for row in rows:
        if row.engine.partition(":")[0] == name:
            reject_answer(connection, study_uid, row.study_version, row.engine, now)


def replace_failure(connection: Connection, analysis: TaskRecord, now: datetime) -> None:
    """What says that an analysis failed is not needed any more: it has worked since."""
    name = failure_of(analysis.engine or "")
    study_uid, version = analysis.study_instance_uid, analysis.study_version
    deliveries.end(connection, study_uid, version, name, sentences.WORKED, now)
    supersede_answer(connection, study_uid, version, name, now)


def _supersede(
    connection: Connection, study_uid: str, of: Iterable[ColumnElement[bool]], now: datetime
) -> None:
    rows = connection.execute(
        select(_task)
        .where(_task.c.study_instance_uid == study_uid, _task.c.state.in_(UNFINISHED), *of)
        .with_for_update()
    ).all()
    confirmations.forget(connection, [row.id for row in rows])
    for row in rows:
        tasks.move(connection, row, Event.SUPERSEDED, now, owner=None, lease_until=None)
        events.append(
            connection,
            study_uid,
            now,
            f"{row.kind}.superseded",
            sentences.of_task(Event.SUPERSEDED, tasks.said(row)),
            task=row.id,
            version=row.study_version,
        )
