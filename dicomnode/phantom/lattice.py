"""Smooth shapes as signed distances on a coarse lattice, and how they are read out on a fine grid.

A shape is a float32 array (z, y, x) of distances in mm to its surface, negative inside. Distances are
smooth, so a lattice of 3 mm holds the shape of an organ far below 3 mm; read out by linear interpolation
they give sharp surfaces with partial volume on any finer grid. Points are numpy arrays in the order
(z, y, x) in LPS mm: the order of the axes of every array here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.values import Grid

Float32 = NDArray[np.float32]
Field = NDArray[np.float32]  # (z, y, x) on a lattice: distance in mm, or a value
Point = tuple[float, float, float]  # z, y, x in LPS mm

FAR_MM = 60.0  # distances are not followed farther: nothing is drawn there


@dataclass(frozen=True)
class Lattice:
    """A coarse grid of points along the axes of the patient.

    origin_zyx_mm: first point in LPS mm; step_mm: distance of neighbours; shape_zyx: number of points.
    """

    origin_zyx_mm: Point
    step_mm: float
    shape_zyx: tuple[int, int, int]

    @classmethod
    def around(cls, grid: Grid, step_mm: float) -> Lattice:
        """Make the lattice that encloses `grid` (axes along the patient's) with a point to spare."""
        z, y, x = (grid.to_lps_mm((0, 0, 0))[::-1] - step_mm).tolist()
        counts = [
            int(np.ceil((n - 1) * spacing / step_mm)) + 3
            for n, spacing in zip(grid.shape_kji, grid.spacing_kji_mm, strict=True)
        ]
        return cls((z, y, x), step_mm, (counts[0], counts[1], counts[2]))

    def axis_mm(self, axis: int) -> Float32:
        """Positions along `axis`, shaped so that the three of them broadcast to (z, y, x)."""
        line = self.origin_zyx_mm[axis] + self.step_mm * np.arange(self.shape_zyx[axis])
        return line.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])

    @cached_property
    def z(self) -> Float32:
        """Heights in mm, (z, 1, 1)."""
        return self.axis_mm(0)

    @cached_property
    def y(self) -> Float32:
        """Positions towards the back in mm, (1, y, 1)."""
        return self.axis_mm(1)

    @cached_property
    def x(self) -> Float32:
        """Positions towards the patient's left in mm, (1, 1, x)."""
        return self.axis_mm(2)

    def box(self, low: Sequence[float], high: Sequence[float]) -> tuple[slice, slice, slice]:
        """Index of the lattice points within the box from `low` to `high` (z, y, x in mm)."""
        cut = []
        for origin, count, lo, hi in zip(self.origin_zyx_mm, self.shape_zyx, low, high, strict=True):
            start = int(np.floor((lo - origin) / self.step_mm))
            stop = int(np.ceil((hi - origin) / self.step_mm)) + 1
            cut.append(slice(min(max(start, 0), count), min(max(stop, 0), count)))
        return cut[0], cut[1], cut[2]

    def noise(self, scale_mm: float, rng: np.random.Generator) -> Field:
        """Make a random field with structures of `scale_mm`, mean about 0, SD about 0.5."""
        counts = [max(4, int(np.ceil(n * self.step_mm / scale_mm)) + 4) for n in self.shape_zyx]
        field = rng.standard_normal(counts).astype(np.float32)
        for axis, count in enumerate(self.shape_zyx):
            at = 0.5 + np.arange(count) * (self.step_mm / scale_mm)
            field = _blend(field, axis, at, smooth=True)
        return field

    def tube(self, path: Sequence[Point], radius_mm: float | Sequence[float]) -> Field:
        """Give the distance to a tube of `radius_mm` (one, or one a point) along `path`."""
        radii = np.broadcast_to(np.asarray(radius_mm, dtype=np.float64), (len(path),))
        field = np.full(self.shape_zyx, FAR_MM, dtype=np.float32)
        for a, b, r0, r1 in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
            reach = max(r0, r1) + 15.0
            cut = self.box(np.minimum(a, b) - reach, np.maximum(a, b) + reach)
            z, y, x = self.z[cut[0]], self.y[:, cut[1]], self.x[:, :, cut[2]]
            d = np.subtract(b, a)
            t = ((z - a[0]) * d[0] + (y - a[1]) * d[1] + (x - a[2]) * d[2]) / max(float(d @ d), 1e-6)
            t = np.clip(t, 0.0, 1.0)
            away = (z - a[0] - t * d[0]) ** 2 + (y - a[1] - t * d[1]) ** 2 + (x - a[2] - t * d[2]) ** 2
            np.minimum(field[cut], np.sqrt(away) - (r0 + (r1 - r0) * t), out=field[cut])
        return field

    def ellipsoid(self, centre: Point, radii: Point) -> Field:
        """Give the distance (first order) to an ellipsoid along the axes."""
        z, y, x = (self.z - centre[0], self.y - centre[1], self.x - centre[2])
        rz, ry, rx = (np.float32(r) for r in radii)
        norm = np.sqrt((z / rz) ** 2 + (y / ry) ** 2 + (x / rx) ** 2)
        slope = np.sqrt((z / rz**2) ** 2 + (y / ry**2) ** 2 + (x / rx**2) ** 2)
        field: Field = np.minimum(norm * (norm - 1.0) / np.maximum(slope, 1e-6), FAR_MM).astype(np.float32)
        return field

    def as_distance(self, field: Field) -> Field:
        """Divide a shape function by its slope, so that near its zero it is a distance in mm."""
        slope = np.zeros_like(field)
        for axis in range(3):
            slope += np.gradient(field, self.step_mm, axis=axis) ** 2
        return np.clip(field / np.maximum(np.sqrt(slope), 0.2), -FAR_MM, FAR_MM)


