"""The worker process: engines loaded once, warm and gated; one analysis at a time, from files to Findings."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import Final, Self

import structlog

from dicomnode import __version__
from dicomnode.analyse import Analyst
from dicomnode.assemble import Stack, read_studies
from dicomnode.engine import find_engine
from dicomnode.faults import BUG, LEASE_LOST, NodeError
from dicomnode.journal import Event, Journal, TaskKind, TaskRecord
from dicomnode.serve.analysis import Occasion, analyse_stack
from dicomnode.serve.carry import carry_out
from dicomnode.serve.child import ChildFrame
from dicomnode.serve.line import Beat
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.plan import report_tasks
from dicomnode.settings import Settings
from dicomnode.store import Store

log = structlog.get_logger("dicomnode.serve")

_IDLE_S: Final = 0.3
_LEASE_S: Final = 30.0
_BEAT_S: Final = 1.0


class Pulse:
    """Keeps lease and line alive while a task runs, and carries its progress to both.

    The analysis is one long call into compiled code; what bounds it is the supervisor's time limit on
    `busy_s`, not this thread.
    """

    def __init__(self, journal: Journal, frame: ChildFrame, task: TaskRecord) -> None:
        self._journal, self._frame, self._task = journal, frame, task
        self._began = time.monotonic()
        self._stage = ("starting", 0, 1)
        self._end = threading.Event()
        self.lost = False
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Take note of how far the work is (a `Progress`)."""
        self._stage = (stage, done, total)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_BEAT_S):
            stage, done, total = self._stage
            state = f"{self._task.engine}: {stage} {done} of {total}"
            self._frame.line.beat(Beat(state=state, busy_s=time.monotonic() - self._began))
            try:
                self._journal.heartbeat(self._task, _LEASE_S, datetime.now(UTC), self._stage)
            except NodeError as error:
                self.lost = error.fault is LEASE_LOST
                log.warning("task.heartbeat", task=self._task.id, **fault_facts(error))
                if self.lost:
                    return


class Worker:
    """Claims `analyse` tasks and does them, one after the other."""

    def __init__(self, frame: ChildFrame, store: Store, journal: Journal) -> None:
        self._frame = frame
        self._settings: Settings = frame.settings
        self._store = store
        self._journal = journal
        self._owner = f"worker-{os.getpid()}"
        self._analysts: dict[str, Analyst] = {}

    def warm_up(self) -> None:
        """Load every engine that is not off; each network runs its gate, and is warm then.

        An engine that fails is left out, loudly: its tasks then say why they cannot be done.
        """
        for wanted in self._settings.engine:
            if wanted.mode == "off":
                continue
            self._frame.line.beat(Beat(state=f"loading {wanted.name}"))
            try:
                self._analysts[wanted.name] = self._load(wanted.name)
            except NodeError as error:
                log.error("engine.failed", engine=wanted.name, **fault_facts(error))

    def _load(self, name: str) -> Analyst:
        wanted = next(engine for engine in self._settings.engine if engine.name == name)
        package = find_engine(wanted.name, wanted.path)
        analyst = Analyst(package, threads=self._threads, node_version=__version__)
        analyst.warm()
        log.info("engine.ready", engine=name, version=package.manifest.version, digest=package.digest)
        return analyst

    @property
    def _threads(self) -> int:
        return self._settings.analyse.threads or len(os.sched_getaffinity(0))

    def run(self) -> None:
        """Work until the supervisor says stop."""
        while not self._frame.line.stopping.is_set():
            now = datetime.now(UTC)
            task = self._journal.claim({TaskKind.ANALYSE}, self._owner, _LEASE_S, now)
            if task is None:
                self._frame.line.beat(Beat(state=f"ready, {len(self._analysts)} engines"))
                self._frame.line.stopping.wait(_IDLE_S)
                continue
            with Pulse(self._journal, self._frame, task) as pulse:
                carry_out(task, partial(self._analyse, pulse=pulse), self._journal)

    def close(self) -> None:
        """Let go of the engines."""
        for analyst in self._analysts.values():
            analyst.close()

    def _analyse(self, task: TaskRecord, pulse: Pulse) -> Event:
        if task.engine is None:
            raise NodeError(BUG, where="analyse", error="a task without an engine")
        analyst = self._analysts.get(task.engine)
        if analyst is None:
            analyst = self._analysts[task.engine] = self._load(task.engine)
        stack = self._stack_of(task)
        occasion = Occasion(
            study_version=task.study_version, made_at=task.created_at.astimezone(), salt=self._store.salt
        )
        findings, _ = analyse_stack(analyst, stack, occasion, pulse.progress)
        path = self._store.save_findings(findings)
        self._journal.finish(
            task,
            Event.COMMITTED,
            datetime.now(UTC),
            finding_path=path,
            new_tasks=report_tasks(self._settings, task),
        )
        return Event.COMMITTED

    def _stack_of(self, task: TaskRecord) -> Stack:
        series_uid, number = task.payload["series_instance_uid"], task.payload["stack"]
        files = [
            instance.path
            for instance in self._journal.instances(task.study_instance_uid)
            if instance.series_instance_uid == series_uid
        ]
        reading = read_studies(files)
        for study in reading.studies:
            for series in study.series:
                for stack in series.stacks:
                    if (series.series_instance_uid, stack.facts.stack) == (series_uid, number):
                        return stack
        raise NodeError(
            BUG, where="analyse", error=f"stack {number} of series {series_uid} is not there any more"
        )


def run_worker(frame: ChildFrame) -> None:
    """Run the worker process."""
    store = Store.open(frame.settings.store.path, reserve_gb=frame.settings.store.reserve_gb)
    journal = Journal.open(frame.settings.journal_url)
    worker = Worker(frame, store, journal)
    try:
        worker.warm_up()
        worker.run()
    finally:
        worker.close()
        journal.close()
        store.close()
