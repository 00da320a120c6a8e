"""A picture of a finding for people: axial, coronal and sagittal, as a radiologist expects them.

Above the whole volume with a frame around the finding, below the finding magnified: contours, never filled,
true proportions, lettered edges, the long axis where it was measured. Under them a legend, what was found in
sentences, and the window. What is written is about the findings and the engine; nothing of it comes from a
header, so no patient is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from dicomnode.report.drawing.legend import draw_legend, entries_of
from dicomnode.report.drawing.panels import BACKGROUND, FAINT, PLAIN, Extract, Lettering, Panel, font
from dicomnode.report.drawing.patient_views import View
from dicomnode.report.drawing.scene import Box, Scene, scene_of
from dicomnode.report.heading.identity import mark_of
from dicomnode.report.words.conclusion import conclusion
from dicomnode.report.words.sentences import site_text
from dicomnode.report.words.wording import position, present_classes, score_text, volume_text
from dicomnode.values import Findings, Region, RegionKind, RemarkKind, Segment, Volume
from dicomnode.values.colours import Rgb

_PANEL: Final = 460  # pixels
_LOW_PANEL: Final = 380  # height of a magnified panel
_GAP: Final = 6
_MARGIN: Final = 14
_WIDTH: Final = 3 * _PANEL + 2 * _GAP
_LINE: Final = 21
_MOST_LINES: Final = 4
_CLOSEST_MM: Final = 40.0  # a magnified view is at least this wide
_AROUND: Final = 2.6  # and this many times as wide as the finding
_AIR: Final = 8.0  # pixels between a finding and the frame around it
_THINNER: Final = 1.3
WARNING: Final = (255, 196, 70)

Corners = tuple[tuple[float, float], tuple[float, float]]
"""Upper left and lower right corner of something on a panel, each x, y."""


def slice_of(scene: Scene, view: View) -> str:
    """Which plane of how many a view shows: "128 / 143"."""
    axis = view.axes[2]
    return f"{scene.centre_kji[axis] + 1} / {scene.volume.voxels.shape[axis]}"


def caption_of(scene: Scene, view: View) -> str:
    """What a view is, and which plane it shows."""
    return f"{view.name}  {slice_of(scene, view)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How large panels are (width, height, in pixels) and how they are drawn; by default as in `overlay_png`.

    overview: most that a panel of the whole takes. magnified: of a panel of the finding alone. contour: width
    of contours in pixels, that of the finding in question. caption, faint: what stands above a panel of the
    whole, and in which colour.
    """

    overview: tuple[int, int] = (_PANEL, _PANEL)
    magnified: tuple[int, int] = (_PANEL, _LOW_PANEL)
    lettering: Lettering = field(default_factory=Lettering)
    contour: float = 1.3
    caption: Callable[[Scene, View], str] = caption_of
    faint: Rgb = FAINT


def overlay_png(volume: Volume, findings: Findings, label: str | None) -> bytes:
    """Draw the segment or region `label` on the volume that it was found in; a PNG.

    label: None draws the lesion with the highest score, without a lesion the region with the highest, and
    without either the whole volume with all segments.
    Raises KeyError if nothing has that label, ValueError if the volume is not that of the findings.
    """
    source = findings.sources[0]
    # Phases of one series lie on one grid: their frames tell them apart
    if source.grid is None or not source.grid.same_as(volume.grid) or source.frames != volume.frames:
        raise ValueError("the volume is not the one that the findings lie in")
    scene = scene_of(volume, findings, label)
    style = Style()
    rows = [overview_panels(scene, style)]
    if scene.target is not None:
        rows.append(magnified_panels(scene, scene.target, style))
    legend = draw_legend(entries_of(scene), _WIDTH - 4)
    buffer = BytesIO()
    _compose(rows, legend, _caption(scene, findings)).save(buffer, format="PNG")
    return buffer.getvalue()


