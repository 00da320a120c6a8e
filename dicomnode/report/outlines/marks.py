"""Regions without voxels as lines on the slices that they cut, in the pixels of each slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

import numpy as np

from dicomnode.report.volume_regions import on_slice
from dicomnode.values import Float64, Grid, PointLps, Region, RegionKind

_ARM_MM: Final = (3.0, 9.0)  # from a point where a line towards it begins and ends; pixels without spacing
_HALF: Final = 0.5
_EDGES: Final = tuple(
    (a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b).bit_count() == 1
)  # of a box, by the numbers of its corners


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A line on slice k, or an ellipse by the ends of its axes.

    corners: (n, 2) column, row, counted from the upper left corner of the first pixel, whose centre is 0.5,
    0.5; within the image.
    """

    k: int
    graphic: Literal["POLYLINE", "ELLIPSE"]
    corners: Float64


def marks_of(region: Region, grid: Grid) -> Iterator[Mark]:
    """Yield what is drawn of a region; nothing where it lies beyond the images.

    A box, and any shape that lies in no slice, is the outline of its box on every slice that it cuts; a point
    is four lines towards it that leave it free.
    """
    if region.kind is RegionKind.BOX:
        yield from _box(region.points_lps_mm, grid)
        return
    flat = on_slice(region, grid)
    depth = grid.to_index_kji(region.points_lps_mm)[:, 0]
    if region.kind is RegionKind.POINT:
        if flat is not None:
            yield from _towards(flat.k, flat.corners[0], grid)
    elif flat is not None and np.ptp(depth) <= 2 * _HALF:
        yield Mark(flat.k, "ELLIPSE" if flat.graphic == "ELLIPSE" else "POLYLINE", flat.corners)
    else:
        low, high = np.min(region.points_lps_mm, axis=0), np.max(region.points_lps_mm, axis=0)
        yield from _box((tuple(low), tuple(high)), grid)


def _towards(k: int, point: Float64, grid: Grid) -> Iterator[Mark]:
    """Yield four lines towards a point, as far as they lie on the image."""
    _, row_mm, column_mm = grid.spacing_kji_mm
    _, rows, columns = grid.shape_kji
    for direction in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        ends = [point + np.array(direction) * arm / [column_mm, row_mm] for arm in _ARM_MM]
        line = np.clip(ends, 0.0, [columns, rows])
        if np.abs(line[0] - line[1]).max() > 0:
            yield Mark(k, "POLYLINE", line)


def _box(points_lps_mm: Sequence[PointLps], grid: Grid) -> Iterator[Mark]:
    """Yield the cut of a box with each slice; one that lies between two slices is drawn on the nearer one."""
    corners = grid.to_index_kji(list(product(*zip(*points_lps_mm, strict=True))))
    low, high = corners[:, 0].min(), corners[:, 0].max()
    first, last = max(int(np.ceil(low - _HALF)), 0), min(int(np.floor(high + _HALF)), grid.shape_kji[0] - 1)
    _, rows, columns = grid.shape_kji
    for k in range(first, last + 1):
        cut = _cut(corners, float(np.clip(k, low, high)))
        if len(cut) < 3:
            continue
        shown = np.clip(cut[:, ::-1] + _HALF, 0.0, [columns, rows])
        if np.ptp(shown, axis=0).min() > 0:
            yield Mark(k, "POLYLINE", np.concatenate([shown, shown[:1]]))


def _cut(corners: Float64, k: float) -> Float64:
    """Return where a box is cut at k: the corners (row, column) of a convex shape, around it."""
    met = [corners[n, 1:] for n in range(8) if np.isclose(corners[n, 0], k, rtol=0, atol=1e-9)]
    for a, b in _EDGES:
        (k_a, k_b), (at_a, at_b) = corners[[a, b], 0], corners[[a, b], 1:]
        if min(k_a, k_b) < k - 1e-9 and max(k_a, k_b) > k + 1e-9:
            met.append(at_a + (k - k_a) / (k_b - k_a) * (at_b - at_a))
    points = np.unique(np.round(np.array(met).reshape(-1, 2), 6), axis=0)
    away = points - points.mean(axis=0)
    return points[np.argsort(np.arctan2(away[:, 0], away[:, 1]))]
