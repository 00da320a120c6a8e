"""Pixels of a BINARY segmentation: one bit a voxel, frame after frame, the first voxel in the lowest bit.

A frame does not start on a byte where rows × columns is no multiple of eight. Only one frame is unpacked at
a time, so many segments cost no more memory than one. Source: PS3.5 8.1.1, PS3.3 C.8.20.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Mask

Bool = NDArray[np.bool_]


class MaskSlices:
    """The slices of a mask, full frames (j, i); the box is unpacked once."""

    def __init__(self, mask: Mask) -> None:
        self._rows_columns = mask.shape_kji[1:]
        self._k, self._j, self._i = mask.slices_kji
        self._crop = mask.crop()

    def occupied(self) -> list[int]:
        """Slices with at least one voxel, ascending."""
        hit = np.flatnonzero(self._crop.any(axis=(1, 2)))
        return [int(k) + self._k.start for k in hit]

    def frame(self, k: int) -> Bool:
        """Slice `k` of the whole grid: bool (rows, columns)."""
        full = np.zeros(self._rows_columns, dtype=bool)
        if self._k.start <= k < self._k.stop:
            full[self._j, self._i] = self._crop[k - self._k.start]
        return full


def pack_frames(frames: Iterable[Bool]) -> bytes:
    """Pack bool frames (rows, columns) one after the other, padded to an even number of bytes."""
    packed = bytearray()
    rest = np.zeros(0, dtype=bool)
    for frame in frames:
        bits = np.concatenate((rest, frame.ravel()))
        whole = bits.size - bits.size % 8
        packed += np.packbits(bits[:whole], bitorder="little").tobytes()
        rest = bits[whole:]
    packed += np.packbits(rest, bitorder="little").tobytes()
    return bytes(packed + b"\0" * (len(packed) % 2))


def overlap(masks: Sequence[Mask]) -> bool:
    """Tell whether two of the masks share a voxel."""
    return any(_share(a, b) for n, a in enumerate(masks) for b in masks[n + 1 :])


def _share(a: Mask, b: Mask) -> bool:
    both = [(max(p[0], q[0]), min(p[1], q[1])) for p, q in zip(a.box_kji, b.box_kji, strict=True)]
    if any(start >= stop for start, stop in both):
        return False
    return bool(np.any(_within(a, both) & _within(b, both)))


def _within(mask: Mask, box: Sequence[tuple[int, int]]) -> Bool:
    inner = tuple(
        slice(start - own, stop - own) for (start, stop), (own, _) in zip(box, mask.box_kji, strict=True)
    )
    return mask.crop()[inner]


def frames_of(masks: Sequence[Mask], wanted: Iterable[tuple[int, int]]) -> Iterator[Bool]:
    """The frames (segment index, slice k) in the order `wanted`; a mask is unpacked once if it is ordered."""
    at, slices = -1, None
    for index, k in wanted:
        if index != at or slices is None:
            at, slices = index, MaskSlices(masks[index])
        yield slices.frame(k)
