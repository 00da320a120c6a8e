"""The node's own arithmetic on voxels, wherever they lie: what a device offers to what prepares and reads.

`HostKernels` does it with numpy and scipy and is the reference; `LaunchedKernels` does it with the kernels
of kernels.cu on a machine that launches them. A volume goes up
once, stays there through all of these, and comes down as packed bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from dicomnode.device.buffer import Buffer
from dicomnode.device.cpu import Device

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Shape3 = tuple[int, int, int]  # k, j, i
BoxKji = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]  # half-open (start, stop) for k, j, i

FACE: Final = 0.501  # voxels from a centre to its outer face, and a little more: indices are rounded


class Kernels(Protocol):
    """Arithmetic on buffers of one device.

    Volumes are (k, j, i) in C order: i lies side by side. A call may return before the device has done its
    work; `Buffer.host()` and everything that returns numbers wait for it. Buffers that a call takes are
    not changed, but for the sums of `blend`; those that it returns are the caller's to close.
    ValueError or TypeError: a shape or type that the caller should not have given.
    """

    @property
    def device(self) -> Device:
        """The device that it happens on."""

    def upload(self, array: ArrayLike) -> Buffer:
        """Bring an array to the device."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """Return room for an array; what lies in it is not said."""

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
        """Return an array of zeros."""

    def part(self, values: Buffer, index: int) -> Buffer:
        """Return entry `index` along the first axis, as a view: it ends with the buffer it is a part of."""

    def reshaped(self, values: Buffer, shape: tuple[int, ...]) -> Buffer:
        """Return the same buffer under other lengths: closing one of the two closes both."""

    def join(self, parts: Sequence[Buffer]) -> Buffer:
        """Return a copy of the parts one after the other along their first axis; they are of one type."""

    def scale_clip(
        self, values: Buffer, *, slope: float = 1.0, intercept: float = 0.0, low: float, high: float
    ) -> Buffer:
        """Return values · slope + intercept as float32, limited to `low` … `high`; NaN stays NaN.

        values: int16, uint16 or float32 of any shape.
        """

    def z_score(self, values: Buffer, *, mean: float, std: float, only_nonzero: bool = False) -> Buffer:
        """Return (values − mean) / std for float32 of any shape; only_nonzero: what is 0 stays 0."""

    def turn(self, values: Buffer, axes: Shape3, flip: tuple[bool, bool, bool]) -> Buffer:
        """Return the volume with its axes in another order, then turned round: a copy, no value changes.

        axes: axis a of the result is axis axes[a] of `values`. flip: by axis of the result.
        values: uint8, int16, uint16 or float32.
        """

    def crop(self, values: Buffer, box: BoxKji) -> Buffer:
        """Return a copy of `box`, which lies within the volume; types as for `turn`."""

    def axis_map(self, values: Buffer, weights: AxisWeights, axis: int) -> Buffer:
        """Apply a linear map along one axis of a float32 volume; sums run in the order of the weights."""

    def trilinear(
        self, values: Buffer, matrix: NDArray[np.float64], shape: Shape3, outside: float | None = None
    ) -> Buffer:
        """Interpolate a float32 volume at index matrix · (k, j, i, 1) for each voxel of `shape`.

        matrix: (3, 4), index (k, j, i) of the result → index (k, j, i) of `values`. outside: the value
        beyond the outer faces of the edge voxels; None: the edge is held. Between centre and outer face of
        an edge voxel its value is held.
        """

    def nearest(self, values: Buffer, matrix: NDArray[np.float64], shape: Shape3, outside: int = 0) -> Buffer:
        """Take the nearest voxel of uint8 labels, as `trilinear` interpolates; half way the lower index."""

    def statistics(self, values: Buffer, *, only_nonzero: bool = False) -> Statistics:
        """Return count, sums and extremes of float32 values; added up in float64 in a fixed order."""

    def gather(self, values: Buffer, starts: Int32, window: Shape3, outside: float = 0.0) -> Buffer:
        """Cut windows out of a float32 volume: (n, 1, window) at `starts` (n, 3); `outside` where it ends.

        One window may be larger than the volume: that is how a volume is padded.
        """

    def blend(self, sums: Buffer, patches: Buffer, starts: Int32, weights: WindowWeights) -> None:
        """Add patches · weights to `sums`, in place, in the order of the patches.

        sums: (channels, k, j, i) float32, got from `zeros`. patches: (n, channels, k, j, i) float32, which
        lie at `starts` (n, 3) wholly within the sums.
        """

    def blend_within(self, sums: Buffer, patches: Buffer, starts: Int32, weights: Buffer) -> None:
        """Do the same with the same weights (window) for every window, of which none is a product."""

    def normalise(self, sums: Buffer, starts_kji: tuple[Int32, Int32, Int32], weights: Buffer) -> None:
        """Divide what `blend_within` has added up by the weights of all windows at a voxel, in place.

        The windows begin at all combinations of `starts_kji` (n,), and cover the sums; they may reach beyond
        them. Weights are added up in this order, along i first.
        """

    def softmax(self, values: Buffer) -> Buffer:
        """Return the softmax of float32 (c, k, j, i) over its channels, of the same shape."""

    def sigmoid(self, values: Buffer) -> Buffer:
        """Return 1 / (1 + exp(−value)) of float32 values of any shape."""

    def argmax(self, values: Buffer) -> Buffer:
        """Return the channel with the largest value, the first of equal ones: (c, k, j, i) → uint8 (k, j, i).

        At most 256 channels. The values must be finite: ask `statistics` first.
        """

    def threshold(self, values: Buffer, above: float) -> Buffer:
        """Return uint8 1 where a float32 value is greater than `above`, else 0; NaN is not."""

    def last_above(self, values: Buffer, above: float) -> Buffer:
        """Return uint8 1 + the last channel whose value is greater than `above`, 0 where none is.

        values: float32 (c, k, j, i) of at most 255 channels. NaN is not greater.
        """

    def components(self, values: Buffer, label: int = 1, *, corners: bool = False) -> tuple[Buffer, int]:
        """Number what hangs together by faces where uint8 `values` are `label`; int32, and how many.

        corners: by edges and corners too. Components are numbered from 1 in the order of their first voxels,
        as scipy.ndimage.label does.
        """

    def sizes(self, labels: Buffer, count: int) -> NDArray[np.int64]:
        """Return the voxels of each component, from index 1; index 0 is 0.

        labels, count: as `components` returned them; a label that is not from 1 to `count` counts nowhere.
        """

    def chosen(self, labels: Buffer, wanted: NDArray[np.bool_]) -> Buffer:
        """Return uint8 1 where the label is wanted, else 0.

        labels: as `components` returned them. wanted: (count + 1), an entry a label; that of 0 is ignored,
        and a label without one is not wanted.
        """

    def extent(self, values: Buffer, label: int = 1) -> BoxKji | None:
        """Return the smallest box that holds all uint8 `values` of `label`; None where there is none."""

    def pack_bits(self, values: Buffer, box: BoxKji, label: int = 1) -> Buffer:
        """Pack where uint8 `values` are `label` within `box`: uint8, C order, first voxel in the highest bit.

        The bits and the box are those of `values.Mask`.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AxisWeights:
    """A linear map along one axis: a sparse matrix by rows (CSR), one row a voxel of the result.

    row_starts: (rows + 1) int32. columns: int32, weights: float32, row after row; added up in this order.
    length: voxels along the axis of what it is applied to.
    """

    row_starts: Int32
    columns: Int32
    weights: Float32
    length: int

    def __post_init__(self) -> None:
        indices = (self.row_starts.dtype, self.columns.dtype)
        if any(dtype != np.dtype(np.int32) for dtype in indices) or self.weights.dtype != np.dtype(
            np.float32
        ):
            raise ValueError("AxisWeights are int32, int32 and float32")
        ends = self.row_starts
        if ends.ndim != 1 or ends.size < 2 or ends[0] != 0 or (np.diff(ends) < 0).any():
            raise ValueError("AxisWeights.row_starts must begin at 0 and not fall")
        if self.columns.shape != (int(ends[-1]),) or self.weights.shape != self.columns.shape:
            raise ValueError(
                f"AxisWeights need {int(ends[-1])} columns and weights, got {self.columns.shape}"
            )
        if self.columns.size and not 0 <= int(self.columns.min()) <= int(self.columns.max()) < self.length:
            raise ValueError(f"AxisWeights.columns must lie within an axis of {self.length}")
        for array in (self.row_starts, self.columns, self.weights):
            array.setflags(write=False)

    @property
    def rows(self) -> int:
        """Voxels along the axis afterwards."""
        return self.row_starts.size - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowWeights:
    """Weights of the windows of one launch: their product along the three axes is that of a voxel.

    along_k, along_j, along_i: (n, length of the window along that axis) float32. They differ from window to
    window where they are made to sum to one over all windows.
    """

    along_k: Float32
    along_j: Float32
    along_i: Float32

    def __post_init__(self) -> None:
        arrays = (self.along_k, self.along_j, self.along_i)
        if any(array.ndim != 2 or array.dtype != np.float32 for array in arrays):
            raise ValueError("WindowWeights must be (n, length) float32")
        if len({len(array) for array in arrays}) != 1:
            raise ValueError("WindowWeights must be of equally many windows along each axis")
        for array in arrays:
            array.setflags(write=False)

    @property
    def window(self) -> Shape3:
        """Lengths of a window."""
        return self.along_k.shape[1], self.along_j.shape[1], self.along_i.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Of voxels: how many they are, their sum, sum of squares, smallest and largest.

    A sum that is not finite says that a value is not. No voxels: sums 0, extremes infinite and reversed.
    """

    count: int
    total: float
    squares: float
    smallest: float
    largest: float

    @property
    def finite(self) -> bool:
        """Tell whether every value is a number."""
        return math.isfinite(self.total) and math.isfinite(self.squares)

    @property
    def mean(self) -> float:
        """The mean; 0 where there are no voxels."""
        return self.total / self.count if self.count else 0.0

    @property
    def std(self) -> float:
        """The standard deviation of all voxels (numpy's, ddof 0); 0 where there are none."""
        return math.sqrt(max(self.squares / self.count - self.mean**2, 0.0)) if self.count else 0.0


def reduced(rows: NDArray[np.float64]) -> Statistics:
    """Add up the rows that dn_statistics_reduce leaves: (5, rows) of count, sum, squares, min and max."""
    count, total, squares = (_sum(row) for row in rows[:3])
    return Statistics(
        count=int(count),
        total=total,
        squares=squares,
        smallest=float(rows[3].min()),
        largest=float(rows[4].max()),
    )


def _sum(row: Iterable[Any]) -> float:
    total = 0.0
    for value in row:  # one after the other: no order that a library might choose
        total += float(value)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A volume seen in another order of its axes, or a part of it: element first + Σ index · step.

    first, steps: in elements of the source. shape: of what is seen.
    """

    first: int
    steps: tuple[int, int, int]
    shape: Shape3

    @classmethod
    def turned(cls, shape: Shape3, axes: Shape3, flip: tuple[bool, bool, bool]) -> View:
        """Axis a of what is seen is axis axes[a] of the source, then turned round where flip[a]."""
        if sorted(axes) != [0, 1, 2]:
            raise ValueError(f"axes must be an order of 0, 1 and 2, got {axes}")
        strides = (shape[1] * shape[2], shape[2], 1)
        first = sum((shape[axis] - 1) * strides[axis] for axis, turn in zip(axes, flip, strict=True) if turn)
        k, j, i = (strides[axis] * (-1 if turn else 1) for axis, turn in zip(axes, flip, strict=True))
        return cls(first=first, steps=(k, j, i), shape=(shape[axes[0]], shape[axes[1]], shape[axes[2]]))

    @classmethod
    def cropped(cls, shape: Shape3, box: BoxKji) -> View:
        """What lies within `box`, which must hold a voxel and end within `shape`."""
        within(shape, box)
        strides = (shape[1] * shape[2], shape[2], 1)
        first = sum(start * stride for (start, _), stride in zip(box, strides, strict=True))
        return cls(first=first, steps=strides, shape=size_of(box))


def expect(values: Buffer, dtypes: tuple[type[np.generic], ...], axes: int | None = None) -> Buffer:
    """Return the buffer if it has one of these types (TypeError) and so many axes (ValueError)."""
    if values.dtype not in [np.dtype(one) for one in dtypes]:
        raise TypeError(f"this takes {' or '.join(one.__name__ for one in dtypes)}, not {values.dtype}")
    if axes is not None and len(values.shape) != axes:
        raise ValueError(f"this takes {axes} axes, not the shape {values.shape}")
    return values


def affine_of(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split a finite (3, 4) matrix into its linear part (3, 3) and its offset (3); else ValueError."""
    if matrix.shape != (3, 4) or not np.isfinite(matrix).all():
        raise ValueError(f"the matrix must be (3, 4) and finite, got {matrix.tolist()}")
    return matrix[:, :3].astype(np.float64), matrix[:, 3].astype(np.float64)


def size_of(box: BoxKji) -> Shape3:
    """Return the lengths of a box."""
    (k0, k1), (j0, j1), (i0, i1) = box
    return k1 - k0, j1 - j0, i1 - i0


def within(shape: tuple[int, ...], box: BoxKji) -> None:
    """Refuse a box that is empty or does not lie within a volume of `shape` (ValueError)."""
    if any(not 0 <= start < stop <= size for (start, stop), size in zip(box, shape, strict=True)):
        raise ValueError(f"the box {box} does not lie within {tuple(shape)}")


def box_of_flags(flags: NDArray[np.uint8], shape: Shape3) -> BoxKji | None:
    """Read the flags that dn_extent leaves, one for each k, then j, then i that has a voxel set."""
    parts = []
    for axis in np.split(flags, np.cumsum(shape)[:2]):
        where = np.flatnonzero(axis)
        if not where.size:
            return None
        parts.append((int(where[0]), int(where[-1]) + 1))
    return parts[0], parts[1], parts[2]


def window_starts(starts: NDArray[Any]) -> Int32:
    """Return where windows begin as (n, 3) int32, n at least 1; ValueError for another shape."""
    if starts.ndim != 2 or starts.shape[1] != 3 or not len(starts):
        raise ValueError(f"starts must be (n, 3), got {starts.shape}")
    return np.ascontiguousarray(starts, dtype=np.int32)


def counted_channels(shape: tuple[int, ...], most: int) -> None:
    """Refuse more channels than labels can tell apart (ValueError)."""
    if shape[0] > most:
        raise ValueError(f"labels are uint8: at most {most} channels, got {shape[0]}")


def joined(parts: Sequence[Buffer]) -> Sequence[Buffer]:
    """Return parts that can be joined along their first axis; ValueError where they cannot."""
    kinds = {(one.dtype, one.shape[1:]) for one in parts}
    if len(kinds) != 1 or any(not one.shape for one in parts):
        raise ValueError(
            f"parts to be joined are alike but for their first axis, got {sorted(map(str, kinds))}"
        )
    return parts


def covered(sums: Buffer, patches: Buffer, starts: Int32, window: tuple[int, ...]) -> BoxKji:
    """Return the box of the sums that patches at `starts` cover; ValueError where they do not go with it."""
    wanted = (len(starts), sums.shape[0], *window)
    if patches.shape != wanted:
        raise ValueError(f"patches of {patches.shape} do not go with {wanted}")
    _, k, j, i = sums.shape
    return blended_box(starts, (window[0], window[1], window[2]), (k, j, i))


def blended_box(starts: Int32, window: Shape3, shape: Shape3) -> BoxKji:
    """Return the box that windows at `starts` cover; ValueError if one does not lie within `shape`."""
    low, high = starts.min(axis=0), starts.max(axis=0) + np.array(window)
    if (low < 0).any() or (high > np.array(shape)).any():
        raise ValueError(f"windows of {window} from {low.tolist()} to {high.tolist()} leave {shape}")
    (k0, j0, i0), (k1, j1, i1) = low.tolist(), high.tolist()
    return (k0, k1), (j0, j1), (i0, i1)
