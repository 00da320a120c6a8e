"""One panel of a picture: a plane of the volume in true proportions, contours on it, letters around it.

Everything is drawn twice as large and reduced at the end, so that contours and lines are smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, floor, log10
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicomnode.report.drawing.patient_views import View
from dicomnode.values import Grid, Mask, PointLps
from dicomnode.values.colours import Rgb

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

Part = tuple[int, int, int, int]
"""Left, top, right and bottom of a part of a panel, in fine pixels."""

BACKGROUND: Final = (10, 12, 16)
PLAIN: Final = (226, 230, 236)
FAINT: Final = (150, 158, 170)
_FINE: Final = 2
_CROSS: Final = (5.0, 13.0)  # pixels from its middle where an arm of a cross begins and ends
_BAR: Final = 0.3  # of the panel's width is what a scale bar takes at most
_INSIDE: Final = 128  # half of 255: where a smoothed mask ends


class Outlined(Protocol):
    """What has an outline: a segment, or a mask in a colour."""

    @property
    def mask(self) -> Mask:
        """Where it lies; not empty."""

    @property
    def colour_rgb(self) -> Rgb:
        """What it is drawn in."""


@dataclass(frozen=True, slots=True)
class Extract:
    """The part of a plane that a panel shows: its middle (row, column), scale, and size in pixels."""

    middle: tuple[float, float]
    pixels_per_mm: float
    size: tuple[int, int]  # width, height

    def to_pixels(self, view: View, row_column: tuple[float, float]) -> tuple[float, float]:
        """Where on the panel (x, y) a point of the plane lies, given by row and column."""
        down, right = (
            (value - middle) * mm * self.pixels_per_mm
            for value, middle, mm in zip(row_column, self.middle, view.spacing_mm, strict=True)
        )
        return right + self.size[0] / 2, down + self.size[1] / 2

    def sample(
        self, plane: Image.Image, view: View, part: Part | None = None, *, averaged: bool = False
    ) -> Image.Image:
        """The plane as it lies on the (fine) panel or on a part of it; black where the volume has ended.

        Between pixels it is linear: what swings beyond them draws bright rims around lesions, and dark ones
        around those. averaged: where many pixels fall on one, show their mean; else fine lines come and go.
        """
        step_down, step_right = self._steps(view)
        width, height = (n * _FINE for n in self.size)
        x0, y0, x1, y1 = part or (0, 0, width, height)
        # Pillow maps from the middle of a pixel to the plane, whose first pixel's middle is at 0.5
        left = self.middle[1] + 0.5 - step_right * (width / 2 - x0)
        top = self.middle[0] + 0.5 - step_down * (height / 2 - y0)
        if averaged:
            down, right = max(1, int(step_down)), max(1, int(step_right))
            plane = plane.reduce((right, down))
            step_down, step_right, top, left = step_down / down, step_right / right, top / down, left / right
        return plane.transform(
            (x1 - x0, y1 - y0),
            Image.Transform.AFFINE,
            (step_right, 0.0, left, 0.0, step_down, top),
            resample=Image.Resampling.BILINEAR,
        )

    def part_with(self, view: View, box: Sequence[tuple[int, int]], air: int) -> Part | None:
        """The part of the (fine) panel that a box of the plane takes, with some air; None where none of it.

        box: half-open (start, stop) of rows and of columns.
        """
        (row0, row1), (column0, column1) = box
        corners = [
            self.to_pixels(view, at) for at in ((row0 - 0.5, column0 - 0.5), (row1 - 0.5, column1 - 0.5))
        ]
        (x0, y0), (x1, y1) = ((x * _FINE, y * _FINE) for x, y in corners)
        width, height = (n * _FINE for n in self.size)
        left, top = max(0, floor(x0) - air), max(0, floor(y0) - air)
        right, bottom = min(width, ceil(x1) + air), min(height, ceil(y1) + air)
        return (left, top, right, bottom) if left < right and top < bottom else None

    def pixel_size(self, view: View) -> int:
        """How many pixels of the (fine) panel a pixel of the plane takes at most, at least one."""
        return ceil(max(1 / step for step in self._steps(view))) + 1

    def _steps(self, view: View) -> tuple[float, float]:
        """How many pixels of the plane one of the (fine) panel takes: down, to the right."""
        down, right = (1 / (mm * self.pixels_per_mm * _FINE) for mm in view.spacing_mm)
        return down, right


@cache
def font(size: int) -> Font:
    """Pillow's own typeface: it is there on every machine."""
    return ImageFont.load_default(size)


