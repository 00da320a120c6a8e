"""What an algorithm that looks for lesions found: voxels of the source, or points without some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dicomnode.analyse.algorithms import Blob
from dicomnode.analyse.grids import Box, box_onto, cropped, sample
from dicomnode.analyse.interpret import Point, Region
from dicomnode.analyse.steps import Chain, Piece, Result
from dicomnode.values import Grid, Mask


def lesions_of_blobs(chain: Chain, label: str, blobs: Sequence[Blob]) -> Result:
    """Put blobs of the prepared image down in the source, in their order: the surest first.

    They have no score: a response compares within one image alone, and [output.score] gives one. What is too
    small for the slices of the source is a point.
    """
    pieces: list[Piece] = []
    points: list[Point] = []
    everywhere = np.zeros(chain.grid.shape_kji, dtype=bool)
    for blob in blobs:
        own = Mask.from_crop(blob.mask, chain.grid.shape_kji, blob.start_kji)
        everywhere[own.slices_kji] |= own.crop()
        mask = mask_onto(own, chain.grid, chain.source)
        if mask.is_empty:
            x, y, z = (float(one) for one in chain.grid.to_lps_mm(blob.centre_kji))
            points.append(
                Point(centre_lps_mm=(x, y, z), score=0.0, diameter_mm=blob.diameter_mm, scored=False, own=own)
            )
        else:
            pieces.append(Piece(mask=mask, kind=0, own=own))
    return Result(
        label=label, pieces=tuple(pieces), points=tuple(points), region=Region(everywhere, chain.grid)
    )


def mask_onto(mask: Mask, of: Grid, grid: Grid) -> Mask:
    """Put a small mask of one grid down in another that runs along the same axes: cut at one half.

    Unlike `onto_source` it is not smoothed before: what is a few voxels large would be lost.
    """
    if of.same_as(grid):
        return mask
    around = tuple(slice(part.start - 1, part.stop + 1) for part in mask.slices_kji)
    wide: Box = (around[0], around[1], around[2])
    target = box_onto(wide, of, grid)
    if any(part.stop <= part.start for part in target):
        return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), grid.shape_kji, (0, 0, 0))
    field = np.pad(mask.crop().astype(np.float32), 1)
    inside = sample(field, cropped(of, wide), grid, target) > 0.5
    return Mask.from_crop(inside, grid.shape_kji, (target[0].start, target[1].start, target[2].start))
