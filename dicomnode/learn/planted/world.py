"""What nodules are planted into: a chest without any, isotropic, with its lungs and where not to look.

A world is kept as a folder of arrays that are read where they lie: every process that draws patches shares
the pages of one file, however many worlds there are.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool
from dicomnode.faults import RUN_NOT_WRITTEN, NodeError
from dicomnode.learn.drawn.kept import DAMAGED

SPACING_MM: Final = 1.25
"""Of all worlds, along all axes: what the engine prepares its input to."""

FORM: Final = 2
"""Goes up when a world or its places would be others: what is kept of an earlier form is made again."""

AROUND: Final = 16
"""Voxels that a world reaches beyond its lungs."""

LOWEST_HU, HIGHEST_HU = -1024, 3071
_VESSEL_HU: Final = -300
_PLACES: Final = 40_000  # of each kind that are kept, drawn without looking
_FACTS: Final = "facts.json"

Place = NDArray[np.int16]
Balls = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """A chest without planted nodules, (k, j, i) of 1.25 mm, axes along the patient's (LPS).

    name: of a procedural one its seed, of a real one its Series Instance UID. hu: int16; of procedural ones
    before any scanner. lungs: uint8 (k, j, ceil(i / 8)), packed bits. sigma_kji: of the blur that a real scan
    has, in voxels; zeros of a procedural one, which has none. noise_hu: SD of its noise, 0 if not known.
    balls: float32 (n, 4), index k, j, i and radius in voxels: what is there is neither nodule nor none.
    places: int16 (m, 3) by "lung", "pleura", "vessel".
    """

    name: str
    hu: NDArray[np.int16]
    lungs: NDArray[np.uint8]
    sigma_kji: tuple[float, float, float]
    balls: Balls
    places: Mapping[str, Place]
    noise_hu: float = 0.0

    @property
    def is_real(self) -> bool:
        """Whether it has been through a scanner."""
        return any(self.sigma_kji)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along k, j, i."""
        k, j, i = self.hu.shape
        return k, j, i

    def lungs_in(self, box: tuple[slice, slice, slice]) -> Bool:
        """Return where the lungs are in a box that lies within."""
        k, j, i = box
        first = i.start // 8
        bits = np.unpackbits(self.lungs[k, j, first : -(-i.stop // 8)], axis=-1)
        inside: Bool = bits[..., i.start - 8 * first : i.stop - 8 * first].astype(bool)
        return inside


def world_from(
    name: str,
    hu: NDArray[Any],
    lungs: Bool,
    balls: Balls,
    sigma_kji: tuple[float, float, float] = (0.0, 0.0, 0.0),
    noise_hu: float = 0.0,
) -> World:
    """Make a world of a whole chest: cut down to its lungs and what is around them.

    hu, lungs: (k, j, i), HU and bool. balls: as of `World`, on this grid. Where the lungs are, and which of
    their places are kept, follows from them alone. Raises ValueError without any lung.
    """
    found = ndimage.find_objects(lungs.astype(np.uint8))
    if not found:
        raise ValueError("a world has lungs")
    low = [max(part.start - AROUND, 0) for part in found[0]]
    high = [min(part.stop + AROUND, size) for part, size in zip(found[0], hu.shape, strict=True)]
    cut = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    hu, lungs = np.clip(np.rint(hu[cut]), LOWEST_HU, HIGHEST_HU).astype(np.int16), lungs[cut]
    balls = np.asarray(balls, dtype=np.float32).reshape(-1, 4) - np.array([*low, 0], dtype=np.float32)
    rim = lungs & ~ndimage.binary_erosion(lungs, iterations=2, border_value=1)
    kinds = {"lung": lungs, "pleura": rim, "vessel": lungs & (hu > _VESSEL_HU)}
    draw = np.random.default_rng(0)
    return World(
        name=name,
        hu=hu,
        lungs=np.packbits(lungs, axis=-1),
        sigma_kji=sigma_kji,
        balls=balls,
        places={kind: _some(mask, draw) for kind, mask in kinds.items()},
        noise_hu=noise_hu,
    )


def _some(mask: Bool, draw: np.random.Generator) -> Place:
    every = np.flatnonzero(mask)
    if every.size > _PLACES:
        every = np.sort(draw.choice(every, _PLACES, replace=False))
    return np.stack(np.unravel_index(every, mask.shape), axis=1).astype(np.int16)


def write_world(world: World, folder: Path) -> None:
    """Keep a world as `folder`, which appears whole or not at all; NodeError(RUN_NOT_WRITTEN)."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            arrays: dict[str, NDArray[Any]] = {
                "hu": world.hu,
                "lungs": world.lungs,
                "balls": world.balls,
                **world.places,
            }
            for name, array in arrays.items():
                with (staged / f"{name}.npy").open("wb") as file:
                    np.save(file, array)
                    file.flush()
                    os.fsync(file.fileno())  # else a power cut leaves a world whose voxels are all 0
            facts = {
                "form": FORM,
                "name": world.name,
                "sigma_kji": list(world.sigma_kji),
                "noise_hu": world.noise_hu,
            }
            (staged / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
            if folder.exists():  # of another form, or damaged
                shutil.rmtree(folder)
            os.replace(staged, folder)  # noqa: PTH105  a folder, at once
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise NodeError(RUN_NOT_WRITTEN, path=folder, error=error.strerror or str(error)) from error


def open_world(folder: Path) -> World | None:
    """Return a world that is kept, its arrays read as they are needed; None: there is none of this form."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        if facts["form"] != FORM:
            return None
        hu, lungs = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("hu", "lungs"))
        k, j, i = facts["sigma_kji"]
        return World(
            name=facts["name"],
            hu=hu,
            lungs=lungs,
            sigma_kji=(k, j, i),
            balls=np.load(folder / "balls.npy"),
            places={kind: np.load(folder / f"{kind}.npy") for kind in ("lung", "pleura", "vessel")},
            noise_hu=float(facts["noise_hu"]),
        )
    except DAMAGED:
        return None
