"""RLE Lossless frames of labels: runs of equal values, which label maps are made of.

Each run is written as such, also one of a single value: two bytes a run, in one pass over the rows that have
labels. A run ends with its row, so that all the others are the same few bytes.
Source: PS3.5 Annex G (segments one a byte of the value, most significant first; rows on their own).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8] | NDArray[np.uint16]
Bands = Sequence[tuple[int, int]]
"""Rows of a frame, half-open (from, to), in ascending order and apart."""

_LONGEST: Final = 128  # values in one run
_HEAD: Final = struct.Struct("<16L").pack


def encode_frame(labels: Labels) -> bytes:
    """Encode a frame of labels (rows, columns), uint8 or uint16."""
    return encode_bands(labels, [(0, len(labels))], len(labels))


def encode_bands(labels: Labels, bands: Bands, rows: int) -> bytes:
    """Encode a frame of so many rows that is 0 outside of bands. labels: of the bands, (rows, columns)."""
    size = labels.dtype.itemsize
    planes = labels.astype(f">u{size}", copy=False).view(np.uint8).reshape(*labels.shape, size)
    segments = [_encode_plane(planes[:, :, byte], bands, rows) for byte in range(size)]
    lengths = [len(one) for one in segments]
    offsets = [64 + sum(lengths[:n]) for n in range(size)]
    return b"".join([_HEAD(size, *offsets, *[0] * (15 - size)), *segments])


def _encode_plane(values: NDArray[np.uint8], bands: Bands, rows: int) -> bytes:
    """Encode one byte of all values of the bands (rows, columns), to an even number of bytes."""
    columns = values.shape[1]
    if not bands:
        return _empty_row(columns) * rows
    starts = np.ones(values.shape, dtype=bool)  # a run ends with its row
    np.not_equal(values[:, 1:], values[:, :-1], out=starts[:, 1:])
    first = np.flatnonzero(starts)
    lengths = np.diff(first, append=values.size)
    pieces = (lengths + _LONGEST - 1) // _LONGEST
    counts = np.full(int(pieces.sum()), _LONGEST)
    counts[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _LONGEST
    out = np.empty(2 * counts.size, dtype=np.uint8)
    # A run of n is told by 257 − n, and one value by itself by 0
    out[0::2] = np.where(counts == 1, 0, 257 - counts)
    out[1::2] = np.repeat(values.ravel()[first], pieces)
    last = np.searchsorted(first, columns * np.cumsum([stop - start for start, stop in bands])) - 1
    return _laid_out(out.tobytes(), (2 * np.cumsum(pieces)[last]).tolist(), bands, _empty_row(columns), rows)


def _laid_out(encoded: bytes, ends: Sequence[int], bands: Bands, empty: bytes, rows: int) -> bytes:
    """Put the bands into their frame. ends: of each in `encoded`. empty: a row without labels."""
    parts, at, row = [], 0, 0
    for (start, stop), end in zip(bands, ends, strict=True):
        parts += [empty * (start - row), encoded[at:end]]
        at, row = end, stop
    return b"".join([*parts, empty * (rows - row)])


def _empty_row(columns: int) -> bytes:
    whole, rest = divmod(columns, _LONGEST)
    last = bytes([257 - rest if rest > 1 else 0, 0]) if rest else b""
    return bytes([257 - _LONGEST, 0]) * whole + last
