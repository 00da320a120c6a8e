"""Notices: what others say of studies without being asked; a study that they name need not have come yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, func, insert, or_, select, update

from dicomnode.journal import events, retraction, schema, sentences

_notice: Final = schema.notice
_reference: Final = schema.notice_reference
_instance: Final = schema.instance
_GROUP: Final = 500  # variables of one statement


class NoticeKind(StrEnum):
    """What a notice is; the words are those of `EvidenceKind`."""

    STEP = "step"  # Modality Performed Procedure Step, N-CREATE or N-SET (PS3.4 F.7)
    COMMITMENT = "commitment"  # storage commitment request, N-ACTION (PS3.4 J.3.2)
    AVAILABILITY = "availability"  # Instance Availability Notification, N-CREATE (PS3.4 R.3.2)


class ReportState(StrEnum):
    """Whether the sender of a commitment request was told what is committed."""

    NONE = "none"  # nobody is to be told
    WANTED = "wanted"
    SENT = "sent"
    GIVEN_UP = "given_up"


class Reference(NamedTuple):
    """An instance that a notice names."""

    sop_instance_uid: str
    sop_class_uid: str


class Holding(NamedTuple):
    """A copy of an instance in the store. digest: as `Instance.digest`."""

    sop_class_uid: str
    path: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice as it came.

    name: of its file in the store; the same one twice is one notice. uid: SOP Instance UID of the step or the
    notification, Transaction UID of the request. study_instance_uid: empty where it does not say. status: of
    the step ("IN PROGRESS", "COMPLETED", "DISCONTINUED"), else empty.
    """

    name: str
    kind: NoticeKind
    uid: str
    study_instance_uid: str
    status: str
    calling_ae: str
    address: str
    received_at: datetime
    references: tuple[Reference, ...]
    report: ReportState = ReportState.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What all notices of one step, request or notification say of a study together.

    expected: how many instances they name; here: how many of these the study has. status: the latest one.
    """

    kind: NoticeKind
    uid: str
    source: str
    status: str
    expected: int
    here: int
    found_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A commitment request that is to be answered. attempt: how often that was tried."""

    name: str
    transaction_uid: str
    calling_ae: str
    address: str
    attempt: int
    references: tuple[Reference, ...]


def add(connection: Connection, items: Iterable[Notice], now: datetime) -> None:
    """Enter notices; those known already change nothing."""
    for item in items:
        known = connection.execute(select(_notice.c.name).where(_notice.c.name == item.name)).first()
        if known is None:
            _enter(connection, item, now)


def _enter(connection: Connection, item: Notice, now: datetime) -> None:
    study_uid = item.study_instance_uid or _study_of_step(connection, item)
    connection.execute(
        insert(_notice).values(
            name=item.name,
            kind=item.kind,
            uid=item.uid,
            study_instance_uid=study_uid,
            status=item.status,
            calling_ae=item.calling_ae,
            address=item.address,
            received_at=item.received_at,
            report=item.report,
            report_attempt=0,
            report_at=now,
        )
    )
    rows = {one.sop_instance_uid: one.sop_class_uid for one in item.references}
    if rows:
        values = [
            {"name": item.name, "sop_instance_uid": uid, "sop_class_uid": sop_class}
            for uid, sop_class in rows.items()
        ]
        connection.execute(insert(_reference), values)
    if study_uid:
        # An N-SET that overtook its N-CREATE did not know the study
        connection.execute(
            update(_notice)
            .where(*_same(item), _notice.c.study_instance_uid == "")
            .values(study_instance_uid=study_uid)
        )
        _tell(connection, item, study_uid, now)


def _same(item: Notice) -> tuple[Any, ...]:
    return (
        _notice.c.kind == item.kind,
        _notice.c.uid == item.uid,
        _notice.c.calling_ae == item.calling_ae,
    )


def _study_of_step(connection: Connection, item: Notice) -> str:
    """The study that an earlier notice of the same step named."""
    found = connection.execute(
        select(_notice.c.study_instance_uid).where(*_same(item), _notice.c.study_instance_uid != "")
    ).scalar()
    return found or ""


def _tell(connection: Connection, item: Notice, study_uid: str, now: datetime) -> None:
    """Put the notice into the story of its study, if that has begun."""
    there = connection.execute(
        select(schema.study.c.version).where(schema.study.c.study_instance_uid == study_uid)
    ).scalar()
    if there is not None:
        text = sentences.notice(item.kind, item.calling_ae, item.status, len(item.references))
        events.append(
            connection, study_uid, now, f"notice.{item.kind}", text, uid=item.uid, status=item.status or None
        )


