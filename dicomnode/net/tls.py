"""TLS for an association that we request: PS3.15 B.12 (BCP 195), TLS 1.2 or newer, the peer's name checked.

pynetdicom reads in one thread while this node writes in another, and a TLS connection must not be used by two
at once; nor does a socket that has something to read have something for its reader, when that is a ticket of
TLS 1.3. So one thread of a `Tunnel` has the TLS connection for itself, and passes on what goes through a pair
of plain sockets: pynetdicom gets the other end, with the time limits of any connection.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Final

from dicomnode.faults import PEER_NOT_TRUSTED, NodeError
from dicomnode.net.connection import unreachable
from dicomnode.net.peer import Peer

_PIECE: Final = 64 * 1024
_HELD: Final = 256 * 1024  # bytes that wait in each direction; more are not read from where they come
_LINGER_S: Final = 2.0  # what was written last, and the end of TLS itself, still get so long to go out
_END_S: Final = _LINGER_S + 5.0


class Tunnel:
    """A TLS connection and the thread that passes on what goes through it.

    near: the plain end, for one reader and one writer. It ends when the TLS connection ends; shutting it
    down, or closing it, ends the TLS connection.
    """

    def __init__(self, peer: Peer, connection: socket.socket, deadline: float) -> None:
        """Make TLS on a connection that stands, until `deadline` (monotonic seconds).

        The connection is the tunnel's from now on. Raises NodeError PEER_NOT_TRUSTED, PEER_UNREACHABLE, and
        WEB_SECRET_UNREADABLE where a file of `peer.trust` cannot be used.
        """
        self._trouble = ""
        self._lacks_certificate = peer.trust is not None and peer.trust.certificate is None
        self._connection = connection
        self._from_peer, self._to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context(peer).wrap_bio(self._from_peer, self._to_peer, server_hostname=peer.host)
        self._shake_hands(peer, deadline)
        self.near, self._far = socket.socketpair()
        self.near.settimeout(peer.timeout_s)
        connection.setblocking(False)
        self._far.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"tls {peer.name}", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why the TLS connection ended, in words; "" while it stands, and where the peer ended it duly."""
        return self._trouble

    def close(self) -> None:
        """End it: what was written before still goes out, if the peer takes it soon."""
        with suppress(OSError):  # it is closed already
            self.near.shutdown(socket.SHUT_RDWR)
        self._thread.join(_END_S)
        self.near.close()

    def _shake_hands(self, peer: Peer, deadline: float) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                self._send_rest()  # the alert, which says it to the peer
                raise _not_trusted(peer, error.verify_message.rstrip(".").lower()) from error
            except ssl.SSLError as error:
                self._send_rest()
                raise unreachable(peer, self._in_words(error)) from error
            else:
                self._exchange(peer, deadline, wait=False)
                return
            self._exchange(peer, deadline, wait=True)

    def _exchange(self, peer: Peer, deadline: float, *, wait: bool) -> None:
        """Send what the handshake has to say, and take the next of the peer's where that is waited for."""
        try:
            self._connection.settimeout(_left(deadline))
            self._connection.sendall(self._to_peer.read())
            if not wait:
                return
            self._connection.settimeout(_left(deadline))
            content = self._connection.recv(_PIECE)
        except TimeoutError as error:
            raise unreachable(peer, f"no TLS handshake within {peer.timeout_s:g} s") from error
        except OSError as error:
            raise unreachable(peer, f"TLS failed ({(error.strerror or str(error)).lower()})") from error
        if not content:
            raise unreachable(peer, "it ended the connection in the TLS handshake: it may speak no TLS there")
        self._from_peer.write(content)

    def _send_rest(self) -> None:
        with suppress(OSError):
            self._connection.sendall(self._to_peer.read())

    def _in_words(self, error: ssl.SSLError) -> str:
        reason = (error.reason or error.strerror or "no reason given").lower().replace("_", " ")
        wants = ": it wants a certificate of this node (key `certificate`)" if self._lacks_certificate else ""
        return f"TLS failed ({reason})" + (wants if "certificate" in reason or "handshake" in reason else "")

    # ── the thread ──

    def _run(self) -> None:
        with self._connection, self._far, selectors.DefaultSelector() as selector:
            pump = _Pump(self, selector)
            try:
                pump.run()
            except ssl.SSLError as error:
                self._trouble = self._in_words(error)
            except OSError as error:
                self._trouble = f"TLS failed ({(error.strerror or str(error)).lower()})"
                # With TLS 1.3 it is only after the handshake that a peer says, if at all, what it misses
                if self._lacks_certificate and not pump.has_heard:
                    self._trouble += "; it may want a certificate of this node (key `certificate`)"


