"""Versions of a study: what begins the next one, whose results were taken back, what stays as it was.

A row of `correction` tells what was put right in a version, or taken back of it. Names of attributes stand
there, never values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from dicomnode.faults import PATIENTS_MIXED
from dicomnode.journal import (
    events,
    feedback,
    instances,
    of_another,
    priors,
    retraction,
    schema,
    sentences,
    studies,
)
from dicomnode.journal.study_state import StudyState
from dicomnode.journal.transitions import TaskKind, TaskState

_correction: Final = schema.correction
_instance: Final = schema.instance
_study: Final = schema.study


class CorrectionKind(StrEnum):
    """What was corrected."""

    HEADER = "header"  # images came again with the same pixels and another header
    REJECTED = "rejected"  # a rejection note sets images aside
    IDENTITY = "identity"  # whose the study is, by HL7
    RETRACTED = "retracted"  # the results of the study were taken back
    SUPERSEDED = "superseded"  # the results of earlier versions were
    ANSWER = "answer"  # the results of some engines were, here or by a note of somebody else
    PRIOR = priors.LOST  # an earlier study that results were made with may not be used any more
    AGAIN = "again"  # nothing: a person has seen that it is right


# Nothing is being made of a study in these
_SETTLED: Final = frozenset(
    {
        StudyState.DONE,
        StudyState.UNCONFIRMED,
        StudyState.REFUSED,
        StudyState.FAILED,
        StudyState.RETRACTED,
    }
)
# What begins a version in which nothing new has come
_BEGINS: Final = (
    CorrectionKind.HEADER,
    CorrectionKind.REJECTED,
    CorrectionKind.IDENTITY,
    CorrectionKind.PRIOR,
)


def reopen(
    connection: Connection, study_uid: str, now: datetime, values: Mapping[str, Any] | None = None
) -> int:
    """Begin the next version of a study that was complete: it is being received again; give the version.

    One that was fetched as a prior stays as it is: nobody analyses it.
    """
    row = locked(connection, study_uid)
    more = {"shortfall": None, **(values or {})}
    if "last_received_at" in more:
        more["last_received_at"] = max(row.last_received_at, more["last_received_at"])
    version: int = row.version
    changed: dict[str, Any] = {}
    if priors.mark(connection, study_uid) is None:
        version, changed = instances.next_version(connection, row, now)
    connection.execute(
        update(_study)
        .where(_study.c.study_instance_uid == study_uid)
        .values({"last_added_at": max(row.last_added_at, now), **changed, **more})
    )
    return version


def left(connection: Connection, study_uid: str) -> int:
    """Instances that are not set aside, beside notes and what else speaks of images."""
    found: int = connection.execute(select(func.count()).where(*_usable(study_uid))).scalar_one()
    return found


def _usable(study_uid: str) -> tuple[ColumnElement[bool], ...]:
    return (
        _instance.c.study_instance_uid == study_uid,
        _instance.c.sop_class_uid.not_in(instances.NO_IMAGES),
        _instance.c.sop_instance_uid.not_in(retraction.aside(study_uid)),
    )


def first_named_another_in(connection: Connection, study_uid: str) -> int:
    """The version in which the first of the images that may be used came to name another patient or order.

    0 where one of them has not. Of versions before that, no image names the one that it named then.
    """
    found: int | None = connection.execute(
        select(func.min(func.coalesce(_instance.c.another_in, 0))).where(*_usable(study_uid))
    ).scalar_one()
    return found or 0


class RejectedAnswer(NamedTuple):
    """By what the results of an analysis were rejected by others, or taken back here. codes: of CID 7010.

    cured: those of the codes that were put right since, by headers that name another one, or by a person.
    """

    codes: frozenset[str]
    cured: frozenset[str]

    @property
    def is_cured(self) -> bool:
        """Whether the same images may be analysed anew."""
        return self.codes <= self.cured

    @property
    def is_anothers(self) -> bool:
        """Whether they are of the wrong patient or order still, whatever else was corrected."""
        return of_another.WRONG_ORDER in self.codes - self.cured


def rejected_answers(connection: Connection, study_uid: str) -> dict[tuple[str, int], RejectedAnswer]:
    """Results that notes of others reject, or that a person took back by engine, by (engine, version).

    Who rejects a part of what an engine says of a study rejects what it says.
    """
    table, made = schema.rejected.c, schema.result_object.c
    same = (table.sop_instance_uid == made.sop_instance_uid) & (
        table.study_instance_uid == made.study_instance_uid
    )
    rows = connection.execute(
        select(made.engine, made.study_version, table.code)
        .join_from(schema.rejected, schema.result_object, same)
        .where(
            made.study_instance_uid == study_uid,
            made.engine.not_like(f"{studies.RETRACTION}%"),
            table.note.not_like(f"{studies.RETRACTION}%"),
        )
    )
    codes: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in rows:
        codes[row.engine, row.study_version].add(row.code)
    finding = schema.finding.c
    taken_back = select(finding.engine, finding.study_version, finding.taken_back).where(
        finding.study_instance_uid == study_uid, finding.taken_back.is_not(None)
    )
    for row in connection.execute(taken_back):
        codes[row.engine, row.study_version].add(row.taken_back)
    cured = of_another.cured_below(connection, study_uid) if codes else 0
    return {
        of: RejectedAnswer(frozenset(found), frozenset({of_another.WRONG_ORDER} if of[1] < cured else ()))
        for of, found in codes.items()
    }


def is_of_another(connection: Connection, study_uid: str) -> bool:
    """Whether a study, or an answer to it, is of the wrong patient or order still: then it is no prior."""
    answers = rejected_answers(connection, study_uid).values()
    return of_another.since(connection, study_uid) is not None or any(one.is_anothers for one in answers)


def must_be_of_one(connection: Connection, study_uid: str) -> bool:
    """Whether images of more than one patient or order hold a study: something of it was of another once.

    Not where a person has said since that it is right, and no image has come or was corrected after that.
    """
    answers = rejected_answers(connection, study_uid).values()
    if not of_another.was(connection, study_uid) and not any(
        of_another.WRONG_ORDER in one.codes for one in answers
    ):
        return False
    query = select(_correction).where(_correction.c.study_instance_uid == study_uid)
    said = connection.execute(
        query.where(_correction.c.kind == CorrectionKind.AGAIN).order_by(_correction.c.id.desc()).limit(1)
    ).first()
    if said is None:
        return True
    corrected = query.where(_correction.c.kind == CorrectionKind.HEADER, _correction.c.id > said.id)
    came = select(_instance.c.sop_instance_uid).where(
        *_usable(study_uid), _instance.c.study_version >= said.study_version
    )
    return any(connection.execute(one.limit(1)).first() is not None for one in (corrected, came))


def reanalyse(connection: Connection, study_uid: str, by: str, now: datetime) -> int | None:
    """Begin the next version of a study whose results were taken back, as a person wishes; give the version.

    None where its results stand, or are being made; where it has no image that may be used; and of one that
    was fetched as a prior. by: who says so, for the audit.
    """
    row = locked(connection, study_uid)
    codes = _withheld_as(connection, study_uid, row.version)
    if not codes or row.state not in _SETTLED or not left(connection, study_uid):
        return None
    if priors.mark(connection, study_uid) is not None:
        return None
    version = reopen(connection, study_uid, now)
    add(connection, study_uid, version, now, kind=CorrectionKind.AGAIN, cures_below=version)
    code = ", ".join(codes)
    events.append(
        connection, study_uid, now, "study.reanalysed", sentences.reanalysed(by, code, version),
        version=version, code=code, by=by,
    )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    return version


def _withheld_as(connection: Connection, study_uid: str, version: int) -> list[str]:
    """Codes for which a study is not analysed, or an engine not asked again; none: its results stand.

    Of answers that were rejected, those count in whose place this version has no answer that stands.
    """
    codes = set(studies.taken_back_as(connection, study_uid, version))
    rejected = rejected_answers(connection, study_uid)
    standing = {
        row.engine
        for row in connection.execute(retraction.standing(study_uid, None))
        if row.study_version == version
    }
    for (engine, of), answer in rejected.items():
        if (engine, version) in rejected or (of < version and engine not in standing):
            codes |= answer.codes
    if _is_mixed(connection, study_uid, version):
        codes.add(of_another.WRONG_ORDER)
    return sorted(codes)


def _is_mixed(connection: Connection, study_uid: str, version: int) -> bool:
    """Whether a version is held since its images are of more than one patient or order."""
    task = schema.task.c
    held = select(task.id).where(
        task.study_instance_uid == study_uid,
        task.study_version == version,
        task.kind == TaskKind.DISPATCH,
        task.state == TaskState.PARKED,
        task.error_code == PATIENTS_MIXED.code,
    )
    return connection.execute(held).first() is not None


def carry_on(connection: Connection, study_uid: str, now: datetime) -> bool:
    """Take an open version back too where the study is of the wrong patient or order still; tell whether.

    Earlier releases began such versions; none is begun any more.
    """
    if of_another.since(connection, study_uid) is None:
        return False
    version: int = locked(connection, study_uid).version
    if not studies.is_retracted(connection, study_uid, version):
        retraction.retract_study(connection, study_uid, version, now)
        add(
            connection, study_uid, version, now,
            kind=CorrectionKind.RETRACTED, code=of_another.WRONG_ORDER,
        )  # fmt: skip
    studies.settle_state(connection, study_uid, now)
    return True


def same_images_since(connection: Connection, study_uid: str, version: int) -> int:
    """The first version whose images an engine cannot tell from those of `version`.

    Between the two, nothing came or went, all that was corrected says whose the images are, and no result
    was taken back as wrong.
    """
    first = version
    while first > 1:
        of = _begun_by(connection, study_uid, first)
        taken_back = studies.is_retracted(connection, study_uid, first - 1)
        if not of or not all(is_renaming for _, is_renaming in of) or taken_back:
            return first
        first -= 1
    return first


def _begun_by(connection: Connection, study_uid: str, version: int) -> list[tuple[str, bool]]:
    """What began a version: kinds of corrections, whether these only rename; none: images or a person."""
    came = connection.execute(
        select(func.count()).where(
            _instance.c.study_instance_uid == study_uid,
            _instance.c.study_version == version,
            _instance.c.sop_class_uid.not_in(feedback.ANNOTATIONS),
            _instance.c.sop_instance_uid.not_in(retraction.aside(study_uid)),
        )
    ).scalar_one()
    if came:
        return []
    rows = connection.execute(
        select(_correction.c.kind, _correction.c.is_renaming).where(
            _correction.c.study_instance_uid == study_uid,
            _correction.c.study_version == version,
            _correction.c.kind.in_(_BEGINS),
        )
    )
    return [(row.kind, row.is_renaming) for row in rows]


def locked(connection: Connection, study_uid: str) -> Row[Any]:
    """The row of a study, which nobody else changes before the end of the transaction."""
    return connection.execute(
        select(_study).where(_study.c.study_instance_uid == study_uid).with_for_update()
    ).one()


def add(connection: Connection, study_uid: str, version: int, now: datetime, **values: Any) -> int:
    """Write a correction; give its number."""
    row = {
        "keywords": [],
        "is_renaming": False,
        "path": "",
        "code": "",
        "anew": [],
        "cures_below": 0,
        **values,
    }
    done = connection.execute(
        insert(_correction).values(study_instance_uid=study_uid, study_version=version, at=now, **row)
    )
    key: Any = done.inserted_primary_key
    return int(key[0])
