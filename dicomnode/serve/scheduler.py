"""The scheduler process: ingest and completeness in its loop, its clerks in threads of their own."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from dicomnode.faults import DESTINATION_UNKNOWN, NodeError
from dicomnode.journal import Event, Journal, StudyRecord, TaskKind, TaskState
from dicomnode.serve.asking.inquirer import Inquirer
from dicomnode.serve.asking.priors import PriorClerk
from dicomnode.serve.deciding.site_rules import ROUTINE, early_origin, lane_of
from dicomnode.serve.feedback.clerk import FeedbackClerk
from dicomnode.serve.identity.hl7 import Hl7Desk
from dicomnode.serve.intake.closer import Closer
from dicomnode.serve.intake.ingest import ingest
from dicomnode.serve.intake.notice_intake import take_notices
from dicomnode.serve.intake.waiting import WaitingFiles
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.process.frame import ChildFrame
from dicomnode.serve.process.heart import Heart
from dicomnode.serve.process.line import Beat
from dicomnode.serve.results.committer import Committer
from dicomnode.serve.results.courier import Courier
from dicomnode.serve.results.desk import Desk
from dicomnode.serve.results.late import LateWatch
from dicomnode.serve.work.carry import is_shortage
from dicomnode.serve.work.clerk import TROUBLE_S, Clerk, owner_name
from dicomnode.store import Store, arriving_studies

log = structlog.get_logger("dicomnode.serve")

_LOOP_S: Final = 0.2
_LOOK_EVERY: Final = timedelta(seconds=1)
# A look goes through all that is open: it takes one part of so many of the time, however much that is
_LOOK_SHARE: Final = 5
# What has not turned for so long hangs; to compare two objects of some GB takes minutes on a slow disk. A
# courier is not measured: each of its waits has an end of its own, and a large object to a slow peer many.
_TURN_S: Final = 900.0
_PARK_LEASE_S: Final = 60.0
# A delivery that waits for its next try can be parked only when its time has come
_PARK_EVERY: Final = timedelta(seconds=60)


class Scheduler:
    """Decides when: what came is entered, what is complete is dispatched."""

    def __init__(self, frame: ChildFrame, store: Store, journal: Journal) -> None:
        self._frame = frame
        self._settings = frame.settings
        self._store = store
        self._journal = journal
        stopping = frame.line.stopping
        self._desk = Desk(frame.settings, store, journal, stopping)
        couriers = [
            Courier(frame.settings, destination, journal, stopping, kind)
            for destination in frame.settings.destination
            for kind in (TaskKind.DELIVER, TaskKind.CONFIRM)
        ]
        inquirers = [Inquirer(frame.settings, query, journal, stopping) for query in frame.settings.query]
        self._closer = Closer(frame.settings, journal, self._lane)
        self._waiting = WaitingFiles(store)
        self._late = LateWatch(frame.settings.destination, journal)
        priors = PriorClerk(frame.settings, store, journal, stopping)
        told = FeedbackClerk(frame.settings, store, journal, stopping)
        clerks: list[Clerk | Committer | Hl7Desk] = [self._desk, *couriers, *inquirers, priors, told]
        if frame.settings.receive.commitment == "report":
            clerks.append(Committer(frame.settings, journal, stopping))
        if frame.settings.hl7.port:
            clerks.append(Hl7Desk(frame.settings, store, journal, stopping))
        self._threads = [
            threading.Thread(target=clerk.run, name=type(clerk).__name__.lower(), daemon=True)
            for clerk in clerks
        ]
        self._turned_at = time.monotonic()
        self._park_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._look_again = _LOOK_EVERY

    def run(self) -> None:
        """Schedule until the supervisor says stop."""
        stopping = self._frame.line.stopping
        for thread in self._threads:
            thread.start()
        with Heart(self._frame.line, self.beat):
            while not stopping.is_set():
                self._turned_at = time.monotonic()
                if not self.turn(datetime.now(UTC)):
                    stopping.wait(_LOOP_S)
            end = time.monotonic() + self._frame.drain_s
            for thread in self._threads:
                thread.join(max(0.0, end - time.monotonic()))

    def beat(self) -> Beat | None:
        """Tell that all is well; None when something hangs or has ended."""
        oldest = min(self._turned_at, self._desk.turned_at)
        alive = all(thread.is_alive() for thread in self._threads)
        stopping = self._frame.line.stopping.is_set()
        if not (alive or stopping) or time.monotonic() - oldest > _TURN_S:
            return None
        return Beat(state="; ".join(filter(None, ("scheduling", self._late.words))))

    def turn(self, now: datetime) -> int:
        """Ingest once, and complete what is to be completed; give the number of files taken.

        Studies are looked at once a second at most, but for those of which files wait.

        Raises NodeError when the disk fails: what it said before cannot be believed then. What is short
        (space, the journal) is waited for.
        """
        try:
            if self._park_at is None or now >= self._park_at:
                self._park_undeliverable(now)
                self._park_at = now + _PARK_EVERY
            self._late.turn(now)
            taken = ingest(self._store, self._journal, now)
            if self._looked_at is None or abs(now - self._looked_at) >= self._look_again:
                self._look(now)
        except NodeError as error:
            if not is_shortage(error):
                raise
            log.error("ingest.failed", **fault_facts(error))
            self._frame.line.stopping.wait(TROUBLE_S)
            return 0
        return taken

    def _look(self, now: datetime) -> None:
        """Take notices, and complete what is to be completed."""
        began = time.monotonic()
        take_notices(self._store, self._journal, now)
        self._closer.turn(now, self._waiting.studies, lambda: arriving_studies(self._store.root))
        self._looked_at = now
        took = timedelta(seconds=time.monotonic() - began)
        self._look_again = max(_LOOK_EVERY, _LOOK_SHARE * took)

    def _park_undeliverable(self, now: datetime) -> None:
        """Park the deliveries to destinations that are not configured (any more), loudly.

        No courier would ever claim them: they would wait without a word.
        """
        known = {destination.name for destination in self._settings.destination}
        open_states = {TaskState.READY, TaskState.RETRY, TaskState.RUNNING}
        tasks = self._journal.tasks(states=open_states)
        gone = {t.destination for t in tasks if t.kind is TaskKind.DELIVER and t.destination} - known
        for name in sorted(gone):
            error = NodeError(DESTINATION_UNKNOWN, destination=name)
            while task := self._journal.claim(
                {TaskKind.DELIVER}, owner_name("scheduler"), _PARK_LEASE_S, now, destination=name
            ):
                self._journal.finish(task, Event.NEEDS_PERSON, now, error=error)
                log.error("task.failed", task=task.id, study=task.study_instance_uid, **fault_facts(error))

    def _lane(self, study: StudyRecord) -> int:
        """The priority of its dispatch: the decision on what is urgent must not wait behind what is not."""
        rules = self._settings.rule
        if not rules:
            return ROUTINE
        instances = self._journal.instances(study.study_instance_uid)
        return lane_of(rules, early_origin(instances, study.modalities))


def run_scheduler(frame: ChildFrame) -> None:
    """Run the scheduler process."""
    store = Store.open(frame.settings.store.path, reserve_gb=frame.settings.store.reserve_gb)
    journal = Journal.open(frame.settings.journal_url)
    try:
        Scheduler(frame, store, journal).run()
    finally:
        journal.close()
        store.close()
