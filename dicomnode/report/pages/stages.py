"""A sheet of images on their way into an engine: a slice as it came, then after each thing done to it.

Slices are shown as the arrays have them, with letters that say where they lie in the patient: so that a turn
is seen. Nothing that is written comes from a header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicomnode.report.drawing.panels import BACKGROUND, FAINT, PLAIN, Extract, Lettering, Panel
from dicomnode.report.drawing.patient_views import View
from dicomnode.report.pages.typeface import face, lines_of, plain, writable

_PANEL: Final = 300  # pixels
_GAP: Final = 12
_MARGIN: Final = 12
_IN_A_LINE: Final = 4
_HEADING: Final = 34
_LINE: Final = 17
_TITLE_LINES: Final = 3
_CUT: Final = "…"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StagePicture:
    """A slice after something was done.

    title: what was done. plane: (j, i) of grey or (j, i, 3), any number. window: the values that are black
    and white. has_mm: whether the view's spacing is one. lines: what stands below.
    """

    title: str
    plane: NDArray[np.generic]
    window: tuple[float, float]
    view: View
    has_mm: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageRow:
    """One input of an analysis. problem: why there is no picture, or no further one; "" where all are."""

    heading: str
    pictures: tuple[StagePicture, ...] = ()
    problem: str = ""


def stages_png(rows: Sequence[StageRow]) -> bytes:
    """Draw the sheet, as a PNG; as wide as four pictures, or as the most that a row has."""
    most = max((len(row.pictures) for row in rows), default=1)
    across = min(_IN_A_LINE, max(most, 1))
    width = 2 * _MARGIN + across * _PANEL + (across - 1) * _GAP
    parts = [_row(row, width) for row in rows]
    sheet = Image.new("RGB", (width, sum(one.height for one in parts) + _MARGIN), BACKGROUND)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    buffer = BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _row(row: StageRow, width: int) -> Image.Image:
    room = width - 2 * _MARGIN
    heading = lines_of(writable(row.heading), room, face(17, bold=True))
    problem = lines_of(writable(row.problem), room, plain(14)) if row.problem else []
    lines = [row.pictures[n : n + _IN_A_LINE] for n in range(0, len(row.pictures), _IN_A_LINE)]
    parts = [_line(line) for line in lines]
    top = _HEADING + (len(heading) - 1) * (_LINE + 6)
    height = top + sum(part.height + _GAP for part in parts) + len(problem) * (_LINE + 4) + _GAP
    picture = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(picture)
    for n, text in enumerate(heading):
        pen.text((_MARGIN, 10 + n * (_LINE + 6)), text, fill=PLAIN, font=face(17, bold=True))
    for part in parts:
        picture.paste(part, (_MARGIN, top))
        top += part.height + _GAP
    for n, text in enumerate(problem):
        pen.text((_MARGIN, top + n * (_LINE + 4)), text, fill=PLAIN, font=plain(14))
    return picture


def _line(pictures: Sequence[StagePicture]) -> Image.Image:
    """Pictures side by side, their titles above and their lines below."""
    titles = [_title(one.title) for one in pictures]
    above = max(len(one) for one in titles) * _LINE + 6
    below = max(len(one.lines) for one in pictures) * _LINE + 4
    width = len(pictures) * _PANEL + (len(pictures) - 1) * _GAP
    made = Image.new("RGB", (width, above + _PANEL + below), BACKGROUND)
    pen = ImageDraw.Draw(made)
    for n, (one, title) in enumerate(zip(pictures, titles, strict=True)):
        x = n * (_PANEL + _GAP)
        for m, text in enumerate(title):  # the last line of each stands on its picture
            pen.text((x, above - 5 - (len(title) - m) * _LINE), text, fill=PLAIN, font=plain(13))
        made.paste(_panel(one), (x, above))
        for m, text in enumerate(one.lines):
            pen.text((x, above + _PANEL + 5 + m * _LINE), writable(text), fill=FAINT, font=plain(12))
    return made


def _title(text: str) -> list[str]:
    """Break a title into a few lines; what is longer ends in dots."""
    lines = lines_of(writable(text), _PANEL, plain(13))
    if len(lines) <= _TITLE_LINES:
        return lines
    last = lines[_TITLE_LINES - 1]
    while last and plain(13).getlength(last + _CUT) > _PANEL:
        last = last[:-1]
    return [*lines[: _TITLE_LINES - 1], last + _CUT]


def _panel(one: StagePicture) -> Image.Image:
    """All of the slice, as large as there is room for, in true proportions."""
    rows, columns = one.view.shape
    high, wide = rows * one.view.spacing_mm[0], columns * one.view.spacing_mm[1]
    extract = Extract(((rows - 1) / 2, (columns - 1) / 2), _PANEL / max(high, wide), (_PANEL, _PANEL))
    panel = Panel(one.view, extract, Lettering(plain, 1.0))
    low, high_value = one.window
    toned = (one.plane.astype(np.float32) - low) * (255.0 / max(high_value - low, 1e-12))
    panel.draw_pixels(np.clip(toned, 0, 255).astype(np.uint8))
    panel.write_letters()
    if one.has_mm:
        panel.draw_scale()
    return panel.finished()
