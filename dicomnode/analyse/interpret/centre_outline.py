"""A candidate of a map of centres, and its voxels: what the network's mask holds around its centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Box, Float32, box_onto, sample
from dicomnode.analyse.interpret.contract import Outputs
from dicomnode.analyse.interpret.fields import only_seen
from dicomnode.analyse.interpret.half_height import AROUND_MM, half_height
from dicomnode.engine import CentreHeat
from dicomnode.values import Float64, Grid, Mask

NEXT_FRAME: Final = 1e9
"""In mm: frames of a picture do not lie side by side."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A centre (index k, j, i of the box; LPS mm), its diameter in mm, its heat and its score, 0 … 1."""

    at: Float64
    centre_lps_mm: Float64
    diameter_mm: float
    heat: float
    score: float


def distances(grid: Grid) -> Float64:
    """Return mm from a voxel to the next along k, j, i."""
    k_mm, j_mm, i_mm = grid.spacing_kji_mm
    return np.array([k_mm if grid.frame_of_reference_uid else NEXT_FRAME, j_mm, i_mm])


def ball(
    at: Float64, radius_mm: float, shape: tuple[int, int, int], spacing: Float64
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the voxels within `radius_mm` of an index: first index of their cube, and the cube (bool)."""
    reach = radius_mm / spacing
    low = np.maximum(np.floor(at - reach).astype(np.intp), 0)
    high = np.minimum(np.ceil(at + reach).astype(np.intp) + 1, shape)
    return low, _apart(at, low, np.maximum(high, low), spacing) <= radius_mm


def outline(candidate: Candidate, mask: Float32, outputs: Outputs, how: CentreHeat) -> Mask | None:
    """Return the candidate's voxels in the source grid; None when nothing is left, or it lies beside it.

    Logits are interpolated and then compared: a mask resampled by nearest neighbours would shift the
    border by up to half a voxel, which is 56 % of the volume of a 5 mm nodule. Raises UnreadableError where
    the image is needed and is not one volume.
    """
    source = outputs.source
    reach = how.mask_reach_diameters * candidate.diameter_mm + how.mask_reach_mm
    box = _around(candidate, reach if how.dense_part is None else reach + AROUND_MM, outputs)
    low, high = np.array([part.start for part in box]), np.array([part.stop for part in box])
    if (high <= low).any():
        return None
    apart = _apart(source.to_index_kji(candidate.centre_lps_mm), low, high, distances(source))
    logits = sample(mask, outputs.grid, source, box)
    near = apart < reach
    piece = _piece((logits > how.mask_logit) & near, apart)
    if piece is not None and how.dense_part is not None:
        image = sample(_image(outputs, how), outputs.grid, source, box)
        half = half_height(piece, image, distances(source), how.dense_part)
        dense = None if half is None else _piece((logits > how.dense_logit) & near & (image > half), apart)
        piece = piece if dense is None else ndimage.binary_fill_holes(dense)
    if piece is None:
        return None
    return Mask.from_crop(piece, source.shape_kji, (int(low[0]), int(low[1]), int(low[2])))


def _around(candidate: Candidate, reach_mm: float, outputs: Outputs) -> Box:
    """Return the box of the source that holds what lies so near to a candidate."""
    grid = outputs.grid
    start, cube = ball(candidate.at, reach_mm, grid.shape_kji, distances(grid))
    stop = start + cube.shape
    local = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
    return box_onto(local, grid, outputs.source)


def _image(outputs: Outputs, how: CentreHeat) -> Float32:
    """Return what the network saw, (k, j, i), without its padding, as the grid is."""
    k, j, i = outputs.grid.shape_kji
    image: Float32 = only_seen(outputs, outputs.maps[how.mask])[0, :k, :j, :i]
    return image


def _piece(inside: Bool, apart: Float64) -> Bool | None:
    """Return the part that holds the voxel nearest to the centre, else the largest; None of nothing."""
    labels, count = ndimage.label(inside)
    if not count:
        return None
    nearest = np.unravel_index(int(apart.argmin()), apart.shape)
    label = int(labels[nearest]) or int(np.bincount(labels.ravel())[1:].argmax()) + 1
    found: Bool = labels == label
    return found


def _apart(at: Float64, low: NDArray[np.intp], high: NDArray[np.intp], spacing: Float64) -> Float64:
    """Return the distance in mm from the index `at` of each voxel of the cube `low` … `high`."""
    axes = np.ogrid[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))]
    squares = [((axis - a) * mm) ** 2 for axis, a, mm in zip(axes, at, spacing, strict=True)]
    apart: Float64 = np.sqrt(squares[0] + squares[1] + squares[2])
    return apart
