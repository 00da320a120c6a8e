"""Destinations that are late: told when that begins, once a day while it lasts, and when it is over.

What waits is no failure of the node, and the log tells of nothing but its tries: who looks after the node
must hear of an archive that is down for an hour, and not hear it again every minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog

from dicomnode.deliver import open_between
from dicomnode.faults import CONFIRMATION_LATE, RESULTS_LATE, NodeError
from dicomnode.journal import Backlog, Journal
from dicomnode.serve.logs import fault_facts
from dicomnode.settings import DestinationSettings

log = structlog.get_logger("dicomnode.serve")

_AGAIN: Final = timedelta(days=1)
# It is over when the oldest is younger than this part of the limit: what comes and goes around it is one time
_OVER: Final = 0.5
_LOOK_EVERY: Final = timedelta(seconds=60)
_LOOKS_A_LIMIT: Final = 4
_NAMED: Final = 3  # for STATUS=, which is one line

What = Literal["results", "confirmations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What waits for a destination: results to be sent, or confirmations of what it stored.

    age: how long the oldest has waited when the destination could have had it. limit: what it may be; 0: any.
    """

    destination: str
    what: What
    count: int
    since: datetime
    age: timedelta
    limit: timedelta
    why: str = ""

    @property
    def error(self) -> NodeError:
        """Say that it is late, by its row of the table."""
        facts = {"destination": self.destination, "count": self.count, "since": f"{self.since:%F %H:%M} UTC"}
        if self.what == "confirmations":
            return NodeError(CONFIRMATION_LATE, **facts)
        return NodeError(RESULTS_LATE, why=self.why.rstrip(".") or "they were not tried yet", **facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is to be told. queue: None where it is over."""

    destination: str
    what: What
    queue: Queue | None


class Lateness:
    """Decides when a destination is late, and when that is over; keeps what was told.

    A node that starts anew tells once more what lasts.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, What], datetime] = {}

    @property
    def late(self) -> list[str]:
        """Names of the destinations that are late."""
        return sorted({destination for destination, _ in self._told})

    def look(self, queues: Iterable[Queue], now: datetime) -> list[Said]:
        """Give what is to be told now. queues: all that something waits in."""
        by_key = {(queue.destination, queue.what): queue for queue in queues}
        over = [key for key in self._told if not _lasts(by_key.get(key))]
        for key in over:
            del self._told[key]
        said = [Said(destination=name, what=what, queue=None) for name, what in over]
        for key, queue in by_key.items():
            told = self._told.get(key)
            begins = told is None and bool(queue.limit) and queue.age > queue.limit
            if begins or (told is not None and abs(now - told) >= _AGAIN):
                self._told[key] = now
                said.append(Said(destination=queue.destination, what=queue.what, queue=queue))
        return said


def _lasts(queue: Queue | None) -> bool:
    return queue is not None and bool(queue.limit) and queue.age > queue.limit * _OVER


def queues_of(to: DestinationSettings, backlog: Backlog | None, now: datetime) -> Iterator[Queue]:
    """Give what waits for a destination. An answer that may take its time is not late before that is over."""
    if backlog is None:
        return
    limit = timedelta(seconds=to.warn_after_s)
    if backlog.waiting and backlog.since is not None:
        yield Queue(
            destination=to.name,
            what="results",
            count=backlog.waiting,
            since=backlog.since,
            age=open_between(to.hours, _wall(backlog.since), _wall(now)),
            limit=limit,
            why=backlog.why,
        )
    if backlog.unconfirmed and backlog.unconfirmed_since is not None:
        due = backlog.unconfirmed_since + timedelta(seconds=to.confirm_wait_s + to.filed_within_s)
        yield Queue(
            destination=to.name,
            what="confirmations",
            count=backlog.unconfirmed,
            since=backlog.unconfirmed_since,
            age=open_between(to.hours, _wall(due), _wall(now)),
            limit=limit,
        )


def _wall(at: datetime) -> datetime:
    """What the clock on the wall of this machine shows then."""
    return at.astimezone().replace(tzinfo=None)


class LateWatch:
    """Looks at what waits now and then, and logs what is to be told."""

    def __init__(self, destinations: Sequence[DestinationSettings], journal: Journal) -> None:
        self._destinations, self._journal = destinations, journal
        self._lateness = Lateness()
        self._looked_at: datetime | None = None
        limits = [one.warn_after_s for one in destinations if one.warn_after_s]
        self._every = min([_LOOK_EVERY, *(timedelta(seconds=limit) / _LOOKS_A_LIMIT for limit in limits)])
        self._is_wanted = bool(limits)
        self.words = ""

    def turn(self, now: datetime) -> None:
        """Look, unless that was a moment ago, and log. Raises NodeError(JOURNAL_FAILED)."""
        if not self._is_wanted or (self._looked_at is not None and abs(now - self._looked_at) < self._every):
            return
        backlogs = self._journal.backlogs()
        queues = [queue for to in self._destinations for queue in queues_of(to, backlogs.get(to.name), now)]
        for said in self._lateness.look(queues, now):
            _log(said)
        late = self._lateness.late
        more = f" and {len(late) - _NAMED} more" if len(late) > _NAMED else ""
        self.words = f"late: {', '.join(late[:_NAMED])}{more}" if late else ""
        self._looked_at = now


def _log(said: Said) -> None:
    if said.queue is None:
        log.info("destination.not_late", destination=said.destination, what=said.what)
        return
    queue = said.queue
    log.warning(
        "destination.late",
        destination=queue.destination,
        what=queue.what,
        count=queue.count,
        since=queue.since.isoformat(timespec="seconds"),
        **fault_facts(queue.error),
    )
