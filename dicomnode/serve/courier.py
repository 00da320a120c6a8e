"""A courier: one thread a destination, so that a dead archive delays nobody but itself."""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import UTC, datetime
from typing import Final

from dicomnode.deliver import FileOutcome, decide, peer_of, send_files
from dicomnode.faults import BUG, NodeError
from dicomnode.journal import Event, Journal, TaskKind, TaskRecord
from dicomnode.serve.carry import carry_out
from dicomnode.settings import DestinationSettings, Settings

_IDLE_S: Final = 0.5
_LEASE_S: Final = 120.0


class Courier(threading.Thread):
    """Claims the `deliver` tasks of one destination; order kept, one association at a time."""

    def __init__(
        self,
        settings: Settings,
        destination: DestinationSettings,
        journal: Journal,
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=f"courier-{destination.name}", daemon=True)
        self._calling_ae = settings.node.ae_title
        self._destination = destination
        self._journal = journal
        self._stopping = stopping
        self._owner = f"scheduler-{os.getpid()}-{self.name}"
        self._random = random.Random()  # noqa: S311  jitter of retry times, nothing secret
        self.turned_at = time.monotonic()

    def run(self) -> None:
        """Deliver until the scheduler stops."""
        while not self._stopping.is_set():
            self.turned_at = time.monotonic()
            task = self._journal.claim(
                {TaskKind.DELIVER},
                self._owner,
                _LEASE_S,
                datetime.now(UTC),
                destination=self._destination.name,
            )
            if task is None:
                self._stopping.wait(_IDLE_S)
            else:
                carry_out(task, self._deliver, self._journal)

    def _deliver(self, task: TaskRecord) -> Event:
        where = self._destination
        waiting = self._journal.undelivered(task)

        uid_of = {record.path: record.sop_instance_uid for record in waiting}

        def note(outcome: FileOutcome) -> None:
            self.turned_at = time.monotonic()
            now = datetime.now(UTC)
            self._journal.heartbeat(task, _LEASE_S, now)
            self._journal.record_delivery(
                task, uid_of[outcome.path], outcome.outcome, outcome.status, outcome.text, now
            )

        outcomes = send_files(
            peer_of(where),
            self._calling_ae,
            [record.path for record in waiting],
            on_outcome=note,
            stop=self._stopping,
        )
        if len(outcomes) < len(waiting) and not self._stopping.is_set():
            raise NodeError(BUG, where="deliver", error="an object was not answered for")
        now = datetime.now(UTC)
        decision = decide(outcomes, task.attempt, where, now, self._random.random())
        event = Event[decision.event]
        self._journal.finish(task, event, now, error=decision.fault, not_before=decision.not_before)
        return event
