"""Instances that this node fetched: they enter the store by the same checks as those that are sent to it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from pydicom.uid import UID

from dicomnode.faults import FETCH_NOT_TAKEN, OTHER_THAN_ASKED, NodeError
from dicomnode.receive.command import C_STORE_RQ, Answer, Command
from dicomnode.receive.scan import ScanError, scan_ids
from dicomnode.receive.storage import StorageService, StoreRequest
from dicomnode.store import Store
from dicomnode.values import Sender

_PREAMBLE: Final = 128
_MAGIC: Final = b"DICM"
_LONG_VRS: Final = frozenset({b"OB", b"UN", b"OW", b"UT"})
_CLASS: Final = 0x0002
_INSTANCE: Final = 0x0003
_SYNTAX: Final = 0x0010


class FetchedDoor:
    """Takes Part 10 files of one series into the store. sender: who gave them.

    Each is refused that the receiver would refuse, and each that is not of the study and series asked for.
    """

    def __init__(
        self,
        store: Store,
        sender: Sender,
        asked: tuple[str, str],
        maximum_object_gb: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._storage = StorageService(store, maximum_object_gb, clock, lambda _sealed, _uid: None)
        self._sender, self._asked = replace(sender, fetched=True), asked

    def take(self, content: bytes) -> None:
        """Store an instance, durably.

        Raises NodeError: OTHER_THAN_ASKED, FETCH_NOT_TAKEN with what the receiver would have answered.
        """
        try:
            meta, start = _file_meta(content)
        except ValueError as error:
            raise self._not_taken(str(error)) from error
        data = memoryview(content)[start:]
        syntax = meta.get(_SYNTAX, "")
        self._check_asked(data, syntax)
        sop_class, instance = meta.get(_CLASS), meta.get(_INSTANCE)
        command = Command(
            field=C_STORE_RQ,
            message_id=1,
            has_data_set=True,
            sop_class_uid=sop_class,
            sop_instance_uid=instance,
        )
        request = StoreRequest(
            command=command,
            data=data,
            size=len(data),
            abstract_syntax=sop_class or "",
            transfer_syntax=syntax,
            sender=self._sender,
        )
        answers: list[Answer] = []
        self._storage.take(request, answers.append)
        if answers[0].status != 0:
            raise self._not_taken(answers[0].comment or f"status 0x{answers[0].status:04X}")

    def _check_asked(self, data: memoryview, syntax: str) -> None:
        try:
            ids = scan_ids(data, syntax)
        except ScanError as error:
            raise self._not_taken(str(error)) from error
        found = (ids.study_instance_uid, ids.series_instance_uid)
        for name, asked, one in zip(("Study", "Series"), self._asked, found, strict=True):
            if one != asked:
                attribute = f"{name} Instance UID"
                raise NodeError(OTHER_THAN_ASKED, name=self._sender.calling_ae, attribute=attribute)

    def _not_taken(self, reason: str) -> NodeError:
        return NodeError(FETCH_NOT_TAKEN, name=self._sender.calling_ae, reason=reason)


def _file_meta(content: bytes) -> tuple[dict[int, str], int]:
    """Read the File Meta Information (PS3.10 7.1), Explicit VR Little Endian; give its UIDs and its end.

    Raises ValueError.
    """
    if content[_PREAMBLE : _PREAMBLE + 4] != _MAGIC:
        raise ValueError("it is no Part 10 file")
    found: dict[int, str] = {}
    position = _PREAMBLE + 4
    while content[position : position + 2] == b"\x02\x00" and position + 8 <= len(content):
        element = int.from_bytes(content[position + 2 : position + 4], "little")
        if content[position + 4 : position + 6] in _LONG_VRS:
            (length,) = struct.unpack_from("<L", content.ljust(position + 12, b"\0"), position + 8)
            start = position + 12
        else:
            (length,) = struct.unpack_from("<H", content, position + 6)
            start = position + 8
        position = start + length
        if position > len(content):
            raise ValueError("its File Meta Information has no end")
        if element in (_CLASS, _INSTANCE, _SYNTAX):
            found[element] = content[start:position].rstrip(b"\0 ").decode("latin-1")
    if not UID(found.get(_SYNTAX, "")).is_transfer_syntax:
        raise ValueError("its File Meta Information names no Transfer Syntax")
    return found, position
