"""The document itself: A4, dark on light, with the words and the pictures of the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from PIL import Image

from dicomnode.report.heading.identity import MANUFACTURER, Imprint
from dicomnode.report.pages.picture_views import frame_name, frames_to_look_at, picture_panel
from dicomnode.report.pages.pixels import SourcePixels
from dicomnode.report.pages.sheet import GAP, INNER
from dicomnode.report.pages.shown import Shown
from dicomnode.report.pages.typeface import file_of, writable
from dicomnode.report.pages.volume_views import Views, lesion_views, summary_views, window_name
from dicomnode.report.pages.words import (
    NOT_REVIEWED,
    Found,
    Table,
    Words,
    colours_of,
    headline,
    numbers_of,
    words_of,
)
from dicomnode.report.words.sentences import of_sources
from dicomnode.values.colours import Rgb

MOST_LESIONS: Final = 6  # with pictures; the table names them all
_MOST_FRAMES: Final = 4
IDENTIFIED: Final = (
    "This document names no patient: it is identified by the DICOM header that it travels in. "
    "Printed or exported without that header, it belongs to nobody."
)

_REGULAR, _BOLD = "PagesSans", "PagesSans-Bold"
_MM: Final = 72 / 25.4
_PAGE: Final = (210 * _MM, 297 * _MM)
_MARGIN: Final = 17 * _MM
_BOTTOM: Final = 20 * _MM
_BELOW_HEADING: Final = 70.0  # points
_MARK_SIZE, _LINE = 8, 10.5  # points
_WIDTH: Final = _PAGE[0] - 2 * _MARGIN
_INK: Final = "#14181f"
_PALE: Final = "#5b6470"
_MARK: Final = "#9a5b00"
_RULE: Final = "#c9ced6"
_PANEL_HEIGHTS: Final = (265, 310)  # of the panels of a lesion: two of them go on a page
_PADDING: Final = 6.0  # points, that reportlab leaves around a frame
_PICTURE: Final = (INNER, 760)
_SWATCH: Final = 9.0  # points
_HIGHEST: Final = 0.62 * _PAGE[1]  # that a picture takes of a page


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A PDF, and the images that it shows."""

    content: bytes
    shows: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Figure:
    """A picture with what stands below it, and the findings that stand above it."""

    image: Image.Image
    caption: str
    shows: tuple[Shown, ...]
    found: Found | None = None


def document_of(imprint: Imprint, pixels: SourcePixels | None) -> Document:
    """Lay the document out; the same findings always give the same bytes."""
    words = words_of(imprint)
    figures = _figures(imprint, words, pixels) if pixels is not None else []
    # Twice: how many pages there are is known at the end, and stands on each of them
    _, pages = _laid_out(imprint, words, figures, None)
    content, _ = _laid_out(imprint, words, figures, pages)
    return Document(content, tuple(shown for figure in figures for shown in figure.shows))


# ── Pictures ──────────────────────────────────────────────────────────────────────────────────────
def _figures(imprint: Imprint, words: Words, pixels: SourcePixels) -> list[_Figure]:
    volume = pixels.volume
    if volume is None:
        return _pictures(imprint, words, pixels)
    if not words.lesions:
        views = summary_views(imprint, volume, INNER)
        caption = _sentence(window_name(volume, imprint.findings, None))
        return [_Figure(image=_stacked([views.panels]), caption=caption, shows=_frames(views))]
    figures = []
    for found in words.lesions[:MOST_LESIONS]:
        overview, magnified = lesion_views(imprint, volume, found, _PANEL_HEIGHTS)
        image = _stacked([overview.panels, magnified.panels])
        caption = _sentence(window_name(volume, imprint.findings, found.label))
        figures.append(_Figure(image=image, caption=caption, shows=_frames(overview), found=found))
    return figures


def _frames(views: Views) -> tuple[Shown, ...]:
    return tuple(Shown(0, k) for k in views.slices)


