"""Runs a build in a child process: what kills a runtime must not kill who asked for the plan."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicomnode.engine.plans.job import BuildJob, BuildProgress, left_s, tail_of
from dicomnode.faults import (
    FAULTS,
    PLAN_BUILD_DIED,
    PLAN_BUILD_TOO_LONG,
    NodeError,
)

_MODULE: Final = "dicomnode.engine.plans.building"
_TICK_S: Final = 0.5  # how often the estimate is told again while the build says nothing

Watch = Callable[[BuildProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Who follows a build, and how long it may take.

    earlier_s: how long the last build of its kind took. clock: seconds that only go up.
    """

    watch: Watch = lambda _progress: None
    limit_s: float = 3600.0
    earlier_s: float | None = None
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _Told:
    """What the child has said so far."""

    phase: str = "starting"
    part: float | None = None
    done: Mapping[str, Any] | None = None
    failed: NodeError | None = None

    def take(self, line: bytes) -> None:
        message = json.loads(line)
        if "done" in message:
            self.done = message["done"]
        elif "failed" in message:
            self.failed = NodeError(FAULTS[message["failed"]], **message["values"])
        else:
            self.phase, self.part = message["phase"], message["part"]


def run_build(job: BuildJob, log: Path, following: Following) -> Mapping[str, Any]:
    """Build the plan of a job in a child process; return what the builder told of it.

    log: file that takes what the child writes; it can be followed. Raises NodeError: what the builder
    raised, PLAN_BUILD_DIED with the log's last lines, PLAN_BUILD_TOO_LONG.
    """
    begun = following.clock()
    reading, writing = os.pipe()
    try:
        child = _start(job, log, writing)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with child, open(reading, "rb", buffering=0) as messages:  # noqa: PTH123  a descriptor, not a path
        told = _Told()
        try:
            ended = _follow(messages.fileno(), told, following, begun)
            if ended:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(max(begun + following.limit_s - following.clock(), 1.0))
        finally:
            _end(child)
    if told.failed is not None:
        raise told.failed
    if told.done is not None and child.returncode == 0:
        return told.done
    if not ended:
        raise NodeError(PLAN_BUILD_TOO_LONG, plan=job.log_name, limit_s=following.limit_s, log=log)
    status = _status(child.returncode)
    raise NodeError(PLAN_BUILD_DIED, plan=job.log_name, status=status, tail=tail_of(log), log=log)


def _start(job: BuildJob, log: Path, writing: int) -> subprocess.Popen[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    target = os.open(log, flags, 0o600)
    try:
        child = subprocess.Popen(
            # -P: what lies in the folder that the service was started in is not imported
            [sys.executable, "-P", "-m", _MODULE, str(writing)],
            stdin=subprocess.PIPE,
            stdout=target,
            stderr=subprocess.STDOUT,
            pass_fds=(writing,),
            start_new_session=True,
        )
    finally:
        os.close(target)
    with suppress(BrokenPipeError):  # it died at once: its exit status tells of it
        assert child.stdin is not None
        child.stdin.write(job.line())
        child.stdin.flush()
    return child


def _follow(fd: int, told: _Told, following: Following, begun: float) -> bool:
    """Take messages until the child has no more to say; False when its time is over."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while told.done is None and told.failed is None:
            elapsed_s = _tell(told, following, begun)
            if elapsed_s >= following.limit_s:
                return False
            if not selector.select(min(_TICK_S, following.limit_s - elapsed_s)):
                continue
            piece = os.read(fd, 1 << 16)
            if not piece:
                return True
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                told.take(line)
                _tell(told, following, begun)
    return True


def _tell(told: _Told, following: Following, begun: float) -> float:
    """Tell how far it is; return the seconds since it began."""
    elapsed_s = following.clock() - begun
    estimate = left_s(elapsed_s, following.earlier_s, told.part)
    following.watch(BuildProgress(told.phase, told.part, elapsed_s, estimate))
    return elapsed_s


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # its own session: what it started goes with it
    child.wait()


def _status(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    with suppress(ValueError):
        return f"signal {-returncode} ({signal.Signals(-returncode).name})"
    return f"signal {-returncode}"
