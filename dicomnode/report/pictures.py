"""A picture of a finding for people: axial, coronal and sagittal, as a radiologist expects them.

Above the whole volume with a frame around the finding, below the finding magnified: contours, never filled,
true proportions, lettered edges, the long axis where it was measured. What is written is about the finding
and the engine; nothing of it comes from a header, so no patient is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from dicomnode.report.panels import FAINT, PLAIN, Extract, Panel, Rgb, font
from dicomnode.report.patient_views import View, views_of
from dicomnode.report.sentences import position
from dicomnode.values import FindingKind, Findings, RemarkKind, Segment, Volume
from dicomnode.values.codes import HOUNSFIELD

NOT_FOR_CLINICAL_USE: Final = "Research and engineering. Not for clinical use."

_LUNG_WINDOW: Final = (-1350.0, 150.0)  # HU: width 1500, level -600
_PANEL: Final = 460  # pixels
_LOW_PANEL: Final = 380  # height of a magnified panel
_GAP: Final = 6
_MARGIN: Final = 14
_LINE: Final = 21
_MOST_LINES: Final = 4
_CLOSEST_MM: Final = 40.0  # a magnified view is at least this wide
_AROUND: Final = 2.6  # and this many times as wide as the finding
_BACKGROUND: Final = (10, 12, 16)
_WARNING: Final = (255, 196, 70)


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What is shown: a volume in its window, the segments, the one it is about, and where the planes cut."""

    volume: Volume
    segments: tuple[Segment, ...]
    target: Segment | None
    centre_kji: tuple[int, int, int]
    window: tuple[float, float]
    views: tuple[View, View, View]


def overlay_png(volume: Volume, findings: Findings, label: str | None) -> bytes:
    """Draw the segment `label` on the volume that it was found in; a PNG.

    label: None draws the lesion with the highest score, or without a lesion the volume alone.
    Raises KeyError if no segment has that label, ValueError if the volume is not that of the findings.
    """
    grid = findings.sources[0].grid
    if grid is None or not grid.same_as(volume.grid):
        raise ValueError("the volume is not the one that the findings lie in")
    scene = _scene(volume, findings, label)
    rows = [_overview(scene)]
    if scene.target is not None:
        rows.append(_magnified(scene, scene.target))
    buffer = BytesIO()
    _compose(rows, _caption(scene, findings)).save(buffer, format="PNG")
    return buffer.getvalue()