def overview_panels(scene: Scene, style: Style) -> list[Image.Image]:
    """The three views of the whole volume at one scale, with a frame around the finding."""
    sizes_mm = [[n * mm for n, mm in zip(view.shape, view.spacing_mm, strict=True)] for view in scene.views]
    high_mm, wide_mm = (max(size[axis] for size in sizes_mm) for axis in (0, 1))
    scale = min(style.overview[0] / wide_mm, style.overview[1] / high_mm)
    size = (style.overview[0], max(round(high_mm * scale), 120))
    panels = []
    for view in scene.views:
        middle = ((view.shape[0] - 1) / 2, (view.shape[1] - 1) / 2)
        # Thinner where the finding comes again below
        width = style.contour if scene.target is None else style.contour / _THINNER
        panel = draw_panel(scene, view, Extract(middle, scale, size), width, style.lettering)
        if scene.target is not None:
            panel.draw_corners(*frame_on(panel, scene.box_of(scene.target)), scene.colour_of(scene.target))
        panel.write((8, 18 * style.lettering.times), style.caption(scene, view), "ls", style.faint)
        panels.append(panel.finished())
    return panels


def magnified_panels(scene: Scene, target: Segment | Region, style: Style) -> list[Image.Image]:
    """The three views of the finding alone."""
    box, spacing = scene.box_of(target), scene.volume.grid.spacing_kji_mm
    size_mm = max((high - low) * mm for (low, high), mm in zip(box, spacing, strict=True))
    scale = style.magnified[0] / max(_CLOSEST_MM, _AROUND * size_mm)
    middle_kji = [(low + high) / 2 for low, high in box]
    panels = []
    for view in scene.views:
        extract = Extract(view.locate(middle_kji), scale, style.magnified)
        panel = draw_panel(scene, view, extract, style.contour, style.lettering)
        for ends in (
            (target.short_axis_lps_mm, target.long_axis_lps_mm) if isinstance(target, Segment) else ()
        ):
            if ends is not None and scene.in_plane(ends, view):
                panel.draw_caliper(ends, scene.volume.grid)
        panels.append(panel.finished())
    return panels


def draw_panel(
    scene: Scene, view: View, extract: Extract, width: float, lettering: Lettering | None = None
) -> Panel:
    """A plane through the finding with all contours on it, that of the finding last, and its letters."""
    panel = Panel(view, extract, lettering)
    across = scene.centre_kji[view.axes[2]]
    panel.draw_plane(scene.volume.voxels, across, (scene.window.low, scene.window.high))
    for segment in sorted(scene.segments, key=lambda one: one is scene.target):
        beside = scene.target is not None and segment is not scene.target
        panel.draw_contour(segment, across, 0.75 * width if beside else width)
    for region in scene.regions:
        if scene.cuts(region, view):
            _draw_region(panel, region, scene)
    panel.draw_scale()
    panel.write_letters()
    return panel


def _draw_region(panel: Panel, region: Region, scene: Scene) -> None:
    """A box as a rectangle, another shape as the rectangle around it, a point as four lines towards it."""
    draw_shape(panel, region, scene.box_of(region), scene.region_colour)


def draw_shape(panel: Panel, region: Region, box: Box, colour: Rgb) -> None:
    """The same on any panel. box: what the region takes of the array that the panel shows."""
    low, high = on_panel(panel, box)
    if region.kind is RegionKind.POINT:
        panel.draw_cross(((low[0] + high[0]) / 2, (low[1] + high[1]) / 2), colour)
    else:
        panel.draw_rectangle(low, high, colour)


def on_panel(panel: Panel, box: Box) -> Corners:
    """Upper left and lower right corner (x, y) of a box on a panel."""
    edges = [
        panel.extract.to_pixels(panel.view, panel.view.locate(corner)) for corner in zip(*box, strict=True)
    ]
    (x0, x1), (y0, y1) = (sorted(values) for values in zip(*edges, strict=True))
    return (x0, y0), (x1, y1)


