"""The file meta information in front of a data set that came over the network (PS3.10 section 7.1)."""

from __future__ import annotations

import struct
from typing import Final

from dicomnode.values import Sender
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREFIX: Final = b"DICM"
_VERSION: Final = b"\x00\x01"


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str, sender: Sender) -> bytes:
    """Write what stands between the preamble and the data set: the prefix and group 0002.

    (0002,0016) to (0002,0018) say where it came from: Source, Sending and Receiving Application Entity
    Title. The UIDs have been checked.
    """
    body = b"".join(
        (
            _long(0x0001, b"OB", _VERSION),
            _short(0x0002, b"UI", sop_class_uid, b"\0"),
            _short(0x0003, b"UI", sop_instance_uid, b"\0"),
            _short(0x0010, b"UI", transfer_syntax, b"\0"),
            _short(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
            _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
            _short(0x0016, b"AE", sender.calling_ae, b" "),
            _short(0x0017, b"AE", sender.calling_ae, b" "),
            _short(0x0018, b"AE", sender.called_ae, b" "),
        )
    )
    return _PREFIX + struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(body)) + body


def _short(element: int, vr: bytes, text: str, padding: bytes) -> bytes:
    value = text.encode("ascii")
    value += padding * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def _long(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2s2xL", 0x0002, element, vr, len(value)) + value
