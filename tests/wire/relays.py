"""A network that is cut once, after so many bytes, in the middle of whatever that is."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.wire.peers import DEADLINE_S

_PIECE = 65536


@dataclass
class Relay:
    """Passes on between whoever connects and a port of this machine.

    passed: bytes so far, of all connections in both directions. cut_at: when so many have passed, the
    connection that passes them is reset in both directions, once.
    """

    to_port: int
    port: int = 0
    passed: int = 0
    cut_at: int | None = None
    cuts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def allowed(self, count: int) -> int:
        """How many of the next bytes pass; fewer than all of them: the connection is cut behind them."""
        with self._lock:
            if self.cut_at is not None and self.passed + count >= self.cut_at:
                count = max(0, self.cut_at - self.passed)
                self.cut_at, self.cuts = None, self.cuts + 1
                self.passed += count
                return -count - 1
            self.passed += count
            return count

    def connect(self, asking: socket.socket) -> None:
        with (
            asking,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.to_port), DEADLINE_S) as server,
        ):
            server.settimeout(None)
            back = threading.Thread(target=self._pass, args=(server, asking), daemon=True)
            back.start()
            self._pass(asking, server)
            back.join(DEADLINE_S)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(_PIECE):
                allowed = self.allowed(len(content))
                target.sendall(content if allowed >= 0 else content[: -allowed - 1])
                if allowed < 0:
                    _reset(source, target)
                    return
            target.shutdown(socket.SHUT_WR)


def _reset(*connections: socket.socket) -> None:
    """End them as a cable that is pulled does for those who go on sending: by a reset."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay(to_port: int) -> Iterator[Relay]:
    """A relay to a port of this machine, until the end of the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    running = Relay(to_port, listener.getsockname()[1])

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                asking, _ = listener.accept()
                threading.Thread(target=running.connect, args=(asking,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(DEADLINE_S)
