"""Notices: from files of the store to rows of the journal, as ingest does it with instances."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

import structlog

from dicomnode.faults import NOTICE_UNREADABLE
from dicomnode.journal import Journal, Notice, NoticeKind, Reference, ReportState
from dicomnode.store import Store

log = structlog.get_logger("dicomnode.serve")

_GROUP: Final = 50
_SCHEMA: Final = 1
_COMMITTED: Final = "committed"  # an answer about storage commitment, as the receiver writes it


def take_notices(store: Store, journal: Journal, now: datetime) -> int:
    """Enter the notices that wait; give how many.

    A crash at any line is harmless: a file leaves only after its row is committed, and a row is made once.
    Raises NodeError when disk or journal fail.
    """
    waiting = store.notices(_GROUP)
    notices: list[Notice] = []
    for name, content in waiting:
        answer = _answer(content)
        if answer is not None:
            journal.answer_commitment(*answer, now)  # one that nobody asked for says nothing
            store.settle_notices([name])
            continue
        notice = _read(name, content)
        if notice is None:
            path = store.quarantine_notice(name, NOTICE_UNREADABLE.code)
            log.error("notice.quarantined", code=NOTICE_UNREADABLE.code, path=path.name)
        else:
            notices.append(notice)
    if notices:
        journal.add_notices(notices, now)
        store.settle_notices(notice.name for notice in notices)
    return len(waiting)


def _answer(content: bytes) -> tuple[str, list[str], dict[str, int]] | None:
    """An answer about storage commitment: transaction, what is committed, what failed; None if it is none."""
    try:
        said = json.loads(content)
        if (said["schema"], said["kind"]) != (_SCHEMA, _COMMITTED):
            return None
        failed = {str(uid): int(reason) for uid, reason in said["failed"].items()}
        return str(said["uid"]), [str(uid) for uid, _ in said["references"]], failed
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _read(name: str, content: bytes) -> Notice | None:
    """A notice from its file, which the receiver wrote; None if that is damaged."""
    try:
        said = json.loads(content)
        if said["schema"] != _SCHEMA:
            return None
        kind = NoticeKind(said["kind"])
        return Notice(
            name=name,
            kind=kind,
            uid=said["uid"],
            study_instance_uid=said["study_instance_uid"],
            status=said["status"],
            calling_ae=said["calling_ae"],
            address=said["address"],
            received_at=datetime.fromisoformat(said["received_at"]),
            references=tuple(Reference(uid, sop_class) for uid, sop_class in said["references"]),
            report=ReportState.WANTED if kind is NoticeKind.COMMITMENT else ReportState.NONE,
        )
    except (ValueError, KeyError, TypeError):
        return None
