"""A picture of a case: what is true and what was found, outlined in two colours on the image.

On the left the whole slice on which both differ most, on the right the place itself, magnified. The slice is
one that was taken, not a reformatted one. Nothing that is written comes from a header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicomnode.report.drawing.display_window import window_about
from dicomnode.report.drawing.panels import BACKGROUND, FAINT, PLAIN, Extract, Panel, font
from dicomnode.report.drawing.patient_views import View, views_of
from dicomnode.report.pages.picture_views import picture_view, toned
from dicomnode.values import Code, Grid, Mask, Picture, PointLps, Volume
from dicomnode.values.colours import Rgb

TRUE: Final[Rgb] = (0, 210, 255)
FOUND: Final[Rgb] = (255, 165, 0)
_LEGEND: Final = (("true", TRUE), ("found", FOUND))

_PANEL: Final = 340  # pixels
_GAP: Final = 6
_MARGIN: Final = 8
_LINE: Final = 24
_CONTOUR: Final = 1.3  # pixels; that of the truth is twice as wide, so that it is seen below the other
_CLOSEST_MM: Final = 30.0  # the magnified part is at least this wide
_PLACE_MM: Final = 60.0  # … around a finding without an outline
_AROUND: Final = 1.7  # and this many times as wide as what is outlined
_NEAREST_MM: Final = 3.0  # as of a hit: `matching`
_AIR: Final = 0.5  # voxels


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A finding without an outline: its centre in LPS mm. diameter_mm: None where it is not known."""

    centre_lps_mm: PointLps
    diameter_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contour:
    """A mask in its colour: what panels draw."""

    mask: Mask
    colour_rgb: Rgb


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Drawn:
    """All that is drawn of one kind: masks, and places without a size. colour: of both."""

    masks: tuple[Mask, ...]
    crosses: tuple[PointLps, ...]
    colour: Rgb
    width: float


def truth_and_found_png(
    images: Volume | Picture,
    truth: Sequence[Mask | Place],
    found: Sequence[Mask | Place],
    about: Code | None = None,
) -> bytes:
    """Draw a case as a PNG. truth, found: masks in the grid of the images, or places; either may be none.

    about: what it is, for the window of a CT. Raises ValueError on a mask of another grid.
    """
    grid = images.grid
    for one in (*truth, *found):
        if isinstance(one, Mask) and one.shape_kji != grid.shape_kji:
            raise ValueError(f"a mask of {one.shape_kji} on images of {grid.shape_kji}")
    view = _source_view(images)
    kinds = (_drawn(truth, grid, TRUE, 2 * _CONTOUR), _drawn(found, grid, FOUND, _CONTOUR))
    place = _open(truth, found)
    across = _slice(grid, kinds, place)
    part = _around(view, place, grid) if place else _part(view, kinds, across)
    if not truth and not found:  # nothing has a place: the slice alone, without a legend
        alone = _panel(images, view, _whole(view), across, kinds, about)
        return _composed([alone.finished()], _words(images, across, about), ())
    panels = [_panel(images, view, extract, across, kinds, about) for extract in (_whole(view), part)]
    corners = [panels[0].extract.to_pixels(view, at) for at in _ends(view, part)]
    panels[0].draw_corners(corners[0], corners[1], PLAIN)
    return _composed([one.finished() for one in panels], _words(images, across, about), _LEGEND)


def _source_view(images: Volume | Picture) -> View:
    """The view that shows slices as they were taken: across it k runs."""
    if isinstance(images, Picture):
        return picture_view(images)
    return next(view for view in views_of(images.grid) if view.axes[2] == 0)


def _drawn(given: Sequence[Mask | Place], grid: Grid, colour: Rgb, width: float) -> _Drawn:
    masks = [one if isinstance(one, Mask) else _ball(one, grid) for one in given]
    points = [one.centre_lps_mm for one in given if isinstance(one, Place) and one.diameter_mm is None]
    kept = tuple(mask for mask in masks if mask is not None and not mask.is_empty)
    return _Drawn(masks=kept, crosses=tuple(points), colour=colour, width=width)


def _ball(place: Place, grid: Grid) -> Mask | None:
    """The voxels within a ball, at least the nearest one; None of a place without a size or off the grid."""
    if place.diameter_mm is None:
        return None
    centre = np.asarray(grid.to_index_kji(place.centre_lps_mm), dtype=np.float64)
    shape, spacing = np.array(grid.shape_kji), np.array(grid.spacing_kji_mm)
    reach = np.maximum(place.diameter_mm / 2.0 / spacing, _AIR)
    low = np.clip(np.floor(centre - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(centre + reach) + 1, 0, shape).astype(int)
    if (low >= high).any():
        return None
    axes = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    away = sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, reach, strict=True))
    inside: NDArray[np.bool_] = np.asarray(away) <= 1.0
    inside[np.unravel_index(int(np.argmin(away)), inside.shape)] = True
    k, j, i = (int(n) for n in low)
    return Mask.from_crop(inside, grid.shape_kji, (k, j, i))


def _open(truth: Sequence[Mask | Place], found: Sequence[Mask | Place]) -> PointLps | None:
    """The place to look at: the first that was missed, else the first found on nothing, else the first."""
    known, candidates = ([one for one in given if isinstance(one, Place)] for given in (truth, found))

    def hit(one: Place, other: Place) -> bool:
        apart = float(np.linalg.norm(np.subtract(one.centre_lps_mm, other.centre_lps_mm)))
        return apart <= max((one.diameter_mm or 0.0) / 2.0, _NEAREST_MM)

    missed = [one for one in known if not any(hit(one, other) for other in candidates)]
    on_nothing = [other for other in candidates if not any(hit(one, other) for one in known)]
    first = [*missed, *on_nothing, *known]
    return first[0].centre_lps_mm if first else None


