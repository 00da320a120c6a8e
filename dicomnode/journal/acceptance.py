"""What became of the first studies that an engine was asked about: for its acceptance at a site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, func, or_, select

from dicomnode.journal import schema
from dicomnode.journal.failures import is_failure
from dicomnode.journal.instances import NO_IMAGES
from dicomnode.journal.studies import GROUP
from dicomnode.journal.transitions import TaskKind, TaskState

_study: Final = schema.study
_verdict: Final = schema.verdict
_task: Final = schema.task
_finding: Final = schema.finding
_instance: Final = schema.instance


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAnalysis:
    """One analysis of a study by an engine, of the latest version that it was asked about.

    analysis: "lung-ct", "lung-ct:2". error_code: why it failed, or was not done yet. images_at: when the last
    image of the study came. asked_at: when the study was complete and the analysis was wanted. found_at,
    findings, engine_version, engine_digest: None while nothing was found.
    """

    study_instance_uid: str
    analysis: str
    state: TaskState
    error_code: str | None
    images_at: datetime
    asked_at: datetime
    found_at: datetime | None = None
    findings: Path | None = None
    engine_version: str | None = None
    engine_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedStudy:
    """A study that an engine was asked about. analyses: none where it wanted nothing of it."""

    study_instance_uid: str
    first_received_at: datetime
    analyses: tuple[AskedAnalysis, ...]


def asked_studies(connection: Connection, engine: str, first: int) -> list[AskedStudy]:
    """The first studies, by when they came, of which it was decided whether the engine wants them."""
    asked = (
        select(_verdict.c.study_instance_uid, func.max(_verdict.c.study_version).label("version"))
        .where(_verdict.c.engine == engine)
        .group_by(_verdict.c.study_instance_uid)
        .subquery()
    )
    rows = connection.execute(
        select(_study.c.study_instance_uid, _study.c.first_received_at, asked.c.version)
        .join(asked, asked.c.study_instance_uid == _study.c.study_instance_uid)
        .order_by(_study.c.first_received_at, _study.c.study_instance_uid)
        .limit(first)
    ).all()
    found: list[AskedStudy] = []
    for start in range(0, len(rows), GROUP):
        group = rows[start : start + GROUP]
        versions = {row.study_instance_uid: row.version for row in group}
        of_study = _analyses(connection, engine, versions)
        found += [
            AskedStudy(
                study_instance_uid=row.study_instance_uid,
                first_received_at=row.first_received_at,
                analyses=tuple(of_study.get(row.study_instance_uid, ())),
            )
            for row in group
        ]
    return found


def _analyses(
    connection: Connection, engine: str, versions: dict[str, int]
) -> dict[str, list[AskedAnalysis]]:
    last = (
        select(_instance.c.study_instance_uid, func.max(_instance.c.first_received_at).label("at"))
        .where(_instance.c.sop_class_uid.not_in(sorted(NO_IMAGES)))
        .group_by(_instance.c.study_instance_uid)
        .subquery()
    )
    same = [_finding.c[name] == _task.c[name] for name in ("study_instance_uid", "study_version", "engine")]
    rows = connection.execute(
        select(_task, _finding.c.path, _finding.c.found_at, _finding.c.engine_version, last.c.at)
        .add_columns(_finding.c.engine_digest)
        .join(last, last.c.study_instance_uid == _task.c.study_instance_uid)
        .outerjoin(_finding, and_(*same))
        .where(
            _task.c.kind == TaskKind.ANALYSE,
            _task.c.state != TaskState.SUPERSEDED,
            or_(_task.c.engine == engine, _task.c.engine.startswith(f"{engine}:", autoescape=True)),
            _task.c.study_instance_uid.in_(list(versions)),
        )
        .order_by(_task.c.id)
    )
    found: dict[str, list[AskedAnalysis]] = {}
    for row in rows:
        if row.study_version == versions[row.study_instance_uid] and not is_failure(row.engine):
            found.setdefault(row.study_instance_uid, []).append(_analysis(row))
    return found


def _analysis(row: Row[Any]) -> AskedAnalysis:
    return AskedAnalysis(
        study_instance_uid=row.study_instance_uid,
        analysis=row.engine,
        state=TaskState(row.state),
        error_code=row.error_code,
        images_at=row.at,
        asked_at=row.created_at,
        found_at=row.found_at,
        findings=None if row.path is None else Path(row.path),
        engine_version=row.engine_version,
        engine_digest=row.engine_digest,
    )
