"""Answers: what an engine said of a version of a study; found by engine, package and time, and taken back.

An answer stands while an object of it does, or is still to be written or sent. Who takes it back does so for
good: nothing of it is written again, and no later version of the study with equal images takes it over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, func, or_, select, update

from dicomnode.journal import (
    deliveries,
    events,
    retraction,
    schema,
    sentences,
    studies,
    superseding,
    versions,
)
from dicomnode.journal.lost_priors import lose_wrong_prior
from dicomnode.journal.of_another import WRONG_ORDER
from dicomnode.journal.records import FindingRecord, Maker
from dicomnode.journal.results import finding_record
from dicomnode.journal.retraction import Retracted, Withdrawal
from dicomnode.journal.transitions import TaskKind
from dicomnode.journal.versions import CorrectionKind

_finding: Final = schema.finding
_object: Final = schema.result_object
_study: Final = schema.study
_task: Final = schema.task
_NUMBERED: Final = ":"  # behind the name of an engine stands the number of a further analysis
_LEAVES: Final = (TaskKind.REPORT, TaskKind.DELIVER)


class AnswerKey(NamedTuple):
    """Names an answer within its study. engine: the name of the analysis, as "lung-ct" or "lung-ct:2"."""

    study_version: int
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerQuery:
    """Which answers are meant; None: whichever.

    study_uid: of a study. engine: name. version, digest: of its package; the digest by its beginning.
    found_from, found_before: when the engine found it, also where a later version has taken it over.
    superseded: only of versions of a study that are not its last.
    """

    study_uid: str | None = None
    engine: str | None = None
    version: str | None = None
    digest: str | None = None
    found_from: datetime | None = None
    found_before: datetime | None = None
    superseded: bool = False

    @property
    def asks_for_maker(self) -> bool:
        """Whether it depends on the package that found something."""
        return self.version is not None or self.digest is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that stands. objects: how many stand; destinations: that have some of them, or may have.

    maker: None where only the file of the Findings says it.
    """

    study_instance_uid: str
    accession_number: str
    key: AnswerKey
    maker: Maker | None
    found_at: datetime
    objects: int
    destinations: tuple[str, ...]


def find(connection: Connection, query: AnswerQuery) -> list[Answer]:
    """The answers that stand, by study, version and engine."""
    wanted = [*_conditions(query), *_maker_conditions(query), _finding.c.taken_back.is_(None)]
    counts = {
        _id(row): int(row.objects)
        for row in connection.execute(_of_objects(wanted, func.count().label("objects")))
    }
    reached: dict[tuple[str, int, str], set[str]] = defaultdict(set)
    destination = schema.delivery.c.destination
    for row in connection.execute(_of_objects(wanted, destination, deliveries.may_have_arrived())):
        reached[_id(row)].add(row.destination)
    leaving = {_id(row) for row in connection.execute(_of_tasks(wanted, _LEAVES))}
    rows = connection.execute(
        select(_finding, _study.c.accession_number)
        .select_from(_of_study())
        .where(*wanted)
        .order_by(_finding.c.study_instance_uid, _finding.c.study_version, _finding.c.engine)
    )
    return [
        Answer(
            study_instance_uid=row.study_instance_uid,
            accession_number=row.accession_number,
            key=AnswerKey(row.study_version, row.engine),
            maker=None if row.engine_version is None else Maker(row.engine_version, row.engine_digest),
            found_at=row.found_at,
            objects=counts.get(_id(row), 0),
            destinations=tuple(sorted(reached[_id(row)])),
        )
        for row in rows
        if _id(row) in counts or _id(row) in leaving
    ]


def under_way(connection: Connection, query: AnswerQuery) -> int:
    """How many analyses an engine has still to make, or makes now; of which package is not known before."""
    conditions = [_task.c.kind == TaskKind.ANALYSE, _task.c.state.in_(superseding.UNFINISHED)]
    if query.engine is not None:
        conditions.append(_is_of(_task.c.engine, query.engine))
    if query.study_uid is not None:
        conditions.append(_task.c.study_instance_uid == query.study_uid)
    count: int = connection.execute(select(func.count()).where(*conditions)).scalar_one()
    return count


def without_maker(connection: Connection, query: AnswerQuery) -> list[tuple[str, FindingRecord]]:
    """Findings of which only the file says which package made them, with the studies that they are of."""
    rows = connection.execute(
        select(_finding)
        .select_from(_of_study())
        .where(*_conditions(query), _finding.c.taken_back.is_(None), _finding.c.engine_version.is_(None))
        .order_by(_finding.c.study_instance_uid, _finding.c.study_version, _finding.c.engine)
    )
    return [(row.study_instance_uid, finding_record(row)) for row in rows]


def note_makers(connection: Connection, makers: Mapping[tuple[str, AnswerKey], Maker]) -> None:
    """Write which packages made Findings: (Study Instance UID, answer) → maker."""
    for (study_uid, key), maker in makers.items():
        connection.execute(
            update(_finding)
            .where(_is(study_uid, key))
            .values(engine_version=maker.version, engine_digest=maker.digest)
        )


