"""How a network's grid goes onto the source's: along the network's axes, a few planes at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dicomnode.analyse.grids import Alignment, AxisMap, Box, align, sampling
from dicomnode.values import Grid

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Some planes of the source, as maps along the network's axes. used: the box that they need."""

    maps: tuple[AxisMap, AxisMap, AxisMap]
    used: tuple[Span, Span, Span]
    order: Sequence[int]


class Onto:
    """How the network's grid goes onto the source's: maps along the axes of the network."""

    def __init__(self, grid: Grid, source: Grid, nearest: tuple[int, ...]) -> None:
        self._grid, self._source, self._nearest = grid, source, nearest
        self.how: Alignment = align(grid, source)

    def planes(self, target: Box) -> list[int]:
        """Return the lengths of a plane of the result, across the network's first axis."""
        sizes = [part.stop - part.start for part in target]
        return [size for size, axis in zip(sizes, self.how.axes, strict=True) if axis != 0]

    def maps(self, target: Box) -> Maps:
        """Return the maps that give `target` of the source."""
        how, along = sampling(self._grid, self._source, target, self._nearest)
        by_axis = dict(zip(how.axes, along, strict=True))
        # As on the host: along the last axis of the source first
        return Maps((by_axis[0], by_axis[1], by_axis[2]), tuple(reversed(how.axes)))


class Maps:
    """Maps along the network's axes that give a box of the source."""

    def __init__(self, maps: tuple[AxisMap, AxisMap, AxisMap], order: Sequence[int]) -> None:
        self._maps, self._order = maps, order
        matrix = maps[0].matrix
        starts = matrix.indptr[:-1]
        self._first = np.minimum.reduceat(matrix.indices, starts)
        self._last = np.maximum.reduceat(matrix.indices, starts)

    def ready(self, seen: int, done: set[int]) -> tuple[list[Span], int | None]:
        """Return which rows along the first axis need planes below `seen` only and are not done yet.

        With it the first plane that the rest will need; None where nothing is left.
        """
        open_ = np.array([row not in done for row in range(len(self._first))], dtype=bool)
        can = open_ & (self._last < seen)
        rows = np.flatnonzero(can)
        spans: list[Span] = []
        if rows.size:
            breaks = np.flatnonzero(np.diff(rows) > 1)
            begins = [int(rows[0]), *(int(rows[one + 1]) for one in breaks)]
            ends = [*(int(rows[one]) + 1 for one in breaks), int(rows[-1]) + 1]
            spans = list(zip(begins, ends, strict=True))
        left = open_ & ~can
        return spans, int(self._first[left].min()) if left.any() else None

    def piece(self, start: int, stop: int) -> Piece:
        """Return the maps of some rows along the first axis, cut to what they use."""
        rows = self._maps[0].rows(slice(start, stop))
        used = [rows.used, self._maps[1].used, self._maps[2].used]
        maps = [one.within(part) for one, part in zip((rows, *self._maps[1:]), used, strict=True)]
        k, j, i = ((part.start, part.stop) for part in used)
        return Piece(maps=(maps[0], maps[1], maps[2]), used=(k, j, i), order=self._order)
