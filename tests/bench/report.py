"""From findings to segmentations: ours and plain highdicom, in seconds and in memory.

python -m tests.bench.report [--rounds N]

512 × 512 × 300, one large segment to sixty small ones, BINARY and LABELMAP. Each figure is of a process of
its own that has loaded its libraries and written a small segmentation before; ours and highdicom take turns,
so that a busy machine is busy for both. Seconds: building the object and encoding it as a file; the array of
pixels that highdicom wants is made before, but counts in its memory, which is what comes on top of the
findings. "guard" is reading ours back and comparing it with the findings, which is done with each of them.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import Dataset

from dicomnode.report.guard.segmentations import check_labelmap, check_segmentation
from dicomnode.report.heading.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.segmentation.binary import build_segmentation
from dicomnode.report.segmentation.labelmap import build_labelmap
from dicomnode.values import Findings, Mask
from tests.bench.told import machine
from tests.unit.report.segmentation.plain import (
    SERIES_NUMBER,
    imprint_of,
    plain,
    plain_pixels,
    plain_sources,
    uids_of,
)
from tests.unit.report.sources import Series, findings

SHAPE = (300, 512, 512)
KINDS = ("BINARY", "LABELMAP")
WAYS = ("highdicom", "ours")
CASES = {"1 large": 1, "3 large": 3, "20 small": 20, "60 small": 60}


def found(case: str) -> Findings:
    """Findings with so many segments, which do not overlap; large ones reach over every slice."""

    def edit(ds: Dataset, k: int) -> None:
        _, ds.Rows, ds.Columns = SHAPE

    small = findings(Series(shape_kji=(SHAPE[0], 20, 28), edit=edit))
    source = small.sources[0]
    assert source.grid is not None
    source = replace(source, grid=replace(source.grid, shape_kji=SHAPE))
    crop = _body() if "large" in case else _ball()
    segments = []
    for n in range(CASES[case]):
        at = (0, 100, 10 + 165 * n) if "large" in case else (11 + n * 13 % 240, 40 * (n % 12), 80 * (n // 12))
        x, y, z = source.grid.to_lps_mm(np.argwhere(crop).mean(axis=0) + at)
        segments.append(
            replace(
                small.segments[2],
                label=f"segment-{n}",
                tracking_uid=f"1.2.{n + 1}",
                mask=Mask.from_crop(crop, SHAPE, at),
                centre_lps_mm=(float(x), float(y), float(z)),
            )
        )
    return replace(small, sources=(source,), segments=tuple(segments))


def _body() -> np.ndarray:
    k, j, i = np.indices((SHAPE[0], 260, 160), sparse=True)
    return ((j - 130 - k / 10) / 125) ** 2 + ((i - 80) / 78) ** 2 <= 1


def _ball() -> np.ndarray:
    k, j, i = np.indices((21, 39, 39), sparse=True)
    return ((k - 10) / 10) ** 2 + ((j - 19) / 19) ** 2 + ((i - 19) / 19) ** 2 <= 1


def memory_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(name))


def once(imprint: Imprint, kind: str, way: str) -> dict[str, float]:
    """Write one segmentation; give seconds, and memory that it took on top."""
    uids = uids_of(imprint.findings, kind)
    ctypes.CDLL(None).malloc_trim(0)  # memory that was freed is no longer counted
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here: man 5 proc
    before_mb = memory_mb("VmRSS")
    build = _build(imprint, kind, way)
    wall, cpu = time.perf_counter(), time.process_time()
    made = build()
    content = to_bytes(made)
    figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    figures["MB"] = memory_mb("VmHWM") - before_mb
    figures["frames"], figures["file MB"] = int(made.NumberOfFrames), len(content) / 1e6
    if way == "ours":
        apply_identity(made, imprint, uids, kind)
        content = to_bytes(made)
        began = time.perf_counter()
        if kind == "BINARY":
            check_segmentation([content], imprint.findings)
        else:
            check_labelmap(content, imprint.findings)
        figures["guard"] = time.perf_counter() - began
    return figures


def _build(imprint: Imprint, kind: str, way: str) -> Callable[[], Dataset]:
    uids = uids_of(imprint.findings, kind)
    if way == "ours":
        writer = build_segmentation if kind == "BINARY" else build_labelmap
        return lambda: next(iter(writer(imprint, uids, SERIES_NUMBER)))
    sources, pixels = plain_sources(imprint), plain_pixels(imprint.findings)
    return lambda: plain(imprint, uids, sources, pixels, kind=kind)


def only(case: str, kind: str, way: str) -> None:
    """Measure in this process."""
    small = findings()
    once(imprint_of(replace(small, segments=small.segments[:2])), kind, way)
    print(json.dumps(once(imprint_of(found(case)), kind, way)))


def child(case: str, kind: str, way: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.report", "--only", case, kind, way]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def row(case: str, kind: str, rounds: int) -> str:
    figures: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS[:: -1 if number % 2 else 1]:  # neither is always the first
            figures[way].append(child(case, kind, way))
    middle = {
        way: {name: statistics.median(one[name] for one in of_way) for name in of_way[0]}
        for way, of_way in figures.items()
    }
    other, ours = (middle[way] for way in WAYS)
    assert other["frames"] == ours["frames"]
    cells = [
        kind,
        case,
        f"{ours['frames']:.0f}",
        *(f"{one['wall']:.2f} ({one['cpu']:.2f})" for one in (other, ours)),
        f"{other['wall'] / ours['wall']:.1f} ({other['cpu'] / ours['cpu']:.1f})",
        f"{ours['guard']:.2f}",
        *(f"{one['MB']:.0f}" for one in (other, ours)),
        *(f"{one['file MB']:.1f}" for one in (other, ours)),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", nargs=3, metavar=("CASE", "KIND", "WAY"), help="measure once, in this process"
    )
    options = parser.parse_args()
    if options.only:
        only(*options.only)
        return
    print("### Writing segmentations\n")
    print(
        "| type | segments | frames | highdicom, s | ours, s | ratio | guard, s "
        "| highdicom, MB | ours, MB | its file, MB | our file, MB |"
    )
    print("| --- | --- |" + " ---: |" * 9)
    for kind in KINDS:
        for case in CASES:
            print(row(case, kind, options.rounds), flush=True)
    print(f"\nWall (CPU) of building and saving, medians of {options.rounds} rounds that take turns;")
    print(f"{SHAPE[0]} slices of {SHAPE[1]} × {SHAPE[2]}; MB: peak on top of the findings.")
    print(machine(("numpy", "pydicom", "highdicom", "pylibjpeg-rle"), 0))


if __name__ == "__main__":
    main()