def _scene(volume: Volume, findings: Findings, label: str | None) -> _Scene:
    if label is None:
        lesions = [one for one in findings.segments if one.kind is FindingKind.LESION]
        target = max(lesions, key=lambda one: (one.score or 0.0, one.mask.count), default=None)
    else:
        target = {one.label: one for one in findings.segments}[label]
    k, j, i = volume.voxels.shape
    return _Scene(
        volume=volume,
        segments=findings.segments,
        target=target,
        centre_kji=(k // 2, j // 2, i // 2) if target is None else _fullest(target),
        window=_window(volume),
        views=views_of(volume.grid),
    )


def _fullest(segment: Segment) -> tuple[int, int, int]:
    """The slice, row and column with most of a segment: planes there meet it, whatever its shape."""
    crop = segment.mask.crop()
    k, j, i = (
        int(np.argmax(crop.sum(axis=others))) + segment.mask.box_kji[axis][0]
        for axis, others in ((0, (1, 2)), (1, (0, 2)), (2, (0, 1)))
    )
    return k, j, i


def _window(volume: Volume) -> tuple[float, float]:
    if volume.unit == HOUNSFIELD:
        return _LUNG_WINDOW
    some = volume.voxels[:: max(1, volume.voxels.shape[0] // 32), ::4, ::4]
    low, high = np.percentile(some, (1.0, 99.5))
    return float(low), float(max(high, low + 1e-6))


def _overview(scene: _Scene) -> list[Image.Image]:
    """The three views of the whole volume at one scale, with a frame around the finding."""
    sizes_mm = [[n * mm for n, mm in zip(view.shape, view.spacing_mm, strict=True)] for view in scene.views]
    scale = _PANEL / max(max(size) for size in sizes_mm)
    height = max(round(max(size[0] for size in sizes_mm) * scale), 120)
    panels = []
    for view in scene.views:
        middle = ((view.shape[0] - 1) / 2, (view.shape[1] - 1) / 2)
        panel = _panel(scene, view, Extract(middle, scale, (_PANEL, height)), width=0.8)
        if scene.target is not None:
            low, high = _box(scene.target, view, panel.extract)
            panel.draw_corners(low, high, scene.target.colour_rgb)
        panel.draw_scale(50)
        panel.write((8, 18), f"{view.name}  {_which(scene, view)}", "ls", FAINT)
        panels.append(panel.finished())
    return panels


def _magnified(scene: _Scene, target: Segment) -> list[Image.Image]:
    """The three views of the finding alone."""
    spacing = scene.volume.grid.spacing_kji_mm
    size_mm = max((b - a) * mm for (a, b), mm in zip(target.mask.box_kji, spacing, strict=True))
    scale = _PANEL / max(_CLOSEST_MM, _AROUND * size_mm)
    middle_kji = [(a + b - 1) / 2 for a, b in target.mask.box_kji]
    panels = []
    for view in scene.views:
        extract = Extract(view.locate(middle_kji), scale, (_PANEL, _LOW_PANEL))
        panel = _panel(scene, view, extract, width=1.3)
        for ends in (target.short_axis_lps_mm, target.long_axis_lps_mm):
            if ends is not None and _in_plane(ends, scene, view):
                panel.draw_caliper(ends, scene.volume.grid)
        panel.draw_scale(10)
        panels.append(panel.finished())
    return panels


def _panel(scene: _Scene, view: View, extract: Extract, width: float) -> Panel:
    """A plane through the finding with all contours on it, that of the finding last, and its letters."""
    panel = Panel(view, extract)
    across = scene.centre_kji[view.axes[2]]
    panel.draw_plane(scene.volume.voxels, across, scene.window)
    for segment in sorted(scene.segments, key=lambda one: one is scene.target):
        panel.draw_contour(segment, across, width if segment is scene.target else 0.5 * width)
    (x, y), (left, right, top, bottom) = extract.size, view.letters
    for at, letter, anchor in (
        ((6, y / 2), left, "lm"),
        ((x - 6, y / 2), right, "rm"),
        ((x / 2, 5), top, "mt"),
        ((x / 2, y - 6), bottom, "ms"),
    ):
        panel.write(at, letter, anchor, size=16)
    return panel


def _box(target: Segment, view: View, extract: Extract) -> tuple[tuple[float, float], tuple[float, float]]:
    """Upper left and lower right corner of a frame around the finding, with air between."""
    starts, stops = zip(*target.mask.box_kji, strict=True)
    edges = [extract.to_pixels(view, view.locate([n - 0.5 for n in corner])) for corner in (starts, stops)]
    (x0, x1), (y0, y1) = (sorted(values) for values in zip(*edges, strict=True))
    half = max(x1 - x0, y1 - y0) / 2 + 8
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (x - half, y - half), (x + half, y + half)


def _in_plane(ends: Sequence[tuple[float, float, float]], scene: _Scene, view: View) -> bool:
    """Tell whether both ends lie on the plane that the view shows, within half a voxel and a little."""
    across = view.axes[2]
    places = [scene.volume.grid.to_index_kji(end)[across] for end in ends]
    return all(abs(place - scene.centre_kji[across]) <= 0.51 for place in places)


def _which(scene: _Scene, view: View) -> str:
    axis = view.axes[2]
    return f"{scene.centre_kji[axis] + 1} / {scene.volume.voxels.shape[axis]}"


def _caption(scene: _Scene, findings: Findings) -> list[tuple[str, Rgb, int]]:
    """What stands below: lines with colour and size."""
    made_by = findings.provenance
    low, high = scene.window
    window = f"window {high - low:.0f}, level {(high + low) / 2:.0f}"
    lines: list[tuple[str, Rgb, int]] = []
    if scene.target is None:
        lines += [(line, PLAIN, 15) for line in _wrapped(_said(findings), 15)]
    else:
        lines.append((_headline(scene.target), scene.target.colour_rgb, 19))
        lines.append((_numbers(scene.target, scene.volume), PLAIN, 15))
        place = position(scene.target.centre_lps_mm)
        lines.append((f"centre {place}   axial slice {_which(scene, scene.views[0])}", PLAIN, 15))
    lines.append((f"{made_by.engine} {made_by.version}, {made_by.title}; {window}", FAINT, 13))
    lines.append((NOT_FOR_CLINICAL_USE, _WARNING, 15))
    return lines


def _said(findings: Findings) -> str:
    """What is said where no lesion is shown: that there is none or why, else what else was remarked."""
    answers = (RemarkKind.NOT_ANALYSED, RemarkKind.NO_FINDING)
    texts = [one.text for one in findings.remarks if one.kind in answers]
    texts += [one.text for one in findings.remarks if one.kind not in answers]
    return " ".join(texts) or "No lesion is marked."


def _wrapped(text: str, size: int) -> list[str]:
    """Break a text into lines that are as wide as the picture at most; what is beyond a few is cut off."""
    width, lines = 3 * _PANEL + 2 * _GAP - 4, [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font(size).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]} …"]


def _headline(target: Segment) -> str:
    side = f"{target.laterality.meaning.lower()} " if target.laterality else ""
    site = f", {side}{target.site.meaning.lower()}" if target.site else f" {side}".rstrip()
    score = f"   score {100 * target.score:.0f} %" if target.score is not None else ""
    return f"{target.label}   {target.type.meaning}{site}{score}"


def _numbers(target: Segment, volume: Volume) -> str:
    volume_mm3 = target.mask.count * volume.grid.voxel_mm3
    size = f"{volume_mm3 / 1000:.2f} ml" if volume_mm3 >= 1000 else f"{volume_mm3:.0f} mm3"
    parts = [f"volume {size}"]
    for name, ends in (("long axis", target.long_axis_lps_mm), ("short axis", target.short_axis_lps_mm)):
        if ends is not None:
            parts.append(f"{name} {np.linalg.norm(np.subtract(*ends)):.1f} mm")
    return "   ".join(parts)


def _compose(rows: list[list[Image.Image]], caption: list[tuple[str, Rgb, int]]) -> Image.Image:
    width = 3 * _PANEL + 2 * _GAP + 2 * _MARGIN
    height = sum(row[0].height + _GAP for row in rows) + 2 * _MARGIN + _LINE * len(caption) + 8
    picture = Image.new("RGB", (width, height), _BACKGROUND)
    y = _MARGIN
    for row in rows:
        for n, panel in enumerate(row):
            picture.paste(panel, (_MARGIN + n * (_PANEL + _GAP), y))
        y += row[0].height + _GAP
    pen = ImageDraw.Draw(picture)
    for text, colour, size in caption:
        y += _LINE
        pen.text((_MARGIN + 2, y), text, fill=colour, font=font(size), anchor="ls")
    return picture
