"""Voxels on a grid of another spacing: one map an axis, blurred first where the grid becomes coarser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dicomnode.analyse.grids import AxisMap, interpolation, mapped
from dicomnode.values import Grid, Progress, no_progress

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
    voxels = mapped(
        image.voxels, along_k, along_j, along_i, lambda planes, total: progress(STAGE, planes, total)
    )
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
