"""The walk without the service: assemble → analyse → report on files, nothing sent (`dicomnode try`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicomnode import __version__
from dicomnode.analyse import Analyst
from dicomnode.assemble import (
    DecoderLimits,
    DecoderPool,
    DecodeSlices,
    StudyFiles,
    load_picture,
    load_volume,
    read_studies,
)
from dicomnode.engine import EnginePackage, RuntimeWish
from dicomnode.faults import NodeError
from dicomnode.report import ReportProfile, ResultObject, SourcePixels, make_objects
from dicomnode.serve.analysing.analysis import Beside, analyse_stack
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.analysing.patient import check_reportable
from dicomnode.serve.analysing.unanswered import not_analysed
from dicomnode.serve.deciding.dispatch import Dispatch, decide
from dicomnode.values import (
    Code,
    Findings,
    Grid,
    Picture,
    PicturePlane,
    Progress,
    Refusal,
    Repair,
    SetAside,
    Volume,
    no_progress,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSummary:
    """What `try` tells of a volume; the voxels themselves are let go as soon as nobody needs them.

    minimum, maximum, mean: in `unit`, over all voxels.
    """

    grid: Grid
    unit: Code
    minimum: float
    maximum: float
    mean: float
    repairs: tuple[Repair, ...]

    @classmethod
    def of(cls, volume: Volume) -> VolumeSummary:
        """Summarise the volume."""
        voxels = volume.voxels
        return cls(
            grid=volume.grid,
            unit=volume.unit,
            minimum=float(voxels.min()),
            maximum=float(voxels.max()),
            mean=float(voxels.mean(dtype="float64")),
            repairs=volume.repairs,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSummary:
    """What `try` tells of a picture or cine. shape_tjic: frames, rows, columns, channels."""

    shape_tjic: tuple[int, int, int, int]
    plane: PicturePlane
    repairs: tuple[Repair, ...]

    @classmethod
    def of(cls, picture: Picture) -> PictureSummary:
        """Summarise the picture."""
        t, j, i, c = picture.frames.shape
        return cls(shape_tjic=(t, j, i, c), plane=picture.plane, repairs=picture.repairs)


Summary = VolumeSummary | PictureSummary


def summary_of(images: Volume | Picture) -> Summary:
    """Summarise what was made of a stack."""
    return PictureSummary.of(images) if isinstance(images, Picture) else VolumeSummary.of(images)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineResult:
    """What one engine made of one study; volume is None when it could not be analysed, and of pictures."""

    findings: Findings
    volume: Volume | None
    objects: tuple[ResultObject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyWalk:
    """One study's way: its series, the decision, the results, and what each stage took (seconds)."""

    study: StudyFiles
    dispatch: Dispatch
    results: tuple[EngineResult, ...]
    volumes: Mapping[tuple[str, int], Summary | Refusal]
    timings_s: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderWalk:
    """All studies that the files hold, and the files that are of none."""

    studies: tuple[StudyWalk, ...]
    set_aside: tuple[SetAside, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkPlan:
    """How to walk: engines, threads, what the objects shall be, and whether every stack is decoded.

    wishes: by name of the engine, what it shall run on; one that is not named runs on what is best here.
    decoding: what the decoders may take.
    """

    packages: Sequence[EnginePackage]
    threads: int
    profile: ReportProfile
    occasion: Occasion
    wishes: Mapping[str, RuntimeWish] = field(default_factory=dict)
    decoding: DecoderLimits = field(default_factory=DecoderLimits)
    all_volumes: bool = False

    def wish(self, package: EnginePackage) -> RuntimeWish:
        """What an engine shall run on."""
        return self.wishes.get(package.manifest.name, RuntimeWish())


def walk(paths: Iterable[Path], plan: WalkPlan, progress: Progress = no_progress) -> FolderWalk:
    """Walk each study among the files. Raises NodeError when an engine fails; refusals are values."""
    with DecoderPool(plan.decoding) as decoders:
        began = time.perf_counter()
        reading = read_studies(paths, progress)
        reading_s = time.perf_counter() - began
        studies = tuple(_walk_study(study, plan, progress, decoders, reading_s) for study in reading.studies)
    return FolderWalk(studies=studies, set_aside=reading.set_aside)


def _walk_study(
    study: StudyFiles, plan: WalkPlan, progress: Progress, decode: DecodeSlices, reading_s: float
) -> StudyWalk:
    timings = {"read_headers": reading_s}
    dispatch = decide(study, plan.packages, decode)
    volumes: dict[tuple[str, int], Summary | Refusal] = {}
    results: list[EngineResult] = []
    for choice in dispatch.choices:
        check_reportable(choice.stack, plan.occasion.renaming)
        began = time.perf_counter()
        analyst = Analyst(
            choice.package,
            threads=plan.threads,
            node_version=__version__,
            wish=plan.wish(choice.package),
        )
        timings["load_engine"] = timings.get("load_engine", 0.0) + time.perf_counter() - began
        began = time.perf_counter()
        try:
            beside = Beside(others=[stack for series in study.series for stack in series.stacks])
            findings, volume = analyse_stack(analyst, choice.stack, plan.occasion, progress, decode, beside)
        finally:
            analyst.close()
        timings["analyse"] = timings.get("analyse", 0.0) + time.perf_counter() - began
        if volume is not None:
            volumes[choice.stack.facts.series_instance_uid, choice.stack.facts.stack] = summary_of(volume)
        began = time.perf_counter()
        progress("encoding", 0, 1)
        results.append(_report(findings, volume, plan))
        timings["report"] = timings.get("report", 0.0) + time.perf_counter() - began
    for dismissal in dispatch.dismissals:
        findings = not_analysed(dismissal.package, dismissal.stack, dismissal.refusal, plan.occasion)
        results.append(_report(findings, None, plan))
    if plan.all_volumes:
        _load_the_rest(study, volumes, progress, decode)
    return StudyWalk(
        study=study, dispatch=dispatch, results=tuple(results), volumes=volumes, timings_s=timings
    )


def _report(findings: Findings, images: Volume | Picture | None, plan: WalkPlan) -> EngineResult:
    pixels = None if images is None else SourcePixels((images,))
    occasion = plan.occasion
    objects = make_objects(findings, plan.profile, occasion.salt, occasion.renaming, pixels=lambda: pixels)
    volume = images if isinstance(images, Volume) else None
    return EngineResult(findings=findings, volume=volume, objects=tuple(objects))


def _load_the_rest(
    study: StudyFiles,
    volumes: dict[tuple[str, int], Summary | Refusal],
    progress: Progress,
    decode: DecodeSlices,
) -> None:
    """Decode the stacks that no engine took, so that each ends in a volume or a refusal."""
    for series in study.series:
        for stack in series.stacks:
            key = (series.series_instance_uid, stack.facts.stack)
            if key in volumes or stack.facts.refusal is not None:
                continue
            try:
                load = load_volume if stack.kind == "volume" else load_picture
                volumes[key] = summary_of(load(stack, progress, decode))
            except NodeError as error:
                volumes[key] = error.refusal
