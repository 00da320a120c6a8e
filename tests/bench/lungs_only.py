"""What `lungs`, the algorithm without weights, is worth: python -m tests.bench.lungs_only [--tables …].

Prints the tables of engines/lung-ct-classical/card.md: phantoms with one disease each, phantoms as they are
drawn, slices drawn by hand, and the real scans of the test data with their verdicts. A mask is wrong when the
Dice of one lung is below 0.95; a verdict is ok when no remark on quality is made. No figure is clinical.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import structlog
from scipy import ndimage

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse.algorithms import ALGORITHMS
from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.parallel import cores
from dicomnode.analyse.resample import Prepared
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import find_engine
from dicomnode.evaluate import dice, hausdorff95_mm
from dicomnode.phantom import chest, refuse_reserved
from dicomnode.phantom.change import DISEASES, Disease
from dicomnode.phantom.patients import ChestScan, World
from dicomnode.values import Findings, Grid, Mask, RemarkKind, Volume, no_progress
from tests.fixtures.hand_lungs import hand_slices

SCANS = ("chest-ct-nlst-101287/ct", "chest-ct-acrin-042/ct", "chest-ct-lidc-0001", "chest-ct-lidc-0003")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
WRONG_BELOW = 0.95
TABLES = ("hand", "scans", "diseases", "drawn", "airless")
AIRLESS: tuple[Disease, ...] = ("effusion", "consolidation", "collapse")
LUNGS = ALGORITHMS["lungs"]


@dataclass(frozen=True)
class Found:
    """Both lungs in the grid of the source, what is said against them, and the seconds it took."""

    masks: dict[str, Mask]
    doubts: tuple[str, ...]
    seconds: float


def find(voxels: np.ndarray, grid: Grid) -> Found:
    """Find the lungs in HU (k, j, i)."""
    image = Prepared(voxels.astype(np.float32).clip(-1024.0, 3071.0), grid)
    began = perf_counter()
    anatomy = LUNGS.run(image, LUNGS.parameters, no_progress)
    masks = {part.side or "": onto_source(part.mask, anatomy.grid, grid) for part in anatomy.parts}
    seconds = perf_counter() - began
    doubts = tuple(one.text for one in anatomy.remarks if one.kind == RemarkKind.QUALITY)
    return Found(masks, doubts if anatomy.nothing is None else (anatomy.nothing,), seconds)


def both_dice(found: Found, scan: ChestScan) -> tuple[float, float]:
    """Dice of the right and the left lung; 0 for one that was not found."""
    right, left = found.masks.get("right"), found.masks.get("left")
    return dice(right, scan.lung_right) if right else 0.0, dice(left, scan.lung_left) if left else 0.0


def verdict(doubts: tuple[str, ...]) -> str:
    """The first words of each doubt, or ok."""
    return "; ".join(text.split(":")[0].split(" (")[0][:70] for text in doubts) or "ok"


def disease_rows(first: int) -> Iterator[str]:
    """One phantom a disease, which has nothing else."""
    for number, disease in enumerate(DISEASES):
        scan = chest(first + number, world=World(diseases=(disease,)))
        found = find(scan.voxels, scan.grid)
        right, left = both_dice(found, scan)
        spacing = scan.grid.spacing_kji_mm
        truth = {"right": scan.lung_right, "left": scan.lung_left}
        apart = [hausdorff95_mm(mask, truth[side], spacing) for side, mask in found.masks.items()]
        far = max(apart, default=np.inf)
        yield (
            f"| {disease} | {scan.protocol.thickness_mm:g} mm, {scan.protocol.kernel} "
            f"| {right:.3f} | {left:.3f} | {far:.1f} mm | {verdict(found.doubts)} |"
        )


def drawn_rows(first: int, count: int, ills: tuple[Disease, ...] = ()) -> Iterator[str]:
    """Phantoms as they come, or small ones with one of `ills`: those wrong or doubted, then the counts."""
    cells = {(wrong, said): 0 for wrong in (False, True) for said in (False, True)}
    worst, seconds = [], []
    for seed in range(first, first + count):
        world = World(diseases=(ills[(seed - first) % len(ills)],)) if ills else World()
        scan = chest(seed, "small" if ills else "full", world=world)
        found = find(scan.voxels, scan.grid)
        both = both_dice(found, scan)
        wrong, said = min(both) < WRONG_BELOW, bool(found.doubts)
        cells[wrong, said] += 1
        seconds.append(found.seconds)
        if wrong or not said:
            worst.append(min(both) if not said else np.nan)
        if wrong or said:
            has = ", ".join(ill for ill in scan.diseases if ill in AIRLESS)
            yield f"| {seed} | {has or '-'} | {both[0]:.3f} | {both[1]:.3f} | {verdict(found.doubts)} |"
    called_ok = np.array(worst)[~np.isnan(worst)]
    yield f"\n{count} phantoms, seeds {first} to {first + count - 1}; the worse lung of each:\n"
    yield "| | called ok | doubted |\n| --- | --- | --- |"
    yield f"| Dice of both at least {WRONG_BELOW} | {cells[False, False]} | {cells[False, True]} |"
    yield f"| Dice of one below {WRONG_BELOW} | {cells[True, False]} | {cells[True, True]} |"
    if called_ok.size:
        yield f"\nDice where called ok: least {called_ok.min():.3f}, median {np.median(called_ok):.3f}."
    yield f"Seconds a scan, one thread: median {np.median(seconds):.1f}, most {max(seconds):.1f}."


def hand_rows(data: Path) -> Iterator[str]:
    """One row a slice that was drawn by hand, and how far two drawings of one lung agree."""
    volumes: dict[str, tuple[Volume, Found]] = {}
    again: list[float] = []
    for drawn in hand_slices():
        if not (data / drawn.folder).is_dir():
            continue
        if drawn.folder not in volumes:
            volume = read_volume(data / drawn.folder)
            volumes[drawn.folder] = volume, find(volume.voxels, volume.grid)
        volume, found = volumes[drawn.folder]
        k = [frame.sop_instance_uid for frame in volume.frames].index(drawn.sop_instance_uid)
        shape = volume.grid.shape_kji[1:]
        figures = []
        for side in ("right", "left"):
            truth, mask = drawn.lungs[side].mask(shape)[None], found.masks[side].to_array()[k][None]
            far = in_plane_95_mm(mask[0], truth[0], volume.grid.spacing_kji_mm[2])
            figures.append(f"{dice(mask, truth):.3f} | {far:.1f} mm")
            if side in drawn.again:
                again.append(dice(drawn.again[side].mask(shape)[None], truth))
        yield f"| {drawn.name} | {figures[0]} | {figures[1]} |"
    if again:
        yield f"\nDrawn twice: {len(again)} lungs, Dice {min(again):.3f} to {max(again):.3f}."


def in_plane_95_mm(found: np.ndarray, truth: np.ndarray, pixel_mm: float) -> float:
    """The 95th percentile of the distances between both borders of one slice, the larger of both ways."""
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (found, truth)]
    ways = [
        ndimage.distance_transform_edt(~there, sampling=pixel_mm)[here]
        for here, there in (borders, borders[::-1])
    ]
    return max(float(np.percentile(way, 95.0)) for way in ways)


def scan_rows(data: Path) -> Iterator[str]:
    """Volumes, densities and the verdict of the engine on the real scans."""
    analyst = Analyst(find_engine("lung-ct-classical"), threads=2, node_version="0")
    for name in SCANS:
        if not (data / name).is_dir():
            continue
        volume = read_volume(data / name)
        began = perf_counter()
        made = Analysis(volumes={"ct": volume}, salt=b"b" * 32, study_version=1, made_at=WHEN)
        findings = analyst.analyse(made)
        seconds = perf_counter() - began
        yield f"| {name.split('/')[0]} | {values_of(findings)} | {seconds:.1f} s |"
        for remark in findings.remarks:
            yield f"| | {remark.kind.value}: {remark.text} | |"
    analyst.close()


def values_of(findings: Findings) -> str:
    """The measurements of both lungs, right / left."""
    lungs = [{one.name: one.value for one in segment.measurements} for segment in findings.segments]
    names = dict.fromkeys(name for lung in lungs for name in lung)
    return ", ".join(f"{name} " + " / ".join(f"{lung[name]:.1f}" for lung in lungs) for name in names)


def read_volume(folder: Path) -> Volume:
    """The one stack of a folder."""
    (study,) = read_studies([folder]).studies
    (stack,) = [stack for series in study.series for stack in series.stacks]
    return load_volume(stack)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=160_000, help="first seed of those drawn as they come")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--diseases", type=int, default=160_100, help="first seed of one disease each")
    parser.add_argument("--airless", type=int, default=160_200, help="first of 30 seeds of lung without air")
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=TABLES)
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DICOMNODE_TEST_DATA", beside)))
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    refuse_reserved([*range(given.first, given.first + given.count), given.diseases, given.airless])
    tables = {
        "hand": ("slice | right: Dice | 95 % within | left: Dice | 95 % within", hand_rows(given.data)),
        "scans": ("scan | right / left | time", scan_rows(given.data)),
        "diseases": (
            "disease | slices, kernel | right: Dice | left | 95 % within | verdict",
            disease_rows(given.diseases),
        ),
        "drawn": (
            "seed | of its diseases | right: Dice | left | verdict",
            drawn_rows(given.first, given.count),
        ),
        "airless": (
            "seed | has | right: Dice | left | verdict",
            drawn_rows(given.airless, 30, AIRLESS),
        ),
    }
    with cores(1):
        for name in given.tables:
            head, rows = tables[name]
            print(f"\n| {head} |\n|{' --- |' * (head.count('|') + 1)}", flush=True)
            for row in rows:
                print(row, flush=True)


if __name__ == "__main__":
    main()
