"""What is done to a volume before the steps of an engine: named preparations, in the order of the manifest.

Each takes voxels on a grid and gives voxels on a grid; the affine of the result is exact, so that what is
found on it can be put back where it lies in the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from dicomnode.analyse.resample import Prepared, resample
from dicomnode.engine import Preparation
from dicomnode.values import Grid, Progress, Volume, no_progress


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
