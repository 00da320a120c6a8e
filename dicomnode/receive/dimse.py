"""DIMSE messages from P-DATA, in place of pynetdicom's decoder: with bounds, and nothing decoded.

A command set has at most 16 kB and 64 elements, a data set no more than the limit of an object, and a
message in progress must come on. What breaks PS3.7 or PS3.8 ends the association (A-ABORT).
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import structlog
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from dicomnode.faults import ASSOCIATION_BROKEN
from dicomnode.receive.command import MAXIMUM_BYTES, Command, CommandError, read_command
from dicomnode.receive.upper import LOOK_UP_S

if TYPE_CHECKING:
    from dicomnode.receive.association import StorageAssociation

log = structlog.get_logger("dicomnode.receive")

_COMMAND: Final = 0x01  # message control header, PS3.8 E.2
_LAST: Final = 0x02

# Slower than this, a sender only holds the association: 64 kB in 30 s are 17 kbit/s
_WINDOW_S: Final = 30.0
_WINDOW_BYTES: Final = 64 * 1024

# A sender that goes on after the limit is told so at the end of its object, but not for ever
_DRAIN_FACTOR: Final = 2


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message: the context that it came on, its command and its encoded data set.

    size: bytes of the data set that came; where they were too many, `data` is empty.
    """

    context_id: int
    command: Command
    data: BytesIO
    size: int


class ReceivingDimse(DIMSEServiceProvider):
    """Puts whole `Message`s into `msg_queue`, where the association's own thread takes them.

    Runs in pynetdicom's DUL thread; must not raise there.
    """

    def __init__(self, association: StorageAssociation, maximum_bytes: int) -> None:
        super().__init__(association)
        self._association = association
        self._maximum_bytes = maximum_bytes
        self._broken = False
        self._begin()

    def _begin(self) -> None:
        self._context_id = 0
        self._encoded = bytearray()
        self._command: Command | None = None
        self._data = BytesIO()
        self._size = 0
        self._window_start: float | None = None
        self._window_bytes = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA indication (PS3.8 9.3.5): fragments of a message, in order."""
        for context_id, value in primitive.presentation_data_value_list:
            if self._broken:
                return
            self._take(context_id, memoryview(value))

    def get_msg(self, block: bool = False) -> Any:  # noqa: ARG002  it always waits, a little
        """Return context ID and the next `Message`, or (None, None) after a while or when woken."""
        try:
            return self.msg_queue.get(timeout=LOOK_UP_S)
        except queue.Empty:
            return None, None

    def send_command(self, context_id: int, encoded: bytes) -> None:
        """Send a command set that has no data set, in as few P-DATA as the peer takes."""
        longest = max(1, (self.maximum_pdu_size or len(encoded) + 6) - 6)  # PDV header: 4 + 1 + 1 bytes
        for start in range(0, len(encoded), longest):
            part = encoded[start : start + longest]
            control = _COMMAND | (_LAST if start + longest >= len(encoded) else 0)
            primitive = P_DATA()
            primitive.presentation_data_value_list.append((context_id, bytes([control]) + part))
            self.dul.send_pdu(primitive)

    def _take(self, context_id: int, value: memoryview) -> None:
        if not value:
            return self._break("a fragment was empty")
        if self._context_id not in (0, context_id):
            return self._break("a message went on in another presentation context")
        if self._association.context(context_id) is None:
            return self._break(f"presentation context {context_id} was not negotiated")
        self._context_id = context_id
        if not self._comes_on(len(value)):
            return self._break(f"less than {_WINDOW_BYTES // 1024} kB came in {_WINDOW_S:.0f} s")
        last = bool(value[0] & _LAST)
        if value[0] & _COMMAND:
            return self._take_command(value[1:], last=last)
        return self._take_data(value[1:], last=last)

    def _take_command(self, fragment: memoryview, *, last: bool) -> None:
        if self._command is not None:
            return self._break("a command came where its data set was due")
        if len(self._encoded) + len(fragment) > MAXIMUM_BYTES:
            return self._break(f"a command set had more than {MAXIMUM_BYTES // 1024} kB")
        self._encoded += fragment
        if not last:
            return None
        try:
            self._command = read_command(self._encoded)
        except CommandError as error:
            return self._break(str(error))
        return None if self._command.has_data_set else self._finish(self._command)

    def _take_data(self, fragment: memoryview, *, last: bool) -> None:
        if self._command is None:
            return self._break("a data set came without a command")
        self._size += len(fragment)
        if self._size <= self._maximum_bytes:
            self._data.write(fragment)
        elif self._data.tell():
            self._data = BytesIO()  # no longer wanted: the memory is given back at once
        if last:
            return self._finish(self._command)
        if self._size > _DRAIN_FACTOR * self._maximum_bytes:
            return self._break("an object did not end")
        return None

    def _finish(self, command: Command) -> None:
        self.msg_queue.put((self._context_id, Message(self._context_id, command, self._data, self._size)))  # type: ignore[arg-type]
        self._begin()

    def _comes_on(self, count: int) -> bool:
        """Tell whether a message in progress is still fast enough."""
        now = time.monotonic()
        if self._window_start is None:
            self._window_start = now
        self._window_bytes += count
        if now - self._window_start < _WINDOW_S:
            return True
        enough = self._window_bytes >= _WINDOW_BYTES
        self._window_start, self._window_bytes = now, 0
        return enough

    def _break(self, reason: str) -> None:
        self._broken = True
        self._begin()
        sender = self._association.sender
        log.warning(
            "association.broken",
            code=ASSOCIATION_BROKEN.code,
            text=ASSOCIATION_BROKEN.text(calling_ae=sender.calling_ae, address=sender.address, reason=reason),
        )
        # PS3.8 table 9-10: an invalid PDU in Sta6; pynetdicom sends the A-ABORT (AA-8)
        self.dul.event_queue.put("Evt19")
