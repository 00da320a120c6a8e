"""The scheduler process: ingest and completeness in its loop, desk and couriers in threads of their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from dicomnode.faults import STORE_FULL, NodeError
from dicomnode.journal import Journal
from dicomnode.serve.child import ChildFrame
from dicomnode.serve.courier import Courier
from dicomnode.serve.desk import Desk
from dicomnode.serve.ingest import ingest
from dicomnode.serve.line import Beat
from dicomnode.serve.logs import fault_facts
from dicomnode.store import Store

log = structlog.get_logger("dicomnode.serve")

_LOOP_S: Final = 0.2
_BEAT_S: Final = 1.0
# A thread that has not turned for so long hangs; a delivery may wait for a slow peer, but turns between files
_THREAD_SILENCE_S: Final = 900.0


class Scheduler:
    """Decides when: what came is entered, what is complete is dispatched."""

    def __init__(self, frame: ChildFrame, store: Store, journal: Journal) -> None:
        self._frame = frame
        self._settings = frame.settings
        self._store = store
        self._journal = journal
        stopping = frame.line.stopping
        self._threads: list[Desk | Courier] = [Desk(frame.settings, store, journal, stopping)]
        self._threads += [
            Courier(frame.settings, destination, journal, stopping)
            for destination in frame.settings.destination
        ]

    def run(self) -> None:
        """Schedule until the supervisor says stop."""
        for thread in self._threads:
            thread.start()
        beat_at = 0.0
        while not self._frame.line.stopping.is_set():
            taken = self.turn(datetime.now(UTC))
            now = time.monotonic()
            if now >= beat_at and self._threads_turn(now):
                beat_at = now + _BEAT_S
                self._frame.line.beat(Beat(state="scheduling"))
            if not taken:
                self._frame.line.stopping.wait(_LOOP_S)
        for thread in self._threads:
            thread.join(self._settings.serve.stop_timeout_s / 2)

    def turn(self, now: datetime) -> int:
        """Ingest once, and complete what has been quiet for long enough; give the number of files taken."""
        try:
            taken = ingest(self._store, self._journal, now)
        except NodeError as error:
            log.error("ingest.failed", **fault_facts(error))
            taken = 0
            if error.fault is not STORE_FULL:
                raise
        if not taken:  # never while files wait: they may belong to the study
            self._complete(now)
        return taken

    def _complete(self, now: datetime) -> None:
        quiet_s = self._settings.assemble.quiet_time_s
        before = now - timedelta(seconds=quiet_s)
        for study in self._journal.quiet_studies(before):
            evidence = f"nothing new for {quiet_s:g} s"
            version = self._journal.complete_study(
                study.study_instance_uid, evidence, now, quiet_before=before
            )
            if version is not None:
                log.info(
                    "study.complete", study=study.study_instance_uid, version=version, count=study.instances,
                    evidence=evidence,
                )  # fmt: skip

    def _threads_turn(self, now: float) -> bool:
        return all(
            thread.is_alive() and now - thread.turned_at < _THREAD_SILENCE_S for thread in self._threads
        )


def run_scheduler(frame: ChildFrame) -> None:
    """Run the scheduler process."""
    store = Store.open(frame.settings.store.path, reserve_gb=frame.settings.store.reserve_gb)
    journal = Journal.open(frame.settings.journal_url)
    try:
        Scheduler(frame, store, journal).run()
    finally:
        journal.close()
        store.close()
