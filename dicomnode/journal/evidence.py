"""Evidence of completeness: what speaks for a study being whole or not, and which of it decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select

from dicomnode.journal import notices, retraction, schema, studies, tasks
from dicomnode.journal.notices import Said
from dicomnode.journal.records import NewTask, StudyRecord, TaskRecord
from dicomnode.journal.transitions import Event, TaskKind, TaskState

_evidence: Final = schema.evidence
_study: Final = schema.study
_task: Final = schema.task
_OPEN: Final = (TaskState.WAITING, TaskState.READY, TaskState.RUNNING, TaskState.RETRY)

Unit = Literal["images", "series"]
_COUNT: Final = "count at "


class EvidenceKind(StrEnum):
    """What speaks."""

    QUIET = "quiet"  # nothing new has come for a while
    WAIT = "wait"  # the longest wait is over
    COUNT = "count"  # a peer that was asked: C-FIND, QIDO-RS
    STEP = "step"  # a performed procedure step (MPPS)
    COMMITMENT = "commitment"  # a storage commitment request
    AVAILABILITY = "availability"  # an Instance Availability Notification
    EXPECTED = "expected"  # a rule of dicomnode.toml


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRecord:
    """What one source says of a version of a study.

    source: name of a [[query]] or [[expect]], or the calling AE title; empty for the node's own clock.
    expected, here: how many there should be and are, in `unit`; None where it does not say.
    text: for people. decided: whether the study was closed by it.
    """

    kind: EvidenceKind
    source: str
    text: str
    found_at: datetime
    expected: int | None = None
    here: int | None = None
    unit: Unit = "images"
    decided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """What a peer answered that was asked about a study.

    images_here: how many images of it were here when it was asked. series: images that the peer has, by
    Series Instance UID. problem: why it did not answer, else empty.
    """

    source: str
    images_here: int
    found_at: datetime
    series: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStudy:
    """A study that is not closed, with all that is known of its completeness.

    series: images here by Series Instance UID. modalities: one entry a series. unnamed: images here that no
    notice names, 0 where there is no notice. asked: the sources whose answer for what is here now is still
    awaited. own_series: of what the node made of the study: an archive that has it counts it, too. What was
    rejected is not here.
    """

    study: StudyRecord
    last_arrival: datetime
    series: Mapping[str, int]
    modalities: tuple[str, ...]
    answers: tuple[SourceAnswer, ...]
    said: tuple[Said, ...]
    unnamed: int
    asked: frozenset[str]
    own_series: frozenset[str]


def open_studies(connection: Connection, quiet_before: datetime) -> list[OpenStudy]:
    """Studies that are not closed and of which nothing came since then, the quietest first."""
    rows = connection.execute(
        select(_study)
        .where(
            _study.c.complete_at.is_(None),
            _study.c.last_received_at < quiet_before,
            _study.c.last_added_at < quiet_before,
        )
        .order_by(_study.c.last_received_at, _study.c.study_instance_uid)
    ).all()
    records = studies.records(connection, rows)
    return [_open_study(connection, row, record) for row, record in zip(rows, records, strict=True)]


def _open_study(connection: Connection, row: Row[Any], record: StudyRecord) -> OpenStudy:
    uid = row.study_instance_uid
    series = schema.series.c
    here = _here(connection, uid)
    images_here = sum(here.values())
    modalities = connection.execute(
        select(series.modality).where(series.study_instance_uid == uid).order_by(series.modality)
    ).scalars()
    answers = _answers(connection, record, images_here)
    asked, ended = _asked(connection, record, images_here)
    answered = {answer.source for answer in answers}
    answers += [
        SourceAnswer(source=source, images_here=images_here, found_at=at, problem=problem)
        for source, (at, problem) in ended.items()
        if source not in answered
    ]
    said = tuple(notices.of_study(connection, uid))
    return OpenStudy(
        study=record,
        last_arrival=max(row.last_received_at, row.last_added_at),
        series=here,
        modalities=tuple(modalities),
        answers=tuple(answers),
        said=said,
        unnamed=notices.unnamed(connection, uid) if said else 0,
        asked=asked - answered,
        own_series=_own_series(connection, uid),
    )


def _here(connection: Connection, study_uid: str) -> dict[str, int]:
    """Images of a study by series, without those that were rejected: they stand for no other."""
    instance = schema.instance.c
    rows = connection.execute(
        select(instance.series_instance_uid, func.count())
        .where(
            instance.study_instance_uid == study_uid,
            instance.sop_instance_uid.not_in(retraction.aside(study_uid)),
        )
        .group_by(instance.series_instance_uid)
    )
    return {row[0]: row[1] for row in rows}


def _own_series(connection: Connection, study_uid: str) -> frozenset[str]:
    """Series of the results of a study, and of notes that take them back, for whatever destination."""
    made = schema.result_object.c
    found = select(made.series_instance_uid).where(made.study_instance_uid == study_uid).distinct()
    return frozenset(connection.execute(found).scalars())


def _answers(connection: Connection, record: StudyRecord, images_here: int) -> list[SourceAnswer]:
    """What sources said to the number of images that is here now; older answers are out of date."""
    rows = connection.execute(
        select(_evidence)
        .where(
            *_of(record.study_instance_uid, record.version),
            _evidence.c.kind == EvidenceKind.COUNT,
            _evidence.c.images_here == images_here,
        )
        .order_by(_evidence.c.source)
    )
    return [
        SourceAnswer(
            source=row.source,
            images_here=row.images_here,
            found_at=row.found_at,
            series=row.series or {},
            problem=row.problem,
        )
        for row in rows
    ]


def _asked(
    connection: Connection, record: StudyRecord, images_here: int
) -> tuple[frozenset[str], dict[str, tuple[datetime, str]]]:
    """The sources that are being asked for what is here now; and when and why asking others has ended.

    An end without an answer (a task that was parked) is a reason, too: nobody is waited for twice.
    """
    rows = connection.execute(
        select(_task.c.destination, _task.c.state, _task.c.error_text, _task.c.changed_at).where(
            _task.c.kind == TaskKind.FETCH,
            _task.c.study_instance_uid == record.study_instance_uid,
            _task.c.study_version == record.version,
            _task.c.engine == _asking(images_here),
        )
    ).all()
    ended = {
        row.destination: (row.changed_at, row.error_text or "it was not asked to the end")
        for row in rows
        if row.state not in _OPEN
    }
    return frozenset(row.destination for row in rows if row.state in _OPEN), ended


def _asking(images_here: int) -> str:
    # A task is made once; this one again each time something has come: what is here is part of its name
    return f"{_COUNT}{images_here}"


def _count_tasks(
    record: StudyRecord, images_here: int, sources: Iterable[str], priority: int
) -> list[NewTask]:
    """The tasks that ask sources how many images a study has; the same for the same images is one task."""
    return [
        NewTask(
            kind=TaskKind.FETCH,
            study_instance_uid=record.study_instance_uid,
            study_version=record.version,
            engine=_asking(images_here),
            destination=source,
            payload={"asks": "count", "images_here": images_here},
            priority=priority,
        )
        for source in sources
    ]


def ask(
    connection: Connection, record: StudyRecord, sources: Iterable[str], now: datetime, priority: int
) -> None:
    """Have sources asked, unless the study has gone on meanwhile."""
    row = connection.execute(
        select(_study.c.version, _study.c.complete_at).where(
            _study.c.study_instance_uid == record.study_instance_uid
        )
    ).first()
    if row is not None and row.version == record.version and row.complete_at is None:
        images_here = sum(_here(connection, record.study_instance_uid).values())
        tasks.add(connection, _count_tasks(record, images_here, sources, priority), now)


def stop_asking(connection: Connection, study_uid: str, version: int, now: datetime) -> None:
    """Have nobody asked any more: the study is closed, and no question keeps it from going on."""
    rows = connection.execute(
        select(_task)
        .where(
            _task.c.kind == TaskKind.FETCH,
            _task.c.study_instance_uid == study_uid,
            _task.c.study_version == version,
            _task.c.engine.like(f"{_COUNT}%"),
            _task.c.state.in_(sorted((*_OPEN, TaskState.PARKED))),
        )
        .with_for_update()
    ).all()
    for row in rows:
        tasks.move(connection, row, Event.SUPERSEDED, now, owner=None, lease_until=None)


def answered(connection: Connection, task: TaskRecord, answer: SourceAnswer, text: str) -> None:
    """Write what a source answered; raises NodeError(LEASE_LOST) when the task is another worker's."""
    tasks.held(connection, task)
    record = EvidenceRecord(
        kind=EvidenceKind.COUNT,
        source=answer.source,
        text=text,
        found_at=answer.found_at,
        expected=None if answer.problem else sum(answer.series.values()),
        here=answer.images_here,
    )
    row = _row(task.study_instance_uid, task.study_version, record)
    row |= {"images_here": answer.images_here, "series": dict(answer.series), "problem": answer.problem}
    _replace(connection, [row])


