"""The event log: append only, what `why` tells."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from dicomnode.journal import schema
from dicomnode.journal.records import EventRecord, Scalar


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


def of_study(connection: Connection, study_uid: str) -> list[EventRecord]:
    """All that happened to a study, in order."""
    rows = connection.execute(
        select(schema.event).where(schema.event.c.study_instance_uid == study_uid).order_by(schema.event.c.id)
    )
    return [EventRecord(at=row.at, what=row.what, text=row.text, facts=row.facts) for row in rows]
