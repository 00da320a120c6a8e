"""The box of a volume that a network sees: around what an earlier step found, padded as the network wants."""

from __future__ import annotations

import math

import numpy as np

from dicomnode.analyse.grids import Bool, Box, box_of, box_onto
from dicomnode.analyse.preparations.geometry import cut_out, padded
from dicomnode.analyse.resample import Prepared
from dicomnode.engine import Crop, Window
from dicomnode.values import Grid


def crop_around(target: Grid, mask: Bool, grid: Grid, crop: Crop) -> Box | None:
    """Return the box of `target` that holds `mask` (on `grid`) and the margin; None when nothing is set."""
    box = box_of(mask)
    return None if box is None else box_onto(box, grid, target, crop.margin_mm)


def seen_by_network(image: Prepared, box: Box, crop: Crop, window: Window) -> Prepared:
    """Return what a network sees of `box`, which lies within the image: padded at the end as `padded_shape`.

    Where it is padded there is `crop.pad` and not what the image shows beyond the box; see `crop_of` of
    `networks` for what an earlier step found. Returns float32
    (k, j, i), contiguous; its grid goes on over what is padded.
    """
    here = cut_out(image, box, crop.pad)
    sizes = padded_shape(box, crop, window)
    margins = [(0, size - have) for size, have in zip(sizes, here.grid.shape_kji, strict=True)]
    here = padded(here, margins, "constant", crop.pad)
    return Prepared(np.ascontiguousarray(here.voxels, dtype=np.float32), here.grid)


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
