"""Lung without air: not seen itself, it shows in what is missing where lung should be.

Fluid, collapse and consolidation are as dense as the wall of the chest and the heart, and the outline of the
air leaves them out. Three places tell: lung that does not reach the ribs, an upper mediastinum that is wide
on one side only, and a dense piece with lung around it. The limits on what is measured stand in `plausible`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.algorithms.shapes import components, thick, within
from dicomnode.analyse.grids import Bool, Box, Float32, box_of

_BONE_HU: Final = 180.0  # the shell of a rib, in voxels of 2 mm
_STEP_DEGREES: Final = 3.0
_FAR_MM: Final = 220.0  # from the middle of the chest to the outside of its ribs
# From straight back to a little before the side: in front the heart and the fat beside it lie at the ribs
_BACK_DEGREES: Final = (20.0, 100.0)
_NEAR_MM: Final = 16.0  # up and down, and 6 degrees to each side: between two ribs there is no bone to be met
_NEAR_DEGREES: Final = 6.0
_GAP_MM: Final = 10.0  # muscle and fat between lung and rib are thinner
_AT_MOST_MM: Final = 60.0
_UPPER: Final = (0.7, 0.95)  # of the height of the lungs: above the heart, below the tops
_DENSE_HU: Final = -300.0
_THICK_MM: Final = 12.0  # radius: vessels are thinner
_COARSER: Final = 2  # every second voxel is enough to find what is that thick


@dataclass(frozen=True, slots=True, kw_only=True)
class Airless:
    """What lies where lung should be, in ml.

    wall_right_ml, wall_left_ml: between lung and ribs. uneven_ml: by how much the upper mediastinum reaches
    farther to the right than to the left (below 0: to the left). within_ml: the largest thick dense piece
    with lung around it.
    """

    wall_right_ml: float = 0.0
    wall_left_ml: float = 0.0
    uneven_ml: float = 0.0
    within_ml: float = 0.0


def airless_of(hu: Float32, box: Box, lungs: Mapping[str, Bool], middle_i: float, mm: float) -> Airless:
    """Measure what is missing of `lungs` ("right" and "left", on the crop `box` of `hu`).

    hu: (k, j, i), axes to head, back and left, isotropic with `mm`; middle_i: of the body, in the crop.
    """
    both = np.logical_or.reduce(list(lungs.values()))
    rows = np.flatnonzero(both.any(axis=(0, 2)))
    centre = (float(rows[0] + rows[-1]) / 2.0, middle_i)
    few = (slice(None, None, _COARSER),) * 3
    dense = ~both[few] & (hu[box][few] > _DENSE_HU)
    return Airless(
        # Of one lung in a field of view around it the middle is its own: on the other side is none to be met
        wall_right_ml=_wall_ml(hu, box, both, (centre, -1), mm) if "right" in lungs else 0.0,
        wall_left_ml=_wall_ml(hu, box, both, (centre, 1), mm) if "left" in lungs else 0.0,
        uneven_ml=_uneven_ml(lungs["right"], lungs["left"], mm) if len(lungs) == 2 else 0.0,
        within_ml=max(_within_ml(mask[few], dense, _COARSER * mm) for mask in lungs.values()),
    )


def _wall_ml(hu: Float32, box: Box, both: Bool, fan: tuple[tuple[float, float], int], mm: float) -> float:
    """Return what lies between lung and ribs at the back and the side, in ml.

    fan: the middle of the chest (j, i), and -1 for rays to the right, 1 to the left. A ray goes from the last
    voxel of lung to the first of bone. Fluid keeps the lung from several ribs; where one rib is not met, its
    neighbours are.
    """
    (centre_j, centre_i), side = fan
    first, end = _BACK_DEGREES[0] - _NEAR_DEGREES, _BACK_DEGREES[1] + _NEAR_DEGREES
    angles = np.arange(first, end + _STEP_DEGREES / 2, _STEP_DEGREES)
    radii = np.arange(1, int(_FAR_MM / mm))
    j = np.rint(centre_j + np.outer(np.cos(np.deg2rad(angles)), radii)).astype(int)
    i = np.rint(centre_i + side * np.outer(np.sin(np.deg2rad(angles)), radii)).astype(int)
    lung = _along(both, j, i)
    bone = _along(hu[box[0]] > _BONE_HU, j + box[1].start, i + box[2].start)
    last = np.where(lung.any(axis=2), len(radii) - 1 - lung[:, :, ::-1].argmax(axis=2), -1)
    bone &= np.arange(len(radii)) > last[:, :, None]
    met = bone.any(axis=2) & (last >= 0)
    gap = np.where(met, (bone.argmax(axis=2) - last) * mm, np.inf)
    beside = round(_NEAR_DEGREES / _STEP_DEGREES)
    gap = ndimage.minimum_filter(gap, size=(2 * round(_NEAR_MM / mm) + 1, 2 * beside + 1), mode="nearest")
    gap = np.where((last >= 0) & np.isfinite(gap) & (gap > _GAP_MM), gap.clip(0.0, _AT_MOST_MM), 0.0)
    ring_mm2 = gap * ((last + 1) * mm + gap / 2.0) * np.deg2rad(_STEP_DEGREES)
    return float(ring_mm2[:, beside:-beside].sum()) * mm / 1000.0


def _along(mask: Bool, j: NDArray[np.int64], i: NDArray[np.int64]) -> Bool:
    """Return (k, ray, step): what is set in each slice at rows `j` and columns `i`; nothing is outside."""
    rows, columns = mask.shape[1:]
    there = (j >= 0) & (j < rows) & (i >= 0) & (i < columns)
    set_there: Bool = mask[:, j.clip(0, rows - 1), i.clip(0, columns - 1)] & there
    return set_there


def _uneven_ml(right: Bool, left: Bool, mm: float) -> float:
    """Return how much farther the upper mediastinum reaches to the right than to the left, in ml.

    The middle is that of the lungs' outer borders in each slice: a lobe that collapses beside the
    mediastinum draws them in little.
    """
    slices = np.flatnonzero((right | left).any(axis=(1, 2)))
    low, high = (int(slices[0] + part * (slices[-1] - slices[0])) for part in _UPPER)
    total = 0.0
    for one, other in zip(right[low:high], left[low:high], strict=True):
        rows = one.any(axis=1) & other.any(axis=1)
        if not rows.any():
            continue
        across = np.flatnonzero((one | other).any(axis=0))
        middle = (across[0] + across[-1]) / 2.0
        ends = one.shape[1] - 1 - one[rows, ::-1].argmax(axis=1)
        starts = other[rows].argmax(axis=1)
        total += float((middle - ends).clip(0.0).sum() - (starts - middle).clip(0.0).sum())
    return total * mm**3 / 1000.0


def _within_ml(lung: Bool, dense: Bool, mm: float) -> float:
    """Return the largest thick dense piece that has `lung` on all six sides, in ml.

    The heart has lung on four or five, and a consolidation that lies at ribs or mediastinum has one part
    that has it on six.
    """
    inside = dense.copy()
    for axis in range(3):
        inside &= np.logical_or.accumulate(lung, axis=axis)
        inside &= np.flip(np.logical_or.accumulate(np.flip(lung, axis), axis=axis), axis)
    box = box_of(inside, margin=1)
    if box is None:
        return 0.0
    core = thick(inside[box], _THICK_MM / mm)
    if not core.any():
        return 0.0
    _, counts = components(inside[box] & within(core, _THICK_MM / mm))
    return float(counts.max()) * mm**3 / 1000.0
