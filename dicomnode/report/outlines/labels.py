"""Where the texts of a slice stand: beside what they speak of, on the image, on no other text.

How large a letter is drawn is the viewer's choice; room is kept for letters of a forty-fifth of the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

from dicomnode.report.drawing.free_places import Box, FreePlaces, box_around, nearest
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

    box, more: left, top, right, bottom as parts of the image. more_width: letters of a line of that text.
    """

    lines: tuple[str, ...]
    box: Box
    more: Box
    more_width: int


def notice_of(words: str, grid: Grid, more: str = "") -> Notice:
    """Break the words of a notice into lines that fit into the image; dots end what is cut off.

    more: the longest text that may have to stand above it; half a line is kept for it where that is enough.
    """
    size, letter = _size(grid), _letter(grid)
    wide, high = letter[0] / size[0], _LEADING * letter[1] / size[1]
    width, half = (max(1, int((end - _MARGIN) / wide)) for end in (1.0 - _MARGIN, _MORE))
    lines = wrap(words, width)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1][:-2]} …"]
    bottom = 1.0 - _MARGIN / 2
    top = max(0.0, bottom - len(lines) * high)
    right, more_width = (_MORE, half) if len(more) <= half else (1.0 - _MARGIN, width)
    more_high = max(1, len(wrap(more, more_width))) * high
    return Notice(
        lines=tuple(lines),
        box=(_MARGIN, top, 1.0 - _MARGIN, bottom),
        more=(_MARGIN, max(0.0, top - more_high), right, top),
        more_width=more_width,
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

    def place(self, lines: Sequence[str], points: Float64, last: Sequence[str] = ()) -> PlacedText | None:
        """Put a text beside `points` (n, 2) column, row; where there is no room, its first line alone.

        last: lines that stand at its end in any case. None where there is no room for that, either.
        """
        columns, rows = self._size
        for some in ((*lines, *last), (*lines[:1], *last)):
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
