"""Retraction: result objects are taken back, and the destinations that have them are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, insert, select, update

from dicomnode.journal import deliveries, schema, superseding, tasks
from dicomnode.journal.records import NewTask, ObjectRecord
from dicomnode.journal.results import object_record
from dicomnode.journal.studies import RETRACTION
from dicomnode.journal.transitions import TaskKind

_correction: Final = schema.correction
_delivery: Final = schema.delivery
_object: Final = schema.result_object
_rejected: Final = schema.rejected

_WITHDRAWN: Final = "It was taken back before it was stored."


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A taking back of results. number: of the correction that asks for it; code: CID 7010 of PS3.16.

    version: of the study, at that time. below: results of versions before this one; None: of all.
    of: results of these versions and engines; None: of all.
    """

    number: int
    version: int
    code: str
    below: int | None = None
    of: frozenset[tuple[int, str]] | None = None

    @property
    def name(self) -> str:
        """What stands as the engine of its tasks and objects."""
        return f"{RETRACTION} {self.number})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retracted:
    """What a retraction did. objects: how many are taken back; destinations: that are told of it.

    ended: the study itself was ended by it, also where nothing had been made of it yet.
    """

    objects: int
    destinations: tuple[str, ...]
    ended: bool


def is_of_retraction(engine: str | None) -> bool:
    """Whether a task or an object takes results back."""
    return (engine or "").startswith(RETRACTION)


def reject(connection: Connection, study_uid: str, uids: Iterable[str], code: str, note: str) -> None:
    """Write that instances, or result objects, are not to be used any more; none may be rejected yet."""
    rows = [
        {"study_instance_uid": study_uid, "sop_instance_uid": uid, "code": code, "note": note} for uid in uids
    ]
    if rows:
        connection.execute(insert(_rejected), rows)


def withdraw(
    connection: Connection, study_uid: str, withdrawal: Withdrawal, now: datetime
) -> tuple[int, tuple[str, ...]]:
    """Take back the objects of a study; give how many, and which destinations may have some of them.

    For each of these a task is made that writes and sends the note. What is not stored yet is not sent.
    """
    uids = [
        row.sop_instance_uid
        for row in connection.execute(standing(study_uid, withdrawal.below))
        if withdrawal.of is None or (row.study_version, row.engine) in withdrawal.of
    ]
    reject(connection, study_uid, uids, withdrawal.code, withdrawal.name)
    reached = _reached(connection, study_uid, withdrawal.name)
    _stop(connection, uids, reached, now)
    destinations = sorted({destination for _, destination in reached})
    tasks.add(
        connection,
        [
            NewTask(
                kind=TaskKind.REPORT,
                study_instance_uid=study_uid,
                study_version=withdrawal.version,
                engine=withdrawal.name,
                destination=destination,
                payload={"code": withdrawal.code},
            )
            for destination in destinations
        ],
        now,
    )
    return len(uids), tuple(destinations)


def standing(study_uid: str, below: int | None) -> Select[tuple[str, int, str]]:
    """Objects that nobody rejected, of versions before `below` or of all: UID, version, engine."""
    query = select(_object.c.sop_instance_uid, _object.c.study_version, _object.c.engine).where(
        _object.c.study_instance_uid == study_uid,
        _object.c.engine.not_like(f"{RETRACTION}%"),
        _object.c.sop_instance_uid.not_in(aside(study_uid)),
    )
    return query if below is None else query.where(_object.c.study_version < below)


def _reached(connection: Connection, study_uid: str, name: str) -> set[tuple[str, str]]:
    """Objects and destinations where they may have arrived: also where only the answer was lost."""
    rows = connection.execute(
        select(_delivery.c.sop_instance_uid, _delivery.c.destination)
        .join(_object, _object.c.sop_instance_uid == _delivery.c.sop_instance_uid)
        .join(_rejected, _rejected.c.sop_instance_uid == _delivery.c.sop_instance_uid)
        .where(
            _rejected.c.study_instance_uid == study_uid,
            _rejected.c.note == name,
            deliveries.may_have_arrived(),
        )
    )
    return {(row.sop_instance_uid, row.destination) for row in rows}


def _stop(connection: Connection, uids: Sequence[str], reached: set[tuple[str, str]], now: datetime) -> None:
    """Write that what has not arrived is not sent any more."""
    for uid in uids:
        rows = connection.execute(select(_delivery).where(_delivery.c.sop_instance_uid == uid)).all()
        for row in rows:
            if row.outcome == deliveries.STORED:
                continue
            values: dict[str, Any] = {"text": _WITHDRAWN, "changed_at": now}
            if (uid, row.destination) not in reached:
                values["outcome"] = "refused"
            connection.execute(
                update(_delivery)
                .where(_delivery.c.sop_instance_uid == uid, _delivery.c.destination == row.destination)
                .values(values)
            )


def retract_study(connection: Connection, study_uid: str, version: int, now: datetime) -> None:
    """End all that is under way of a study, but the taking back; what comes later begins a new version."""
    superseding.supersede(connection, study_uid, version + 1, now)
    table = schema.study
    connection.execute(
        update(table)
        .where(table.c.study_instance_uid == study_uid, table.c.complete_at.is_(None))
        .values(complete_at=now, complete_evidence="its results were taken back")
    )


def withdrawn(connection: Connection, study_uid: str, name: str, destination: str) -> list[ObjectRecord]:
    """The objects that a withdrawal takes back at a destination: those that it has, or may have."""
    rows = connection.execute(
        select(_object)
        .join(_rejected, _rejected.c.sop_instance_uid == _object.c.sop_instance_uid)
        .join(_delivery, _delivery.c.sop_instance_uid == _object.c.sop_instance_uid)
        .where(
            _rejected.c.study_instance_uid == study_uid,
            _rejected.c.note == name,
            _delivery.c.destination == destination,
            _delivery.c.outcome != "refused",
        )
        .order_by(_object.c.study_version, _object.c.created_at, _object.c.kind, _object.c.path)
    )
    return [object_record(row) for row in rows]


def aside(study_uid: str) -> Select[tuple[str]]:
    """What is not to be used of a study, as part of a query."""
    return select(_rejected.c.sop_instance_uid).where(_rejected.c.study_instance_uid == study_uid)


def rejected(connection: Connection, study_uid: str) -> dict[str, str]:
    """What is not to be used of a study: SOP Instance UID → code."""
    rows = connection.execute(select(_rejected).where(_rejected.c.study_instance_uid == study_uid))
    return {row.sop_instance_uid: row.code for row in rows}
