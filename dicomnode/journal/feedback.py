"""What doctors said of our findings: one row a finding and object of theirs; never who said it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, insert, select

from dicomnode.journal import events, schema, sentences, tasks
from dicomnode.journal.records import NewTask, Note, TaskRecord
from dicomnode.journal.transitions import TaskKind

_feedback: Final = schema.feedback
_act: Final = schema.act

# Key in the payload of a FEEDBACK task: the object that came
OBJECT: Final = "sop_instance_uid"

# In place of the UID of their object: somebody said it without one, by a command or on a page
BY_HAND: Final = "by hand"
COMMENT: Final = "comment"  # key in the facts of the event that tells of it

# SEG, Label Map Segmentation, RT Structure Set, and the structured reports of PS3.4 Table B.5-1: they speak
# of images and are none, so an engine has nothing new to look at when one comes
ANNOTATIONS: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.66.7",
        "1.2.840.10008.5.1.4.1.1.481.3",
        "1.2.840.10008.5.1.4.1.1.88.11",  # Basic Text SR
        "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
        "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.88.35",  # Extensible SR
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRecord:
    """What an object of somebody else says of one finding.

    engine: its name. engine_digest: SHA-256 of its package. study_version: of ours that it speaks of.
    their_uid, their_class_uid: of the object; BY_HAND and "" where there is none. finding: names the finding
    for good (see `Judgement`). kind: accepted, changed, rejected or missed. object_uid, tracking_uid: of
    ours; None of what we missed. dice: None where no outlines are compared. difference_ml: theirs less ours.
    recognised_by: a word. at: when the object came, or it was said. verified: it is a report that is
    VERIFIED. Who it was is not kept.
    """

    study_instance_uid: str
    study_version: int
    engine: str
    engine_version: str
    engine_digest: str
    their_uid: str
    their_class_uid: str
    finding: str
    label: str
    kind: str
    recognised_by: str
    at: datetime
    object_uid: str | None = None
    tracking_uid: str | None = None
    dice: float | None = None
    difference_ml: float | None = None
    verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackQuery:
    """Which feedback is meant; None: any. since: objects that came then or later."""

    engine: str | None = None
    since: datetime | None = None
    study_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person did that concerns no study. engine: of which engine, "" of none."""

    at: datetime
    what: str
    engine: str
    text: str


def write(connection: Connection, task: TaskRecord, records: Iterable[FeedbackRecord]) -> None:
    """Write what an object says, as it was read last: what was read of it before goes. task: that read it."""
    connection.execute(
        delete(_feedback).where(
            _feedback.c.their_uid == str(task.payload[OBJECT]),
            _feedback.c.study_instance_uid == task.study_instance_uid,
        )
    )
    first = {(one.their_uid, one.engine, one.finding): one for one in reversed(list(records))}
    for one in first.values():
        values = {name: getattr(one, name) for name in FeedbackRecord.__slots__}
        connection.execute(insert(_feedback).values(values))


def answer(connection: Connection, records: Sequence[FeedbackRecord], note: Note, now: datetime) -> int:
    """Write what a person says without an object; give how many of the records say something new.

    records: of one study, BY_HAND; of each finding the last one stands alone. note: into the story of the
    study, where something is new, or the same is said with another comment.
    """
    new = [one for one in records if not _stands(connection, one)]
    for one in new:
        connection.execute(delete(_feedback).where(*_key(one)))
        values = {name: getattr(one, name) for name in FeedbackRecord.__slots__}
        connection.execute(insert(_feedback).values(values))
    study_uid = records[0].study_instance_uid
    told = [event.facts for event in events.of_study(connection, study_uid) if event.what == note.what]
    facts = {name: value for name, value in note.facts.items() if value is not None}
    if new or (facts.get(COMMENT) and facts not in told[-1:]):
        events.append(connection, study_uid, now, note.what, note.text, **facts)
    return len(new)


def _stands(connection: Connection, one: FeedbackRecord) -> bool:
    """Whether this is the last that was said of the finding, and was said without an object."""
    query = FeedbackQuery(engine=one.engine, study_instance_uid=one.study_instance_uid)
    said = [before for before in find(connection, query) if before.finding == one.finding]
    return bool(said) and _what(said[-1]) == _what(one)


def _what(one: FeedbackRecord) -> tuple[str, str, int, str]:
    return one.their_uid, one.kind, one.study_version, one.engine_digest


def _key(one: FeedbackRecord) -> list[ColumnElement[bool]]:
    names = ("study_instance_uid", "their_uid", "engine", "finding")
    return [_feedback.c[name] == getattr(one, name) for name in names]


def find(connection: Connection, query: FeedbackQuery) -> list[FeedbackRecord]:
    """Feedback, the oldest first; without that of objects that a note has rejected since."""
    table, rejected = _feedback.c, schema.rejected.c
    is_rejected = exists().where(
        rejected.study_instance_uid == table.study_instance_uid,
        rejected.sop_instance_uid == table.their_uid,
    )
    wanted = (
        select(_feedback)
        .where(~is_rejected)
        .order_by(table.at, table.their_uid, table.engine, table.finding, table.study_instance_uid)
    )
    if query.engine is not None:
        wanted = wanted.where(table.engine == query.engine)
    if query.since is not None:
        wanted = wanted.where(table.at >= query.since)
    if query.study_instance_uid is not None:
        wanted = wanted.where(table.study_instance_uid == query.study_instance_uid)
    return [_record(row) for row in connection.execute(wanted)]


def _record(row: Row[Any]) -> FeedbackRecord:
    return FeedbackRecord(**{name: getattr(row, name) for name in FeedbackRecord.__slots__})


def ask(
    connection: Connection, study_uid: str, version: int, came: Iterable[tuple[str, str]], now: datetime
) -> None:
    """Make a task for each object that came after our results, which finds out whether it speaks of them.

    came: SOP Instance UID and SOP Class UID of what is new in the study, or is another than it was.
    """
    objects = [uid for uid, sop_class in came if sop_class in ANNOTATIONS]
    if not objects or not _has_results(connection, study_uid):
        return
    wanted = [
        NewTask(
            kind=TaskKind.FEEDBACK,
            study_instance_uid=study_uid,
            study_version=version,
            engine=uid,  # one task an object: what tells tasks of a study version apart
            payload={OBJECT: uid},
            again=True,
        )
        for uid in objects
    ]
    tasks.add(connection, wanted, now)
    events.append(
        connection, study_uid, now, "annotations.came", sentences.annotations_came(len(objects)),
        instances=len(objects),
    )  # fmt: skip


def _has_results(connection: Connection, study_uid: str) -> bool:
    made = schema.result_object.c
    query = select(made.sop_instance_uid).where(made.study_instance_uid == study_uid).limit(1)
    return connection.execute(query).first() is not None


def add_act(connection: Connection, act: Act) -> None:
    """Write what a person did; append only."""
    connection.execute(insert(_act).values(at=act.at, what=act.what, engine=act.engine, text=act.text))


def acts(connection: Connection) -> list[Act]:
    """What persons did, in order."""
    rows = connection.execute(select(_act).order_by(_act.c.id))
    return [Act(at=row.at, what=row.what, engine=row.engine, text=row.text) for row in rows]
