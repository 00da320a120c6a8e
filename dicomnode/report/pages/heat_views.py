"""Images with a map laid over them, beside the same images without: on pages, and as a picture of its own."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicomnode.report.drawing.display_window import window_for
from dicomnode.report.drawing.heat import HeatRange, heat_on, heated, hottest_kji, range_of
from dicomnode.report.drawing.panels import BACKGROUND, Extract, Lettering, Panel
from dicomnode.report.drawing.patient_views import View, views_of
from dicomnode.report.pages.picture_views import picture_view, toned
from dicomnode.report.pages.shown import Shown
from dicomnode.report.pages.typeface import plain
from dicomnode.report.words.wording import plain_number
from dicomnode.values import Code, Findings, Picture, ScalarMap, Volume

HEAT: Final = (250, 140, 10)  # beside the name of a map
_LETTERS: Final = 1.45
_GAP: Final = 8
_PANEL: Final = 400  # pixels of a panel of a picture of its own
_EXPLAINS: Final = frozenset({"130402", "130403", "130404"})  # DCM, CID 7180
_CAVEAT: Final = "It shows what the network heeded, not the extent of a disease."


@dataclass(frozen=True, slots=True, eq=False)
class HeatViews:
    """Rows of panels: without the map and with it. shown: the slice or frame of the source."""

    rows: tuple[tuple[Image.Image, ...], ...]
    shown: Shown


def heat_views(
    images: Volume | Picture, findings: Findings, one: ScalarMap, size: tuple[int, int]
) -> HeatViews:
    """Draw the planes through the maximum of a map; `size` is the room, width and height, for all panels.

    A volume is seen three times from two rows, a picture stands beside itself.
    """
    shown = range_of(one)
    at = hottest_kji(one, images.grid)
    if isinstance(images, Picture):
        room = (size[0] - _GAP) // 2, size[1]
        pixels, view = toned(images.frames[at[0]]), picture_view(images)
        both = (pixels, _hot(one, images, view, at, shown, pixels))
        pair = [_panel(view, drawn, room) for drawn in both]
        return HeatViews((tuple(pair),), Shown(0, at[0]))
    room = (size[0] - 2 * _GAP) // 3, (size[1] - _GAP) // 2
    window = window_for(images, findings, None)
    bare, hot = [], []
    for view in views_of(images.grid):
        plane = view.plane(images.voxels, at[view.axes[2]]).astype(np.float32)
        scaled = (plane - window.low) * (255.0 / (window.high - window.low))
        pixels = np.clip(scaled, 0, 255).astype(np.uint8)
        bare.append(_panel(view, pixels, room))
        hot.append(_panel(view, _hot(one, images, view, at, shown, pixels), room))
    return HeatViews((tuple(bare), tuple(hot)), Shown(0, at[0]))


def heat_words(one: ScalarMap) -> str:
    """What colours mean, and of an explanation what it is not."""
    shown = range_of(one)
    unit = "" if one.unit.value == "1" else f" {one.unit.value}"
    said = (
        f"{one.type.meaning}: no colour at {plain_number(shown.low)} and below, yellow at "
        f"{plain_number(shown.high)}{unit}."
    )
    return f"{said} {_CAVEAT}" if _is_explanation(one.type) else said


def heat_png(images: Volume | Picture, findings: Findings, one: ScalarMap) -> bytes:
    """Draw a map over the images that findings lie in; a PNG. Raises ValueError for images of others."""
    source = findings.sources[0]
    if source.grid is None or not source.grid.same_as(images.grid):
        raise ValueError("the images are not those that the findings lie in")
    across = 2 if isinstance(images, Picture) else 3
    down = 1 if isinstance(images, Picture) else 2
    size = _PANEL * across + _GAP * (across - 1), _PANEL * down + _GAP * (down - 1)
    views = heat_views(images, findings, one, size)
    heights = [max(panel.height for panel in row) for row in views.rows]
    width = max(sum(panel.width + _GAP for panel in row) - _GAP for row in views.rows)
    sheet = Image.new("RGB", (width, sum(heights) + _GAP * (len(heights) - 1)), BACKGROUND)
    y = 0
    for row, height in zip(views.rows, heights, strict=True):
        x = 0
        for panel in row:
            sheet.paste(panel, (x, y))
            x += panel.width + _GAP
        y += height + _GAP
    buffer = BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _hot(
    one: ScalarMap,
    images: Volume | Picture,
    view: View,
    at: tuple[int, int, int],
    shown: HeatRange,
    pixels: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    return heated(pixels, heat_on(one, images.grid, view, at[view.axes[2]], shown))


def _panel(view: View, pixels: NDArray[np.uint8], room: tuple[int, int]) -> Image.Image:
    """Draw a plane as large as there is room for, with its letters."""
    scale = min(
        n / (pixel * mm) for n, pixel, mm in zip(room, view.shape[::-1], view.spacing_mm[::-1], strict=True)
    )
    middle = ((view.shape[0] - 1) / 2, (view.shape[1] - 1) / 2)
    width, height = (
        max(120, round(n * mm * scale)) for n, mm in zip(view.shape[::-1], view.spacing_mm[::-1], strict=True)
    )
    panel = Panel(view, Extract(middle, scale, (width, height)), Lettering(plain, _LETTERS))
    panel.draw_pixels(pixels)
    panel.write_letters()
    return panel.finished()


def _is_explanation(code: Code) -> bool:
    return code.scheme == "DCM" and code.value in _EXPLAINS
