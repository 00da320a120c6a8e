"""Opening an association as the requestor, with the exact reason when it does not open.

pynetdicom negotiates (PS3.8 section 7); what it only logs is taken from the PDUs themselves.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, Final

from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ

from dicomnode.faults import PEER_REJECTED, NodeError
from dicomnode.net.connection import LONGEST_PDU, RequestingEntity, connect, unreachable
from dicomnode.net.limits import AnswerLimits, Incoming
from dicomnode.net.peer import Peer
from dicomnode.net.quiet import quiet_pynetdicom
from dicomnode.net.status import ABORTS, REJECTIONS, abort_text, rejection_text
from dicomnode.net.tls import Tunnel

MAXIMUM_CONTEXTS: Final = 128  # PS3.8 9.3.2.2: odd identifiers from 1 to 255
VERIFICATION: Final = "1.2.840.10008.1.1"
_RELEASE_S: Final = 5.0  # everything is answered by then: not worth a long wait
_THREADS_END_S: Final = 10.0

# Result, source and reason of an A-ASSOCIATE-RJ, PS3.8 table 9-21: for good, and no reason given
_WITHOUT_REASON: Final = ((1, 1, 1), (1, 2, 1))

ProposedContext = tuple[str, tuple[str, ...]]  # abstract syntax, transfer syntaxes
# Proposed beside all others: who takes none of the contexts may reject the association (DCMTK does), and
# would not tell so what it does not take
VERIFICATION_TOO: Final[ProposedContext] = (VERIFICATION, ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"))
Handler = tuple[evt.EventType, Callable[[evt.Event], Any]]


class NoAnswer(Exception):  # noqa: N818  it is an answer that did not come; the caller makes the failure
    """The peer did not answer a request. str(): why, in words. `timed_out`: it is still silent."""

    def __init__(self, why: str, *, timed_out: bool = False) -> None:
        super().__init__(why)
        self.timed_out = timed_out


class _Watch:
    """Keeps what the peer said when it ended or refused the association.

    Values that PS3.8 leaves undefined end pynetdicom's reader without a word: they are kept, and then
    replaced by "no reason given".
    """

    def __init__(self) -> None:
        self.rejection: tuple[int, int, int] | None = None
        self.abort: tuple[int, int] | None = None

    def on_pdu(self, event: evt.Event) -> None:
        pdu = event.pdu
        if isinstance(pdu, A_ASSOCIATE_RJ):
            self.rejection = (pdu.result or 0, pdu.source or 0, pdu.reason_diagnostic or 0)
            pdu.result = min(max(self.rejection[0], 1), 2)
            if self.rejection[1:] not in REJECTIONS:
                pdu.source, pdu.reason_diagnostic = 1, 1
        elif isinstance(pdu, A_ABORT_RQ):
            self.abort = (pdu.source or 0, pdu.reason_diagnostic or 0)
            if self.abort[0] != 0 and self.abort not in {(2, reason) for reason in ABORTS}:
                pdu.source, pdu.reason_diagnostic = 2, 0


class _Line:
    """What an association goes over: a connection, through TLS where the peer is reached so.

    Raises NodeError PEER_UNREACHABLE, PEER_NOT_TRUSTED.
    """

    def __init__(self, peer: Peer, deadline: float) -> None:
        connection = connect(peer, deadline)
        self.address: str = connection.getpeername()[0]
        self.connection, self._tunnel = connection, None
        if peer.trust is not None:
            try:
                self._tunnel = Tunnel(peer, connection, deadline)
            except BaseException:
                connection.close()
                raise
            self.connection = self._tunnel.near

    @property
    def trouble(self) -> str:
        """What TLS failed of, in words; "" for nothing."""
        return "" if self._tunnel is None else self._tunnel.trouble

    def close(self) -> None:
        """Close it."""
        if self._tunnel is not None:
            self._tunnel.close()
        self.connection.close()


class Link:
    """An open association.

    accepted: (abstract syntax, transfer syntax) → ID of the presentation context that the peer accepted;
    empty when it accepted none, and then the association is over already.
    association, connection: pynetdicom's object and the socket below it. incoming: what has come by it.
    """

    def __init__(
        self, peer: Peer, association: Association, line: _Line, watch: _Watch, incoming: Incoming
    ) -> None:
        self.peer, self.association, self.connection = peer, association, line.connection
        self.incoming = incoming
        self._line = line
        self._watch = watch
        self.accepted: Mapping[tuple[str, str], int] = MappingProxyType(
            {
                (str(context.abstract_syntax), str(context.transfer_syntax[0])): context.context_id or 0
                for context in association.accepted_contexts
            }
        )

    @property
    def longest_pdu(self) -> int:
        """Longest P-DATA-TF that the peer takes, in bytes behind the header; 0: any (PS3.8 D.1)."""
        return self.association.acceptor.maximum_length or 0

    def why_ended(self) -> str:
        """Say why the association is over, as far as the peer told."""
        if self.incoming.over:
            return self.incoming.over
        if self._watch.abort is not None:
            return abort_text(*self._watch.abort)
        return self._line.trouble or "it closed the connection"

    def drop(self) -> None:
        """Close the connection at once: what waits for the peer, in whatever thread, ends."""
        with suppress(OSError):  # it is closed already
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def open_association(
    peer: Peer,
    calling_ae: str,
    contexts: Sequence[ProposedContext],
    *,
    provides: Collection[str] = (),
    handlers: Sequence[Handler] = (),
    answers: AnswerLimits | None = None,
) -> Iterator[Link]:
    """Open an association, give it, and release it at the end; abort it when the body raises.

    contexts: at most 128. provides: SOP Classes for which we take the SCP role (for C-GET, PS3.7 D.3.3.4).
    answers: most that is taken from the peer; the association ends when more comes.
    Raises NodeError PEER_UNREACHABLE, PEER_NOT_TRUSTED or PEER_REJECTED, at the latest after
    `peer.timeout_s`.
    """
    if not 1 <= len(contexts) <= MAXIMUM_CONTEXTS:
        raise ValueError(f"an association has 1 to {MAXIMUM_CONTEXTS} presentation contexts: {len(contexts)}")
    quiet_pynetdicom()  # its own handlers would also fail on odd values before ours sees them
    deadline = time.monotonic() + peer.timeout_s
    line = _Line(peer, deadline)
    association: Association | None = None
    try:
        watch, incoming = _Watch(), Incoming(answers or AnswerLimits())
        entity = RequestingEntity(calling_ae, line.connection, incoming)
        entity.acse_timeout = max(0.1, deadline - time.monotonic())
        entity.dimse_timeout = peer.timeout_s
        association = entity.associate(
            line.address,
            peer.port,
            contexts=[build_context(abstract, list(syntaxes)) for abstract, syntaxes in contexts],
            ae_title=peer.ae_title,
            max_pdu=LONGEST_PDU,
            ext_neg=[build_role(sop_class, scp_role=True) for sop_class in sorted(provides)],
            evt_handlers=[
                (evt.EVT_PDU_RECV, watch.on_pdu),
                (evt.EVT_DIMSE_RECV, lambda _: incoming.message_ended()),
                *handlers,
            ],
        )
        if not association.is_established and not _none_accepted(association):
            raise _not_opened(peer, calling_ae, watch, line, timed_out=time.monotonic() >= deadline)
        association.acse_timeout = min(_RELEASE_S, peer.timeout_s)
        link = Link(peer, association, line, watch, incoming)
        yield link
        association.release()
    finally:
        _end(association, line)


def is_rejected_without_reason(error: NodeError) -> bool:
    """Whether a peer rejected an association for good and said nothing of why: its contexts may be why."""
    return error.fault is PEER_REJECTED and error.values.get("rejection") in _WITHOUT_REASON


def _none_accepted(association: Association) -> bool:
    answer = association.acceptor.primitive
    return answer is not None and answer.result == 0 and not association.accepted_contexts


def _not_opened(peer: Peer, calling_ae: str, watch: _Watch, line: _Line, *, timed_out: bool) -> NodeError:
    if watch.rejection is not None:
        return NodeError(
            PEER_REJECTED,
            name=peer.name,
            host=peer.host,
            port=peer.port,
            ae_title=peer.ae_title,
            calling_ae=calling_ae,
            reason=rejection_text(*watch.rejection),
            rejection=watch.rejection,
        )
    if watch.abort is not None:
        return unreachable(peer, abort_text(*watch.abort))
    if line.trouble:
        return unreachable(peer, line.trouble)
    if timed_out:
        return unreachable(peer, f"it did not answer the association request within {peer.timeout_s:g} s")
    return unreachable(peer, "it closed the connection instead of answering the association request")


def _end(association: Association | None, line: _Line) -> None:
    """Leave no thread and no descriptor behind, whatever the state of the association."""
    if association is not None:
        if association.is_established:
            association.abort()
        with suppress(OSError):  # it ends what still reads or writes, if anything does
            line.connection.shutdown(socket.SHUT_RDWR)
        association.kill()
        for thread in (association.dul, association):
            if thread.is_alive():
                thread.join(_THREADS_END_S)
    line.close()
