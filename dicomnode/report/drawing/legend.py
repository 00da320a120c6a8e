"""The legend of a picture: which colour is which finding, and how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from dicomnode.report.drawing.panels import BACKGROUND, FAINT, PLAIN, Font, font
from dicomnode.report.drawing.scene import Scene
from dicomnode.report.words.sentences import site_text
from dicomnode.report.words.wording import score_text, volume_text
from dicomnode.values import Region, Segment
from dicomnode.values.colours import Rgb

_COLUMNS: Final = 4
_ROWS: Final = 8
_LINE: Final = 20
_SWATCH: Final = 12
_SIZE: Final = 14
_AIR: Final = 8  # … from a square to its name, and from the name to the size
_BETWEEN: Final = 16  # pixels from one column to the next
HINT: Final = "Hollow: not cut by these planes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the legend. shown: whether one of the planes cuts it."""

    name: str
    value: str
    colour: Rgb
    shown: bool


def entries_of(scene: Scene) -> list[Entry]:
    """All that was found, what the planes cut first; else in the order of the findings."""
    all_of_them = [
        Entry(
            name=_name(one),
            value=_value(one, scene),
            colour=scene.colour_of(one),
            shown=any(scene.cuts(one, view) for view in scene.views),
        )
        for one in scene.found
    ]
    return sorted(all_of_them, key=lambda one: not one.shown)


def draw_legend(entries: Sequence[Entry], width: int) -> Image.Image | None:
    """Draw the entries in columns, as many as there is room for, and say how many more there are."""
    if not entries:
        return None
    listed = list(entries[: _COLUMNS * _ROWS])
    left_out = len(entries) - len(listed)
    rows = -(-len(listed) // _COLUMNS)
    column = (width + _BETWEEN) // _COLUMNS
    last = [f"… and {left_out} more."] if left_out else []
    last += [HINT] if not all(one.shown for one in listed) else []
    legend = Image.new("RGB", (width, (rows + bool(last)) * _LINE + 4), BACKGROUND)
    pen = ImageDraw.Draw(legend)
    for n, entry in enumerate(listed):
        # Down the columns: what stands together in the findings stays together
        _draw(pen, entry, ((n // rows) * column, (n % rows) * _LINE), column - _BETWEEN)
    if last:
        pen.text(
            (0, rows * _LINE + _LINE // 2), " ".join(last), fill=FAINT, font=font(_SIZE - 1), anchor="lm"
        )
    return legend


def _draw(pen: ImageDraw.ImageDraw, entry: Entry, at: tuple[int, int], width: int) -> None:
    x, y = at[0], at[1] + _LINE // 2
    square = (x, y - _SWATCH // 2, x + _SWATCH, y + _SWATCH // 2)
    pen.rectangle(square, fill=entry.colour if entry.shown else None, outline=entry.colour, width=2)
    shade = PLAIN if entry.shown else FAINT
    x += _SWATCH + _AIR
    name = shortened(entry.name, width - _SWATCH - 2 * _AIR - font(_SIZE).getlength(entry.value))
    pen.text((x, y), name, fill=shade, font=font(_SIZE), anchor="lm")
    x += round(font(_SIZE).getlength(name)) + _AIR
    pen.text((x, y), entry.value, fill=FAINT, font=font(_SIZE), anchor="lm")


def shortened(name: str, width: float, typeface: Font | None = None) -> str:
    """A name as wide as there is room for, in the legend's typeface or another; dots show what is cut off."""
    typeface = typeface or font(_SIZE)
    if typeface.getlength(name) <= width:
        return name
    while name and typeface.getlength(f"{name}…") > width:
        name = name[:-1]
    return f"{name}…"


def _name(found: Segment | Region) -> str:
    """The label, and the type where the label does not say it."""
    meaning = found.type.meaning
    said = all(word in found.label.lower() for word in meaning.lower().split())
    side = "" if said else f" ({meaning}{site_text(found)})"
    return f"{found.label}{side}"


def _value(found: Segment | Region, scene: Scene) -> str:
    if isinstance(found, Segment):
        return volume_text(found.mask.count * scene.volume.grid.voxel_mm3)
    return "" if found.score is None else score_text(found.score, calibrated=found.calibrated)
