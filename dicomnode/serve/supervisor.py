"""The supervisor: opens the store and the port, keeps the children alive, and speaks to systemd."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from dicomnode.faults import CHILD_DIED, DEVICE_OUT, EXIT_DONE, EXIT_STORAGE, NodeError
from dicomnode.journal import Event, Journal, TaskState
from dicomnode.receive import open_listening
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.process.crew import Crew
from dicomnode.serve.process.devices import Survey
from dicomnode.serve.process.line import Beat, ParentLine, line_pair, wait_readable
from dicomnode.serve.process.notify import Notifier
from dicomnode.serve.process.place import DEVICE_BROKE, OUT_BECAUSE, Place
from dicomnode.serve.work.clerk import is_of
from dicomnode.settings import ReceiveSettings, Settings
from dicomnode.store import Store

log = structlog.get_logger("dicomnode.serve")

_LOOP_S: Final = 1.0
# A child that says nothing for so long hangs: beats come each second, and only from loops that turn
_SILENCE_S: Final = 30.0
# Before its first beat a child imports libraries, on a slow disk one after the other
_FIRST_BEAT_S: Final = 120.0
_RESTART_FIRST_S: Final = 0.5
_RESTART_LONGEST_S: Final = 30.0
# A child that lived so long has shown that it can: the next restart is quick again
_STEADY_S: Final = 60.0
# They write what was acknowledged, and end with EXIT_STORAGE when a disk cannot be believed any more
_OF_THE_DISK: Final = ("receiver", "scheduler")
_FIRST_INHERITED_FD: Final = 3  # sd_listen_fds(3)


@dataclass(slots=True)
class Child:
    """One child process and what is known of it; times are of the monotonic clock. place: of a worker."""

    role: str
    place: Place | None = None
    process: subprocess.Popen[bytes] | None = None
    line: ParentLine | None = None
    beat: Beat | None = None
    started_at: float = 0.0
    heard_at: float = 0.0
    start_again_at: float = 0.0
    failures: int = 0
    killed: bool = False

    @property
    def name(self) -> str:
        """Of the process, in logs and for STATUS=."""
        return self.role if self.place is None else self.place.name

    @property
    def state(self) -> str:
        """What it last said, for STATUS=."""
        return self.beat.state if self.beat is not None else "starting"


def open_listener(settings: ReceiveSettings, environ: dict[str, str]) -> socket.socket:
    """Take the listening socket that systemd hands over (LISTEN_FDS, a socket unit), else open the port.

    Raises NodeError(PORT_IN_USE).
    """
    if environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS") == "1":
        return socket.socket(fileno=_FIRST_INHERITED_FD)
    return open_listening(settings.address, settings.port)


class Supervisor:
    """Runs the service until it is told to stop.

    Only receiving must be up for READY=1: no association ever waits for an engine.
    """

    ALWAYS: Final = ("receiver", "scheduler")

    def __init__(
        self,
        settings: Settings,
        config: Path,
        *,
        notifier: Notifier,
        clock: Callable[[], float] = time.monotonic,
        survey: Callable[[], Sequence[Place] | None] | None = None,
    ) -> None:
        """Prepare to run. survey: tells where workers shall work, None while it does not know."""
        self._settings = settings
        self._config = config
        self._notifier = notifier
        self._clock = clock
        self._children = [Child(role) for role in self.ALWAYS]
        self._survey = survey or Survey(settings).places
        self._crew: Crew | None = None
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
            self._release_all()  # opens the journal before anybody else: it is migrated here
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
            self._turn(listener, self._clock())
            # The line of one that was killed has ended: it would wake us all the time until it is gone
            lines = [child.line for child in self._children if child.line is not None and not child.killed]
            wait_readable(lines, _LOOP_S)

    def _turn(self, listener: socket.socket, now: float) -> None:
        if self._crew is None and (places := self._survey()) is not None:
            self._crew = Crew(places)
            self._children += [Child("worker", place) for place in places]
        for child in list(self._children):
            self._tend(child, listener, now)
        self._tell_systemd(now)

    def _tend(self, child: Child, listener: socket.socket, now: float) -> None:
        if child.process is None:
            if now >= child.start_again_at:
                self._start(child, listener, now)
            return
        status = child.process.poll()
        if child.line is not None:  # after that look: the last words of one that has ended count
            for beat in child.line.beats():
                child.beat, child.heard_at = beat, now
        if status is not None:
            self._bury(child, status, now)
        elif not child.killed and self._hangs(child, now):
            child.killed = True
            log.error("process.hangs", process=child.name, pid=child.process.pid, state=child.state)
            child.process.kill()

    def _hangs(self, child: Child, now: float) -> bool:
        if child.beat is None:
            return now - child.heard_at > _FIRST_BEAT_S
        analyse, busy_s = self._settings.analyse, child.beat.busy_s
        limit_s = analyse.time_limit_s if child.beat.loading is None else analyse.load_limit_s
        return (busy_s is not None and busy_s > limit_s) or now - child.heard_at > _SILENCE_S

    def _start(self, child: Child, listener: socket.socket, now: float) -> None:
        try:
            self._spawn(child, listener, now)
        except OSError as error:  # no process, memory or descriptor is left; there may be one later
            log.error("process.not_started", process=child.name, error=str(error))
            self._wait_longer(child, now)

    def _spawn(self, child: Child, listener: socket.socket, now: float) -> None:
        ours, theirs = line_pair()
        command = [sys.executable, "-m", "dicomnode.serve.child", child.role]
        command += ["--config", str(self._config), "--line", str(theirs.fileno())]
        command += ["--parent", str(os.getpid())]
        keep = [theirs.fileno()]
        if child.role == "receiver":
            command += ["--listener", str(listener.fileno())]
            keep.append(listener.fileno())
        environment = dict(os.environ)
        if child.place is not None:
            command += ["--place", child.place.text()]
            environment = child.place.environment(environment)
        with theirs:
            try:
                child.process = subprocess.Popen(
                    command, pass_fds=keep, stdin=subprocess.DEVNULL, env=environment
                )
            except OSError:
                ours.close()
                raise
        child.line = ParentLine(ours)
        child.beat, child.started_at, child.heard_at, child.killed = None, now, now, False
        log.info("process.started", process=child.name, pid=child.process.pid)

    def _wait_longer(self, child: Child, now: float) -> None:
        child.failures = 0 if now - child.started_at > _STEADY_S else child.failures + 1
        wait_s = min(_RESTART_FIRST_S * 2**child.failures, _RESTART_LONGEST_S)
        child.started_at = now  # for one that did not even start
        child.start_again_at = now + wait_s

    def _bury(self, child: Child, status: int, now: float) -> None:
        self._wait_longer(child, now)
        words = f"signal {-status}" if status < 0 else f"exit status {status}"
        log.error(
            "process.ended",
            process=child.name,
            code=CHILD_DIED.code,
            text=CHILD_DIED.text(process=child.name, status=words),
        )
        if child.line is not None:
            child.line.close()
        in_order = status >= 0 and status != DEVICE_BROKE
        if child.process is not None:
            self._release(child.role, child.process.pid, in_order=in_order)
        loading = child.beat.loading if child.beat is not None else None
        child.process, child.line, child.beat = None, None, None
        if not in_order:
            self._settle(child, loading, now)
        if child.role in _OF_THE_DISK and status == EXIT_STORAGE:
            self._exit, self._stopping = EXIT_STORAGE, True
            self._notifier.tell(STATUS="storage failed: see the log")

    def _settle(self, child: Child, loading: str | None, now: float) -> None:
        """Decide where the next worker in the place of one that was ended works, if there shall be one."""
        if self._crew is None or child.place is None:
            return
        before, after = child.place, self._crew.after_crash(child.place.number, loading, now)
        if after is None or after.without != before.without:
            error = NodeError(DEVICE_OUT, device=before.device, reason=OUT_BECAUSE)
            log.error("device.out", process=child.name, **fault_facts(error))
        if after is None:
            self._children.remove(child)
        child.place = after

    def _release_all(self) -> None:
        """Let the leases end that the last run has left: the store is ours alone, nobody works on it."""
        with Journal.open(self._settings.journal_url) as journal:
            owners = {task.owner for task in journal.tasks(states={TaskState.RUNNING}) if task.owner}
            for owner in sorted(owners):
                count = journal.owner_died(owner, datetime.now(UTC))
                log.info("task.released", process=owner, count=count)

    def _release(self, role: str, pid: int, *, in_order: bool) -> None:
        """Give back what a process had claimed that has ended; else it would wait for its leases to end.

        in_order: it ended by itself or at our word, so none of its tasks is to blame.
        """
        try:
            with Journal.open(self._settings.journal_url) as journal:
                now = datetime.now(UTC)
                running = journal.tasks(states={TaskState.RUNNING})
                for task in [task for task in running if task.owner and is_of(task.owner, role, pid)]:
                    if in_order:
                        journal.finish(task, Event.GIVEN_BACK, now)
                    else:
                        journal.owner_died(task.owner or "", now)
                    log.info(
                        "task.released", process=role, pid=pid, task=task.id, study=task.study_instance_uid
                    )
        except NodeError as error:
            # The node receives without its journal; the leases end by themselves
            log.error("release.failed", process=role, **fault_facts(error))

    def _tell_systemd(self, now: float) -> None:
        receiver = self._children[0].beat
        if not self._told_ready and receiver is not None and receiver.port is not None:
            self._told_ready = True
            self._notifier.tell(READY=1)
            log.info("node.ready", port=receiver.port)
        status = ", ".join(f"{child.name} {child.state}" for child in self._children)
        self._feed_watchdog(now, status)

    def _feed_watchdog(self, now: float, status: str) -> None:
        # What the watchdog must catch is a loop of ours that hangs, so it is fed from them and nowhere else:
        # a child that hangs is killed here, one that has ended is started again
        if self._notifier.watchdog_s and now >= self._watchdog_at:
            self._watchdog_at = now + self._notifier.watchdog_s
            self._notifier.tell(WATCHDOG=1, STATUS=status)

    def _stop_children(self) -> None:
        """End all children in order, then by force; what they had not done is given back."""
        for child in self._children:
            if child.line is not None:
                child.line.stop()
        began = self._clock()
        end = began + self._settings.serve.stop_timeout_s
        while (waiting := self._alive()) and self._clock() < end:
            self._feed_watchdog(self._clock(), f"stopping: {', '.join(child.name for child in waiting)}")
            wait_ended([child.process for child in waiting if child.process is not None], _LOOP_S)
        for child in self._children:
            if child.process is None:
                continue
            if child.process.poll() is None:
                log.warning("process.killed", process=child.name, pid=child.process.pid)
                child.process.kill()  # the journal and the store are made for this
                child.process.wait()
            self._release(child.role, child.process.pid, in_order=True)

    def _alive(self) -> list[Child]:
        return [c for c in self._children if c.process is not None and c.process.poll() is None]


def wait_ended(processes: Sequence[subprocess.Popen[bytes]], timeout_s: float) -> None:
    """Wait until one of the processes has ended, at most `timeout_s`."""
    poller = select.poll()
    with ExitStack() as stack:
        for process in processes:
            try:
                descriptor = os.pidfd_open(process.pid)
            except ProcessLookupError:  # it has ended, and was asked for its status
                return
            stack.callback(os.close, descriptor)
            poller.register(descriptor, select.POLLIN)
        poller.poll(timeout_s * 1000)
