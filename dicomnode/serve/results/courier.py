"""A courier: one clerk a destination, so that a dead archive delays nobody but itself."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import file_digest
from typing import Final

from dicomnode.deliver import FileOutcome, Route, decide, opens_at, route_to
from dicomnode.faults import BUG, OUTSIDE_HOURS, RESULTS_HELD, SEND_UNREADABLE, NodeError
from dicomnode.journal import (
    RELEASED_BY,
    Closed,
    Event,
    Journal,
    NewTask,
    Note,
    ObjectRecord,
    TaskKind,
    TaskRecord,
    is_of_retraction,
    place_of,
)
from dicomnode.net.rate import Rate
from dicomnode.serve.deciding.plan import confirm_task, report_again
from dicomnode.serve.results.confirming import Confirming
from dicomnode.serve.results.taken import NEWS, class_of_images, what_it_gets
from dicomnode.serve.work.clerk import Clerk, Post, owner_name
from dicomnode.serve.work.pulse import Pulse
from dicomnode.settings import DestinationSettings, Settings
from dicomnode.values import Sender

_LEASE_S: Final = 60.0
_SENT_BACK: Final = "objects.refused"


class Courier(Clerk):
    """Does the `deliver` tasks of one destination; order kept, one association at a time.

    With kind CONFIRM it asks whether what was sent is kept, so that no delivery waits for an answer.
    """

    def __init__(
        self,
        settings: Settings,
        destination: DestinationSettings,
        journal: Journal,
        stopping: threading.Event,
        kind: TaskKind = TaskKind.DELIVER,
    ) -> None:
        post = Post(
            name=owner_name("scheduler", f"{kind}-{destination.name}"),
            kinds=(kind,),
            lease_s=_LEASE_S,
            destination=destination.name,
        )
        super().__init__(post, journal, stopping)
        self._calling_ae = settings.node.ae_title
        self._destination = destination
        self._rate = Rate(destination.rate_mb_s) if destination.rate_mb_s else None
        self._confirming = Confirming(destination, journal)
        self._random = random.Random()  # noqa: S311  jitter of retry times, nothing secret

    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Send, or ask whether what was sent is kept."""
        if self._is_held(task):
            held = NodeError(RESULTS_HELD, destination=self._destination.name)
            self._journal.finish(task, Event.NEEDS_PERSON, datetime.now(UTC), error=held)
            return Event.NEEDS_PERSON
        sender = self._sender(task)
        route = route_to(self._destination, self._calling_ae, sender=sender, rate=self._rate)
        if task.kind is TaskKind.CONFIRM:
            return self._confirming.work(task, route)
        return self._deliver(task, pulse, route, place_of(self._destination.name, sender))

    def _claim(self) -> TaskRecord | None:
        """Claim nothing outside the hours of the destination, but what is to be held there."""
        until = opens_at(self._destination.hours, _wall())
        if until is None:
            return super()._claim()
        why = NodeError(OUTSIDE_HOURS, name=self._destination.name, hours=self._destination.hours)
        closed = Closed(destination=self._destination.name, until=until.astimezone(UTC), why=why)
        self._journal.postpone(self._post.kinds, closed, self._is_held, datetime.now(UTC))
        return super()._claim() if self._destination.hold else None

    def _is_held(self, task: TaskRecord) -> bool:
        """Whether a person has to let it go first; what takes results back is not held."""
        is_free = bool(task.payload.get(RELEASED_BY)) or is_of_retraction(task.engine)
        return self._destination.hold and task.kind is TaskKind.DELIVER and not is_free

    def _sender(self, task: TaskRecord) -> Sender | None:
        """Who sent the study, where results go back there."""
        if not self._destination.to_sender:
            return None
        return self._journal.origin(task.study_instance_uid, task.study_version)

    def _deliver(self, task: TaskRecord, pulse: Pulse, route: Route, place: str) -> Event:
        """Send what the destination has not stored yet; each answer is written at once."""
        waiting = self._journal.undelivered(task)
        trip = _Trip(self._journal, task, self._destination, place, waiting, pulse)
        damaged = _damaged(waiting)
        for outcome in damaged:
            trip.note(outcome)
        withheld = {outcome.path for outcome in damaged}
        outcomes = route.send(
            [record.path for record in waiting if record.path not in withheld],
            on_outcome=trip.note,
            on_negotiated=trip.negotiated,
            stop=self._stopping,
        )
        now = datetime.now(UTC)
        if trip.refused:
            notes = [trip.told_of_refusal()]
            self._journal.finish(task, Event.COMMITTED, now, new_tasks=[report_again(task)], notes=notes)
            return Event.COMMITTED
        if len(outcomes) + len(damaged) < len(waiting):
            raise NodeError(BUG, where="deliver", error="an object was not answered for")
        decision = decide([*damaged, *outcomes], task.attempt, self._destination, now, self._random.random())
        event = Event[decision.event]
        follows = self._follows(task) if event in (Event.COMMITTED, Event.NEEDS_PERSON) else []
        self._journal.finish(
            task, event, now, error=decision.fault, not_before=decision.not_before, new_tasks=follows
        )
        return event

    def _follows(self, task: TaskRecord) -> Sequence[NewTask]:
        """Ask whether it keeps what it stored; where it cannot be asked, its answers must do."""
        uids = [one.record.sop_instance_uid for one in self._journal.unconfirmed(task)]
        if uids and self._destination.confirm != "status":
            return [confirm_task(task)]
        if uids:
            self._journal.confirm(task, uids, "status", datetime.now(UTC))
        return []


