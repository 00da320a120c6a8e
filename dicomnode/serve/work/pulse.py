"""The pulse: keeps the lease of a task while it is carried out, however long that takes."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Final, Self

import structlog

from dicomnode.faults import LEASE_LOST, NodeError
from dicomnode.journal import Journal, TaskRecord
from dicomnode.serve.logs import fault_facts

log = structlog.get_logger("dicomnode.serve")

_LOOK_S: Final = 0.3
# Two heartbeats may fail (a journal that is locked, a full disk) before the lease ends
_BEATS_A_LEASE: Final = 3


class Pulse:
    """Makes the lease longer while the block runs, and writes the task's progress when it has changed.

    It bounds nothing: what takes too long is the supervisor's to end. facts: what the work adds to the
    log line of its end.
    """

    def __init__(self, journal: Journal, task: TaskRecord, lease_s: float, look_s: float = _LOOK_S) -> None:
        self._journal, self._task = journal, task
        self._lease_s, self._look_s = lease_s, look_s
        self._began = time.monotonic()
        self._stage: tuple[str, int, int] | None = None
        self.facts: dict[str, float] = {}
        self._lost = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    @property
    def busy_s(self) -> float:
        """Seconds that the task has taken so far."""
        return time.monotonic() - self._began

    @property
    def words(self) -> str:
        """How far the work is, for people."""
        if self._stage is None:
            return "starting"
        stage, done, total = self._stage
        return f"{stage} {done} of {total}"

    def progress(self, stage: str, done: int, total: int) -> None:
        """Take note of how far the work is (a `Progress`).

        Raises NodeError(LEASE_LOST) when the task is not ours any more: what is done for it would be dropped.
        """
        self._stage = (stage, done, total)
        if self._lost.is_set():
            raise NodeError(LEASE_LOST, task=self._task.id)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        written, beat_at = self._stage, time.monotonic()
        while not self._end.wait(self._look_s):
            now, stage = time.monotonic(), self._stage
            if stage == written and now - beat_at < self._lease_s / _BEATS_A_LEASE:
                continue
            try:
                self._journal.heartbeat(self._task, self._lease_s, datetime.now(UTC), stage)
            except NodeError as error:
                if error.fault is LEASE_LOST:
                    self._lost.set()
                    return
                log.warning("task.heartbeat", task=self._task.id, **fault_facts(error))
            else:
                written, beat_at = stage, now
