"""A courier: one clerk a destination, so that a dead archive delays nobody but itself."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import file_digest
from typing import Final

from dicomnode.deliver import FileOutcome, decide, peer_of, send_files
from dicomnode.faults import BUG, SEND_UNREADABLE, NodeError
from dicomnode.journal import Event, Journal, ObjectRecord, TaskKind, TaskRecord
from dicomnode.serve.work.clerk import Clerk, Post, owner_name
from dicomnode.serve.work.pulse import Pulse
from dicomnode.settings import DestinationSettings, Settings

_LEASE_S: Final = 60.0


class Courier(Clerk):
    """Does the `deliver` tasks of one destination; order kept, one association at a time."""

    def __init__(
        self,
        settings: Settings,
        destination: DestinationSettings,
        journal: Journal,
        stopping: threading.Event,
    ) -> None:
        post = Post(
            name=owner_name("scheduler", f"courier-{destination.name}"),
            kinds=(TaskKind.DELIVER,),
            lease_s=_LEASE_S,
            destination=destination.name,
        )
        super().__init__(post, journal, stopping)
        self._calling_ae = settings.node.ae_title
        self._destination = destination
        self._random = random.Random()  # noqa: S311  jitter of retry times, nothing secret

    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Send what the destination has not stored yet; each answer is written at once."""
        waiting = self._journal.undelivered(task)
        uid_of = {record.path: record.sop_instance_uid for record in waiting}
        done = 0

        def note(outcome: FileOutcome) -> None:
            nonlocal done
            done += 1
            self._journal.record_delivery(
                task,
                uid_of[outcome.path],
                outcome.outcome,
                outcome.status,
                outcome.text,
                datetime.now(UTC),
            )
            pulse.progress("sending", done, len(waiting))

        damaged = _damaged(waiting)
        for outcome in damaged:
            note(outcome)
        withheld = {outcome.path for outcome in damaged}
        outcomes = send_files(
            peer_of(self._destination),
            self._calling_ae,
            [record.path for record in waiting if record.path not in withheld],
            on_outcome=note,
            stop=self._stopping,
        )
        if len(outcomes) + len(damaged) < len(waiting):
            raise NodeError(BUG, where="deliver", error="an object was not answered for")
        now = datetime.now(UTC)
        decision = decide([*damaged, *outcomes], task.attempt, self._destination, now, self._random.random())
        event = Event[decision.event]
        self._journal.finish(task, event, now, error=decision.fault, not_before=decision.not_before)
        return event


def _damaged(records: Sequence[ObjectRecord]) -> list[FileOutcome]:
    """Those whose content is no longer what was written: a wrong result must not leave the node."""
    found: list[FileOutcome] = []
    for record in records:
        try:
            with record.path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
        except OSError:
            continue  # sending says what is the matter with it
        if digest != record.digest:
            text = "its content is not what was written (SHA-256)"
            fault = NodeError(SEND_UNREADABLE, path=record.path, error=text)
            found.append(
                FileOutcome(
                    path=record.path,
                    sop_instance_uid=record.sop_instance_uid,
                    outcome="refused",
                    fault=fault,
                )
            )
    return found
