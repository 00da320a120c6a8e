"""The chain of an engine: prepare, run the steps, measure, and say what was found, or why nothing was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import scipy
import structlog

from dicomnode.analyse.algorithms import ALGORITHMS
from dicomnode.analyse.analysis import Analysis
from dicomnode.analyse.clock import MEASURING, PREPARING, Clock, Stage
from dicomnode.analyse.device_path import DeviceStudy, MakeRoom, device_path, no_room, run_network_on_device
from dicomnode.analyse.fitting import empty_inputs, network_problems
from dicomnode.analyse.laying import compared, looked_at
from dicomnode.analyse.networks import run_network
from dicomnode.analyse.numbers import Numbers, number
from dicomnode.analyse.occasion import Occasion
from dicomnode.analyse.parallel import cores
from dicomnode.analyse.pictures import Given, make_pictures_ready
from dicomnode.analyse.preparations import check_packages
from dicomnode.analyse.ready import make_ready
from dicomnode.analyse.register import check_registers
from dicomnode.analyse.segments import Placed, place
from dicomnode.analyse.sheared import as_scanned, straightened
from dicomnode.analyse.steps import Chain, Result, run_algorithm
from dicomnode.device.cuda import ends_process
from dicomnode.engine import EnginePackage, RuntimeWish, Session, StepSpec, open_session
from dicomnode.faults import MANIFEST_WRONG, NO_LUNGS, NodeError
from dicomnode.values import (
    FindingKind,
    Findings,
    Outcome,
    Picture,
    Progress,
    Provenance,
    Refusal,
    Remark,
    RemarkKind,
    Source,
    Volume,
    no_progress,
)

_LESION: Final = "lesion"
# What a reader must know first; what holds for every study of this engine comes last
_IMPORTANCE: Final = (
    RemarkKind.NOT_ANALYSED,
    RemarkKind.NO_FINDING,
    RemarkKind.QUALITY,
    RemarkKind.LIMIT,
)
_SOUGHT: Final = ("region", "classification")  # an engine that gives such a thing looks for something
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
        self._threads = threads
        self._node_version = node_version
        self._log = structlog.get_logger("dicomnode.analyse")
        _check(package)
        self._wish, self._watch, self._make_room = wish, watch, make_room
        self._sessions: dict[str, Session] = {}
        try:
            for step in package.manifest.networks:
                self._open(step)
            _refuse(
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
        with cores(self._threads):
            if isinstance(self.path, str):
                return self._analyse(analysis, progress, None)
            with self.path.study() as study:
                return self._analyse(analysis, progress, study)

    def _analyse(self, analysis: Analysis, progress: Progress, study: DeviceStudy | None) -> Findings:
        manifest = self.package.manifest
        clock = Clock()
        given = Given.of(manifest, analysis.volumes)
        if isinstance(given, Refusal):
            return self._finish(analysis, _refused(given), _Chained({}, study), clock)
        volume = given.volumes[manifest.input[0].name]
        volumes = straightened(given.volumes)
        if given.pictures:
            ready = make_pictures_ready(manifest, given.pictures, progress, study)
        else:
            ready = make_ready(manifest, volumes, progress, study)
        clock.took(PREPARING)
        if isinstance(ready, Refusal):
            return self._finish(analysis, _refused(ready), _Chained({}, study), clock)
        chain = Chain(
            package=self.package,
            images=ready.images,
            grid=ready.grid,
            rows=ready.rows,
            source=volumes[manifest.input[0].name].grid,
            unit=volume.unit,
            progress=progress,
            part=clock.part,
        )
        chained = _Chained(chain.results, study, ready.told)
        for step in manifest.step:
            result = self._run(chain, step, study)
            clock.took(step.name)
            chain.results[step.name] = result
            if result.nothing is not None:
                return self._finish(analysis, _not_analysed(result), chained, clock)
        occasion = Occasion(
            salt=analysis.salt,
            study_version=analysis.study_version,
            engine_digest=self.package.digest,
            study_instance_uid=volume.study_instance_uid,
            first_slice=f"{volume.frames[0].sop_instance_uid}:{volume.frames[0].frame_number}",
        )
        results = as_scanned(chain.results, volume.grid)
        placed = place(manifest, results, volume, occasion, progress, given.plane_of(manifest))
        numbers = number(manifest, results, volume)
        clock.took(MEASURING)
        numbers.remarks[:0] = ready.remarks
        return self._finish(analysis, _Described(placed, numbers), chained, clock)

    def _run(self, chain: Chain, step: StepSpec, study: DeviceStudy | None) -> Result:
        if step.network is None:
            if study is not None:
                study.done_here(step.name, "it is an algorithm of the node")
            return run_algorithm(chain, step)
        session = self._sessions[step.name]
        if study is None or isinstance(self.path, str):
            return run_network(chain, step, session)
        if not self.path.serves(session):
            study.done_here(step.name, f"its network runs on {session.device}")
            return run_network(chain, step, session)
        return run_network_on_device(chain, step, session, study)

    def _finish(self, analysis: Analysis, described: _Described, chained: _Chained, clock: Clock) -> Findings:
        manifest = self.package.manifest
        volume = analysis.volumes[manifest.input[0].name]
        placed, numbers = described.placed, described.numbers
        remarks = [remark for result in chained.results.values() for remark in result.remarks]
        remarks += [*placed.remarks, *numbers.remarks, *analysis.remarks]
        remarks += compared(manifest, analysis.told, chained.told)
        outcome = self._outcome(described)
        self.stages = clock.stages
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
                _source(spec.name, analysis.volumes[spec.name])
                for spec in manifest.volumes
                if spec.prior is None
            ),
            provenance=self._provenance(chained, analysis.told),
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
            earlier=looked_at(analysis.earlier, chained.told),
        )

    def _outcome(self, described: _Described) -> Outcome:
        """Tell how it ended: an engine that looks for something has found something when it has found one.

        Where it found nothing and did not look for all that it should, nobody may read that nothing is there.
        """
        placed, numbers = described.placed, described.numbers
        seeks = any(one.kind == _LESION or one.what in _SOUGHT for one in self.package.manifest.output)
        lesions = any(segment.kind == FindingKind.LESION for segment in placed.segments)
        found = bool(lesions or placed.regions or any(one.present for one in numbers.classifications))
        if not seeks:
            found = bool(
                placed.segments or numbers.measurements or numbers.maps or numbers.images or numbers.features
            )
        if found:
            return Outcome.FINDINGS
        remarks = (*placed.remarks, *numbers.remarks)
        unseen = any(remark.kind == RemarkKind.NOT_ANALYSED for remark in remarks)
        return Outcome.NOT_ANALYSED if unseen else Outcome.NO_FINDINGS

    def _provenance(self, chained: _Chained, told: Mapping[str, str]) -> Provenance:
        manifest = self.package.manifest
        sessions = list(self._sessions.values())
        here = f"numpy {np.__version__}, scipy {scipy.__version__}"
        return Provenance(
            engine=manifest.name,
            version=manifest.version,
            title=manifest.title,
            use=manifest.use,
            engine_digest=self.package.digest,
            runtime=", ".join(dict.fromkeys(one.runtime for one in sessions)) or here,
            precision=", ".join(dict.fromkeys(one.precision for one in sessions)) or "fp32",
            device=", ".join(dict.fromkeys(one.device for one in sessions)) or "CPU",
            node_version=self._node_version,
            details=_details({name: one.provenance for name, one in self._sessions.items()})
            | self._where(chained.study)
            | dict(told)
            | dict(chained.told),
        )

    def _where(self, study: DeviceStudy | None) -> dict[str, str]:
        """Tell what was computed on a device, and what on the host beside it."""
        if study is not None:
            return study.told
        return {"why not on the device": self.path} if isinstance(self.path, str) and self.path else {}


def _details(sessions: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Put together what the sessions tell: what all of them say alike stands once, the rest with its step."""
    names = dict.fromkeys(name for told in sessions.values() for name in told)
    details: dict[str, str] = {}
    for name in names:
        values = {told.get(name) for told in sessions.values()}
        if len(values) == 1:
            details[name] = str(values.pop())
        else:
            details |= {f"{step}: {name}": told[name] for step, told in sessions.items() if name in told}
    return details


