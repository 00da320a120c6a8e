"""Which pages there are and what stands where: a summary, a page a lesion, the key slices, a page a map.

Bounds: what would be too many pages for anybody to look at is left out, and the first page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.report.drawing.panels import FAINT
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.pages.heat_views import HEAT, heat_views, heat_words
from dicomnode.report.pages.picture_views import (
    frame_name,
    frames_to_look_at,
    frames_with_findings,
    picture_panel,
)
from dicomnode.report.pages.pixels import SourcePixels
from dicomnode.report.pages.sheet import GAP, INNER, ROW, SMALL, TEXT, Sheet
from dicomnode.report.pages.shown import Shown
from dicomnode.report.pages.typeface import writable
from dicomnode.report.pages.volume_views import (
    Montage,
    lesion_views,
    montage,
    montage_slices,
    summary_views,
    window_name,
)
from dicomnode.report.pages.words import (
    Found,
    Row,
    Words,
    colours_of,
    headline,
    key_slice,
    numbers_of,
    words_of,
)
from dicomnode.report.words.wording import joined
from dicomnode.values import Picture, ScalarMap, Volume

MOST_LESIONS: Final = 8  # with a page of their own
MOST_FRAMES: Final = 6  # of pictures, with a page of their own
MOST_MAPS: Final = 4  # with a page of their own
MOST_LISTS: Final = 3  # pages that go on with the table and the remarks
_SIDE_BY_SIDE: Final = 4  # pictures on the first page
_LOWEST, _HIGHEST, _HIGHEST_PICTURE = 250, 405, 580  # height of the images on the first page
_OVERVIEW: Final = 310  # … and of the whole on the page of a lesion
_CONCLUSION: Final = 22
_FEWEST_ROWS: Final = 4  # of the table on the first page, if there are so many
_FOR_REMARKS: Final = 150  # pixels that are kept free for remarks there
_CAPTION: Final = 36  # below the images on the first page
_UNNAMED_LINES: Final = 2  # on what the key images have no room to name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """A drawn page. shows: the frames of the sources on it. description: what was done to them.

    single: of a page that is one picture, that frame.
    """

    sheet: Sheet
    description: str
    shows: tuple[Shown, ...] = ()
    single: Shown | None = None
    is_montage: bool = False


def pages_of(imprint: Imprint, pixels: SourcePixels | None) -> list[Page]:
    """Draw all pages, the summary first; without pixels those of text alone."""
    words = words_of(imprint)
    volume = pixels.volume if pixels is not None else None
    summary, lists = _texts(imprint, words, pixels)
    pages = [summary]
    if volume is not None:
        pages += [_lesion(imprint, words, volume, one) for one in words.lesions[:MOST_LESIONS]]
        slices = montage_slices(imprint, words.lesions)
        pages += [_montage(imprint, words, volume, slices)] if slices else []
    elif pixels is not None:
        frames = frames_with_findings(imprint, words.lesions)[:MOST_FRAMES]
        pages += [_picture(imprint, words, pixels, Shown(0, frame)) for frame in frames]
    if pixels is not None:
        pages += [_map(imprint, words, pixels, one) for one in imprint.findings.maps[:MOST_MAPS]]
    return pages + lists


# ── The summary, and what does not fit on it ──────────────────────────────────────────────────────
def _texts(imprint: Imprint, words: Words, pixels: SourcePixels | None) -> tuple[Page, list[Page]]:
    """The summary, and pages that go on where it ends."""
    sheet = Sheet(words)
    sheet.text(" ".join(words.conclusion), size=_CONCLUSION, bold=True, most=5)
    sheet.skip(8)
    ending = _ending(words)
    kept_free = sum(sheet.height_of(text, SMALL) for text in ending) + 10
    rows = words.table.rows
    remarks = (*words.changes, *words.remarks)
    for_remarks = sum(sheet.height_of_item(one) for one in remarks) + (ROW if remarks else 0)
    for_texts = kept_free + for_remarks + (ROW * (len(rows) + 1) + 20 if rows else 0)
    shows, description = _look(sheet, imprint, words, pixels, sheet.room - for_texts - _CAPTION)
    fit = len(rows)
    if rows:
        left_for_rows = sheet.room - kept_free - min(for_remarks, _FOR_REMARKS) - 20
        fit = min(fit, max(_FEWEST_ROWS, left_for_rows // ROW - 1))
        sheet.table(words.table, rows[:fit])
    note_at, without_page = sheet.y, _without_page(imprint, words, pixels)
    sheet.skip(2 * ROW if without_page or fit < len(rows) else 4)
    left = _write_remarks(sheet, remarks, kept_free)
    sheet.sink(kept_free - 10)
    for text in ending:
        sheet.text(text, size=SMALL, colour=FAINT)
    lists, unlisted = _lists(words, rows[fit:], left)
    sheet.y = note_at
    sheet.text(" ".join((without_page, *_further(len(rows) - fit, len(left), unlisted))), size=SMALL, most=2)
    return Page(sheet=sheet, description=description, shows=shows), lists


def _lists(words: Words, rows: Sequence[Row], remarks: Sequence[str]) -> tuple[list[Page], int]:
    """Pages that go on with the remarks and the table, and how many of both stand on none of them."""
    pages: list[Page] = []
    while (rows or remarks) and len(pages) < MOST_LISTS:
        sheet = Sheet(words)
        sheet.text("Summary, continued", size=_CONCLUSION, bold=True)
        sheet.skip(8)
        remarks = _write_remarks(sheet, remarks, 0)
        fit = min(len(rows), sheet.room // ROW - 1)
        if fit > 0 and not remarks:
            sheet.table(words.table, rows[:fit])
            rows = rows[fit:]
        pages.append(Page(sheet=sheet, description=_OF_TEXT))
    return pages, len(rows) + len(remarks)


def _look(
    sheet: Sheet, imprint: Imprint, words: Words, pixels: SourcePixels | None, room: int
) -> tuple[tuple[Shown, ...], str]:
    """Put images on the first page, as high as there is room for; tell which frames they are of."""
    if pixels is None:
        return (), _OF_TEXT
    if (volume := pixels.volume) is not None:
        views = summary_views(imprint, volume, min(max(room, _LOWEST), _HIGHEST))
        sheet.images(views.panels)
        through = f"Through {words.lesions[0].label}. " if words.lesions else ""
        window = window_name(volume, imprint.findings, None)
        sheet.text(f"{through}{window[0].upper()}{window[1:]}.", size=SMALL, colour=FAINT, most=1)
        sheet.skip(4)
        return tuple(Shown(0, k) for k in views.slices), _OF_VOLUMES
    shown = frames_to_look_at(imprint, pixels, words.lesions, _SIDE_BY_SIDE)
    height = min(max(room, _LOWEST), _HIGHEST_PICTURE)
    columns, size = _side_by_side(len(shown), height, pixels.pictures[0])
    panels = [picture_panel(imprint, pixels, one, size) for one in shown]
    for n in range(0, len(panels), columns):
        sheet.images(panels[n : n + columns])
    return tuple(shown), _OF_PICTURES


def _side_by_side(count: int, height: int, picture: Picture) -> tuple[int, tuple[int, int]]:
    """How many pictures stand in a row, all or half of them, and the room of each: whichever is larger."""
    row_mm, column_mm = picture.plane.spacing_ji_mm or (1.0, 1.0)
    _, rows, columns, _ = picture.frames.shape
    wide = columns * column_mm / (rows * row_mm)
    rooms = {}
    for across in (count, -(-count // 2)):
        down = -(-count // across)
        rooms[across] = (INNER - GAP * (across - 1)) // across, (height - GAP * (down - 1)) // down
    best = max(rooms, key=lambda across: min(rooms[across][0], rooms[across][1] * wide))
    return best, rooms[best]


def _without_page(imprint: Imprint, words: Words, pixels: SourcePixels | None) -> str:
    """Say what has no page of its own, though others have."""
    if pixels is None:
        return ""
    if pixels.volume is not None:
        many, of, what = len(words.lesions), MOST_LESIONS, "lesions"
    else:
        many, of, what = len(frames_with_findings(imprint, words.lesions)), MOST_FRAMES, "frames"
    told = [f"the first {of} of {many} {what}"] if many > of else []
    maps = len(imprint.findings.maps)
    told += [f"the first {MOST_MAPS} of {maps} maps"] if maps > MOST_MAPS else []
    return f"Pages of their own: {joined(told)}." if told else ""


def _further(rows: int, remarks: int, unlisted: int) -> list[str]:
    """Say what is listed on the last pages, and what is not."""
    parts = [f"{count} more {what}" for count, what in ((rows, "findings"), (remarks, "remarks")) if count]
    said = [f"On the last pages: {joined(parts)}."] if parts else []
    return [*said, f"Of these, {unlisted} are not on any page."] if unlisted else said


def _write_remarks(sheet: Sheet, remarks: Sequence[str], kept_free: int) -> Sequence[str]:
    """Write remarks as long as there is room for a whole one; gives those that are left."""
    if remarks and sheet.room - kept_free > 4 * ROW:
        sheet.text("Remarks", colour=FAINT)
    for n, remark in enumerate(remarks):
        if sheet.height_of_item(remark) > sheet.room - kept_free:
            return remarks[n:]
        sheet.item(remark)
    return ()


def _ending(words: Words) -> list[str]:
    """What stands at the end of the first page: how it was made."""
    provenance = ". ".join(f"{name}: {value}" for name, value in words.provenance[1:])
    return [text for text in (words.replaced, f"{provenance}.") if text]


# ── Pages of images ───────────────────────────────────────────────────────────────────────────────
_OF_TEXT: Final = "Text of an automatic analysis"
_OF_VOLUMES: Final = "Views reformatted from the source images, with outlines of an automatic analysis"
_OF_PICTURES: Final = "Source images with outlines of an automatic analysis"
_OF_MAPS: Final = "Source images, some reformatted, with a map of an automatic analysis in colour"
_OF_SLICES: Final = "Montage of source images with outlines of an automatic analysis"


def _lesion(imprint: Imprint, words: Words, volume: Volume, found: Found) -> Page:
    sheet = Sheet(words)
    sheet.headline(colours_of(imprint.findings)[found.label], found.label, headline(found))
    sheet.pairs(numbers_of(found, imprint))
    window = window_name(volume, imprint.findings, found.label)
    sheet.text(f"{window[0].upper()}{window[1:]}.", size=SMALL, colour=FAINT, most=1)
    sheet.skip(6)
    heights = _OVERVIEW, sheet.room - _OVERVIEW - 2 * GAP
    overview, magnified = lesion_views(imprint, volume, found, heights)
    sheet.images(overview.panels)
    sheet.images(magnified.panels)
    shows = tuple(Shown(0, k) for k in overview.slices)
    return Page(sheet=sheet, description=_OF_VOLUMES, shows=shows)


def _montage(imprint: Imprint, words: Words, volume: Volume, slices: Sequence[tuple[int, str]]) -> Page:
    sheet = Sheet(words)
    window = window_name(volume, imprint.findings, None)
    sheet.text(f"Key images. {window[0].upper()}{window[1:]}.", size=TEXT)
    sheet.skip(4)
    made = montage(imprint, volume, slices, sheet.room)
    if made.unnamed:
        made = montage(imprint, volume, slices, sheet.room - _UNNAMED_LINES * sheet.height_of("", SMALL))
        sheet.text(_unnamed(made), size=SMALL, colour=FAINT, most=_UNNAMED_LINES)
    for row in made.rows:
        sheet.images(row)
    shows = tuple(Shown(0, k) for k, _ in slices)
    return Page(sheet=sheet, description=_OF_SLICES, shows=shows, is_montage=True)


def _unnamed(made: Montage) -> str:
    """What the tiles have no room to name."""
    told = [f"{', '.join(names)} ({slice_name})" for slice_name, names in made.unnamed.items()]
    return f"Not named here, but in the table of findings: {'; '.join(told)}." if told else ""


def _picture(imprint: Imprint, words: Words, pixels: SourcePixels, shown: Shown) -> Page:
    sheet = Sheet(words)
    findings = imprint.findings
    colours = colours_of(findings)
    listed = [row.found for row in words.table.rows if key_slice(row.found, findings) == shown.frame]
    for found in listed[:2]:
        sheet.headline(colours[found.label], found.label, headline(found))
        sheet.pairs(numbers_of(found, imprint))
    if len(listed) > 2:
        name = frame_name(imprint, pixels.pictures[shown.source], shown)
        sheet.text(f"{len(listed) - 2} more on {name or 'this picture'}: see the table.", colour=FAINT)
    sheet.skip(6)
    sheet.images([picture_panel(imprint, pixels, shown, (INNER, sheet.room - GAP))])
    return Page(sheet=sheet, description=_OF_PICTURES, shows=(shown,), single=shown)


def _map(imprint: Imprint, words: Words, pixels: SourcePixels, one: ScalarMap) -> Page:
    sheet = Sheet(words)
    sheet.headline(HEAT, writable(one.label), writable(one.type.meaning))
    sheet.text(heat_words(one), size=SMALL, most=2)
    images = pixels.volumes[0]
    if isinstance(images, Volume):
        window = window_name(images, imprint.findings, None)
        sheet.text(f"{window[0].upper()}{window[1:]}.", size=SMALL, colour=FAINT, most=1)
    sheet.skip(6)
    views = heat_views(images, imprint.findings, one, (INNER, sheet.room - 2 * GAP))
    for row in views.rows:
        sheet.images(row)
    single = views.shown if isinstance(images, Picture) else None
    return Page(sheet=sheet, description=_OF_MAPS, shows=(views.shown,), single=single)
