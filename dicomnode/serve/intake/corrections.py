"""What ingest does with corrected images and rejection notes: from files to what the journal shall know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import structlog

from dicomnode.faults import (
    CORRECTION_OUTDATED,
    REJECTION_NOTE_UNREADABLE,
    REPLACED_ID_CAME,
    STORE_WRITE_FAILED,
    Fault,
    NodeError,
)
from dicomnode.journal import KEY_OBJECTS, Correction, HeaderCorrection, Journal, Note, RejectionNote
from dicomnode.journal.records import Scalar
from dicomnode.serve.identity.as_told import Told, newest_told
from dicomnode.store import Adoption, InstanceIds, Store
from dicomnode.store.adoption import mark_of
from dicomnode.store.likeness import Difference
from dicomnode.values import Instance, is_valid_uid
from dicomnode.values.rejection import REJECTIONS

log = structlog.get_logger("dicomnode.serve")


def corrections_of(
    adoptions: Sequence[tuple[Adoption, InstanceIds]], store: Store, journal: Journal
) -> tuple[list[Correction], list[tuple[str, Note]]]:
    """Say what the journal shall know of corrected headers and rejected images, and what cannot be read.

    Raises NodeError: STORE_WRITE_FAILED where the disk does not give a file, JOURNAL_FAILED.
    """
    found: list[Correction] = list(_headers(adoptions, store, journal))
    notes: list[tuple[str, Note]] = []
    for adoption, ids in adoptions:
        # A corrected one too: that the journal knows what it was before is not known here
        if ids.sop_class_uid == KEY_OBJECTS and adoption.outcome != "conflict":
            try:
                found += read_rejections(adoption.instance.path)
            except NodeError as error:
                if error.fault is not REJECTION_NOTE_UNREADABLE:
                    raise
                notes.append((adoption.instance.study_instance_uid, _unreadable(adoption, error)))
    return found, notes


def _headers(
    adoptions: Sequence[tuple[Adoption, InstanceIds]], store: Store, journal: Journal
) -> Iterator[HeaderCorrection]:
    """Compare what is corrected with what the journal knows, as it may have been corrected several times.

    The journal hears of a group at once, and of one that a crash kept from it together with what came after.
    """
    first = {_key(adoption): mark_of(adoption.instance) for adoption, _ in reversed(adoptions)}
    last = {_key(adoption): (adoption, ids) for adoption, ids in adoptions if adoption.change is not None}
    marks = {study_uid: journal.marks(study_uid) for study_uid in {study_uid for study_uid, _ in last}}
    told_of = {study_uid: newest_told(study_uid, journal) for study_uid in marks}
    for (study_uid, uid), (adoption, ids) in last.items():
        change = adoption.change
        mark = marks[study_uid].get(uid, first[study_uid, uid])
        if change is None or mark == mark_of(adoption.instance):
            continue  # the journal has it already
        is_further = mark != adoption.replaced
        told = told_of[study_uid]
        then = store.file_then(adoption.instance, mark) if is_further or told.of else None
        if is_further:
            since = None if then is None else store.change_since(adoption.instance, then)
            # Where it is not in the history, an engine may have seen what it was
            change = since or Difference(is_correction=True, keywords=change.keywords)
        follows = told.followed_by(adoption.instance, then)
        named = change.of_another
        yield HeaderCorrection(
            instance=adoption.instance,
            ids=ids,
            keywords=change.keywords,
            is_renaming=change.is_renaming,
            added=change.added,
            of_another=named,
            returns=bool(named) and store.never_before(adoption.instance, named, mark) != named,
            as_told=follows.as_told,
            undoes=follows.undoes,
        )


def _key(adoption: Adoption) -> tuple[str, str]:
    return adoption.instance.study_instance_uid, adoption.instance.sop_instance_uid


def outdated_notes(adoptions: Iterable[Adoption]) -> list[tuple[str, Note]]:
    """Tell of images that came as they were before their correction: one note an image, however often."""
    return [
        (
            adoption.instance.study_instance_uid,
            Note(
                what="instance.outdated",
                text=told(CORRECTION_OUTDATED, adoption.instance.sop_instance_uid),
                facts={
                    "code": CORRECTION_OUTDATED.code,
                    "sop_instance_uid": adoption.instance.sop_instance_uid,
                },
            ),
        )
        for adoption in adoptions
        if adoption.outcome == "outdated"
    ]


def replaced_id_notes(adoptions: Iterable[Adoption], journal: Journal) -> list[tuple[str, Note]]:
    """Tell of studies whose images came once more under an ID that a message had replaced: once a message.

    Raises NodeError(STORE_WRITE_FAILED, JOURNAL_FAILED).
    """
    # One that was corrected once is "corrected" whenever it comes again as it is
    again: dict[str, list[Instance]] = defaultdict(list)
    for one in adoptions:
        if one.outcome in ("same", "corrected"):
            again[one.instance.study_instance_uid].append(one.instance)
    notes: list[tuple[str, Note]] = []
    for study_uid, images in again.items():
        marks = journal.marks(study_uid)
        known = [image for image in images if marks.get(image.sop_instance_uid) == mark_of(image)]
        # Where headers have undone the message, results have the ID that they say
        holds = bool(known) and journal.identity(study_uid, journal.study(study_uid).version) is not None
        told = newest_told(study_uid, journal) if holds else Told()
        if any(told.replaced_id_of(image) for image in known):
            fault = REPLACED_ID_CAME
            log.warning("instance.replaced_id", code=fault.code, study=study_uid)
            facts: dict[str, Scalar] = {"code": fault.code, "record": told.record}
            text = f"{fault.text()} {fault.remedy} ({fault.code})"
            notes.append((study_uid, Note(what="instance.replaced_id", text=text, facts=facts)))
    return notes


def told(fault: Fault, sop_instance_uid: str) -> str:
    """Say what became of an instance, for the story of its study: which one, and the code to look up."""
    return f"{fault.text(sop_instance_uid=sop_instance_uid)} ({fault.code})"


def _unreadable(adoption: Adoption, error: NodeError) -> Note:
    instance, code = adoption.instance, error.fault.code
    log.error(
        "rejection.unreadable",
        code=code,
        study=instance.study_instance_uid,
        sop_instance_uid=instance.sop_instance_uid,
    )
    facts = {"code": code, "sop_instance_uid": instance.sop_instance_uid}
    return Note(what="rejection.unreadable", text=error.fault.text(**error.values), facts=facts)


def read_rejections(path: Path) -> list[RejectionNote]:
    """Read the instances that a rejection note names, one note a study; none if it has another title.

    They stand in its Current Requested Procedure Evidence Sequence (PS3.3 C.17.6.2). Raises NodeError:
    STORE_WRITE_FAILED where the disk does not give the file, REJECTION_NOTE_UNREADABLE for what is no such
    document.
    """
    from pydicom import dcmread  # noqa: PLC0415  the receiver loads this package

    from dicomnode.store.foreign import UNREADABLE, is_of_the_disk, quiet  # noqa: PLC0415  as above

    try:
        with quiet():
            note = dcmread(path, stop_before_pixels=True)
            uid, code = str(note.SOPInstanceUID), _title(note)
            named = _named(note) if code in REJECTIONS else {}
    except OSError as error:
        if is_of_the_disk(error):
            raise NodeError(STORE_WRITE_FAILED, path=path, error=error) from error
        raise NodeError(REJECTION_NOTE_UNREADABLE, path=path, error=type(error).__name__) from error
    except UNREADABLE as error:
        raise NodeError(REJECTION_NOTE_UNREADABLE, path=path, error=type(error).__name__) from error
    return [
        RejectionNote(
            sop_instance_uid=uid,
            study_instance_uid=study_uid,
            code=code,
            meaning=REJECTIONS[code],
            instances=tuple(uids),
        )
        for study_uid, uids in named.items()
    ]


def _title(note: Any) -> str:
    """Code of the document's title, where it is one of DICOM's own."""
    titles = note.get("ConceptNameCodeSequence") or []
    if len(titles) != 1 or titles[0].get("CodingSchemeDesignator") != "DCM":
        return ""
    return str(titles[0].get("CodeValue", ""))


def _named(note: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for study in note.CurrentRequestedProcedureEvidenceSequence:
        study_uid = str(study.StudyInstanceUID)
        for series in study.ReferencedSeriesSequence:
            found[study_uid] += [str(one.ReferencedSOPInstanceUID) for one in series.ReferencedSOPSequence]
    for study_uid, uids in found.items():
        if not all(map(is_valid_uid, (study_uid, *uids))):
            raise ValueError("a reference is no UID")
    return found
