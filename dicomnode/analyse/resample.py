"""Voxels on a grid of another spacing: one map an axis, blurred first where the grid becomes coarser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Bool, mapped
from dicomnode.analyse.spacing import axis_to_spacing, planned
from dicomnode.values import Grid, Progress, no_progress

STAGE: Final = "preparing"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Voxels on a grid on their way into a network: (k, j, i), the volume's unit.

    foreground: while it is prepared together with other channels, what "nonzero_filled" means for all of them
    (bool, (k, j, i)); None: its own voxels tell.
    """

    voxels: NDArray[np.generic]
    grid: Grid
    foreground: Bool | None = None


def resample(
    image: Prepared,
    spacing_kji_mm: tuple[float, float, float],
    progress: Progress = no_progress,
) -> Prepared:
    """Resample to `spacing_kji_mm`: trilinear, edges held, blurred first along axes that become coarser.

    The new grid begins at the outer face of the first voxel, as the old one does, so voxel centres are
    aligned and not their corners; its spacing is exactly the one asked for. Returns float32. Raises
    NodeError(PREPARATION_FAILED) for a spacing that no memory holds.
    """
    old = image.grid
    axes = [
        axis_to_spacing(size, have, want, "faces")
        for size, have, want in zip(old.shape_kji, old.spacing_kji_mm, spacing_kji_mm, strict=True)
    ]
    grid = planned(old, axes)
    along_k, along_j, along_i = (axis.linear(blur=True) for axis in axes)
    voxels = mapped(
        image.voxels, along_k, along_j, along_i, lambda planes, total: progress(STAGE, planes, total)
    )
    return Prepared(voxels, grid)
