"""One page in the making, for the screens of a PACS: 1280 × 1024, light on dark, read at half its size, too.

Texts flow from the top; who made it and what it may be used for stands on every page, as each may be looked
at alone. Its number is written at the end, when all pages are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicomnode.report.drawing.legend import shortened
from dicomnode.report.drawing.panels import BACKGROUND, FAINT, PLAIN
from dicomnode.report.drawing.pictures import WARNING
from dicomnode.report.pages.typeface import face, lines_of
from dicomnode.report.pages.words import NOT_REVIEWED, Row, Table, Words
from dicomnode.values.colours import Rgb

WIDTH: Final = 1280
HEIGHT: Final = 1024
MARGIN: Final = 24
INNER: Final = WIDTH - 2 * MARGIN
GAP: Final = 8

TEXT: Final = 19  # pixels; half of it can still be read
SMALL: Final = 17
ROW: Final = 28  # height of a line of the table
_LEADING: Final = 1.32
_TITLE: Final = 28
_MARK: Final = 20
_SWATCH: Final = 15
_INDENT: Final = 20  # of one of several texts
_BETWEEN: Final = 26  # pixels between two columns of a table
_MOST_BETWEEN: Final = 80  # … more, where there is room
_WIDEST: Final = 0.42  # of the page is what a column of texts takes at most
_RULE: Final = (52, 58, 68)
_BAND: Final = (19, 22, 29)  # behind every other line of a table


class Sheet:
    """A page; `y` is where the next thing goes, `bottom` where the foot of the page begins."""

    def __init__(self, words: Words) -> None:
        self._image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
        self._pen = ImageDraw.Draw(self._image)
        self.y = MARGIN - 6
        self.bottom = self._foot(words)
        self._head(words)

    @property
    def room(self) -> int:
        """Pixels that are left above the foot."""
        return self.bottom - self.y

    def skip(self, pixels: int) -> None:
        """Leave some room."""
        self.y += pixels

    def text(
        self, text: str, *, size: int = TEXT, colour: Rgb = PLAIN, bold: bool = False, most: int = 99
    ) -> None:
        """Write a text in lines, as many as there is room for and at most `most`; dots end what is cut."""
        typeface, height = face(size, bold=bold), round(size * _LEADING)
        lines = lines_of(text, INNER, typeface)
        fit = max(0, min(most, self.room // height))
        if len(lines) > fit > 0:
            ending = typeface.getlength(" …")
            lines = [*lines[: fit - 1], f"{shortened(lines[fit - 1], INNER - ending, typeface)} …"]
        self._lines(lines[:fit], MARGIN, size, colour, bold=bold)

    def item(self, text: str) -> None:
        """Write one of several texts, with a dot before its first line, where there is room for it."""
        self._pen.text((MARGIN, self.y), "•", fill=FAINT, font=face(TEXT))
        self._lines(lines_of(text, INNER - _INDENT, face(TEXT)), MARGIN + _INDENT, TEXT, PLAIN, bold=False)

    def _lines(self, lines: Sequence[str], x: int, size: int, colour: Rgb, *, bold: bool) -> None:
        for line in lines:
            self._pen.text((x, self.y), line, fill=colour, font=face(size, bold=bold))
            self.y += round(size * _LEADING)

    @staticmethod
    def height_of(text: str, size: int = TEXT) -> int:
        """How much a text takes."""
        return round(size * _LEADING) * len(lines_of(text, INNER, face(size)))

    @staticmethod
    def height_of_item(text: str) -> int:
        """How much one of several texts takes."""
        return round(TEXT * _LEADING) * len(lines_of(text, INNER - _INDENT, face(TEXT)))

    def sink(self, height: int) -> None:
        """Leave room until `height` is left."""
        self.y = max(self.y, self.bottom - height)

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Write names and values one after the other, as many as fit on a line."""
        x = MARGIN
        height, typeface = round(TEXT * _LEADING) + 3, face(TEXT)
        for name, value in pairs:
            width = round(typeface.getlength(f"{name}  {value}"))
            if x > MARGIN and x + width > WIDTH - MARGIN:
                x, self.y = MARGIN, self.y + height
            self._pen.text((x, self.y), name, fill=FAINT, font=typeface)
            at = x + round(typeface.getlength(f"{name}  "))
            shown = shortened(value, WIDTH - MARGIN - at, typeface)
            self._pen.text((at, self.y), shown, fill=PLAIN, font=typeface)
            x += width + 2 * _BETWEEN
        self.y += height

    def images(self, images: Sequence[Image.Image]) -> None:
        """Put images in a row, in the middle of the page."""
        x = MARGIN + (INNER - sum(one.width for one in images) - GAP * (len(images) - 1)) // 2
        for image in images:
            self._image.paste(image, (x, self.y))
            x += image.width + GAP
        self.y += max(image.height for image in images) + GAP

    def headline(self, colour: Rgb, name: str, text: str) -> None:
        """Name a finding beside a square of its colour."""
        middle = self.y + 16
        self._square(colour, MARGIN, middle, 20)
        typeface = face(24, bold=True)
        self._pen.text((MARGIN + 32, middle), name, fill=PLAIN, font=typeface, anchor="lm")
        x = MARGIN + 32 + round(typeface.getlength(name)) + 18
        shown = shortened(text, WIDTH - MARGIN - x, face(24))
        self._pen.text((x, middle), shown, fill=PLAIN, font=face(24), anchor="lm")
        self.y += 38

    # ── Tables ────────────────────────────────────────────────────────────────────────────────────
    def table(self, table: Table, rows: Sequence[Row]) -> None:
        """Draw rows of the table of findings under its headings; the caller knows that there is room."""
        places = _columns(table)
        for (x, width, right), heading in zip(places, table.headings, strict=True):
            self._cell(heading, x, width, right=right, colour=FAINT)
        self.y += ROW
        self._pen.line([(MARGIN, self.y - 3), (WIDTH - MARGIN, self.y - 3)], fill=_RULE, width=1)
        for n, row in enumerate(rows):
            if n % 2:
                self._pen.rectangle((MARGIN - 6, self.y, WIDTH - MARGIN + 5, self.y + ROW - 1), fill=_BAND)
            self._square(row.colour, MARGIN, self.y + ROW // 2, _SWATCH)
            for (x, width, right), cell in zip(places, row.cells, strict=True):
                self._cell(cell, x, width, right=right, colour=PLAIN)
            self.y += ROW
        self.y += 6

    def _cell(self, text: str, x: int, width: int, *, right: bool, colour: Rgb) -> None:
        typeface = face(TEXT)
        at = (x + width if right else x, self.y + ROW // 2)
        self._pen.text(
            at, shortened(text, width, typeface), fill=colour, font=typeface, anchor="rm" if right else "lm"
        )

    def _square(self, colour: Rgb, x: int, middle: int, size: int) -> None:
        self._pen.rectangle((x, middle - size // 2, x + size - 1, middle - size // 2 + size - 1), fill=colour)

    # ── What stands on every page ─────────────────────────────────────────────────────────────────
    def _head(self, words: Words) -> None:
        title = shortened(words.title, INNER - 150, face(_TITLE, bold=True))
        self._pen.text((MARGIN, self.y), title, fill=PLAIN, font=face(_TITLE, bold=True))
        self.y += round(_TITLE * _LEADING)
        self.text(f"{words.engine}. {NOT_REVIEWED}", size=SMALL, colour=FAINT, most=1)
        self.y += 4
        self._pen.line([(MARGIN, self.y), (WIDTH - MARGIN, self.y)], fill=_RULE, width=2)
        self.y += 12

    def _foot(self, words: Words) -> int:
        """Write what it may be used for at the bottom; returns where that begins."""
        typeface, height = face(_MARK, bold=True), round(_MARK * _LEADING)
        lines = [line for mark in words.marks for line in lines_of(mark, INNER, typeface)]
        top = HEIGHT - MARGIN + 8 - height * len(lines)
        self._pen.line([(MARGIN, top - 8), (WIDTH - MARGIN, top - 8)], fill=_RULE, width=2)
        for n, line in enumerate(lines):
            self._pen.text((MARGIN, top + n * height), line, fill=WARNING, font=typeface)
        return top - 16

    def finished(self, number: int, of: int) -> NDArray[np.uint8]:
        """The page with its number: uint8 (1024, 1280, 3)."""
        self._pen.text(
            (WIDTH - MARGIN, MARGIN), f"Page {number} of {of}", fill=FAINT, font=face(SMALL), anchor="ra"
        )
        return np.asarray(self._image)


def _columns(table: Table) -> list[tuple[int, int, bool]]:
    """Left edge, width, and whether numbers stand to the right, of each column.

    As wide as their cells; texts are cut where there is no room, numbers never.
    """
    typeface = face(TEXT)
    cells = [table.headings, *(row.cells for row in table.rows)]
    widths = [max(round(typeface.getlength(row[n])) + 1 for row in cells) for n in range(len(table.headings))]
    room = INNER - _SWATCH - 12 - _BETWEEN * (len(widths) - 1)
    for n in range(table.texts):
        widths[n] = min(widths[n], round(_WIDEST * INNER))
    over = sum(widths) - room
    for n in reversed(range(table.texts)):  # what and where gives way before the name does
        cut = max(0, min(over, widths[n] - 80))
        widths[n], over = widths[n] - cut, over - cut
    # So that the last column ends where the page does, unless it would stand for itself
    spare = min(_MOST_BETWEEN, max(0, -over) // max(1, len(widths) - 1))
    places, x = [], MARGIN + _SWATCH + 12
    for n, width in enumerate(widths):
        places.append((x, width, n >= table.texts))
        x += width + _BETWEEN + spare
    return places
