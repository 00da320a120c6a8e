"""The chain of an engine: prepare, run the steps, measure, and say what was found, or why nothing was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import scipy
import structlog

from dicomnode.analyse.algorithms import ALGORITHMS
from dicomnode.analyse.interpret import INTERPRETATIONS
from dicomnode.analyse.prepare import prepare
from dicomnode.analyse.segments import Described, Occasion, describe
from dicomnode.analyse.steps import Chain, Result, run_algorithm, run_network
from dicomnode.engine import EnginePackage, Session, StepSpec, open_session
from dicomnode.faults import MANIFEST_WRONG, NO_LUNGS, NodeError
from dicomnode.values import (
    FindingKind,
    Findings,
    Outcome,
    Progress,
    Provenance,
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
_LEAST_SIDE: Final = 32  # voxels of the box that warms a network up


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis:
    """One study version for one engine.

    volumes: by name of the [[input]]. salt: of the installation, for tracking UIDs. made_at: the moment
    that the results name, time-zone aware; from the journal, so that doing it again gives the same.
    """

    volumes: Mapping[str, Volume]
    salt: bytes
    study_version: int
    made_at: datetime


class Analyst:
    """An engine that is loaded: its networks have passed their gate and stay in memory. For one thread.

    threads: of the networks; 0: all that this process may use. Raises NodeError: MANIFEST_WRONG when a step
    wants what this version does not know, and as `open_session`.
    """

    def __init__(self, package: EnginePackage, *, threads: int = 0, node_version: str) -> None:
        self.package = package
        self._node_version = node_version
        self._log = structlog.get_logger("dicomnode.analyse")
        _check(package)
        self._sessions: dict[str, Session] = {}
        try:
            for step in package.manifest.networks:
                self._sessions[step.name] = open_session(package, step.name, threads)
        except NodeError:
            self.close()
            raise

    def warm(self) -> None:
        """Run each network once on a small empty box, so that the first study does not wait for it."""
        for step in self.package.manifest.networks:
            multiple = step.crop.multiple if step.crop else 1
            sides = step.window.size_kji or (-(-_LEAST_SIDE // multiple) * multiple,) * 3
            pad = step.crop.pad if step.crop else 0.0
            session = self._sessions[step.name]
            session.run({session.inputs[0].name: np.full((1, 1, *sides), pad, dtype=np.float32)})

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
        given = manifest.input[0]
        volume = analysis.volumes[given.name]
        clock = _Clock()
        image = prepare(volume, given.prepare, progress)
        clock.took("preparing")
        chain = Chain(
            package=self.package, image=image, source=volume.grid, unit=volume.unit, progress=progress
        )
        for step in manifest.step:
            result = self._run(chain, step)
            clock.took(step.name)
            chain.results[step.name] = result
            if result.nothing is not None:
                return self._finish(analysis, _not_analysed(result), chain.results, clock)
        occasion = Occasion(
            salt=analysis.salt,
            study_version=analysis.study_version,
            engine_digest=self.package.digest,
            study_instance_uid=volume.study_instance_uid,
        )
        described = describe(manifest, chain.results, volume, occasion, progress)
        clock.took("measuring")
        return self._finish(analysis, described, chain.results, clock)

    def _run(self, chain: Chain, step: StepSpec) -> Result:
        if step.network is None:
            return run_algorithm(chain, step)
        return run_network(chain, step, self._sessions[step.name])

    def _finish(
        self, analysis: Analysis, described: Described, results: Mapping[str, Result], clock: _Clock
    ) -> Findings:
        manifest = self.package.manifest
        volume = analysis.volumes[manifest.input[0].name]
        remarks = [remark for result in results.values() for remark in result.remarks]
        remarks = sorted((*remarks, *described.remarks), key=lambda one: _IMPORTANCE.index(one.kind))
        outcome = self._outcome(described)
        self._log.debug(
            "analysis.done",
            study_instance_uid=volume.study_instance_uid,
            series_instance_uid=volume.series_instance_uid,
            engine=manifest.name,
            outcome=str(outcome),
            segments=len(described.segments),
            **clock.seconds,
        )
        return Findings(
            outcome=outcome,
            sources=(_source(manifest.input[0].name, volume),),
            provenance=self._provenance(),
            made_at=analysis.made_at,
            study_version=analysis.study_version,
            segments=described.segments,
            regions=described.regions,
            remarks=tuple(remarks),
        )

    def _outcome(self, described: Described) -> Outcome:
        """Tell how it ended: an engine that looks for lesions has found something when it has found one."""
        if any(remark.kind == RemarkKind.NOT_ANALYSED for remark in described.remarks):
            return Outcome.NOT_ANALYSED
        seeks_lesions = any(output.kind == _LESION for output in self.package.manifest.output)
        lesions = any(segment.kind == FindingKind.LESION for segment in described.segments)
        found = (lesions or described.regions) if seeks_lesions else described.segments
        return Outcome.FINDINGS if found else Outcome.NO_FINDINGS

    def _provenance(self) -> Provenance:
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
        )


class _Clock:
    """Seconds that each stage took, for the log; nothing is decided by it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def took(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[f"{stage}_s"] = round(now - self._last, 2)
        self._last = now


def _not_analysed(result: Result) -> Described:
    text = NO_LUNGS.text(reason=result.nothing)
    return Described(remarks=(Remark(kind=RemarkKind.NOT_ANALYSED, text=text, code=NO_LUNGS.code),))


def _source(name: str, volume: Volume) -> Source:
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
    problems = []
    for step in package.manifest.step:
        if step.network is not None:
            if step.interpret not in INTERPRETATIONS:
                problems.append(f"step {step.name}: interpret is one of {', '.join(INTERPRETATIONS)}")
            problems.extend(_window_problems(step))
        elif step.algorithm not in ALGORITHMS:
            problems.append(f"step {step.name}: algorithm is one of {', '.join(ALGORITHMS)}")
        else:
            problems.extend(_parameter_problems(step))
    if problems:
        raise NodeError(MANIFEST_WRONG, path=package.folder / "engine.toml", problems="; ".join(problems))


def _window_problems(step: StepSpec) -> list[str]:
    size, multiple = step.window.size_kji, step.crop.multiple if step.crop else 1
    if size is None or all(side % multiple == 0 for side in size):
        return []
    return [f"step {step.name}: sides of a window are multiples of {multiple}, got {list(size)}"]


def _parameter_problems(step: StepSpec) -> list[str]:
    known = ALGORITHMS[step.algorithm or ""].parameters
    problems = []
    for name, value in step.parameters.items():
        if name not in known:
            problems.append(f"step {step.name}: parameters are {', '.join(known)}, not {name}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            problems.append(f"step {step.name}: {name} is a number above 0, got {value!r}")
    return problems
