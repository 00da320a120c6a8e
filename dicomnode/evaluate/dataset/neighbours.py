"""Cases that are nearly the same: twice in a set, or in two parts of a split under two names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.dataset.table import FeatureTable
from dicomnode.values.geometry import Float64

ALIKE: Final = 0.999
"""Cosine of two rows of features from which they are taken for the same."""

LENGTHS: Final = 0.05
"""… where their lengths differ by less than this part: the direction alone says little of few features."""

HASH_APART: Final = 0.04
"""Part of the bits of their image hashes in which two cases may differ."""

_CHUNK: Final = 512  # rows at a time: all pairs at once would not fit into memory


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """Two cases (indices, first < second) that are alike.

    cosine: of their standardised features. bits_apart: part of their hashes that differs, 0 to 1; None
    without thumbnails. same_patient: then it may be right, but never across parts of a split.
    """

    first: int
    second: int
    cosine: float
    bits_apart: float | None
    same_patient: bool


def near_duplicates(table: FeatureTable) -> tuple[NearDuplicate, ...]:
    """Find pairs alike in their features and, where there are thumbnails, in their pictures; surest first."""
    features = table.standardised()
    hashes = None if table.thumbnails is None else difference_hashes(table.thumbnails)
    patients, found = table.patients, []
    for first, second, cosine in _alike(features):
        apart = None if hashes is None else float(np.mean(hashes[first] != hashes[second]))
        if apart is None or apart <= HASH_APART:
            found.append(
                NearDuplicate(
                    first=first,
                    second=second,
                    cosine=cosine,
                    bits_apart=apart,
                    same_patient=patients[first] == patients[second],
                )
            )
    return tuple(sorted(found, key=lambda one: (one.same_patient, -one.cosine, one.first, one.second)))


def difference_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Hash pictures (n, rows, columns): bits (n, bits), whether each pixel is brighter than the next one.

    To the right, then down; brightness and contrast of the whole change nothing.
    """
    greys = thumbnails.astype(np.int16)
    right = greys[:, :, 1:] > greys[:, :, :-1]
    down = greys[:, 1:, :] > greys[:, :-1, :]
    bits: NDArray[np.bool_] = np.concatenate([part.reshape(len(greys), -1) for part in (right, down)], axis=1)
    return bits


def _alike(features: Float64) -> Iterator[tuple[int, int, float]]:
    """Pairs whose rows point the same way and are about as long, with their cosine."""
    if not features.shape[1]:
        return
    lengths = np.linalg.norm(features, axis=1)
    # A row of zeros (the very mean) has no direction; such rows equal one another
    units = features / np.maximum(lengths, 1e-12)[:, None]
    for start in range(0, len(features), _CHUNK):
        part = slice(start, start + _CHUNK)
        cosines = np.clip(units[part] @ units.T, -1.0, 1.0)
        longest = np.maximum(lengths[part, None], lengths[None])
        close = np.abs(lengths[part, None] - lengths[None]) <= LENGTHS * longest
        for row, second in np.argwhere((cosines >= ALIKE) & close):
            if start + row < second:
                yield int(start + row), int(second), float(cosines[row, second])
