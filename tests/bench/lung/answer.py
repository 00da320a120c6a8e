"""What an engine for lungs says of a chest: its nodules, what it did not report, its lungs, its doubts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from dicomnode.analyse import Analysis, Analyst
from dicomnode.phantom import ChestScan
from dicomnode.values import (
    FindingKind,
    Findings,
    Mask,
    PointLps,
    RemarkKind,
    SourceFrame,
    SourceHeaders,
    Volume,
)
from dicomnode.values.codes import HOUNSFIELD

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
SALT = b"b" * 32
SIDES = ("right", "left")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """A candidate that is reported. voxels: in the grid of the source; None of a point without an outline."""

    centre_lps_mm: PointLps
    score: float
    voxels: Mask | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """found: by score. below: places and scores that are not reported, all down to `down_to` (None: they are
    not known). seeks: whether the engine looks for nodules at all. lungs: by side, those that were found.
    doubts: what it says against its own outline of the lungs; none is the verdict "ok". nothing: why it did
    not analyse, or "". seconds: by stage, and "cpu" of all threads.
    """

    found: tuple[Found, ...] = ()
    below: tuple[tuple[PointLps, float], ...] = ()
    down_to: float | None = None
    seeks: bool = True
    lungs: Mapping[str, Mask] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    nothing: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)


Look = Callable[[Volume], Answer]


def volume_of(scan: ChestScan) -> Volume:
    """Give a phantom as the volume that its DICOM series is read to."""
    return Volume(
        voxels=scan.voxels,
        affine_lps=scan.grid.affine_lps,
        unit=HOUNSFIELD,
        frame_of_reference_uid=scan.grid.frame_of_reference_uid,
        study_instance_uid=f"2.25.{scan.seed}",
        series_instance_uid=f"2.25.{scan.seed}1",
        frames=tuple(SourceFrame(f"2.25.{scan.seed}2.{k}") for k in range(len(scan.voxels))),
        headers=SourceHeaders(()),
    )


def looking(analyst: Analyst) -> Look:
    """Ask an engine that is loaded, on the node's own path."""
    analyst.keeps_unreported = True
    spec = analyst.package.manifest.input[0].name

    def look(volume: Volume) -> Answer:
        analysis = Analysis(volumes={spec: volume}, salt=SALT, study_version=1, made_at=WHEN)
        cpu = time.process_time()
        findings = analyst.analyse(analysis)
        cpu = time.process_time() - cpu
        seconds = {stage.name: stage.seconds for stage in analyst.stages} | {"cpu": cpu}
        return _answer(analyst, findings, seconds)

    return look


def _answer(analyst: Analyst, findings: Findings, seconds: Mapping[str, float]) -> Answer:
    seeks = any(one.kind == "lesion" for one in analyst.package.manifest.output)
    below = analyst.unreported
    refused = [one.text for one in findings.remarks if one.kind == RemarkKind.NOT_ANALYSED]
    return Answer(
        found=candidates_of(findings),
        below=tuple((one.centre_lps_mm, one.score) for one in below.candidates),
        down_to=max(below.down_to.values(), default=None),
        seeks=seeks,
        lungs={
            side: one.mask
            for side in SIDES
            for one in findings.segments
            if one.kind == FindingKind.ANATOMY and one.label == f"lung-{side}"
        },
        doubts=tuple(doubts_of(findings)),
        nothing=" ".join(refused),
        seconds=seconds,
    )


def candidates_of(findings: Findings) -> tuple[Found, ...]:
    """Return what was reported of nodules, the surest first."""
    found = [
        Found(centre_lps_mm=one.centre_lps_mm, score=one.score, voxels=one.mask)
        for one in findings.segments
        if one.score is not None
    ]
    for one in findings.regions:
        x, y, z = np.mean(np.array(one.points_lps_mm, dtype=np.float64), axis=0).tolist()
        found.append(Found(centre_lps_mm=(x, y, z), score=1.0 if one.score is None else one.score))
    return tuple(sorted(found, key=lambda one: -one.score))


def doubts_of(findings: Findings) -> list[str]:
    """Return what is said against the lungs; sentences on candidates are no doubts."""
    said = [one.text for one in findings.remarks if one.kind == RemarkKind.QUALITY]
    of_candidates = tuple(one.tracking_id for one in findings.segments if one.score is not None)
    return [text for text in said if not text.startswith(of_candidates)]
