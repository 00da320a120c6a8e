"""Features of the outline of a region, whatever it shows: IBSI's morphology (HCUG)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from dicomnode.analyse.radiomics.sampled import Sampled
from dicomnode.values import Float64

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shape_volume": "mm3",  # RNU0, of the mesh
        "shape_voxel_volume": "mm3",  # YEKZ
        "shape_surface_area": "mm2",  # C0JK
        "shape_surface_to_volume": "/mm",  # 2PR5
        "shape_compactness": "1",  # BQWJ, the second of IBSI's two
        "shape_sphericity": "1",  # QCFX, 1 of a ball
        "shape_maximum_diameter": "mm",  # L0JK
        "shape_major_axis": "mm",  # TDIC
        "shape_minor_axis": "mm",  # P9VJ
        "shape_least_axis": "mm",  # 7J51
        "shape_elongation": "1",  # Q3CK
        "shape_flatness": "1",  # N17B
    }
)


def shape(region: Sampled) -> dict[str, float]:
    """Measure the outline: a mesh by marching cubes at one half, in patient space, closed at the edge.

    Axes are those of the ellipsoid with the spread of the voxel centres: 4·√λ. Needs scikit-image.
    """
    corners, faces = _mesh(region)
    a, b, c = (corners[faces[:, n]] for n in range(3))
    across = np.cross(b - a, c - a)
    area = float(np.linalg.norm(across, axis=1).sum()) / 2.0
    volume = abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum())) / 6.0
    least, minor, major = _axes_mm(region)
    return {
        "shape_volume": volume,
        "shape_voxel_volume": region.count * region.grid.voxel_mm3,
        "shape_surface_area": area,
        "shape_surface_to_volume": area / volume,
        "shape_compactness": 36.0 * math.pi * volume**2 / area**3,
        "shape_sphericity": (36.0 * math.pi * volume**2) ** (1 / 3) / area,
        "shape_maximum_diameter": _farthest_mm(corners),
        "shape_major_axis": major,
        "shape_minor_axis": minor,
        "shape_least_axis": least,
        "shape_elongation": minor / major,
        "shape_flatness": least / major,
    }


def _mesh(region: Sampled) -> tuple[Float64, Float64]:
    """Return corners in mm, float64 (n, 3), around the middle of the region, and faces, int (m, 3)."""
    from skimage.measure import marching_cubes  # noqa: PLC0415  scikit-image is an extra

    closed = np.pad(region.mask, 1).astype(np.float32)
    made: Any = marching_cubes  # it has no types
    index, faces, _, _ = made(closed, level=0.5, method="lorensen", allow_degenerate=False)
    corners = region.grid.to_lps_mm(np.asarray(index, dtype=np.float64) - 1.0)
    return corners - corners.mean(axis=0), faces


def _axes_mm(region: Sampled) -> Float64:
    """Lengths of the three axes, the shortest first."""
    centres = region.grid.to_lps_mm(np.argwhere(region.mask))
    apart = centres - centres.mean(axis=0)
    spread = np.linalg.eigvalsh(apart.T @ apart / (len(apart) - 1))  # of a sample, as the IBSI's values are
    lengths: Float64 = 4.0 * np.sqrt(np.maximum(spread, 0.0))
    # A region in one slice has no third axis: what the arithmetic leaves of it is nothing
    return np.where(lengths < 1e-6 * lengths[-1], 0.0, lengths)


def _farthest_mm(corners: Float64) -> float:
    """The largest distance between two corners of the mesh: both are corners of its convex hull."""
    try:
        corners = corners[ConvexHull(corners).vertices]
    except QhullError:  # flat to the last digit: then all of its few corners are tried
        corners = np.unique(corners, axis=0)
    return float(pdist(corners).max())
