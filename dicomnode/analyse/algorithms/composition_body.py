"""The body in a CT of any part: trunk, head, arms and legs; not the couch, clothes and what lies about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.algorithms.composition_slabs import Slabs
from dicomnode.analyse.algorithms.shapes import (
    Counts,
    Labels,
    components,
    components_of_slices,
    filled_slices,
)
from dicomnode.analyse.grids import Bool
from dicomnode.analyse.parallel import each

TISSUE_ABOVE_HU: Final = -300
_OPENING_MM: Final = 3.0  # takes off the shell of a couch, blankets and clothes
_THICK_MM: Final = 18.0  # a hand is thicker than this in its middle; a board of the couch is not
_LEAST_ML: Final = 40.0
_FLATTEST: Final = 7.0  # area of a slice against that of a disc as thick: more is a board or a head rest
_BEHIND_SHARE: Final = 0.7
_LEAST_SHARE: Final = 0.004  # of the largest piece
_IN_A_SLICE: Final = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))], bool)
_SMALL_CM2: Final = 4.0
_LIMB_SHARE: Final = 0.4  # of the larger one's area: two legs, not a trunk with an arm beside it


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The body on the coarse grid of the slabs, bool (k, j, i), with all that it encloses in a slice.

    main: the largest piece of each slice, without arms that lie beside it. pieces: how many of at least
    4 cm² each slice shows. legs: slices whose two largest pieces are alike. cut: slices in which
    it goes on beyond the field of view.
    """

    mask: Bool
    main: Bool
    pieces: NDArray[np.int64]
    legs: NDArray[np.bool_]
    cut: NDArray[np.bool_]


def body_in(slabs: Slabs) -> Body | None:
    """Find the body; None where there is nothing like one."""
    tissue = slabs.coarse_hu > TISSUE_ABOVE_HU
    spacing = slabs.coarse_kji_mm
    core = _opened(tissue, spacing)
    labels, counts = components(core)
    if not counts.any():
        return None
    depth = _thickness(filled_slices(core), spacing)
    thick = ndimage.maximum(depth, labels, np.arange(len(counts))) * 2.0
    ml = counts * float(np.prod(spacing)) / 1000.0
    wanted: Bool = (np.asarray(thick) > _THICK_MM) & (ml > _LEAST_ML) & (counts > _LEAST_SHARE * counts.max())
    wanted &= ~_boards(labels, counts, np.asarray(thick), spacing) & ~_behind_it(labels, counts)
    wanted[0] = False
    if not wanted.any():
        return None
    found = wanted[labels]
    steps = [max(1, round(_OPENING_MM / mm)) for mm in spacing[1:]]
    near = found
    for _ in range(max(steps) + 1):
        near = ndimage.binary_dilation(near, _IN_A_SLICE) & tissue
    mask = filled_slices(near)
    return _described(mask, slabs)


def _opened(tissue: Bool, spacing: tuple[float, float, float]) -> Bool:
    """Take off what is thin in a slice; beyond the images tissue goes on."""
    steps = max(1, round(_OPENING_MM / min(spacing[1:])))
    core: Bool = ndimage.binary_erosion(tissue, _IN_A_SLICE, iterations=steps, border_value=1)
    return core


def _thickness(core: Bool, spacing: tuple[float, float, float]) -> NDArray[np.float32]:
    """Return the depth of each voxel within its slice, in mm, float32."""
    depth = np.empty(core.shape, dtype=np.float32)

    def plane(k: int) -> None:
        wide = np.pad(core[k], 1)  # the edge of the field of view counts as an edge: a sheet is thin there
        depth[k] = ndimage.distance_transform_edt(wide, sampling=spacing[1:])[1:-1, 1:-1]

    for _ in each(plane, range(len(core))):
        pass
    return depth


def _boards(labels: Labels, counts: Counts, thick: NDArray[np.floating], mm: tuple[float, ...]) -> Bool:
    """Tell which pieces are flat: much wider than they are thick, in the slices that show them."""
    slices = np.zeros(len(counts), dtype=np.int64)
    for plane in labels:
        slices[np.unique(plane)] += 1
    area = counts * mm[1] * mm[2] / np.maximum(slices, 1)
    flat: Bool = area > _FLATTEST * np.pi / 4.0 * np.maximum(thick, 1.0) ** 2
    return flat


def _behind_it(labels: Labels, counts: Counts) -> Bool:
    """Tell which pieces lie behind the largest one, as a head rest does: arms and legs lie beside it."""
    largest = int(counts.argmax())
    behind = np.zeros(len(counts), dtype=np.int64)
    last = 0
    for plane in labels:
        rows = np.flatnonzero((plane == largest).any(axis=1))
        last = int(rows[-1]) if rows.size else last
        behind += np.bincount(plane[last:].ravel(), minlength=len(counts))
    found: Bool = behind > _BEHIND_SHARE * counts
    found[largest] = False
    return found


def _described(mask: Bool, slabs: Slabs) -> Body:
    labels, _ = components_of_slices(mask)
    _, j_mm, i_mm = slabs.coarse_kji_mm
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    small = _SMALL_CM2 * 100.0 / (j_mm * i_mm)
    main = np.zeros_like(mask)
    pieces, legs = np.zeros(len(mask), dtype=np.int64), np.zeros(len(mask), dtype=bool)
    for k, plane in enumerate(labels):
        there = np.unique(plane[plane > 0])
        if not there.size:
            continue
        order = there[np.argsort(-counts[there], kind="stable")]
        main[k] = plane == order[0]
        pieces[k] = int((counts[there] > small).sum())
        legs[k] = len(order) > 1 and counts[order[1]] > _LIMB_SHARE * counts[order[0]]
    return Body(mask, main, pieces, legs, _cut(mask, slabs))


def _cut(mask: Bool, slabs: Slabs) -> NDArray[np.bool_]:
    """Tell in which slices the body reaches the edge of the images, or of the circle that they show."""
    hu = slabs.coarse_hu
    rows, columns = hu.shape[1:]
    j, i = np.ogrid[:rows, :columns]
    away = np.hypot((j - (rows - 1) / 2) / (rows / 2), (i - (columns - 1) / 2) / (columns / 2))
    beyond = away > 1.0 + 2.0 / min(rows, columns)
    padded = bool(beyond.any()) and bool(np.ptp(hu[:, beyond]) == 0)
    edge = np.zeros((rows, columns), dtype=bool)
    edge[[0, -1]], edge[:, [0, -1]] = True, True
    if padded:
        edge |= away > 1.0 - 3.0 / min(rows, columns)
    lengths = (mask & edge).sum(axis=(1, 2))
    return np.asarray(lengths * np.mean(slabs.coarse_kji_mm[1:]) > 10.0)
