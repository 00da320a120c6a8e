"""Pixels of a BINARY segmentation: one bit a voxel, frame after frame, the first voxel in the lowest bit.

A frame does not start on a byte where rows × columns is no multiple of eight. Of each frame only the rows
that its mask reaches over are looked at: small segments cost what they hold.
Source: PS3.5 8.1.1, PS3.3 C.8.20.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Mask

Bool = NDArray[np.bool_]


def occupied(mask: Mask) -> list[int]:
    """Slices with at least one voxel of the mask, ascending."""
    return [k for k in range(*mask.box_kji[0]) if mask.plane(k).any()]


def pack_frames(frames: Sequence[tuple[Mask, int]]) -> NDArray[np.uint8]:
    """Pack slices (mask, k) one after the other, padded to an even number of bytes; all of one grid."""
    if not frames:
        return np.zeros(0, dtype=np.uint8)
    _, rows, columns = frames[0][0].shape_kji
    packed = np.zeros((rows * columns * len(frames) + 15) // 16 * 2, dtype=np.uint8)
    for number, (mask, k) in enumerate(frames):
        _, (top, bottom), (left, right) = mask.box_kji
        first = (number * rows + top) * columns
        before = first % 8
        band = np.zeros(before + (bottom - top) * columns, dtype=bool)
        band[before:].reshape(-1, columns)[:, left:right] = mask.plane(k)
        bits = np.packbits(band, bitorder="little")
        packed[first // 8 : first // 8 + bits.size] |= bits  # its neighbours may share its outer bytes
    return packed


def overlap(masks: Sequence[Mask]) -> bool:
    """Tell whether two of the masks share a voxel."""
    near = [a for n, a in enumerate(masks) if any(_meet(a, b) for m, b in enumerate(masks) if m != n)]
    if not near:
        return False
    seen = np.empty(near[0].shape_kji[1:], dtype=bool)
    for k in range(min(one.box_kji[0][0] for one in near), max(one.box_kji[0][1] for one in near)):
        seen[:] = False
        for mask in near:
            if mask.box_kji[0][0] <= k < mask.box_kji[0][1]:
                there, plane = seen[mask.slices_kji[1:]], mask.plane(k)
                if (there & plane).any():
                    return True
                there |= plane
    return False


def _meet(a: Mask, b: Mask) -> bool:
    return all(max(p[0], q[0]) < min(p[1], q[1]) for p, q in zip(a.box_kji, b.box_kji, strict=True))
