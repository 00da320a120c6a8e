"""What happens to one C-STORE request: the checks, cheapest first, then the file, then the answer.

The rule of this room: 0x0000 leaves only when the object would survive a power cut at that instant. No
network is here: an instance that came by another way goes through the same checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from dicomnode.faults import (
    BUG,
    CONTEXT_MISMATCH,
    DATASET_UNREADABLE,
    GROUPING_UID_WRONG,
    OBJECT_TOO_LARGE,
    UID_INVALID,
    UID_MISMATCH,
    UID_MISSING,
    NodeError,
)
from dicomnode.receive.answers import SUCCESS, answer_for
from dicomnode.receive.command import Answer, Command
from dicomnode.receive.filemeta import file_meta
from dicomnode.receive.scan import DataSetIds, ScanError, check_whole, scan_ids
from dicomnode.store import Arriving, SealedFile, Store
from dicomnode.values import Sender
from dicomnode.values.uids import is_valid_uid

log = structlog.get_logger("dicomnode.receive")

_GB: Final = 1e9
_MB: Final = 1e6
_SHOWN: Final = 80  # characters of what a peer sent as a UID, in a message

_CLASS: Final = ("Affected SOP Class UID (0000,0002)", 0x00000002)
_INSTANCE: Final = ("Affected SOP Instance UID (0000,1000)", 0x00001000)
_STUDY: Final = ("Study Instance UID (0020,000D)", 0x0020000D)
_SERIES: Final = ("Series Instance UID (0020,000E)", 0x0020000E)


def _nobody(study_instance_uid: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """One C-STORE request, whole: command, data set as encoded, and the context that it came on.

    size: bytes of the data set that came; `data` is empty where they were more than the limit. announce: told
    the Study Instance UID of what is taken, before it is sealed.
    """

    command: Command
    data: memoryview
    size: int
    abstract_syntax: str
    transfer_syntax: str
    sender: Sender
    announce: Callable[[str], None] = _nobody


class Refused(Exception):  # noqa: N818  an answer, not an error
    """A request that is refused: the failure with its row, and the elements that are at fault."""

    def __init__(self, failure: NodeError, *offending: int) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.offending = offending


class StorageService:
    """Takes instances into the store; used by the threads of all associations.

    on_stored: told of each instance when it is durable, with its SOP Instance UID.
    """

    def __init__(
        self,
        store: Store,
        maximum_object_gb: float,
        clock: Callable[[], datetime],
        on_stored: Callable[[SealedFile, str], None],
    ) -> None:
        self._store = store
        self.maximum_bytes: Final = int(maximum_object_gb * _GB)
        self._clock = clock
        self._on_stored = on_stored

    def arriving(self) -> Arriving:
        """Where an association says what it brings."""
        return Arriving(self._store.root)

    def take(self, request: StoreRequest, reply: Callable[[Answer], None]) -> None:
        """Store the instance or refuse it, reply once, then tell of it. Never raises."""
        try:
            sealed = self._store_it(request)
        except Refused as refused:
            reply(self._refuse(request, refused.failure, refused.offending))
        except NodeError as error:
            reply(self._refuse(request, error, ()))
        except Exception as error:
            # Invariant: each request is answered, and what is not surely durable is not answered 0x0000.
            # Without this, pynetdicom would end the thread and the sender would wait for its time limit.
            log.exception("instance.failed", calling_ae=request.sender.calling_ae)
            bug = NodeError(BUG, where="dicomnode.receive", error=type(error).__name__)
            reply(self._refuse(request, bug, ()))
        else:
            reply(SUCCESS)
            self._tell(sealed, request)

    def _store_it(self, request: StoreRequest) -> SealedFile:
        self._check_command(request)
        self._store.check_reserve()
        if request.size > self.maximum_bytes:
            calling_ae, size_mb = request.sender.calling_ae, request.size / _MB
            limit_mb = self.maximum_bytes / _MB
            failure = NodeError(OBJECT_TOO_LARGE, calling_ae=calling_ae, size_mb=size_mb, limit_mb=limit_mb)
            raise Refused(failure)
        request.announce(self._check_data_set(request).study_instance_uid)
        meta = file_meta(
            request.abstract_syntax,
            request.command.sop_instance_uid or "",
            request.transfer_syntax,
            request.sender,
        )
        with self._store.new_part() as part:
            part.writev((meta, request.data))
            return part.seal(request.sender, self._clock())

    def _check_command(self, request: StoreRequest) -> None:
        command = request.command
        for (name, tag), uid in ((_CLASS, command.sop_class_uid), (_INSTANCE, command.sop_instance_uid)):
            if uid is None:
                raise Refused(NodeError(UID_MISSING, attribute=name), tag)
        uid = command.sop_instance_uid or ""
        if not is_valid_uid(uid):
            raise Refused(NodeError(UID_INVALID, attribute=_INSTANCE[0], uid=_shown(uid)), _INSTANCE[1])
        # PS3.7 9.1.1.1.3: a context carries the SOP Class that it was negotiated for
        if command.sop_class_uid != request.abstract_syntax:
            shown, abstract_syntax = _shown(command.sop_class_uid or ""), request.abstract_syntax
            failure = NodeError(CONTEXT_MISMATCH, sop_class_uid=shown, abstract_syntax=abstract_syntax)
            raise Refused(failure, _CLASS[1])

    def _check_data_set(self, request: StoreRequest) -> DataSetIds:
        uid = request.command.sop_instance_uid
        try:
            ids = scan_ids(request.data, request.transfer_syntax)
            self._check_ids(request.command, ids)
            check_whole(request.data, request.transfer_syntax, ids.end)
        except ScanError as error:
            raise Refused(NodeError(DATASET_UNREADABLE, sop_instance_uid=uid, error=error)) from error
        return ids

    def _check_ids(self, command: Command, ids: DataSetIds) -> None:
        pairs = (
            ("SOP Class UID", 0x00080016, command.sop_class_uid or "", ids.sop_class_uid),
            ("SOP Instance UID", 0x00080018, command.sop_instance_uid or "", ids.sop_instance_uid),
        )
        for name, tag, asked, found in pairs:
            if not found:
                raise ScanError(f"it has no {name}")
            if asked != found:
                shown = _shown(found)
                failure = NodeError(UID_MISMATCH, attribute=name, command_uid=asked, dataset_uid=shown)
                raise Refused(failure, tag)
        for (name, tag), found in ((_STUDY, ids.study_instance_uid), (_SERIES, ids.series_instance_uid)):
            if not is_valid_uid(found):
                shown = repr(_shown(found)) if found else "nothing"
                uid = command.sop_instance_uid
                failure = NodeError(GROUPING_UID_WRONG, sop_instance_uid=uid, attribute=name, found=shown)
                raise Refused(failure, tag)

    def _refuse(self, request: StoreRequest, failure: NodeError, offending: tuple[int, ...]) -> Answer:
        answer = answer_for(failure.fault, offending)
        log.warning(
            "instance.refused",
            code=failure.fault.code,
            text=failure.fault.text(**failure.values),
            calling_ae=request.sender.calling_ae,
            address=request.sender.address,
            status=f"0x{answer.status:04X}",
            bytes=request.size,
        )
        return answer

    def _tell(self, sealed: SealedFile, request: StoreRequest) -> None:
        sop_instance_uid = request.command.sop_instance_uid or ""
        log.info(
            "instance.stored",
            sop_instance_uid=sop_instance_uid,
            calling_ae=request.sender.calling_ae,
            bytes=sealed.size,
        )
        try:
            self._on_stored(sealed, sop_instance_uid)
        except Exception:
            # Invariant: one listener that fails does not end the association. The file is durable and
            # acknowledged; who reads incoming/ finds it without the notice
            log.exception("instance.notice_failed", sop_instance_uid=sop_instance_uid)


def _shown(uid: str) -> str:
    return uid if len(uid) <= _SHOWN else f"{uid[:_SHOWN]}…"