def _pictures(imprint: Imprint, words: Words, pixels: SourcePixels) -> list[_Figure]:
    """One picture as large as there is room for, several two by two: views are looked at side by side."""
    frames = frames_to_look_at(imprint, pixels, words.lesions, _MOST_FRAMES)
    size = _PICTURE if len(frames) == 1 else ((INNER - GAP) // 2, _PICTURE[1] // 2)
    panels = [picture_panel(imprint, pixels, shown, size) for shown in frames]
    names = [frame_name(imprint, pixels.pictures[shown.source], shown) for shown in frames]
    image = _stacked([panels[n : n + 2] for n in range(0, len(panels), 2)])
    return [_Figure(image=image, caption="; ".join(filter(None, names)), shows=tuple(frames))]


def _stacked(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Panels in rows, on white as the page is."""
    width = max(sum(one.width for one in row) + GAP * (len(row) - 1) for row in rows)
    heights = [max(one.height for one in row) for row in rows]
    image = Image.new("RGB", (width, sum(heights) + GAP * (len(rows) - 1)), (255, 255, 255))
    y = 0
    for row, height in zip(rows, heights, strict=True):
        x = 0
        for one in row:
            image.paste(one, (x, y))
            x += one.width + GAP
        y += height + GAP
    return image


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# ── The page ──────────────────────────────────────────────────────────────────────────────────────
def _laid_out(
    imprint: Imprint, words: Words, figures: Sequence[_Figure], of: int | None
) -> tuple[bytes, int]:
    """The document and the number of its pages. of: that number; None leaves the pictures out."""
    from reportlab.platypus import SimpleDocTemplate  # noqa: PLC0415  heavy

    _register()
    buffer = BytesIO()
    template = SimpleDocTemplate(
        buffer,
        pagesize=_PAGE,
        leftMargin=_MARGIN - _PADDING,
        rightMargin=_MARGIN - _PADDING,
        topMargin=_MARGIN - _PADDING,
        bottomMargin=_BOTTOM + _LINE * (len(_mark_lines(words)) - 1),
        invariant=1,  # no clock and no random number in the file
        title=f"{words.title}: {words.engine}",
        author=MANUFACTURER,
        subject=NOT_REVIEWED,
        creator=f"{MANUFACTURER} {imprint.findings.provenance.node_version}",
        lang="en",
    )

    def foot(canvas: Any, document: Any) -> None:
        _foot(canvas, document.page, words, of)

    story = _Story(imprint, words, with_pictures=of is not None).of(figures)
    template.build(story, onFirstPage=foot, onLaterPages=foot)
    return buffer.getvalue(), int(template.page)


@cache
def _register() -> None:
    """Make the typeface known; its letters that are used go into the file."""
    from reportlab.pdfbase.pdfmetrics import registerFont  # noqa: PLC0415  heavy
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415

    registerFont(TTFont(_REGULAR, str(file_of(bold=False))))
    registerFont(TTFont(_BOLD, str(file_of(bold=True))))


def _mark_lines(words: Words) -> list[str]:
    from reportlab.lib.utils import simpleSplit  # noqa: PLC0415  heavy

    lines: list[str] = simpleSplit(" ".join(words.marks), _BOLD, _MARK_SIZE, _WIDTH)
    return lines


def _foot(canvas: Any, page: int, words: Words, of: int | None) -> None:
    """What stands on every page: what it may be used for, whose it is, and its number."""
    canvas.saveState()
    marks = _mark_lines(words)
    y = _BOTTOM + _LINE * (len(marks) - 1) - 4
    canvas.setStrokeColor(_RULE)
    canvas.line(_MARGIN, y, _PAGE[0] - _MARGIN, y)
    canvas.setFillColor(_MARK)
    canvas.setFont(_BOLD, _MARK_SIZE)
    for n, line in enumerate(marks, start=1):
        canvas.drawString(_MARGIN, y - 2 - _LINE * n, line)
    y -= 2 + _LINE * (len(marks) + 1)
    canvas.setFillColor(_PALE)
    canvas.setFont(_REGULAR, 7)
    canvas.drawString(_MARGIN, y, f"{words.engine}. {NOT_REVIEWED}")
    canvas.drawRightString(_PAGE[0] - _MARGIN, y, f"Page {page} of {of or page}")
    canvas.restoreState()


class _Story:
    """What flows over the pages, from the title to how it was made."""

    def __init__(self, imprint: Imprint, words: Words, *, with_pictures: bool) -> None:
        self._imprint = imprint
        self._words = words
        self._with_pictures = with_pictures

    def of(self, figures: Sequence[_Figure]) -> list[Any]:
        """All of it, with the pictures where they belong."""
        words = self._words
        story = [
            _text(words.title, fontName=_BOLD, fontSize=17, leading=22),
            _text(f"{words.engine}. {NOT_REVIEWED}", textColor=_PALE, spaceAfter=2),
            *(_text(mark, fontName=_BOLD, textColor=_MARK) for mark in words.marks),
            _text(IDENTIFIED, fontSize=8, leading=10.5, textColor=_PALE),
            _heading("Conclusion"),
            *(_text(text, fontSize=10, leading=13, spaceAfter=3) for text in words.conclusion),
        ]
        for figure in figures:
            if figure.found is None:
                story += self._figure(figure)
        if words.table.rows:
            story += [_heading("Findings"), _table(words.table)]
        if words.changes:
            story += [_heading("Since the earlier study"), *map(_item, words.changes)]
        story += self._lesions([one for one in figures if one.found is not None])
        if words.remarks:
            story += [_heading("Remarks and limits"), *map(_item, words.remarks)]
        return story + self._ending()

    def _lesions(self, figures: Sequence[_Figure]) -> list[Any]:
        from reportlab.platypus import KeepTogether  # noqa: PLC0415  heavy

        story: list[Any] = []
        if 0 < len(figures) < len(self._words.lesions):
            text = f"With pictures: the first {len(figures)} of {len(self._words.lesions)}."
            story.append(_text(text, textColor=_PALE))
        return story + [KeepTogether(self._lesion(one)) for one in figures]

    def _lesion(self, figure: _Figure) -> list[Any]:
        found = figure.found
        assert found is not None  # only those are asked for
        name = _text(f"{found.label}: {headline(found)}", fontName=_BOLD, fontSize=11, leading=15)
        named = _grid([["", name]], [_SWATCH, _WIDTH - _SWATCH], before=8)
        named.setStyle(
            [("BACKGROUND", (0, 0), (0, 0), _hex(colours_of(self._imprint.findings)[found.label]))]
        )
        return [named, _pairs(numbers_of(found, self._imprint), columns=2), *self._figure(figure)]

    def _figure(self, figure: _Figure) -> list[Any]:
        from reportlab.platypus import Image as Picture  # noqa: PLC0415  heavy
        from reportlab.platypus import Spacer  # noqa: PLC0415

        scale = min(_WIDTH / figure.image.width, _HIGHEST / figure.image.height)
        width, height = figure.image.width * scale, figure.image.height * scale
        caption = _text(figure.caption, fontSize=7.5, textColor=_PALE, spaceAfter=6)
        if not self._with_pictures:
            return [Spacer(width, height), caption]
        buffer = BytesIO()
        figure.image.save(buffer, format="PNG", compress_level=1)  # read again, and packed, by reportlab
        buffer.seek(0)
        return [Picture(buffer, width=width, height=height, hAlign="LEFT"), caption]

    def _ending(self) -> list[Any]:
        """How it was made."""
        from reportlab.platypus import KeepTogether  # noqa: PLC0415  heavy

        sources = of_sources(self._imprint.findings, self._imprint.heading)
        ending = [_heading("How it was made"), _pairs(self._words.provenance, columns=1)]
        ending += [_item(writable(text)) for text in sources]
        if self._words.replaced:
            ending.append(_text(self._words.replaced, textColor=_PALE, spaceBefore=6))
        return [KeepTogether(ending)]  # no page for one line of it


# ── Its parts ─────────────────────────────────────────────────────────────────────────────────────
def _text(text: str, bullet: str | None = None, **style: Any) -> Any:
    """A paragraph; style: what is special about it, in the words of reportlab's ParagraphStyle."""
    from reportlab.lib.styles import ParagraphStyle  # noqa: PLC0415  heavy
    from reportlab.platypus import Paragraph  # noqa: PLC0415

    usual = {"fontName": _REGULAR, "fontSize": 9, "leading": 12, "textColor": _INK, "spaceAfter": 1}
    return Paragraph(escape(text), ParagraphStyle("text", **(usual | style)), bulletText=bullet)


def _heading(text: str) -> Any:
    """A heading, on a page with some room below it."""
    from reportlab.platypus import CondPageBreak, KeepTogether  # noqa: PLC0415  heavy

    heading = _text(text, fontName=_BOLD, fontSize=11.5, leading=15, spaceBefore=9, spaceAfter=3)
    return KeepTogether([CondPageBreak(_BELOW_HEADING), heading])


def _item(text: str) -> Any:
    return _text(text, bullet="•", leftIndent=9, bulletFontName=_REGULAR, bulletFontSize=9, spaceAfter=2)


def _table(table: Table) -> Any:
    """The table of findings; its headings come again on each page."""
    align = [0 if n < table.texts else 2 for n in range(len(table.headings))]  # left, right
    headings = [
        _text(heading, fontSize=8, textColor=_PALE, alignment=side)
        for heading, side in zip(table.headings, align, strict=True)
    ]
    rows = [["", *headings]]
    rows += [
        [
            "",
            *(_text(cell, fontSize=8.5, alignment=side) for cell, side in zip(row.cells, align, strict=True)),
        ]
        for row in table.rows
    ]
    parts = [2.6 if side == 0 else 1.7 for side in align]
    grid = _grid(rows, [_SWATCH, *((_WIDTH - _SWATCH) * part / sum(parts) for part in parts)], repeat=1)
    grid.setStyle(
        [("LINEBELOW", (0, n), (-1, n), 0.4, _RULE) for n in range(len(rows))]
        + [("BACKGROUND", (0, n), (0, n), _hex(row.colour)) for n, row in enumerate(table.rows, start=1)]
    )
    return grid


def _pairs(pairs: Sequence[tuple[str, str]], columns: int) -> Any:
    """Names and values, in columns one beside the other."""
    cells = [
        (_text(name, fontSize=8, leading=10.5, textColor=_PALE), _text(value, fontSize=8, leading=10.5))
        for name, value in pairs
    ]
    cells += [("", "")] * (-len(cells) % columns)
    rows = [[part for cell in cells[n : n + columns] for part in cell] for n in range(0, len(cells), columns)]
    name = 0.18 * _WIDTH
    return _grid(rows, [name, _WIDTH / columns - name] * columns)


def _grid(rows: list[list[Any]], widths: Sequence[float], repeat: int = 0, before: float = 0) -> Any:
    from reportlab.platypus import Table as Grid  # noqa: PLC0415  heavy

    grid = Grid(
        rows, colWidths=list(widths), repeatRows=repeat, hAlign="LEFT", spaceBefore=before, spaceAfter=4
    )
    grid.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 1.6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
            ("LEFTPADDING", (0, 0), (-1, -1), 4),
            ("RIGHTPADDING", (0, 0), (-1, -1), 2),
        ]
    )
    return grid


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
