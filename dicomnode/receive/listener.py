"""The listening socket: our own, or one that a supervisor or systemd opened and handed down."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
from collections.abc import Callable
from typing import Any, Final

import structlog

from dicomnode.faults import PORT_IN_USE, NodeError
from dicomnode.receive.admission import plain_address

log = structlog.get_logger("dicomnode.receive")

_BACKLOG: Final = 256
_OUT_OF_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)


class Listener(socketserver.BaseServer):
    """Accepts connections in one thread and hands each to `serve`, which must return at once.

    may_enter: asked with the peer's address before anything is made for a connection.
    """

    def __init__(
        self,
        listening: socket.socket,
        may_enter: Callable[[str], bool],
        serve: Callable[[socket.socket, str], None],
    ) -> None:
        super().__init__(listening.getsockname(), socketserver.BaseRequestHandler)
        self._socket = listening
        self._may_enter = may_enter
        self._serve = serve
        self._spare = _open_spare()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return self._socket.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection. Raises OSError when there is none after all: another process took it."""
        try:
            return self._socket.accept()
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS:
                self._turn_away()
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Make an association of a connection, or close it."""
        address = plain_address(client_address[0])
        if not self._may_enter(address):
            log.warning("connection.refused", address=address, reason="too many wait for a request")
            self.shutdown_request(request)
            return
        try:
            # A response is one small packet: Nagle's algorithm and a delayed ACK would cost 40 ms each
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._serve(request, address)
        except OSError as error:  # the peer has gone already
            log.debug("connection.closed", error=str(error))
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        try:
            request.shutdown(socket.SHUT_RDWR)
        except OSError as error:  # the peer was faster
            log.debug("connection.closed", error=str(error))
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what went wrong with one connection; the others go on."""
        log.exception("connection.failed", address=str(client_address[0]))  # noqa: LOG004  socketserver calls it in an except

    def server_close(self) -> None:
        """Stop listening. A socket that others hold too goes on listening for them."""
        self._socket.close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _turn_away(self) -> None:
        """Close one waiting connection by means of the spare descriptor, so that it does not wait."""
        # Its number is forgotten before it is closed: another thread may get the number, for the file of an
        # instance, and nobody may close that one
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)
        try:
            self._socket.accept()[0].close()
        except OSError as error:
            log.debug("connection.closed", error=str(error))
        finally:
            self._spare = _open_spare()
        log.error("connection.turned_away", reason="no file descriptors are left (LimitNOFILE)")


def _open_spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # another thread was faster: there is none to spare until one is free
        return None


def open_listening(address: str, port: int) -> socket.socket:
    """Open a listening socket. Raises NodeError(PORT_IN_USE) with the reason."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise NodeError(PORT_IN_USE, address=address, port=port, error=reason) from error
    # Where several processes accept on one socket, one of them may come too late
    listening.setblocking(False)
    return listening
