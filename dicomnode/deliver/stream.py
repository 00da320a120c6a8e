"""One C-STORE, written to the association from the file piece by piece (PS3.7 9.1.1, PS3.8 9.3.5).

pynetdicom would queue the whole object in memory before the first byte goes out, and could not be stopped
while the peer does not read. Here a PDU is read, written and forgotten, each within the time limit of the
connection. Only the response comes through pynetdicom.
"""

from __future__ import annotations

import queue
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import SEEK_END
from typing import Final, Protocol

from pynetdicom.dimse_primitives import C_STORE

from dicomnode.net import Link, NoAnswer

_P_DATA_TF: Final = 0x04
_LONGEST_PDU: Final = 131072  # a larger one brings nothing
_PDV_OVERHEAD: Final = 6  # PDV length 4, context ID 1, message control header 1 (PS3.8 9.3.5.1, E.2)
_COMMAND_LAST: Final = 0x03
_DATA: Final = 0x00
_DATA_LAST: Final = 0x02
_C_STORE_RQ: Final = 0x0001
_MEDIUM: Final = 0x0000
_HAS_DATA_SET: Final = 0x0001  # anything but 0x0101
_PAUSE_S: Final = 0.0002
_PAUSE_LIMIT_S: Final = 5.0
_REASON_S: Final = 0.5


@contextmanager
def response_taken_here(link: Link) -> Iterator[None]:
    """Hold pynetdicom's own reader of messages, which would take a response for a request."""
    association = link.association
    deadline = time.monotonic() + _PAUSE_LIMIT_S
    association._reactor_checkpoint.clear()  # noqa: SLF001  as its own send_c_store does
    try:
        while not association._is_paused and time.monotonic() < deadline:  # noqa: SLF001
            time.sleep(_PAUSE_S)
        yield
    finally:
        association._reactor_checkpoint.set()  # noqa: SLF001


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """A C-STORE request: what its command set says, and the presentation context it goes out on."""

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


class Content(Protocol):
    """What a data set is read from."""

    def read(self, count: int, /) -> bytes:
        """Give the next piece, of `count` bytes at most; nothing at the end."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to another place; give where that is."""
        ...

    def tell(self) -> int:
        """Say where it is."""
        ...


def c_store(link: Link, request: StoreRequest, data: Content) -> int:
    """Send the data set that begins where `data` stands; return the status of the response.

    To be called within `response_taken_here`. Raises NoAnswer when the association ended or the time for
    the answer is over, OSError when `data` cannot be read to its end: the association is of no use then.
    """
    _write(link, b"".join(_pdu(request.context_id, _COMMAND_LAST, command_set(request))))
    _write_data(link, request.context_id, data)
    return _status(link, request.message_id)


def command_set(request: StoreRequest) -> bytes:
    """Encode the command set of a C-STORE-RQ (PS3.7 9.3.1.1), Implicit VR Little Endian (PS3.7 6.3.1)."""
    elements = b"".join(
        (
            _element(0x0002, _uid(request.sop_class_uid)),
            _element(0x0100, struct.pack("<H", _C_STORE_RQ)),
            _element(0x0110, struct.pack("<H", request.message_id)),
            _element(0x0700, struct.pack("<H", _MEDIUM)),
            _element(0x0800, struct.pack("<H", _HAS_DATA_SET)),
            _element(0x1000, _uid(request.sop_instance_uid)),
        )
    )
    return _element(0x0000, struct.pack("<L", len(elements))) + elements


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0x0000, number, len(value)) + value


def _uid(text: str) -> bytes:
    return text.encode("ascii") + b"\0" * (len(text) % 2)


def _pdu(context_id: int, control: int, fragment: bytes) -> tuple[bytes, bytes]:
    return _pdu_header(context_id, control, len(fragment)), fragment


def _pdu_header(context_id: int, control: int, length: int) -> bytes:
    """Header of a P-DATA-TF PDU with one PDV item (PS3.8 9.3.5), whose fragment has `length` bytes."""
    return struct.pack(">BBLLBB", _P_DATA_TF, 0, length + _PDV_OVERHEAD, length + 2, context_id, control)


def _write_data(link: Link, context_id: int, data: Content) -> None:
    """Write the data set in PDUs of one fragment each, none longer than the peer allows."""
    limit = min(link.longest_pdu or _LONGEST_PDU, _LONGEST_PDU)
    room = (limit - _PDV_OVERHEAD) & ~1  # fragments are of even length
    if room < 2:  # PS3.8 D.1 names no least length
        raise NoAnswer(f"it takes PDUs of {limit} bytes only, too short for any data")
    begin = data.tell()
    left = data.seek(0, SEEK_END) - begin
    data.seek(begin)
    if left <= 0:
        raise OSError("the file became shorter before it was sent")
    while left:
        fragment = data.read(min(room, left))
        if not fragment:
            raise OSError("the file became shorter while it was sent")
        left -= len(fragment)
        control = _DATA if left else _DATA_LAST
        _write(link, b"".join(_pdu(context_id, control, fragment)))


def _write(link: Link, content: bytes) -> None:
    try:
        link.connection.sendall(content)
    except TimeoutError as error:
        link.drop()  # what is buffered would also block the A-ABORT
        raise NoAnswer(f"it read nothing for {link.peer.timeout_s:g} s", timed_out=True) from error
    except OSError as error:
        with suppress(queue.Empty):  # the reader learns why; that takes it a moment
            link.association.dimse.msg_queue.get(timeout=_REASON_S)
        link.drop()
        raise NoAnswer(link.why_ended()) from error


def _status(link: Link, message_id: int) -> int:
    try:
        _, response = link.association.dimse.msg_queue.get(timeout=link.peer.timeout_s)
    except queue.Empty:
        raise NoAnswer(f"no answer within {link.peer.timeout_s:g} s", timed_out=True) from None
    if response is None:
        raise NoAnswer(link.why_ended())
    if (
        not isinstance(response, C_STORE)
        or response.Status is None
        or response.MessageIDBeingRespondedTo != message_id
    ):
        raise NoAnswer("it answered something else than the request")
    return int(response.Status)
