"""Outlines within one slice, with lengths in mm: closing by a disc, depth below the edge, convex hull."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dicomnode.analyse.grids import Bool


def closed_in_slice(mask: Bool, radius_mm: float, mm: tuple[float, float]) -> Bool:
    """Close a slice by a disc; beyond the images is nothing."""
    room = int(np.ceil(radius_mm / min(mm))) + 1
    wide = np.pad(mask, room)
    if not wide.any():
        return mask
    near = ndimage.distance_transform_edt(~wide, sampling=mm) <= radius_mm
    shut: Bool = (depth_in_slice(near, mm) > radius_mm) | wide
    return shut[room:-room, room:-room]


def depth_in_slice(mask: Bool, mm: tuple[float, float]) -> NDArray[np.float64]:
    """Return how far each pixel of a slice lies within the mask, in mm; its edge is one of the mask, too."""
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=mm)[1:-1, 1:-1]
    return depth


def hull(mask: Bool) -> Bool:
    """Fill the convex hull of `mask` (j, i): its leftmost and rightmost pixel of each row, made convex."""
    rows = np.flatnonzero(mask.any(axis=1))
    full = np.zeros_like(mask)
    if not rows.size:
        return full
    first = mask[rows].argmax(axis=1).astype(float)
    last = mask.shape[1] - 1 - mask[rows][:, ::-1].argmax(axis=1).astype(float)
    every = np.arange(rows[0], rows[-1] + 1)
    low = _envelope(rows, first, every)
    high = -_envelope(rows, -last, every)
    i = np.arange(mask.shape[1])
    full[every] = (i >= np.floor(low)[:, None]) & (i <= np.ceil(high)[:, None])
    return full


def _envelope(
    rows: NDArray[np.int64], values: NDArray[np.float64], every: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the largest convex function below the points, at each of `every` (Andrew's monotone chain)."""
    kept: list[tuple[float, float]] = []
    for point in zip(rows.astype(float), values, strict=True):
        while len(kept) > 1 and _turns(kept[-2], kept[-1], point) <= 0:
            kept.pop()
        kept.append(point)
    x, y = zip(*kept, strict=True)
    found: NDArray[np.float64] = np.interp(every, x, y)
    return found


def _turns(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
