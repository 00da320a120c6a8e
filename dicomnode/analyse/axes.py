"""Long and short axis of a shape on one slice, as a reader would draw them, with end points in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from dicomnode.values import Float64, Grid, Mask, PointLps


@dataclass(frozen=True, slots=True)
class Axes:
    """The two axes on slice `k` of the grid: lengths in mm and end points in LPS mm.

    long: the largest distance between two points of the outline (Feret). short: the longest line across
    it perpendicular to the long one.
    """

    k: int
    long_mm: float
    short_mm: float
    long_lps_mm: tuple[PointLps, PointLps]
    short_lps_mm: tuple[PointLps, PointLps]


def plane_of_slices(grid: Grid) -> str:
    """Name the plane of the patient that the slices lie in, or nearest to: "axial", "coronal", "sagittal"."""
    return ("sagittal", "coronal", "axial")[int(np.abs(grid.normal_lps).argmax())]


def axes_of(mask: Mask, grid: Grid) -> Axes:
    """Measure on the slice of the largest area; of equal ones, the first.

    A report draws them on an image of the series: where that is not axial, they are none of an axial slice.

    The outline runs through the midpoints of the faces between voxels inside and outside: through centres,
    a disc would measure one voxel too little, through corners up to 0.41 too much.
    """
    crop = mask.crop()
    (k0, _), (j0, _), (i0, _) = mask.box_kji
    index = int(crop.sum(axis=(1, 2)).argmax())
    _, j_mm, i_mm = grid.spacing_kji_mm
    spacing = np.array([j_mm, i_mm])
    hull = _hull((_edges(crop[index]) + np.array([j0, i0])) * spacing)
    first, last = _farthest(hull)
    a, b = _across(hull, first, last)
    k = k0 + index

    def lps(point: Float64) -> PointLps:
        x, y, z = grid.to_lps_mm([k, *(point / spacing)])
        return float(x), float(y), float(z)

    return Axes(
        k=k,
        long_mm=float(np.linalg.norm(last - first)),
        short_mm=float(np.linalg.norm(b - a)),
        long_lps_mm=(lps(first), lps(last)),
        short_lps_mm=(lps(a), lps(b)),
    )


def _edges(plane: NDArray[np.bool_]) -> Float64:
    """Return the midpoints (j, i) of all pixel edges between inside and outside."""
    wide = np.pad(plane, 1)
    found = []
    for axis in range(2):
        changes = np.argwhere(np.diff(wide.astype(np.int8), axis=axis)).astype(np.float64) - 1.0
        changes[:, axis] += 0.5
        found.append(changes)
    return np.concatenate(found)


def _hull(points: Float64) -> Float64:
    """Return the corners of the convex hull, in their order around it."""
    hull: Float64 = points[ConvexHull(points).vertices]
    return hull


def _farthest(hull: Float64) -> tuple[Float64, Float64]:
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=-1)
    # Equal to 1e-9 mm is equal: of several longest lines the first, on every machine
    a, b = np.unravel_index(int((apart >= apart.max() - 1e-9).argmax()), apart.shape)
    return hull[a], hull[b]


def _across(hull: Float64, first: Float64, last: Float64) -> tuple[Float64, Float64]:
    """Return the ends of the longest line across the hull that is perpendicular to first → last.

    The width of a convex shape along an axis is concave and bends at corners only: the longest line
    starts at one of them.
    """
    along = (last - first) / np.linalg.norm(last - first)
    normal = np.array([-along[1], along[0]])
    t, u = (hull - first) @ along, (hull - first) @ normal
    best = (-1.0, 0.0, 0.0, 0.0)
    for at in np.unique(t):
        crossings = _crossings(t, u, float(at))
        width = crossings[1] - crossings[0]
        if width > best[0] + 1e-9:
            best = (width, float(at), *crossings)
    _, at, low, high = best
    return first + at * along + low * normal, first + at * along + high * normal


def _crossings(t: Float64, u: Float64, at: float) -> tuple[float, float]:
    """Return the lowest and highest u at which the closed outline (t, u) meets the line t = at."""
    found = list(u[t == at])
    for t0, u0, t1, u1 in zip(t, u, np.roll(t, -1), np.roll(u, -1), strict=True):
        if (t0 - at) * (t1 - at) < 0:
            found.append(u0 + (u1 - u0) * (at - t0) / (t1 - t0))
    return float(min(found)), float(max(found))
