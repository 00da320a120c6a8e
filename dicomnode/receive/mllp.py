"""HL7 messages over TCP: the Minimal Lower Layer Protocol (HL7 transport specification, appendix C).

A message stands between 0x0B and 0x1C 0x0D; each is answered on the same connection before the next is read.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

import structlog

from dicomnode.receive.listener import Listener, open_listening

log = structlog.get_logger("dicomnode.receive")

_START: Final = b"\x0b"
_END: Final = b"\x1c\x0d"
_LINE_ENDS: Final = b"\r\n"
_CHUNK: Final = 65536
_POLL_S: Final = 0.5
_MOST_CONNECTIONS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MllpLimits:
    """senders: IP addresses and networks that may send; others are closed without an answer.

    message_bytes: of one message at most. timeout_s: longest time for a message to be whole, from its first
    byte, and for its answer to be taken. idle_s: longest silence between messages: who wants to say more then
    connects again, and gives its place to others meanwhile.
    """

    senders: Sequence[str]
    message_bytes: int
    timeout_s: float
    idle_s: float = 600.0


class MllpListener:
    """Takes messages and answers each with what `answer` says of it: (message, address) → acknowledgment.

    answer: must not raise, and is called by several threads.
    """

    def __init__(
        self,
        address: str,
        port: int,
        limits: MllpLimits,
        answer: Callable[[bytes, str], bytes],
        stopping: threading.Event,
    ) -> None:
        """Open the port. Raises NodeError(PORT_IN_USE)."""
        self._networks = [ip_network(sender, strict=False) for sender in limits.senders]
        self._limits = limits
        self._answer = answer
        self._stopping = stopping
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._listener = Listener(open_listening(address, port), self._may_enter, self._serve)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._listener.port

    def run(self) -> None:
        """Take messages until told to stop."""
        ending = threading.Thread(target=self._end, name="hl7-end", daemon=True)
        ending.start()
        try:
            self._listener.serve_forever(_POLL_S)
        finally:
            self._listener.server_close()

    def _end(self) -> None:
        self._stopping.wait()
        self._listener.shutdown()

    def _may_enter(self, address: str) -> bool:
        if not any(ip_address(address) in network for network in self._networks):
            log.warning("hl7.refused", address=address, reason="it is not of [hl7] senders")
            return False
        return True

    def _serve(self, connection: socket.socket, address: str) -> None:
        if not self._free.acquire(blocking=False):
            raise ConnectionRefusedError(f"{_MOST_CONNECTIONS} connections are open")
        try:
            threading.Thread(
                target=self._converse, args=(connection, address), name="hl7", daemon=True
            ).start()
        except RuntimeError as error:  # no thread is left
            self._free.release()
            raise ConnectionRefusedError(str(error)) from error

    def _converse(self, connection: socket.socket, address: str) -> None:
        try:
            with connection:
                while (message := self._read(connection)) is not None:
                    connection.settimeout(self._limits.timeout_s)
                    connection.sendall(_START + self._answer(message, address) + _END)
        except OSError as error:
            log.debug("connection.closed", address=address, error=str(error))
        except _BrokenFrame as broken:
            log.warning("hl7.closed", address=address, reason=str(broken))
        finally:
            self._free.release()

    def _read(self, connection: socket.socket) -> bytes | None:
        """The next message; None at the end of the connection or of the service, and of a long silence.

        Raises _BrokenFrame.
        Line ends around a message, which some senders add, are passed over.
        """
        found, until = bytearray(), None
        silent_until = time.monotonic() + self._limits.idle_s
        connection.settimeout(_POLL_S)
        while not self._stopping.is_set():
            try:
                chunk = connection.recv(_CHUNK)
            except TimeoutError:
                chunk = None
            if chunk == b"":
                return None
            found += chunk or b""
            if until is None and (found := found.lstrip(_LINE_ENDS)):
                until = time.monotonic() + self._limits.timeout_s
            message = self._whole(found)
            if message is not None:
                return message
            if until is not None and time.monotonic() > until:
                raise _BrokenFrame(f"a message was not whole after {self._limits.timeout_s:g} s")
            if until is None and time.monotonic() > silent_until:
                return None
        return None

    def _whole(self, found: bytearray) -> bytes | None:
        """The message in what came; None while there is more of it to come. Raises _BrokenFrame."""
        if found and not found.startswith(_START):
            raise _BrokenFrame("what came does not begin a message (0x0B)")
        end = found.find(_END)
        if (len(found) if end < 0 else end) > self._limits.message_bytes:
            raise _BrokenFrame(f"a message is longer than {self._limits.message_bytes} bytes")
        if end < 0:
            return None
        if found[end + len(_END) :].strip(_LINE_ENDS):
            raise _BrokenFrame("something came behind a message before it was answered")
        return bytes(found[1:end])


class _BrokenFrame(Exception):  # noqa: N818  it ends a conversation, and goes no further
    """What came is no message; the text says why."""
