"""The process that builds one plan: `python -m dicomnode.engine.plans.building FD`, a job as JSON on stdin.

It says on descriptor FD how far it is, a JSON object a line; stdout and stderr are its log. It ends when its
stdin does, so that it does not outlive who started it.
"""

from __future__ import annotations

import faulthandler
import hashlib
import importlib
import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any, cast

import structlog

from dicomnode.engine.plans.job import BuildJob, PlanBuilder, read_job
from dicomnode.faults import DIGEST_MISMATCH, EXIT_DONE, EXIT_FAILED, NodeError


class _Line:
    """The way to the parent."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()  # runtimes tell of their progress from threads of their own

    def say(self, **message: Any) -> None:
        with self._lock:
            os.write(self._fd, json.dumps(message).encode() + b"\n")

    def tell(self, phase: str, part: float) -> None:
        self.say(phase=phase, part=part)


def main(arguments: list[str] | None = None) -> int:
    """Build one plan; the exit status is 0 when its file is there."""
    faulthandler.enable()  # a library that crashes leaves its stack in the log
    line = _Line(int((sys.argv[1:] if arguments is None else arguments)[0]))
    # What the runtime says it says to the log itself; of our own lines those that somebody must read
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    job = read_job(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout.write(f"building {job.log_name}\n")
    sys.stdout.flush()
    try:
        facts = build(job, line)
    except NodeError as error:
        sys.stdout.write(f"{error}\n")
        # Values may be anything that has a text; the row has only texts and numbers in it
        values = {k: v if isinstance(v, int | float) else str(v) for k, v in error.values.items()}
        line.say(failed=error.fault.code, values=values)
        return EXIT_FAILED
    line.say(done=facts)
    return EXIT_DONE


def build(job: BuildJob, line: _Line) -> dict[str, Any]:
    """Convert, build, write the plan; return what is to be known of it."""
    content = Path(job.network).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != job.sha256:
        raise NodeError(DIGEST_MISMATCH, path=job.network, found=found, expected=job.sha256)
    facts: dict[str, Any] = {}
    if job.precision != "fp32":
        from dicomnode.engine.precision import convert  # noqa: PLC0415  heavy, and not needed for fp32

        line.tell(f"converting to {job.precision}", 0.0)
        content, report = convert(content, job.precision, job.calibration)
        facts["conversion"] = report.facts()
        sys.stdout.write(f"{report.sentence}\n")
        sys.stdout.flush()
    plan = _builder(job.builder)(job, content, line.tell)
    fd = os.open(job.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123  a descriptor, not a path
        file.write(plan)
    return facts


def _builder(name: str) -> PlanBuilder:
    module, _, function = name.partition(":")
    return cast("PlanBuilder", getattr(importlib.import_module(module), function))


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(EXIT_FAILED)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Not by the interpreter's long way out: a library that dies on it has built its plan all the same
    os._exit(status)
