"""An image put onto the grid of another one of the same patient space, however the two lie."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from dicomnode.analyse.grids import Bool, Float32, align, covers, inside_box, sample
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.values import Grid, Progress

_COARSER: Final = 1.01  # a spacing so much larger is a coarser one


def onto(image: Prepared, grid: Grid, outside: float, progress: Progress) -> tuple[Float32, Bool]:
    """Resample an image onto a grid of the same patient space: trilinear, blurred before coarser.

    Returns float32 (k, j, i) with `outside` where the image does not reach, and where it does (bool). An
    image reaches to the outer faces of its voxels.
    """
    image = no_finer(image, grid, progress)
    k, j, i = grid.shape_kji
    box = (slice(0, k), slice(0, j), slice(0, i))
    try:
        align(image.grid, grid)
    except ValueError:
        voxels, inside = _interpolated(image, grid), _within(image.grid, grid)
    else:
        voxels, inside = sample(image.voxels, image.grid, grid, box), inside_box(image.grid, grid, box)
    voxels[~inside] = outside
    return voxels, inside


def no_finer(image: Prepared, grid: Grid, progress: Progress) -> Prepared:
    """Take an image that is finer than the grid to the spacing of the grid, axis by axis."""
    to_grid = np.linalg.inv(grid.affine_lps)[:3, :3] @ image.grid.affine_lps[:3, :3]
    nearest = np.abs(to_grid).argmax(axis=0)  # axis of the grid (i, j, k) for each of the image's (i, j, k)
    wanted = grid.spacing_kji_mm[::-1]
    spacing = [
        max(have, wanted[axis]) if wanted[axis] > have * _COARSER else have
        for have, axis in zip(image.grid.spacing_kji_mm[::-1], nearest, strict=True)
    ]
    if spacing == list(image.grid.spacing_kji_mm[::-1]):
        return image
    return resample(image, (spacing[2], spacing[1], spacing[0]), progress)


def places_of_slice(grid: Grid, k: int) -> np.ndarray:
    """Return where the voxels of slice k of a grid lie, LPS mm float64 (j, i, 3)."""
    return _places(grid, k, _plane(grid))


def _places(grid: Grid, k: int, plane: np.ndarray) -> np.ndarray:
    """Return where the voxels of slice k of a grid lie, LPS mm (j, i, 3)."""
    plane[..., 0] = k
    return grid.to_lps_mm(plane)


def _plane(grid: Grid) -> np.ndarray:
    _, j, i = grid.shape_kji
    plane = np.zeros((j, i, 3))
    plane[..., 1], plane[..., 2] = np.ogrid[:j, :i]
    return plane


def _interpolated(image: Prepared, grid: Grid) -> Float32:
    """Interpolate at the voxels of a grid that is turned against that of the image; edges held."""
    found = np.empty(grid.shape_kji, dtype=np.float32)
    voxels = np.asarray(image.voxels, dtype=np.float32)
    plane = _plane(grid)
    for k in range(grid.shape_kji[0]):
        index = np.moveaxis(image.grid.to_index_kji(_places(grid, k, plane)), -1, 0)
        ndimage.map_coordinates(voxels, index, output=found[k], order=1, mode="nearest")
    return found


def _within(image: Grid, grid: Grid) -> Bool:
    """Tell which voxels of a grid that is turned against that of the image have their centre within it."""
    found = np.empty(grid.shape_kji, dtype=bool)
    plane = _plane(grid)
    for k in range(grid.shape_kji[0]):
        found[k] = covers(image, _places(grid, k, plane))
    return found