@dataclass(frozen=True, slots=True)
class Lettering:
    """How a panel is lettered: the typeface by its size, and how many times as large as usual."""

    typeface: Callable[[int], Font] = font
    times: float = 1.0

    def of(self, size: int) -> Font:
        """The typeface for a text that is usually of `size`."""
        return self.typeface(round(size * self.times))


class Panel:
    """A panel in the making; coordinates are in final pixels."""

    def __init__(self, view: View, extract: Extract, lettering: Lettering | None = None) -> None:
        self.view = view
        self.extract = extract
        self.lettering = lettering or Lettering()
        self._fine = Image.new("RGB", (extract.size[0] * _FINE, extract.size[1] * _FINE))
        self._texts: list[tuple[tuple[float, float], str, str, Rgb, int]] = []

    def draw_plane(self, voxels: NDArray[np.generic], across: int, window: tuple[float, float]) -> None:
        """Show the plane `across` of the voxels (k, j, i), from black to white within `window`."""
        low, high = window
        plane = self.view.plane(voxels, across).astype(np.float32)
        self.draw_pixels(np.clip((plane - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8))

    def draw_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """Show pixels of a screen, grey (rows, columns) or red, green and blue (rows, columns, 3)."""
        sampled = self.extract.sample(Image.fromarray(pixels), self.view, averaged=True)
        self._fine.paste(sampled.convert("RGB"))

    def draw_contour(self, segment: Outlined, across: int, width: float) -> None:
        """Draw the outline of a segment, just outside it."""
        start, stop = segment.mask.box_kji[self.view.axes[2]]
        if not start <= across < stop:
            return
        mask = self._mask_plane(segment, across).astype(np.uint8) * np.uint8(255)
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            return
        steps = round(width * _FINE)
        # Of many organs each is drawn where it lies, not all over the panel
        box = (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
        part = self.extract.part_with(self.view, box, steps + self.extract.pixel_size(self.view))
        if part is None:
            return
        smooth = self.extract.sample(Image.fromarray(mask), self.view, part)
        inside = np.asarray(smooth) >= _INSIDE
        line = inside
        for _ in range(steps):
            line = _grown(line)
        edge = Image.fromarray(((line & ~inside) * np.uint8(255)).astype(np.uint8))
        self._fine.paste(segment.colour_rgb, part, mask=edge)

    def _mask_plane(self, segment: Outlined, across: int) -> NDArray[np.generic]:
        """The plane of a mask; only its box is unpacked."""
        axis = self.view.axes[2]
        box = segment.mask.box_kji
        rest = [n for n in range(3) if n != axis]
        cut = np.zeros([segment.mask.shape_kji[n] for n in rest], dtype=bool)
        inner = tuple(slice(*box[n]) for n in rest)
        cut[inner] = np.take(segment.mask.crop(), across - box[axis][0], axis=axis)
        return self.view.orient(cut)

    def draw_corners(self, low: tuple[float, float], high: tuple[float, float], colour: Rgb) -> None:
        """Frame what lies between two corners (x, y): only the frame's corners, nothing is crossed."""
        pen = ImageDraw.Draw(self._fine)
        arm = 0.28 * min(high[0] - low[0], high[1] - low[1])
        for x, to_x in ((low[0], arm), (high[0], -arm)):
            for y, to_y in ((low[1], arm), (high[1], -arm)):
                self._line(pen, [(x + to_x, y), (x, y), (x, y + to_y)], colour, 1.5)

    def draw_rectangle(self, low: tuple[float, float], high: tuple[float, float], colour: Rgb) -> None:
        """Draw a rectangle between two corners (x, y)."""
        (x0, y0), (x1, y1) = low, high
        pen = ImageDraw.Draw(self._fine)
        self._line(pen, [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], colour, 2)

    def draw_cross(self, at: tuple[float, float], colour: Rgb) -> None:
        """Point at a place (x, y) from four sides, and leave it free."""
        pen = ImageDraw.Draw(self._fine)
        for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            ends = [(at[0] + x * away, at[1] + y * away) for away in _CROSS]
            self._line(pen, ends, colour, 2)

    def draw_caliper(self, ends: tuple[PointLps, PointLps], grid: Grid) -> None:
        """Draw a measured distance: a thin line with a tick at each end."""
        first, last = (
            np.array(self.extract.to_pixels(self.view, self.view.locate(grid.to_index_kji(end))))
            for end in ends
        )
        length = float(np.linalg.norm(last - first))
        if length < 1:
            return
        tick = np.array((first[1] - last[1], last[0] - first[0])) / length * 5
        pen = ImageDraw.Draw(self._fine)
        for start, stop in ((first, last), (first - tick, first + tick), (last - tick, last + tick)):
            self._line(pen, [(start[0], start[1]), (stop[0], stop[1])], PLAIN, 1)

    def write(
        self, at: tuple[float, float], text: str, anchor: str, colour: Rgb = PLAIN, size: int = 13
    ) -> None:
        """Write a text at x, y; anchor as Pillow names it. It is drawn last and in full sharpness."""
        self._texts.append((at, text, anchor, colour, size))

    def written(self) -> list[tuple[float, float, float, float]]:
        """Where texts stand so far: left, top, right and bottom of each, with its edge."""
        return [self.box_of(at, text, anchor, size) for at, text, anchor, _, size in self._texts]

    def box_of(
        self, at: tuple[float, float], text: str, anchor: str, size: int = 13
    ) -> tuple[float, float, float, float]:
        """What a text takes where it is written at x, y."""
        pen = ImageDraw.Draw(self._fine)
        edge = self._edge
        return pen.textbbox(at, text, font=self.lettering.of(size), anchor=anchor, stroke_width=edge)

    def draw_leader(self, start: tuple[float, float], stop: tuple[float, float], colour: Rgb) -> None:
        """Draw a thin line (x, y) from something to its name."""
        self._line(ImageDraw.Draw(self._fine), [start, stop], colour, 0.8)

    @property
    def _edge(self) -> int:
        """Pixels of the dark edge around letters."""
        return ceil(self.lettering.times)

    def write_letters(self) -> None:
        """Write at each edge where it lies in the patient, as far as that is known."""
        (x, y), (left, right, top, bottom) = self.extract.size, self.view.letters
        for at, letter, anchor in (
            ((6, y / 2), left, "lm"),
            ((x - 6, y / 2), right, "rm"),
            ((x / 2, 5), top, "mt"),
            ((x / 2, y - 6), bottom, "ms"),
        ):
            if letter:
                self.write(at, letter, anchor, size=16)

    def draw_scale(self) -> None:
        """A bar at the lower right, of a round length that takes a part of the panel and no more."""
        width, height = self.extract.size
        length_mm = round_length_mm(_BAR * width / self.extract.pixels_per_mm)
        end, y = width - 12, height - 12
        start = end - length_mm * self.extract.pixels_per_mm
        pen = ImageDraw.Draw(self._fine)
        self._line(pen, [(start, y - 4), (start, y), (end, y), (end, y - 4)], PLAIN, 1.5)
        self.write(((start + end) / 2, y - 5 * self.lettering.times), f"{length_mm:g} mm", "ms", size=11)

    def finished(self) -> Image.Image:
        """The panel in its final size."""
        panel = self._fine.reduce(_FINE)
        pen = ImageDraw.Draw(panel)
        for at, text, anchor, colour, size in self._texts:
            pen.text(
                at,
                text,
                fill=colour,
                font=self.lettering.of(size),
                anchor=anchor,
                stroke_width=self._edge,
                stroke_fill=(0, 0, 0),
            )
        return panel

    @staticmethod
    def _line(pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: Rgb, width: float) -> None:
        """Draw a line that is seen on bright and on dark: it has a black edge."""
        scaled = [(x * _FINE, y * _FINE) for x, y in points]
        for shade, wide in (((0, 0, 0), width + 1), (colour, width)):
            pen.line(scaled, fill=shade, width=round(wide * _FINE), joint="curve")


def round_length_mm(at_most_mm: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above `at_most_mm` (positive)."""
    power = 10.0 ** floor(log10(at_most_mm))
    return float(max(step * power for step in (1, 2, 5) if step == 1 or step * power <= at_most_mm))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One pixel more on every side."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown
