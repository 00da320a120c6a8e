"""Closed planar contours of one region, plane by plane, filled on the slices of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.assemble.annotations.laying import COARSER
from dicomnode.assemble.annotations.opened import Opened
from dicomnode.assemble.annotations.painting import Painting
from dicomnode.assemble.annotations.rings import CrossingsError, fill
from dicomnode.faults import ANNOTATION_TOO_LARGE
from dicomnode.values import Float64, Grid

SAME_PLANE: Final = 0.05
"""Contours of one region whose middles lie nearer than this part of a slice distance are of one plane."""

_HALF: Final = 0.501  # of a slice distance, with what decimals round away


def paint_planes(
    contours: Sequence[Float64], grid: Grid, painting: Painting, opened: Opened, *, on_these: bool
) -> tuple[int, int]:
    """Fill contours, each (n, 3) LPS mm, on the slices of a grid.

    A slice takes the plane of contours that is nearest, at most half a slice away. Contours that were drawn
    on other images (on_these: on those of the grid), whose planes lie further apart than the slices, stand
    for all slices that are nearer to them than to the next plane.
    Returns how many contours run across the slices (then nothing is painted), and how many lie beside all
    slices. Raises NodeError(ANNOTATION_TOO_LARGE).
    """
    if not contours:
        return 0, 0
    indices = [grid.to_index_kji(points) for points in contours]
    if across := sum(1 for index in indices if np.ptp(index[:, 0]) > 2 * _HALF):
        return across, 0
    planes = _planes(indices)
    places = np.array([np.mean([index[:, 0].mean() for index in plane]) for plane in planes])
    half = _HALF if on_these else _reach(places)
    slices, rows, columns = grid.shape_kji
    low, high = max(int(np.ceil(places[0] - half)), 0), min(int(places[-1] + half), slices - 1)
    for k in range(low, high + 1):
        nearest = int(np.abs(places - k).argmin())
        if abs(places[nearest] - k) > half:
            continue
        try:
            inside, top, left = fill([index[:, 1:] for index in planes[nearest]], (rows, columns))
        except CrossingsError as error:
            raise opened.refused(ANNOTATION_TOO_LARGE, error=str(error)) from error
        painting.add_plane(k, inside, top, left)
    beside = [len(plane) for n, plane in enumerate(planes) if not -half <= places[n] <= slices - 1 + half]
    return 0, sum(beside)


def _planes(indices: Sequence[Float64]) -> list[list[Float64]]:
    """Put contours of one plane together, ascending."""
    ordered = sorted(indices, key=lambda index: float(index[:, 0].mean()))
    planes: list[list[Float64]] = []
    began = -np.inf
    for index in ordered:
        place = float(index[:, 0].mean())
        if place - began > SAME_PLANE:
            planes.append([])
            began = place
        planes[-1].append(index)
    return planes


def _reach(places: Float64) -> float:
    """Return how far from its plane a contour stands for slices, in slices."""
    steps = np.diff(places)
    return (
        max(float(steps.min()) / 2 * (_HALF / 0.5), _HALF) if steps.size and steps.min() >= COARSER else _HALF
    )
