"""Steps that take voxels as they are: turned, cut out, padded. CPU path and the plans behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Bool, Box, box_of, cropped
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.spacing import allowed
from dicomnode.engine.manifest.preparation_geometry import CropCentre, CropForeground, Pad
from dicomnode.values import Grid, Progress, no_progress

Margins = Sequence[tuple[int, int]]  # voxels before and after, along k, j, i

_TOWARDS: Final = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
"""Row of the patient's axis and the direction along it (PS3.3 C.7.6.2.1.1) that a letter means."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A grid that is turned and flipped: which axis of the source each axis k, j, i is, and the result."""

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    grid: Grid


def turn_of(grid: Grid, code: str) -> Turn:
    """Find how axes are turned so that i, j, k run as near as can be to where the letters of `code` say.

    Exact: oblique axes stay oblique, and every voxel stays where it is in the patient.
    """
    directions = grid.affine_lps[:3, :3] / np.linalg.norm(grid.affine_lps[:3, :3], axis=0)
    # columns are i, j, k; rows are x, y, z: rank the orders by how well they fit
    order = max(
        permutations(range(3)),
        key=lambda columns: sum(abs(directions[row, column]) for row, column in enumerate(columns)),
    )
    affine = np.eye(4)
    affine[:3, 3] = grid.affine_lps[:3, 3]
    axes, flipped = [0, 0, 0], [False, False, False]
    for column, letter in enumerate(code):
        row, sign = _TOWARDS[letter]
        source = order[row]
        vector = grid.affine_lps[:3, source]
        axes[2 - column] = 2 - source
        if vector[row] * sign < 0:
            flipped[2 - column] = True
            affine[:3, 3] += vector * (grid.shape_kji[2 - source] - 1)
            vector = -vector
        affine[:3, column] = vector
    k, j, i = (grid.shape_kji[axis] for axis in axes)
    return Turn(
        (axes[0], axes[1], axes[2]),
        (flipped[0], flipped[1], flipped[2]),
        Grid((k, j, i), affine, grid.frame_of_reference_uid),
    )


def orient(image: Prepared, code: str = "LPS", progress: Progress = no_progress) -> Prepared:
    """Turn and flip the axes so that i, j, k run as `code` says. The voxels returned are a view."""
    del progress  # nothing takes time
    turn = turn_of(image.grid, code)
    voxels = np.transpose(image.voxels, turn.axes)
    voxels = np.flip(voxels, tuple(axis for axis, flip in enumerate(turn.flipped) if flip))
    return Prepared(voxels, turn.grid)


def crop_foreground(image: Prepared, how: CropForeground, progress: Progress) -> Prepared:
    """Cut down to the box of what is not background."""
    del progress
    box = box_of(foreground_of(image, how))
    return image if box is None else cut_foreground(image, box, how)


def foreground_of(image: Prepared, how: CropForeground) -> Bool:
    """Tell which voxels are not background."""
    mask = np.empty(image.voxels.shape, dtype=bool)
    for k, plane in enumerate(image.voxels):
        mask[k] = plane != 0 if how.above is None else plane > how.above
    return mask


def cut_foreground(image: Prepared, box: Box, how: CropForeground) -> Prepared:
    """Cut down to `box` of what is not background, with its margin and to its multiple."""
    return cut_out(image, foreground_box(box, image.grid.shape_kji, how), how.value)


def foreground_box(box: Box, shape_kji: Sequence[int], how: CropForeground) -> Box:
    """Return the box that is cut out where `box` holds what is not background."""
    k, j, i = (_grown(part, how) for part in box)
    if how.outside == "stop":
        k, j, i = (
            slice(max(part.start, 0), min(part.stop, size))
            for part, size in zip((k, j, i), shape_kji, strict=True)
        )
    return k, j, i


def _grown(part: slice, how: CropForeground) -> slice:
    """Add the margin, then grow to the multiple; of an odd number the one more comes at the end (MONAI)."""
    start, stop = part.start - how.margin_voxels, part.stop + how.margin_voxels
    more = -(stop - start) % how.multiple
    return slice(start - more // 2, stop + more - more // 2)


def crop_centre(image: Prepared, how: CropCentre, progress: Progress) -> Prepared:
    """Cut down to the middle."""
    del progress
    return cut_out(image, centre_box(image.grid.shape_kji, how), 0.0)


def centre_box(shape_kji: Sequence[int], how: CropCentre) -> Box:
    """Return the box of the middle."""
    starts = [max(size // 2 - want // 2, 0) for size, want in zip(shape_kji, how.shape_kji, strict=True)]
    k, j, i = (
        slice(start, min(start + want, size))
        for start, want, size in zip(starts, how.shape_kji, shape_kji, strict=True)
    )
    return k, j, i


def cut_out(image: Prepared, box: Box, value: float) -> Prepared:
    """Cut `box` out, which may reach beyond the image; there stands `value`. A view where it does not."""
    sizes = image.voxels.shape
    inner = tuple(slice(max(part.start, 0), min(part.stop, n)) for part, n in zip(box, sizes, strict=True))
    here = Prepared(image.voxels[inner], cropped(image.grid, (inner[0], inner[1], inner[2])))
    margins = [(i.start - part.start, part.stop - i.stop) for part, i in zip(box, inner, strict=True)]
    return padded(here, margins, "constant", value)


def pad(image: Prepared, how: Pad, progress: Progress) -> Prepared:
    """Add voxels at the ends of the axes."""
    del progress
    return padded(image, margins_of(image.grid.shape_kji, how), how.mode, how.value or 0.0)


def margins_of(shape_kji: Sequence[int], how: Pad) -> Margins:
    """Return how many voxels `how` adds before and after each axis."""
    wanted = how.shape_kji or [
        -(-size // multiple) * multiple
        for size, multiple in zip(shape_kji, how.multiple_kji or (1, 1, 1), strict=True)
    ]
    missing = [max(want - size, 0) for want, size in zip(wanted, shape_kji, strict=True)]
    return [(0, one) if how.where == "end" else (one // 2, one - one // 2) for one in missing]


def padded(
    image: Prepared, margins: Margins, mode: Literal["constant", "edge", "reflect"], value: float
) -> Prepared:
    """Add `margins` around the image; its grid goes on over them. int16 stays int16 where `value` is one."""
    if not any(before or after for before, after in margins):
        return image
    sizes = [b + n + a for (b, a), n in zip(margins, image.voxels.shape, strict=True)]
    allowed(*sizes)
    box = [slice(-before, size - before) for (before, _), size in zip(margins, sizes, strict=True)]
    voxels: NDArray[np.generic] = image.voxels
    if mode == "constant":
        if voxels.dtype == np.int16 and not _is_int16(value):
            voxels = voxels.astype(np.float32)
        voxels = np.pad(voxels, margins, mode="constant", constant_values=voxels.dtype.type(value))
    else:
        voxels = np.pad(voxels, margins, mode=mode)
    return Prepared(voxels, cropped(image.grid, (box[0], box[1], box[2])))


def _is_int16(value: float) -> bool:
    limits = np.iinfo(np.int16)
    return float(value).is_integer() and limits.min <= value <= limits.max
