"""Slices under a tilted gantry, straightened for engines; and what was found, back on the slices as scanned.

The upright grid has the planes of the source, each moved within itself: along k nothing is interpolated, and
slice k stays slice k. Within a plane every pixel moves by the same part of a pixel, so that a slice costs two
weighted sums. Back go masks, by whole pixels: what was found on a slice keeps its shape and its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.parallel import each
from dicomnode.analyse.steps import Result
from dicomnode.values import Float64, Grid, Mask, Volume

_ON_A_PIXEL: Final = 1e-5  # a shift nearer than this to whole pixels is one


@dataclass(frozen=True, slots=True, eq=False)
class Upright:
    """How a sheared grid is straightened.

    source: the sheared grid. grid: upright, with the same planes, and wide enough for all of them.
    shifts_kji: float64 (k, 2): by how many rows and columns of the upright grid each slice begins later.
    """

    source: Grid
    grid: Grid
    shifts_kji: Float64

    def voxels(self, voxels: NDArray[np.generic], outside: float) -> Float32:
        """Straighten an array (k, j, i) of the source: bilinear within each slice, `outside` around it.

        Returns float32 of the upright grid. Where a slice moves by whole pixels its values are as they were.
        """
        straight = np.empty(self.grid.shape_kji, dtype=np.float32)

        def one(k: int) -> None:
            rows, columns = (float(shift) for shift in self.shifts_kji[k])
            plane = np.asarray(voxels[k], dtype=np.float32)
            plane = _moved(plane, rows, self.grid.shape_kji[1], outside)
            straight[k] = _moved(plane.T, columns, self.grid.shape_kji[2], outside).T

        for _ in each(one, range(len(straight))):
            pass
        return straight

    def mask(self, mask: Mask) -> Mask:
        """Put a mask of the source down in the upright grid, each slice moved by whole pixels."""
        return self._shifted(mask, np.rint(self.shifts_kji).astype(int), self.grid.shape_kji)

    def mask_back(self, mask: Mask) -> Mask:
        """Put a mask of the upright grid down on the slices as they were scanned: the inverse of `mask`.

        What lies beside the slices was never scanned, and is left out.
        """
        return self._shifted(mask, -np.rint(self.shifts_kji).astype(int), self.source.shape_kji)

    def _shifted(self, mask: Mask, by: NDArray[Any], shape_kji: tuple[int, int, int]) -> Mask:
        (k0, k1), (j0, _), (i0, _) = mask.box_kji
        crop = mask.crop()
        if not crop.size:
            return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), shape_kji, (0, 0, 0))
        low = by[k0:k1].min(axis=0)
        extra = by[k0:k1].max(axis=0) - low
        depth, rows, columns = crop.shape
        wide = np.zeros((depth, rows + extra[0], columns + extra[1]), dtype=bool)
        for n, (j, i) in enumerate(by[k0:k1] - low):
            wide[n, j : j + rows, i : i + columns] = crop[n]
        return _within(wide, shape_kji, (k0, j0 + int(low[0]), i0 + int(low[1])))


def upright_of(grid: Grid) -> Upright:
    """Return how a sheared grid is straightened."""
    column, row, step = grid.affine_lps[:3, :3].T
    along = grid.normal_lps * grid.slice_distance_mm
    beside = step - along
    per_slice = np.array([beside @ row / (row @ row), beside @ column / (column @ column)])
    shifts = np.arange(grid.shape_kji[0])[:, None] * per_slice
    first = np.floor(shifts.min(axis=0) + _ON_A_PIXEL)
    shifts = shifts - first
    near = np.rint(shifts)
    shifts = np.where(np.abs(shifts - near) < _ON_A_PIXEL, near, shifts)
    rows, columns = np.ceil(shifts.max(axis=0)).astype(int) + grid.shape_kji[1:]
    affine = grid.affine_lps.copy()
    affine[:3, 2] = along
    affine[:3, 3] += first[0] * row + first[1] * column
    shape = (grid.shape_kji[0], int(rows), int(columns))
    return Upright(grid, Grid(shape, affine, grid.frame_of_reference_uid), shifts)


def straightened(volumes: Mapping[str, Volume]) -> dict[str, Volume]:
    """Return volumes as engines see them: those of a tilted gantry on an upright grid, others as they are.

    Around the slices lies the lowest value of the volume: air in CT, nothing in MR and PET.
    """
    return {name: _straight(volume) if volume.grid.is_sheared else volume for name, volume in volumes.items()}


def _straight(volume: Volume) -> Volume:
    upright = upright_of(volume.grid)
    voxels = upright.voxels(volume.voxels, float(volume.voxels.min()))
    return replace(volume, voxels=voxels, affine_lps=upright.grid.affine_lps)


def as_scanned(results: Mapping[str, Result], source: Grid) -> Mapping[str, Result]:
    """Return what steps found with its voxels in the grid of the source, from which it was straightened.

    Points, boxes and fields lie in mm and are right as they are; slices keep their numbers.
    """
    if not source.is_sheared:
        return results
    upright = upright_of(source)
    return {name: _returned(result, upright) for name, result in results.items()}


def _returned(result: Result, upright: Upright) -> Result:
    pieces = (replace(piece, mask=upright.mask_back(piece.mask)) for piece in result.pieces)
    return replace(
        result,
        pieces=tuple(piece for piece in pieces if not piece.mask.is_empty),
        heads={name: _returned(head, upright) for name, head in result.heads.items()},
    )


def _moved(lines: Float32, shift: float, size: int, outside: float) -> Float32:
    """Move an array along its first axis by `shift` >= 0 into one of `size`; linear, `outside` around it."""
    whole = int(np.floor(shift))
    part = np.float32(shift - whole)
    moved = np.full((size, *lines.shape[1:]), outside, dtype=np.float32)
    end = whole + len(lines)
    if part == 0.0:
        moved[whole:end] = lines
        return moved
    # What comes to n lies between lines n - whole - 1 and n - whole
    around = np.float32(outside)
    moved[whole] = part * around + (1 - part) * lines[0]
    moved[whole + 1 : end] = part * lines[:-1] + (1 - part) * lines[1:]
    moved[end] = part * lines[-1] + (1 - part) * around
    return moved


def _within(wide: NDArray[np.bool_], shape_kji: tuple[int, int, int], origin: tuple[int, int, int]) -> Mask:
    """Pack what of an array, whose first voxel is `origin`, lies within a grid."""
    low = [max(-start, 0) for start in origin]
    high = [
        min(size - start, length) for size, start, length in zip(shape_kji, origin, wide.shape, strict=True)
    ]
    inside = wide[tuple(slice(a, max(b, a)) for a, b in zip(low, high, strict=True))]
    if not inside.size:
        return Mask.from_crop(np.zeros((1, 1, 1), dtype=bool), shape_kji, (0, 0, 0))
    k, j, i = (start + a for start, a in zip(origin, low, strict=True))
    return Mask.from_crop(inside, shape_kji, (k, j, i))
