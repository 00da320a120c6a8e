"""What an engine for lungs costs: python -m tests.bench.lung_cost [--engine NAME|DIR] [--threads 1 2].

A chest of 300 slices of 512 × 512 as DICOM files, from the files to the objects that are sent; each number of
threads in a process of its own. Seconds by the clock, and of the processor: on a machine that does other work
only the latter say something, and the ratio to a convolution that is timed in the same sitting (16 to 16
channels, 3 × 3 × 3, on 96 × 96 × 96: 12.2 GFLOP), which another machine may be compared by.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import logging
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import onnxruntime as ort
import structlog
from onnx import TensorProto, helper, numpy_helper

from dicomnode.analyse import Analysis, Analyst, clock
from dicomnode.analyse.benching import memory_mb
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.phantom import chest, write_series
from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Volume
from tests.bench.lung.answer import SALT, WHEN
from tests.bench.lung.engines import package_of, title
from tests.bench.lung_real import read_scan
from tests.bench.told import machine

SHAPE: Final = (300, 512, 512)
SEED: Final = 150_001  # a patient that engines may be tuned on, not of the suite
GOAL: Final = "≤ 10 s on 2 cores"
_SIDE: Final = 96
_CHANNELS: Final = 16
_ENGINE: Final = "lung-ct"


def write_study(folder: Path) -> None:
    """Write the chest on a grid of SHAPE."""
    made = chest(SEED)
    k, j, i = (
        mm * n / m for mm, n, m in zip(made.grid.spacing_kji_mm, made.voxels.shape, SHAPE, strict=True)
    )
    finer = resample(Prepared(made.voxels, made.grid), (k, j, i))
    write_series(np.rint(finer.voxels).astype(np.int16), finer.grid, folder, seed=SEED)


def reference(threads: int) -> Callable[[], object]:
    """Make the convolution that all is compared with."""
    weights = np.random.default_rng(0).standard_normal((_CHANNELS, _CHANNELS, 3, 3, 3)).astype(np.float32)
    shape = [1, _CHANNELS, _SIDE, _SIDE, _SIDE]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3, 3], pads=[1] * 6)],
        "reference",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    return lambda: session.run(None, given)


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Do something; return seconds by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def least(times: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the least of each: what else the machine did only adds."""
    return {name: min(one[name] for one in times) for name in times[0]}


def staged(analyst: Analyst, analysis: Analysis) -> dict[str, dict[str, float]]:
    """Analyse twice, with the stages' clock going by seconds, and then by the processor's."""
    found: dict[str, dict[str, float]] = {}
    for name, now in (("wall", time.perf_counter), ("cpu", time.process_time)):
        kept, clock.time = clock.time, SimpleNamespace(perf_counter=now)
        try:
            analyst.analyse(analysis)
        finally:
            clock.time = kept
        for stage in analyst.stages:
            rest = stage.seconds - sum(stage.parts.values())
            for part, seconds in ({"": rest} | dict(stage.parts)).items():
                if part or not stage.parts:
                    row = f"{stage.name}: {part}" if part else stage.name
                    found.setdefault(row, {})[name] = seconds
    return found


def cost_of(folder: Path, engine: str, threads: int, rounds: int) -> dict[str, Any]:
    """Measure in this process."""
    package = package_of(engine)
    convolve = reference(threads)
    convolve()
    references = [timed(convolve)[1] for _ in range(rounds)]
    volume, reading = timed(lambda: read_scan(folder))
    analyst, loading = timed(lambda: Analyst(package, threads=threads, node_version="bench"))
    analysis = Analysis(
        volumes={package.manifest.input[0].name: volume}, salt=SALT, study_version=1, made_at=WHEN
    )
    findings, first = timed(lambda: analyst.analyse(analysis))
    _, report = timed(lambda: make_objects(findings, ReportProfile(), SALT))
    peak = memory_mb("VmHWM")
    several = [staged(analyst, analysis) for _ in range(rounds)]
    whole = least([timed(lambda: analyst.analyse(analysis))[1] for _ in range(rounds)])
    references += [timed(convolve)[1] for _ in range(rounds)]
    rows = {"read the files": reading, "load the engine": loading}
    rows |= {row: least([one[row] for one in several]) for row in several[0]}
    rows |= {"report": report, "analysis, first": first, "analysis": whole}
    rows["read, analyse, report"] = {
        name: reading[name] + whole[name] + report[name] for name in ("wall", "cpu")
    }
    return {
        "threads": threads,
        "outcome": str(findings.outcome),
        "reference": least(references),
        "rows": rows,
        "peak_mb": peak,
    }


def profiled(analyst: Analyst, analysis: Analysis, most: int) -> None:
    """Print the functions that take the most time themselves, of one analysis."""
    profile = cProfile.Profile(time.process_time)
    profile.runcall(analyst.analyse, analysis)
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(most)


def page(told: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    heads = " | ".join(f"{one['threads']} thread(s): s | CPU s | of the convolution" for one in told)
    print(f"| | {heads} |")
    print("| --- |" + " ---: |" * (3 * len(told)))
    for row in told[0]["rows"]:
        cells = []
        for one in told:
            times = one["rows"][row]
            ratio = times["cpu"] / one["reference"]["cpu"]
            cells += [f"{times['wall']:.2f}", f"{times['cpu']:.2f}", f"{ratio:.1f}"]
        print(f"| {row} | " + " | ".join(cells) + " |")
    sizes = [one["reference"] for one in told]
    cells = [cell for one in sizes for cell in (f"{one['wall']:.2f}", f"{one['cpu']:.2f}", "1")]
    print("| the convolution | " + " | ".join(cells) + " |")
    print("| peak memory, MB | " + " | ".join(f"{one['peak_mb']:.0f} | | " for one in told) + " |")


def _volume(folder: Path, given: argparse.Namespace) -> None:
    """Do what a child is for."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if given.profile:
        package = package_of(given.engine)
        volume: Volume = read_scan(folder)
        analyst = Analyst(package, threads=1, node_version="bench")
        name = package.manifest.input[0].name
        analysis = Analysis(volumes={name: volume}, salt=SALT, study_version=1, made_at=WHEN)
        analyst.analyse(analysis)
        profiled(analyst, analysis, given.profile)
        return
    print(json.dumps(cost_of(folder, given.engine, given.threads[0], given.rounds)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default=_ENGINE, help="name of a shipped engine, or a folder")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--profile", type=int, default=0, help="print so many functions of one thread instead"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        _volume(given.only, given)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_study(Path(folder))
        command = [sys.executable, "-m", "tests.bench.lung_cost", "--only", folder, "--engine", given.engine]
        command += ["--rounds", str(given.rounds)]
        if given.profile:
            subprocess.run([*command, "--profile", str(given.profile)], check=True)
            return
        told = []
        for threads in given.threads:
            done = subprocess.run([*command, "--threads", str(threads)], check=True, stdout=subprocess.PIPE)
            told.append(json.loads(done.stdout))
    print(f"## What {title(package_of(given.engine))} costs: {' × '.join(map(str, SHAPE))} (goal: {GOAL})\n")
    page(told)
    print(f"\nLeast of {given.rounds} rounds; reading, loading and reporting: once.", end=" ")
    print(machine(("numpy", "scipy", "onnxruntime"), max(given.threads)))
    if given.json:
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