def take_back(
    connection: Connection, study_uid: str, of: Collection[AnswerKey], code: str, by: str, now: datetime
) -> Retracted:
    """Take back answers to a study; those that were before change nothing. by: who says so, for the audit.

    Where no other answer to its last version stands or is made, the study is as if it was all taken back.
    """
    row = versions.locked(connection, study_uid)
    keys = sorted({key for key in of if _stands(connection, study_uid, key)})
    if not keys:
        return Retracted(objects=0, destinations=(), ended=False)
    version: int = row.version
    number = versions.add(connection, study_uid, version, now, kind=CorrectionKind.ANSWER, code=code)
    for key in keys:
        connection.execute(update(_finding).where(_is(study_uid, key)).values(taken_back=code))
        superseding.supersede_answer(connection, study_uid, key.study_version, key.engine, now)
    withdrawal = Withdrawal(number, version, code, of=frozenset(keys))
    count, destinations = retraction.withdraw(connection, study_uid, withdrawal, now)
    ended = any(key.study_version == version for key in keys) and _is_over(connection, study_uid, version)
    if ended:
        retraction.retract_study(connection, study_uid, version, now)
        versions.add(connection, study_uid, version, now, kind=CorrectionKind.RETRACTED, code=code)
    if code == WRONG_ORDER:
        lose_wrong_prior(connection, study_uid, now)
    engines = sorted({key.engine for key in keys})
    text = sentences.retracted(count, destinations, code, engines=engines, by=by)
    events.append(
        connection, study_uid, now, "results.retracted", text,
        version=version, objects=count, code=code, destinations=", ".join(destinations), by=by,
        engines=", ".join(engines),
    )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    return Retracted(objects=count, destinations=destinations, ended=ended)


def _is(study_uid: str, key: AnswerKey) -> ColumnElement[bool]:
    return and_(
        _finding.c.study_instance_uid == study_uid,
        _finding.c.study_version == key.study_version,
        _finding.c.engine == key.engine,
    )


def _stands(connection: Connection, study_uid: str, key: AnswerKey) -> bool:
    row = connection.execute(select(_finding.c.taken_back).where(_is(study_uid, key))).first()
    return row is not None and row.taken_back is None


def _is_over(connection: Connection, study_uid: str, version: int) -> bool:
    """Whether nothing of a version stands, and nothing is made of it any more."""
    made = connection.execute(retraction.standing(study_uid, None)).all()
    if any(row.study_version == version for row in made):
        return False
    unfinished = select(_task.c.id).where(
        _task.c.study_instance_uid == study_uid,
        _task.c.study_version == version,
        _task.c.engine.not_like(f"{studies.RETRACTION}%"),
        _task.c.state.in_(superseding.UNFINISHED),
    )
    return connection.execute(unfinished.limit(1)).first() is None


# ── parts of queries ──


def _id(row: Row[Any]) -> tuple[str, int, str]:
    return row.study_instance_uid, row.study_version, row.engine


def _is_of(column: Any, engine: str) -> ColumnElement[bool]:
    return or_(column == engine, column.startswith(f"{engine}{_NUMBERED}", autoescape=True))


def _conditions(query: AnswerQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.study_uid is not None:
        conditions.append(_finding.c.study_instance_uid == query.study_uid)
    if query.engine is not None:
        conditions.append(_is_of(_finding.c.engine, query.engine))
    if query.found_from is not None:
        conditions.append(_finding.c.found_at >= query.found_from)
    if query.found_before is not None:
        conditions.append(_finding.c.found_at < query.found_before)
    if query.superseded:
        conditions.append(_finding.c.study_version < _study.c.version)
    return conditions


def _maker_conditions(query: AnswerQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.version is not None:
        conditions.append(_finding.c.engine_version == query.version)
    if query.digest is not None:
        conditions.append(_finding.c.engine_digest.startswith(query.digest, autoescape=True))
    return conditions


def _of_study() -> FromClause:
    return _finding.join(_study, _study.c.study_instance_uid == _finding.c.study_instance_uid)


def _same(table: FromClause) -> ColumnElement[bool]:
    return and_(
        table.c.study_instance_uid == _finding.c.study_instance_uid,
        table.c.study_version == _finding.c.study_version,
        table.c.engine == _finding.c.engine,
    )


def _of_objects(
    wanted: Collection[ColumnElement[bool]], column: Any, *more: ColumnElement[bool]
) -> Select[Any]:
    """Count the objects of answers that nobody rejected, or name something of their deliveries."""
    key = (_finding.c.study_instance_uid, _finding.c.study_version, _finding.c.engine)
    joined = _of_study().join(_object, _same(_object))
    rejected = schema.rejected.alias()
    same = (rejected.c.study_instance_uid == _object.c.study_instance_uid) & (
        rejected.c.sop_instance_uid == _object.c.sop_instance_uid
    )
    joined = joined.outerjoin(rejected, same)
    by = list(key)
    if more:
        joined = joined.join(
            schema.delivery, schema.delivery.c.sop_instance_uid == _object.c.sop_instance_uid
        )
        by.append(column)
    return (
        select(*key, column)
        .select_from(joined)
        .where(*wanted, *more, rejected.c.sop_instance_uid.is_(None))
        .group_by(*by)
    )


def _of_tasks(wanted: Collection[ColumnElement[bool]], kinds: Collection[TaskKind]) -> Select[Any]:
    """Name answers of which unfinished tasks of some kinds are there."""
    return (
        select(_finding.c.study_instance_uid, _finding.c.study_version, _finding.c.engine)
        .distinct()
        .select_from(_of_study().join(_task, _same(_task)))
        .where(*wanted, _task.c.kind.in_(sorted(kinds)), _task.c.state.in_(superseding.UNFINISHED))
    )
