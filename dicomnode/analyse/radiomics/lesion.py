"""The images around a lesion and its mask in them: what training and service measure alike."""

from __future__ import annotations

from typing import Final

import numpy as np

from dicomnode.analyse.grids import Bool, Box, box_onto, cropped
from dicomnode.analyse.onto import onto
from dicomnode.analyse.radiomics.row import TooLittleError
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.values import Grid, Mask, no_progress

_AROUND_MM: Final = 6.0  # of a lesion is resampled with it, for the gradient at its edge
_LEAST_MARGIN: Final = 2  # voxels


def around_lesion(
    image: Prepared, mask: Mask, of: Grid, around_mm: float = _AROUND_MM
) -> tuple[Prepared, Bool]:
    """Cut the images around a mask out: the box of it with a margin, and the mask there, bool (k, j, i).

    of: the grid of the mask; where it is not that of the images the mask is interpolated and cut at one half.
    Raises TooLittleError where it lies beside the images.
    """
    margin = max(_LEAST_MARGIN, round(around_mm / min(image.grid.spacing_kji_mm)))
    if of.same_as(image.grid):
        box = _wider(mask.slices_kji, margin, image.grid.shape_kji)
        inside = np.zeros([part.stop - part.start for part in box], dtype=bool)
        k, j, i = (
            slice(own.start - part.start, own.stop - part.start)
            for own, part in zip(mask.slices_kji, box, strict=True)
        )
        inside[k, j, i] = mask.crop()
        return cut(image, box), inside
    near, there = _interpolated(mask, of, image.grid)
    if not there.any():
        raise TooLittleError("it lies beside the images")
    whole = Mask.from_crop(there, image.grid.shape_kji, (near[0].start, near[1].start, near[2].start))
    return around_lesion(image, whole, image.grid, around_mm)


def at_spacing(image: Prepared, inside: Bool, spacing_mm: float) -> tuple[Prepared, Bool]:
    """Resample images and a mask on them to voxels of equal sides; the mask is cut at one half."""
    mask = Prepared(inside.astype(np.float32), image.grid)
    finer = resample(image, (spacing_mm,) * 3)
    found: Bool = onto(mask, finer.grid, 0.0, no_progress)[0] > 0.5
    return finer, found


def cut(image: Prepared, box: Box) -> Prepared:
    """Return a box of an image, a copy of its own."""
    return Prepared(np.ascontiguousarray(image.voxels[box]), cropped(image.grid, box))


def _interpolated(mask: Mask, of: Grid, grid: Grid) -> tuple[Box, Bool]:
    """Put a mask on another grid: the box of that which it may reach, and the mask in it.

    A grid that is turned against that of the mask has no such box: then it is all of it.
    """
    wide = _wider(mask.slices_kji, _LEAST_MARGIN, of.shape_kji)
    field = np.zeros([part.stop - part.start for part in wide], dtype=np.float32)
    k, j, i = (
        slice(own.start - part.start, own.stop - part.start)
        for own, part in zip(mask.slices_kji, wide, strict=True)
    )
    field[k, j, i] = mask.crop()
    try:
        target = box_onto(wide, of, grid)
    except ValueError:
        target = (slice(0, grid.shape_kji[0]), slice(0, grid.shape_kji[1]), slice(0, grid.shape_kji[2]))
    if any(part.stop <= part.start for part in target):
        raise TooLittleError("it lies beside the images")
    found = onto(Prepared(field, cropped(of, wide)), cropped(grid, target), 0.0, no_progress)[0]
    return target, found > 0.5


def _wider(box: Box, margin: int, shape: tuple[int, int, int]) -> Box:
    k, j, i = (
        slice(max(part.start - margin, 0), min(part.stop + margin, size))
        for part, size in zip(box, shape, strict=True)
    )
    return k, j, i
