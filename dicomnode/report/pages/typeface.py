"""The typeface of pages and documents: Bitstream Vera Sans, which reportlab brings along.

It has the letters of Latin-1 and some more; that of Pillow has not even an umlaut. What it cannot write is
replaced by a mark that nobody takes for a letter.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from PIL import ImageFont

from dicomnode.report.drawing.panels import Font

_POWERS: Final = re.compile(r"\b([cm]m)([23])\b")
REPLACED: Final = "[?]"
WHY_REPLACED: Final = f"{REPLACED} stands for letters that cannot be written here; the report has them."


def file_of(*, bold: bool) -> Path:
    """The file of the typeface."""
    return Path(str(resources.files("reportlab") / "fonts" / ("VeraBd.ttf" if bold else "Vera.ttf")))


@cache
def face(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The typeface in a size in pixels. Its letters are set one by one, alike on every machine."""
    return ImageFont.truetype(file_of(bold=bold), size, layout_engine=ImageFont.Layout.BASIC)


def plain(size: int) -> Font:
    """The regular typeface, as panels take it."""
    return face(size)


def writable(text: str) -> str:
    """The text in letters that the typeface has; each run of others is replaced by a visible mark.

    Powers of millimetres are set as such: only here is there a letter for them.
    """
    made = ""
    composed = unicodedata.normalize("NFC", text)
    for letter in _POWERS.sub(lambda found: f"{found[1]}{'²' if found[2] == '2' else '³'}", composed):
        if letter.isspace():
            made += " "
        elif ord(letter) in _letters():
            made += letter
        elif not made.endswith(REPLACED):
            made += REPLACED
    return made


def lines_of(text: str, width: float, typeface: Font) -> list[str]:
    """Break a text into lines that are as wide as `width` at most; a word that is wider is broken, too."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if typeface.getlength(longer) <= width:
            lines[-1] = longer
            continue
        pieces = _pieces(word, width, typeface)
        lines = [*lines, *pieces] if lines[-1] else pieces
    return lines


def _pieces(word: str, width: float, typeface: Font) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and typeface.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


@cache
def _letters() -> frozenset[int]:
    """Code points that the regular and the bold typeface both have."""
    from reportlab.pdfbase.ttfonts import TTFontFace  # noqa: PLC0415  heavy: only where pages are made

    regular, bold = (TTFontFace(str(file_of(bold=bold))).charToGlyph for bold in (False, True))
    return frozenset(regular) & frozenset(bold)