def of_study(connection: Connection, study_uid: str) -> list[Said]:
    """What notices say of a study: those that name it, and requests that name instances of it alone."""
    instances = select(_instance.c.sop_instance_uid).where(_instance.c.study_instance_uid == study_uid)
    naming = select(_reference.c.name).where(_reference.c.sop_instance_uid.in_(instances))
    rows = connection.execute(
        select(_notice)
        .where(
            or_(
                _notice.c.study_instance_uid == study_uid,
                (_notice.c.kind == NoticeKind.COMMITMENT) & _notice.c.name.in_(naming),
            )
        )
        .order_by(_notice.c.received_at, _notice.c.name)
    ).all()
    groups: dict[tuple[str, str, str], list[Row[Any]]] = {}
    for row in rows:
        groups.setdefault((row.kind, row.uid, row.calling_ae), []).append(row)
    found = [_said(connection, study_uid, group) for group in groups.values()]
    return [one for one in found if one is not None]


def unnamed(connection: Connection, study_uid: str) -> int:
    """Count the images of a study here that no notice names."""
    named = select(_reference.c.name).where(_reference.c.sop_instance_uid == _instance.c.sop_instance_uid)
    found: int = connection.execute(
        select(func.count())
        .select_from(_instance)
        .where(
            _instance.c.study_instance_uid == study_uid,
            _instance.c.sop_instance_uid.not_in(retraction.aside(study_uid)),
            ~named.exists(),
        )
    ).scalar_one()
    return found


def _own(study_uid: str) -> Select[tuple[str]]:
    """What the node made of a study: an archive announces that, too, and it is no image of it."""
    made = schema.result_object.c
    return select(made.sop_instance_uid).where(made.study_instance_uid == study_uid)


def _said(connection: Connection, study_uid: str, rows: Sequence[Row[Any]]) -> Said | None:
    """Count what the notices of one step, request or notification name; None if that says nothing of it."""
    names = [row.name for row in rows]
    named = (
        select(_reference.c.sop_instance_uid)
        .where(
            _reference.c.name.in_(names),
            _reference.c.sop_instance_uid.not_in(retraction.aside(study_uid)),
            _reference.c.sop_instance_uid.not_in(_own(study_uid)),
        )
        .distinct()
        .subquery()
    )
    of = _instance.c.study_instance_uid
    here = connection.execute(
        select(func.count())
        .select_from(named.join(_instance, _instance.c.sop_instance_uid == named.c.sop_instance_uid))
        .where(of == study_uid)
    ).scalar_one()
    expected = connection.execute(select(func.count()).select_from(named)).scalar_one()
    last = rows[-1]
    if not last.study_instance_uid:
        # A request names no study: what it names of another one is not missing here
        known = connection.execute(
            select(func.count(_instance.c.sop_instance_uid.distinct())).where(
                _instance.c.sop_instance_uid.in_(select(named.c.sop_instance_uid)), of != study_uid
            )
        ).scalar_one()
        if known:
            return None
    return Said(
        kind=NoticeKind(last.kind),
        uid=last.uid,
        source=last.calling_ae,
        status=next((row.status for row in reversed(rows) if row.status), ""),
        expected=expected,
        here=here,
        found_at=last.received_at,
    )


def due(connection: Connection, now: datetime) -> Commitment | None:
    """The oldest commitment request whose time to be answered has come."""
    row = connection.execute(
        select(_notice)
        .where(_notice.c.report == ReportState.WANTED, _notice.c.report_at <= now)
        .order_by(_notice.c.report_at, _notice.c.name)
        .limit(1)
    ).first()
    if row is None:
        return None
    references = connection.execute(
        select(_reference).where(_reference.c.name == row.name).order_by(_reference.c.sop_instance_uid)
    )
    return Commitment(
        name=row.name,
        transaction_uid=row.uid,
        calling_ae=row.calling_ae,
        address=row.address,
        attempt=row.report_attempt,
        references=tuple(Reference(one.sop_instance_uid, one.sop_class_uid) for one in references),
    )


def reported(connection: Connection, name: str, state: ReportState, now: datetime, wait: timedelta) -> None:
    """Write how telling the sender went; WANTED: it is tried again after `wait`."""
    connection.execute(
        update(_notice)
        .where(_notice.c.name == name)
        .values(report=state, report_at=now + wait, report_attempt=_notice.c.report_attempt + 1)
    )


def holdings(connection: Connection, uids: Sequence[str]) -> dict[str, list[Holding]]:
    """The copies of instances that are here, by SOP Instance UID."""
    found: dict[str, list[Holding]] = {}
    for start in range(0, len(uids), _GROUP):
        rows = connection.execute(
            select(_instance).where(_instance.c.sop_instance_uid.in_(uids[start : start + _GROUP]))
        )
        for row in rows:
            copies = found.setdefault(row.sop_instance_uid, [])
            copies.append(Holding(row.sop_class_uid, Path(row.path), row.digest))
    return found


def forget(connection: Connection, before: datetime) -> None:
    """Take away notices that came before then and that nobody is to be told of."""
    old = select(_notice.c.name).where(_notice.c.received_at < before, _notice.c.report != ReportState.WANTED)
    connection.execute(_reference.delete().where(_reference.c.name.in_(old)))
    connection.execute(
        _notice.delete().where(_notice.c.received_at < before, _notice.c.report != ReportState.WANTED)
    )