class _Pump:
    """Passes on in both directions until there is nothing more to pass on. Raises OSError, SSLError."""

    def __init__(self, tunnel: Tunnel, selector: selectors.BaseSelector) -> None:
        self._tls, self._selector = tunnel._tls, selector  # noqa: SLF001  its other half
        self._from_peer, self._to_peer = tunnel._from_peer, tunnel._to_peer  # noqa: SLF001
        self._connection, self._far = tunnel._connection, tunnel._far  # noqa: SLF001
        self._out = bytearray()  # encrypted, for the peer
        self._in = bytearray()  # plain, for whoever has the near end
        self._peer_ended = self._near_ended = False
        self._until: float | None = None
        self.has_heard = False  # something of the peer's, beside TLS itself

    def run(self) -> None:
        try:
            self._take_from_peer(b"")  # what came with the end of the handshake
            while not self._is_over():
                for key, events in self._ready():
                    if key.fileobj is self._connection:
                        self._at_connection(events)
                    else:
                        self._at_far(events)
        finally:
            with suppress(OSError):  # an A-ABORT that came last is read all the same
                self._far.send(self._in)

    def _is_over(self) -> bool:
        if self._near_ended:
            return not self._out or (self._until is not None and time.monotonic() >= self._until)
        return self._peer_ended and not self._in and not self._out

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        read, write = selectors.EVENT_READ, selectors.EVENT_WRITE
        takes = not self._peer_ended and not self._near_ended and len(self._in) < _HELD
        self._watch(self._connection, read * takes | write * bool(self._out))
        takes = not self._near_ended and len(self._out) < _HELD
        self._watch(self._far, read * takes | write * bool(self._in and not self._near_ended))
        return self._selector.select(
            None if self._until is None else max(0.0, self._until - time.monotonic())
        )

    def _watch(self, which: socket.socket, events: int) -> None:
        known = self._selector.get_map().get(which)
        if known is None and events:
            self._selector.register(which, events)
        elif known is not None and not events:
            self._selector.unregister(which)
        elif known is not None and known.events != events:
            self._selector.modify(which, events)

    def _at_connection(self, events: int) -> None:
        if events & selectors.EVENT_READ:
            with suppress(BlockingIOError):
                content = self._connection.recv(_PIECE)
                self._take_from_peer(content, ended=not content)
        if events & selectors.EVENT_WRITE:
            try:
                with suppress(BlockingIOError):
                    del self._out[: self._connection.send(self._out)]
            except OSError:
                self._last_words()
                raise

    def _last_words(self) -> None:
        """Read what the peer said before it ended the connection: an alert tells why. Raises SSLError."""
        content = b""
        with suppress(OSError):
            content = self._connection.recv(_PIECE)
        self._take_from_peer(content)

    def _take_from_peer(self, content: bytes, *, ended: bool = False) -> None:
        if content:
            self._from_peer.write(content)
        try:
            while piece := self._tls.read(_PIECE):
                self._in += piece
                self.has_heard = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        self._out += self._to_peer.read()
        if ended:
            self._peer_ended = True
            self._tell_end()

    def _at_far(self, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                del self._in[: self._far.send(self._in)]
                self._tell_end()
            content = self._far.recv(_PIECE) if events & selectors.EVENT_READ else None
        except BlockingIOError:
            return
        except OSError:  # whoever had the near end is gone, with something left to read
            content = b""
        if content is not None:
            self._take_from_near(content)

    def _take_from_near(self, content: bytes) -> None:
        if content:
            self._tls.write(content)
        elif not self._near_ended:
            self._near_ended = True
            self._until = time.monotonic() + _LINGER_S
            with suppress(ssl.SSLError):  # it says its end, and waits for the peer's, as we do not
                self._tls.unwrap()
        self._out += self._to_peer.read()

    def _tell_end(self) -> None:
        """Let whoever has the near end read to the end of what came."""
        if self._peer_ended and not self._in:
            with suppress(OSError):
                self._far.shutdown(socket.SHUT_WR)


def _context(peer: Peer) -> ssl.SSLContext:
    if peer.trust is None:
        raise ValueError("a peer without `trust` is not reached over TLS")
    context = peer.trust.context(peer.name)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # BCP 195 (RFC 9325) 3.1.1
    context.options |= ssl.OP_NO_RENEGOTIATION  # 3.5: and writing never waits for reading then
    return context


def _not_trusted(peer: Peer, reason: str) -> NodeError:
    return NodeError(PEER_NOT_TRUSTED, name=peer.name, host=peer.host, port=peer.port, reason=reason)


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
