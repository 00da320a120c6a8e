"""Two pictures of an object that the geometry guard stopped: what was found, and what was read back.

The same slices on both, those that differ most: colours on grey, without the pixels of the images. Of a map
or a derived image its own numbers, in grey: there the anatomy is to be seen, as in the object beside it. What
is written on them is of the engine and the guard; nothing names a patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dicomnode.report.drawing.colours import coloured
from dicomnode.report.drawing.panels import BACKGROUND, FAINT, PLAIN, font
from dicomnode.report.mismatch.fields import FieldPlanes, field_planes
from dicomnode.report.mismatch.outlines import ReadBack, read_back
from dicomnode.values import Findings, Segment
from dicomnode.values.numbers import Float32

_SLICES: Final = 6
_ACROSS: Final = 3
_PANEL: Final = 300  # pixels
_GAP: Final = 8
_MARGIN: Final = 14
_LINE: Final = 22
_GREY: Final = (72, 76, 84)
_AIR: Final = 6  # voxels around what is shown
_LEAST: Final = 24  # voxels across
_MOST_NAMES: Final = 12
_LONGEST: Final = 110  # characters of a line
_FOUND: Final = "What the engine found"
_READ_BACK: Final = "What was read back of the object"

Labels = NDArray[np.uint16]
"""(rows, columns) numbers of segments from 1, 0 for none; where they overlap, the last one."""


@dataclass(frozen=True, slots=True)
class _Box:
    """What is shown of each slice: rows top to bottom and columns left to right, half-open."""

    top: int
    bottom: int
    left: int
    right: int


def draw_mismatch(
    contents: Sequence[bytes], findings: Findings, difference: str
) -> tuple[bytes, bytes] | None:
    """Draw what was found and what the objects say, as PNG; None where there is no grid to draw on.

    contents: Part 10 files of one series. difference: what the guard says, without a patient's attribute.
    """
    grid = findings.sources[0].grid
    if grid is None:
        return None
    field = field_planes(contents, findings, _SLICES)
    if field is not None:
        return _of_field(field, difference)
    segments = coloured(findings.segments)
    read = read_back(contents, findings)
    shown = _most_different(segments, read, grid.shape_kji)
    said = [difference, *([read.problem] if read.problem else [])]
    if read.outside:
        said.append(f"{read.outside} of its points lie outside of the volume")
    last = grid.shape_kji[0] - 1
    captions = [f"slice {k} (0 to {last})" for k in shown]  # counted as the guard counts them
    found = [_found(segments, k, grid.shape_kji) for k in shown]
    back = [_read(read, k, grid.shape_kji) for k in shown]
    box = _box([*found, *back])
    panels = (
        [(text, _panel(labels, box, segments)) for text, labels in zip(captions, own, strict=True)]
        for own in (found, back)
    )
    return (
        _drawn(_FOUND, said[:1], next(panels), segments),
        _drawn(_READ_BACK, said, next(panels), segments),
    )


def _of_field(field: FieldPlanes, difference: str) -> tuple[bytes, bytes]:
    """Draw planes of a map or derived image in grey, both within the range that was found."""
    low, high = field.ends
    panels = (
        [
            (f"plane {k} (0 to {field.last})", _grey_panel(plane, low, high))
            for k, plane in zip(field.shown, own, strict=True)
        ]
        for own in (field.found, field.back)
    )
    said = [difference, *([field.problem] if field.problem else [])]
    return _drawn(_FOUND, said[:1], next(panels), ()), _drawn(_READ_BACK, said, next(panels), ())


def _found(segments: Sequence[Segment], k: int, shape_kji: tuple[int, int, int]) -> Labels:
    labels = np.zeros(shape_kji[1:], dtype=np.uint16)
    for number, segment in enumerate(segments, start=1):
        plane = segment.mask.plane(k)
        labels[segment.mask.slices_kji[1:]][plane] = number
    return labels


def _read(read: ReadBack, k: int, shape_kji: tuple[int, int, int]) -> Labels:
    labels = np.zeros(shape_kji[1:], dtype=np.uint16)
    for number, where in read.by_slice.get(k, ()):
        labels[where[:, 0], where[:, 1]] = max(number, 0)
    return labels


def _most_different(
    segments: Sequence[Segment], read: ReadBack, shape_kji: tuple[int, int, int]
) -> list[int]:
    """The slices with most voxels that differ, then those with most that were found; in their order."""
    there = set(read.by_slice)
    for segment in segments:
        there.update(range(*segment.mask.box_kji[0]))

    def rank(k: int) -> tuple[int, int, int]:
        found = _found(segments, k, shape_kji)
        different = int(np.count_nonzero(found != _read(read, k, shape_kji)))
        return -different, -int(np.count_nonzero(found)), k

    return sorted(sorted(there, key=rank)[:_SLICES]) or [shape_kji[0] // 2]


def _box(planes: Sequence[Labels]) -> _Box:
    """The part of the slices on which something lies, with some air, in equal width and height."""
    any_of = np.any([plane > 0 for plane in planes], axis=0)
    ends = []
    for axis, size in enumerate(any_of.shape):
        hit = np.flatnonzero(any_of.any(axis=1 - axis))
        low, high = (int(hit[0]), int(hit[-1]) + 1) if hit.size else (0, size)
        ends.append((low, high))
    (top, bottom), (left, right) = ends
    half = max(bottom - top, right - left, _LEAST) // 2 + _AIR
    row, column = (top + bottom) // 2, (left + right) // 2
    return _Box(row - half, row + half, column - half, column + half)


def _drawn(
    title: str,
    said: Sequence[str],
    panels: Sequence[tuple[str, Image.Image]],
    segments: Sequence[Segment],
) -> bytes:
    """Put panels with their captions onto a sheet. segments: whose colours are named below."""
    lines = [(title, PLAIN, 19), *((_short(text), FAINT, 14) for text in said)]
    named = segments[:_MOST_NAMES]
    rows = -(-len(panels) // _ACROSS)
    width = 2 * _MARGIN + _ACROSS * _PANEL + (_ACROSS - 1) * _GAP
    height = (
        2 * _MARGIN + _LINE * (len(lines) + -(-len(named) // _ACROSS) + 1) + rows * (_PANEL + _LINE + _GAP)
    )
    picture = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(picture)
    y = _MARGIN
    for text, colour, size in lines:
        y += _LINE
        pen.text((_MARGIN, y), text, fill=colour, font=font(size), anchor="ls")
    y += _GAP
    for n, (caption, panel) in enumerate(panels):
        x, top = _MARGIN + n % _ACROSS * (_PANEL + _GAP), y + n // _ACROSS * (_PANEL + _LINE + _GAP)
        picture.paste(panel, (x, top))
        pen.text((x, top + _PANEL + _LINE - 6), caption, fill=FAINT, font=font(14), anchor="ls")
    y += rows * (_PANEL + _LINE + _GAP)
    for n, segment in enumerate(named):
        x, at = _MARGIN + n % _ACROSS * (_PANEL + _GAP), y + n // _ACROSS * _LINE
        pen.rectangle((x, at + 5, x + 12, at + 17), fill=segment.colour_rgb)
        pen.text((x + 20, at + 17), segment.label[:36], fill=PLAIN, font=font(14), anchor="ls")
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _panel(labels: Labels, box: _Box, segments: Sequence[Segment]) -> Image.Image:
    """A part of a slice: grey where the image is, the colours of the segments, dark beside the image."""
    colours = np.array([_GREY, *(segment.colour_rgb for segment in segments), PLAIN], dtype=np.uint8)
    size = box.bottom - box.top
    pixels = np.full((size, size, 3), BACKGROUND, dtype=np.uint8)
    rows, columns = labels.shape
    inner = slice(max(box.top, 0), min(box.bottom, rows)), slice(max(box.left, 0), min(box.right, columns))
    # A number of no segment is drawn, too: in white
    drawn = colours[np.minimum(labels[inner], len(segments) + 1)]
    at_row, at_column = inner[0].start - box.top, inner[1].start - box.left
    pixels[at_row : at_row + drawn.shape[0], at_column : at_column + drawn.shape[1]] = drawn
    return Image.fromarray(pixels).resize((_PANEL, _PANEL), Image.Resampling.NEAREST)


def _grey_panel(plane: Float32, low: float, high: float) -> Image.Image:
    """Numbers from black to white, in their proportions of rows to columns; dark where there are none."""
    grey = np.clip((plane - low) * (255.0 / max(high - low, 1e-30)), 0.0, 255.0)
    pixels = np.repeat(np.nan_to_num(grey).astype(np.uint8)[:, :, None], 3, axis=2)
    pixels[np.isnan(plane)] = BACKGROUND
    scale = _PANEL / max(plane.shape)
    size = max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale))
    panel = Image.new("RGB", (_PANEL, _PANEL), BACKGROUND)
    panel.paste(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), (0, 0))
    return panel


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
