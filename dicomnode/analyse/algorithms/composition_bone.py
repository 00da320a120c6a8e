"""What is as dense as bone in a CT and is none: vessels, heart, kidneys and bowel with contrast medium.

Contrast medium is alike throughout and pales to its edge. Bone is uneven, and where its marrow is even, a
brighter cortex lies about it. Thin branches follow what they hang on.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.algorithms.composition_slabs import Slabs, noise_of
from dicomnode.analyse.algorithms.shapes import Counts, Labels, components, dilated
from dicomnode.analyse.grids import Bool

BONE_ABOVE_HU: Final = 200
_BRIGHT_HU: Final = 150
_CORTEX_HU: Final = 450  # as dense few vessels are after the smoothing
_CORTEX_SHARE: Final = 0.01
_BESIDE_SHARE: Final = (0.02, 0.10)  # of a piece that touches contrast medium: a branch, even a dense one
_WINDOW_MM: Final = 10.0  # that evenness is judged in
_WITHIN_SHARE: Final = 0.6  # of the window that is bright: beside an edge nothing is even
_EVEN_HU: Final = (30.0, 60.0)  # standard deviation: at least and at most what counts as even
_OF_NOISE: Final = 1.5
_LEAST_ML: Final = 0.4
# How far about a core, which percentile there, and what part of the core's mean it may be: more is a cortex
_RIMS: Final = ((8.0, 90.0, 1.18), (12.0, 75.0, 1.25))
_BRIGHTER: Final = 1.3
_ROUNDING: Final = 1e-3
_IN_AIR_SHARE: Final = 0.4  # of what surrounds it: a vessel of the lung


def contrast_in(slabs: Slabs, body: Bool) -> Bool:
    """Return what is as dense as bone and is none: bool (k, j, i) on the coarse grid."""
    hu = slabs.coarse_hu
    bright = (hu > _BRIGHT_HU) & body
    filled = _filled_spaces(hu, bright, slabs)
    dense = (hu > BONE_ABOVE_HU) & body & ~filled
    labels, counts = components(dense)
    if not counts.any():
        return filled
    numbers = np.arange(len(counts))
    cortical = np.asarray(ndimage.sum_labels(hu > _CORTEX_HU, labels, numbers)) > _CORTEX_SHARE * counts
    beside = np.bincount(labels[dilated(filled, 1) & dense], minlength=len(counts))
    branch = (beside > _BESIDE_SHARE[1] * counts) | (beside > _BESIDE_SHARE[0] * counts) & ~cortical
    branch |= _within_air(hu, labels, counts) & ~cortical
    branch[0] = False
    return filled | branch[labels]


def _filled_spaces(hu: NDArray[np.int16], bright: Bool, slabs: Slabs) -> Bool:
    """Return what is even, and not brighter at its edge than in its middle."""
    spacing = slabs.coarse_kji_mm
    spread, share = _spread(hu, bright, spacing)
    even = min(max(_EVEN_HU[0], _OF_NOISE * noise_of(hu)), _EVEN_HU[1])
    labels, counts = components(bright & (spread < even) & (share > _WITHIN_SHARE))
    found = np.zeros_like(bright)
    least = _LEAST_ML * 1000.0 / float(np.prod(spacing))
    steps = [round(mm / min(spacing[1:])) for mm, _, _ in _RIMS]
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if counts[number] < least:
            continue
        wide = tuple(slice(max(part.start - steps[-1], 0), part.stop + steps[-1]) for part in box)
        core, values = labels[wide] == number, hu[wide]
        others = dilated((labels[wide] > 0) & ~core, 2)  # what is even, too, and lies beside it
        middle = float(values[core].mean())
        wholes = _grown(core, bright[wide], steps)
        if not any(_has_cortex(values, whole & ~core & ~others, middle, rim) for whole, rim in wholes):
            found[wide] |= wholes[0][0] & (values < _BRIGHTER * middle)
    return found


def _grown(core: Bool, bright: Bool, steps: list[int]) -> list[tuple[Bool, tuple[float, float, float]]]:
    """Grow a core within what is bright as far as each of the rims."""
    found, whole, done = [], core, 0
    for rim, reach in zip(_RIMS, steps, strict=True):
        for _ in range(reach - done):
            whole = dilated(whole, 1) & bright
        done = reach
        found.append((whole, rim))
    return found


def _has_cortex(
    values: NDArray[np.int16], shell: Bool, middle: float, rim: tuple[float, float, float]
) -> bool:
    return bool(shell.any()) and float(np.percentile(values[shell], rim[1])) > rim[2] * middle


def _spread(
    hu: NDArray[np.int16], mask: Bool, spacing: tuple[float, float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the standard deviation of the masked voxels about each voxel, and their share of the window."""
    size = [max(1, round(_WINDOW_MM / mm) | 1) for mm in spacing]
    weight = mask.astype(np.float32)
    values = np.where(mask, hu, 0).astype(np.float32)
    share = ndimage.uniform_filter(weight, size, mode="nearest")
    rest = np.maximum(share, _ROUNDING)
    mean = ndimage.uniform_filter(values, size, mode="nearest") / rest
    values *= values
    square = ndimage.uniform_filter(values, size, mode="nearest") / rest
    return np.sqrt(np.maximum(square - mean * mean, 0.0)), share


def _within_air(hu: NDArray[np.int16], labels: Labels, counts: Counts) -> NDArray[np.bool_]:
    """Tell which pieces air or lung surrounds: bones have soft tissue about them."""
    air, near = np.zeros(len(counts)), np.zeros(len(counts))
    for axis in range(3):
        for step in (-2, 2):
            other = np.roll(hu, step, axis=axis)
            outside = np.roll(labels, step, axis=axis) == 0
            here = outside & (labels > 0)
            near += np.bincount(labels[here], minlength=len(counts))
            air += np.bincount(labels[here & (other < -400)], minlength=len(counts))
    share: NDArray[np.bool_] = air > _IN_AIR_SHARE * np.maximum(near, 1)
    return share
