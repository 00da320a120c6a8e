"""Scans that are drawn in a moment, whose nodules are cubes: how dense one is tells its type."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dicomnode.engine import EnginePackage, load_package
from dicomnode.learn.types.chests import KINDS
from dicomnode.phantom.nodules import PlantedNodule
from dicomnode.phantom.patients import ChestScan
from dicomnode.phantom.protocol import Protocol
from dicomnode.values import Grid, Mask
from tests.unit.analyse import lesion_engines as spots

SHAPE = (20, 40, 80)
GRID = Grid(SHAPE, np.eye(4), "1.2.3")
DENSE_HU = dict(zip(KINDS, (60.0, 110.0, 160.0, 220.0, 300.0), strict=True))
_EMPTY = Mask.from_array(np.zeros(SHAPE, dtype=bool))
_MIDDLES = [(k, j, i) for k in (5, 14) for j in (8, 20, 32) for i in (8, 24, 40, 56, 72)]
_FALSE = 2  # cubes that are no nodule


def scan(seed: int) -> ChestScan:
    """Draw thirty cubes of two types in turn, of which two are on nothing, and one is to be ignored."""
    rng = np.random.default_rng(seed)
    voxels = rng.normal(0.0, 1.0, SHAPE)
    nodules = []
    for number, at in enumerate(_MIDDLES):
        kind = KINDS[number % len(KINDS)]
        low = np.array(at) - 2
        k, j, i = (slice(a, a + 5) for a in low)
        voxels[k, j, i] = DENSE_HU[kind] + rng.normal(0.0, 5.0)
        if number >= len(_MIDDLES) - _FALSE:
            continue
        mask = Mask.from_crop(np.ones((5, 5, 5)), SHAPE, (int(low[0]), int(low[1]), int(low[2])))
        x, y, z = GRID.to_lps_mm(at).tolist()
        nodules.append(
            PlantedNodule(f"nodule-{number}", (x, y, z), 6.2, 125.0, kind, "right", mask, ignore=number == 0)
        )
    return ChestScan(
        seed=seed,
        size="small",
        voxels=voxels.astype(np.int16),
        grid=GRID,
        lung_right=_EMPTY,
        lung_left=_EMPTY,
        nodules=tuple(nodules),
        distractors=(),
        diseases=(),
        protocol=Protocol(),
        enhanced=False,
    )


def finder(folder: Path, at_most: int = 3) -> EnginePackage:
    """Write an engine that finds such cubes, and reports a few of them."""
    found = spots.FOUND.replace("at_most = 50", f"at_most = {at_most}")
    found = found.replace("threshold = 0.01", "threshold = 0.9").replace(
        "heat_at_least = 0.2", "heat_at_least = 0.5"
    )
    manifest = spots.spots_engine(folder, found + spots.SEGMENT).folder / "engine.toml"
    cubic = "prepare = [{ resample_mm = [1.0, 1.0, 1.0] }]\n"
    text = manifest.read_text(encoding="utf-8").replace("\n[[step]]", f"{cubic}\n[[step]]", 1)
    manifest.write_text(text, encoding="utf-8")
    return load_package(folder)
