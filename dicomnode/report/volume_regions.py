"""Regions of a volume on one of its source slices: numbers only, no DICOM.

A region lies in patient space and runs through slices; a coordinate of a structured report lies on one image.
A point goes straight onto its slice, along the normal; of a box stands the cut of the slice through its
middle, in whatever angle they meet: of a box no cut parallel to the slices is larger. The slices of a tilted
gantry are shifted against each other, so every slice is asked where it lies itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from dicomnode.values import Float64, Grid, PointLps, Region, RegionKind

Graphic = Literal["POINT", "POLYLINE", "ELLIPSE"]

_HALF_A_SLICE: Final = 0.5 + 1e-3  # in slices: what lies nearer to no other slice, and a little for rounding
_NOTHING_MM: Final = 1e-6
_OUTLINE_POINTS: Final = 72  # of an ellipse, where it is cut: a point every five degrees


@dataclass(frozen=True, slots=True, eq=False)
class OnSlice:
    """What a region is on slice `k`: POINT, POLYLINE (closed where first and last are equal) or ELLIPSE.

    corners: float64 (n, 2), column and row, counted from the upper left corner of the first pixel, whose
    centre is 0.5, 0.5 (PS3.3 C.18.6). points_lps_mm: float64 (n, 3), the same points in the patient.
    """

    k: int
    graphic: Graphic
    corners: Float64
    points_lps_mm: Float64


def on_slice(region: Region, grid: Grid) -> OnSlice | None:
    """Put a region onto the slice that shows it best; None where it lies beyond the images.

    Points and flat shapes go onto the slice that they lie nearest to. Of a shape that runs through slices
    stands where it meets the middle one: a line of one that is closed, a point of one that is open.
    """
    if region.kind is RegionKind.BOX:
        return _box(region.points_lps_mm, grid)
    points = np.array(region.points_lps_mm, dtype=np.float64)
    depths = _depths(points, grid)
    k = round(float(depths.mean()))
    if not 0 <= k < grid.shape_kji[0]:
        return None
    if np.abs(depths - k).max() <= _HALF_A_SLICE:
        return _inside(k, _graphic(region), points, grid)
    return _crossing(k, _outline(region), grid)


def line_on_slice(ends_lps_mm: Sequence[PointLps], grid: Grid) -> OnSlice | None:
    """Put a measured line onto its slice; None where it lies on none of them."""
    points = np.array(ends_lps_mm, dtype=np.float64)
    depths = _depths(points, grid)
    k = round(float(depths.mean()))
    if not 0 <= k < grid.shape_kji[0] or np.abs(depths - k).max() > _HALF_A_SLICE:
        return None
    return _inside(k, "POLYLINE", points, grid)


# ── Where points lie ──────────────────────────────────────────────────────────────────────────────
def _depths(points_lps_mm: ArrayLike, grid: Grid) -> Float64:
    """How far points (n, 3) lie along the normal, counted in slices from the first one."""
    away = np.asarray(points_lps_mm, dtype=np.float64) - grid.to_lps_mm((0, 0, 0))
    depths: Float64 = away @ grid.normal_lps / grid.slice_distance_mm
    return depths


def _straight_onto(k: int, points: Float64, grid: Grid) -> Float64:
    """Move points along the normal onto slice k."""
    away_mm = (_depths(points, grid) - k) * grid.slice_distance_mm
    onto: Float64 = points - away_mm[:, None] * grid.normal_lps
    return onto


def _corners(points: Float64, grid: Grid) -> Float64:
    """Column and row of points that lie on a slice."""
    return grid.to_index_kji(points)[:, :0:-1] + 0.5


def _at(k: int, corners: Float64, grid: Grid) -> Float64:
    """Points of a slice by their column and row."""
    rows_columns = corners[:, ::-1] - 0.5
    return grid.to_lps_mm(np.column_stack((np.full(len(corners), float(k)), rows_columns)))


def _inside(k: int, graphic: Graphic, points: Float64, grid: Grid) -> OnSlice | None:
    """Draw points straight onto slice k; None where one of them lies beyond its pixels."""
    onto = _straight_onto(k, points, grid)
    corners = _corners(onto, grid)
    _, rows, columns = grid.shape_kji
    if corners.min() < -_NOTHING_MM or (corners > np.array([columns, rows]) + _NOTHING_MM).any():
        return None
    return OnSlice(k, graphic, np.clip(corners, 0.0, [columns, rows]), onto)


# ── Boxes ─────────────────────────────────────────────────────────────────────────────────────────
def _box(points: Sequence[PointLps], grid: Grid) -> OnSlice | None:
    low, high = np.array(points, dtype=np.float64)
    middle = float(_depths((low + high) / 2.0, grid))
    k = int(np.clip(round(middle), 0, grid.shape_kji[0] - 1))
    cut = _cut(low, high, k, grid)
    if len(cut) < 3 and abs(middle - k) <= _HALF_A_SLICE:  # flat, and between two slices
        cut = _cut(low, high, middle, grid)
    if len(cut) < 3:
        return None
    corners = _within_pixels(_corners(_straight_onto(k, _around(cut, grid), grid), grid), grid)
    if len(corners) < 3:
        return None
    upper_left = int(np.argmin(corners.sum(axis=1)))
    closed = np.roll(corners, -upper_left, axis=0)
    closed = np.vstack((closed, closed[:1]))
    return OnSlice(k, "POLYLINE", closed, _at(k, closed, grid))


def _cut(low: Float64, high: Float64, depth: float, grid: Grid) -> Float64:
    """Points (n, 3) in which the edges of a box meet the plane at a depth, each once, in no order."""
    whole = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
    beyond = (_depths(low + whole * (high - low), grid) - depth) * grid.slice_distance_mm
    met: list[Float64] = []
    for a, b in combinations(range(8), 2):
        if np.abs(whole[a] - whole[b]).sum() != 1:  # no edge
            continue
        for part in _meets(float(beyond[a]), float(beyond[b])):
            point = low + (whole[a] + part * (whole[b] - whole[a])) * (high - low)
            if all(np.linalg.norm(point - other) > _NOTHING_MM for other in met):
                met.append(point)
    return np.array(met).reshape(-1, 3)


def _meets(a_mm: float, b_mm: float) -> tuple[float, ...]:
    """Where the line from one distance of a plane to another meets it, as parts of the line."""
    if max(abs(a_mm), abs(b_mm)) <= _NOTHING_MM:  # it lies in the plane
        return 0.0, 1.0
    if min(a_mm, b_mm) > _NOTHING_MM or max(a_mm, b_mm) < -_NOTHING_MM:
        return ()
    return (float(np.clip(a_mm / (a_mm - b_mm), 0.0, 1.0)),) if a_mm != b_mm else ()


def _around(points: Float64, grid: Grid) -> Float64:
    """Put the corners of a convex shape in their order around it."""
    away = points - points.mean(axis=0)
    right, down = (grid.affine_lps[:3, axis] / np.linalg.norm(grid.affine_lps[:3, axis]) for axis in (0, 1))
    across, along = away @ right, away @ down
    ordered: Float64 = points[np.argsort(np.arctan2(along, across))]
    return ordered


def _within_pixels(corners: Float64, grid: Grid) -> Float64:
    """Cut a convex shape at the edges of the image, one after the other (Sutherland and Hodgman)."""
    _, rows, columns = grid.shape_kji
    for axis, sign, edge in ((0, 1.0, 0.0), (0, -1.0, -columns), (1, 1.0, 0.0), (1, -1.0, -rows)):
        kept: list[Float64] = []
        for here, there in pairwise((*corners, *corners[:1])):
            a, b = sign * here[axis] - edge, sign * there[axis] - edge
            if a >= 0:
                kept.append(here)
            if (a < 0) != (b < 0):
                kept.append(here + a / (a - b) * (there - here))
        corners = np.array(kept).reshape(-1, 2)
    return corners


# ── Other shapes ──────────────────────────────────────────────────────────────────────────────────
def _graphic(region: Region) -> Graphic:
    if region.kind is RegionKind.POINT:
        return "POINT"
    return "ELLIPSE" if region.kind is RegionKind.ELLIPSE else "POLYLINE"


def _outline(region: Region) -> Float64:
    """Points (n, 3) along a shape; of one that is closed, the first stands at the end again."""
    points = np.array(region.points_lps_mm, dtype=np.float64)
    if region.kind is not RegionKind.ELLIPSE:
        return points
    centre, long, short = points.mean(axis=0), (points[1] - points[0]) / 2, (points[3] - points[2]) / 2
    turn = np.linspace(0.0, 2.0 * np.pi, _OUTLINE_POINTS + 1)
    turn[-1] = 0.0
    outline: Float64 = centre + np.cos(turn)[:, None] * long + np.sin(turn)[:, None] * short
    return outline


def _crossing(k: int, outline: Float64, grid: Grid) -> OnSlice | None:
    """Where an outline that runs through slices meets slice k."""
    beyond = (_depths(outline, grid) - k) * grid.slice_distance_mm
    met = [
        here + part * (there - here)
        for (here, a), (there, b) in pairwise(zip(outline, beyond, strict=True))
        for part in _meets(float(a), float(b))
    ]
    if not met:
        return None
    if not np.array_equal(outline[0], outline[-1]):
        return _inside(k, "POINT", np.array(met[len(met) // 2])[None], grid)
    one, other = max(combinations(met, 2), key=lambda pair: float(np.linalg.norm(pair[0] - pair[1])))
    return _inside(k, "POLYLINE", np.array([one, other]), grid)
