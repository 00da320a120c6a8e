"""A scan of a drawn patient as the engine's network is shown it: HU of 2 mm around the lungs, and the lungs.

The lungs are those that the node's `lungs` finds, as in service: what it leaves out is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse import ALGORITHMS
from dicomnode.analyse.crop import crop_around, seen_by_network
from dicomnode.analyse.grids import Bool, Float32
from dicomnode.analyse.onto import onto
from dicomnode.analyse.prepare import orient
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.engine import Crop
from dicomnode.engine.manifest.tree import Window
from dicomnode.learn.drawn.kept import read_formed, write_formed
from dicomnode.phantom.patients import CHEST_VERSION, ChestScan, World, chest
from dicomnode.values import Grid, no_progress

SPACING_MM: Final = 2.0
"""Of what the network sees, along all axes."""
MULTIPLE: Final = 2
AROUND: Final = Crop(of="lungs", margin_mm=10.0, multiple=MULTIPLE, pad=0.0)
"""The box that the network sees: what engine.toml says of it. Padded with 0: no lung, whatever its HU."""
CLIP_HU: Final = (-1024.0, 3071.0)
FORM: Final = f"1, chests {CHEST_VERSION}, {ALGORITHMS['lungs'].label}"
"""What is kept under another one is made again."""

SCANS_FOLDER: Final = "scans"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What the network is shown of a scan. hu: float32 (k, j, i), lungs: bool, both on `grid`, of 2 mm."""

    hu: Float32
    lungs: Bool
    grid: Grid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scanned:
    """What is kept of a scan. seen: None where the node found no lungs in it."""

    seen: Seen | None


@dataclass(frozen=True, slots=True)
class ScanOrder:
    """A scan that is wanted: of a patient without disease and nodules, and the file that it is kept in."""

    seed: int
    kept: Path

    def scan(self) -> ChestScan:
        """Scan him: 384 columns, by a protocol that his seed draws."""
        return chest(self.seed, "full", world=World(diseases=(), nodules=()))


def seen_of(voxels: NDArray[np.generic], grid: Grid) -> Seen | None:
    """Show a scan as the engine does; None where `lungs` finds none. voxels: (k, j, i) HU on `grid`."""
    image = orient(Prepared(np.clip(np.asarray(voxels, dtype=np.float32), *CLIP_HU), grid))
    image = resample(image, (SPACING_MM,) * 3)
    lungs = ALGORITHMS["lungs"]
    found = lungs.run(image, lungs.parameters, no_progress)
    if not found.parts:
        return None
    mask = np.logical_or.reduce([part.mask for part in found.parts])
    box = crop_around(image.grid, mask, found.grid, AROUND)
    if box is None:
        return None
    outlined = Prepared(mask.astype(np.float32), found.grid)
    if not found.grid.same_as(image.grid):
        outlined = Prepared(onto(outlined, image.grid, 0.0, no_progress)[0], image.grid)
    hu, inside = (seen_by_network(one, box, AROUND, Window()) for one in (image, outlined))
    return Seen(
        hu=np.asarray(hu.voxels, dtype=np.float32),
        lungs=np.asarray(inside.voxels, dtype=np.float32) > 0.5,
        grid=hu.grid,
    )


def make_seen(order: ScanOrder) -> str:
    """Scan a patient and keep what is seen of him, unless it is kept already; return the file's name."""
    if read_seen(order.kept) is None:
        scan = order.scan()
        write_seen(Scanned(seen=seen_of(scan.voxels, scan.grid)), order.kept)
    return order.kept.name


def write_seen(scanned: Scanned, path: Path) -> None:
    """Keep it as one file, whole or not at all. Raises NodeError(RUN_NOT_WRITTEN)."""
    seen, empty = scanned.seen, np.zeros((0, 0, 0), dtype=np.int16)
    arrays: dict[str, NDArray[Any]] = {
        "hu": empty if seen is None else np.rint(seen.hu).astype(np.int16),
        "lungs": np.packbits(empty if seen is None else seen.lungs),
        "affine": np.eye(4) if seen is None else seen.grid.affine_lps,
    }
    write_formed(path, FORM, arrays)


def read_seen(path: Path) -> Scanned | None:
    """Return what is kept; None: there is none of this form."""
    return read_formed(path, FORM, _scanned)


def _scanned(kept: Mapping[str, NDArray[Any]]) -> Scanned:
    hu = kept["hu"].astype(np.float32)
    if not hu.size:
        return Scanned(seen=None)
    lungs = np.unpackbits(kept["lungs"], count=hu.size).reshape(hu.shape).astype(bool)
    k, j, i = hu.shape
    return Scanned(seen=Seen(hu=hu, lungs=lungs, grid=Grid((k, j, i), kept["affine"], "kept")))
