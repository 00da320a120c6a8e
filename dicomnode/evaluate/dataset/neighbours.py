"""Cases that are nearly the same: twice in a set, or in two parts of a split under two names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.dataset.images import GREYS
from dicomnode.evaluate.dataset.table import FeatureTable
from dicomnode.values.geometry import Float64

ALIKE: Final = 0.999
"""Cosine of two rows of features from which they are taken for the same."""

LENGTHS: Final = 0.05
"""… where their lengths differ by less than this part: the direction alone says little of few features."""

HASH_APART: Final = 0.04
"""Part of the bits of their image hashes in which two cases may differ."""

SAME_PICTURE: Final = 0.995
"""Correlation of two thumbnails, in any of eight ways to lay them, from which they show the same picture."""

SAME_FINE: Final = 0.995
"""… and of the finer pictures. Of chest CT, slices three apart have at most 0.98, copies at least 0.999."""

SAME_PARTS: Final = 0.9
"""… and three of four parts of the finer pictures by themselves, of those in which anything is seen."""

SAME_GREYS: Final = 0.02
"""… where their grey features differ by no more than this part of the range of their greys, on average."""

TURNS: Final = (
    "",
    "turned by 90°",
    "turned by 180°",
    "turned by 270°",
    "mirrored",
    "mirrored, turned by 90°",
    "mirrored, turned by 180°",
    "mirrored, turned by 270°",
)
"""The eight ways to lay a picture onto another, in the order of `_laid`."""

_QUARTERS: Final = 4
_PART: Final = 8  # pixels of a side
_SEEN: Final = 3.0  # standard deviation, of 255 greys, from which a part shows something
_FLAT: Final = 1.0  # standard deviation, of 255 greys, below which a picture shows nothing
_CHUNK: Final = 512  # rows at a time: all pairs at once would not fit into memory


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """Two cases (indices, first < second) that are alike.

    cosine: of their standardised features. bits_apart: part of their hashes that differs, 0 to 1, laid as the
    pictures fit; None without thumbnails. same_patient: then it may be right, but never across parts of a
    split. turned: how the second is turned against the first, "" where it is not.
    """

    first: int
    second: int
    cosine: float
    bits_apart: float | None
    same_patient: bool
    turned: str = ""


def near_duplicates(table: FeatureTable) -> tuple[NearDuplicate, ...]:
    """Find pairs alike, surest first.

    Alike in their features and, where there are thumbnails, in their pictures; or of the same picture turned,
    mirrored, resampled or encoded again, which changes spacing and greys a little.
    """
    found = _by_features(table) | _by_pictures(table)
    return tuple(
        sorted(found.values(), key=lambda one: (one.same_patient, -one.cosine, one.first, one.second))
    )


def _by_features(table: FeatureTable) -> dict[tuple[int, int], NearDuplicate]:
    hashes = None if table.thumbnails is None else difference_hashes(table.thumbnails)
    patients, found = table.patients, {}
    for first, second, cosine in _alike(table.standardised()):
        apart = None if hashes is None else float(np.mean(hashes[first] != hashes[second]))
        if apart is None or apart <= HASH_APART:
            found[first, second] = NearDuplicate(
                first=first,
                second=second,
                cosine=cosine,
                bits_apart=apart,
                same_patient=patients[first] == patients[second],
            )
    return found


def _by_pictures(table: FeatureTable) -> dict[tuple[int, int], NearDuplicate]:
    """Pairs of one picture in any of eight ways to lay it, and of the same greys."""
    greys = [n for n, name in enumerate(table.names) if name in GREYS]
    if table.thumbnails is None or table.fine is None or not greys:
        return {}
    features = table.standardised()
    lengths = np.maximum(np.linalg.norm(features, axis=1), 1e-12)
    tones = table.values[:, greys]
    shades = [n for n in greys if table.names[n].startswith("percentile")]
    ranges = np.maximum(np.ptp(table.values[:, shades], axis=1), 1e-12)
    patients, found = table.patients, {}
    for turn, first, second in _same_pictures(table.thumbnails):
        pair = min(first, second), max(first, second)
        apart = float(np.abs(tones[first] - tones[second]).mean()) / max(ranges[first], ranges[second])
        if pair in found or apart > SAME_GREYS:
            continue
        if not _same_in_parts(table.fine[first], _laid(table.fine[second][None], turn)[0]):
            continue
        laid = _laid(table.thumbnails[second][None], turn)
        here, there = difference_hashes(table.thumbnails[first][None]), difference_hashes(laid)
        found[pair] = NearDuplicate(
            first=pair[0],
            second=pair[1],
            cosine=float(features[first] @ features[second] / lengths[first] / lengths[second]),
            bits_apart=float(np.mean(here != there)),
            same_patient=patients[first] == patients[second],
            turned=TURNS[turn],
        )
    return found


def _same_pictures(thumbnails: NDArray[np.uint8]) -> Iterator[tuple[int, int, int]]:
    """Give how the second is laid, first and second, of pictures that correlate; not turned ones first.

    first < second, and a picture that is all of one grey is like none.
    """
    units = _units(thumbnails)
    for turn in range(len(TURNS)):
        turned = _units(_laid(thumbnails, turn))
        for start in range(0, len(units), _CHUNK):
            close = units[start : start + _CHUNK] @ turned.T >= SAME_PICTURE
            for row, second in np.argwhere(close):
                if start + row < second:
                    yield turn, int(start + row), int(second)


def _laid(thumbnails: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Pictures (n, side, side), mirrored and turned as `TURNS` says."""
    mirrored = thumbnails[:, :, ::-1] if turn >= _QUARTERS else thumbnails
    return np.rot90(mirrored, k=turn % _QUARTERS, axes=(1, 2))


def _same_in_parts(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Tell whether two finer pictures (side, side) are the same as a whole, and part by part.

    Bodies have one form: as a whole, those of two patients may correlate nearly as well as a copy does.
    """
    whole = _units(np.stack([first, second]))
    if float(whole[0] @ whole[1]) < SAME_FINE:
        return False
    many = len(first) // _PART
    parts = [
        one.reshape(many, _PART, many, _PART).swapaxes(1, 2).reshape(-1, _PART, _PART)
        for one in (first, second)
    ]
    seen = np.maximum(*(one.reshape(len(one), -1).std(axis=1) for one in parts)) > _SEEN
    if not seen.any():
        return True
    alike = (_units(parts[0][seen]) * _units(parts[1][seen])).sum(axis=1)
    return float(np.quantile(alike, 0.25)) >= SAME_PARTS


def _units(thumbnails: NDArray[np.uint8]) -> Float64:
    """Pictures as rows of mean 0 and length 1, of one grey as zeros: products are correlations."""
    rows = thumbnails.reshape(len(thumbnails), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    flat = _FLAT * rows.shape[1] ** 0.5
    units: Float64 = np.where(lengths > flat, rows / np.maximum(lengths, 1e-12), 0.0)
    return units


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