def unite(first: Field, second: Field, blend_mm: float = 0.0) -> Field:
    """Distance to either shape; `blend_mm` rounds the groove between them."""
    if not blend_mm:
        return np.minimum(first, second)
    # Polynomial smooth minimum: exact where the surfaces are more than `blend_mm` apart.
    h = np.maximum(blend_mm - np.abs(first - second), 0.0) / blend_mm
    united: Field = (np.minimum(first, second) - h * h * (blend_mm / 4)).astype(np.float32)
    return united


def _blend(field: Field, axis: int, at: NDArray[np.floating], *, smooth: bool = False) -> Field:
    """Interpolate along one axis at the fractional indices `at`."""
    at = np.clip(at, 0.0, field.shape[axis] - 1.001)
    low = at.astype(np.intp)
    part = (at - low).astype(np.float32)
    if smooth:
        part = part * part * (3 - 2 * part)
    part = part.reshape([-1 if a == axis else 1 for a in range(field.ndim)])
    first = np.take(field, low, axis=axis)
    first += (np.take(field, low + 1, axis=axis) - first) * part
    return first


class SliceReader:
    """Reads fields of a lattice slice by slice on a finer grid whose axes are the patient's."""

    def __init__(self, lattice: Lattice, grid: Grid) -> None:
        self.lattice = lattice
        self.grid = grid
        first = grid.to_lps_mm((0, 0, 0))[::-1]
        self._at = [
            (first[axis] + np.arange(n) * spacing - lattice.origin_zyx_mm[axis]) / lattice.step_mm
            for axis, (n, spacing) in enumerate(zip(grid.shape_kji, grid.spacing_kji_mm, strict=True))
        ]

    def window(self, field: Field, below: float) -> tuple[slice, slice, slice]:
        """Find the part of the grid (k, j, i) where `field` may be less than `below`."""
        found = ndimage.find_objects((field < below).astype(np.uint8))
        if not found:
            return slice(0, 0), slice(0, 0), slice(0, 0)
        cut = []
        for at, span in zip(self._at, found[0], strict=True):
            inside = np.flatnonzero((at > span.start - 1) & (at < span.stop))
            cut.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0))
        return cut[0], cut[1], cut[2]

    def read(self, field: Field, k: int, rows: slice, columns: slice) -> Float32:
        """Interpolate `field` at slice `k` in `rows` and `columns`: (j, i)."""
        at = min(max(float(self._at[0][k]), 0.0), field.shape[0] - 1.001)
        low = int(at)
        plane = field[low] + (field[low + 1] - field[low]) * np.float32(at - low)
        return _blend(_blend(plane, 0, self._at[1][rows]), 1, self._at[2][columns])
