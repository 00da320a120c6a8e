"""Sums of the windows' outputs, each weighted, on a grid of as many cells as an output has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.parallel import each
from dicomnode.analyse.tiling import weights_along, weights_within
from dicomnode.engine import Window

Corner = tuple[int, int, int]

_PLANES: Final = 4  # that a thread blends at a time: few enough to stay in its cache


class OutputShapeError(ValueError):
    """An output of the network does not lie on a grid that goes with its input."""


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Windows over a box, and how their outputs weigh.

    shape: of the box. size: of a window. starts: where windows begin along k, j and i.
    """

    shape: Corner
    size: Corner
    starts: Sequence[Sequence[int]]
    window: Window

    @property
    def single(self) -> bool:
        """Whether one window sees the whole box: then nothing is weighed."""
        return all(len(axis) == 1 for axis in self.starts)

    def strides(self, name: str, shape: Sequence[int], count: int) -> Corner:
        """Return how many voxels a cell of an output covers along k, j and i.

        shape: of the output of `count` windows. Raises OutputShapeError where it does not go with them.
        """
        if len(shape) != 5 or shape[0] != count or min(shape) < 1:
            raise OutputShapeError(
                f"output {name} has the shape {tuple(shape)}, not ({count}, channels, k, j, i)"
            )
        for length, cells in zip(self.size, shape[2:], strict=True):
            if length % cells:
                raise OutputShapeError(f"output {name} has {cells} cells for {length} voxels")
        k, j, i = (n // cells for n, cells in zip(self.size, shape[2:], strict=True))
        for axis, stride in zip(self.starts, (k, j, i), strict=True):
            if any(start % stride for start in axis):
                raise OutputShapeError(
                    f"output {name} has one cell for {stride} voxels, and windows begin at {list(axis)}"
                )
        return k, j, i

    def along(self, axis: int, stride: int) -> dict[int, Float32]:
        """Return the weights along an axis by the rule "even", by start: those at a cell sum to one."""
        count = self.size[axis] // stride
        one = weights_along(count, self.window)
        total = np.zeros(self.shape[axis] // stride)
        for start in self.starts[axis]:
            total[start // stride : start // stride + count] += one
        return {
            start: (one / total[start // stride : start // stride + count]).astype(np.float32)
            for start in self.starts[axis]
        }

    def within(self, strides: Corner) -> Float32:
        """Return the weights of a window (cells k, j, i) by the rules "monai" and "nnunet".

        Of a coarser output the weight of the voxel in the middle of a cell, as MONAI takes it.
        """
        k, j, i = strides
        whole = weights_within(self.size, self.window)
        return np.ascontiguousarray(whole[k // 2 :: k, j // 2 :: j, i // 2 :: i])


class Blend:
    """The outputs of a network over a box, window by window, in the order they are added."""

    def __init__(self, tiles: Tiles) -> None:
        self._tiles = tiles
        self._single = tiles.single
        self._sums: dict[str, Float32] = {}
        self._strides: dict[str, Corner] = {}
        self._along: dict[tuple[int, int], dict[int, Float32]] = {}
        self._within: dict[Corner, Float32] = {}

    def add(self, name: str, output: NDArray[np.generic], corners: Sequence[Corner]) -> None:
        """Add an output (n, channels, k/s, j/s, i/s) of the windows at `corners`; raises OutputShapeError."""
        if name not in self._strides:
            strides = self._tiles.strides(name, output.shape, len(corners))
            self._strides[name] = self._prepared(strides)
        for values, corner in zip(output.astype(np.float32, copy=False), corners, strict=True):
            if self._single:
                self._sums[name] = values
            else:
                self._add(name, values, corner)

    def finished(self, low: Corner, shape: Corner) -> dict[str, Float32]:
        """Return the blended outputs of the part of the box that begins at `low` and has `shape`."""
        result = {}
        for name, sums in self._sums.items():
            strides = self._strides[name]
            if self._tiles.window.rule != "even" and not self._single:
                self._divide(sums, strides)
            whole = shape == self._tiles.shape
            result[name] = sums if whole else sums[(slice(None), *map(cells_of, low, shape, strides))]
        return result

    def _add(self, name: str, values: Float32, corner: Corner) -> None:
        strides = self._strides[name]
        if name not in self._sums:
            cells = (length // stride for length, stride in zip(self._tiles.shape, strides, strict=True))
            self._sums[name] = np.zeros((values.shape[0], *cells), dtype=np.float32)
        begin = [start // stride for start, stride in zip(corner, strides, strict=True)]
        part = tuple(slice(b, b + n) for b, n in zip(begin, values.shape[1:], strict=True))
        sums = self._sums[name][(slice(None), *part)]

        def planes(first: int) -> None:
            some = slice(first, first + _PLANES)
            sums[:, some] += values[:, some] * self._weights(strides, corner, some)

        for _ in each(planes, range(0, values.shape[1], _PLANES)):
            pass

    def _weights(self, strides: Corner, corner: Corner, planes: slice) -> Float32:
        """Return the weights of some planes of a window."""
        if self._tiles.window.rule != "even":
            return self._within[strides][planes]
        along_k, along_j, along_i = (self._along[axis, strides[axis]][corner[axis]] for axis in range(3))
        weights: Float32 = along_k[planes, None, None] * along_j[:, None] * along_i
        return weights

    def _divide(self, sums: Float32, strides: Corner) -> None:
        """Divide by the sum of the weights that each cell was given."""
        weights = self._within[strides]
        total = np.zeros(sums.shape[1:], dtype=np.float32)
        for corner in product(*self._tiles.starts):
            begin = [start // stride for start, stride in zip(corner, strides, strict=True)]
            total[tuple(slice(b, b + n) for b, n in zip(begin, weights.shape, strict=True))] += weights

        def planes(first: int) -> None:
            sums[:, first : first + _PLANES] /= total[first : first + _PLANES]

        for _ in each(planes, range(0, len(total), _PLANES)):
            pass

    def _prepared(self, strides: Corner) -> Corner:
        """Make the weights that go with so many voxels a cell ready."""
        if self._tiles.window.rule != "even":
            self._within.setdefault(strides, self._tiles.within(strides))
            return strides
        for axis, stride in enumerate(strides):
            self._along.setdefault((axis, stride), self._tiles.along(axis, stride))
        return strides


def cells_of(low: int, length: int, stride: int) -> slice:
    """Return the cells that hold the voxels low … low + length − 1, as MONAI rounds them."""
    return slice(round(low / stride), round((low + length) / stride))
