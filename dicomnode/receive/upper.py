"""pynetdicom's upper layer, its DUL thread, made to wait instead of to look a thousand times a second.

The thread sleeps on the socket and on a bell; whoever gives it something to send rings. The association's
thread sleeps on its queue of messages; what this layer tells it rings there. Both still look up now and
then, for the timers.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pynetdicom.dul import DULServiceProvider

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE

    from dicomnode.receive.association import StorageAssociation
    from dicomnode.receive.connection import BoundedSocket

LOOK_UP_S: Final = 0.25  # timers are noticed so late at most
_REQUEST_STEP_S: Final = 0.1

# PS3.8 table 9-10: request awaited, answer of the user awaited, open. In others pynetdicom acts by itself
_WAITING_STATES: Final = frozenset({"Sta2", "Sta3", "Sta6"})


class UpperLayer(DULServiceProvider):
    """The DUL service provider of one association (PS3.8 section 9)."""

    def __init__(self, association: StorageAssociation) -> None:
        super().__init__(association)
        self._bell = _Bell()
        self.to_user_queue = _RingingQueue(lambda: association.dimse.msg_queue.put((None, None)))

    def receive_pdu(
        self, wait: bool = False, timeout: float | None = None
    ) -> A_ASSOCIATE | A_RELEASE | A_ABORT | A_P_ABORT | None:
        """Return the next primitive for the association's thread, None when there is none.

        pynetdicom waits out the time even when the connection has gone (AA-5 tells nobody): a port scan
        would hold its threads for as long as a request may take.
        """
        if not wait:
            return super().receive_pdu()
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_alive() and (deadline is None or time.monotonic() < deadline):
            # pynetdicom declares less than it returns: None when the time is over
            primitive: A_ASSOCIATE | A_RELEASE | A_ABORT | A_P_ABORT | None = super().receive_pdu(
                wait=True, timeout=_REQUEST_STEP_S
            )
            if primitive is not None:
                return primitive
        return super().receive_pdu()

    def send_pdu(self, primitive: Any) -> None:
        """Hand a primitive to the DUL thread to be sent."""
        super().send_pdu(primitive)
        self._bell.ring()

    def kill_dul(self) -> None:
        """End the DUL thread."""
        super().kill_dul()
        self._bell.ring()

    def release_descriptor(self) -> None:
        """Close what is left of it, when its thread has ended."""
        self._bell.close()

    def _is_transport_event(self) -> bool:
        """Read a PDU if there is one; wait for it while there is nothing else to do."""
        if not self.event_queue.empty():
            return False  # what has happened is acted on before more is read
        if self.state_machine.current_state in _WAITING_STATES:
            connection: BoundedSocket = self.socket  # type: ignore[assignment]
            self._bell.wait(connection.fileno(), LOOK_UP_S)
        return super()._is_transport_event()


class _RingingQueue(queue.Queue[Any]):
    """A queue that wakes who waits elsewhere."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._ring()


class _Bell:
    """A descriptor that becomes readable when it is rung."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # nobody rings a descriptor that has become another file
        self._descriptor: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller = select.poll()
        self._poller.register(self._descriptor, select.POLLIN)
        self._also = -1

    def ring(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.eventfd_write(self._descriptor, 1)

    def wait(self, also: int, timeout_s: float) -> None:
        """Wait until it is rung, or `also` (-1: nothing) can be read; for one thread only."""
        if also != self._also and also >= 0:
            self._poller.register(also, select.POLLIN)
            self._also = also
        ready = self._poller.poll(timeout_s * 1000)
        with self._lock:
            if self._descriptor is not None and any(which == self._descriptor for which, _ in ready):
                os.eventfd_read(self._descriptor)

    def close(self) -> None:
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
