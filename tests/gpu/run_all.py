"""Everything that needs a GPU, in at most ten minutes: python -m tests.gpu.run_all.

Each step has a process of its own and a time box. Prints one JSON object: of each step "passed" with its
figures, "failed" with what was found, or "not run" with the reason. Exit status: 0 nothing failed and
something passed, 1 something failed, 3 nothing could be run. See README.md beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from tests.gpu import arithmetic, machine, plans, rivals
from tests.gpu.steps import BAD, GOOD, NOT_RUN, NotRunError, Step, WrongError, on_test_driver

LIMIT_S: Final = 570.0  # of all steps; who ends this process after ten minutes still finds the report
BROUGHT: Final = Step(0, "brought", machine.brought, 90)
STEPS: Final = (
    Step(1, "device", machine.device, 20),
    Step(2, "pycuda", machine.pycuda, 20),
    Step(3, "kernels", arithmetic.kernels, 90),
    Step(4, "processes", machine.processes, 60),
    Step(5, "copies", arithmetic.copies, 45),
    Step(6, "plans", plans.plans, 110),
    Step(7, "memory", plans.memory, 60),
    Step(8, "out of memory", machine.out_of_memory, 40),
    Step(9, "steady", plans.steady, 60),
    Step(10, "cache", plans.cache, 80),
    Step(11, "bandwidth", arithmetic.bandwidth, 60),
    Step(12, "engine", rivals.engine, 120),
    Step(13, "rivals", rivals.rivals, 150),
)
_EXIT_FAILED, _EXIT_NOTHING = 1, 3
_PACKAGES: Final = ("pycuda", "tensorrt", "tensorrt-rtx", "onnxruntime-gpu", "onnxruntime", "torch", "monai")


def run_step(step: Step, left_s: float, environment: dict[str, str]) -> dict[str, Any]:
    """Run a step in a child; return what it told, or what became of it."""
    row: dict[str, Any] = {"step": step.number, "name": step.name}
    if left_s <= 0:
        return {**row, "result": NOT_RUN, "because": f"the {LIMIT_S:.0f} s for all steps were over"}
    box_s = min(step.box_s, left_s)
    begun = time.monotonic()
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "tests.gpu.run_all", "--step", step.name, "--tell", str(writing)]
    child = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(writing,),
        start_new_session=True,
    )
    os.close(writing)
    try:
        said = child.communicate(timeout=box_s)[0]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # its own session: what it started goes with it
        said = child.communicate()[0]
        return {
            **row,
            "result": BAD,
            "seconds": round(box_s, 1),
            "because": f"it took more than {box_s:.0f} s",
        }
    finally:
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
    row["seconds"] = round(time.monotonic() - begun, 1)
    if child.returncode or not told:
        tail = said.decode(errors="replace")[-800:]
        return {**row, "result": BAD, "because": f"its process ended with {child.returncode}: {tail}"}
    return {**row, **json.loads(told)}


def one_step(name: str, tell: int) -> int:
    """In the child: run a step and tell what came of it."""
    (step,) = [one for one in (BROUGHT, *STEPS) if one.name == name]
    try:
        told = {"result": GOOD, "figures": step.run()}
    except NotRunError as reason:
        told = {"result": NOT_RUN, "because": str(reason)}
    except WrongError as wrong:
        told = {"result": BAD, "because": str(wrong)}
    with os.fdopen(tell, "w") as pipe:
        json.dump(told, pipe, default=float)
    return 0


def report(rows: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Put everything together that a reader must know to judge the figures."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    counts = {result: sum(row["result"] == result for row in rows) for result in (GOOD, BAD, NOT_RUN)}
    test_driver = on_test_driver()
    return {
        "schema": 1,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "test_driver": test_driver,
        "note": "On the test driver: no figure of this is one of a GPU." if test_driver else "",
        "python": platform.python_version(),
        "versions": versions,
        "seconds": round(seconds, 1),
        "counts": counts,
        "steps": list(rows),
    }


def main() -> int:
    """Run the steps that are wanted, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[step.name for step in STEPS], help="these steps only")
    parser.add_argument("--brought", nargs="+", help="what tests.gpu.carry packed, part by part")
    parser.add_argument("--report", type=Path, help="file that the report is written to after each step, too")
    parser.add_argument("--list", action="store_true", help="tell the steps and how long each may take")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--tell", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        return one_step(given.step, given.tell)
    wanted = [
        *([BROUGHT] if given.brought else []),
        *(one for one in STEPS if one.name in (given.only or [one.name])),
    ]
    if given.list:
        for step in wanted:
            print(f"{step.number:>2} {step.name}: at most {step.box_s:.0f} s")
        return 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as target:
        path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH", ""), target)))
        environment = os.environ | {machine.TARGET: target, "PYTHONPATH": path}
        environment[machine.BROUGHT] = os.pathsep.join(given.brought or [])
        rows: list[dict[str, Any]] = []
        for step in wanted:
            rows.append(run_step(step, LIMIT_S - (time.monotonic() - begun), environment))
            sys.stderr.write(f"{step.number:>2} {step.name}: {rows[-1]['result']}\n")
            if given.report:
                given.report.write_text(json.dumps(report(rows, time.monotonic() - begun), indent=1))
    found = report(rows, time.monotonic() - begun)
    print(json.dumps(found, indent=1))
    if found["counts"][BAD]:
        return _EXIT_FAILED
    return 0 if found["counts"][GOOD] else _EXIT_NOTHING


if __name__ == "__main__":
    sys.exit(main())
