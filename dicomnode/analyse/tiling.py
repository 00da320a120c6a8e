"""Where windows begin and how they weigh, by three rules: the node's own, MONAI's and nnU-Net's.

A network that was validated with a framework's sliding window gives what its makers saw only with the same
windows and weights. Sources: monai.inferers.sliding_window_inference and monai.data.utils (1.6),
nnunetv2.inference.sliding_window_prediction (2.8). Both accumulate over the same windows in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.engine import Window

Float32 = NDArray[np.float32]

_LEAST_MONAI: Final = 1e-3  # MONAI: no weight is below it, nor below the least of a map whose least is more
_SCALE_NNUNET: Final = 10.0  # nnU-Net: the largest weight, so that float16 holds the small ones


def starts_along(length: int, size: int, window: Window, multiple: int = 1) -> tuple[int, ...]:
    """Return where windows of `size` begin along an axis of `length` voxels, by the rule of `window`.

    The first begins at 0 and the last ends at `length`. multiple: what starts are multiples of, by the rule
    "even" alone. ValueError where the windows do not fit.
    """
    if length < size:
        raise ValueError(f"windows of {size} do not fit an axis of {length}")
    if length == size:
        return (0,)
    if size == 1:
        return tuple(range(length))
    if window.rule == "even":
        return starts_of(length, size, window.overlap, multiple)
    if window.rule == "monai":
        step = max(int(size * (1 - window.overlap)), 1)
        return tuple(min(start, length - size) for start in range(0, length - size + step, step))
    # nnU-Net is given the step and not the overlap: 0.3, where 1 - 0.7 is a little more
    count = math.ceil((length - size) / (size * round(1 - window.overlap, 12)))
    # numpy rounds a half to the even neighbour, as nnU-Net does
    return tuple(int(np.round((length - size) / count * index)) for index in range(count + 1))


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


def weights_along(size: int, window: Window) -> NDArray[np.float64]:
    """Return the weights along an axis of a window by the rule "even", before they are made to sum to one."""
    if window.blend != "gaussian":
        return np.ones(size)
    at = np.arange(size) - (size - 1) / 2.0
    weights: NDArray[np.float64] = np.exp(-0.5 * (at / (window.sigma * size)) ** 2)
    return weights


def weights_within(sizes: Sequence[int], window: Window) -> Float32:
    """Return the weights of a window (k, j, i) by the rules "monai" and "nnunet"; their sum is divided by.

    They are no product of three axes: both frameworks keep small weights from becoming none.
    """
    if window.blend != "gaussian":
        return np.ones(tuple(sizes), dtype=np.float32)
    return _monai(sizes, window.sigma) if window.rule == "monai" else _nnunet(sizes, window.sigma)


def _monai(sizes: Sequence[int], sigma: float) -> Float32:
    axes = []
    for size in sizes:
        at = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2.0)
        axes.append(np.exp(at**2 / np.float32(-2 * (size * sigma) ** 2)))
    weights: Float32 = axes[0][:, None, None] * axes[1][:, None] * axes[2]
    np.maximum(weights, np.float32(max(float(weights.min()), _LEAST_MONAI)), out=weights)
    return weights


def _nnunet(sizes: Sequence[int], sigma: float) -> Float32:
    """A point, beside the middle of an even window, blurred; rounded to float16, where none may be 0."""
    axes = []
    for size in sizes:
        point = np.zeros(size)
        point[size // 2] = 1.0
        axes.append(ndimage.gaussian_filter(point, size * sigma, mode="constant"))
    weights = axes[0][:, None, None] * axes[1][:, None] * axes[2]
    half = (weights / (weights.max() / _SCALE_NNUNET)).astype(np.float16)
    half[half == 0] = half[half > 0].min()
    rounded: Float32 = half.astype(np.float32)
    return rounded
