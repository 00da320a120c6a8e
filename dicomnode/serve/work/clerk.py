"""A clerk: claims tasks and carries them out, one after the other, and outlives each of them."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from dicomnode.faults import NodeError
from dicomnode.journal import Event, Journal, TaskKind, TaskRecord
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.work.carry import carry_out
from dicomnode.serve.work.pulse import Pulse

log = structlog.get_logger("dicomnode.serve")

_IDLE_S: Final = 0.3
# A journal that is locked or has no disk left is not better a moment later
TROUBLE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a clerk claims, and for how long. name: of the owner, with process and its number before it."""

    name: str
    kinds: Collection[TaskKind]
    lease_s: float
    destination: str | None = None


class Clerk(ABC):
    """Works at a post until `stopping`; `work` does one task."""

    def __init__(self, post: Post, journal: Journal, stopping: threading.Event) -> None:
        self._post = post
        self._journal = journal
        self._stopping = stopping
        self.turned_at = time.monotonic()
        self._after: int | None = None  # the priority of what was claimed last

    def run(self) -> None:
        """Work until told to stop."""
        while not self._stopping.is_set():
            self.turned_at = time.monotonic()
            try:
                task = self._claim()
                idle = task is None and not self.aside()
            except NodeError as error:
                # The journal's trouble ends no clerk: what it has done stays done, and the rest waits
                log.error("claim.failed", process=self._post.name, **fault_facts(error))
                self._stopping.wait(TROUBLE_S)
                continue
            if task is not None:
                carry_out(task, self.work, self._journal, self._post.lease_s)
            elif idle:
                self._stopping.wait(_IDLE_S)

    @abstractmethod
    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Do the task, end it in the journal, and tell with which event."""

    def aside(self) -> bool:
        """Do a little of what is not a task, when there is none; tell whether there is more of it."""
        return False

    def _claim(self) -> TaskRecord | None:
        post = self._post
        task = self._journal.claim(
            post.kinds,
            post.name,
            post.lease_s,
            datetime.now(UTC),
            destination=post.destination,
            after=self._after,
        )
        self._after = self._after if task is None else task.priority
        return task


def owner_name(role: str, name: str = "") -> str:
    """Who claims: the role of this process, its number, and which of its threads; see `is_of`."""
    return f"{role}-{os.getpid()}" + (f"-{name}" if name else "")


def is_of(owner: str, role: str, pid: int) -> bool:
    """Whether an owner of a task is (a thread of) that process."""
    return owner == f"{role}-{pid}" or owner.startswith(f"{role}-{pid}-")
