"""The chain of an engine: prepare, run the steps, measure, and say what was found, or why nothing was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from dicomnode.analyse.algorithm_step import absent, run_algorithm
from dicomnode.analyse.analysis import Analysis
from dicomnode.analyse.checks import check_package, refuse
from dicomnode.analyse.clock import COMPARING, MEASURING, PREPARING, Clock, Stage
from dicomnode.analyse.coarser import in_spacing_of
from dicomnode.analyse.compare import Between, compared, not_compared, not_looked_for
from dicomnode.analyse.demonstration import shown_only
from dicomnode.analyse.device_path import DeviceStudy, MakeRoom, device_path, no_room, run_network_on_device
from dicomnode.analyse.each import run_each
from dicomnode.analyse.fitting import empty_inputs, network_problems
from dicomnode.analyse.laying import looked_at, named_priors
from dicomnode.analyse.networks import run_network
from dicomnode.analyse.numbers import number
from dicomnode.analyse.occasion import Occasion
from dicomnode.analyse.outcome import outcome_of
from dicomnode.analyse.parallel import cores
from dicomnode.analyse.pictures import Given, make_pictures_ready
from dicomnode.analyse.provenance import provenance_of, source_of
from dicomnode.analyse.ran import Ran
from dicomnode.analyse.ready import Ready, make_ready
from dicomnode.analyse.segments import place
from dicomnode.analyse.selection import selected
from dicomnode.analyse.sheared import as_scanned, straightened
from dicomnode.analyse.steps import Chain, Result
from dicomnode.analyse.unreported import unreported
from dicomnode.device.cuda import ends_process
from dicomnode.engine import EnginePackage, InputSpec, RuntimeWish, Session, StepSpec, open_session
from dicomnode.faults import NodeError, Retry
from dicomnode.values import (
    Findings,
    Progress,
    Refusal,
    RemarkKind,
    Unreported,
    Volume,
    no_progress,
)

# What a reader must know first; what holds for every study of this engine comes last
_IMPORTANCE: Final = (
    RemarkKind.NOT_ANALYSED,
    RemarkKind.NO_FINDING,
    RemarkKind.QUALITY,
    RemarkKind.LIMIT,
)
_NO_WISH: Final = RuntimeWish()

Watch = Callable[[str, Session], Session]
"""Is given the session of each network step by its name, and gives one to run in its place."""


def _unwatched(step: str, session: Session) -> Session:  # noqa: ARG001  a Watch
    return session


class Analyst:
    """An engine that is loaded: its networks have passed their gate and stay in memory. For one thread.

    threads: of the networks; 0: all that this process may use. wish: how the site wants them run. watch: for
    who measures what a network is given and how long it takes. make_room: lets other engines go when a device
    is full, also while networks are loaded. Raises NodeError: MANIFEST_WRONG when a step wants what this
    version does not know or its network has not, and as `open_session`.
    """

    def __init__(
        self,
        package: EnginePackage,
        *,
        threads: int = 0,
        node_version: str,
        wish: RuntimeWish = _NO_WISH,
        watch: Watch = _unwatched,
        make_room: MakeRoom = no_room,
    ) -> None:
        self.package = package
        self.stages: tuple[Stage, ...] = ()  # of the latest analysis
        self.keeps_unreported = False  # set by who judges an engine; findings are the same
        self.unreported = Unreported()  # candidates of the latest analysis that are no findings
        self._threads = threads
        self._node_version = node_version
        self._log = structlog.get_logger("dicomnode.analyse")
        check_package(package)
        self._wish, self._watch, self._make_room = wish, watch, make_room
        self._sessions: dict[str, Session] = {}
        try:
            for step in package.manifest.networks:
                self._open(step)
            refuse(
                package,
                [
                    problem
                    for step in package.manifest.networks
                    for problem in network_problems(package.manifest, step, self._sessions[step.name])
                ],
            )
            self.path = device_path(self._sessions.values(), make_room)
        except NodeError:
            self.close()
            raise

    def _open(self, step: StepSpec, proof: Callable[[Session], object] = lambda _: None) -> None:
        session = open_session(
            self.package, step.name, self._threads, self._wish, make_room=self._make_room, proof=proof
        )
        self._sessions[step.name] = self._watch(step.name, session)

    def warm(self) -> None:
        """Run each network once on a small box; a runtime that does not is passed over, where it may be."""
        for step in self.package.manifest.networks:
            session = self._sessions[step.name]
            try:
                self._run_empty(step, session)
            except NodeError as error:
                if ends_process(error):
                    raise
                session.close()
                self._open(step, partial(self._run_empty, step))
                self.path = device_path(self._sessions.values(), self._make_room)

    def _run_empty(self, step: StepSpec, session: Session) -> None:
        session.run(empty_inputs(self.package.manifest, step, session))

    def close(self) -> None:
        """Let go of the networks; a second call does nothing."""
        for session in self._sessions.values():
            session.close()

    def analyse(self, analysis: Analysis, progress: Progress = no_progress) -> Findings:
        """Analyse a study; the same input gives the same Findings.

        Findings of outcome FINDINGS, NO_FINDINGS or NOT_ANALYSED; each says in its remarks what a reader must
        know. Raises NodeError when the machine or a network fails, KeyError when an input is not given.
        """
        manifest = self.package.manifest
        clock = Clock()
        given = Given.of(manifest, analysis.volumes)
        if isinstance(given, Refusal):
            return self._finish(analysis, Ran(refusal=given, where=self._where(None)), clock)
        with cores(self._threads):
            ran = self._run_chain(given, analysis, clock, progress)
            if manifest.compared is not None and ran.refusal is None:
                ran = self._compared(manifest.compared, ran, given, analysis, progress)
                clock.took(COMPARING)
        return self._finish(analysis, ran, clock)

    def _compared(
        self, spec: InputSpec, now: Ran, given: Given, analysis: Analysis, progress: Progress
    ) -> Ran:
        """Run the chain on the prior as on the first input, and tell what became of each lesion since.

        What is wrong with the prior is no failure of this study, unless its engine requires one. What may
        pass is one: another try may compare.
        """
        manifest = self.package.manifest
        if spec.name not in now.registered or not_looked_for(manifest, now) is not None:
            return now  # there is no prior, or nothing to compare with it: it has been said why
        first, volume = manifest.input[0].name, given.volumes[spec.name]
        try:
            then = self._run_chain(Given({first: volume}, {}), analysis, Clock(), progress)
        except NodeError as error:
            if error.fault.retry is not Retry.NEVER or ends_process(error):
                raise
            then = Ran(refusal=error.refusal)
        reason = not_looked_for(manifest, then)
        if reason is not None:
            return not_compared(spec, now, reason)
        days = analysis.days.get(spec.name, 0)
        between = Between(
            now=given.volumes[first],
            then=volume,
            registration=now.registered[spec.name],
            days=days if days > 0 else None,
        )
        return compared(manifest, now, then, between)

    def _run_chain(self, given: Given, analysis: Analysis, clock: Clock, progress: Progress) -> Ran:
        """Prepare what is given, run all steps on it, and describe what they found."""
        if isinstance(self.path, str):
            return self._run_steps(given, analysis, clock, progress, None)
        with self.path.study() as study:
            return self._run_steps(given, analysis, clock, progress, study)

    def _run_steps(
        self, given: Given, analysis: Analysis, clock: Clock, progress: Progress, study: DeviceStudy | None
    ) -> Ran:
        manifest = self.package.manifest
        volume = given.volumes[manifest.input[0].name]
        volumes = straightened(given.volumes)
        if given.pictures:
            ready = make_pictures_ready(manifest, given.pictures, progress, study)
        else:
            ready = make_ready(manifest, volumes, progress, study)
        clock.took(PREPARING)
        if isinstance(ready, Refusal):
            return Ran(refusal=ready, where=self._where(study))
        chain = Chain(
            package=self.package,
            images=ready.images,
            grid=ready.grid,
            rows=ready.rows,
            source=volumes[manifest.input[0].name].grid,
            unit=volume.unit,
            progress=progress,
            part=clock.part,
            unreported=self.keeps_unreported,
        )
        for step in manifest.step:
            result = self._run(chain, step, study)
            clock.took(step.name)
            chain.results[step.name] = result
            if result.nothing is not None:
                refusal = absent(step).refusal(reason=result.nothing)
                return replace(self._ran(ready, chain, study), refusal=refusal)
        chain.results.update(selected(manifest, chain.results, chain.source, unreported=chain.unreported))
        results = as_scanned(chain.results, volume.grid)
        occasion = self._occasion(analysis, volume)
        placed = place(manifest, results, volume, occasion, progress, given.plane_of(manifest))
        numbers = number(manifest, results, volume)
        clock.took(MEASURING)
        numbers.remarks[:0] = ready.remarks
        ran = self._ran(ready, chain, study)
        return replace(ran, placed=placed, numbers=numbers, unreported=unreported(manifest, results))

    def _ran(self, ready: Ready, chain: Chain, study: DeviceStudy | None) -> Ran:
        return Ran(
            steps=tuple(remark for result in chain.results.values() for remark in result.remarks),
            told=ready.told,
            registered=ready.registered,
            where=self._where(study),
        )

    def _occasion(self, analysis: Analysis, volume: Volume) -> Occasion:
        return Occasion(
            salt=analysis.salt,
            study_version=analysis.study_version,
            engine_digest=self.package.digest,
            study_instance_uid=volume.study_instance_uid,
            first_slice=f"{volume.frames[0].sop_instance_uid}:{volume.frames[0].frame_number}",
        )

    def _run(self, chain: Chain, step: StepSpec, study: DeviceStudy | None) -> Result:
        if step.each is not None:
            if study is not None:
                study.done_here(step.name, "it runs for each lesion")
            return run_each(chain, step, lambda own, one: run_network(own, one, self._sessions[one.name]))
        if step.network is None:
            if study is not None:
                study.done_here(step.name, "it is an algorithm of the node")
            return run_algorithm(chain, step)
        session = self._sessions[step.name]
        if study is None or isinstance(self.path, str):
            return run_network(in_spacing_of(chain, step), step, session)
        if step.resample_mm is not None:
            study.done_here(step.name, "it sees the images in a spacing of its own")
            return run_network(in_spacing_of(chain, step), step, session)
        if not self.path.serves(session):
            study.done_here(step.name, f"its network runs on {session.device}")
            return run_network(chain, step, session)
        return run_network_on_device(chain, step, session, study)

    def _finish(self, analysis: Analysis, ran: Ran, clock: Clock) -> Findings:
        manifest = self.package.manifest
        volume = analysis.volumes[manifest.input[0].name]
        placed, numbers = ran.placed, ran.numbers
        remarks = [
            *shown_only(manifest),
            *ran.remarks,
            *analysis.remarks,
            *named_priors(manifest, analysis.told, ran.told),
        ]
        outcome = outcome_of(manifest, ran)
        self.stages, self.unreported = clock.stages, ran.unreported
        self._log.debug(
            "analysis.done",
            study_instance_uid=volume.study_instance_uid,
            series_instance_uid=volume.series_instance_uid,
            engine=manifest.name,
            outcome=str(outcome),
            segments=len(placed.segments),
            **clock.facts,
        )
        return Findings(
            outcome=outcome,
            # A prior is of another study: it is named in the provenance, results do not go back on it
            sources=tuple(
                source_of(spec.name, analysis.volumes[spec.name])
                for spec in manifest.volumes
                if spec.prior is None
            ),
            provenance=provenance_of(self.package, self._sessions, ran, analysis.told, self._node_version),
            made_at=analysis.made_at,
            study_version=analysis.study_version,
            segments=placed.segments,
            regions=placed.regions,
            classifications=tuple(numbers.classifications),
            measurements=tuple(numbers.measurements),
            remarks=tuple(sorted(remarks, key=lambda one: _IMPORTANCE.index(one.kind))),
            maps=tuple(numbers.maps),
            images=tuple(numbers.images),
            features=tuple(numbers.features),
            frame_scores=tuple(numbers.frame_scores),
            earlier=looked_at(analysis.earlier, ran.told),
            changes=ran.changes,
        )

    def _where(self, study: DeviceStudy | None) -> dict[str, str]:
        """Tell what was computed on a device, and what on the host beside it."""
        if study is not None:
            return study.told
        return {"why not on the device": self.path} if isinstance(self.path, str) and self.path else {}