def frame_on(panel: Panel, box: Box) -> Corners:
    """The same of a square around it, with some air."""
    (x0, y0), (x1, y1) = on_panel(panel, box)
    half = max(x1 - x0, y1 - y0) / 2 + _AIR
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (x - half, y - half), (x + half, y + half)


def _caption(scene: Scene, findings: Findings) -> list[tuple[str, Rgb, int]]:
    """What stands below: lines with colour and size."""
    made_by = findings.provenance
    lines: list[tuple[str, Rgb, int]] = []
    if scene.target is not None:
        lines.append((_headline(scene.target), scene.colour_of(scene.target), 19))
        lines.append((_numbers(scene.target, scene), PLAIN, 15))
    lines += [(line, PLAIN, 15) for line in _wrapped(_said(findings), 15)]
    lines.append((f"{made_by.engine} {made_by.version}, {made_by.title}; {scene.window}", FAINT, 13))
    return lines + [(line, WARNING, 15) for line in _wrapped(mark_of(findings), 15)]


def _said(findings: Findings) -> str:
    """What the findings say: the conclusion, why something is missing, then what else was remarked."""
    answers = (RemarkKind.NOT_ANALYSED, RemarkKind.NO_FINDING)
    texts = [one.text for one in findings.remarks if one.kind in answers]
    texts += [one.text for one in findings.remarks if one.kind not in answers]
    return " ".join((*conclusion(findings, {}), *texts))


def _wrapped(text: str, size: int) -> list[str]:
    """Break a text into lines that are as wide as the picture at most; what is beyond a few is cut off."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font(size).getlength(longer) > _WIDTH - 4:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]} …"]


def _headline(target: Segment | Region) -> str:
    score = f"   {score_text(target.score, calibrated=target.calibrated)}" if target.score is not None else ""
    classes = "".join(f"   {one}" for one in present_classes(target))
    return f"{target.label}   {target.type.meaning}{site_text(target)}{score}{classes}"


def _numbers(target: Segment | Region, scene: Scene) -> str:
    """Volume and axes of a segment; where the finding lies, and on which slice."""
    slice_text = f"axial slice {slice_of(scene, scene.views[0])}"
    if isinstance(target, Region):
        centre = scene.volume.grid.to_lps_mm([(low + high) / 2 for low, high in scene.box_of(target)])
        x, y, z = (float(one) for one in centre)
        return f"no outline   centre {position((x, y, z))}   {slice_text}"
    parts = [f"volume {volume_text(target.mask.count * scene.volume.grid.voxel_mm3)}"]
    for name, ends in (("long axis", target.long_axis_lps_mm), ("short axis", target.short_axis_lps_mm)):
        if ends is not None:
            parts.append(f"{name} {np.linalg.norm(np.subtract(*ends)):.1f} mm")
    return "   ".join((*parts, f"centre {position(target.centre_lps_mm)}", slice_text))


def _compose(
    rows: list[list[Image.Image]], legend: Image.Image | None, caption: list[tuple[str, Rgb, int]]
) -> Image.Image:
    height = sum(row[0].height + _GAP for row in rows) + 2 * _MARGIN + _LINE * len(caption) + 8
    height += legend.height + _GAP if legend else 0
    picture = Image.new("RGB", (_WIDTH + 2 * _MARGIN, height), BACKGROUND)
    y = _MARGIN
    for row in rows:
        for n, panel in enumerate(row):
            picture.paste(panel, (_MARGIN + n * (_PANEL + _GAP), y))
        y += row[0].height + _GAP
    if legend is not None:
        picture.paste(legend, (_MARGIN + 2, y + 2))
        y += legend.height + _GAP
    pen = ImageDraw.Draw(picture)
    for text, colour, size in caption:
        y += _LINE
        pen.text((_MARGIN + 2, y), text, fill=colour, font=font(size), anchor="ls")
    return picture
