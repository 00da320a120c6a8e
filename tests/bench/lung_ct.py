"""What lung-ct finds on the node's own path: python -m tests.bench.lung_ct [--seeds 1 2 …] [--data FOLDER].

Prints the tables that engines/lung-ct/card.md holds: full phantoms, whose truth is exact, and the real scans
of the test data, if they are there. A candidate hits as `dicomnode.evaluate.matching` says. Counts, no rates:
phantoms are easy, and the real lesions are three.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import structlog

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import find_engine
from dicomnode.evaluate import dice, match_candidates
from dicomnode.phantom import thorax, write_series
from dicomnode.values import Findings, Segment, Volume

SCANS = ("chest-ct-nlst-101287/ct", "chest-ct-acrin-042/ct", "chest-ct-lidc-0001", "chest-ct-lidc-0003")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def walked(analyst: Analyst, folder: Path) -> tuple[Volume, Findings]:
    """Assemble and analyse the one stack of a folder, as the node does."""
    (study,) = read_studies([folder]).studies
    (stack,) = [stack for series in study.series for stack in series.stacks]
    volume = load_volume(stack)
    analysis = Analysis(volumes={"ct": volume}, salt=b"b" * 32, study_version=1, made_at=WHEN)
    return volume, analyst.analyse(analysis)


def candidates(findings: Findings) -> list[Segment]:
    """The segments that have a score."""
    return [one for one in findings.segments if one.score is not None]


def phantom_rows(analyst: Analyst, seed: int) -> Iterator[str]:
    """One row a planted nodule, and one of the lungs and of what is on nothing."""
    phantom = thorax(seed)
    with tempfile.TemporaryDirectory() as folder:
        write_series(phantom.voxels, phantom.grid, Path(folder), seed=seed)
        volume, findings = walked(analyst, Path(folder))
    found = candidates(findings)
    result = match_candidates([(one.centre_lps_mm, one.score or 0.0) for one in found], phantom.nodules)
    hits = {hit.truth: hit for hit in result.hits}
    for n, planted in enumerate(phantom.nodules):
        what = f"| {seed} | {planted.kind} {planted.diameter_mm:.1f} mm, {planted.side} "
        if n not in hits:
            yield f"{what}| missed | | | |"
            continue
        one = found[hits[n].found]
        ratio = one.mask.count * volume.grid.voxel_mm3 / planted.volume_mm3
        overlap = dice(one.mask, planted.mask)
        yield f"{what}| {one.score:.2f} | {hits[n].distance_mm:.1f} mm | {ratio:.2f} | {overlap:.2f} |"
    lungs = {one.label: one.mask for one in findings.segments}
    right = dice(lungs["lung-right"], phantom.lung_right)
    left = dice(lungs["lung-left"], phantom.lung_left)
    wrong = len(result.false_positives)
    yield f"| {seed} | lungs: Dice right {right:.3f}, left {left:.3f}; false candidates: {wrong} | | | | |"


def scan_rows(analyst: Analyst, folder: Path) -> Iterator[str]:
    """One row a candidate of a real scan."""
    volume, findings = walked(analyst, folder)
    for one in candidates(findings):
        values = {m.name: m.value for m in one.measurements}
        side = one.laterality.meaning.lower() if one.laterality else ""
        centre = ", ".join(f"{x:.0f}" for x in one.centre_lps_mm)
        yield (
            f"| {one.label}, {side} | {one.score:.2f} | {values['volume_mm3']:.0f} mm³ "
            f"| {values['long_axis_mm']:.1f} × {values['short_axis_mm']:.1f} mm | ({centre}) |"
        )
    lungs = [np.round(one.mask.count * volume.grid.voxel_mm3 / 1000) for one in findings.segments[:2]]
    yield f"| lungs right, left | | {lungs[0]:.0f}, {lungs[1]:.0f} ml | | |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", nargs="*", type=int, default=list(range(1, 7)))
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DICOMNODE_TEST_DATA", beside)))
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    analyst = Analyst(find_engine("lung-ct"), threads=1, node_version="0")
    print("| seed | planted | score | centre off by | volume / truth | Dice |")
    print("| --- | --- | --- | --- | --- | --- |")
    for seed in given.seeds:
        for row in phantom_rows(analyst, seed):
            print(row, flush=True)
    for name in SCANS:
        if (given.data / name).is_dir():
            print(f"\n{name}\n\n| found | score | volume | axes | centre LPS mm |")
            print("| --- | --- | --- | --- | --- |")
            for row in scan_rows(analyst, given.data / name):
                print(row, flush=True)


if __name__ == "__main__":
    main()
