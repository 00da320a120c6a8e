"""What peers say of studies: procedure steps, availability notifications, storage commitment.

N-CREATE and N-SET of Modality Performed Procedure Step (PS3.4 F.7), N-CREATE of Instance Availability
Notification (PS3.4 R.3), N-ACTION of Storage Commitment Push Model (PS3.4 J.3), and its N-EVENT-REPORT, by
which an archive answers what this node asked. The node listens: it keeps no procedure step as an object, so
an N-SET is taken as it comes. Success means that the notice is durable.

Nothing is decoded: a walk with bounds finds the UIDs and code strings that are wanted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from dicomnode.faults import (
    BUG,
    CONTEXT_MISMATCH,
    NOTICE_ACTION_UNKNOWN,
    NOTICE_LACKS,
    NOTICE_UNREADABLE,
    OPERATION_UNKNOWN,
    UID_INVALID,
    NodeError,
)
from dicomnode.receive.answers import SUCCESS, answer_for
from dicomnode.receive.command import N_ACTION_RQ, N_CREATE_RQ, N_EVENT_REPORT_RQ, N_SET_RQ, Answer
from dicomnode.receive.storage import StoreRequest
from dicomnode.store import Store
from dicomnode.store.elements import Element, ScanError, Scanner, Window
from dicomnode.values.uids import is_valid_uid

log = structlog.get_logger("dicomnode.receive")

STEP_CLASS: Final = "1.2.840.10008.3.1.2.3.3"
AVAILABILITY_CLASS: Final = "1.2.840.10008.5.1.4.33"
COMMITMENT_CLASS: Final = "1.2.840.10008.1.20.1"
_IMPLICIT_LE: Final = "1.2.840.10008.1.2"
_EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
_UNCOMPRESSED: Final = (_IMPLICIT_LE, "1.2.840.10008.1.2.1", _EXPLICIT_BE)

MAXIMUM_BYTES: Final = 2 * 1024 * 1024
MAXIMUM_REFERENCES: Final = 10_000
_COMMIT: Final = 1  # PS3.4 table J.3-1: the one action that there is
_STEP_STATES: Final = ("IN PROGRESS", "COMPLETED", "DISCONTINUED")  # PS3.3 C.4.14
_NOT_THERE: Final = "UNAVAILABLE"  # PS3.3 C.4.23.1.1

_STUDY: Final = 0x0020000D
_STATUS: Final = 0x00400252
_SCHEDULED: Final = 0x00400270
_PERFORMED_SERIES: Final = 0x00400340
_IMAGES: Final = 0x00081140
_OTHERS: Final = 0x00400220
_REFERENCED_SERIES: Final = 0x00081115
_REFERENCED_SOPS: Final = 0x00081199
_FAILED_SOPS: Final = 0x00081198
_FAILURE_REASON: Final = 0x00081197
_PROCESSING_FAILURE: Final = 0x0110  # PS3.3 C.14.1.1, for a failure without a reason
_SOP_CLASS: Final = 0x00081150
_SOP_INSTANCE: Final = 0x00081155
_AVAILABILITY: Final = 0x00080056
_TRANSACTION: Final = 0x00081195
_SEQUENCE_VRS: Final = (b"SQ", b"")
_LONGEST_TEXT: Final = 66  # a UID of 64 and padding; what is longer is cut, and no UID any more


@dataclass(frozen=True, slots=True)
class _Form:
    """A kind of notice: its word in the journal, for people, and the operations that bring it."""

    kind: str
    words: str
    operations: tuple[int, ...]


_STEP: Final = _Form("step", "performed procedure step", (N_CREATE_RQ, N_SET_RQ))
_AVAILABLE: Final = _Form("availability", "availability notification", (N_CREATE_RQ,))
_ASKED: Final = _Form("commitment", "storage commitment request", (N_ACTION_RQ,))
_ANSWERED: Final = _Form("committed", "storage commitment report", (N_EVENT_REPORT_RQ,))


class NoticeService:
    """Takes notices into the store; used by the threads of all associations."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        *,
        notices: bool,
        commitment: bool,
        answers: bool,
    ) -> None:
        """Take notices, requests for commitment, and answers to those of this node, as told."""
        self._store = store
        self._clock = clock
        offered = {STEP_CLASS: [_STEP], AVAILABILITY_CLASS: [_AVAILABLE]} if notices else {}
        if commitment or answers:
            offered[COMMITMENT_CLASS] = [_ASKED] * commitment + [_ANSWERED] * answers
        self._forms: Final = {
            (uid, operation): form
            for uid, forms in offered.items()
            for form in forms
            for operation in form.operations
        }
        self.classes: Final = frozenset(offered)
        self.operations: Final = frozenset(operation for _, operation in self._forms)

    def take(self, request: StoreRequest) -> Answer:
        """Keep a notice or refuse it; the answer is for the caller to send. Never raises."""
        form = self._forms.get((request.abstract_syntax, request.command.field))
        if form is None:
            return self._refuse(request, NodeError(OPERATION_UNKNOWN, command=request.command.field))
        try:
            said = _read(request, form)
            said["received_at"] = (received_at := self._clock()).isoformat()
            name = self._store.put_notice(json.dumps(said).encode(), received_at)
        except NodeError as error:
            return self._refuse(request, error)
        except Exception as error:
            # Invariant: each request is answered. Without this, pynetdicom would end the thread
            log.exception("notice.failed", kind=form.kind, calling_ae=request.sender.calling_ae)
            return self._refuse(
                request, NodeError(BUG, where="dicomnode.receive", error=type(error).__name__)
            )
        log.info(
            "notice.taken",
            kind=form.kind,
            notice=name,
            calling_ae=request.sender.calling_ae,
            status=said["status"],
            references=len(said["references"]),
        )
        return SUCCESS

    def _refuse(self, request: StoreRequest, failure: NodeError) -> Answer:
        answer = answer_for(failure.fault)
        log.warning(
            "notice.refused",
            code=failure.fault.code,
            text=failure.fault.text(**failure.values),
            calling_ae=request.sender.calling_ae,
            address=request.sender.address,
            status=f"0x{answer.status:04X}",
        )
        return answer


