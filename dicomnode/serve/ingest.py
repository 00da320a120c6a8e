"""Ingest: from sealed files to rows of the journal. The file is the truth, the row can be made again."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import structlog

from dicomnode.faults import DUPLICATE_CONFLICT, STORE_WRITE_FAILED, NodeError
from dicomnode.journal import Journal
from dicomnode.store import InstanceIds, SealedFile, Store, read_ids

log = structlog.get_logger("dicomnode.serve")

# One transaction for so many instances: a commit is a flush, a row is nothing
_GROUP: Final = 200


def ingest(store: Store, journal: Journal, now: datetime) -> int:
    """Enter what waits in `incoming/`; give the number of files taken.

    A crash at any line is harmless: a file leaves `incoming/` only after its row is committed, and both
    `adopt` and the rows are idempotent. Raises NodeError when disk or journal
    fail: all that waited still waits.
    """
    waiting = store.sealed(limit=_GROUP)
    readable = [(sealed, ids) for sealed in waiting if (ids := _ids(store, sealed)) is not None]
    adoptions = store.adopt_all(readable)
    for (sealed, ids), adoption in zip(readable, adoptions, strict=True):
        if adoption.outcome == "conflict":
            log.error(
                "instance.conflict",
                code=DUPLICATE_CONFLICT.code,
                sop_instance_uid=ids.sop_instance_uid,
                study=ids.study_instance_uid,
                calling_ae=sealed.sender.calling_ae,
            )
    if readable:
        instances = [adoption.instance for adoption in adoptions]
        journal.add_instances(list(zip(instances, (ids for _, ids in readable), strict=True)), now)
        store.settle(*(sealed for sealed, _ in readable))
    return len(waiting)


def _ids(store: Store, sealed: SealedFile) -> InstanceIds | None:
    try:
        return read_ids(sealed.path)
    except NodeError as error:
        if error.fault is STORE_WRITE_FAILED:
            raise  # the disk did not give it: that says nothing about the instance
        path = store.quarantine(sealed.path, error.fault.code)
        log.error(
            "instance.quarantined",
            code=error.fault.code,
            path=path.name,
            calling_ae=sealed.sender.calling_ae,
        )
        return None
