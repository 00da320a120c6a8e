"""The worker process: engines loaded once, warm and gated; one analysis at a time, from files to Findings."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from dicomnode.assemble import DecoderPool
from dicomnode.faults import BUG, DEVICE_OUT, NodeError
from dicomnode.journal import Event, Journal, Maker, Overtaken, TaskKind, TaskRecord
from dicomnode.serve.analysing.again import FINDINGS_OF, findings_again
from dicomnode.serve.analysing.ahead import AheadOfAnalysis
from dicomnode.serve.analysing.analysis import Beside, analyse_stack
from dicomnode.serve.analysing.building import PlanBuilding
from dicomnode.serve.analysing.chosen import stacks_of
from dicomnode.serve.analysing.engines import Engines, end_if_broken
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.analysing.patient import check_reportable
from dicomnode.serve.analysing.unanswered import not_analysed
from dicomnode.serve.asking.given_priors import priors_of
from dicomnode.serve.deciding.incomplete import remarked
from dicomnode.serve.deciding.plan import refusal_of, report_tasks
from dicomnode.serve.identity.whose import renaming_of
from dicomnode.serve.naming import engine_of
from dicomnode.serve.process.frame import ChildFrame
from dicomnode.serve.process.heart import Heart
from dicomnode.serve.process.line import Beat
from dicomnode.serve.process.place import OUT_BECAUSE
from dicomnode.serve.work.clerk import Clerk, Post, owner_name
from dicomnode.serve.work.decoding import decoder_limits
from dicomnode.serve.work.pulse import Pulse
from dicomnode.settings import Settings
from dicomnode.store import Store, read_provenance
from dicomnode.values import Findings, Outcome

_LEASE_S: Final = 30.0
# Claiming waits for the journal, which others may hold for some seconds
_TURN_S: Final = 60.0


class Worker(Clerk):
    """Does `analyse` tasks."""

    def __init__(self, frame: ChildFrame, store: Store, journal: Journal) -> None:
        post = Post(name=owner_name("worker"), kinds=(TaskKind.ANALYSE,), lease_s=_LEASE_S)
        super().__init__(post, journal, frame.line.stopping)
        self._settings: Settings = frame.settings
        self._line = frame.line
        self._place = frame.place
        self._store = store
        self._plans = PlanBuilding(frame.settings, frame.place, frame.line.stopping)
        self.engines = Engines(frame.settings, frame.place, self._tell, self._plans.awaited)
        ahead_bytes = int(frame.settings.analyse.ahead_gb * 1e9)
        self._decoders = DecoderPool(decoder_limits(frame.settings.assemble, frame.place.workers))
        self._ahead = AheadOfAnalysis(journal, lambda: self.engines.manifests, ahead_bytes, self._decoders)
        self._at_work: tuple[str, Pulse] | None = None

    def beat(self) -> Beat | None:
        """Tell what is going on; None when the loop does not turn though nothing is at work."""
        now, loading, at_work = time.monotonic(), self.engines.loading, self._at_work
        if loading is not None:
            engine, since = loading
            return Beat(state=self._state(f"loading {engine}"), busy_s=now - since, loading=engine)
        if at_work is not None:
            engine, pulse = at_work
            return Beat(state=self._state(f"{engine}: {pulse.words}"), busy_s=pulse.busy_s)
        if now - self.turned_at > _TURN_S:
            return None
        return Beat(state=self._state(f"ready, {len(self.engines)} engines"))

    def _state(self, doing: str) -> str:
        out = DEVICE_OUT.text(device=self._place.without, reason=OUT_BECAUSE) if self._place.without else ""
        return "; ".join(filter(None, (doing, self._plans.words, out)))

    def _tell(self) -> None:
        """Beat at once: if the next line ends this process, the supervisor knows what was at work."""
        beat = self.beat()
        if beat is not None:
            self._line.beat(beat)

    def warm_up(self) -> None:
        """Begin to build the plans that are missing; load every engine that is not off, by its gate."""
        self._decoders.start()
        self._plans.start()
        self.engines.load(self.engines.wanted(), goes_on=lambda: not self._stopping.is_set())
        self.turned_at = time.monotonic()

    def _claim(self) -> TaskRecord | None:
        """Between two studies, take the plans that have come meanwhile."""
        for name in self._plans.offered:
            self.engines.reload(name)
            self._plans.taken(name)
        return super()._claim()

    def aside(self) -> bool:
        """Decode what arrives, ahead of its analysis."""
        return self._ahead.turn()

    def close(self) -> None:
        """Let go of the engines and the decoders."""
        self._decoders.close()
        self._plans.join()
        self.engines.close()

    def work(self, task: TaskRecord, pulse: Pulse) -> Event:
        """Analyse one series, from its files to Findings."""
        self._at_work = (task.engine or "", pulse)
        try:
            return self._analyse(task, pulse)
        except NodeError as error:
            end_if_broken(error, task=task.id, study=task.study_instance_uid, engine=task.engine)
            raise
        finally:
            self._at_work = None

    def _analyse(self, task: TaskRecord, pulse: Pulse) -> Event:
        if task.engine is None:
            raise NodeError(BUG, where="analyse", error="a task without an engine")
        again = findings_again(task, self._journal)
        if again is not None:
            return self._commit(task, again, taken_over_of=int(task.payload[FINDINGS_OF] or 0))
        while True:
            after = self._journal.newest_correction(task.study_instance_uid)
            findings = remarked(self._found(task, task.engine, pulse), task)
            # What an engine found does not depend on whose it is; why nothing was looked at may
            is_of_whom = findings.outcome is Outcome.NOT_ANALYSED
            try:
                return self._commit(task, findings, after=after if is_of_whom else None)
            except Overtaken:
                continue

    def _found(self, task: TaskRecord, engine: str, pulse: Pulse) -> Findings:
        began = time.monotonic()
        analyst = self.engines.get(engine_of(engine))
        pulse.facts["load_s"] = round(time.monotonic() - began, 2)
        stack, others = stacks_of(task, self._journal, every=bool(analyst.package.manifest.beside))
        renaming = renaming_of(task.study_instance_uid, task.study_version, self._journal)
        occasion = Occasion(
            study_version=task.study_version,
            made_at=task.created_at.astimezone(),
            salt=self._store.salt,
            renaming=renaming,
        )
        refusal = refusal_of(task)
        if refusal is not None:
            return not_analysed(analyst.package, stack, refusal, occasion)
        if report_tasks(self._settings, task):  # in shadow nothing is reported
            check_reportable(stack, renaming)
        priors = priors_of(analyst.package.manifest, task, self._journal)
        beside = Beside(others=others, priors=priors)
        findings, _ = analyse_stack(analyst, stack, occasion, pulse.progress, self._ahead.slices, beside)
        return findings

    def _commit(
        self,
        task: TaskRecord,
        findings: Findings,
        *,
        taken_over_of: int | None = None,
        after: int | None = None,
    ) -> Event:
        """Keep Findings and let reports be written. after, and Overtaken: as of `Journal.finish`."""
        path = self._store.save_findings(findings)
        # Of what is kept there: another worker may have been first, with another package
        made_by = read_provenance(path)
        try:
            self._journal.finish(
                task,
                Event.COMMITTED,
                datetime.now(UTC),
                finding_path=path,
                maker=Maker(made_by.version, made_by.engine_digest, taken_over_of),
                new_tasks=report_tasks(self._settings, task),
                after=after,
            )
        except Overtaken:
            self._store.drop_findings(path)
            raise
        return Event.COMMITTED


def run_worker(frame: ChildFrame) -> None:
    """Run the worker process."""
    store = Store.open(frame.settings.store.path, reserve_gb=frame.settings.store.reserve_gb)
    journal = Journal.open(frame.settings.journal_url)
    worker = Worker(frame, store, journal)
    try:
        with Heart(frame.line, worker.beat):
            worker.warm_up()
            worker.run()
    except NodeError as error:
        end_if_broken(error)
        raise
    finally:
        worker.close()
        journal.close()
        store.close()
