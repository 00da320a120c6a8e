"""The node's arithmetic on the CPU, with numpy and scipy: the reference that devices are held to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import ndimage, sparse, special

from dicomnode.device.buffer import Buffer, HostBuffer
from dicomnode.device.cpu import Device, cpu_device
from dicomnode.device.kernels import (
    FACE,
    AxisWeights,
    BoxKji,
    Float32,
    Int32,
    Shape3,
    Statistics,
    WindowWeights,
    affine_of,
    counted_channels,
    covered,
    expect,
    joined,
    window_starts,
    within,
)

_CHUNK = 1 << 20  # values that are widened to float64 at a time


class HostKernels:
    """`Kernels` on the host. What it returns to write into comes from `zeros` and `empty`."""

    def __init__(self, threads: int = 0) -> None:
        self._device = cpu_device(threads)

    @property
    def device(self) -> Device:
        """The CPU."""
        return self._device

    def upload(self, array: ArrayLike) -> Buffer:
        """Return the array as a buffer; no copy of one that is contiguous."""
        return HostBuffer(array)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """Return room for an array."""
        return _Room(np.empty(shape, dtype))

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """Return an array of zeros."""
        return _Room(np.zeros(shape, dtype))

    def part(self, values: Buffer, index: int) -> Buffer:
        """Return one entry along the first axis, as a view."""
        return _Room(values.room[index]) if isinstance(values, _Room) else HostBuffer(values.host()[index])

    def reshaped(self, values: Buffer, shape: tuple[int, ...]) -> Buffer:
        """Return the same buffer under other lengths."""
        if isinstance(values, _Room):
            return _Room(values.room.reshape(shape))
        return HostBuffer(values.host().reshape(shape))

    def join(self, parts: Sequence[Buffer]) -> Buffer:
        """Concatenate."""
        return HostBuffer(np.concatenate([one.host() for one in joined(parts)]))

    def scale_clip(
        self, values: Buffer, *, slope: float = 1.0, intercept: float = 0.0, low: float, high: float
    ) -> Buffer:
        """Scale, then limit; each step rounded to float32."""
        array = expect(values, (np.int16, np.uint16, np.float32)).host().astype(np.float32)
        if not low <= high:
            raise ValueError(f"low {low} must not be above high {high}")
        array *= np.float32(slope)
        array += np.float32(intercept)
        np.clip(array, np.float32(low), np.float32(high), out=array)
        return HostBuffer(array)

    def z_score(self, values: Buffer, *, mean: float, std: float, only_nonzero: bool = False) -> Buffer:
        """Subtract the mean and multiply by 1 / std, both float32."""
        array = expect(values, (np.float32,)).host()
        if not std > 0:
            raise ValueError(f"std must be > 0, got {std}")
        result = array - np.float32(mean)
        result *= np.float32(1.0 / std)
        if only_nonzero:
            result[array == 0] = 0
        return HostBuffer(result)

    def turn(self, values: Buffer, axes: Shape3, flip: tuple[bool, bool, bool]) -> Buffer:
        """Exchange axes, then flip."""
        array = expect(values, _TURNED, 3).host()
        if sorted(axes) != [0, 1, 2]:
            raise ValueError(f"axes must be an order of 0, 1 and 2, got {axes}")
        flipped = np.flip(np.transpose(array, axes), tuple(axis for axis, turn in enumerate(flip) if turn))
        return HostBuffer(flipped.copy(order="C"))

    def crop(self, values: Buffer, box: BoxKji) -> Buffer:
        """Copy a box."""
        array = expect(values, _TURNED, 3).host()
        within(array.shape, box)
        return HostBuffer(array[_slices(box)].copy(order="C"))

    def axis_map(self, values: Buffer, weights: AxisWeights, axis: int) -> Buffer:
        """Multiply by a sparse matrix, plane after plane; scipy adds up a row in the order of its weights."""
        array: Float32 = expect(values, (np.float32,), 3).host()
        if axis not in (0, 1, 2) or array.shape[axis] != weights.length:
            raise ValueError(f"axis {axis} of {array.shape} is not the {weights.length} of the weights")
        matrix = sparse.csr_array(
            (weights.weights, weights.columns, weights.row_starts), shape=(weights.rows, weights.length)
        )
        if axis == 0:
            flat = matrix @ array.reshape(len(array), -1)
            return HostBuffer(flat.reshape(weights.rows, *array.shape[1:]))
        shape = list(array.shape)
        shape[axis] = weights.rows
        result = np.empty(shape, dtype=np.float32)
        for plane, out in zip(array, result, strict=True):
            out[:] = matrix @ plane if axis == 1 else (matrix @ np.ascontiguousarray(plane.T)).T
        return HostBuffer(result)

    def trilinear(
        self, values: Buffer, matrix: NDArray[np.float64], shape: Shape3, outside: float | None = None
    ) -> Buffer:
        """Interpolate with scipy.ndimage: indices and sums in float64."""
        array: Float32 = expect(values, (np.float32,), 3).host()
        linear, offset = affine_of(matrix)
        result = np.empty(shape, dtype=np.float32)
        ndimage.affine_transform(array, linear, offset, shape, output=result, order=1, mode="nearest")
        if outside is not None:
            for k, plane in enumerate(result):
                plane[_beyond(_indices(linear, offset, k, shape), array.shape)] = outside
        return HostBuffer(result)

    def nearest(self, values: Buffer, matrix: NDArray[np.float64], shape: Shape3, outside: int = 0) -> Buffer:
        """Take the nearest voxel, plane after plane."""
        array = expect(values, (np.uint8,), 3).host()
        linear, offset = affine_of(matrix)
        result = np.empty(shape, dtype=np.uint8)
        last = np.array(array.shape)[:, None, None] - 1
        for k, plane in enumerate(result):
            at = _indices(linear, offset, k, shape)
            near = (np.clip(at, 0, last) + (1.0 - FACE)).astype(np.intp)
            plane[:] = np.where(_beyond(at, array.shape), outside, array[tuple(near)])
        return HostBuffer(result)

    def statistics(self, values: Buffer, *, only_nonzero: bool = False) -> Statistics:
        """Add up in float64, chunk after chunk."""
        flat: Float32 = expect(values, (np.float32,)).host().ravel()
        count, total, squares, smallest, largest = 0, 0.0, 0.0, np.inf, -np.inf
        for start in range(0, flat.size, _CHUNK):
            chunk = flat[start : start + _CHUNK]
            wide = (chunk[chunk != 0] if only_nonzero else chunk).astype(np.float64)
            count += wide.size
            total += float(wide.sum())
            squares += float(np.square(wide).sum())
            smallest = np.fmin.reduce(wide, initial=smallest)
            largest = np.fmax.reduce(wide, initial=largest)
        return Statistics(
            count=count, total=total, squares=squares, smallest=float(smallest), largest=float(largest)
        )

    def gather(self, values: Buffer, starts: Int32, window: Shape3, outside: float = 0.0) -> Buffer:
        """Copy windows, each as far as the volume reaches."""
        array: Float32 = expect(values, (np.float32,), 3).host()
        starts = window_starts(starts)
        result = np.full((len(starts), 1, *window), outside, dtype=np.float32)
        for start, patch in zip(starts.tolist(), result[:, 0], strict=True):
            source, target = _overlap(start, window, array.shape)
            patch[target] = array[source]
        return HostBuffer(result)

    def blend(self, sums: Buffer, patches: Buffer, starts: Int32, weights: WindowWeights) -> None:
        """Add window after window."""
        array: Float32 = expect(patches, (np.float32,), 5).host()
        starts = window_starts(starts)
        room = _room(sums)
        covered(sums, patches, starts, weights.window)
        if len(weights.along_k) != len(starts):
            raise ValueError(f"weights of {len(weights.along_k)} windows do not go with {len(starts)}")
        for n, (patch, start) in enumerate(zip(array, starts.tolist(), strict=True)):
            one = weights.along_k[n][:, None, None] * weights.along_j[n][:, None] * weights.along_i[n]
            box = tuple(slice(low, low + length) for low, length in zip(start, weights.window, strict=True))
            room[(slice(None), *box)] += patch * one

    def blend_within(self, sums: Buffer, patches: Buffer, starts: Int32, weights: Buffer) -> None:
        """Add window after window, all with the same weights."""
        array: Float32 = expect(patches, (np.float32,), 5).host()
        room, starts = _room(sums), window_starts(starts)
        one: Float32 = expect(weights, (np.float32,), 3).host()
        covered(sums, patches, starts, one.shape)
        for patch, start in zip(array, starts.tolist(), strict=True):
            box = tuple(slice(low, low + length) for low, length in zip(start, one.shape, strict=True))
            room[(slice(None), *box)] += patch * one

    def normalise(self, sums: Buffer, starts_kji: tuple[Int32, Int32, Int32], weights: Buffer) -> None:
        """Add the weights up, then divide."""
        room = _room(sums)
        one: Float32 = expect(weights, (np.float32,), 3).host()
        total = np.zeros(room.shape[1:], dtype=np.float32)
        for corner in product(*(along.tolist() for along in starts_kji)):
            there, here = _overlap(corner, one.shape, total.shape)
            total[there] += one[here]
        room /= total

    def softmax(self, values: Buffer) -> Buffer:
        """Compute in float64."""
        wide = expect(values, (np.float32,), 4).host().astype(np.float64)
        return HostBuffer(special.softmax(wide, axis=0).astype(np.float32))

    def sigmoid(self, values: Buffer) -> Buffer:
        """Compute in float64."""
        wide = expect(values, (np.float32,)).host().astype(np.float64)
        return HostBuffer(np.asarray(special.expit(wide)).astype(np.float32))

    def argmax(self, values: Buffer) -> Buffer:
        """Return the first of the largest channels."""
        array = expect(values, (np.float32,), 4).host()
        counted_channels(array.shape, 256)
        return HostBuffer(array.argmax(axis=0).astype(np.uint8))

    def threshold(self, values: Buffer, above: float) -> Buffer:
        """Compare as float32."""
        array = expect(values, (np.float32,)).host()
        return HostBuffer((array > np.float32(above)).astype(np.uint8))

    def last_above(self, values: Buffer, above: float) -> Buffer:
        """Look from the last channel on."""
        array = expect(values, (np.float32,), 4).host()
        counted_channels(array.shape, 255)
        hit = (array > np.float32(above))[::-1]
        return HostBuffer(np.where(hit.any(axis=0), len(array) - hit.argmax(axis=0), 0).astype(np.uint8))

    def components(self, values: Buffer, label: int = 1, *, corners: bool = False) -> tuple[Buffer, int]:
        """Label with scipy.ndimage."""
        array = expect(values, (np.uint8,), 3).host()
        labels = np.empty(array.shape, dtype=np.int32)
        near = ndimage.generate_binary_structure(3, 3 if corners else 1)
        count = ndimage.label(array == label, structure=near, output=labels)
        return HostBuffer(labels), int(count)

    def sizes(self, labels: Buffer, count: int) -> NDArray[np.int64]:
        """Count the voxels of each component."""
        array = expect(labels, (np.int32,), 3).host()
        within = array[(array > 0) & (array <= count)]
        return np.bincount(within, minlength=count + 1).astype(np.int64)

    def chosen(self, labels: Buffer, wanted: NDArray[np.bool_]) -> Buffer:
        """Look each label up."""
        array = expect(labels, (np.int32,), 3).host()
        table = wanted.astype(np.uint8)
        table[0] = 0
        return HostBuffer(table[np.where((array > 0) & (array < len(table)), array, 0)])

    def extent(self, values: Buffer, label: int = 1) -> BoxKji | None:
        """Find the first and the last along each axis."""
        hit = expect(values, (np.uint8,), 3).host() == label
        if not hit.any():
            return None
        parts = []
        for others in ((1, 2), (0, 2), (0, 1)):
            where = np.flatnonzero(hit.any(axis=others))
            parts.append((int(where[0]), int(where[-1]) + 1))
        return parts[0], parts[1], parts[2]

    def pack_bits(self, values: Buffer, box: BoxKji, label: int = 1) -> Buffer:
        """Pack with numpy."""
        array = expect(values, (np.uint8,), 3).host()
        within(array.shape, box)
        return HostBuffer(np.packbits((array[_slices(box)] == label).ravel()))


def _room(sums: Buffer) -> Float32:
    """Return the array of sums, to be written to; TypeError for one that is not of `zeros`."""
    expect(sums, (np.float32,), 4)
    if not isinstance(sums, _Room):
        raise TypeError("sums must be got from zeros")
    return sums.room


_TURNED = (np.uint8, np.int16, np.uint16, np.float32)


class _Room(HostBuffer):
    """A block of numbers that arithmetic may write into."""

    __slots__ = ("room",)

    def __init__(self, array: NDArray[Any]) -> None:
        super().__init__(array)
        self.room = array


def _overlap(
    start: Sequence[int], window: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return which part of an array a window at `start` sees, and which part of the window that is."""
    source, target = [], []
    for low, length, size in zip(start, window, shape, strict=True):
        begin, end = max(low, 0), max(min(low + length, size), 0)
        source.append(slice(begin, max(begin, end)))
        target.append(slice(begin - low, max(begin, end) - low))
    return tuple(source), tuple(target)


def _slices(box: BoxKji) -> tuple[slice, slice, slice]:
    k, j, i = (slice(start, stop) for start, stop in box)
    return k, j, i


def _indices(
    linear: NDArray[np.float64], offset: NDArray[np.float64], k: int, shape: Shape3
) -> NDArray[np.float64]:
    """Return the source index (3, j, i) of each voxel of plane k."""
    j, i = np.ogrid[: shape[1], : shape[2]]
    return np.stack(
        [row[0] * k + row[1] * j + row[2] * i + add for row, add in zip(linear, offset, strict=True)]
    )


def _beyond(at: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which indices (3, j, i) lie beyond the outer faces of a volume."""
    last = np.array(shape)[:, None, None] - 1
    return np.asarray(((at < -FACE) | (at > last + FACE)).any(axis=0))
