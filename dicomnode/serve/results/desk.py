"""The desk: the clerk that dispatches complete studies and writes the reports."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog

from dicomnode.assemble import DecoderPool, StudyFiles, read_studies
from dicomnode.engine import EnginePackage, configured_engine
from dicomnode.faults import NO_ENGINE_WANTS, RESULTS_REJECTED, NodeError
from dicomnode.journal import Event, Journal, Overtaken, TaskKind, TaskRecord, is_failure
from dicomnode.serve.analysing.again import rejected_notes, taken_over
from dicomnode.serve.deciding.dispatch import Dispatch, barred, decide
from dicomnode.serve.deciding.incomplete import carried_on
from dicomnode.serve.deciding.plan import (
    analyse_tasks,
    left_out_notes,
    rule_notes,
    set_aside_notes,
)
from dicomnode.serve.deciding.site_rules import SiteWish, origin_of, wish_for
from dicomnode.serve.identity.mixed import check_of_one
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.results.failing import tell_of_failure
from dicomnode.serve.results.writing import ResultWriter
from dicomnode.serve.work.clerk import Clerk, Post, owner_name
from dicomnode.serve.work.decoding import decoder_limits
from dicomnode.serve.work.pulse import Pulse
from dicomnode.settings import Settings
from dicomnode.store import Store

log = structlog.get_logger("dicomnode.serve")

_LEASE_S: Final = 60.0


class Desk(Clerk):
    """Does `dispatch` and `report` tasks, one at a time."""

    def __init__(self, settings: Settings, store: Store, journal: Journal, stopping: threading.Event) -> None:
        post = Post(
            name=owner_name("scheduler", "desk"),
            kinds=(TaskKind.DISPATCH, TaskKind.REPORT),
            lease_s=_LEASE_S,
        )
        super().__init__(post, journal, stopping)
        self._settings, self._store = settings, store
        self._writer = ResultWriter(settings, store, journal)
        self._told: dict[str, str] = {}  # engine: what was logged of it

    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Dispatch or report."""
        del pulse  # nothing here takes long enough to be told of
        if task.kind is TaskKind.DISPATCH:
            return self._dispatch(task)
        if is_failure(task.engine) and task.destination is None:
            return tell_of_failure(task, self._settings, self._store, self._journal)
        return self._writer.write(task)

    def _packages(self) -> tuple[list[EnginePackage], dict[str, NodeError]]:
        """Give the engines that can be asked, and why others cannot; raises the first reason if none can."""
        packages: list[EnginePackage] = []
        broken: dict[str, NodeError] = {}
        for wanted in self._settings.engine:
            if wanted.mode == "off":
                continue
            try:
                packages.append(configured_engine(wanted))
            except NodeError as error:
                broken[wanted.name] = error
        for name, why in broken.items():
            if self._told.get(name) != str(why):
                log.error("engine.failed", engine=name, **fault_facts(why))
        self._told = {name: str(why) for name, why in broken.items()}
        if broken and not packages:
            raise next(iter(broken.values()))
        return packages, broken

    def _dispatch(self, task: TaskRecord) -> Event:
        while True:
            after = self._journal.newest_correction(task.study_instance_uid)
            try:
                return self._dispatch_as_of(task, after)
            except Overtaken:  # an answer was rejected meanwhile: its engine may not be asked again
                continue

    def _dispatch_as_of(self, task: TaskRecord, after: int) -> Event:
        """Decide what follows, and write it. after, and Overtaken: as of `Journal.finish`."""
        instances = self._journal.instances(task.study_instance_uid)
        check_of_one(task, instances, self._journal)
        reading = read_studies([instance.path for instance in instances])
        packages, broken = self._packages()
        now = datetime.now(UTC)
        # One, or none if nothing is readable
        studies = [s for s in reading.studies if s.study_instance_uid == task.study_instance_uid]
        wish = wish_for(self._settings.rule, origin_of(instances, next(iter(studies), None)))
        dispatches = [self._decide(study, packages, wish) for study in studies]
        uid, version = task.study_instance_uid, task.study_version
        wanted = [new for dispatch in dispatches for new in analyse_tasks(dispatch, uid, version, wish)]
        digests = {package.manifest.name: package.digest for package in packages}
        tasks, rejected = taken_over(carried_on(wanted, task), task, self._journal, digests)
        self._journal.finish(
            task,
            Event.COMMITTED,
            now,
            verdicts=[verdict for dispatch in dispatches for verdict in dispatch.verdicts],
            new_tasks=tasks,
            error=None if tasks else _why_none(rejected),
            notes=[
                *rule_notes(wish),
                *set_aside_notes(reading.set_aside),
                *left_out_notes(broken),
                *rejected_notes(rejected),
            ],
            after=after,
        )
        return Event.COMMITTED

    def _decide(self, study: StudyFiles, packages: Sequence[EnginePackage], wish: SiteWish) -> Dispatch:
        """Ask the engines that may run; those that may not say so."""
        allowed = [package for package in packages if wish.allows(package.manifest.name)]
        # A few slices, and not often: the processes do not stay
        limits = replace(decoder_limits(self._settings.assemble), processes=1)
        with DecoderPool(limits) as decode:
            dispatch = decide(study, allowed, decode)
        out = [package for package in packages if package not in allowed]
        verdicts = [verdict for package in out for verdict in barred(study, package, wish.name)]
        return replace(dispatch, verdicts=(*dispatch.verdicts, *verdicts))


def _why_none(rejected: Mapping[str, str]) -> NodeError:
    """Say why nothing is analysed. rejected: as of `Following`."""
    if not rejected:
        return NodeError(NO_ENGINE_WANTS)
    codes = {code for of_engine in rejected.values() for code in of_engine.split(", ")}
    return NodeError(RESULTS_REJECTED, codes=", ".join(sorted(codes)))
