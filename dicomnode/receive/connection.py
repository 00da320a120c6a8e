"""The accepted connection: reads and writes with a total time limit and a length limit.

pynetdicom's own socket waits for each step of 4096 bytes for ever, takes a PDU of any length, and looks for
data with select(), which fails above descriptor 1023.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from pynetdicom.transport import AssociationSocket

from dicomnode.faults import ASSOCIATION_BROKEN

if TYPE_CHECKING:
    from dicomnode.receive.association import StorageAssociation

log = structlog.get_logger("dicomnode.receive")

# Requests have a few kB; 128 contexts with all transfer syntaxes of the standard have 170 kB
_LONGEST_REQUEST: Final = 256 * 1024
_STEP_S: Final = 0.25  # how soon a read or write notices that the connection is given up
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 1 << 20

# States of PS3.8 table 9-10
_REQUEST_AWAITED: Final = ("Sta1", "Sta2")
_CLOSING: Final = "Sta13"

_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)  # Linux has it

_NOT_SPECIFIED: Final = 0  # reasons of A-ABORT by the provider, PS3.8 table 9-26
_INVALID_PARAMETER: Final = 6


class BoundedSocket(AssociationSocket):
    """pynetdicom's socket around an accepted connection; used by the DUL thread.

    request_s: seconds from now in which the association request must be whole. pdu_s: the same for each
    later PDU, from its first byte. maximum_pdu: longest that was announced.
    """

    def __init__(
        self,
        association: StorageAssociation,
        connection: socket.socket,
        *,
        request_s: float,
        pdu_s: float,
        maximum_pdu: int,
    ) -> None:
        super().__init__(association, client_socket=connection)
        self._association = association
        self._connection = connection
        self._request_deadline = time.monotonic() + request_s
        self._pdu_s = pdu_s
        self._maximum_pdu = maximum_pdu
        self._given_up = False
        self._poller = select.poll()
        self._poller.register(connection, select.POLLIN)
        connection.settimeout(_STEP_S)

    @property
    def ready(self) -> bool:
        """Tell whether there is something to read, or the end of the connection."""
        if self.socket is None or not self._is_connected:
            return False
        try:
            return bool(self._poller.poll(0))
        except OSError:  # it was closed meanwhile
            self.event_queue.put("Evt17")
            return False

    def fileno(self) -> int:
        """Descriptor of the connection, -1 when it is closed."""
        return self._connection.fileno()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, fewer at the end of the connection.

        Raises OSError when they are more than a PDU may have, or do not come in time: pynetdicom then
        ends the association. The peer is sent A-ABORT before.
        """
        # This thread's own state: `is_established` is set by the other one, after the answer is out
        state = self._association.dul.state_machine.current_state
        if nr_bytes > (_LONGEST_REQUEST if state in _REQUEST_AWAITED else self._maximum_pdu):
            self._abort(f"a PDU of {nr_bytes} bytes was announced", _INVALID_PARAMETER)
            raise ConnectionAbortedError
        deadline = self._deadline(state)
        content = bytearray(nr_bytes)
        view, done = memoryview(content), 0
        while done < nr_bytes:
            try:
                count = self._connection.recv_into(view[done:])
            except TimeoutError:
                count = None
            if count == 0:
                break
            done += count or 0
            # Command and data set come in separate small writes: a sender with Nagle's algorithm on waits
            # for our ACK between them, 40 ms an object. The kernel takes the option back by itself
            if _QUICK_ACK is not None:
                self._connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            if done < nr_bytes and (self._given_up or time.monotonic() > deadline):
                self._abort("a PDU did not come whole in time", _NOT_SPECIFIED)
                raise TimeoutError
        view.release()
        del content[done:]
        return content

    def _deadline(self, state: str) -> float:
        """Until when a PDU that begins now must be whole."""
        if state in _REQUEST_AWAITED:
            return self._request_deadline
        return time.monotonic() + (_LINGER_S if state == _CLOSING else self._pdu_s)

    def send(self, bytestream: bytes) -> None:
        """Send it all; a peer that does not take it in time loses the connection (Evt17)."""
        deadline = time.monotonic() + self._pdu_s
        left = memoryview(bytestream)
        while left:
            try:
                left = left[self._connection.send(left) :]
            except TimeoutError:
                if self._given_up or time.monotonic() > deadline:
                    self.event_queue.put("Evt17")
                    return
            except OSError:
                self.event_queue.put("Evt17")
                return

    def release_descriptor(self) -> None:
        """Close what is left of it, when no thread uses it any more."""
        self._connection.close()

    def _shutdown_socket(self) -> None:
        # pynetdicom's own leaves the descriptor open where the peer was faster
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def give_up(self) -> None:
        """End the connection from another thread: what waits for the peer ends."""
        self._given_up = True
        with suppress(OSError):  # it has ended already
            self._connection.shutdown(socket.SHUT_RDWR)

    def _abort(self, reason: str, code: int) -> None:
        """Send A-ABORT (source 2, provider), and let it arrive: closing at once would overtake it."""
        if self._given_up or self._association.dul.state_machine.current_state == _CLOSING:
            return
        sender = self._association.sender
        log.warning(
            "association.broken",
            code=ASSOCIATION_BROKEN.code,
            text=ASSOCIATION_BROKEN.text(calling_ae=sender.calling_ae, address=sender.address, reason=reason),
        )
        with suppress(OSError):  # the peer has gone: nobody to tell
            self._connection.sendall(struct.pack(">BBLBBBB", 0x07, 0, 4, 0, 0, 2, code))
            self._connection.shutdown(socket.SHUT_WR)
            deadline, drained = time.monotonic() + _LINGER_S, 0
            while drained < _LINGER_BYTES and time.monotonic() < deadline:
                count = len(self._connection.recv(65536))
                if not count:
                    break
                drained += count
