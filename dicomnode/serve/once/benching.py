"""Measuring an engine: the study that it is measured on, and the processes that measure (`engine bench`)."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dicomnode.analyse.benching_child import BenchJob
from dicomnode.assemble import read_studies
from dicomnode.engine import EnginePackage
from dicomnode.faults import BENCH_ENDED, BENCH_NOT_ANALYSED, FAULTS, NO_INSTANCES, NodeError
from dicomnode.serve.analysing.analysis import further_stacks, load_inputs
from dicomnode.serve.deciding.dispatch import Dispatch, decide
from dicomnode.values import Picture, Progress, Refusal, Volume, no_progress

_CHILD: Final = "dicomnode.analyse.benching_child"


def volumes_for(
    package: EnginePackage, folder: Path, progress: Progress = no_progress
) -> dict[str, Volume | Picture]:
    """Decode what an engine takes of the first study in a folder that it wants, by name of the [[input]].

    Raises NodeError: NO_INSTANCES, BENCH_NOT_ANALYSED where it wants none or lacks an input, and as
    `load_volume` does.
    """
    studies = read_studies([folder], progress).studies
    if not studies:
        raise NodeError(NO_INSTANCES, path=folder)
    manifest = package.manifest
    reason = ""
    for study in studies:
        dispatch = decide(study, [package])
        if not dispatch.choices:
            reason = reason or _why_not(dispatch)
            continue
        first = dispatch.choices[0].stack
        others = [stack for series in study.series for stack in series.stacks]
        further = further_stacks(manifest, first, others)
        if not isinstance(further, Refusal):
            stacks = {manifest.input[0].name: first, **further}
            return load_inputs(manifest, stacks, progress)
        reason = reason or further.text.rstrip(".")
    raise NodeError(BENCH_NOT_ANALYSED, engine=manifest.name, reason=reason)


def _why_not(dispatch: Dispatch) -> str:
    for dismissal in dispatch.dismissals:
        return dismissal.refusal.text.rstrip(".")
    for verdict in dispatch.verdicts:
        return f"it wants {verdict.rule}, found {verdict.found}"
    return "it holds no series of images"


def measure_in_child(
    job: BenchJob, volumes: Mapping[str, Volume | Picture] | None = None, progress: Progress = no_progress
) -> dict[str, Any]:
    """Have a child do a job; return what it told: "ready" and, of a job with rounds, "times".

    Raises NodeError: what the child met, BENCH_ENDED where it came to an end before.
    """
    told: dict[str, Any] = {}
    # -P: what lies in the folder that the command was started in is not imported
    command = [sys.executable, "-P", "-m", _CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it died: its exit status tells of it
                child.stdin.write(pickle.dumps(job) + pickle.dumps(dict(volumes or {})))
                child.stdin.close()
            for line in child.stdout:
                message = json.loads(line)
                if "progress" in message:
                    progress(*message["progress"])
                else:
                    told |= message
        except BaseException:
            child.kill()
            raise
    status = child.returncode
    if "failed" in told:
        raise NodeError(FAULTS[told["failed"]], **told["values"])
    if status or "ready" not in told or (job.rounds and "times" not in told):
        raise NodeError(BENCH_ENDED, engine=job.name, status=_status(status))
    return told


def _status(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    with suppress(ValueError):
        return signal.Signals(-returncode).name
    return f"signal {-returncode}"
