"""What ct-body measures: python -m tests.bench.body_composition [--phantoms N] [--data FOLDER] [--cost].

Prints the tables that engines/ct-body/card.md holds. Phantoms: chests of seeds from 160000 on, without
disease, scanned as they come; the truth is what their own painter covers with each tissue. Real series have
no truth: their volumes are there to be looked at, and compared when the code changes.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import find_engine
from dicomnode.evaluate import dice
from dicomnode.phantom.abdomen import abdomen_layers
from dicomnode.phantom.body import Body
from dicomnode.phantom.lattice import SliceReader
from dicomnode.phantom.paint import Layer, Stroke, draw_strokes, paint_layers
from dicomnode.phantom.patient import blood_layers, body_layers
from dicomnode.phantom.patients import World, chest
from dicomnode.phantom.skeleton import bone_layers, bone_strokes
from dicomnode.phantom.streams import stream
from dicomnode.values import Findings, Grid, Mask, SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = 160000
HEALTHY = World(diseases=(), nodules=())
SERIES = (
    "chest-ct-nlst-101287/ct",
    "chest-ct-acrin-042/ct",
    "chest-ct-lidc-0001",
    "chest-ct-lidc-0003",
    "seg-sr-pm-dcmqi/ct-3slice",
    "head-ct-ge-tilt",
)
TISSUES = ("body", "fat", "subcutaneous-fat", "visceral-fat", "muscle", "soft-tissue", "bone", "air")
JUDGED = ("body", "fat", "visceral-fat", "muscle", "soft-tissue", "bone")

Float32 = NDArray[np.float32]
Kinds = dict[str, set[str]]

# What each layer of the painter is made of, in its order; the couch is nothing
_TRUNK = ("", "", "", "skin", "fat", "skin", "fat", "gland", "muscle", "cavity fat", "organ")
_WITHOUT_BREASTS = (*_TRUNK[:5], *_TRUNK[8:])
_BONES = ("organ", "bone", "bone", "bone", "bone", "organ", "organ", "bone", "bone", "bone", "bone")
_CARTILAGE_HU = 105.0  # as `bone_strokes` draws it
_TISSUE_OF = {
    "body": {"skin", "fat", "gland", "muscle", "cavity fat", "organ", "bone", "lung"},
    "fat": {"fat", "cavity fat"},
    "visceral-fat": {"cavity fat"},
    "muscle": {"muscle"},
    "soft-tissue": {"organ"},
    "bone": {"bone"},
    "lung": {"lung"},
}
_PARTS = (
    "part of it drawn above the lungs, where none is called visceral",
    "voxels wholly of it, up to the lungs' top: part that is found",
    "voxels that are found: part that is at least half of it",
)


def truth_of(seed: int, grid: Grid) -> dict[str, Float32]:
    """Return how much of each voxel (k, j, i) is of each tissue, by the shapes of the patient of `seed`.

    Vessels and bronchi within the lungs are left out. Muscles of the diaphragm count as organ, as the engine
    has them.
    """
    body = Body.of(seed, (), enhanced=None)
    affine = grid.affine_lps.copy()
    affine[2] /= body.patient.stretch
    model = Grid(grid.shape_kji, affine, grid.frame_of_reference_uid)
    site, figure = body.site, body.patient.figure
    rng = stream(seed, "soft tissue")
    trunk = body_layers(site.lattice, body.patient, site.trunk, rng)
    under = list(zip(trunk, _TRUNK if body.patient.breast else _WITHOUT_BREASTS, strict=True))
    organs = abdomen_layers(site.lattice, figure, site.trunk, rng)
    organs += blood_layers(site.lattice, body.patient, site.chest, rng)
    under += [(layer, "organ") for layer in organs]
    under += list(zip(bone_layers(site.lattice, figure, site.trunk), _BONES, strict=True))
    strokes = [(one, "cartilage" if one.hu == _CARTILAGE_HU else "bone") for one in bone_strokes(figure)]
    reader = SliceReader(site.lattice, model)
    found = {}
    for tissue, kinds in _TISSUE_OF.items():
        share = np.zeros(grid.shape_kji, dtype=np.float32)
        paint_layers(
            share, reader, [Layer(one.shape, float(kind in kinds), one.edge_mm) for one, kind in under]
        )
        named = kinds | {"cartilage"} if tissue in ("body", "muscle") else kinds
        drawn = [Stroke(s.start, s.end, s.radii_mm, float(kind in named), over=True) for s, kind in strokes]
        draw_strokes(share, model, drawn)
        paint_layers(share, reader, [Layer(site.lungs, float("lung" in kinds))])
        found[tissue] = share
    return found


def volume_of(voxels: NDArray[np.int16], grid: Grid) -> Volume:
    """Give voxels as the node's own volume."""
    return Volume(
        voxels=voxels,
        affine_lps=grid.affine_lps,
        unit=HOUNSFIELD,
        frame_of_reference_uid="1.2.3",
        study_instance_uid="1.2.4",
        series_instance_uid="1.2.5",
        frames=tuple(SourceFrame(f"1.2.5.{k + 1}") for k in range(len(voxels))),
        headers=SourceHeaders(()),
    )


