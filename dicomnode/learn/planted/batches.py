"""Batches of patches: asked for by their number, drawn here or in a worker, the same either way."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.faults import RUN_DIFFERS, NodeError
from dicomnode.learn.drawn.workers import Workers
from dicomnode.learn.planted.patches import Ground, draw_patch
from dicomnode.learn.planted.world import open_world

UInt8 = NDArray[np.uint8]
_WRONG, _IGNORED = "wrong", "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """Which batch is wanted. worlds: their folders. mined: file of what was mistaken for nodules, or None."""

    worlds: tuple[Path, ...]
    mined: Path | None
    seed: int
    step: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """(n, 1, k, j, i): hu float32, mask and ignore uint8; of cells heat and size float32, sized uint8."""

    hu: Float32
    mask: UInt8
    ignore: UInt8
    heat: Float32
    size: Float32
    sized: UInt8


def draw_batch(order: BatchOrder) -> Batch:
    """Draw a batch; its patches have the numbers that follow those of the batch before.

    Raises NodeError(RUN_DIFFERS) where a world is gone.
    """
    grounds = _grounds(order.worlds, order.mined)
    first = order.step * order.size
    patches = [draw_patch(grounds, order.seed, first + n) for n in range(order.size)]
    return Batch(
        hu=np.stack([one.hu for one in patches])[:, None],
        mask=np.stack([one.mask for one in patches])[:, None],
        ignore=np.stack([one.ignore for one in patches])[:, None],
        heat=np.stack([one.cells.heat for one in patches])[:, None],
        size=np.stack([one.cells.size for one in patches])[:, None],
        sized=np.stack([one.cells.sized for one in patches])[:, None].astype(np.uint8),
    )


def batches(workers: Workers, order: BatchOrder, steps: Sequence[int]) -> Iterator[Batch]:
    """Yield the batches of those steps, drawn ahead."""
    orders = (
        BatchOrder(worlds=order.worlds, mined=order.mined, seed=order.seed, step=step, size=order.size)
        for step in steps
    )
    return workers.answers(draw_batch, orders)


@lru_cache(maxsize=1)
def _grounds(worlds: tuple[Path, ...], mined: Path | None) -> tuple[Ground, ...]:
    found = mined_bytes_read(mined.read_bytes()) if mined is not None else {}
    grounds = []
    for folder in worlds:
        world = open_world(folder)
        if world is None:
            raise NodeError(RUN_DIFFERS, run=folder.parent, what=f"its world {folder.name} is gone")
        known = found.get(folder.name)
        ground = Ground(world=world)
        if known is not None:
            ground = Ground(world=world, wrong=known.wrong).with_ignored(known.ignored)
        grounds.append(ground)
    return tuple(grounds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mined:
    """What was found in a world as it is. wrong: float32 (n, 3), indices; ignored: float32 (n, 4), balls."""

    wrong: Float32
    ignored: Float32


def mined_bytes(found: Mapping[str, Mined]) -> bytes:
    """Return what was found, by the name of the world's folder, as a file."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {f"{_WRONG}/{name}": one.wrong for name, one in found.items()}
    arrays |= {f"{_IGNORED}/{name}": one.ignored for name, one in found.items()}
    np.savez(content, **arrays)
    return content.getvalue()


def mined_bytes_read(content: bytes) -> Mapping[str, Mined]:
    """Read what `mined_bytes` made."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        names = [key.removeprefix(f"{_WRONG}/") for key in arrays.files if key.startswith(f"{_WRONG}/")]
        return {
            name: Mined(wrong=arrays[f"{_WRONG}/{name}"], ignored=arrays[f"{_IGNORED}/{name}"])
            for name in names
        }
