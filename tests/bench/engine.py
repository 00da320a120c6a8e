"""What lung-ct takes, stage by stage: python -m tests.bench.engine [--rounds N] [--runtimes …] [--json FILE].

Studies: a phantom of 300 slices of 512 × 512, and the real scans of the test data, where they are. Each round
of a study and runtime has a process of its own, rounds are interleaved: start until ready, a first study, a
second one, and the network alone on the same tensors. "around it" is the second study less the network alone;
the figures of a table are the least of all rounds, as other work on the machine only adds.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SHAPE: Final = (300, 512, 512)
SCANS: Final = ("chest-ct-nlst-101287/ct", "chest-ct-acrin-042/ct")
STAGES: Final = {
    "preparing_s": "prepare",
    "lungs_s": "lungs",
    "nodules_s": "network step",
    "measuring_s": "measure",
}
ROWS: Final = (
    *STAGES.values(),
    "network in it",
    "window, blend, interpret",
    "whole path, second study",
    "whole path, first study",
    "CPU, second study",
    "network alone",
    "around it, % of network",
    "start until ready",
    "peak MB",
)


def memory_mb() -> float:
    """The largest resident memory of this process so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


class Spied:
    """A session that keeps what it was given and counts how long it took."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.seconds = 0.0
        self.given: Mapping[str, NDArray[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> Any:
        begun = time.perf_counter()
        outputs = self._session.run(arrays)
        self.seconds += time.perf_counter() - begun
        self.given = arrays
        return outputs


class Spy:
    """In the place of the log: the seconds of the stages."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def debug(self, _event: str, **facts: Any) -> None:
        self.facts = facts


def one_study(study: Path, runtime: str, threads: int, started: float) -> dict[str, float]:
    """Load the engine, analyse the study twice, and run the network alone."""
    from dicomnode.analyse import Analysis, Analyst
    from dicomnode.engine import find_engine
    from dicomnode.engine.runtimes import RuntimeWish

    wish = RuntimeWish(runtime=runtime)
    analyst = Analyst(find_engine("lung-ct"), threads=threads, node_version="0", wish=wish)
    analyst.warm()
    figures = {"start until ready": time.time() - started}
    volume = pickle.loads(study.read_bytes())
    spied, spy = Spied(analyst._sessions["nodules"]), Spy()
    analyst._sessions["nodules"], analyst._log = spied, spy  # type: ignore[assignment]
    analysis = Analysis(
        volumes={"ct": volume}, salt=b"b" * 32, study_version=1, made_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    for name in ("first", "second"):
        spied.seconds, cpu, wall = 0.0, time.process_time(), time.perf_counter()
        analyst.analyse(analysis)
        figures[f"whole path, {name} study"] = time.perf_counter() - wall
        figures["CPU, second study"] = time.process_time() - cpu
    figures |= {stage: spy.facts[key] for key, stage in STAGES.items()}
    figures["network in it"] = spied.seconds
    figures["window, blend, interpret"] = figures["network step"] - spied.seconds
    figures["peak MB"] = memory_mb()
    alone = []
    for _ in range(3):
        begun = time.perf_counter()
        spied._session.run(spied.given)
        alone.append(time.perf_counter() - begun)
    figures["network alone"] = min(alone)
    return figures


def phantom() -> Any:
    """A volume of SHAPE: the full phantom on a finer grid, as a study that went through DICOM files."""
    from dicomnode.analyse.resample import Prepared, resample
    from dicomnode.phantom import thorax, write_series

    made = thorax(7)
    spacing = [
        mm * n / m for mm, n, m in zip(made.grid.spacing_kji_mm, made.voxels.shape, SHAPE, strict=True)
    ]
    finer = resample(Prepared(made.voxels, made.grid), (spacing[0], spacing[1], spacing[2]))
    with tempfile.TemporaryDirectory() as folder:
        write_series(np.rint(finer.voxels).astype(np.int16), finer.grid, Path(folder), seed=7)
        return loaded(Path(folder))


def loaded(folder: Path) -> Any:
    """Assemble the one stack of a folder."""
    from dicomnode.assemble import load_volume, read_studies

    (study,) = read_studies([folder]).studies
    (stack,) = [stack for series in study.series for stack in series.stacks]
    return load_volume(stack)


def studies(data: Path, folder: Path) -> dict[str, Path]:
    """Assemble all studies once, and keep them for the processes that measure."""
    kept: dict[str, Path] = {}
    found = {f"phantom {' x '.join(map(str, SHAPE))}": phantom()}
    found |= {name.split("/")[0]: loaded(data / name) for name in SCANS if (data / name).is_dir()}
    for number, (name, volume) in enumerate(found.items()):
        kept[name] = folder / f"{number}.pickle"
        kept[name].write_bytes(pickle.dumps(volume))
    return kept


def measured(
    kept: Mapping[str, Path], runtimes: list[str], rounds: int, threads: int
) -> dict[str, dict[str, float]]:
    """Measure each study in each runtime, rounds interleaved; the least of each figure."""
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for runtime in runtimes:
            for name, path in kept.items():
                command = [sys.executable, "-m", "tests.bench.engine", "--study", str(path)]
                command += ["--runtimes", runtime, "--threads", str(threads), "--started", str(time.time())]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                figures = json.loads(done.stdout.splitlines()[-1])
                found.setdefault(f"{name}, {runtime}", []).append(figures)
    least = {name: {key: min(one[key] for one in some) for key in some[0]} for name, some in found.items()}
    for figures in least.values():
        around = figures["whole path, second study"] - figures["network in it"]
        figures["around it, % of network"] = 100.0 * around / figures["network alone"]
    return least


def main() -> None:
    """Measure and print."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runtimes", nargs="*", default=["onnxruntime"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DICOMNODE_TEST_DATA", beside)))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--study", type=Path, help="measure this study once, and print its figures as JSON")
    parser.add_argument("--started", type=float, default=time.time())
    given = parser.parse_args()
    if given.study:
        print(json.dumps(one_study(given.study, given.runtimes[0], given.threads, given.started)))
        return
    with tempfile.TemporaryDirectory() as folder:
        kept = studies(given.data, Path(folder))
        figures = measured(kept, given.runtimes, given.rounds, given.threads)
    print(f"| seconds | {' | '.join(figures)} |")
    print("| --- |" + " ---: |" * len(figures))
    for row in ROWS:
        form = ".0f" if row.startswith(("around", "peak")) else ".2f"
        print(f"| {row} | " + " | ".join(format(one[row], form) for one in figures.values()) + " |")
    packages = ("numpy", "scipy", "onnxruntime", "openvino")
    versions = ", ".join(f"{one} {metadata.version(one)}" for one in packages)
    print(
        f"\nThe best of {given.rounds} rounds; {given.threads} threads, {platform.machine()}, Python", end=" "
    )
    print(f"{platform.python_version()}, {versions}.")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
