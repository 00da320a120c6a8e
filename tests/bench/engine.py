"""What lung-ct takes, stage by stage: python -m tests.bench.engine [--processes N] [--rounds N].

Studies: a phantom of 300 slices of 512 × 512, and the real scans of the test data, where they are. Measured
by what `dicomnode engine bench` measures with, in processes of their own: start until ready, a first study,
a second one, then rounds of a study and of its network alone on the same tensors. Processes of all studies
and runtimes take turns. The figures of a table are medians over the processes, of medians over their rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from dicomnode.analyse.benching_child import BenchJob
from dicomnode.device import usable_cores
from dicomnode.engine import RuntimeWish, find_engine
from dicomnode.serve import measure_in_child, volumes_for
from tests.bench.told import data_folder, machine

ENGINE: Final = "lung-ct"
SHAPE: Final = (300, 512, 512)
SCANS: Final = ("chest-ct-nlst-101287/ct", "chest-ct-acrin-042/ct")

Figures = dict[str, float]


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
        return volumes_for(find_engine(ENGINE), Path(folder))


def studies(data: Path) -> dict[str, Any]:
    """Assemble all studies once."""
    found = {f"phantom {' × '.join(map(str, SHAPE))}": phantom()}
    package = find_engine(ENGINE)
    found |= {
        name.split("/")[0]: volumes_for(package, data / name) for name in SCANS if (data / name).is_dir()
    }
    return found


def one_process(volumes: Any, runtime: str, threads: int, rounds: int) -> Figures:
    """Measure in one process; figures by the rows of the table."""
    wish = RuntimeWish(runtime=runtime)
    job = BenchJob(name=ENGINE, path=None, wish=wish, threads=threads, rounds=rounds, started=time.time())
    told = measure_in_child(job, volumes)
    times = told["times"]
    figures: Figures = {}
    around = 0.0
    for stage in times["stages"]:
        if stage["network"] is None:
            figures[stage["name"]] = stage["seconds"]
            continue
        figures["network"] = stage["network"]
        around += stage["seconds"] - stage["network"]
        figures["window, blend, interpret"] = around
    return figures | {
        "whole path, p50": times["latency"]["p50"],
        "CPU of a study": times["cpu"],
        "network alone": times["plain"],
        "around it, % of the network alone": times["around_percent"],
        "first study": times["first"],
        "second study": times["second"],
        "start until ready": told["ready"]["seconds"],
        "peak MB": times["peak_mb"],
    }


def measured(
    found: Mapping[str, Any], pairs: list[tuple[str, str]], processes: int, rounds: int, threads: int
) -> dict[str, Figures]:
    """Measure each study in each runtime, taking turns; medians over the processes."""
    several: dict[str, list[Figures]] = {}
    for _ in range(processes):
        for name, runtime in pairs:
            figures = one_process(found[name], runtime, threads, rounds)
            several.setdefault(f"{name}, {runtime}", []).append(figures)
    return {
        name: {row: statistics.median(one[row] for one in some) for row in some[0]}
        for name, some in several.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2, help="of each process")
    parser.add_argument("--runtimes", nargs="*", default=["onnxruntime", "openvino"], help="for the phantom")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = studies(given.data)
    first, *scans = found
    pairs = [(first, runtime) for runtime in given.runtimes] + [(name, given.runtimes[0]) for name in scans]
    figures = measured(found, pairs, given.processes, given.rounds, given.threads)
    print(f"### {ENGINE}, from the volume to the findings\n")
    print(f"| seconds | {' | '.join(figures)} |")
    print("| --- |" + " ---: |" * len(figures))
    for row in next(iter(figures.values())):
        form = ".0f" if row.startswith(("around", "peak")) else ".2f"
        print(f"| {row} | " + " | ".join(format(one[row], form) for one in figures.values()) + " |")
    packages = ("numpy", "scipy", "onnxruntime", "openvino")
    print(f"\nMedians of {given.processes} processes with {given.rounds} rounds each, taking turns;")
    print(f"{machine(packages, given.threads)}\n")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
