"""A network over a box that is too large for one pass: windows that overlap, blended with weights.

Where they begin and how they weigh says `dicomnode.analyse.tiling`. By the node's own rule the weights of all
windows at a voxel sum to one, axis by axis, so nothing is divided at the end and no array of weights is kept:
memory is that of the outputs and of one window. The rules of MONAI and nnU-Net need one array more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.blend import Blend, Corner, OutputShapeError, Tiles
from dicomnode.analyse.grids import Float32
from dicomnode.analyse.tiling import starts_along
from dicomnode.engine import Window
from dicomnode.values import Progress, no_progress

__all__ = [
    "OutputShapeError",
    "infer_windows",
    "mirrored",
    "with_neighbours",
]

STAGE: Final = "inference window"
_AXES: Final = {"k": -3, "j": -2, "i": -1}

Maps = Mapping[str, NDArray[np.generic]]

Infer = Callable[[Mapping[str, Float32]], Maps]
"""Run a network on (n, c, k, j, i) by name; outputs are (n, channels, k/s, j/s, i/s) with whole numbers s."""


def infer_windows(
    infer: Infer,
    boxes: Mapping[str, Float32],
    window: Window,
    multiple: int = 1,
    progress: Progress = no_progress,
) -> dict[str, Float32]:
    """Run `infer` over `boxes` (c, k, j, i), all of one size; outputs are (channels, k/s, j/s, i/s) float32.

    window.whole: one pass over all of it. Else by its rule: "even" windows begin at multiples of `multiple`,
    and the box must be as large as one, and longer by a multiple (ValueError); "monai" and "nnunet" pad a box
    that is smaller on both sides, and cut the outputs back. Raises OutputShapeError.
    """
    shape = _shape_of(boxes)
    size = shape if window.size_kji is None else window.size_kji
    low = (0, 0, 0)
    if window.rule != "even":
        boxes, low = _padded(boxes, shape, size, window)
    wide = _shape_of(boxes)
    starts = [starts_along(*axis, window, multiple) for axis in zip(wide, size, strict=True)]
    blend = Blend(Tiles(wide, size, starts, window))
    run = mirrored(infer, window.mirror)
    corners = [(k, j, i) for k, j, i in product(*starts)]
    progress(STAGE, 0, len(corners))
    batch = window.batch or 1
    for first in range(0, len(corners), batch):
        some = corners[first : first + batch]
        outputs = run({name: _gathered(box, some, size) for name, box in boxes.items()})
        for name, output in outputs.items():
            blend.add(name, output, some)
        progress(STAGE, first + len(some), len(corners))
    return blend.finished(low, shape)


def mirrored(infer: Infer, axes: tuple[str, ...]) -> Infer:
    """Return `infer` that also sees its input flipped along each combination of `axes`, and gives the mean.

    As nnU-Net's test-time mirroring: the outputs are flipped back before they are summed. Outputs that are
    not (n, channels, k, j, i) are summed as they are.
    """
    if not axes:
        return infer
    turns = [
        tuple(_AXES[axis] for axis in some) for n in range(len(axes)) for some in combinations(axes, n + 1)
    ]

    def mean(tensors: Mapping[str, Float32]) -> Maps:
        sums = {name: np.array(output, dtype=np.float32) for name, output in infer(tensors).items()}
        for turn in turns:
            flipped = {name: np.ascontiguousarray(np.flip(tensor, turn)) for name, tensor in tensors.items()}
            for name, output in infer(flipped).items():
                values = output.astype(np.float32, copy=False)
                sums[name] += np.flip(values, turn) if values.ndim == 5 else values
        return {name: total / np.float32(len(turns) + 1) for name, total in sums.items()}

    return mean


def with_neighbours(box: Float32, slices: int) -> Float32:
    """Return (c · slices, k, j, i): beside each slice of `box` (c, k, j, i) its neighbours, as channels.

    For networks that look at a few slices and answer for the middle one; the first and last are repeated
    beyond the ends. slices: an odd number (ValueError). Channels run from the lowest slice to the highest,
    all channels of one slice together.
    """
    if slices % 2 != 1:
        raise ValueError(f"a slice has as many neighbours on either side, got {slices} slices")
    depth = box.shape[1]
    reach = slices // 2
    index = np.clip(np.arange(depth) + np.arange(-reach, reach + 1)[:, None], 0, depth - 1)
    return np.concatenate([box[:, one] for one in index])


def _shape_of(boxes: Mapping[str, Float32]) -> Corner:
    shapes = {box.shape[1:] for box in boxes.values()}
    if len(shapes) != 1 or any(box.ndim != 4 for box in boxes.values()):
        raise ValueError(
            f"boxes are (channels, k, j, i) of one size, got {[b.shape for b in boxes.values()]}"
        )
    k, j, i = shapes.pop()
    return k, j, i


def _padded(
    boxes: Mapping[str, Float32], shape: Corner, size: Corner, window: Window
) -> tuple[Mapping[str, Float32], Corner]:
    """Pad each box to the size of a window, the greater half at the end; say how much lies before it."""
    missing = [max(one - length, 0) for one, length in zip(size, shape, strict=True)]
    low = (missing[0] // 2, missing[1] // 2, missing[2] // 2)
    if not any(missing):
        return boxes, low
    width = [(0, 0), *((before, more - before) for before, more in zip(low, missing, strict=True))]
    if window.pad == "constant":
        value = np.float32(window.pad_value)
        return {name: np.pad(box, width, constant_values=value) for name, box in boxes.items()}, low
    return {name: np.pad(box, width, mode=window.pad) for name, box in boxes.items()}, low


def _gathered(box: Float32, corners: list[Corner], size: Corner) -> Float32:
    """Return the windows of `box` at `corners` as one tensor (n, c, k, j, i), contiguous."""
    parts = [
        box[(slice(None), *(slice(start, start + one) for start, one in zip(corner, size, strict=True)))]
        for corner in corners
    ]
    return np.ascontiguousarray(parts[0][np.newaxis]) if len(parts) == 1 else np.stack(parts)
