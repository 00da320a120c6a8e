"""The worker process: engines loaded once, warm and gated; one analysis at a time, from files to Findings."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Final

import structlog

from dicomnode import __version__
from dicomnode.analyse import Analyst
from dicomnode.assemble import Stack, read_studies
from dicomnode.engine import Manifest, configured_engine, wish_of
from dicomnode.faults import BUG, NodeError
from dicomnode.journal import Event, Journal, TaskKind, TaskRecord
from dicomnode.serve.ahead import AheadOfAnalysis
from dicomnode.serve.analysis import Occasion, analyse_stack
from dicomnode.serve.clerk import Clerk, Post, owner_name
from dicomnode.serve.frame import ChildFrame
from dicomnode.serve.heart import Heart
from dicomnode.serve.line import Beat
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.plan import report_tasks
from dicomnode.serve.pulse import Pulse
from dicomnode.settings import Settings
from dicomnode.store import Store

log = structlog.get_logger("dicomnode.serve")

_LEASE_S: Final = 30.0
# Claiming waits for the journal, which others may hold for some seconds
_TURN_S: Final = 60.0


class Worker(Clerk):
    """Does `analyse` tasks."""

    def __init__(self, frame: ChildFrame, store: Store, journal: Journal) -> None:
        post = Post(name=owner_name("worker"), kinds=(TaskKind.ANALYSE,), lease_s=_LEASE_S)
        super().__init__(post, journal, frame.line.stopping)
        self._settings: Settings = frame.settings
        self._store = store
        self._analysts: dict[str, Analyst] = {}
        self._ahead = AheadOfAnalysis(journal, self._manifests, int(frame.settings.analyse.ahead_gb * 1e9))
        self._at_work: tuple[str, Pulse] | None = None
        self._loading: tuple[str, float] | None = None  # which engine, since when (monotonic)

    def beat(self) -> Beat | None:
        """Tell what is going on; None when the loop does not turn though nothing is at work."""
        now = time.monotonic()
        if self._at_work is not None:
            engine, pulse = self._at_work
            return Beat(state=f"{engine}: {pulse.words}", busy_s=pulse.busy_s)
        if self._loading is not None:
            engine, since = self._loading
            return Beat(state=f"loading {engine}", busy_s=now - since)
        if now - self.turned_at > _TURN_S:
            return None
        return Beat(state=f"ready, {len(self._analysts)} engines")

    def warm_up(self) -> None:
        """Load every engine that is not off; each network runs its gate, and is warm then.

        An engine that fails is left out, loudly: its tasks then say why they cannot be done.
        """
        for wanted in self._settings.engine:
            if wanted.mode == "off":
                continue
            self._loading = (wanted.name, time.monotonic())
            try:
                self._analysts[wanted.name] = self._load(wanted.name)
            except NodeError as error:
                log.error("engine.failed", engine=wanted.name, **fault_facts(error))
        self._loading = None
        self.turned_at = time.monotonic()

    def _load(self, name: str) -> Analyst:
        wanted = next(engine for engine in self._settings.engine if engine.name == name)
        package = configured_engine(wanted)
        wish = wish_of(self._settings, name)
        analyst = Analyst(package, threads=self._threads, node_version=__version__, wish=wish)
        analyst.warm()
        log.info("engine.ready", engine=name, version=package.manifest.version, digest=package.digest)
        return analyst

    @property
    def _threads(self) -> int:
        return self._settings.analyse.threads or len(os.sched_getaffinity(0))

    def _manifests(self) -> list[Manifest]:
        return [analyst.package.manifest for analyst in self._analysts.values()]

    def aside(self) -> bool:
        """Decode what arrives, ahead of its analysis."""
        return self._ahead.turn()

    def close(self) -> None:
        """Let go of the engines."""
        for analyst in self._analysts.values():
            analyst.close()

    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Analyse one series, from its files to Findings."""
        self._at_work = (task.engine or "", pulse)
        try:
            return self._analyse(task, pulse)
        finally:
            self._at_work = None

    def _analyse(self, task: TaskRecord, pulse: Pulse) -> Event:
        if task.engine is None:
            raise NodeError(BUG, where="analyse", error="a task without an engine")
        analyst = self._analysts.get(task.engine)
        if analyst is None:
            analyst = self._analysts[task.engine] = self._load(task.engine)
        stack, others = self._stacks_of(task, every=len(analyst.package.manifest.volumes) > 1)
        occasion = Occasion(
            study_version=task.study_version, made_at=task.created_at.astimezone(), salt=self._store.salt
        )
        findings, _ = analyse_stack(analyst, stack, occasion, pulse.progress, self._ahead.slices.get, others)
        path = self._store.save_findings(findings)
        self._journal.finish(
            task,
            Event.COMMITTED,
            datetime.now(UTC),
            finding_path=path,
            new_tasks=report_tasks(self._settings, task),
        )
        return Event.COMMITTED

    def _stacks_of(self, task: TaskRecord, *, every: bool) -> tuple[Stack, list[Stack]]:
        """Return the stack of the task, and the other ones of its series, or of `every` series."""
        series_uid, number = task.payload["series_instance_uid"], task.payload["stack"]
        files = [
            instance.path
            for instance in self._journal.instances(task.study_instance_uid)
            if every or instance.series_instance_uid == series_uid
        ]
        reading = read_studies(files)
        stacks = [stack for study in reading.studies for series in study.series for stack in series.stacks]
        for stack in stacks:
            if (stack.facts.series_instance_uid, stack.facts.stack) == (series_uid, number):
                return stack, [one for one in stacks if one is not stack]
        raise NodeError(
            BUG, where="analyse", error=f"stack {number} of series {series_uid} is not there any more"
        )


def run_worker(frame: ChildFrame) -> None:
    """Run the worker process."""
    store = Store.open(frame.settings.store.path, reserve_gb=frame.settings.store.reserve_gb)
    journal = Journal.open(frame.settings.journal_url)
    worker = Worker(frame, store, journal)
    try:
        with Heart(frame.line, worker.beat):
            worker.warm_up()
            worker.run()
    finally:
        worker.close()
        journal.close()
        store.close()
