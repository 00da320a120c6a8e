"""The TCP side of an association that we request: made here, with its exact error and within its time.

pynetdicom's own connect() swallows why it failed, and its reads and writes have no time limit once they
are connected: a peer that stops in the middle would hang them for good. So the connection is made first,
with a time limit on each read and write, and pynetdicom gets it ready made.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final, cast

from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.fsm import TRANSITION_TABLE, StateMachine
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from dicomnode.faults import PEER_UNREACHABLE, NodeError
from dicomnode.net.limits import Incoming
from dicomnode.net.peer import Peer
from dicomnode.values.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from ssl import SSLContext

    from pynetdicom.association import Association

LONGEST_PDU: Final = 131072  # that we take and announce, in bytes
_OVER: Final = ("Sta1", "Sta13")  # idle; waiting for the connection to close
_PDU_REFUSED_BYTES: Final = 2 * LONGEST_PDU  # peers miscount by a few bytes


def unreachable(peer: Peer, error: str) -> NodeError:
    """Make the failure that says why the peer was not reached."""
    return NodeError(
        PEER_UNREACHABLE,
        name=peer.name,
        host=peer.host,
        port=peer.port,
        ae_title=peer.ae_title,
        error=error,
    )


def connect(peer: Peer, deadline: float) -> socket.socket:
    """Connect to the peer, trying its addresses one after the other until `deadline` (monotonic seconds).

    Raises NodeError(PEER_UNREACHABLE). Looking up the name is the operating system's and keeps its own time.
    """
    try:
        # An undecodable host name ends in UnicodeError, not in OSError
        addresses = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unreachable(peer, f"the name {peer.host!r} is not known ({error})") from error
    failure = "it has no address"
    for family, kind, protocol, _, address in addresses:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(left_s)
            connection.connect(address)
        except TimeoutError:
            failure = f"no answer within {peer.timeout_s:g} s"
        except OSError as error:
            failure = (error.strerror or str(error)).lower()
        else:
            _tune(connection, peer.timeout_s)
            return connection
        connection.close()
    raise unreachable(peer, failure)


def _tune(connection: socket.socket, timeout_s: float) -> None:
    connection.settimeout(timeout_s)
    # Requests are written in pieces: Nagle's algorithm and a delayed ACK would cost 40 ms each
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class _ReadySocket(AssociationSocket):
    """pynetdicom's socket around a connection that stands already."""

    def __init__(self, association: Association, connection: socket.socket, incoming: Incoming) -> None:
        super().__init__(association, client_socket=connection)
        self._incoming = incoming
        # It takes the connection for one that came in (Evt5); ours is the requestor's
        self.event_queue.get_nowait()

    def connect(self, primitive: T_CONNECT) -> None:
        """Confirm the connection (Evt2): AE-1 of PS3.8 table 9-6 asks for one that stands already."""
        primitive.result = "Evt2"
        self.provider_queue.put(primitive)

    @property
    def ready(self) -> bool:
        """Whether there is something to read.

        Not before the association is asked for: a peer that hangs up at once ends it then, and no sooner (the
        end of a connection is no event of Sta1, PS3.8 table 9-10, and would end pynetdicom's thread).
        """
        return self.assoc.dul.state_machine.current_state != "Sta1" and super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, fewer at the end of the connection; all of them within one time limit.

        Raises OSError, which ends the association, for a PDU far longer than announced: its length is what
        the peer says, and would be taken from memory; and for more than `incoming` takes. Raises
        TimeoutError: a peer that sends a byte now and then must not hold us.
        """
        if nr_bytes > _PDU_REFUSED_BYTES:
            self._incoming.refuse(f"it sent a PDU of {nr_bytes} bytes, {LONGEST_PDU} were announced")
        self._incoming.count(nr_bytes)
        connection = cast("socket.socket", self.socket)
        limit_s = connection.gettimeout()
        deadline = None if limit_s is None else time.monotonic() + limit_s
        content = bytearray(nr_bytes)
        view, done = memoryview(content), 0
        while done < nr_bytes:
            count = connection.recv_into(view[done:])
            if not count:
                break
            done += count
            if deadline is not None and done < nr_bytes and time.monotonic() > deadline:
                raise TimeoutError
        view.release()
        del content[done:]
        return content


class _StateMachine(StateMachine):
    """pynetdicom's, which does not fail of what comes behind the end of a connection.

    A request may stand in the queue then, and who reads and who writes may both tell of the end. PS3.8 table
    9-10 has no such events in Sta1 and Sta13; pynetdicom 3.0.4 ends its thread by an exception.
    """

    def do_action(self, event: str) -> None:
        """Do what an event leads to; end the thread where the connection has ended, and nothing can."""
        if self.current_state in _OVER and (event, self.current_state) not in TRANSITION_TABLE:
            self.dul.kill_dul()
            return
        super().do_action(event)


class RequestingEntity(ApplicationEntity):
    """pynetdicom's application entity, for one association on a connection that stands already."""

    def __init__(self, ae_title: str, connection: socket.socket, incoming: Incoming) -> None:
        super().__init__(ae_title)
        self._connection, self._incoming = connection, incoming
        self.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        self.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        # Each read and write has its limit: an idle timer would only end what waits for its turn
        self.network_timeout = None

    def _create_socket(
        self,
        assoc: Association,
        address: AddressInformation,  # noqa: ARG002  to bind to: not ours to choose
        tls_args: tuple[SSLContext, str] | None,  # noqa: ARG002  not used yet
    ) -> AssociationSocket:
        assoc.dul.state_machine = _StateMachine(assoc.dul)
        return _ReadySocket(assoc, self._connection, self._incoming)
