"""The line between supervisor and child: heartbeats up, "stop" down, and each notices the other's end."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

_MESSAGE_MAX: Final = 4096
# Opened here: between fork and exec nothing may be loaded
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a child says each second.

    state: a word for STATUS= ("listening", "ready", "analysing"). busy_s: how long the present piece of work
    has taken, None when idle; the supervisor ends a child whose work takes longer than its limit. loading:
    the engine that it loads; `busy_s` is of that then, and has another limit.
    """

    state: str
    busy_s: float | None = None
    port: int | None = None
    loading: str | None = None


def line_pair() -> tuple[socket.socket, socket.socket]:
    """Make a line: (supervisor's end, child's end); messages keep their borders."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class ChildLine:
    """The child's end. `stopping` is set when the supervisor says stop, or is gone."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.stopping = threading.Event()
        threading.Thread(target=self._listen, name="line", daemon=True).start()

    def beat(self, beat: Beat) -> None:
        """Tell the supervisor; a full line is no reason to wait, the next beat comes soon."""
        message = json.dumps(asdict(beat)).encode()
        try:
            self._end.send(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError:
            self.stopping.set()

    def _listen(self) -> None:
        # "stop", or empty, or an error: the supervisor has ended, perhaps with beats unread
        with suppress(OSError):
            self._end.recv(_MESSAGE_MAX)
        self.stopping.set()


class ParentLine:
    """The supervisor's end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.setblocking(False)

    def fileno(self) -> int:
        """Descriptor, for poll."""
        return self._end.fileno()

    def beats(self) -> list[Beat]:
        """Take the beats that have come."""
        taken: list[Beat] = []
        while True:
            try:
                message = self._end.recv(_MESSAGE_MAX)
            except (BlockingIOError, ConnectionError):
                return taken
            if not message:
                return taken
            taken.append(Beat(**json.loads(message)))

    def stop(self) -> None:
        """Ask the child to stop."""
        try:
            self._end.send(b"stop", socket.MSG_NOSIGNAL)
        except OSError:
            return  # it has ended already

    def close(self) -> None:
        """Close this end."""
        self._end.close()


def wait_readable(lines: list[ParentLine], timeout_s: float) -> None:
    """Wait until one of the lines has a beat, at most `timeout_s`."""
    poller = select.poll()
    for line in lines:
        poller.register(line.fileno(), select.POLLIN)
    poller.poll(timeout_s * 1000)


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, however that ends (prctl PR_SET_PDEATHSIG).

    A child that lived on would hold the port, and work beside the one that the next supervisor starts.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before the line above
        os._exit(0)
