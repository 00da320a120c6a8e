"""Where the voxels of a new grid lie among those of the old one, axis by axis: sizes and positions only.

Nothing here touches a voxel. The maps made from it run on the CPU or on a device alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dicomnode.analyse.grids import AxisMap, interpolation
from dicomnode.faults import PREPARATION_FAILED, NodeError
from dicomnode.values import Grid

LARGEST_GRID: Final = 2**30  # voxels: 4 GiB of float32; a hostile or mistyped spacing asks for more

_SAME: Final = 1e-6  # relative difference below which a spacing is the one that is asked for
_MONAI_SAME_MM: Final = 1e-3  # MONAI's AFFINE_TOL: a spacing so near is left as it is
_MONAI_ROUNDING: Final = 1e-8  # and what numpy.allclose takes for 0
_ON_THE_EDGE: Final = 1e-6  # voxels: positions nearer to the middle between two voxels are in the middle
# As in dicomnode.analyse.resample: from a Gaussian of half a fine voxel to one of half a coarse voxel
_BLUR: Final = 0.5
_BLUR_AT_MOST: Final = 0.6
_BLUR_REACH: Final = 4.0  # standard deviations

Align = Literal["faces", "extent", "first_centre", "corners", "monai"]


@dataclass(frozen=True, slots=True)
class AxisPlan:
    """One axis: `count` new voxels at first + step · n, in indices of the `size` old ones."""

    size: int
    count: int
    first: float
    step: float

    @property
    def unchanged(self) -> bool:
        """Whether every new voxel is the old one."""
        return self.count == self.size and self.first == 0.0 and self.step == 1.0

    @property
    def positions(self) -> NDArray[np.float64]:
        """Index of each new voxel among the old ones; outside of them the edge is held."""
        return np.asarray(self.first + self.step * np.arange(self.count), dtype=np.float64)

    @property
    def nearest(self) -> NDArray[np.intp]:
        """Old voxel nearest to each new one; of two equally near the later (as scipy's and torch's exact)."""
        near = np.floor(self.positions + 0.5 + _ON_THE_EDGE).astype(np.intp)
        return np.clip(near, 0, self.size - 1)

    @property
    def blur_voxels(self) -> float:
        """Standard deviation of the blur before a coarser grid is taken; 0 where it becomes finer."""
        if self.step <= 1.0:
            return 0.0
        return min(_BLUR * float(np.sqrt(self.step * self.step - 1.0)), _BLUR_AT_MOST)

    def linear(self, *, blur: bool) -> AxisMap:
        """Return the map that interpolates linearly, blurred first where it becomes coarser."""
        sigma = self.blur_voxels if blur else 0.0
        before = _gaussian(self.size, sigma) if sigma > 0.0 else None
        return interpolation(self.positions, self.size, before=before)

    def area(self) -> AxisMap:
        """Return the map that takes the mean of all old voxels that a new one covers, in part or whole."""
        rows, columns, weights = [], [], []
        for row in range(self.count):
            covered = range(row * self.size // self.count, -(-(row + 1) * self.size // self.count))
            rows += [row] * len(covered)
            columns += list(covered)
            weights += [1.0 / len(covered)] * len(covered)
        return AxisMap(sparse.csr_array((weights, (rows, columns)), shape=(self.count, self.size)))


def axis_to_spacing(size: int, have_mm: float, want_mm: float, align: Align) -> AxisPlan:
    """Plan an axis of `size` voxels of `have_mm` for a spacing of `want_mm`."""
    step = want_mm / have_mm
    if abs(step - 1.0) < _SAME:
        return AxisPlan(size, size, 0.0, 1.0)
    if align in ("first_centre", "monai"):
        return AxisPlan(size, max(1, round((size - 1) / step + 1.0)), 0.0, step)
    if align == "corners":
        return axis_to_count(size, max(1, round((size - 1) / step + 1.0)), "corners", step)
    if align == "extent":
        # In this order of operations, as scikit-image's users count: ties fall to the same side
        return axis_to_count(size, max(1, round(have_mm / want_mm * size)), "extent")
    return AxisPlan(size, max(1, round(size / step)), 0.5 * step - 0.5, step)


def axis_to_count(
    size: int, count: int, align: Literal["extent", "corners"], step_of_one: float | None = None
) -> AxisPlan:
    """Plan an axis of `size` voxels for `count` of them.

    step_of_one: with "corners", the step that a single voxel, set in the middle, has; else it covers all.
    """
    if align == "extent":
        step = size / count
        return AxisPlan(size, count, 0.5 * step - 0.5, step)
    if count > 1 and size > 1:
        return AxisPlan(size, count, 0.0, (size - 1) / (count - 1))
    step = float(size) / count if step_of_one is None else step_of_one
    return AxisPlan(size, count, (size - 1) / 2.0 - step * (count - 1) / 2.0, step)


def monai_plans(grid: Grid, spacing_kji_mm: Sequence[float]) -> tuple[AxisPlan, AxisPlan, AxisPlan]:
    """Plan the axes of `grid` as MONAI's Spacing does for the same image from a NIfTI file.

    Where its axes are exactly at right angles the first voxel keeps its place. The matrix of a NIfTI file is
    float32, and in an oblique one rounding leaves them a little askew: then MONAI finds no first corner, and
    index n / 2 keeps its place. Source: monai.data.utils.compute_shape_offset (1.6).
    """
    k, j, i = (
        AxisPlan(size, size, 0.0, 1.0)
        if abs(want - have) <= _MONAI_SAME_MM
        else axis_to_spacing(size, have, want, "first_centre")
        for size, have, want in zip(grid.shape_kji, grid.spacing_kji_mm, spacing_kji_mm, strict=True)
    )
    new_mm = [plan.step * mm for plan, mm in zip((k, j, i), grid.spacing_kji_mm, strict=True)]
    if _has_first_corner(grid, new_mm):
        return k, j, i
    k, j, i = (replace(plan, first=plan.size / 2.0 - plan.step * plan.count / 2.0) for plan in (k, j, i))
    return k, j, i


def _has_first_corner(grid: Grid, spacing_kji_mm: Sequence[float]) -> bool:
    """Tell whether one corner of the image is the lowest along all axes, by the arithmetic of MONAI."""
    ras = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine_lps).astype(np.float32).astype(np.float64)
    axes = ras[:3, 2::-1]  # MONAI's first axis is k
    upper = np.linalg.cholesky(axes.T @ axes).T
    to_new = upper / np.asarray(spacing_kji_mm)[:, None]
    ends = np.array(list(product(*((0.0, size - 1.0) for size in grid.shape_kji))))
    lowest = (ends @ to_new.T).min(axis=0)  # the first corner is 0, 0, 0
    return bool((np.abs(lowest) <= _MONAI_ROUNDING).all())


def planned(grid: Grid, axes: Sequence[AxisPlan]) -> Grid:
    """Return the grid that plans for k, j and i make of `grid`.

    Raises NodeError(PREPARATION_FAILED) when it would have more voxels than `LARGEST_GRID`.
    """
    k, j, i = (axis.count for axis in axes)
    allowed(k, j, i)
    affine = grid.affine_lps.copy()
    affine[:3, 3] = grid.to_lps_mm([axis.first for axis in axes])
    for column, axis in enumerate(reversed(axes)):
        affine[:3, column] *= axis.step
    return Grid((k, j, i), affine, grid.frame_of_reference_uid)


def allowed(k: int, j: int, i: int) -> None:
    """Refuse a grid of more voxels than `LARGEST_GRID`, before any memory is taken."""
    if k * j * i > LARGEST_GRID:
        reason = f"the new grid would have {k}×{j}×{i} voxels, of which at most {LARGEST_GRID} are allowed"
        raise NodeError(PREPARATION_FAILED, reason=reason)


def _gaussian(size: int, sigma: float) -> Any:
    """Return the sparse matrix of a Gaussian of `sigma` voxels whose edges are held; rows sum to 1."""
    reach = int(_BLUR_REACH * sigma + 0.5)
    taps = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (taps / sigma) ** 2)
    weights /= weights.sum()
    rows = np.repeat(np.arange(size), len(taps))
    columns = np.clip(rows + np.tile(taps, size), 0, size - 1)
    return sparse.csr_array((np.tile(weights, size), (rows, columns)), shape=(size, size))
