"""`Kernels` by launching kernels.cu: which launches make up an operation, in which order, on which numbers.

It needs somebody who holds memory and launches: `Machine`. On a GPU that is a CUDA context with its stream;
in the tests of the kernels it is the host, which runs the threads of a grid one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from dicomnode.device.buffer import Buffer
from dicomnode.device.cpu import Device
from dicomnode.device.kernels import (
    AxisWeights,
    BoxKji,
    Int32,
    Shape3,
    Statistics,
    View,
    WindowWeights,
    affine_of,
    box_of_flags,
    counted_channels,
    covered,
    expect,
    joined,
    reduced,
    size_of,
    window_starts,
    within,
)
from dicomnode.device.launches import (
    LAUNCHES,
    MOST_BLOCKS,
    REDUCED,
    RUN,
    SEGMENT,
    parts_of,
    segments_of,
)
from dicomnode.device.machine import Machine

_KINDS = {"uint8": "u8", "int16": "i16", "uint16": "u16", "float32": "f32"}


class LaunchedKernels:
    """`Kernels` on a machine that launches."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def device(self) -> Device:
        """The machine's device."""
        return self._machine.device

    def upload(self, array: ArrayLike) -> Buffer:
        """Bring an array to the device."""
        return self._machine.upload(array)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """Return room for an array."""
        return self._machine.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """Return an array of zeros."""
        return self._machine.zeros(shape, dtype)

    def part(self, values: Buffer, index: int) -> Buffer:
        """Return an entry along the first axis, as a view."""
        return self._machine.part(values, index)

    def reshaped(self, values: Buffer, shape: tuple[int, ...]) -> Buffer:
        """Return the same buffer under other lengths."""
        return self._machine.reshaped(values, shape)

    def join(self, parts: Sequence[Buffer]) -> Buffer:
        """Copy the parts into one buffer."""
        first = joined(parts)[0]
        out = self.empty((sum(one.shape[0] for one in parts), *first.shape[1:]), first.dtype)
        offset = 0
        for one in parts:
            self._machine.copy(one, out, offset)
            offset += prod(one.shape)
        return out

    def scale_clip(
        self, values: Buffer, *, slope: float = 1.0, intercept: float = 0.0, low: float, high: float
    ) -> Buffer:
        """Launch dn_scale_clip of the type."""
        expect(values, (np.int16, np.uint16, np.float32))
        if not low <= high:
            raise ValueError(f"low {low} must not be above high {high}")
        out = self.empty(values.shape, np.float32)
        limits = {"slope": slope, "intercept": intercept, "low": low, "high": high}
        self._flat(f"dn_scale_clip_{_KINDS[values.dtype.name]}", values, values=values, out=out, **limits)
        return out

    def z_score(self, values: Buffer, *, mean: float, std: float, only_nonzero: bool = False) -> Buffer:
        """Launch dn_z_score."""
        expect(values, (np.float32,))
        if not std > 0:
            raise ValueError(f"std must be > 0, got {std}")
        out = self.empty(values.shape, np.float32)
        how = {"mean": mean, "inverse_std": 1.0 / std, "only_nonzero": int(only_nonzero)}
        self._flat("dn_z_score", values, values=values, out=out, **how)
        return out

    def turn(self, values: Buffer, axes: Shape3, flip: tuple[bool, bool, bool]) -> Buffer:
        """Launch dn_turn over the axes in their new order."""
        expect(values, _TURNED, 3)
        return self._seen(values, View.turned(_shape3(values), axes, flip))

    def crop(self, values: Buffer, box: BoxKji) -> Buffer:
        """Launch dn_turn over the box."""
        expect(values, _TURNED, 3)
        return self._seen(values, View.cropped(_shape3(values), box))

    def axis_map(self, values: Buffer, weights: AxisWeights, axis: int) -> Buffer:
        """Launch dn_axis_map."""
        expect(values, (np.float32,), 3)
        if axis not in (0, 1, 2) or values.shape[axis] != weights.length:
            raise ValueError(f"axis {axis} of {values.shape} is not the {weights.length} of the weights")
        shape = [weights.rows if a == axis else size for a, size in enumerate(values.shape)]
        out = self.empty(tuple(shape), np.float32)
        with (
            self._sent(weights.row_starts) as row_starts,
            self._sent(weights.columns) as columns,
            self._sent(weights.weights) as numbers,
        ):
            matrix = {"row_starts": row_starts, "columns": columns, "weights": numbers}
            length = {"axis": axis, "length": weights.length}
            self._run("dn_axis_map", values=values, out=out, **matrix, **length, **_kji("size", shape))
        return out

    def trilinear(
        self, values: Buffer, matrix: NDArray[np.float64], shape: Shape3, outside: float | None = None
    ) -> Buffer:
        """Launch dn_trilinear."""
        expect(values, (np.float32,), 3)
        out = self.empty(shape, np.float32)
        edge = {"hold_edge": int(outside is None), "outside": outside or 0.0}
        self._run("dn_trilinear", values=values, out=out, **_between(values.shape, shape, matrix), **edge)
        return out

    def nearest(self, values: Buffer, matrix: NDArray[np.float64], shape: Shape3, outside: int = 0) -> Buffer:
        """Launch dn_nearest."""
        expect(values, (np.uint8,), 3)
        out = self.empty(shape, np.uint8)
        grids = _between(values.shape, shape, matrix)
        self._run("dn_nearest", values=values, out=out, **grids, outside=outside)
        return out

    def statistics(self, values: Buffer, *, only_nonzero: bool = False) -> Statistics:
        """Launch dn_statistics and dn_statistics_reduce; the last rows are added up on the host."""
        expect(values, (np.float32,))
        parts = parts_of(prod(values.shape))
        with self._room((5, parts), np.float64) as partials, self._room((5, REDUCED), np.float64) as rows:
            how = {"parts": parts, "only_nonzero": int(only_nonzero)}
            self._flat("dn_statistics", values, values=values, partials=partials, **how)
            self._run("dn_statistics_reduce", partials=partials, out=rows, parts=parts, rows=REDUCED)
            return reduced(rows.host())

    def gather(self, values: Buffer, starts: Int32, window: Shape3, outside: float = 0.0) -> Buffer:
        """Launch dn_gather."""
        expect(values, (np.float32,), 3)
        starts = window_starts(starts)
        out = self.empty((len(starts), 1, *window), np.float32)
        sizes = {**_kji("size", values.shape), **_kji("window", window)}
        at_once = max(MOST_BLOCKS[2] // window[0], 1)
        with self._sent(starts) as places:
            first_out, first_start = self._machine.address(out), self._machine.address(places)
            for first in range(0, len(starts), at_once):
                where = {"out": first_out + 4 * first * prod(window), "starts": first_start + 4 * 3 * first}
                windows = min(at_once, len(starts) - first)
                self._run("dn_gather", values=values, windows=windows, outside=outside, **where, **sizes)
        return out

    def blend(self, sums: Buffer, patches: Buffer, starts: Int32, weights: WindowWeights) -> None:
        """Launch dn_blend over the box that the windows cover."""
        expect(sums, (np.float32,), 4)
        expect(patches, (np.float32,), 5)
        starts = window_starts(starts)
        sizes = _blending(sums, patches, starts, weights.window)
        if len(weights.along_k) != len(starts):
            raise ValueError(f"weights of {len(weights.along_k)} windows do not go with {len(starts)}")
        with (
            self._sent(starts) as places,
            self._sent(weights.along_k) as weights_k,
            self._sent(weights.along_j) as weights_j,
            self._sent(weights.along_i) as weights_i,
        ):
            buffers = {"patches": patches, "sums": sums, "starts": places}
            along = {"weights_k": weights_k, "weights_j": weights_j, "weights_i": weights_i}
            self._run("dn_blend", **buffers, **along, **sizes)

    def blend_within(self, sums: Buffer, patches: Buffer, starts: Int32, weights: Buffer) -> None:
        """Launch dn_blend_within over the box that the windows cover."""
        expect(sums, (np.float32,), 4)
        expect(patches, (np.float32,), 5)
        expect(weights, (np.float32,), 3)
        starts = window_starts(starts)
        sizes = _blending(sums, patches, starts, _shape3(weights))
        with self._sent(starts) as places:
            buffers = {"patches": patches, "sums": sums, "starts": places, "weights": weights}
            self._run("dn_blend_within", **buffers, **sizes)

    def normalise(self, sums: Buffer, starts_kji: tuple[Int32, Int32, Int32], weights: Buffer) -> None:
        """Launch dn_normalise."""
        expect(sums, (np.float32,), 4)
        expect(weights, (np.float32,), 3)
        channels, *shape = sums.shape
        counts = {f"count_{axis}": len(along) for axis, along in zip("kji", starts_kji, strict=True)}
        sizes = {**_kji("window", weights.shape), **_kji("size", shape)}
        k, j, i = (np.ascontiguousarray(along, dtype=np.int32) for along in starts_kji)
        with self._sent(k) as in_k, self._sent(j) as in_j, self._sent(i) as in_i:
            starts = {"starts_k": in_k, "starts_j": in_j, "starts_i": in_i}
            buffers = {"sums": sums, "weights": weights, **starts}
            self._run("dn_normalise", **buffers, **counts, channels=channels, **sizes)

    def softmax(self, values: Buffer) -> Buffer:
        """Launch dn_softmax."""
        channels, *shape = expect(values, (np.float32,), 4).shape
        out = self.empty(values.shape, np.float32)
        self._run("dn_softmax", values=values, out=out, channels=channels, count=prod(shape))
        return out

    def sigmoid(self, values: Buffer) -> Buffer:
        """Launch dn_sigmoid."""
        expect(values, (np.float32,))
        out = self.empty(values.shape, np.float32)
        self._flat("dn_sigmoid", values, values=values, out=out)
        return out

    def argmax(self, values: Buffer) -> Buffer:
        """Launch dn_argmax."""
        expect(values, (np.float32,), 4)
        counted_channels(values.shape, 256)
        labels = self.empty(values.shape[1:], np.uint8)
        self._flat("dn_argmax", labels, values=values, labels=labels, channels=values.shape[0])
        return labels

    def threshold(self, values: Buffer, above: float) -> Buffer:
        """Launch dn_threshold."""
        expect(values, (np.float32,))
        mask = self.empty(values.shape, np.uint8)
        self._flat("dn_threshold", values, values=values, mask=mask, above=above)
        return mask

    def last_above(self, values: Buffer, above: float) -> Buffer:
        """Launch dn_last_above."""
        expect(values, (np.float32,), 4)
        counted_channels(values.shape, 255)
        labels = self.empty(values.shape[1:], np.uint8)
        how = {"channels": values.shape[0], "above": above}
        self._flat("dn_last_above", labels, values=values, labels=labels, **how)
        return labels

    def components(self, values: Buffer, label: int = 1, *, corners: bool = False) -> tuple[Buffer, int]:
        """Launch the five steps; between them the host adds up how many roots lie ahead of each segment."""
        expect(values, (np.uint8,), 3)
        sizes, count = _kji("size", values.shape), prod(values.shape)
        if count >= 2**31:
            raise ValueError(f"components of {count} voxels: less than 2^31 can be labelled")
        segments = segments_of(count)
        labels = self.empty(values.shape, np.int32)
        with (
            self._room(values.shape, np.int32) as parents,
            self._cleared((segments,), np.int32) as firsts,
        ):
            self._run("dn_components_init", values=values, parents=parents, label=label, **sizes)
            merge = "dn_components_merge_corners" if corners else "dn_components_merge"
            self._run(merge, parents=parents, **sizes)
            self._flat("dn_components_flatten", values, parents=parents, firsts=firsts, segment=SEGMENT)
            ahead = np.concatenate([[0], np.cumsum(firsts.host())]).astype(np.int32)
            with self._sent(ahead) as before:
                where = {"parents": parents, "before": before, "labels": labels}
                self._flat("dn_components_rank", values, **where, segment=SEGMENT, segments=segments)
            self._flat("dn_components_relabel", values, parents=parents, labels=labels)
        return labels, int(ahead[-1])

    def sizes(self, labels: Buffer, count: int) -> NDArray[np.int64]:
        """Launch dn_sizes."""
        expect(labels, (np.int32,), 3)
        with self._cleared((count + 1,), np.int32) as sizes:
            runs = -(-prod(labels.shape) // RUN)
            self._flat("dn_sizes", labels, labels=labels, sizes=sizes, most=count, run=RUN, runs=runs)
            return sizes.host().astype(np.int64)

    def chosen(self, labels: Buffer, wanted: NDArray[np.bool_]) -> Buffer:
        """Launch dn_chosen."""
        expect(labels, (np.int32,), 3)
        mask = self.empty(labels.shape, np.uint8)
        with self._sent(wanted.astype(np.uint8)) as table:
            self._flat("dn_chosen", labels, labels=labels, wanted=table, mask=mask, most=len(wanted) - 1)
        return mask

    def extent(self, values: Buffer, label: int = 1) -> BoxKji | None:
        """Launch dn_extent and read its flags."""
        expect(values, (np.uint8,), 3)
        with self._cleared((sum(values.shape),), np.uint8) as flags:
            self._run("dn_extent", values=values, flags=flags, label=label, **_kji("size", values.shape))
            return box_of_flags(flags.host(), _shape3(values))

    def pack_bits(self, values: Buffer, box: BoxKji, label: int = 1) -> Buffer:
        """Launch dn_pack_bits."""
        expect(values, (np.uint8,), 3)
        within(values.shape, box)
        bits = self.empty((-(-prod(size_of(box)) // 8),), np.uint8)
        plane = {"size_j": values.shape[1], "size_i": values.shape[2]}
        self._flat("dn_pack_bits", bits, values=values, bits=bits, label=label, **plane, **_boxed(box))
        return bits

    def _seen(self, values: Buffer, view: View) -> Buffer:
        out = self.empty(view.shape, values.dtype)
        k, j, i = view.steps
        steps = {"first": view.first, "step_k": k, "step_j": j, "step_i": i}
        kernel = f"dn_turn_{_KINDS[values.dtype.name]}"
        self._run(kernel, values=values, out=out, **steps, **_kji("size", view.shape))
        return out

    def _flat(self, kernel: str, over: Buffer, **values: float | Buffer) -> None:
        """Launch a kernel over the elements of a buffer."""
        self._run(kernel, **values, count=prod(over.shape))

    def _run(self, kernel: str, **values: float | Buffer) -> None:
        launch = LAUNCHES[kernel]
        plain = {
            name: value if isinstance(value, int | float) else self._machine.address(value)
            for name, value in values.items()
        }
        self._machine.launch(launch, launch.grid(plain), launch.in_order(plain))

    @contextmanager
    def _sent(self, array: NDArray[Any]) -> Iterator[Buffer]:
        """Bring a small array up for as long as a launch needs it."""
        buffer = self._machine.upload(array)
        try:
            yield buffer
        finally:
            buffer.close()

    @contextmanager
    def _room(self, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[Buffer]:
        buffer = self._machine.empty(shape, dtype)
        try:
            yield buffer
        finally:
            buffer.close()

    @contextmanager
    def _cleared(self, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[Buffer]:
        buffer = self._machine.zeros(shape, dtype)
        try:
            yield buffer
        finally:
            buffer.close()


_TURNED = (np.uint8, np.int16, np.uint16, np.float32)


def _kji(name: str, sizes: list[int] | tuple[int, ...]) -> dict[str, int]:
    return {f"{name}_{axis}": size for axis, size in zip("kji", sizes, strict=True)}


def _boxed(box: BoxKji) -> dict[str, int]:
    return {**_kji("low", [start for start, _ in box]), **_kji("box", size_of(box))}


def _blending(sums: Buffer, patches: Buffer, starts: Int32, window: Shape3) -> dict[str, int]:
    """Return the sizes that blending goes by; ValueError where the patches do not go with the sums."""
    box = covered(sums, patches, starts, window)
    counts = {"windows": len(starts), "channels": sums.shape[0]}
    return {**counts, **_kji("size", sums.shape[1:]), **_kji("window", window), **_boxed(box)}


def _between(source: tuple[int, ...], shape: Shape3, matrix: NDArray[np.float64]) -> dict[str, float]:
    """Return the sizes of both grids, and the matrix between them."""
    affine_of(matrix)
    entries = {
        f"matrix_{row}{column}": float(value)
        for row, line in zip("kji", matrix, strict=True)
        for column, value in zip("kji1", line, strict=True)
    }
    return {**_kji("source", source), **_kji("size", shape), **entries}


def _shape3(values: Buffer) -> Shape3:
    k, j, i = values.shape
    return k, j, i
