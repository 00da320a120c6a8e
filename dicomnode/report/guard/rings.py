"""Closed lines filled again, by who did not draw them: which pixels lie within.

A line that runs between pixels leaves every centre on one side, whatever is done at its edge. So each is
filled twice, moved a fifth of a pixel to either side: one that runs through centres gives two answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Float64, Mask

Bool = NDArray[np.bool_]

# Of a pixel: a corner that is cut passes the centre at a quarter of it in rows and columns
_ASIDE: Final = 0.2


def compare_rings(rings: Sequence[Float64], mask: Mask, k: int) -> tuple[int, bool]:
    """Fill rings (n, 2) of row, column on slice k, by the even-odd rule, and compare that with a mask there.

    Give how many pixels they hold, and whether these are those of the mask.
    """
    plane = mask.plane(k)
    _, (top, bottom), (left, right) = mask.box_kji
    corners = np.concatenate([np.array([(top, left), (bottom, right)]), *rings])
    low, high = np.floor(corners.min(axis=0)).astype(int) - 1, np.ceil(corners.max(axis=0)).astype(int) + 2
    shape = tuple(int(size) for size in high - low)
    wanted = np.zeros(shape, dtype=bool)
    wanted[top - low[0] : bottom - low[0], left - low[1] : right - low[1]] = plane
    filled = [_filled([ring - low + aside for ring in rings], shape) for aside in (-_ASIDE, _ASIDE)]
    return int(np.count_nonzero(filled[0])), all(np.array_equal(one, wanted) for one in filled)


def surrounds_piece(ring: Float64, mask: Mask, k: int) -> bool:
    """Tell whether a ring (n, 2) of row, column runs around one piece of a mask on slice k, holes and all.

    Just within it all is of the mask, and nothing just outside.
    """
    low, high = np.floor(ring.min(axis=0)).astype(int) - 2, np.ceil(ring.max(axis=0)).astype(int) + 3
    shape = tuple(int(size) for size in high - low)
    there = np.zeros(shape, dtype=bool)
    (top, bottom), (left, right) = mask.box_kji[1:]
    rows, columns = (slice(max(a, b), min(c, d)) for a, b, c, d in (
        (top, low[0], bottom, high[0]), (left, low[1], right, high[1])))  # fmt: skip
    if rows.start < rows.stop and columns.start < columns.stop:
        part = mask.plane(k)[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        there[rows.start - low[0] : rows.stop - low[0], columns.start - low[1] : columns.stop - low[1]] = part
    one, other = (_filled([ring - low + aside], shape) for aside in (-_ASIDE, _ASIDE))
    outside, inside = _grown(one) & ~one, one & _grown(~one)
    if not one.any() or not np.array_equal(one, other) or (there & outside).any():
        return False
    return bool(there[inside].all())


def _grown(mask: Bool) -> Bool:
    """Its pixels and their neighbours in rows and columns."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _filled(rings: Sequence[Float64], shape_ji: tuple[int, ...]) -> Bool:
    """Which pixel centres lie within the rings (n, 2) of row, column: bool (rows, columns), even-odd rule."""
    rows, columns = shape_ji
    crossed = np.zeros((rows, columns + 1), dtype=np.int64)
    for ring in rings:
        begin, end = ring, np.roll(ring, -1, axis=0)
        # Of each edge the rows whose centres it passes, its lower end not counted
        low, high = (np.ceil(pick(begin[:, 0], end[:, 0])).astype(int) for pick in (np.minimum, np.maximum))
        low, high = np.clip(low, 0, rows), np.clip(high, 0, rows)
        lengths = high - low
        edge = np.repeat(np.arange(len(ring)), lengths)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + low[edge]
        part = (row - begin[edge, 0]) / (end[edge, 0] - begin[edge, 0])
        column = begin[edge, 1] + part * (end[edge, 1] - begin[edge, 1])
        np.add.at(crossed, (row, np.clip(np.ceil(column), 0, columns).astype(int)), 1)
    inside: Bool = np.cumsum(crossed, axis=1)[:, :columns] % 2 == 1
    return inside
