"""Runtimes of the CPU on a shipped network: python -m tests.bench.runtimes [--engine NAME] [--rounds N].

All in one process, taking turns in each round, on the same volume; each has passed the gate. Prints the
block that docs/benchmarks.md holds: medians of the time of a run, and of its ratio to ONNX Runtime's.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from dicomnode.device import HostBuffer
from dicomnode.engine import RuntimeWish, Session, find_engine, open_session
from tests.bench.told import machine

RUNTIMES = ("onnxruntime", "openvino")
SIDES = ((64, 64, 64), (96, 96, 96), (208, 192, 256), (256, 224, 304))


def measure(sessions: dict[str, Session], shape: tuple[int, ...], rounds: int) -> None:
    """Print a row: medians in ms, ratios, and how far the outputs are apart."""
    noise = np.random.default_rng(0).normal(-860.0, 70.0, (1, 1, *shape)).astype(np.float32)
    outputs, seconds = {}, {name: [] for name in sessions}
    for number in range(rounds + 1):  # the first is not counted: kernels are made for the shape
        turned = list(sessions.items())[:: -1 if number % 2 else 1]  # neither is always the first
        for name, session in turned:
            given = {spec.name: HostBuffer(noise) for spec in session.inputs}
            begun = time.perf_counter()
            outputs[name] = session.infer(given)
            if number:
                seconds[name].append(time.perf_counter() - begun)
    reference, other = RUNTIMES
    ratios = [a / b for a, b in zip(seconds[reference], seconds[other], strict=True)]
    apart = max(
        float(np.abs(outputs[other][name].host() - buffer.host()).max())
        for name, buffer in outputs[reference].items()
    )
    medians = [f"{statistics.median(seconds[name]) * 1e3:.0f}" for name in RUNTIMES]
    cells = [" x ".join(map(str, shape)), *medians, f"{statistics.median(ratios):.2f}", f"{apart:.1e}"]
    print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="lung-ct")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    package = find_engine(given.engine)
    step = package.manifest.networks[0]
    sessions = {
        name: open_session(package, step.name, given.threads, RuntimeWish(runtime=name)) for name in RUNTIMES
    }
    print("### Runtimes of the CPU on one network\n")
    print(f"| voxels | {' ms | '.join(RUNTIMES)} ms | ratio | largest difference |")
    print("| --- |" + " ---: |" * 4)
    for shape in SIDES:
        measure(sessions, shape, given.rounds)
    packages = ("numpy", "onnxruntime", "openvino")
    print(f"\nMedians of {given.rounds} rounds in one process; the ratio is the median of theirs;")
    print(f"{machine(packages, given.threads)}\n")


if __name__ == "__main__":
    main()