def _read(request: StoreRequest, form: _Form) -> dict[str, Any]:
    """What a notice says, as it is kept. Raises NodeError with the row that refuses it."""
    command, calling_ae = request.command, request.sender.calling_ae
    if command.sop_class_uid != request.abstract_syntax:
        shown = (command.sop_class_uid or "")[:64]
        raise NodeError(CONTEXT_MISMATCH, sop_class_uid=shown, abstract_syntax=request.abstract_syntax)
    if command.field == N_ACTION_RQ and command.action_type != _COMMIT:
        raise NodeError(
            NOTICE_ACTION_UNKNOWN, calling_ae=calling_ae, action=command.action_type, kind=form.words
        )
    whose = _Reader(calling_ae, form.words)
    try:
        said = _SAYS[form.kind](whose, whose.fields(request), command.sop_instance_uid or "", command.field)
    except ScanError as error:
        raise whose.unreadable(str(error)) from error
    return {
        "schema": 1,
        "kind": form.kind,
        "calling_ae": calling_ae,
        "address": request.sender.address,
        **said,
    }


_Fields = dict[int, Element]


class _Reader:
    """Reads what is wanted of a data set, by a walk with bounds; knows whose it is, for words of refusal."""

    def __init__(self, calling_ae: str, kind: str) -> None:
        self._facts = {"calling_ae": calling_ae, "kind": kind}
        self._window = Window(b"")
        self._implicit = self._big_endian = False

    def fields(self, request: StoreRequest) -> _Fields:
        """Find the elements of the data set. Raises NodeError(NOTICE_UNREADABLE)."""
        if not request.size:
            raise self.unreadable("it has no data set")
        if request.size > MAXIMUM_BYTES or len(request.data) != request.size:
            raise self.unreadable(f"it has more than {MAXIMUM_BYTES // 1024 // 1024} MB")
        syntax = request.transfer_syntax
        if syntax not in _UNCOMPRESSED:
            raise self.unreadable(f"transfer syntax {syntax} is not one for notices")
        self._window = Window(request.data)
        self._implicit, self._big_endian = syntax == _IMPLICIT_LE, syntax == _EXPLICIT_BE
        found, _ = self._scanner().elements(0)
        return {element[0]: element for element in found}

    def _scanner(self) -> Scanner:
        return Scanner(self._window, implicit=self._implicit, big_endian=self._big_endian)

    def items(self, fields: _Fields, *tags: int) -> Iterator[_Fields]:
        """Give the items of sequences, those of one after the other. Raises ScanError."""
        for tag in tags:
            if tag not in fields or fields[tag][1] not in _SEQUENCE_VRS:
                continue
            _, _, begin, end, _ = fields[tag]
            # Each with bounds of its own: what is in a sequence has been walked over once before
            for found in self._scanner().items(begin, end):
                yield {element[0]: element for element in found}

    def text(self, fields: _Fields, tag: int) -> str:
        """A UID or code string, without padding; empty where there is none. Latin-1 takes any byte."""
        if tag not in fields:
            return ""
        _, _, begin, end, _ = fields[tag]
        value = self._window.take(begin, min(end, begin + _LONGEST_TEXT))
        return value.rstrip(b"\0 ").lstrip(b" ").decode("latin-1")

    def number(self, fields: _Fields, tag: int) -> int | None:
        """A number of VR US; None where there is none."""
        if tag not in fields:
            return None
        _, _, begin, end, _ = fields[tag]
        value = self._window.take(begin, min(end, begin + 2))
        return int.from_bytes(value, "big" if self._big_endian else "little") if len(value) == 2 else None

    def unreadable(self, error: str) -> NodeError:
        """Make the failure of a notice that is none."""
        return NodeError(NOTICE_UNREADABLE, error=error, **self._facts)

    def needed(self, value: str, attribute: str) -> str:
        """Give the value; raises NodeError when there is none."""
        if not value:
            raise NodeError(NOTICE_LACKS, attribute=attribute, **self._facts)
        return value

    def needed_uid(self, value: str, attribute: str) -> str:
        """Give the UID; raises NodeError when there is none, or it is none."""
        if not is_valid_uid(self.needed(value, attribute)):
            raise NodeError(UID_INVALID, attribute=attribute, uid=value[:64])
        return value

    def references(self, items: Iterator[_Fields]) -> list[list[str]]:
        """The instances that are named, each once: [SOP Instance UID, SOP Class UID]."""
        found: dict[str, str] = {}
        for item in items:
            uid = self.needed_uid(self.text(item, _SOP_INSTANCE), "Referenced SOP Instance UID (0008,1155)")
            sop_class = self.text(item, _SOP_CLASS)
            found[uid] = sop_class if is_valid_uid(sop_class) else ""
            if len(found) > MAXIMUM_REFERENCES:
                raise self.unreadable(f"it names more than {MAXIMUM_REFERENCES} instances")
        return [[uid, sop_class] for uid, sop_class in found.items()]


