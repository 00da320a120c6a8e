"""Ingest: from sealed files to rows of the journal. The file is the truth, the row can be made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from dicomnode.faults import DUPLICATE_CONFLICT, STORE_WRITE_FAILED, WAITS_FOR_ANOTHER, NodeError
from dicomnode.journal import NO_IMAGES, Arrival, Journal, Note
from dicomnode.serve.intake.corrections import corrections_of, outdated_notes, replaced_id_notes, told
from dicomnode.serve.logs import fault_facts
from dicomnode.store import Adoption, InstanceIds, SealedFile, Store, read_ids

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
    if readable:
        instances = [adoption.instance for adoption in adoptions]
        entries = list(zip(instances, (ids for _, ids in readable), strict=True))
        adopted = [(adoption, ids) for adoption, (_, ids) in zip(adoptions, readable, strict=True)]
        corrections, unreadable = corrections_of(adopted, store, journal)
        again = [*outdated_notes(adoptions), *replaced_id_notes(adoptions, journal)]
        notes = [*_conflicts(adoptions), *again, *unreadable]
        journal.add_instances(entries, now, notes, corrections, _arrivals(readable))
        _warn_of_waiting(adoptions, journal)
        store.settle(*(sealed for sealed, _ in readable))
    return len(waiting)


def _warn_of_waiting(adoptions: Sequence[Adoption], journal: Journal) -> None:
    """Say in the log of what something came that waits for the right patient or order, or a person."""
    came = {one.instance.study_instance_uid for one in adoptions if one.outcome in ("new", "corrected")}
    for study_uid in sorted(came):
        if journal.of_another_since(study_uid) is not None:
            log.warning(
                "study.stays_taken_back", study=study_uid, **fault_facts(NodeError(WAITS_FOR_ANOTHER))
            )


def _arrivals(readable: Sequence[tuple[SealedFile, InstanceIds]]) -> list[Arrival]:
    """Say who sent what: of an image that was here already, the file that is kept says who sent it first.

    A note, a segmentation or a report is none: nobody sends a study for it to be analysed by that.
    """
    return [
        Arrival(ids.study_instance_uid, sealed.sender, sealed.received_at)
        for sealed, ids in readable
        if ids.sop_class_uid not in NO_IMAGES
    ]


def _conflicts(adoptions: Sequence[Adoption]) -> list[tuple[str, Note]]:
    """Tell what came with another content than before: the log in one line a study, the study in a note each.

    A sender that repeats itself makes no more notes: the same content lies at the same path.
    """
    notes = [
        (
            adoption.instance.study_instance_uid,
            Note(
                what="instance.conflict",
                text=told(DUPLICATE_CONFLICT, adoption.instance.sop_instance_uid),
                facts={
                    "code": DUPLICATE_CONFLICT.code,
                    "sop_instance_uid": adoption.instance.sop_instance_uid,
                    "path": str(adoption.quarantined),
                },
            ),
        )
        for adoption in adoptions
        if adoption.outcome == "conflict"
    ]
    for study, count in Counter(study for study, _ in notes).items():
        log.error("instance.conflict", code=DUPLICATE_CONFLICT.code, study=study, count=count)
    return notes


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
