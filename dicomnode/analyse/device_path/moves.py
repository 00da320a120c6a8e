"""Small movements of numbers on a device, made of the kernels that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.analyse.grids import AxisMap
from dicomnode.analyse.preparations.on_device import weights_of
from dicomnode.device import Buffer, WindowWeights
from dicomnode.device.kernels import Kernels

Corner = tuple[int, int, int]

_SAME: Final = (0, 1, 2)


def add(kernels: Kernels, sums: Buffer, values: Buffer, first: int = 0) -> None:
    """Add `values` (c, k, j, i) to `sums`, in place, from plane `first` on. sums: got from `zeros`."""
    size = values.shape[1:]
    ones = [np.ones((1, length), np.float32) for length in size]
    weights = WindowWeights(along_k=ones[0], along_j=ones[1], along_i=ones[2])
    kernels.blend(
        sums, kernels.reshaped(values, (1, *values.shape)), np.array([[first, 0, 0]], np.int32), weights
    )


def planes_of(kernels: Kernels, values: Buffer, first: int, stop: int) -> Buffer:
    """Copy the planes `first` … `stop` − 1 of all channels out of (c, k, j, i)."""
    c, k, j, i = values.shape
    flat = kernels.reshaped(values, (c, k, j * i))
    part = kernels.crop(flat, ((0, c), (first, stop), (0, j * i)))
    return kernels.reshaped(part, (c, stop - first, j, i))


def channels_joined(kernels: Kernels, parts: Sequence[Buffer]) -> Buffer:
    """Join (c, k, j, i) along k: a copy."""
    c, _, j, i = parts[0].shape
    rows = [kernels.part(part, channel) for channel in range(c) for part in parts]
    return kernels.reshaped(kernels.join(rows), (c, sum(part.shape[1] for part in parts), j, i))


def box_out_of(kernels: Kernels, values: Buffer, box: Sequence[tuple[int, int]]) -> Buffer:
    """Copy a box (k, j, i) of all channels out of (c, k, j, i)."""
    (k0, k1), (j0, j1), (i0, i1) = box
    c, k, j, i = values.shape
    rows = kernels.reshaped(values, (c * k, j, i))
    if (k0, k1) == (0, k):
        part = kernels.crop(rows, ((0, c * k), (j0, j1), (i0, i1)))
        return kernels.reshaped(part, (c, k, j1 - j0, i1 - i0))
    some = planes_of(kernels, values, k0, k1)
    if (j0, j1, i0, i1) == (0, j, 0, i):
        return some
    rows = kernels.reshaped(some, (c * (k1 - k0), j, i))
    part = kernels.crop(rows, ((0, c * (k1 - k0)), (j0, j1), (i0, i1)))
    some.close()
    return kernels.reshaped(part, (c, k1 - k0, j1 - j0, i1 - i0))


def mapped_along(kernels: Kernels, values: Buffer, axis: int, one: AxisMap) -> Buffer:
    """Apply a map along axis 0 (k), 1 (j) or 2 (i) of every channel of (c, k, j, i)."""
    c, k, j, i = values.shape
    weights = weights_of(one)
    if axis == 0:
        done = kernels.axis_map(kernels.reshaped(values, (c, k, j * i)), weights, 1)
        return kernels.reshaped(done, (c, one.size, j, i))
    done = kernels.axis_map(kernels.reshaped(values, (c * k, j, i)), weights, axis)
    return kernels.reshaped(done, (c, k, *done.shape[1:]))


def flipped(kernels: Kernels, values: Buffer, axis: str) -> Buffer:
    """Turn (n, c, k, j, i) round along "k", "j" or "i": a copy."""
    n, c, k, j, i = values.shape
    if axis == "k":
        flat = kernels.reshaped(values, (n * c, k, j * i))
        turned = kernels.turn(flat, _SAME, (False, True, False))
    else:
        flat = kernels.reshaped(values, (n * c * k, j, i))
        turned = kernels.turn(flat, _SAME, (False, axis == "j", axis == "i"))
    return kernels.reshaped(turned, values.shape)
