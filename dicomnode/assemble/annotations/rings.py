"""Closed lines filled: which pixel centres lie within, by the even-odd rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.values import Float64
from dicomnode.values.mask import Bool

MOST_CROSSINGS: Final = 2**24
"""Of lines with rows of pixels, in one plane: a line of a million points, each 16 rows from the next."""


class CrossingsError(ValueError):
    """Lines that cross more rows than any outline."""


def fill(rings: Sequence[Float64], shape_ji: tuple[int, int]) -> tuple[Bool, int, int]:
    """Fill rings (n, 2) of row and column together: a ring within a ring is a hole, one within that is not.

    Returns bool (j, i) of the part of the image that they reach, and its first row and column. A centre on a
    line belongs to the side of higher rows or columns. Raises CrossingsError.
    """
    points = np.concatenate(list(rings))
    low = np.clip(np.floor(points.min(axis=0)), 0, shape_ji).astype(np.int64)
    high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, shape_ji).astype(np.int64)
    rows, columns = (int(size) for size in np.maximum(high - low, 0))
    crossed = np.zeros((rows, columns + 1), dtype=np.int32)
    if crossed.size and columns:
        for ring in rings:
            _cross(ring - low, crossed)
    inside: Bool = np.cumsum(crossed, axis=1)[:, :columns] % 2 == 1
    return inside, int(low[0]), int(low[1])


def _cross(ring: Float64, crossed: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> None:
    """Count where a ring crosses each row of pixel centres, by the first column behind."""
    rows, columns = crossed.shape[0], crossed.shape[1] - 1
    begin, end = ring, np.roll(ring, -1, axis=0)
    # Of each edge the rows whose centres it passes, its lower end not counted
    low = np.clip(np.ceil(np.minimum(begin[:, 0], end[:, 0])), 0, rows).astype(np.int64)
    high = np.clip(np.ceil(np.maximum(begin[:, 0], end[:, 0])), 0, rows).astype(np.int64)
    lengths = high - low
    if int(lengths.sum()) > MOST_CROSSINGS:
        raise CrossingsError(f"a contour crosses {int(lengths.sum())} rows of pixels")
    edge = np.repeat(np.arange(len(ring)), lengths)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + low[edge]
    part = (row - begin[edge, 0]) / (end[edge, 0] - begin[edge, 0])
    column = begin[edge, 1] + part * (end[edge, 1] - begin[edge, 1])
    np.add.at(crossed, (row, np.ceil(np.clip(column, 0, columns)).astype(np.int64)), 1)
