"""Inputs to calibrate an engine's networks with: of studies of the site or the chest phantom, kept in files.

They are voxels of these studies without their headers: the folder is its owner's alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from dicomnode.analyse.calibration import WINDOWS, calibration_windows
from dicomnode.assemble import Stack, StudyFiles, read_studies
from dicomnode.engine import EnginePackage
from dicomnode.faults import CALIBRATION_EMPTY, CALIBRATION_NOT_KEPT, NO_INSTANCES, NodeError
from dicomnode.phantom import demo_study
from dicomnode.serve.analysing.analysis import further_stacks, load_inputs
from dicomnode.serve.deciding.dispatch import Dispatch, decide
from dicomnode.values import Picture, Progress, Refusal, Volume, no_progress

_PRIVATE: Final = 0o600
_STUDIES: Final = "calibration"  # stage of the progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What was kept. inputs: how many of each network, by its step. passed_over: why studies gave nothing."""

    folder: Path
    inputs: Mapping[str, int]
    studies: int
    passed_over: tuple[str, ...]


def calibrate(
    package: EnginePackage,
    source: Path | None,
    kept: Path,
    *,
    limit: int = WINDOWS,
    cache: Path | None = None,
    progress: Progress = no_progress,
) -> Calibrated:
    """Analyse the studies in a folder and keep what the engine's networks were given, in place of before.

    source: None for the chest phantom, which is made in the folder `cache` (beside `kept` if it is not said).
    kept: holds a folder for each step with a network then, of one .npz an item. Raises NodeError:
    NO_INSTANCES, CALIBRATION_EMPTY where the engine takes none of the studies, CALIBRATION_NOT_KEPT, and as
    `Analyst.analyse` does.
    """
    if source is None:
        source = demo_study(cache or kept.parent).files[0].parent
    passed_over: list[str] = []
    studies = _studies(package, source, passed_over, progress)
    try:
        found = calibration_windows(package, studies, limit=limit, progress=progress)
    except NodeError as error:
        if error.fault is CALIBRATION_EMPTY and passed_over:
            reasons = "; ".join(dict.fromkeys(passed_over))
            raise NodeError(CALIBRATION_EMPTY, engine=package.manifest.name, reason=reasons) from error
        raise
    try:
        _keep(found.windows, kept)
    except OSError as error:
        raise NodeError(CALIBRATION_NOT_KEPT, path=kept, error=error.strerror or error) from error
    return Calibrated(
        folder=kept,
        inputs={step: len(items) for step, items in found.windows.items()},
        studies=found.studies - len(found.passed_over),
        passed_over=(*passed_over, *found.passed_over),
    )


def _studies(
    package: EnginePackage, source: Path, passed_over: list[str], progress: Progress
) -> Iterator[dict[str, Volume | Picture]]:
    """Decode what the engine takes of each study, one after the other; say of the others why it does not."""
    studies = read_studies([source], progress).studies
    if not studies:
        raise NodeError(NO_INSTANCES, path=source)
    for done, study in enumerate(studies):
        progress(_STUDIES, done, len(studies))
        stacks = _stacks(package, study)
        if isinstance(stacks, str):
            passed_over.append(stacks)
            continue
        try:
            yield load_inputs(package.manifest, stacks, progress)
        except NodeError as error:
            passed_over.append(error.refusal.text.rstrip("."))
    progress(_STUDIES, len(studies), len(studies))


def _stacks(package: EnginePackage, study: StudyFiles) -> dict[str, Stack] | str:
    """Return the series for each [[input]] of a study, or why the engine does not take it."""
    dispatch = decide(study, [package])
    if not dispatch.choices:
        return _why_not(dispatch)
    first = dispatch.choices[0].stack
    others = [stack for series in study.series for stack in series.stacks]
    further = further_stacks(package.manifest, first, others)
    if isinstance(further, Refusal):
        return further.text.rstrip(".")
    return {package.manifest.volumes[0].name: first, **further}


def _why_not(dispatch: Dispatch) -> str:
    for dismissal in dispatch.dismissals:
        return dismissal.refusal.text.rstrip(".")
    for verdict in dispatch.verdicts:
        return f"it wants {verdict.rule}, found {verdict.found}"
    return "it holds no series of images"


def _keep(windows: Mapping[str, tuple[Mapping[str, Any], ...]], kept: Path) -> None:
    """Write everything beside, then put it in the place of what was there: a reader sees all or nothing."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    building = kept.parent / f".{kept.name}.{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)  # of a process of the same number that was killed
    try:
        building.mkdir(mode=0o700)
        for step, items in windows.items():
            (building / step).mkdir(mode=0o700)
            for number, arrays in enumerate(items):
                path = building / step / f"{number:04d}.npz"
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, **arrays)
        shutil.rmtree(kept, ignore_errors=True)
        building.replace(kept)
    finally:
        shutil.rmtree(building, ignore_errors=True)
