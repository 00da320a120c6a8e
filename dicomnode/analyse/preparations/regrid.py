"""Steps that interpolate: a new spacing, a fixed shape, a letterbox. CPU path, one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from dicomnode.analyse.grids import Float32, mapped
from dicomnode.analyse.preparations.geometry import padded
from dicomnode.analyse.resample import STAGE, Prepared
from dicomnode.analyse.spacing import (
    Align,
    AxisPlan,
    axis_to_count,
    axis_to_spacing,
    monai_plans,
    planned,
)
from dicomnode.engine.manifest.preparation_geometry import Letterbox, Resample, Resize
from dicomnode.values import Grid, Progress

Float64 = NDArray[np.float64]
Plans = tuple[AxisPlan, AxisPlan, AxisPlan]  # along k, j, i

# nnU-Net: an axis whose spacing is over 3 times the smallest is interpolated on its own
THICK: Final = 3.0
# scipy.ndimage sees a cubic spline whose edge is held through so many voxels more (its `_prepad_for_spline`)
_BEYOND: Final = 12
_HELD: Final = 6.0  # voxels beyond the edge from where its value alone is seen
_ROWS: Final = 16  # rows at a time along k: bounds the float64 copies


def resample_as(image: Prepared, how: Resample, progress: Progress) -> Prepared:
    """`resample`: a new spacing with all choices."""
    spacing = how.spacing_from(image.grid.spacing_kji_mm)
    plans = spacing_plans(image.grid, spacing, how.align)
    if how.thick_slices == "nearest" and how.interpolation != "nearest":
        axis = thick_axis(image.grid.spacing_kji_mm, spacing)
        if axis is not None:
            return _across(image, plans, axis, how, progress)
    return regrid(image, plans, how.interpolation, blur=how.blur, progress=progress)


def resize(image: Prepared, how: Resize, progress: Progress) -> Prepared:
    """`resize`: a fixed shape."""
    k, j, i = (
        axis_to_count(size, count, how.align)
        for size, count in zip(image.grid.shape_kji, how.shape_kji, strict=True)
    )
    return regrid(image, (k, j, i), how.interpolation, blur=how.blur, progress=progress)


def letterbox(image: Prepared, how: Letterbox, progress: Progress) -> Prepared:
    """`letterbox`: planes scaled alike in mm along j and i, then padded on both sides."""
    plans = letterbox_plans(image.grid, how.shape_ji)
    inner = regrid(image, plans, how.interpolation, blur=how.blur, progress=progress)
    return padded(inner, letterbox_margins(inner.grid, how.shape_ji), "constant", how.value)


def spacing_plans(grid: Grid, spacing_kji_mm: Sequence[float], align: Align) -> Plans:
    """Plan the axes of `grid` for a new spacing."""
    if align == "monai":
        return monai_plans(grid, spacing_kji_mm)
    k, j, i = (
        axis_to_spacing(size, have, want, align)
        for size, have, want in zip(grid.shape_kji, grid.spacing_kji_mm, spacing_kji_mm, strict=True)
    )
    return k, j, i


def letterbox_plans(grid: Grid, shape_ji: tuple[int, int]) -> Plans:
    """Plan the axes so that a plane fits the box, with the same spacing along j and i."""
    spacing = grid.spacing_kji_mm
    extents = [size * mm for size, mm in zip(grid.shape_kji, spacing, strict=True)]
    want = max(extents[1] / shape_ji[0], extents[2] / shape_ji[1])
    counts = [min(max(1, round(extents[1 + n] / want)), shape_ji[n]) for n in (0, 1)]
    along_j, along_i = (
        # Of exactly this spacing, about the middle of the plane
        AxisPlan(size, count, (size - 1) / 2.0 - want / mm * (count - 1) / 2.0, want / mm)
        for size, mm, count in zip(grid.shape_kji[1:], spacing[1:], counts, strict=True)
    )
    depth = grid.shape_kji[0]
    return AxisPlan(depth, depth, 0.0, 1.0), along_j, along_i


def letterbox_margins(grid: Grid, shape_ji: tuple[int, int]) -> list[tuple[int, int]]:
    """Return what is padded before and after each axis of the scaled planes."""
    missing = [want - size for want, size in zip(shape_ji, grid.shape_kji[1:], strict=True)]
    return [(0, 0), *((one // 2, one - one // 2) for one in missing)]


def thick_axis(old_kji_mm: Sequence[float], new_kji_mm: Sequence[float]) -> int | None:
    """Return the one axis across thick slices, of the old spacing or else of the new; None without one."""
    for spacing in (old_kji_mm, new_kji_mm):
        if max(spacing) / min(spacing) > THICK:
            largest = [axis for axis, one in enumerate(spacing) if one == max(spacing)]
            return largest[0] if len(largest) == 1 else None
    return None


def regrid(image: Prepared, plans: Plans, interpolation: str, *, blur: bool, progress: Progress) -> Prepared:
    """Interpolate an image at the voxels of the planned grid.

    interpolation: "linear" and "area" give float32, "cubic" float32 within the range of the image, "nearest"
    keeps the type.
    """
    grid = planned(image.grid, plans)
    if all(plan.unchanged for plan in plans):
        return image
    if interpolation == "nearest":
        voxels = image.voxels[np.ix_(*(plan.nearest for plan in plans))]
    elif interpolation == "cubic":
        voxels = _cubic(image.voxels, plans, blur=blur, progress=progress)
    else:
        maps = [plan.area() if interpolation == "area" else plan.linear(blur=blur) for plan in plans]
        voxels = mapped(
            image.voxels, maps[0], maps[1], maps[2], lambda done, total: progress(STAGE, done, total)
        )
    return Prepared(voxels, grid)


def _across(image: Prepared, plans: Plans, axis: int, how: Resample, progress: Progress) -> Prepared:
    """Interpolate within the planes across `axis`, and take the nearest plane along it."""
    needed, again = np.unique(plans[axis].nearest, return_inverse=True)
    stack = np.moveaxis(image.voxels, axis, 0)
    inner = [plan for n, plan in enumerate(plans) if n != axis]
    flat = AxisPlan(1, 1, 0.0, 1.0)
    done = np.empty((len(needed), *(plan.count for plan in inner)), dtype=np.float32)
    one_grid = Grid((1, *stack.shape[1:]), np.eye(4), image.grid.frame_of_reference_uid)
    for n, index in enumerate(needed):
        plane = Prepared(stack[index : index + 1], one_grid)
        plan = (flat, inner[0], inner[1])
        done[n] = regrid(plane, plan, how.interpolation, blur=how.blur, progress=_silent).voxels[0]
        progress(STAGE, n + 1, len(needed))
    return Prepared(np.moveaxis(done[again], 0, axis), planned(image.grid, plans))


def _silent(stage: str, done: int, total: int) -> None:
    """One plane of many reports nothing."""


def _cubic(voxels: NDArray[np.generic], plans: Plans, *, blur: bool, progress: Progress) -> Float32:
    """Interpolate with a cubic spline whose edges are held, in float64; limited to the range of the image."""
    along_k, along_j, along_i = plans
    planes = np.empty((len(voxels), along_j.count, along_i.count), dtype=np.float32)
    for k in range(len(voxels)):
        plane = np.asarray(voxels[k], dtype=np.float64)
        plane = _spline(_spline(plane, along_j, blur=blur).T, along_i, blur=blur).T
        planes[k] = plane
        progress(STAGE, k + 1, len(voxels))
    if not along_k.unchanged:
        whole = np.empty((along_k.count, *planes.shape[1:]), dtype=np.float32)
        for start in range(0, planes.shape[1], _ROWS):
            rows = planes[:, start : start + _ROWS].astype(np.float64)
            flat = _spline(rows.reshape(len(rows), -1), along_k, blur=blur)
            whole[:, start : start + _ROWS] = flat.reshape(along_k.count, *rows.shape[1:])
        planes = whole
    return np.clip(planes, np.float32(voxels.min()), np.float32(voxels.max()), out=planes)


def _spline(block: Float64, plan: AxisPlan, *, blur: bool) -> Float64:
    """Interpolate along the first axis of `block` (n, m)."""
    if plan.unchanged:
        return block
    if blur and plan.blur_voxels > 0.0:
        block = ndimage.gaussian_filter1d(block, plan.blur_voxels, axis=0, mode="nearest")
    held = np.pad(block, ((_BEYOND, _BEYOND), (0, 0)), mode="edge")
    coefficients = ndimage.spline_filter1d(held, order=3, axis=0, mode="nearest")
    return np.asarray(_basis(plan) @ coefficients)


def _basis(plan: AxisPlan) -> Any:
    """Return the sparse matrix (count, size + 2 · 12) of the cubic B-spline's values at the new voxels."""
    at = np.clip(plan.positions, -_HELD, plan.size - 1 + _HELD) + _BEYOND
    low = np.floor(at).astype(np.intp)
    t = at - low
    weights = (
        (1.0 - t) ** 3 / 6.0,
        (3.0 * t**3 - 6.0 * t**2 + 4.0) / 6.0,
        (-3.0 * t**3 + 3.0 * t**2 + 3.0 * t + 1.0) / 6.0,
        t**3 / 6.0,
    )
    rows = np.tile(np.arange(plan.count), 4)
    columns = np.concatenate([low + n for n in (-1, 0, 1, 2)])
    shape = (plan.count, plan.size + 2 * _BEYOND)
    return sparse.csr_array((np.concatenate(weights), (rows, columns)), shape=shape)
