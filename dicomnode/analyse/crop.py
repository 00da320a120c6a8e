"""The box of a volume that a network sees: around what an earlier step found, padded as the network wants."""

from __future__ import annotations

import math

import numpy as np

from dicomnode.analyse.grids import Bool, Box, box_of, box_onto, cropped
from dicomnode.analyse.resample import Prepared
from dicomnode.engine import Crop, Window
from dicomnode.values import Grid


def crop_around(target: Grid, mask: Bool, grid: Grid, crop: Crop) -> Box | None:
    """Return the box of `target` that holds `mask` (on `grid`) and the margin; None when nothing is set."""
    box = box_of(mask)
    return None if box is None else box_onto(box, grid, target, crop.margin_mm)


def cut_out(image: Prepared, box: Box, crop: Crop, window: Window) -> Prepared:
    """Cut `box` out and pad it at the end of each axis, see `padded_shape`.

    Returns float32 (k, j, i), contiguous. Its grid goes on over what is padded.
    """
    sizes = padded_shape(box, crop, window)
    voxels = np.full(sizes, crop.pad, dtype=np.float32)
    inner = tuple(slice(0, part.stop - part.start) for part in box)
    voxels[inner] = image.voxels[box]
    whole = [slice(part.start, part.start + size) for part, size in zip(box, sizes, strict=True)]
    return Prepared(voxels, cropped(image.grid, (whole[0], whole[1], whole[2])))


def padded_shape(box: Box, crop: Crop, window: Window) -> tuple[int, int, int]:
    """Return the size of `box` padded to a multiple of `crop.multiple`, and to a window.

    By the rules of other frameworks a box smaller than a window is padded when the windows are placed, and
    not here. Along an axis that a window sees one voxel of, any length will do.
    """
    least = window.size_kji if window.size_kji and window.rule == "even" else (1, 1, 1)
    flat = [size == 1 for size in window.size_kji] if window.size_kji else [False] * 3
    multiples = [1 if one else crop.multiple for one in flat]
    k, j, i = (
        math.ceil(max(part.stop - part.start, size) / multiple) * multiple
        for part, size, multiple in zip(box, least, multiples, strict=True)
    )
    return k, j, i
