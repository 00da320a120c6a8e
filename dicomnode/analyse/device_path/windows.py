"""A network over its box in windows, on the device: gathered, run, blended and handed on without coming down.

The same windows, weights and order of sums as `analyse.window`, so the same numbers. By slabs, sums are kept
of the planes alone that windows still add to: what is finished is handed on and let go of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, product
from typing import Final

import numpy as np

from dicomnode.analyse.blend import Tiles, cells_of
from dicomnode.analyse.device_path.feed import Tall, padded
from dicomnode.analyse.device_path.held import Held
from dicomnode.analyse.device_path.moves import Corner, add, box_out_of, flipped, planes_of
from dicomnode.analyse.grids import Float32
from dicomnode.analyse.tiling import starts_along
from dicomnode.analyse.window import STAGE
from dicomnode.device import Buffer, WindowWeights
from dicomnode.device.kernels import Kernels
from dicomnode.engine import Window
from dicomnode.values import Progress, no_progress

InferOnDevice = Callable[[Mapping[str, Buffer]], dict[str, Buffer]]
"""Run the network on (n, c, k, j, i) by name; what lies on a grid comes back as (n, channels, k/s, j/s, i/s),
float32, the caller's to close."""

Take = Callable[[str, int, Buffer], None]
"""Is given finished cells of an output: its name, the first plane, and (channels, planes, j, i), to close."""

