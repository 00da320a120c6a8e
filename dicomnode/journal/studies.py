"""Studies: what is known of them, when they are complete, and what state their tasks put them in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, distinct, func, not_, or_, select, update

from dicomnode.faults import STUDY_AMBIGUOUS, STUDY_NOT_FOUND, WAITS_FOR_ANOTHER, NodeError
from dicomnode.journal import events, of_another, priors, schema, sentences
from dicomnode.journal.records import Progress, StudyRecord
from dicomnode.journal.study_state import StudyFacts, StudyState, TaskFact, study_reason, study_state
from dicomnode.journal.transitions import TaskKind, TaskState

_study: Final = schema.study
_task: Final = schema.task
# Begins the "engine" of tasks and objects that take results back; no engine has a name like that
RETRACTION: Final = "(retraction"
# Variables of one statement: SQLite takes 32 766, PostgreSQL 65 535
GROUP: Final = 500


def settle_state(connection: Connection, study_uid: str, now: datetime) -> StudyState:
    """Write the state that the study's tasks and deliveries put it in; an event where it is another."""
    # Locked before its tasks are read: of two workers that finish at once, the second one sees both ends
    row = connection.execute(
        select(_study).where(_study.c.study_instance_uid == study_uid).with_for_update()
    ).one()
    facts = _facts(connection, row)
    if facts.complete and not facts.tasks and not facts.retracted and priors.mark(connection, study_uid):
        return StudyState(row.state)  # nobody looks at it
    state, reason = study_state(facts), study_reason(facts)
    if state is StudyState.RETRACTED and of_another.since(connection, study_uid) is not None:
        reason = WAITS_FOR_ANOTHER.text()
    if (state, reason) != (row.state, row.reason):
        connection.execute(
            update(_study).where(_study.c.study_instance_uid == study_uid).values(state=state, reason=reason)
        )
    if state != row.state:
        text = sentences.of_study(state, reason)
        events.append(connection, study_uid, now, f"study.{state}", text, version=row.version)
    return state


def _facts(connection: Connection, row: Row[Any]) -> StudyFacts:
    of = (_task.c.study_instance_uid == row.study_instance_uid, _task.c.study_version == row.version)
    retracted = is_retracted(connection, row.study_instance_uid, row.version)
    # What takes results back is not work on this version; but where it fails, of whatever version, an archive
    # keeps what it should not have, and a person is needed
    taking_back = _task.c.engine.like(f"{RETRACTION}%")
    failed = and_(of[0], taking_back, _task.c.state == TaskState.PARKED)
    own = and_(*of) if retracted else and_(*of, not_(taking_back))
    tasks = connection.execute(
        select(
            _task.c.kind,
            _task.c.state,
            _task.c.error_text,
            _task.c.error_code,
            taking_back.label("takes_back"),
        )
        .where(or_(own, failed))
        .order_by(_task.c.id)
    )
    undelivered = connection.execute(
        select(func.count())
        .select_from(schema.delivery.join(schema.result_object))
        .where(
            schema.result_object.c.study_instance_uid == row.study_instance_uid,
            schema.result_object.c.study_version == row.version,
            schema.result_object.c.engine.not_like(f"{RETRACTION}%"),
            # What was rejected is not sent any more, whoever rejected it
            schema.result_object.c.sop_instance_uid.not_in(select(schema.rejected.c.sop_instance_uid)),
            schema.delivery.c.outcome.not_in(["stored", "replaced"]),
        )
    ).scalar_one()
    return StudyFacts(
        complete=row.complete_at is not None,
        shortfall=row.shortfall,
        tasks=[
            TaskFact(
                kind=TaskKind(task.kind),
                state=TaskState(task.state),
                error_text=task.error_text,
                error_code=task.error_code,
                takes_back=bool(task.takes_back),
            )
            for task in tasks
        ],
        undelivered=undelivered,
        retracted=retracted,
    )


def is_retracted(connection: Connection, study_uid: str, version: int) -> bool:
    """Whether the results of this version of a study were taken back."""
    return bool(taken_back_as(connection, study_uid, version))


def taken_back_as(connection: Connection, study_uid: str, version: int) -> list[str]:
    """Codes by which the results of a version were taken back, in that order; none: they were not."""
    table = schema.correction.c
    codes = connection.execute(
        select(table.code)
        .where(
            table.study_instance_uid == study_uid,
            table.study_version == version,
            table.kind == "retracted",
        )
        .order_by(table.id)
    ).scalars()
    return list(codes)


def last_arrival(row: Row[Any]) -> datetime:
    """When the last instance of a study came, or the journal heard of it."""
    at: datetime = max(row.last_received_at, row.last_added_at)
    return at


