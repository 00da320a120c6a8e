"""Where texts go on an image: near what they speak of, on the image, on no other text, on few lines.

For names on tiles and pictures (in pixels), and for the texts of a presentation state (in columns and rows).
Nothing is drawn here. The same texts in the same order always get the same places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.values import Float64

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, from the upper left corner of the image, in its units."""

_FINE: Final = 4  # cells to a letter's height, in which lines are remembered
_STEP: Final = 0.5  # letters' heights between places that are tried
_AIR: Final = 0.6  # … between a text and what it speaks of
_ON_IT: Final = 3.0  # a text on what it speaks of is as bad as one so many letters' heights further away,
_LINE: Final = 0.75  # … so is a line of a letter's height below it,
_INWARDS: Final = 0.12  # … each letter's height that it reaches towards the middle of the image,
_ACROSS: Final = 0.3  # … and one above or below what it speaks of


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """Boxes that a text may take: (n,) each."""

    left: Float64
    top: Float64
    right: Float64
    bottom: Float64

    def box(self, n: int) -> Box:
        """One of them."""
        return float(self.left[n]), float(self.top[n]), float(self.right[n]), float(self.bottom[n])


class FreePlaces:
    """The places of one image that are still free.

    size: width and height of the image. letter: width and height that a letter is taken to have, which are
    not alike where pixels are no squares.
    """

    def __init__(self, size: tuple[float, float], letter: tuple[float, float]) -> None:
        self._size = size
        self._letter = letter
        self._taken: list[Box] = []
        self._cell = (2 * letter[0] / _FINE, letter[1] / _FINE)
        rows, columns = (
            int(np.ceil(n / cell)) + 1 for n, cell in zip(reversed(size), reversed(self._cell), strict=True)
        )
        self._busy: NDArray[np.bool_] = np.zeros((rows, columns), dtype=bool)
        self._summed: NDArray[np.int64] | None = None

    def take(self, box: Box) -> None:
        """Keep a part of the image for something that no text may stand on."""
        self._taken.append(box)

    def avoid(self, line: Float64) -> None:
        """Leave a line through points (n, 2) x, y free where that costs little."""
        cells = line / self._cell
        onwards = np.diff(cells, axis=0)
        counts = np.ceil(np.abs(onwards).max(axis=1)).astype(int) + 1  # of cells along each part
        part = np.repeat(np.arange(len(onwards)), counts)
        along = (np.arange(len(part)) - np.repeat(counts.cumsum() - counts, counts)) / counts[part]
        points = np.concatenate([cells[part] + along[:, None] * onwards[part], cells[-1:]])
        rows, columns = self._busy.shape
        x, y = points.astype(int).T
        self._busy[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)] = True
        self._summed = None

    def place(
        self, wide: float, high: float, beside: Box, *, farthest: float = np.inf, most_lines: float = np.inf
    ) -> Box | None:
        """Take the best free place for a text of a size, beside something; None where nothing is free.

        farthest: letters' heights that the text may be away from it. most_lines: of the same, the length of
        lines that it may stand on.
        """
        tried = self._tried(wide, high, beside)
        if tried is None:
            return None
        away = self._distance(tried, beside)
        lines = self._lines_below(tried)
        free = (away <= farthest) & (lines <= most_lines)
        for left, top, right, bottom in self._taken:
            free &= ~(
                (tried.left < right) & (left < tried.right) & (tried.top < bottom) & (top < tried.bottom)
            )
        if not free.any():
            return None
        cost = away + _LINE * lines + self._inwards(tried, beside)
        best = int(np.argmin(np.where(free, cost, np.inf)))
        box = tried.box(best)
        self._taken.append(box)
        return box

    def _tried(self, wide: float, high: float, beside: Box) -> _Tried | None:
        """Places all over the image, and those right beside; None for what is larger than the image."""
        width, height = self._size
        if wide > width or high > height:
            return None
        left, top, right, bottom = beside
        air_x, air_y = 2 * _AIR * self._letter[0], _AIR * self._letter[1]
        x = np.arange(0.0, width - wide, 2 * _STEP * self._letter[0])
        y = np.arange(0.0, height - high, _STEP * self._letter[1])
        own_x = [right + air_x, left - air_x - wide, left, right - wide, (left + right - wide) / 2]
        own_y = [top - air_y - high, bottom + air_y, top, bottom - high, (top + bottom - high) / 2]
        at_x = np.clip([*own_x, *x, width - wide], 0.0, width - wide)
        at_y = np.clip([*own_y, *y, height - high], 0.0, height - high)
        lefts, tops = (one.ravel() for one in np.meshgrid(at_x, at_y))
        return _Tried(lefts, tops, np.minimum(lefts + wide, width), np.minimum(tops + high, height))

    def _distance(self, tried: _Tried, beside: Box) -> Float64:
        """How far a text is from its best place beside something, in letters' heights."""
        left, top, right, bottom = beside
        x = np.maximum(np.maximum(left - tried.right, tried.left - right), 0.0) / (2 * self._letter[0])
        y = np.maximum(np.maximum(top - tried.bottom, tried.top - bottom), 0.0) / self._letter[1]
        apart = np.hypot(x, y)
        close: Float64 = np.where(apart >= _AIR * 0.999, apart, _ON_IT + _AIR - apart)
        return close

    def _inwards(self, tried: _Tried, beside: Box) -> Float64:
        """Outwards of something is better: there is less of interest than in the middle of the image."""
        left, _, right, _ = beside
        is_right = left + right > self._size[0]
        reach = np.maximum(left - tried.left if is_right else tried.right - right, 0.0) / (
            2 * self._letter[0]
        )
        across = (tried.left < right) & (left < tried.right)
        worse: Float64 = _INWARDS * reach + np.where(across, _ACROSS, 0.0)
        return worse

    def _lines_below(self, tried: _Tried) -> Float64:
        """Length of the lines that a text would stand on, in letters' heights."""
        if self._summed is None:
            self._summed = np.pad(self._busy.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        rows, columns = self._busy.shape
        x0, x1 = (
            np.clip(one, 0, columns).astype(int)
            for one in (tried.left / self._cell[0], np.ceil(tried.right / self._cell[0]))
        )
        y0, y1 = (
            np.clip(one, 0, rows).astype(int)
            for one in (tried.top / self._cell[1], np.ceil(tried.bottom / self._cell[1]))
        )
        total = self._summed
        count = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
        length: Float64 = count / _FINE
        return length


def box_around(points: Float64) -> Box:
    """The box around points (n, 2) x, y."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def nearest(points: Float64, box: Box) -> tuple[float, float]:
    """The point of (n, 2) x, y that is nearest to a box: where a line from there leads to."""
    left, top, right, bottom = box
    away = np.stack(
        [
            np.maximum(np.maximum(left - points[:, 0], points[:, 0] - right), 0.0),
            np.maximum(np.maximum(top - points[:, 1], points[:, 1] - bottom), 0.0),
        ]
    )
    x, y = points[np.argmin(np.hypot(*away))]
    return float(x), float(y)
