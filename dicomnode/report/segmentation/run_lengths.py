"""RLE Lossless frames of labels: runs of equal values, which label maps are made of.

Each run is written as such, also one of a single value: two bytes a run, in one pass over the whole frame.
Source: PS3.5 Annex G (segments one a byte of the value, most significant first; rows on their own).
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8] | NDArray[np.uint16]

_LONGEST: Final = 128  # values in one run
_HEAD: Final = struct.Struct("<16L").pack


def encode_frame(labels: Labels) -> bytes:
    """Encode a frame of labels (rows, columns), uint8 or uint16."""
    size = labels.dtype.itemsize
    planes = labels.astype(f">u{size}", copy=False).view(np.uint8).reshape(*labels.shape, size)
    segments = [_encode_plane(planes[:, :, byte]) for byte in range(size)]
    lengths = [len(one) for one in segments]
    offsets = [64 + sum(lengths[:n]) for n in range(size)]
    return b"".join([_HEAD(size, *offsets, *[0] * (15 - size)), *segments])


def _encode_plane(values: NDArray[np.uint8]) -> bytes:
    """Encode one byte of all values (rows, columns), to an even number of bytes."""
    rows, columns = values.shape
    starts = np.ones((rows, columns), dtype=bool)  # a run ends with its row
    np.not_equal(values[:, 1:], values[:, :-1], out=starts[:, 1:])
    first = np.flatnonzero(starts)
    lengths = np.diff(first, append=rows * columns)
    pieces = (lengths + _LONGEST - 1) // _LONGEST
    counts = np.full(int(pieces.sum()), _LONGEST)
    counts[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _LONGEST
    out = np.empty(2 * counts.size, dtype=np.uint8)
    # A run of n is told by 257 − n, and one value by itself by 0
    out[0::2] = np.where(counts == 1, 0, 257 - counts)
    out[1::2] = np.repeat(values.ravel()[first], pieces)
    return out.tobytes()