def complete(
    connection: Connection,
    study_uid: str,
    evidence: str,
    now: datetime,
    quiet_before: datetime | None,
    lacks: tuple[str, str] | None = None,
) -> int | None:
    """Say that all of a study is here; give its version, None when it is not (any more) to be said.

    lacks: what is missing all the same, and what is done without it ("analyse", "report", "hold").
    """
    row = connection.execute(
        select(_study).where(_study.c.study_instance_uid == study_uid).with_for_update()
    ).first()
    if row is None:
        raise NodeError(STUDY_NOT_FOUND, study=study_uid)
    if row.complete_at is not None:
        return None
    if quiet_before is not None and last_arrival(row) >= quiet_before:
        return None
    connection.execute(
        update(_study)
        .where(_study.c.study_instance_uid == study_uid)
        .values(
            state=StudyState.COMPLETE,
            complete_at=now,
            complete_evidence=evidence,
            shortfall=lacks and lacks[0],
            reason=None,
        )
    )
    counted = records(connection, [row])[0]
    text = sentences.completed(counted.instances, counted.series, evidence)
    if lacks is not None:
        text = sentences.closed_incomplete(*lacks)
    what = "study.complete" if lacks is None else "study.closed_incomplete"
    events.append(connection, study_uid, now, what, text, version=row.version, instances=counted.instances)
    version: int = row.version
    return version


def latest(connection: Connection, limit: int) -> list[StudyRecord]:
    """Studies, the one that was received last first."""
    rows = connection.execute(
        select(_study).order_by(_study.c.last_received_at.desc(), _study.c.study_instance_uid).limit(limit)
    ).all()
    return records(connection, rows)


def find(connection: Connection, uid_or_accession: str) -> StudyRecord:
    """The study of a UID or an accession number; raises NodeError(STUDY_NOT_FOUND, STUDY_AMBIGUOUS)."""
    for column in (_study.c.study_instance_uid, _study.c.accession_number):
        rows = connection.execute(
            select(_study).where(column == uid_or_accession).order_by(_study.c.last_received_at.desc())
        ).all()
        if len(rows) > 1 and uid_or_accession:
            uids = ", ".join(row.study_instance_uid for row in rows)
            raise NodeError(STUDY_AMBIGUOUS, study=uid_or_accession, studies=uids)
        if rows and uid_or_accession:
            return records(connection, rows)[0]
    raise NodeError(STUDY_NOT_FOUND, study=uid_or_accession)


def records(connection: Connection, rows: Sequence[Row[Any]]) -> list[StudyRecord]:
    """Make the records of rows, with what is counted."""
    found: list[StudyRecord] = []
    for start in range(0, len(rows), GROUP):
        found += _records(connection, rows[start : start + GROUP])
    return found


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> list[StudyRecord]:
    uids = [row.study_instance_uid for row in rows]
    instances = _counts(connection, schema.instance.c.sop_instance_uid, uids)
    series = _counts(connection, schema.series.c.series_instance_uid, uids)
    modalities = _modalities(connection, uids)
    progress = _progress(connection, uids)
    return [
        StudyRecord(
            study_instance_uid=row.study_instance_uid,
            accession_number=row.accession_number,
            state=StudyState(row.state),
            version=row.version,
            instances=instances.get(row.study_instance_uid, 0),
            series=series.get(row.study_instance_uid, 0),
            modalities=tuple(sorted(modalities[row.study_instance_uid])),
            calling_ae=row.calling_ae,
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
            complete_evidence=row.complete_evidence,
            reason=row.reason,
            shortfall=row.shortfall,
            progress=progress.get((row.study_instance_uid, row.version)),
        )
        for row in rows
    ]


def _counts(connection: Connection, column: Any, uids: Sequence[str]) -> dict[str, int]:
    study_uid = column.table.c.study_instance_uid
    query = select(study_uid, func.count(distinct(column))).where(study_uid.in_(uids)).group_by(study_uid)
    return {row[0]: row[1] for row in connection.execute(query)}


def _modalities(connection: Connection, uids: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    table = schema.series.c
    query = select(table.study_instance_uid, table.modality).where(table.study_instance_uid.in_(uids))
    for uid, modality in connection.execute(query):
        if modality:
            found[uid].add(modality)
    return found


def _progress(connection: Connection, uids: Sequence[str]) -> dict[tuple[str, int], Progress]:
    """Of the work that runs now; of several, what spoke last."""
    query = (
        select(_task)
        .where(
            _task.c.study_instance_uid.in_(uids),
            _task.c.state == TaskState.RUNNING,
            _task.c.progress_stage.is_not(None),
        )
        .order_by(_task.c.changed_at, _task.c.id)
    )
    return {
        (row.study_instance_uid, row.study_version): (
            row.progress_stage,
            row.progress_done,
            row.progress_total,
        )
        for row in connection.execute(query)
    }