_LIMITLESS: Final = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How windows are run: so many at a time; by slabs; starts are multiples of `multiple` by "even"."""

    batch: int = 1
    by_slabs: bool = False
    multiple: int = 1
    progress: Progress = no_progress


def infer_windows_on_device(
    kernels: Kernels,
    infer: InferOnDevice,
    talls: Mapping[str, Tall],
    window: Window,
    way: Way,
    take: Take,
) -> None:
    """Run `infer` over inputs of one size and hand the blended outputs on: see `analyse.window`.

    Outputs are handed on whole, or by slabs in the order of their planes. Raises OutputShapeError.
    """
    with Held() as held:
        shape = next(iter(talls.values())).shape
        size = window.size_kji or shape
        low: Corner = (0, 0, 0)
        if window.rule != "even":
            talls, low = padded(kernels, held, talls, size, window)
        wide = next(iter(talls.values())).shape
        starts = [starts_along(*axis, window, way.multiple) for axis in zip(wide, size, strict=True)]
        corners = [(k, j, i) for k, j, i in product(*starts)]
        run = mirrored_on_device(kernels, infer, window.mirror)
        way.progress(STAGE, 0, len(corners))
        done = 0
        with _Sums(kernels, Tiles(wide, size, starts, window), (low, shape), take) as sums:
            for row in _rows(corners, by_slabs=way.by_slabs):
                if way.by_slabs:
                    sums.hand_on(row[0][0])
                for first in range(0, len(row), way.batch):
                    some = row[first : first + way.batch]
                    _one_batch(kernels, run, talls, (some, size), sums)
                    done += len(some)
                    way.progress(STAGE, done, len(corners))
            sums.hand_on(wide[0])


def _rows(corners: Sequence[Corner], *, by_slabs: bool) -> Iterator[list[Corner]]:
    """Give the windows that begin at the same plane together; all of them where that does not matter."""
    for _, row in groupby(corners, key=lambda corner: corner[0] if by_slabs else 0):
        yield list(row)


def _one_batch(
    kernels: Kernels,
    run: InferOnDevice,
    talls: Mapping[str, Tall],
    windows: tuple[Sequence[Corner], Corner],
    sums: _Sums,
) -> None:
    corners, size = windows
    with Held() as batch:
        given = {name: batch.keep(tall.windows(kernels, corners, size)) for name, tall in talls.items()}
        outputs = {name: batch.keep(output) for name, output in run(given).items()}
        for name, output in outputs.items():
            if sums.add(name, output, corners):
                batch.release(output)


def mirrored_on_device(kernels: Kernels, infer: InferOnDevice, axes: Sequence[str]) -> InferOnDevice:
    """Return `infer` that also sees its input flipped along each combination of `axes`, and gives the mean.

    All outputs are (n, channels, k, j, i), as windows need them.
    """
    if not axes:
        return infer
    turns = [some for n in range(len(axes) + 1) for some in combinations(axes, n)]

    def turned(held: Held, values: Buffer, turn: Sequence[str]) -> Buffer:
        for axis in turn:
            values = held.keep(flipped(kernels, values, axis))
        return values

    def mean(tensors: Mapping[str, Buffer]) -> dict[str, Buffer]:
        with Held() as all_turns:
            sums: dict[str, Buffer] = {}
            for turn in turns:
                with Held() as held:
                    given = {name: turned(held, tensor, turn) for name, tensor in tensors.items()}
                    found = {name: held.keep(output) for name, output in infer(given).items()}
                    for name, output in found.items():
                        flat = (output.shape[0] * output.shape[1], *output.shape[2:])
                        if name not in sums:
                            sums[name] = all_turns.keep(kernels.zeros(flat, np.float32))
                        add(kernels, sums[name], kernels.reshaped(turned(held, output, turn), flat))
            # 2, 4 or 8 of them: exact
            part = 1.0 / len(turns)
            means: dict[str, Buffer] = {}
            for name, total in sums.items():
                n = next(iter(tensors.values())).shape[0]
                scaled = kernels.scale_clip(total, slope=part, low=-_LIMITLESS, high=_LIMITLESS)
                means[name] = kernels.reshaped(scaled, (n, total.shape[0] // n, *total.shape[1:]))
            return means

    return mean


class _Sums(Held):
    """The sums of the outputs of windows, by name: all planes, or those alone that are not finished."""

    def __init__(self, kernels: Kernels, tiles: Tiles, kept: tuple[Corner, Corner], take: Take) -> None:
        """Kept: the first voxel and the shape of what is handed on of the box; the rest was padded."""
        super().__init__()
        self._kernels, self._tiles, self._take = kernels, tiles, take
        self._low, self._shape = kept
        self._single = tiles.single
        self._strides: dict[str, Corner] = {}
        self._along: dict[tuple[int, int], dict[int, Float32]] = {}
        self._within: dict[Corner, Buffer] = {}
        self._sums: dict[str, tuple[int, Buffer]] = {}  # first plane, and (channels, planes, j, i)
        self._first = 0  # voxel along k where the planes that are not finished begin
        self._by_slabs = False

    def add(self, name: str, output: Buffer, corners: Sequence[Corner]) -> bool:
        """Add an output (n, channels, k/s, j/s, i/s) of windows in their order; True: it was taken over."""
        if name not in self._strides:
            self._strides[name] = self._tiles.strides(name, output.shape, len(corners))
        k, j, i = strides = self._strides[name]
        channels = output.shape[1]
        if self._single:
            self._sums[name] = (0, self.keep(self._kernels.reshaped(output, output.shape[1:])))
            return True
        if name not in self._sums:
            depth = self._tiles.size[0] if self._by_slabs else self._tiles.shape[0]
            cells = (depth // k, self._tiles.shape[1] // j, self._tiles.shape[2] // i)
            made = self.keep(self._kernels.zeros((channels, *cells), np.float32))
            self._sums[name] = (self._first // k, made)
        begin, sums = self._sums[name]
        starts = np.array([[a // k - begin, b // j, c // i] for a, b, c in corners], np.int32)
        if self._tiles.window.rule == "even":
            self._kernels.blend(sums, output, starts, self._weights(strides, corners))
        else:
            self._kernels.blend_within(sums, output, starts, self._one_window(strides))
        return False

    def hand_on(self, stop: int) -> None:
        """Hand on what no window that begins at voxel `stop` along k or later adds to."""
        last = stop >= self._tiles.shape[0]
        for name in list(self._sums):
            begin, sums = self._sums.pop(name)
            strides = self._strides[name]
            until = begin + sums.shape[1] if last else stop // strides[0]
            rest = self._rest(sums, until - begin, strides) if not last else None
            if self._tiles.window.rule != "even" and not self._single:
                self._normalise(sums, begin, strides)
            self._hand_on(name, (begin, until), sums)
            if rest is not None:
                self._sums[name] = (until, rest)
        self._by_slabs = not last
        self._first = stop

    def _hand_on(self, name: str, planes: tuple[int, int], sums: Buffer) -> None:
        """Cut off what was padded, and the planes that are not finished."""
        begin, until = planes
        parts = map(cells_of, self._low, self._shape, self._strides[name])
        k, j, i = ((part.start, part.stop) for part in parts)
        low, high = max(k[0], begin), min(k[1], until)
        box = [(low - begin, high - begin), j, i]
        if low >= high:
            self.drop(sums)
        elif box == [(0, length) for length in sums.shape[1:]]:
            self._take(name, low - k[0], self.release(sums))
        else:
            finished = box_out_of(self._kernels, sums, box)
            self.drop(sums)
            self._take(name, low - k[0], finished)

    def _rest(self, sums: Buffer, done: int, strides: Corner) -> Buffer:
        """Return the sums from plane `done` on, with room behind them for the next row of windows."""
        channels, planes, j, i = sums.shape
        size = self._tiles.size[0] // strides[0]
        made = self.keep(self._kernels.zeros((channels, size, j, i), np.float32))
        if done < planes:
            some = planes_of(self._kernels, sums, done, planes)
            add(self._kernels, made, some)
            some.close()
        return made

    def _normalise(self, sums: Buffer, begin: int, strides: Corner) -> None:
        starts = [
            np.array([start // stride for start in axis], np.int32)
            for axis, stride in zip(self._tiles.starts, strides, strict=True)
        ]
        along = (starts[0] - np.int32(begin), starts[1], starts[2])
        self._kernels.normalise(sums, along, self._one_window(strides))

    def _weights(self, strides: Corner, corners: Sequence[Corner]) -> WindowWeights:
        rows = []
        for axis, stride in enumerate(strides):
            if (axis, stride) not in self._along:
                self._along[axis, stride] = self._tiles.along(axis, stride)
            of_start = self._along[axis, stride]
            rows.append(np.stack([of_start[corner[axis]] for corner in corners]))
        return WindowWeights(along_k=rows[0], along_j=rows[1], along_i=rows[2])

    def _one_window(self, strides: Corner) -> Buffer:
        if strides not in self._within:
            self._within[strides] = self.keep(self._kernels.upload(self._tiles.within(strides)))
        return self._within[strides]
