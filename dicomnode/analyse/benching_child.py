"""Measures an engine in a process of its own: `python -m dicomnode.analyse.benching_child`.

A start is only a start in a new process, and only there are a first study and the most memory those of this
engine. Reads one job from its parent; writes one JSON object a line: {"progress": [stage, done, total]},
{"ready": {...}}, {"times": {...}} or {"failed": code, "values": {...}}.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from dicomnode.engine import RuntimeWish


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchJob:
    """What a child shall do. started: when its parent started it (time.time). rounds 0: start, and no more.

    After the job come, pickled, the volumes by name of their [[input]].
    """

    name: str
    path: Path | None
    wish: RuntimeWish
    threads: int
    rounds: int
    started: float


def main() -> int:
    """Do one job; nothing that a library prints is in the way of what is told."""
    began = time.time()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever stopped the bench wants no traceback of its child
    told = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(**message: Any) -> None:
        os.write(told, json.dumps(message).encode() + b"\n")

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    job: BenchJob = pickle.load(sys.stdin.buffer)  # noqa: S301  from the parent, by a pipe of its own
    from dicomnode.faults import NodeError  # noqa: PLC0415  what it costs to load is measured

    try:
        _do(job, began, tell)
    except NodeError as error:
        values = {
            name: value if isinstance(value, float | int) else str(value)
            for name, value in error.values.items()
        }
        tell(failed=error.fault.code, values=values)
    # Not by the interpreter's long way out: all has been told
    os._exit(0)


def _do(job: BenchJob, began: float, tell: Callable[..., None]) -> None:
    from dicomnode.analyse.benching import Bench  # noqa: PLC0415  what it costs to load is measured
    from dicomnode.engine import find_engine  # noqa: PLC0415

    imported = time.time()
    bench = Bench(find_engine(job.name, job.path), job.threads, job.wish)
    loaded = time.time()
    bench.analyst.warm()
    ready = time.time()
    tell(
        ready={
            "seconds": ready - job.started,
            "process": began - job.started,
            "import": imported - began,
            "load": loaded - imported,
            "warm": ready - loaded,
        }
    )
    if job.rounds:
        volumes = pickle.load(sys.stdin.buffer)  # noqa: S301  as above
        times = bench.measure(
            volumes, job.rounds, lambda stage, done, total: tell(progress=[stage, done, total])
        )
        tell(times=times.document())


if __name__ == "__main__":
    sys.exit(main())
