"""Points on and under the surface of a shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.phantom.lattice import Field, Lattice, Point

_STEP_MM = 2.0  # over which a slope is taken


def values_at(field: Field, lattice: Lattice, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate `field` at `points` (n, 3), z, y, x in mm: (n,)."""
    index = (points - np.array(lattice.origin_zyx_mm)) / lattice.step_mm
    found: NDArray[np.float64] = ndimage.map_coordinates(field, index.T, order=1, mode="nearest").astype(
        float
    )
    return found


def outward(field: Field, lattice: Lattice, point: Point) -> NDArray[np.float64]:
    """Unit vector (z, y, x) along which the shape is left fastest."""
    steps = np.eye(3) * _STEP_MM
    points = np.array(point) + np.concatenate([steps, -steps])
    values = values_at(field, lattice, points)
    slope: NDArray[np.float64] = values[:3] - values[3:]
    return slope / max(float(np.linalg.norm(slope)), 1e-6)


def at_depth(field: Field, lattice: Lattice, point: Point, depth_mm: float) -> Point:
    """Move `point` straight in or out until it lies `depth_mm` under the surface (negative: above it)."""
    for _ in range(3):
        gap = float(values_at(field, lattice, np.array([point]))[0]) + depth_mm
        z, y, x = np.array(point) - gap * outward(field, lattice, point)
        point = (float(z), float(y), float(x))
    return point


def points_where(
    there: NDArray[np.bool_], lattice: Lattice, count: int, rng: np.random.Generator
) -> list[Point]:
    """Draw `count` points (z, y, x in mm) of the lattice where `there` holds; none where it never does."""
    inside = np.argwhere(there)
    if not len(inside):
        return []
    chosen = inside[rng.integers(len(inside), size=count)] + rng.uniform(-0.4, 0.4, (count, 3))
    places = chosen * lattice.step_mm + np.array(lattice.origin_zyx_mm)
    return [(float(z), float(y), float(x)) for z, y, x in places]
