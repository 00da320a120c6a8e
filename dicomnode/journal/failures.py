"""Analyses that failed for good: a document says so, until an analysis that works takes its place.

That document is an answer of its own, named as the analysis with `_MARK` behind it, as "lung-ct:failed". So
the answer that takes its place has tasks, Findings and objects of its own, and neither is in the other's way.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Row, select

from dicomnode.faults import IDENTITY_UNSURE, SOURCE_HEADER_WRONG, SOURCES_DISAGREE
from dicomnode.journal import schema
from dicomnode.journal.records import NewTask
from dicomnode.journal.transitions import TaskKind

_MARK: Final = ":failed"  # no name of an engine has a colon, and no number of an analysis is a word
_finding: Final = schema.finding

# It is not known whose the images are: nothing may be said of them, not even this
_NOT_TOLD: Final = frozenset(row.code for row in (SOURCE_HEADER_WRONG, SOURCES_DISAGREE, IDENTITY_UNSURE))


def failure_of(analysis: str) -> str:
    """What the answer is called that says that an analysis failed."""
    return f"{analysis}{_MARK}"


def is_failure(engine: str | None) -> bool:
    """Whether an answer, a task of it or an object says that an analysis failed."""
    return (engine or "").endswith(_MARK)


def analysis_of(engine: str) -> str:
    """The analysis that an answer is of, also where it says that this failed."""
    return engine.removesuffix(_MARK)


def documents(connection: Connection, row: Row[Any], code: str | None) -> list[NewTask]:
    """The task that follows where one needs a person: a report of no destination, which says what failed.

    Of analyses only, and none where there is such a document already. code: why it failed.
    """
    if row.kind != TaskKind.ANALYSE or code in _NOT_TOLD:
        return []
    name = failure_of(row.engine)
    there = select(_finding.c.path).where(
        _finding.c.study_instance_uid == row.study_instance_uid,
        _finding.c.study_version == row.study_version,
        _finding.c.engine == name,
    )
    if connection.execute(there).first() is not None:
        return []
    return [
        NewTask(
            kind=TaskKind.REPORT,
            study_instance_uid=row.study_instance_uid,
            study_version=row.study_version,
            engine=name,
            payload=row.payload,
            priority=row.priority,
            again=True,  # where it came to nothing because a person had the analysis tried again
        )
    ]
