"""What is done to a volume before the steps of an engine: named preparations, in the order of the manifest.

Each takes voxels on a grid and gives voxels on a grid; the affine of the result is exact, so that what is
found on it can be put back where it lies in the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dicomnode.analyse.grids import AxisMap, interpolation
from dicomnode.engine import Preparation
from dicomnode.values import Grid, Progress, Volume, no_progress

STAGE: Final = "preparing"

# Blur before a coarser grid is taken, in voxels of the finer one: 0.5 · sqrt(ratio² − 1) takes a Gaussian
# of half a fine voxel to one of half a coarse voxel; more than 0.6 would cost nodules of 3 mm.
_BLUR: Final = 0.5
_BLUR_AT_MOST: Final = 0.6
_BLUR_REACH: Final = 4.0  # standard deviations
_SAME_SPACING: Final = 1e-6  # relative


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Voxels on a grid on their way into a network: (k, j, i), the volume's unit."""

    voxels: NDArray[np.generic]
    grid: Grid


def prepare(volume: Volume, steps: Sequence[Preparation], progress: Progress = no_progress) -> Prepared:
    """Do the preparations of an input to its volume, in their order.

    Returns float32 (k, j, i), contiguous and read-only, with the grid that it lies on.
    """
    image = Prepared(volume.voxels, volume.grid)
    for step in steps:
        if step.clip is not None:
            image = clip(image, *step.clip)
        elif step.orient is not None:
            image = orient(image)
        elif step.resample_mm is not None:
            image = resample(image, step.resample_mm, progress)
    voxels = np.ascontiguousarray(image.voxels, dtype=np.float32)
    if voxels is not volume.voxels:
        voxels.setflags(write=False)
    return Prepared(voxels, image.grid)


def clip(image: Prepared, smallest: float, largest: float) -> Prepared:
    """Limit values to `smallest` … `largest`, in the volume's unit.

    CT: padding of −2048 HU and less rings at the edge of the reconstruction circle unless it is clipped
    at −1024 HU before resampling.
    """
    voxels = image.voxels
    if voxels.dtype == np.int16:
        if not (float(smallest).is_integer() and float(largest).is_integer()):
            return clip(Prepared(voxels.astype(np.float32), image.grid), smallest, largest)
        limits = np.iinfo(np.int16)
        low, high = (int(np.clip(value, limits.min, limits.max)) for value in (smallest, largest))
        return Prepared(np.clip(voxels, np.int16(low), np.int16(high)), image.grid)
    return Prepared(np.clip(voxels, np.float32(smallest), np.float32(largest)), image.grid)


def orient(image: Prepared) -> Prepared:
    """Turn and flip the axes so that k runs to the head, j to the back and i to the left, as near as can be.

    Exact: no voxel is interpolated, oblique axes stay oblique, and every voxel stays where it is in the
    patient (PS3.3 C.7.6.2.1.1). The voxels returned are a view.
    """
    directions = image.grid.affine_lps[:3, :3] / np.linalg.norm(image.grid.affine_lps[:3, :3], axis=0)
    # columns are i, j, k; rows are x, y, z: rank the orders by how well they fit
    order = max(
        permutations(range(3)),
        key=lambda columns: sum(abs(directions[row, column]) for row, column in enumerate(columns)),
    )
    affine = np.eye(4)
    affine[:3, 3] = image.grid.affine_lps[:3, 3]
    voxels = np.transpose(image.voxels, [2 - column for column in reversed(order)])
    for row, column in enumerate(order):
        vector = image.grid.affine_lps[:3, column]
        axis = 2 - row  # of the turned array
        if vector[row] < 0:
            affine[:3, 3] += vector * (voxels.shape[axis] - 1)
            voxels = np.flip(voxels, axis)
            vector = -vector
        affine[:3, row] = vector
    k, j, i = voxels.shape
    return Prepared(voxels, Grid((k, j, i), affine, image.grid.frame_of_reference_uid))


def resample(
    image: Prepared,
    spacing_kji_mm: tuple[float, float, float],
    progress: Progress = no_progress,
) -> Prepared:
    """Resample to `spacing_kji_mm`: trilinear, edges held, blurred first along axes that become coarser.

    The new grid begins at the outer face of the first voxel, as the old one does, so voxel centres are
    aligned and not their corners; its spacing is exactly the one asked for. Returns float32.
    """
    old = image.grid
    axes = [
        _axis(size, have, want)
        for size, have, want in zip(old.shape_kji, old.spacing_kji_mm, spacing_kji_mm, strict=True)
    ]
    along_k, along_j, along_i = (axis.map for axis in axes)
    depth = old.shape_kji[0]
    planes = np.empty((depth, along_j.size, along_i.size), dtype=np.float32)
    for k in range(depth):
        plane = np.ascontiguousarray(image.voxels[k], dtype=np.float32)
        planes[k] = along_j.along_first(along_i.along_last(plane))
        progress(STAGE, k + 1, depth)
    voxels = along_k.along_first(planes)
    affine = old.affine_lps.copy()
    affine[:3, 3] = old.to_lps_mm([axis.first for axis in axes])
    for column, axis in enumerate(reversed(axes)):
        affine[:3, column] *= axis.step
    k, j, i = voxels.shape
    return Prepared(voxels, Grid((k, j, i), affine, old.frame_of_reference_uid))


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """One axis of a resampling: index of the first new voxel and step, in old voxels, and the map."""

    first: float
    step: float
    map: AxisMap


def _axis(size: int, have_mm: float, want_mm: float) -> _Axis:
    step = want_mm / have_mm
    if abs(step - 1.0) < _SAME_SPACING:
        return _Axis(0.0, 1.0, interpolation(np.arange(float(size)), size))
    count = max(1, round(size / step))
    first = 0.5 * step - 0.5
    blur = None
    if step > 1.0:
        blur = _blur(size, min(_BLUR * float(np.sqrt(step * step - 1.0)), _BLUR_AT_MOST))
    return _Axis(first, step, interpolation(first + step * np.arange(count), size, before=blur))


def _blur(size: int, sigma: float) -> Any:
    """Return the sparse matrix of a Gaussian of `sigma` voxels whose edges are held; rows sum to 1."""
    reach = int(_BLUR_REACH * sigma + 0.5)
    taps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (taps / sigma) ** 2)
    weights /= weights.sum()
    rows = np.repeat(np.arange(size), len(taps))
    columns = np.clip(rows + np.tile(taps, size), 0, size - 1)
    return sparse.csr_array((np.tile(weights, size), (rows, columns)), shape=(size, size))
