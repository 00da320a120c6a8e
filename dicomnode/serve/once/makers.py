"""Makers: which package of an engine made the Findings of journals that did not write it down yet."""

from __future__ import annotations

from collections.abc import Callable

from dicomnode.faults import NodeError
from dicomnode.journal import AnswerKey, AnswerQuery, FindingRecord, Journal, Maker
from dicomnode.store import read_provenance

_AT_ONCE = 200


def learn_makers(
    journal: Journal, query: AnswerQuery, progress: Callable[[int, int], None]
) -> list[tuple[str, FindingRecord, NodeError]]:
    """Read the files of Findings that a query may mean, and write into the journal which packages made them.

    It may be ended at any time and done again: what was read stays known. progress: files read, of how many.
    Gives what could not be read, and why: whether the query means it is not known.
    """
    waiting = journal.findings_without_maker(query)
    unreadable: list[tuple[str, FindingRecord, NodeError]] = []
    for start in range(0, len(waiting), _AT_ONCE):
        found: dict[tuple[str, AnswerKey], Maker] = {}
        for study_uid, record in waiting[start : start + _AT_ONCE]:
            try:
                made_by = read_provenance(record.path)
            except NodeError as error:
                unreadable.append((study_uid, record, error))
                continue
            key = AnswerKey(record.study_version, record.engine)
            found[study_uid, key] = Maker(made_by.version, made_by.engine_digest)
        journal.note_makers(found)
        progress(min(start + _AT_ONCE, len(waiting)), len(waiting))
    return unreadable
