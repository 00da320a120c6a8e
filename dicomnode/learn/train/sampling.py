"""Which studies come in an epoch, and where patches are cut: drawn from (seed, epoch, step) alone.

Nothing is carried from step to step, so that a training that goes on after a stop draws what it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.learn.train.samples import IGNORED, Sample

Three = tuple[int, int, int]

_AT_LABELS: Final = 0.5  # of balanced patches
_KEPT: Final = 2000  # places of a structure in a study that are kept, evenly taken
_ORDER, _PATCH = 1, 2  # what a generator is drawn for


def generator(seed: int, *parts: int) -> np.random.Generator:
    """Return the generator of one purpose: equal numbers give equal draws."""
    return np.random.default_rng([seed, *parts])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """Where the structures of a sample are: by number, int32 (m, 3), indices k, j, i; no empty ones."""

    of: dict[int, NDArray[np.int32]]

    @classmethod
    def find(cls, sample: Sample) -> Places:
        """Find them, at most so many of each, evenly taken."""
        found = {}
        for number, part in enumerate(sample.target):
            flat = np.flatnonzero(np.asarray(part) == 1)
            if flat.size:
                some = flat[:: max(1, flat.size // _KEPT)]
                found[number] = np.stack(np.unravel_index(some, part.shape), axis=1).astype(np.int32)
        return cls(of=found)


def order_of(count: int, seed: int, epoch: int, needed: int) -> list[int]:
    """Return `needed` numbers of studies: each comes once before one comes again."""
    draw = generator(seed, _ORDER, epoch)
    order: list[int] = []
    while len(order) < needed:
        order += [int(n) for n in draw.permutation(count)]
    return order[:needed]


def balanced_order(classes: Sequence[int], seed: int, epoch: int, needed: int) -> list[int]:
    """Return `needed` numbers of studies, each class equally often; those of no class come with the rest."""
    draw = generator(seed, _ORDER, epoch)
    groups = [[n for n, one in enumerate(classes) if one == number] for number in sorted(set(classes))]
    taken = [[groups[g][int(n)] for n in draw.permutation(len(groups[g]))] for g in range(len(groups))]
    order: list[int] = []
    while len(order) < needed:
        for g in draw.permutation(len(groups)):
            if not taken[g]:
                taken[g] = [groups[g][int(n)] for n in draw.permutation(len(groups[g]))]
            order.append(taken[g].pop())
    return order[:needed]


def corner_of(
    sample: Sample,
    places: Places | None,
    patch_kji: Three,
    key: Sequence[int],
    structures: Sequence[int] = (),
) -> Three:
    """Return the corner of a patch: 0 along an axis that is shorter than it, as the service pads at the end.

    places: for balanced patches; half of them then hold a voxel of a structure, each structure equally often.
    key: seed, epoch and number of the patch. structures: those to be drawn from, all unless given.
    """
    draw = generator(key[0], _PATCH, *key[1:])
    able = [] if places is None else sorted(set(places.of) & (set(structures) or set(places.of)))
    at_label = bool(able) and draw.random() < _AT_LABELS
    if at_label and places is not None:
        spots = places.of[able[int(draw.integers(len(able)))]]
        spot = spots[int(draw.integers(len(spots)))]
        corner = [int(spot[a]) - int(draw.integers(patch_kji[a])) for a in range(3)]
    else:
        corner = [
            int(draw.integers(max(1, n - p + 1))) for n, p in zip(sample.shape_kji, patch_kji, strict=True)
        ]
    k, j, i = (
        min(max(start, 0), max(length - side, 0))
        for start, length, side in zip(corner, sample.shape_kji, patch_kji, strict=True)
    )
    return k, j, i


def cut(sample: Sample, corner: Three, patch_kji: Three, pad_value: float) -> tuple[Float32, NDArray[Any]]:
    """Cut inputs (c, k, j, i) and, of a map, the target; beyond the study pad_value, and IGNORED."""
    inputs = _cut(sample.inputs, corner, patch_kji, pad_value)
    if not sample.is_map:
        return inputs, np.asarray(sample.target)
    return inputs, _cut(sample.target, corner, patch_kji, IGNORED)


def _cut(array: NDArray[Any], corner: Three, patch_kji: Three, fill: float) -> NDArray[Any]:
    inner, margins = [slice(None)], [(0, 0)]
    for start, side, length in zip(corner, patch_kji, array.shape[1:], strict=True):
        low, high = max(start, 0), min(start + side, length)
        inner.append(slice(low, high))
        margins.append((low - start, start + side - high))
    part = np.array(array[tuple(inner)])
    if not any(before or after for before, after in margins):
        return part
    return np.pad(part, margins, mode="constant", constant_values=array.dtype.type(fill))
