"""A network over a box that is too large for one pass: windows that overlap, blended with weights.

The weights of all windows at a voxel sum to one, axis by axis, so nothing is divided at the end and no
array of weights is kept: memory is that of the outputs and of one window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.engine import Window
from dicomnode.values import Progress, no_progress

STAGE: Final = "inference window"
_SIGMA_PART: Final = 1.0 / 8.0  # of a window's length: 3e-4 of the weight is left at its faces

Infer = Callable[[Float32], Mapping[str, NDArray[np.generic]]]
"""Run the network on (1, 1, k, j, i); each output is (1, channels, k/n, j/n, i/n) with a whole n."""


class OutputShapeError(ValueError):
    """An output of the network does not lie on a grid that goes with its input."""


def infer_windows(
    infer: Infer, box: Float32, window: Window, multiple: int = 1, progress: Progress = no_progress
) -> dict[str, Float32]:
    """Run `infer` over `box` (k, j, i) and return each output as (channels, k/n, j/n, i/n) float32.

    window.whole: one pass over all of it. Else windows begin at multiples of `multiple`; the box must be
    as large as one, and longer by a multiple (ValueError). Raises OutputShapeError.
    """
    size = box.shape if window.size_kji is None else window.size_kji
    starts = [
        starts_of(length, one, window.overlap, multiple) for length, one in zip(box.shape, size, strict=True)
    ]
    total = len(starts[0]) * len(starts[1]) * len(starts[2])
    blend = _Blend(box.shape, (size[0], size[1], size[2]), starts, gaussian=window.blend == "gaussian")
    progress(STAGE, 0, total)
    for done, corner in enumerate(product(*starts), start=1):
        part = tuple(slice(start, start + one) for start, one in zip(corner, size, strict=True))
        outputs = infer(np.ascontiguousarray(box[part])[np.newaxis, np.newaxis])
        for name, output in outputs.items():
            blend.add(name, output, corner)
        progress(STAGE, done, total)
    return blend.outputs


def starts_of(length: int, window: int, overlap: float, multiple: int = 1) -> tuple[int, ...]:
    """Return where windows begin along an axis: the first at 0, the last ends at `length`, evenly between.

    Neighbours overlap by at least `overlap` of a window, rounded to `multiple`. ValueError if the axis is
    shorter than a window or the rest is no multiple.
    """
    rest = length - window
    if rest < 0 or rest % multiple:
        raise ValueError(f"windows of {window} at multiples of {multiple} do not fit an axis of {length}")
    step = max(multiple, int(window * (1.0 - overlap)) // multiple * multiple)
    count = -(-rest // step)
    return (0, *(index * rest // count // multiple * multiple for index in range(1, count + 1)))


def weights_of(window: int, *, gaussian: bool) -> NDArray[np.float64]:
    """Return the weights along one axis of a window, before they are made to sum to one."""
    if not gaussian:
        return np.ones(window)
    at = np.arange(window) - (window - 1) / 2.0
    weights: NDArray[np.float64] = np.exp(-0.5 * (at / (_SIGMA_PART * window)) ** 2)
    return weights


class _Blend:
    """Sums of the windows' outputs, each weighted so that the weights at a voxel sum to one."""

    def __init__(
        self,
        shape: tuple[int, ...],
        window: tuple[int, int, int],
        starts: list[tuple[int, ...]],
        *,
        gaussian: bool,
    ) -> None:
        self.outputs: dict[str, Float32] = {}
        self._shape, self._window, self._starts, self._gaussian = shape, window, starts, gaussian
        self._single = all(len(axis) == 1 for axis in starts)
        self._weights: dict[tuple[int, int], dict[int, Float32]] = {}

    def add(self, name: str, output: NDArray[np.generic], corner: tuple[int, ...]) -> None:
        strides = self._strides(name, output)
        values = output[0].astype(np.float32, copy=False)
        if self._single:
            self.outputs[name] = values
            return
        if name not in self.outputs:
            sizes = [length // stride for length, stride in zip(self._shape, strides, strict=True)]
            self.outputs[name] = np.zeros((values.shape[0], *sizes), dtype=np.float32)
        along_k, along_j, along_i = self._along(strides, corner)
        weights = along_k[:, None, None] * along_j[:, None] * along_i
        begin = [start // stride for start, stride in zip(corner, strides, strict=True)]
        part = tuple(slice(b, b + n) for b, n in zip(begin, weights.shape, strict=True))
        self.outputs[name][(slice(None), *part)] += values * weights

    def _strides(self, name: str, output: NDArray[np.generic]) -> tuple[int, ...]:
        if output.ndim != 5 or output.shape[0] != 1 or min(output.shape) < 1:
            raise OutputShapeError(f"output {name} has the shape {output.shape}, not (1, channels, k, j, i)")
        for length, size in zip(self._window, output.shape[2:], strict=True):
            if length % size:
                raise OutputShapeError(f"output {name} has {size} cells for {length} voxels")
        strides = tuple(n // size for n, size in zip(self._window, output.shape[2:], strict=True))
        for axis, stride in zip(self._starts, strides, strict=True):
            if any(start % stride for start in axis):
                raise OutputShapeError(
                    f"output {name} has one cell for {stride} voxels, and windows begin at {list(axis)}"
                )
        return strides

    def _along(self, strides: tuple[int, ...], corner: tuple[int, ...]) -> Iterator[Float32]:
        for axis, (stride, start) in enumerate(zip(strides, corner, strict=True)):
            key = (axis, stride)
            if key not in self._weights:
                self._weights[key] = self._normalised(axis, stride)
            yield self._weights[key][start]

    def _normalised(self, axis: int, stride: int) -> dict[int, Float32]:
        count = self._window[axis] // stride
        one = weights_of(count, gaussian=self._gaussian)
        total = np.zeros(self._shape[axis] // stride)
        for start in self._starts[axis]:
            total[start // stride : start // stride + count] += one
        return {
            start: (one / total[start // stride : start // stride + count]).astype(np.float32)
            for start in self._starts[axis]
        }
