"""What work has made: verdicts, where Findings are, and the objects in the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select

from dicomnode.journal import schema
from dicomnode.journal.records import FindingRecord, Maker, ObjectRecord, TaskRecord
from dicomnode.values import Verdict

_verdict: Final = schema.verdict
_finding: Final = schema.finding
_object: Final = schema.result_object


def replace_verdicts(connection: Connection, task: TaskRecord, verdicts: Sequence[Verdict]) -> None:
    """Write the verdicts of a study version; those of an earlier try go."""
    connection.execute(
        delete(_verdict).where(
            _verdict.c.study_instance_uid == task.study_instance_uid,
            _verdict.c.study_version == task.study_version,
        )
    )
    connection.execute(
        insert(_verdict),
        [
            {
                "study_instance_uid": task.study_instance_uid,
                "study_version": task.study_version,
                "engine": verdict.engine,
                "engine_version": verdict.version,
                "series_instance_uid": verdict.series_instance_uid,
                "stack": verdict.stack,
                "chosen": verdict.chosen,
                "score": verdict.score,
                "rule": verdict.rule,
                "found": verdict.found,
            }
            for verdict in verdicts
        ],
    )


def verdicts(connection: Connection, study_uid: str) -> list[Verdict]:
    """Verdicts on the latest version that has some."""
    latest = (
        select(func.max(_verdict.c.study_version))
        .where(_verdict.c.study_instance_uid == study_uid)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(_verdict)
        .where(
            _verdict.c.study_instance_uid == study_uid,
            _verdict.c.study_version == latest,
        )
        .order_by(_verdict.c.id)
    )
    return [
        Verdict(
            engine=row.engine,
            version=row.engine_version,
            series_instance_uid=row.series_instance_uid,
            stack=row.stack,
            chosen=row.chosen,
            score=row.score,
            rule=row.rule,
            found=row.found,
        )
        for row in rows
    ]


def add_finding(
    connection: Connection, task: TaskRecord, path: Path, maker: Maker | None, now: datetime
) -> None:
    """Write where the Findings of the task's engine are, and which package made them; the first ones win.

    maker: None where only the file says it.
    """
    key = {
        "study_instance_uid": task.study_instance_uid,
        "study_version": task.study_version,
        "engine": task.engine or "",
    }
    there = connection.execute(
        select(_finding.c.path).where(*(_finding.c[name] == value for name, value in key.items()))
    ).first()
    if there is not None:
        return
    of = None if maker is None else maker.taken_over_of
    found_at = connection.execute(
        select(_finding.c.found_at).where(
            *(_finding.c[name] == value for name, value in (key | {"study_version": of}).items())
        )
    ).scalar()
    connection.execute(
        insert(_finding).values(
            **key,
            path=str(path),
            committed_at=now,
            engine_version=maker and maker.version,
            engine_digest=maker and maker.digest,
            found_at=found_at or now,
        )
    )


def findings(connection: Connection, study_uid: str) -> list[FindingRecord]:
    """Where the Findings of a study are, by version and engine."""
    rows = connection.execute(
        select(_finding)
        .where(_finding.c.study_instance_uid == study_uid)
        .order_by(_finding.c.study_version, _finding.c.engine)
    )
    return [finding_record(row) for row in rows]


def finding_record(row: Row[Any]) -> FindingRecord:
    """Make the record of a row."""
    return FindingRecord(row.engine, row.study_version, Path(row.path))


def add_objects(connection: Connection, objects: Sequence[ObjectRecord], now: datetime) -> None:
    """Write objects; one that is there already stays."""
    for made in objects:
        there = connection.execute(
            select(_object.c.sop_instance_uid).where(_object.c.sop_instance_uid == made.sop_instance_uid)
        ).first()
        if there is None:
            connection.execute(
                insert(_object).values(
                    sop_instance_uid=made.sop_instance_uid,
                    sop_class_uid=made.sop_class_uid,
                    series_instance_uid=made.series_instance_uid,
                    kind=made.kind,
                    study_instance_uid=made.study_instance_uid,
                    study_version=made.study_version,
                    engine=made.engine,
                    path=str(made.path),
                    digest=made.digest,
                    created_at=now,
                )
            )


def objects(connection: Connection, study_uid: str, version: int | None) -> list[ObjectRecord]:
    """Objects of a study; of one version, or of all."""
    query = select(_object).where(_object.c.study_instance_uid == study_uid)
    if version is not None:
        query = query.where(_object.c.study_version == version)
    query = query.order_by(_object.c.study_version, _object.c.created_at, _object.c.kind, _object.c.path)
    return [object_record(row) for row in connection.execute(query)]


def object_record(row: Row[Any]) -> ObjectRecord:
    """Make the record of a row."""
    return ObjectRecord(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        series_instance_uid=row.series_instance_uid,
        kind=row.kind,
        study_instance_uid=row.study_instance_uid,
        study_version=row.study_version,
        engine=row.engine,
        path=Path(row.path),
        digest=row.digest,
    )
