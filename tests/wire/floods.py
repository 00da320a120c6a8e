"""An archive that answers a C-FIND with an identifier that has no end, and tells how much of it was taken."""

from __future__ import annotations

import contextlib
import socket
import struct

from tests.wire.peers import EXPLICIT_LE, IMPLICIT_LE

_ACCEPT, _P_DATA = 0x02, 0x04
_COMMAND_LAST, _DATA = 3, 0
_PIECE = 120_000
_FIND_RSP, _PENDING = 0x8020, 0xFF00


class Flood:
    """What it does with a connection. taken: bytes of the identifier that it could send, of `most`."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    def __call__(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is left, as it should be
            request = _pdu(connection)
            _send(connection, _ACCEPT, request[:68] + _accepted())
            _pdu(connection)  # the question
            _send(connection, _P_DATA, _pdv(_COMMAND_LAST, _answer()))
            while self.taken < self.most:
                _send(connection, _P_DATA, _pdv(_DATA, bytes(_PIECE)))
                self.taken += _PIECE


def accept_first_context() -> bytes:
    """An A-ASSOCIATE-AC (PS3.8 9.3.3) that accepts context 1 with Explicit VR Little Endian."""
    context = bytes((1, 0, 0, 0)) + _item(0x40, EXPLICIT_LE.encode())
    user = _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3")
    names = b"ARCHIVE".ljust(16) + b"DICOMNODE".ljust(16)
    items = _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x21, context) + _item(0x50, user)
    body = struct.pack(">HH", 1, 0) + names + bytes(32) + items
    return struct.pack(">BBL", _ACCEPT, 0, len(body)) + body


def _accepted() -> bytes:
    """Application context, presentation context 1 and maximum length of an A-ASSOCIATE-AC (PS3.8 9.3.3)."""
    context = bytes((1, 0, 0, 0)) + _item(0x40, IMPLICIT_LE.encode())
    user = _item(0x51, struct.pack(">L", 0)) + _item(0x52, b"1.2.3")
    return _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x21, context) + _item(0x50, user)


def _answer() -> bytes:
    """The command of a C-FIND-RSP with an identifier, implicit VR (PS3.7 9.3.2.2)."""
    elements = {0x0100: _FIND_RSP, 0x0120: 1, 0x0800: 1, 0x0900: _PENDING}
    body = struct.pack("<HHL28s", 0, 2, 28, b"1.2.840.10008.5.1.4.1.2.2.1")
    body += b"".join(struct.pack("<HHLH", 0, number, 2, value) for number, value in elements.items())
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _pdu(connection: socket.socket) -> bytes:
    head = connection.recv(6, socket.MSG_WAITALL)
    if len(head) < 6:
        raise OSError("the other side is gone")
    return connection.recv(struct.unpack(">L", head[2:])[0], socket.MSG_WAITALL)


def _send(connection: socket.socket, kind: int, body: bytes) -> None:
    connection.sendall(struct.pack(">BBL", kind, 0, len(body)) + body)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _pdv(control: int, fragment: bytes) -> bytes:
    return struct.pack(">LBB", len(fragment) + 2, 1, control) + fragment
