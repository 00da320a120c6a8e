"""The receiver: a Storage and Verification SCP. Bytes of associations go in, sealed files come out."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from pynetdicom import AE
from pynetdicom.transport import AddressInformation

from dicomnode.net.contexts import storage_classes
from dicomnode.net.quiet import quiet_pynetdicom
from dicomnode.receive.admission import Admission
from dicomnode.receive.association import Rules, StorageAssociation
from dicomnode.receive.connection import BoundedSocket
from dicomnode.receive.desk import Desk
from dicomnode.receive.listener import Listener, open_listening
from dicomnode.receive.notices import NoticeService
from dicomnode.receive.storage import StorageService
from dicomnode.settings import ReceiveSettings, SenderSettings
from dicomnode.store import SealedFile, Store
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

log = structlog.get_logger("dicomnode.receive")

_ACCEPT_STEP_S: Final = 0.1  # how soon stop() is noticed
_ABORT_S: Final = 5.0  # for what is aborted to end


def _now() -> datetime:
    return datetime.now(UTC)


def _nobody(sealed: SealedFile, sop_instance_uid: str) -> None:
    """Tell nobody."""


class Receiver:
    """Receives instances into the store; starts threads and returns at once.

    senders: the [[sender]] tables. listener: a listening socket that was opened elsewhere (systemd, a
    supervisor); it stays theirs. asked: AE titles of archives that may answer about storage commitment that
    this node asked for, beside the senders; None: it asks nobody. on_stored: told of each durable instance
    with its SOP Instance UID, after it was acknowledged, in the thread of its association. clock: time of
    receipt, UTC.
    """

    def __init__(  # noqa: PLR0913  the wiring of a room
        self,
        settings: ReceiveSettings,
        ae_title: str,
        senders: Sequence[SenderSettings],
        store: Store,
        *,
        listener: socket.socket | None = None,
        asked: Collection[str] | None = None,
        on_stored: Callable[[SealedFile, str], None] = _nobody,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        quiet_pynetdicom()
        self._settings = settings
        self._given = listener
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._desk = Desk(time.monotonic)
        notices = NoticeService(
            store,
            clock,
            notices=settings.notices,
            commitment=settings.commitment == "report",
            answers=asked is not None,
        )
        self._rules = Rules(
            ae_title=ae_title.strip(),
            admission=Admission(
                ae_title=ae_title,
                senders=tuple(senders),
                unknown_senders=settings.unknown_senders,
                maximum=settings.maximum_associations,
                also_called=settings.also_called,
                asked=frozenset(title.strip() for title in asked or ()),
            ),
            storage=StorageService(store, settings.maximum_object_gb, clock, on_stored),
            notices=notices,
            desk=self._desk,
            classes=storage_classes(settings.storage_classes) | notices.classes,
        )
        self._entity = self._make_entity(ae_title)

    def start(self) -> None:
        """Begin to accept associations. Raises NodeError(PORT_IN_USE)."""
        if self._listener is not None:
            raise RuntimeError("the receiver is running")
        if self._given is None:
            listening = open_listening(self._settings.address, self._settings.port)
        else:
            listening = self._given.dup()
            listening.setblocking(False)
        self._listener = Listener(listening, self._desk.has_room, self._open)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(_ACCEPT_STEP_S,), name="dicomnode-accept", daemon=True
        )
        self._thread.start()
        log.debug("receiver.started", port=self.port)

    @property
    def port(self) -> int:
        """The port that is listened on; the one of the settings before start() and after stop()."""
        return self._settings.port if self._listener is None else self._listener.port

    @property
    def is_accepting(self) -> bool:
        """Whether the thread that accepts connections is alive."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def active_associations(self) -> int:
        """How many associations are open."""
        return self._desk.open_now

    def stop(self, drain_s: float) -> None:
        """Accept nothing more, let open associations end for `drain_s` seconds, and abort the rest.

        What was acknowledged is durable; what was coming in leaves no file.
        """
        if self._listener is None or self._thread is None:
            return
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._listener = None
        if not self._desk.wait_empty(drain_s):
            self._end_all()
        log.debug("receiver.stopped")

    def _end_all(self) -> None:
        for association in self._desk.everybody():
            log.warning(
                "association.aborted",
                calling_ae=association.sender.calling_ae,
                address=association.sender.address,
                reason="the node stops",
            )
            if association.is_established:
                association.abort(block=False)
            else:
                association.give_up()
        if not self._desk.wait_empty(_ABORT_S):
            for association in self._desk.everybody():
                association.give_up()
            self._desk.wait_empty(_ABORT_S)

    def _make_entity(self, ae_title: str) -> AE:
        entity = AE(ae_title=ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.maximum_pdu_size = self._settings.maximum_pdu
        entity.acse_timeout = self._settings.association_timeout_s
        entity.network_timeout = self._settings.network_timeout_s
        entity.dimse_timeout = self._settings.network_timeout_s
        # Admission counts, with its own answer; this count includes connections that have asked nothing
        entity.maximum_associations = 1_000_000
        return entity

    def _open(self, connection: socket.socket, address: str) -> None:
        """Make an association of a new connection and start its threads."""
        here = AddressInformation.from_tuple(connection.getsockname())
        there = AddressInformation.from_tuple(connection.getpeername())
        association = StorageAssociation(self._entity, self._rules, address)
        association.set_socket(
            BoundedSocket(
                association,
                connection,
                request_s=self._settings.association_timeout_s,
                pdu_s=self._settings.network_timeout_s,
                maximum_pdu=self._settings.maximum_pdu,
            )
        )
        association.requestor.address_info = there
        acceptor = association.acceptor
        acceptor.address_info = here
        acceptor.ae_title = self._entity.ae_title
        acceptor.maximum_length = self._entity.maximum_pdu_size
        acceptor.implementation_class_uid = self._entity.implementation_class_uid
        acceptor.implementation_version_name = self._entity.implementation_version_name
        self._desk.enter(association, address)
        try:
            association.start()
        except RuntimeError:  # no more threads: TasksMax, or memory
            association.release_descriptors()
            self._desk.leave(association)
            raise
