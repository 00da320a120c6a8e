"""The event log: append only, what `why` tells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, insert, select

from dicomnode.journal import schema
from dicomnode.journal.records import EventRecord, Note, Scalar


def append(
    connection: Connection, study_uid: str, now: datetime, what: str, text: str, **facts: Scalar
) -> None:
    """Write one event; facts without a value are left out."""
    connection.execute(
        insert(schema.event).values(
            at=now,
            study_instance_uid=study_uid,
            what=what,
            text=text,
            facts={name: value for name, value in facts.items() if value is not None},
        )
    )


def append_once(connection: Connection, notes: Iterable[tuple[str, Note]], now: datetime) -> None:
    """Write notes of studies, each unless the study has one with the same word and facts."""
    by_study: dict[str, list[Note]] = defaultdict(list)
    for study_uid, note in notes:
        by_study[study_uid].append(note)
    for study_uid, of_one in by_study.items():
        table = schema.event.c
        query = select(schema.event).where(
            table.study_instance_uid == study_uid, table.what.in_({note.what for note in of_one})
        )
        written = [(row.what, row.facts) for row in connection.execute(query)]
        for note in of_one:
            facts = {name: value for name, value in note.facts.items() if value is not None}
            if (note.what, facts) not in written:
                written.append((note.what, facts))
                append(connection, study_uid, now, note.what, note.text, **facts)


def of_study(connection: Connection, study_uid: str) -> list[EventRecord]:
    """All that happened to a study, in order."""
    rows = connection.execute(
        select(schema.event).where(schema.event.c.study_instance_uid == study_uid).order_by(schema.event.c.id)
    )
    return [EventRecord(at=row.at, what=row.what, text=row.text, facts=row.facts) for row in rows]