class _Trip:
    """One delivery: what is written of it while it is under way.

    place: who the destination is (`place_of`). refused: the SOP Classes that the destination does not take,
    where it gets other kinds of objects instead.
    """

    def __init__(
        self,
        journal: Journal,
        task: TaskRecord,
        destination: DestinationSettings,
        place: str,
        waiting: Sequence[ObjectRecord],
        pulse: Pulse,
    ) -> None:
        self._journal, self._task, self._destination, self._pulse = journal, task, destination, pulse
        self._place, self._waiting = place, waiting
        self._uid_of = {record.path: record.sop_instance_uid for record in waiting}
        self._done = 0
        self.refused: frozenset[str] = frozenset()

    def note(self, outcome: FileOutcome) -> None:
        """Write what became of a file."""
        self._done += 1
        self._journal.record_delivery(
            self._task,
            self._uid_of[outcome.path],
            outcome.outcome,
            outcome.status,
            outcome.text,
            datetime.now(UTC),
        )
        self._pulse.progress("sending", self._done, len(self._waiting))

    def negotiated(self, taken: Mapping[str, bool]) -> bool:
        """Write which SOP Classes the destination takes; tell whether what was made is to be sent.

        It is also where nothing else would be made now instead of what is refused, and where that was made
        anew already and the destination says nothing new: what is refused waits for a person then.
        """
        now = datetime.now(UTC)
        known = self._journal.refused_classes(self._place, now - NEWS)
        self._journal.note_classes(self._place, taken, now)
        refused = frozenset(uid for uid, is_taken in taken.items() if not is_taken)
        if not refused or not self._destination.fallback or is_of_retraction(self._task.engine):
            return True
        images = class_of_images(self._waiting)
        gets = what_it_gets(self._journal, self._destination, self._place, images, now)
        if all(gets.holds(one) for one in self._waiting if one.sop_class_uid in refused):
            return True
        if refused <= known and self._was_sent_back(now - NEWS):
            return True
        self.refused = refused
        return False

    def _was_sent_back(self, since: datetime) -> bool:
        """Whether these results were to be made anew for what the destination takes, and not before that."""
        told = self.told_of_refusal().facts
        return any(
            one.what == _SENT_BACK
            and one.at >= since
            and all(one.facts.get(name) == told[name] for name in ("destination", "engine", "version"))
            for one in self._journal.events(self._task.study_instance_uid)
        )

    def told_of_refusal(self) -> Note:
        """Say what the destination does not take: what it gets instead is made next."""
        kinds = sorted({one.kind for one in self._waiting if one.sop_class_uid in self.refused})
        return Note(
            what=_SENT_BACK,
            text=f"{self._destination.name} takes no {', '.join(kinds)}: "
            "it gets the next best that it takes.",
            facts={
                "destination": self._destination.name,
                "engine": self._task.engine,
                "version": self._task.study_version,
                "kinds": ", ".join(kinds),
            },
        )


def _wall() -> datetime:
    """What the clock on the wall of this machine shows."""
    return datetime.now(UTC).astimezone().replace(tzinfo=None)


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