def _slice(grid: Grid, kinds: tuple[_Drawn, _Drawn], place: PointLps | None) -> int:
    """The slice through the place to look at, else, of those with both, that on which they differ most."""
    last = grid.shape_kji[0] - 1
    if place is not None:
        return int(np.clip(round(float(grid.to_index_kji(place)[0])), 0, last))
    true, found = (_areas(one, grid) for one in kinds)
    different = np.array([np.count_nonzero(a != b) for a, b in zip(true, found, strict=True)])
    covered = np.array([np.count_nonzero(a | b) for a, b in zip(true, found, strict=True)])
    if not covered.any():
        return last // 2
    # Where both are outlined more is to be seen
    both = np.array([a.any() and b.any() for a, b in zip(true, found, strict=True)])
    return int(np.lexsort((-covered, -different, ~both))[0])


def _areas(drawn: _Drawn, grid: Grid) -> NDArray[np.bool_]:
    """All masks of one kind together (k, j, i)."""
    together = np.zeros(grid.shape_kji, dtype=bool)
    for mask in drawn.masks:
        together[mask.slices_kji] |= mask.crop()
    return together


def _whole(view: View) -> Extract:
    rows, columns = view.shape
    high, wide = rows * view.spacing_mm[0], columns * view.spacing_mm[1]
    return Extract(((rows - 1) / 2, (columns - 1) / 2), _PANEL / max(high, wide), (_PANEL, _PANEL))


def _around(view: View, place: PointLps, grid: Grid) -> Extract:
    """What lies around a place."""
    return Extract(view.locate(grid.to_index_kji(place)), _PANEL / _PLACE_MM, (_PANEL, _PANEL))


def _part(view: View, kinds: tuple[_Drawn, _Drawn], across: int) -> Extract:
    """What is outlined on the slice, magnified; all of the slice where nothing is."""
    points: list[tuple[float, float]] = []
    for mask in (mask for one in kinds for mask in one.masks):
        rows, columns = np.nonzero(mask.plane(across))
        if rows.size:
            (top, _), (left, _) = mask.box_kji[1:]
            ends = ((rows.min(), columns.min()), (rows.max(), columns.max()))
            points += [view.locate((across, top + row, left + column)) for row, column in ends]
    if not points:
        return _whole(view)
    (top, left), (bottom, right) = np.min(points, axis=0), np.max(points, axis=0)
    size_mm = max((bottom - top + 1) * view.spacing_mm[0], (right - left + 1) * view.spacing_mm[1])
    scale = _PANEL / max(_CLOSEST_MM, _AROUND * float(size_mm))
    middle = (float(top + bottom) / 2, float(left + right) / 2)
    return Extract(middle, max(scale, _whole(view).pixels_per_mm), (_PANEL, _PANEL))


def _ends(view: View, part: Extract) -> tuple[tuple[float, float], tuple[float, float]]:
    """Upper left and lower right (row, column) of a part of a slice."""
    half = [_PANEL / 2 / part.pixels_per_mm / mm for mm in view.spacing_mm]
    (row, column), (down, right) = part.middle, half
    return (row - down, column - right), (row + down, column + right)


def _panel(
    images: Volume | Picture,
    view: View,
    extract: Extract,
    across: int,
    kinds: tuple[_Drawn, _Drawn],
    about: Code | None,
) -> Panel:
    panel = Panel(view, extract)
    if isinstance(images, Picture):
        panel.draw_pixels(toned(images.frames[across]))
    else:
        window = window_about(images, about)
        panel.draw_plane(images.voxels, across, (window.low, window.high))
    for one in kinds:
        for mask in one.masks:
            panel.draw_contour(_Contour(mask=mask, colour_rgb=one.colour), across, one.width)
        for point in one.crosses:
            index = images.grid.to_index_kji(point)
            if abs(float(index[0]) - across) <= 1.0:
                panel.draw_cross(extract.to_pixels(view, view.locate(index)), one.colour)
    panel.write_letters()
    if not isinstance(images, Picture) or images.plane.spacing_ji_mm is not None:
        panel.draw_scale()
    return panel


def _words(images: Volume | Picture, across: int, about: Code | None) -> str:
    if isinstance(images, Picture):
        return f"frame {across + 1} / {images.frames.shape[0]}"
    return f"slice {across + 1} / {images.voxels.shape[0]}   {window_about(images, about)}"


def _composed(panels: Sequence[Image.Image], words: str, legend: Sequence[tuple[str, Rgb]]) -> bytes:
    width = 2 * _MARGIN + len(panels) * _PANEL + (len(panels) - 1) * _GAP
    picture = Image.new("RGB", (width, _PANEL + 2 * _MARGIN + _LINE), BACKGROUND)
    for n, panel in enumerate(panels):
        picture.paste(panel, (_MARGIN + n * (_PANEL + _GAP), _MARGIN))
    pen = ImageDraw.Draw(picture)
    x, y = float(_MARGIN), _MARGIN + _PANEL + _LINE / 2 + 2
    for text, colour in legend:
        pen.rectangle((x, y - 6, x + 12, y + 6), outline=colour, width=3)
        pen.text((x + 19, y), text, fill=PLAIN, font=font(14), anchor="lm")
        x += 19 + ceil(font(14).getlength(text)) + 18
    pen.text((x, y), words, fill=FAINT, font=font(13), anchor="lm")
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
