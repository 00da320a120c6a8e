"""What a build is told, and what it says while it runs: JSON lines between two processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from dicomnode.engine.precision.calibration import Calibration

# Phase in a word or two, and how much of the whole is done, 0 to 1
Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """One build, as the child process reads it.

    builder: "module:function" of a `PlanBuilder`. network: path of the ONNX, sha256 of its bytes. output:
    path that the plan is written to. engine, file: for messages. options: of `PlanKey`, as JSON values.
    """

    builder: str
    flavour: str
    network: str
    sha256: str
    output: str
    engine: str
    file: str
    precision: str
    calibration: Calibration | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> bytes:
        """Write it as one line."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        given["options"] = dict(self.options)
        given["calibration"] = None if self.calibration is None else asdict(self.calibration)
        return json.dumps(given).encode() + b"\n"

    @property
    def log_name(self) -> str:
        """For the first line of the log."""
        return f"{self.engine} {self.file} {self.precision}, {self.flavour}"


def read_job(line: bytes) -> BuildJob:
    """Read what `BuildJob.line` wrote."""
    given = json.loads(line)
    calibration = given.pop("calibration")
    return BuildJob(**given, calibration=None if calibration is None else Calibration(**calibration))


class PlanBuilder(Protocol):
    """Makes a plan of a network; runs in a process of its own, which it may take down with it."""

    def __call__(self, job: BuildJob, content: bytes, tell: Tell) -> bytes:
        """Return the plan. content: the ONNX in the precision of the job.

        What it writes to stdout and stderr is the log of the build. Raises NodeError.
        """


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """How far a build is. part: 0 to 1, or None where that is not known. left_s: an estimate, or None."""

    phase: str
    part: float | None
    elapsed_s: float
    left_s: float | None


def left_s(elapsed_s: float, earlier_s: float | None, part: float | None) -> float | None:
    """Estimate the seconds that are left: by the last build of its kind, else by the part that is done.

    A build that takes longer than the last one did is judged by its own part from then on. None: unknown.
    """
    if earlier_s is not None and elapsed_s < earlier_s:
        return earlier_s - elapsed_s
    if part is not None and 0 < part <= 1:
        return elapsed_s * (1 - part) / part
    return None


def tail_of(log: Path, lines: int = 4) -> str:
    """Return the last words of a log, in one line."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return "none"
    return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip()) or "none"
