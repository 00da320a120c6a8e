"""Which grids can be written as images, and how large an object may be."""

from __future__ import annotations

from typing import Final

from dicomnode.report.fields.planes import are_planes
from dicomnode.values import Findings, Grid

MOST_MAP_BYTES: Final = 500_000_000
"""A map is one object, and archives and viewers take it whole."""

MOST_IMAGES: Final = 5000
"""Planes of a derived image: each is an object."""

MOST_IMAGE_BYTES: Final = 2_000_000_000
"""Pixels of all planes of a derived image."""

_MOST_ROWS: Final = 65535  # Rows and Columns are US


def against_map(findings: Findings, grid: Grid) -> str | None:
    """Say why a map on this grid has no object; None where it has one."""
    size = 4 * grid.shape_kji[0] * grid.shape_kji[1] * grid.shape_kji[2]
    if size > MOST_MAP_BYTES:
        return f"it would have {size / 1e6:.0f} MB, more than {MOST_MAP_BYTES / 1e6:.0f}"
    return against_grid(findings, grid)


def against_image(findings: Findings, grid: Grid) -> str | None:
    """Say why an image on this grid has no objects, whatever its source is; None where that may have them."""
    count, rows, columns = grid.shape_kji
    if count > MOST_IMAGES:
        return f"it has {count} planes, more than {MOST_IMAGES}"
    if (size := 2 * count * rows * columns) > MOST_IMAGE_BYTES:
        return f"it would have {size / 1e6:.0f} MB, more than {MOST_IMAGE_BYTES / 1e6:.0f}"
    return against_grid(findings, grid)


def against_grid(findings: Findings, grid: Grid) -> str | None:
    """Say why a grid cannot be written as images in patient space."""
    if findings.sources[0].plane is not None:
        return "its source is a picture, which lies nowhere in the patient"
    if max(grid.shape_kji[1:]) > _MOST_ROWS:
        return f"it has more than {_MOST_ROWS} rows or columns"
    if not are_planes(grid):
        return "its rows are not perpendicular to its columns"
    return None
