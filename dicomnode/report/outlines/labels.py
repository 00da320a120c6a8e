"""Where the texts of a slice stand: beside what they speak of, on the image, on no other text.

How large a letter is drawn is the viewer's choice; room is kept for letters of a forty-fifth of the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from dicomnode.report.free_places import Box, FreePlaces, box_around, nearest
from dicomnode.values import Float64, Grid

_LINES: Final = 45.0  # of text fit into the larger side of the image
_WIDE: Final = 0.5  # of a letter's height is its width
_LEADING: Final = 1.25  # letters' heights from one line to the next
_MARGIN: Final = 0.02  # of the image, left and right of the notice; half of it below
_MOST_LINES: Final = 5  # of the notice
_MORE: Final = 0.5  # of the image is as much as the text on what has none takes


@dataclass(frozen=True, slots=True, eq=False)
class PlacedText:
    """A text with its box, and the point of what it speaks of that is nearest to it (column, row)."""

    lines: tuple[str, ...]
    box: Box
    anchor: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Notice:
    """What stands at the lower edge of every image, and what is kept free for a text above it.

    box, more: left, top, right, bottom as parts of the image.
    """

    lines: tuple[str, ...]
    box: Box
    more: Box


def notice_of(words: str, grid: Grid) -> Notice:
    """Break the words of a notice into lines that fit into the image; dots end what is cut off."""
    size, letter = _size(grid), _letter(grid)
    wide, high = letter[0] / size[0], _LEADING * letter[1] / size[1]
    lines = wrap(words, max(1, int((1.0 - 2 * _MARGIN) / wide)))
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1][:-2]} …"]
    bottom = 1.0 - _MARGIN / 2
    top = max(0.0, bottom - len(lines) * high)
    return Notice(
        lines=tuple(lines),
        box=(_MARGIN, top, 1.0 - _MARGIN, bottom),
        more=(_MARGIN, max(0.0, top - high), _MORE, top),
    )


class SliceTexts:
    """The texts of one slice.

    notice: stands on it. lines: what is drawn on it, (n, 2) column, row each; texts keep off them where that
    costs little. left_out: how many texts found no place.
    """

    def __init__(self, grid: Grid, notice: Notice | None = None, lines: Iterable[Float64] = ()) -> None:
        self._size, self._letter = _size(grid), _letter(grid)
        self._places = FreePlaces(self._size, self._letter)
        self.left_out = 0
        for left, top, right, bottom in () if notice is None else (notice.box, notice.more):
            columns, rows = self._size
            self._places.take((left * columns, top * rows, right * columns, bottom * rows))
        for line in lines:
            self._places.avoid(line)

    def place(self, lines: Sequence[str], points: Float64) -> PlacedText | None:
        """Put a text beside `points` (n, 2) column, row; where there is no room, its first line alone.

        None where there is none for that, either.
        """
        columns, rows = self._size
        for some in (lines, lines[:1]):
            wide = min(max(map(len, some)) * self._letter[0], columns)
            high = min(len(some) * _LEADING * self._letter[1], rows)
            box = self._places.place(wide, high, box_around(points))
            if box is not None:
                return PlacedText(tuple(some), box, nearest(points, box))
        self.left_out += 1
        return None


def _size(grid: Grid) -> tuple[float, float]:
    """Columns and rows."""
    _, rows, columns = grid.shape_kji
    return float(columns), float(rows)


def _letter(grid: Grid) -> tuple[float, float]:
    """Width and height of a letter in columns and rows."""
    (columns, rows), (_, row_mm, column_mm) = _size(grid), grid.spacing_kji_mm
    letter_mm = max(rows * row_mm, columns * column_mm) / _LINES
    return letter_mm * _WIDE / column_mm, letter_mm / row_mm
