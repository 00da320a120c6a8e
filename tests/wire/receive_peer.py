"""A running receiver for tests, and a peer that writes its bytes by hand: right ones and wrong ones."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from dicomnode.receive import Receiver
from dicomnode.settings import ReceiveSettings, SenderSettings
from dicomnode.store import SealedFile, Store
from tests.wire.peers import DEADLINE_S

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"

NODE, PEER = "DICOMNODE", "PEER"

# Longer than any peer here waits: what it is told, it was told before a time limit of the node ended
_NEVER_S = 2 * DEADLINE_S
QUICK = ReceiveSettings(
    address="127.0.0.1",
    port=0,
    association_timeout_s=_NEVER_S,
    network_timeout_s=_NEVER_S,
    maximum_object_gb=0.05,
)


def wait_until(holds: Callable[[], bool], what: str, limit_s: float = DEADLINE_S) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + limit_s
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        pause.wait(0.005)


@dataclass
class Running:
    """A receiver, its store, and what it told."""

    receiver: Receiver
    store: Store
    stored: list[tuple[SealedFile, str]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.receiver.port

    def written(self) -> list[Path]:
        """Files below incoming/ that have a byte in them, sealed or not."""
        incoming = self.store.root / "incoming"
        return [path for path in incoming.rglob("*") if path.is_file() and path.stat().st_size]

    def wait_stored(self, count: int) -> None:
        """The notice follows the acknowledgement."""
        wait_until(lambda: len(self.stored) >= count, f"{count} instances told")


@contextmanager
def running(
    root: Path,
    settings: ReceiveSettings = QUICK,
    senders: Sequence[SenderSettings] = (SenderSettings(ae_title=PEER),),
    reserve_gb: float = 0.0,
    listener: socket.socket | None = None,
) -> Iterator[Running]:
    """Run a receiver on a free port; nothing of it is left afterwards, no thread and no part file."""
    before = set(threading.enumerate())
    store = Store.open(root, reserve_gb=reserve_gb)
    stored: list[tuple[SealedFile, str]] = []
    receiver = Receiver(
        replace(settings),
        NODE,
        senders,
        store,
        listener=listener,
        on_stored=lambda sealed, uid: stored.append((sealed, uid)),
    )
    receiver.start()
    try:
        yield Running(receiver, store, stored)
    finally:
        receiver.stop(drain_s=2.0)
        store.close()
    wait_until(
        lambda: not [t for t in threading.enumerate() if t not in before and _is_ours(t)], "threads end"
    )
    torn = [path for path in (root / "incoming").rglob("*.part") if path.stat().st_size]
    assert torn == []


def _is_ours(thread: threading.Thread) -> bool:
    return isinstance(thread, (Association, DULServiceProvider)) or thread.name == "dicomnode-accept"


def data_set_of(path: Path) -> tuple[str, bytes]:
    """Transfer syntax and bytes of the data set of a Part 10 file (PS3.10 7.1: after the group length)."""
    content = path.read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    number = content.index(b"\x02\x00\x10\x00UI", 144, end)
    size = int.from_bytes(content[number + 6 : number + 8], "little")
    return content[number + 8 : number + 8 + size].rstrip(b"\0").decode(), content[end:]


def ui(group: int, element: int, uid: str) -> bytes:
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return struct.pack("<HH2sH", group, element, b"UI", len(value)) + value


def small_ct(instance: str = "1.2.3", sop_class: str = CT, more: bytes = b"") -> bytes:
    """The smallest data set that has all its UIDs, Explicit VR Little Endian; more: elements behind."""
    return (
        ui(0x0008, 0x0016, sop_class)
        + ui(0x0008, 0x0018, instance)
        + ui(0x0020, 0x000D, "1.2.4")
        + ui(0x0020, 0x000E, "1.2.5")
        + more
    )


def pixels(count: int) -> bytes:
    return struct.pack("<HH2s2xL", 0x7FE0, 0x0010, b"OW", count) + bytes(count)


def command_element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, number, len(value)) + value


def store_command(
    instance: str | None, sop_class: str | None = CT, *, command_field: int = 0x0001, has_data: bool = True
) -> bytes:
    """C-STORE-RQ (PS3.7 9.3.1.1); None leaves an element out."""
    parts = [command_element(0x0002, _uid(sop_class))] if sop_class is not None else []
    parts += [
        command_element(0x0100, struct.pack("<H", command_field)),
        command_element(0x0110, struct.pack("<H", 7)),
        command_element(0x0700, struct.pack("<H", 0)),
        command_element(0x0800, struct.pack("<H", 0x0000 if has_data else 0x0101)),
    ]
    parts += [command_element(0x1000, _uid(instance))] if instance is not None else []
    body = b"".join(parts)
    return command_element(0x0000, struct.pack("<L", len(body))) + body


def echo_command(message_id: int = 1) -> bytes:
    return (
        command_element(0x0002, _uid(VERIFICATION))
        + command_element(0x0100, struct.pack("<H", 0x0030))
        + command_element(0x0110, struct.pack("<H", message_id))
        + command_element(0x0800, struct.pack("<H", 0x0101))
    )


def _uid(uid: str) -> bytes:
    return uid.encode("latin-1") + b"\0" * (len(uid) % 2)


class Closed(Exception):  # noqa: N818  an ending, not an error
    """The receiver closed the connection without a word."""


@dataclass
class Response:
    """A response to a request: status, comment, and its raw elements."""

    status: int
    comment: str
    elements: dict[int, bytes]


class RawPeer:
    """A requestor that sends what it is told to, byte by byte."""

    def __init__(self, port: int, timeout_s: float = DEADLINE_S) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.accepted: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associate(
        self, *contexts: tuple[str, Sequence[str]], called: str = NODE, calling: str = PEER
    ) -> tuple[int, bytes]:
        """Send A-ASSOCIATE-RQ and return type and body of the answer; context IDs are 1, 3, 5 …"""
        self.socket.sendall(associate_request(contexts, called, calling))
        kind, body = self.read_pdu()
        if kind == 0x02:
            self.accepted = _accepted(body)
        return kind, body

    def read_pdu(self) -> tuple[int, bytes]:
        """Return type and body of the next PDU. Raises Closed at the end of the connection."""
        kind, length = struct.unpack(">BxL", self._read(6))
        return kind, self._read(length)

    def send(self, context_id: int, control: int, fragment: bytes) -> None:
        """Send one P-DATA-TF with one fragment (PS3.8 9.3.5)."""
        value = struct.pack(">LBB", len(fragment) + 2, context_id, control) + fragment
        self.socket.sendall(struct.pack(">BxL", 0x04, len(value)) + value)

    def store(self, command: bytes, data: bytes, context_id: int = 1, step: int = 100_000) -> Response:
        """Send a C-STORE request and return its response."""
        self.send(context_id, 0x03, command)
        for start in range(0, max(1, len(data)), step):
            last = start + step >= len(data)
            self.send(context_id, 0x02 if last else 0x00, data[start : start + step])
        return self.response()

    def echo(self, context_id: int = 1) -> Response:
        self.send(context_id, 0x03, echo_command())
        return self.response()

    def response(self) -> Response:
        """Read a response. Raises AssertionError when it is another PDU."""
        kind, body = self.read_pdu()
        assert kind == 0x04, f"PDU type {kind}: {body!r}"
        length, _, control = struct.unpack(">LBB", body[:6])
        assert (control, length + 4) == (0x03, len(body)), "a response comes in one piece"
        elements, position = {}, 6
        while position < len(body):
            number, size = struct.unpack_from("<2xHL", body, position)
            elements[number] = body[position + 8 : position + 8 + size]
            position += 8 + size
        comment = elements.get(0x0902, b"").decode().strip()
        return Response(int.from_bytes(elements[0x0900], "little"), comment, elements)

    def release(self) -> None:
        self.socket.sendall(struct.pack(">BxLL", 0x05, 4, 0))
        assert self.read_pdu()[0] == 0x06

    def ended(self) -> tuple[int, int] | None:
        """Wait for the end: source and reason of A-ABORT, None when the connection is closed without it."""
        try:
            kind, body = self.read_pdu()
        except (Closed, ConnectionError):
            return None
        assert kind == 0x07, f"PDU type {kind}"
        return body[2], body[3]

    def _read(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            part = self.socket.recv(count - len(content))
            if not part:
                raise Closed
            content += part
        return content


def associate_request(
    contexts: Sequence[tuple[str, Sequence[str]]], called: str = NODE, calling: str = PEER
) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    items = _item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (abstract, syntaxes) in enumerate(contexts):
        proposal = bytes([2 * number + 1, 0, 0, 0]) + _item(0x30, abstract.encode())
        items += _item(0x20, proposal + b"".join(_item(0x40, syntax.encode()) for syntax in syntaxes))
    items += _item(0x50, _item(0x51, struct.pack(">L", 131072)) + _item(0x52, b"1.2.3.4"))
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16)) + items
    return struct.pack(">BxL", 0x01, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _accepted(body: bytes) -> dict[int, str]:
    """Context ID → transfer syntax of A-ASSOCIATE-AC (PS3.8 9.3.3)."""
    found, position = {}, 68
    while position < len(body):
        kind, size = struct.unpack_from(">BxH", body, position)
        if kind == 0x21:
            context_id, result = body[position + 4], body[position + 6]
            if result == 0:
                found[context_id] = body[position + 12 : position + 4 + size].decode()
        position += 4 + size
    return found