def put(connection: Connection, study_uid: str, version: int, records: Sequence[EvidenceRecord]) -> None:
    """Write evidence of a version of a study; what the same source said before goes.

    The answer of a peer stays as it came: only its words and whether it decided are new.
    """
    kept = {
        (row.kind, row.source): row
        for row in connection.execute(select(_evidence).where(*_of(study_uid, version)))
    }
    rows = []
    for record in records:
        row = _row(study_uid, version, record)
        before = kept.get((record.kind, record.source))
        if before is not None:
            row |= {"images_here": before.images_here, "series": before.series, "problem": before.problem}
        rows.append(row)
    _replace(connection, rows)


def of_study(connection: Connection, study_uid: str) -> dict[int, list[EvidenceRecord]]:
    """All evidence of a study by version, what decided first."""
    rows = connection.execute(
        select(_evidence)
        .where(_evidence.c.study_instance_uid == study_uid)
        .order_by(_evidence.c.study_version, _evidence.c.decided.desc(), _evidence.c.kind, _evidence.c.source)
    )
    found: dict[int, list[EvidenceRecord]] = defaultdict(list)
    for row in rows:
        found[row.study_version].append(
            EvidenceRecord(
                kind=EvidenceKind(row.kind),
                source=row.source,
                text=row.text,
                found_at=row.found_at,
                expected=row.expected,
                here=row.here,
                unit=row.unit,
                decided=row.decided,
            )
        )
    return dict(found)


def _of(study_uid: str, version: int) -> tuple[Any, Any]:
    return _evidence.c.study_instance_uid == study_uid, _evidence.c.study_version == version


def _row(study_uid: str, version: int, record: EvidenceRecord) -> dict[str, Any]:
    return {
        "study_instance_uid": study_uid,
        "study_version": version,
        "kind": record.kind,
        "source": record.source,
        "text": record.text,
        "found_at": record.found_at,
        "expected": record.expected,
        "here": record.here,
        "unit": record.unit,
        "decided": record.decided,
        "images_here": None,
        "series": None,
        "problem": "",
    }


def _replace(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        connection.execute(
            delete(_evidence).where(
                *_of(row["study_instance_uid"], row["study_version"]),
                _evidence.c.kind == row["kind"],
                _evidence.c.source == row["source"],
            )
        )
        connection.execute(insert(_evidence).values(row))