def _of_step(whose: _Reader, fields: _Fields, uid: str, operation: int) -> dict[str, Any]:
    study_uid = next((whose.text(item, _STUDY) for item in whose.items(fields, _SCHEDULED)), "")
    status = whose.text(fields, _STATUS)
    if operation == N_CREATE_RQ:
        whose.needed_uid(study_uid, "Study Instance UID (0020,000D) in (0040,0270)")
        whose.needed(status, "Performed Procedure Step Status (0040,0252)")
    if status and status not in _STEP_STATES:
        raise whose.unreadable("its Performed Procedure Step Status (0040,0252) is none that there is")
    named = (
        reference
        for series in whose.items(fields, _PERFORMED_SERIES)
        for reference in whose.items(series, _IMAGES, _OTHERS)
    )
    return {
        "uid": whose.needed_uid(uid, "SOP Instance UID of the procedure step"),
        "study_instance_uid": study_uid if is_valid_uid(study_uid) else "",
        "status": status,
        "references": whose.references(named),
    }


def _of_availability(whose: _Reader, fields: _Fields, uid: str, _operation: int) -> dict[str, Any]:
    named = (
        reference
        for series in whose.items(fields, _REFERENCED_SERIES)
        for reference in whose.items(series, _REFERENCED_SOPS)
        if whose.text(reference, _AVAILABILITY) != _NOT_THERE
    )
    return {
        "uid": whose.needed_uid(uid, "Affected SOP Instance UID (0000,1000)"),
        "study_instance_uid": whose.needed_uid(whose.text(fields, _STUDY), "Study Instance UID (0020,000D)"),
        "status": "",
        "references": whose.references(named),
    }


def _of_commitment(whose: _Reader, fields: _Fields, _uid: str, _operation: int) -> dict[str, Any]:
    references = whose.references(whose.items(fields, _REFERENCED_SOPS))
    if not references:
        whose.needed("", "Referenced SOP Sequence (0008,1199)")
    return {
        "uid": whose.needed_uid(whose.text(fields, _TRANSACTION), "Transaction UID (0008,1195)"),
        "study_instance_uid": "",
        "status": "",
        "references": references,
    }


def _of_answer(whose: _Reader, fields: _Fields, _uid: str, _operation: int) -> dict[str, Any]:
    """What an archive has taken responsibility for, and what not (PS3.4 table J.3-2)."""
    failed: dict[str, int] = {}
    for item in whose.items(fields, _FAILED_SOPS):
        uid = whose.needed_uid(whose.text(item, _SOP_INSTANCE), "Referenced SOP Instance UID (0008,1155)")
        failed[uid] = whose.number(item, _FAILURE_REASON) or _PROCESSING_FAILURE
        if len(failed) > MAXIMUM_REFERENCES:
            raise whose.unreadable(f"it names more than {MAXIMUM_REFERENCES} instances")
    return {
        "uid": whose.needed_uid(whose.text(fields, _TRANSACTION), "Transaction UID (0008,1195)"),
        "study_instance_uid": "",
        "status": "",
        "references": whose.references(whose.items(fields, _REFERENCED_SOPS)),
        "failed": failed,
    }


_SAYS: Final[Mapping[str, Callable[[_Reader, _Fields, str, int], dict[str, Any]]]] = {
    "step": _of_step,
    "availability": _of_availability,
    "commitment": _of_commitment,
    "committed": _of_answer,
}