@dataclass(frozen=True, slots=True, eq=False)
class _Chained:
    """What the steps found so far, on which device, and how further volumes were laid over the first one."""

    results: Mapping[str, Result]
    study: DeviceStudy | None
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """All that is said of what the steps found."""

    placed: Placed
    numbers: Numbers


def _not_analysed(result: Result) -> _Described:
    return _refused(NO_LUNGS.refusal(reason=result.nothing))


def _refused(refusal: Refusal) -> _Described:
    remark = Remark(kind=RemarkKind.NOT_ANALYSED, text=refusal.text, code=refusal.code)
    return _Described(Placed(remarks=(remark,)), Numbers())


def _source(name: str, volume: Volume | Picture) -> Source:
    if isinstance(volume, Picture):
        return Source(
            name=name,
            study_instance_uid=volume.study_instance_uid,
            series_instance_uid=volume.series_instance_uid,
            grid=volume.grid,
            frames=volume.sources,
            headers=volume.headers,
            repairs=volume.repairs,
            plane=volume.plane,
        )
    return Source(
        name=name,
        study_instance_uid=volume.study_instance_uid,
        series_instance_uid=volume.series_instance_uid,
        grid=volume.grid,
        frames=volume.frames,
        headers=volume.headers,
        repairs=volume.repairs,
    )


def _check(package: EnginePackage) -> None:
    """Refuse what the manifest's own rules cannot see: names that this room does not know."""
    for given in package.manifest.input:
        check_packages(package.manifest.name, given.prepare)
        if given.register != "none":
            check_registers(package.manifest.name)
    problems = []
    for step in package.manifest.step:
        if step.network is not None:
            problems.extend(_window_problems(step))
        elif step.algorithm not in ALGORITHMS:
            problems.append(f"step {step.name}: algorithm is one of {', '.join(ALGORITHMS)}")
        else:
            problems.extend(_parameter_problems(step))
    _refuse(package, problems)


def _refuse(package: EnginePackage, problems: list[str]) -> None:
    if problems:
        raise NodeError(MANIFEST_WRONG, path=package.folder / "engine.toml", problems="; ".join(problems))


def _window_problems(step: StepSpec) -> list[str]:
    size, multiple = step.window.size_kji, step.crop.multiple if step.crop else 1
    if size is None:
        return []
    problems = []
    if not all(side == 1 or side % multiple == 0 for side in size):
        problems.append(f"step {step.name}: sides of a window are multiples of {multiple}, got {list(size)}")
    if len(step.heads) > 1 and any(head.interpret == "boxes" for head in step.heads):
        problems.append(f'step {step.name}: boxes and other heads go together with window = "whole" only')
    return problems


def _parameter_problems(step: StepSpec) -> list[str]:
    known = ALGORITHMS[step.algorithm or ""].parameters
    problems = []
    for name, value in step.parameters.items():
        if name not in known:
            problems.append(f"step {step.name}: parameters are {', '.join(known)}, not {name}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            problems.append(f"step {step.name}: {name} is a number above 0, got {value!r}")
    return problems