def analysed(analyst: Analyst, volume: Volume) -> Findings:
    """Analyse a volume."""
    return analyst.analyse(Analysis(volumes={"ct": volume}, salt=b"b" * 32, study_version=1, made_at=WHEN))


def phantom_rows(analyst: Analyst, seeds: range) -> Iterator[str]:
    """One row a tissue: the ratio of volumes, and Dice with the voxels most of which are of it.

    Fat of the cavity counts up to the top of the lungs: the painter draws it on into the neck. A further
    table says what the ratio of visceral fat is made of.
    """
    ratios: dict[str, list[float]] = {name: [] for name in JUDGED}
    shared: dict[str, list[float]] = {name: [] for name in JUDGED}
    parts: list[tuple[float, float, float]] = []
    for seed in seeds:
        scan = chest(seed, "small", world=HEALTHY)
        found = {one.label: one.mask for one in analysed(analyst, volume_of(scan.voxels, scan.grid)).segments}
        truth = truth_of(seed, scan.grid)
        fat, whole = truth["visceral-fat"], float(truth["visceral-fat"].sum(dtype=np.float64))
        above = int(np.flatnonzero((truth["lung"] > 0.5).any(axis=(1, 2)))[-1]) + 1
        fat[above:] = 0.0
        mask = found["visceral-fat"].to_array()
        left = 1.0 - float(fat.sum(dtype=np.float64)) / whole
        parts.append((left, float(mask[fat > 0.99].mean()), float((fat[mask] > 0.5).mean())))
        for name in JUDGED:
            one = found.get(name, Mask.from_array(np.zeros(scan.grid.shape_kji, dtype=bool)))
            ratios[name].append(one.count / float(truth[name].sum(dtype=np.float64)))
            shared[name].append(dice(one, Mask.from_array(truth[name] > 0.5)))
    for name in JUDGED:
        yield f"| {name} | {spread(ratios[name])} | {np.median(shared[name]):.3f} | {min(shared[name]):.3f} |"
    yield "\n| of visceral fat | median | least to most |\n| --- | --- | --- |"
    for words, values in zip(_PARTS, zip(*parts, strict=True), strict=True):
        yield f"| {words} | {spread(values)} |"


def spread(values: Sequence[float]) -> str:
    """Two cells: the median, and the range."""
    return f"{np.median(values):.3f} | {min(values):.3f} to {max(values):.3f}"


def series_rows(analyst: Analyst, folder: Path, name: str) -> Iterator[str]:
    """One row a volume of a real series, in ml."""
    for study in read_studies([folder]).studies:
        for stack in [stack for series in study.series for stack in series.stacks]:
            volume = load_volume(stack)
            findings = analysed(analyst, volume)
            values = {
                one.label: next(m.value for m in one.measurements if m.name == "volume_ml")
                for one in findings.segments
            }
            cells = " | ".join(f"{values[tissue]:.0f}" if tissue in values else "–" for tissue in TISSUES)
            yield f"| {name}, {len(volume.frames)} slices | {cells} |"


def cost(slices: int = 300) -> str:
    """Time a body of 512 x 512 x `slices`: a scan repeated, as many as it takes; and the memory it needs."""
    scan = chest(FIRST, "full", world=HEALTHY)
    voxels = np.asarray(scan.voxels)
    room = 512 - voxels.shape[1]
    wide = np.pad(voxels, ((0, 0), (room // 2, room - room // 2), (room // 2, room - room // 2)), mode="edge")
    wide = np.resize(wide, (slices, 512, 512))
    affine = scan.grid.affine_lps.copy()
    affine[:3, 2] = (0.0, 0.0, 1.25)
    volume = volume_of(wide, Grid((slices, 512, 512), affine, "1.2.3"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = []
    for threads in (1, 2):
        analyst = Analyst(find_engine("ct-body"), threads=threads, node_version="0")
        wall, used = time.perf_counter(), time.process_time()
        analysed(analyst, volume)
        lines.append(
            f"{threads} thread(s): {time.perf_counter() - wall:.1f} s, "
            f"{time.process_time() - used:.1f} s of CPU; "
            + ", ".join(f"{stage.name} {stage.seconds:.1f} s" for stage in analyst.stages)
        )
        analyst.close()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines.append(f"memory at most {after / 1e6:.2f} GB, {before / 1e6:.2f} GB of it before the analysis")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--phantoms", type=int, default=12)
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DICOMNODE_TEST_DATA", beside)))
    parser.add_argument("--cost", action="store_true")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    analyst = Analyst(find_engine("ct-body"), threads=1, node_version="0")
    if given.phantoms:
        print("| tissue | volume / truth, median | least to most | Dice, median | least |")
        print("| --- | --- | --- | --- | --- |")
        for row in phantom_rows(analyst, range(FIRST, FIRST + given.phantoms)):
            print(row, flush=True)
    print(f"\n| ml | {' | '.join(TISSUES)} |\n| --- |{' --- |' * len(TISSUES)}")
    for name in SERIES:
        if (given.data / name).is_dir():
            for row in series_rows(analyst, given.data / name, name.removesuffix("/ct")):
                print(row, flush=True)
    if given.cost:
        print(f"\n{cost()}")


if __name__ == "__main__":
    main()
