"""Whether two series lie on each other, to be seen: a checkerboard of both, in three planes."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicomnode.values import Grid

_PANEL: Final = 360  # pixels, the longer side
_FIELDS: Final = 8  # of a checkerboard, along the longer side
_GAP: Final = 6
Grey = NDArray[np.uint8]


def checkerboard_png(fixed: NDArray[Any], moved: NDArray[Any], grid: Grid) -> bytes:
    """Draw a PNG: a row for each plane (through the middle), with the fixed one, the moved one, and both.

    fixed, moved: (k, j, i) on `grid`. Where borders go on from field to field, they lie on each other.
    """
    volumes = [_shown(one) for one in (fixed, moved)]
    rows = []
    for axis in range(3):
        middle = grid.shape_kji[axis] // 2
        first, second = (_panel(np.take(one, middle, axis=axis), axis, grid) for one in volumes)
        both = np.where(_fields(first.shape), first, second)
        gap = np.zeros((first.shape[0], _GAP), dtype=np.uint8)
        rows.append(np.concatenate([first, gap, second, gap, both], axis=1))
    widest = max(row.shape[1] for row in rows)
    page = [np.pad(row, ((0, _GAP), (0, widest - row.shape[1]))) for row in rows]
    stream = BytesIO()
    Image.fromarray(np.concatenate(page)).save(stream, format="PNG")
    return stream.getvalue()


def _shown(voxels: NDArray[Any]) -> Grey:
    """Show values from the 1st to the 99.5th percentile of a part of them."""
    low, high = np.percentile(voxels[::2, ::4, ::4], (1.0, 99.5))
    parts = np.clip((voxels.astype(np.float32) - low) / max(float(high - low), 1e-9), 0.0, 1.0)
    shown: Grey = np.rint(255.0 * parts).astype(np.uint8)
    return shown


def _panel(plane: Grey, axis: int, grid: Grid) -> Grey:
    """Bring a plane to true proportions; the head is up where slices ascend towards it."""
    row_mm, column_mm = (mm for n, mm in enumerate(grid.spacing_kji_mm) if n != axis)
    if axis != 0:
        plane = plane[::-1]
    height, width = plane.shape[0] * row_mm, plane.shape[1] * column_mm
    scale = _PANEL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, Image.Resampling.BILINEAR))


def _fields(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    side = max(1, max(shape) // _FIELDS)
    j, i = np.indices(shape) // side
    return np.asarray((j + i) % 2 == 0)
