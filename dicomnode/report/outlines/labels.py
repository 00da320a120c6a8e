"""Where the texts of a slice stand: beside what they speak of, on the image, and not on each other.

How large a letter is drawn is the viewer's choice; room is kept for letters of a forty-fifth of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomnode.values import Float64, Grid

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in columns and rows from the upper left corner of the image."""

_LINES: Final = 45.0  # of text fit into the larger side of the image
_WIDE: Final = 0.5  # of a letter's height is its width
_AWAY: Final = 1.5  # letters' heights from what it speaks of
_STEPS: Final = 40  # places that are tried upwards and downwards


@dataclass(frozen=True, slots=True, eq=False)
class PlacedText:
    """A text with its box, and the point of what it speaks of that is nearest to it (column, row)."""

    lines: tuple[str, ...]
    box: Box
    anchor: tuple[float, float]


class SliceTexts:
    """The texts of one slice."""

    def __init__(self, grid: Grid) -> None:
        _, rows, columns = grid.shape_kji
        _, row_mm, column_mm = grid.spacing_kji_mm
        letter_mm = max(rows * row_mm, columns * column_mm) / _LINES
        self._size = (float(columns), float(rows))
        self._letter = (letter_mm * _WIDE / column_mm, letter_mm / row_mm)  # columns, rows
        self._taken: list[Box] = []

    def place(self, lines: Sequence[str], points: Float64) -> PlacedText:
        """Put a text beside `points` (n, 2) column, row; where nothing is free, over other texts."""
        columns, rows = self._size
        wide = min(max(map(len, lines)) * self._letter[0], columns)
        high = min(len(lines) * 1.25 * self._letter[1], rows)
        places = [box for box in self._beside(points, wide, high) if _within(box, self._size)]
        free = (box for box in places if not any(_overlap(box, other) for other in self._taken))
        box = next(free, places[0] if places else (0.0, 0.0, wide, high))
        self._taken.append(box)
        middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        column, row = points[np.argmin(np.linalg.norm(points - middle, axis=1))]
        return PlacedText(tuple(lines), box, (float(column), float(row)))

    def _beside(self, points: Float64, wide: float, high: float) -> Iterator[Box]:
        """Yield places for a box: outwards and inwards of the points, then further down and up, then corners.

        Outwards first: what lies there is of less interest than the middle of the image.
        """
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        is_right = left + right > self._size[0]
        air_x, air_y = _AWAY * self._letter[0], _AWAY * self._letter[1]
        middle = min(max((top + bottom) / 2 - high / 2, 0.0), self._size[1] - high)
        for step in range(_STEPS):
            for down in (step * high / 2, -step * high / 2)[: 2 if step else 1]:
                for x in (right + air_x, left - air_x - wide)[:: 1 if is_right else -1]:
                    yield x, middle + down, x + wide, middle + down + high
        for y in (top - air_y - high, bottom + air_y):
            for x in (left, right - wide, 0.0, self._size[0] - wide):
                yield x, y, x + wide, y + high


def _within(box: Box, size: tuple[float, float]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
