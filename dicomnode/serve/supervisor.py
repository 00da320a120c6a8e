"""The supervisor: opens the store and the port, keeps the children alive, and speaks to systemd."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from dicomnode.faults import CHILD_DIED, EXIT_DONE, EXIT_STORAGE, PORT_IN_USE, NodeError
from dicomnode.journal import Journal, TaskState
from dicomnode.serve.line import Beat, ParentLine, line_pair, wait_readable
from dicomnode.serve.notify import Notifier
from dicomnode.settings import ReceiveSettings, Settings
from dicomnode.store import Store

log = structlog.get_logger("dicomnode.serve")

_LOOP_S: Final = 1.0
# A child that says nothing for so long hangs: beats come each second, and only from loops that turn
_SILENCE_S: Final = 30.0
# The worker reads engines and runs their gates before its first beat
_FIRST_BEAT_S: Final = 120.0
_RESTART_FIRST_S: Final = 0.5
_RESTART_LONGEST_S: Final = 30.0
# A child that lived so long has shown that it can: the next restart is quick again
_STEADY_S: Final = 60.0
_BACKLOG: Final = 256
_FIRST_INHERITED_FD: Final = 3  # sd_listen_fds(3)


@dataclass(slots=True)
class Child:
    """One child process and what is known of it; times are of the monotonic clock."""

    role: str
    process: subprocess.Popen[bytes] | None = None
    line: ParentLine | None = None
    beat: Beat | None = None
    started_at: float = 0.0
    heard_at: float = 0.0
    start_again_at: float = 0.0
    failures: int = 0
    exits: list[int] = field(default_factory=list)


def open_listener(settings: ReceiveSettings, environ: dict[str, str]) -> socket.socket:
    """Take the listening socket that systemd hands over (dicomnode.socket), else open the port.

    Raises NodeError(PORT_IN_USE).
    """
    if environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS") == "1":
        return socket.socket(fileno=_FIRST_INHERITED_FD)
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.address, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise NodeError(
            PORT_IN_USE, port=settings.port, address=settings.address, error=error.strerror or error
        ) from error
    return listener


class Supervisor:
    """Runs the service until it is told to stop.

    Only receiving must be up for READY=1: no association ever waits for an engine.
    """

    ROLES: Final = ("receiver", "scheduler", "worker")

    def __init__(
        self,
        settings: Settings,
        config: Path,
        *,
        notifier: Notifier,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._config = config
        self._notifier = notifier
        self._clock = clock
        self._children = [Child(role) for role in self.ROLES]
        self._stopping = False
        self._exit = EXIT_DONE
        self._told_ready = False
        self._watchdog_at = 0.0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; give the exit code. Raises NodeError if it cannot start."""
        store = Store.open(
            self._settings.store.path, reserve_gb=self._settings.store.reserve_gb, exclusive=True
        )
        try:
            recovery = store.recover()
            log.info("store.recovered", sealed=recovery.sealed, torn=len(recovery.torn))
            self._release("")  # opens the journal before anybody else: it is migrated here
            with open_listener(self._settings.receive, dict(os.environ)) as listener:
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, self._on_signal)
                try:
                    self._loop(listener)
                finally:
                    self._stop_children()
        finally:
            store.close()
        log.info("node.stopped", exit=self._exit)
        return self._exit

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        self._notifier.tell(STOPPING=1, STATUS=f"stopping after {signal.Signals(number).name}")

    def _loop(self, listener: socket.socket) -> None:
        while not self._stopping:
            now = self._clock()
            for child in self._children:
                self._tend(child, listener, now)
            self._tell_systemd(now)
            lines = [child.line for child in self._children if child.line is not None]
            wait_readable(lines, _LOOP_S)

    def _tend(self, child: Child, listener: socket.socket, now: float) -> None:
        if child.process is None:
            if now >= child.start_again_at:
                self._start(child, listener, now)
            return
        if child.line is not None:
            for beat in child.line.beats():
                child.beat, child.heard_at = beat, now
        status = child.process.poll()
        if status is not None:
            self._bury(child, status, now)
        elif self._hangs(child, now):
            log.error("process.hangs", process=child.role, pid=child.process.pid)
            child.process.kill()

    def _hangs(self, child: Child, now: float) -> bool:
        limit = _FIRST_BEAT_S if child.beat is None else _SILENCE_S
        busy_s = child.beat.busy_s if child.beat is not None else None
        too_long = busy_s is not None and busy_s > self._settings.analyse.time_limit_s
        return too_long or now - child.heard_at > limit

    def _start(self, child: Child, listener: socket.socket, now: float) -> None:
        ours, theirs = line_pair()
        command = [sys.executable, "-m", "dicomnode.serve.child", child.role]
        command += [
            "--config",
            str(self._config),
            "--line",
            str(theirs.fileno()),
            "--parent",
            str(os.getpid()),
        ]
        keep = [theirs.fileno()]
        if child.role == "receiver":
            command += ["--listener", str(listener.fileno())]
            keep.append(listener.fileno())
        with theirs:
            child.process = subprocess.Popen(command, pass_fds=keep, stdin=subprocess.DEVNULL)
        child.line = ParentLine(ours)
        child.beat, child.started_at, child.heard_at = None, now, now
        log.info("process.started", process=child.role, pid=child.process.pid)

    def _bury(self, child: Child, status: int, now: float) -> None:
        child.failures = 0 if now - child.started_at > _STEADY_S else child.failures + 1
        wait_s = min(_RESTART_FIRST_S * 2**child.failures, _RESTART_LONGEST_S)
        words = f"signal {-status}" if status < 0 else f"exit status {status}"
        log.error(
            "process.ended",
            process=child.role,
            code=CHILD_DIED.code,
            text=CHILD_DIED.text(process=child.role, status=words),
        )
        if child.line is not None:
            child.line.close()
        if child.process is not None:
            self._release(f"{child.role}-{child.process.pid}")
        child.process, child.line, child.beat = None, None, None
        child.start_again_at = now + wait_s
        if child.role == "receiver" and status == EXIT_STORAGE:
            self._exit, self._stopping = EXIT_STORAGE, True
            self._notifier.tell(STATUS="storage failed: see the log")

    def _release(self, owner_prefix: str) -> None:
        """Give back what a process had claimed that is known to be dead; at start, that is all of it.

        Nobody else works on this store: its lock is ours. Without this the tasks would wait for their
        leases to end.
        """
        with Journal.open(self._settings.journal_url) as journal:
            owners = {task.owner for task in journal.tasks(states={TaskState.RUNNING})}
            for owner in sorted(owner for owner in owners if owner and owner.startswith(owner_prefix)):
                count = journal.owner_died(owner, datetime.now(UTC))
                log.info("task.released", process=owner, count=count)

    def _tell_systemd(self, now: float) -> None:
        states = {child.role: child.beat.state if child.beat else "starting" for child in self._children}
        receiver = self._children[0].beat
        if not self._told_ready and receiver is not None and receiver.port is not None:
            self._told_ready = True
            self._notifier.tell(READY=1)
            log.info("node.ready", port=receiver.port)
        if self._notifier.watchdog_s and now >= self._watchdog_at and self._all_alive():
            self._watchdog_at = now + self._notifier.watchdog_s
            status = ", ".join(f"{role} {state}" for role, state in states.items())
            self._notifier.tell(WATCHDOG=1, STATUS=status)

    def _all_alive(self) -> bool:
        # A child that is being started again is tended here; one that hangs has been killed above. What the
        # watchdog must catch is this loop, so it is fed from nowhere else.
        return all(child.process is not None or child.start_again_at > 0 for child in self._children)

    def _stop_children(self) -> None:
        # The receiver first: what it has not acknowledged, the sender keeps
        for child in self._children:
            if child.line is not None:
                child.line.stop()
        end = self._clock() + self._settings.serve.stop_timeout_s
        for child in self._children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, end - self._clock()))
            except subprocess.TimeoutExpired:
                log.warning("process.killed", process=child.role, pid=child.process.pid)
                child.process.kill()  # the journal and the store are made for this
                child.process.wait()
