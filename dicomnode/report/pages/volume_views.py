"""Volumes on pages: three views through a finding, and the slices that show most of what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from dicomnode.report.drawing.panels import PLAIN, Extract, Lettering, Panel
from dicomnode.report.drawing.patient_views import View
from dicomnode.report.drawing.pictures import Style, draw_panel, frame_on, magnified_panels, overview_panels
from dicomnode.report.drawing.scene import Scene, box_of, scene_of
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.pages.names import Names
from dicomnode.report.pages.sheet import GAP, INNER
from dicomnode.report.pages.typeface import plain, writable
from dicomnode.report.pages.words import Found, key_slice, lesions_of, slice_name
from dicomnode.report.words.wording import percent
from dicomnode.values import Findings, Volume

_THIRD: Final = (INNER - 2 * GAP) // 3
_WIDE: Final = 1.9  # pixels of a contour: seen at half the size
_LETTERS: Final = 1.45  # times as large as in the pictures of `dicomnode try`

TILES: Final = 12  # of a montage at most
_ARRANGED: Final = ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3))  # columns and rows
_WIDEST: Final = 1.5  # times as wide as high is a tile at most
_SAID, _NEXT = (6, 5), 22  # where the first text of a tile stands, and pixels from one to the next
_AROUND_MM: Final = 15.0  # beside what was found that a tile shows …
_LEAST_MM: Final = 150.0  # … and at least this much


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Panels of a volume, and the slices of the source that they are of."""

    panels: tuple[Image.Image, ...]
    slices: tuple[int, ...]


def summary_views(imprint: Imprint, volume: Volume, height: int) -> Views:
    """The three views of the whole through the surest finding; `height` is what a panel takes at most."""
    scene = scene_of(volume, imprint.findings, None)
    return Views(tuple(overview_panels(scene, _style(imprint, (_THIRD, height)))), _slices(scene))


def lesion_views(
    imprint: Imprint, volume: Volume, found: Found, heights: tuple[int, int]
) -> tuple[Views, Views]:
    """The three views of the whole with a frame around the finding, and of the finding alone."""
    scene = scene_of(volume, imprint.findings, found.label)
    style = _style(imprint, (_THIRD, heights[0]), (_THIRD, heights[1]))
    overview, magnified = overview_panels(scene, style), magnified_panels(scene, found, style)
    return Views(tuple(overview), _slices(scene)), Views(tuple(magnified), _slices(scene))


def window_name(volume: Volume, findings: Findings, label: str | None) -> str:
    """What the grey values of a page mean."""
    return str(scene_of(volume, findings, label).window)


def _style(
    imprint: Imprint, overview: tuple[int, int], magnified: tuple[int, int] = (_THIRD, _THIRD)
) -> Style:
    def caption(scene: Scene, view: View) -> str:
        """What a view is; of a slice of the source the number by which viewers know it."""
        own = view.axes[2] == 0
        return f"{view.name}, {slice_name(imprint, scene.centre_kji[0])}" if own else view.name

    return Style(
        overview=overview,
        magnified=magnified,
        lettering=Lettering(plain, _LETTERS),
        contour=_WIDE,
        caption=caption,
        faint=PLAIN,
    )


def _slices(scene: Scene) -> tuple[int, ...]:
    """The slice of the source that one of the views shows."""
    return (scene.centre_kji[0],)


# ── The montage ───────────────────────────────────────────────────────────────────────────────────
def montage_slices(imprint: Imprint, lesions: Sequence[Found]) -> list[tuple[int, str]]:
    """Slices that show most of what was found, and what is to be said of them; in the order of their numbers.

    That with most of each lesion and some more through it, else those with the highest scores, else some
    through all that was outlined; none where nothing has a place.
    """
    findings = imprint.findings
    told: dict[int, str] = {}
    if lesions:
        told = dict.fromkeys(_of_lesions(lesions, findings), "")
    elif findings.frame_scores:
        best = sorted(findings.frame_scores, key=lambda one: (-one.score, one.k))
        for k in list(dict.fromkeys(one.k for one in best))[:TILES]:
            scores = [one for one in findings.frame_scores if one.k == k]
            told[k] = ", ".join(f"{one.label} {percent(one.score)}" for one in scores)
    elif findings.segments:
        spans = [segment.mask.box_kji[0] for segment in findings.segments]
        told = dict.fromkeys(_spread(min(low for low, _ in spans), max(high for _, high in spans), TILES), "")
    numbers = imprint.heading.numbers
    frames = findings.sources[0].frames
    order = sorted(told, key=lambda k: (numbers.get(frames[k].sop_instance_uid, k), k))
    return [(k, writable(told[k])) for k in order]


@dataclass(frozen=True, slots=True, eq=False)
class Montage:
    """Rows of tiles. unnamed: by the name of its slice, the lesions of a tile that had no room for them."""

    rows: tuple[tuple[Image.Image, ...], ...]
    unnamed: Mapping[str, tuple[str, ...]]


def montage(imprint: Imprint, volume: Volume, slices: Sequence[tuple[int, str]], height: int) -> Montage:
    """Draw a tile for each slice, all of the same part of the volume, with frames around lesions.

    They are as large as their number allows. height: of the room for all of them.
    """
    columns, rows = next(one for one in _ARRANGED if one[0] * one[1] >= len(slices))
    high = (height - rows * GAP) // rows
    size = min((INNER - (columns - 1) * GAP) // columns, round(_WIDEST * high)), high
    scene = replace(scene_of(volume, imprint.findings, None), target=None)
    view = next(one for one in scene.views if one.axes[2] == 0)
    extract = _extract(scene, view, size)
    ranked = [one.label for one in lesions_of(imprint.findings)]
    tiles, unnamed = [], {}
    for k, told in slices:
        _, j, i = scene.centre_kji
        here = replace(scene, centre_kji=(k, j, i))
        panel = draw_panel(here, view, extract, _WIDE / 1.3, Lettering(plain, _LETTERS * 0.9))
        for n, text in enumerate((slice_name(imprint, k), told)):
            panel.write((_SAID[0], _SAID[1] + n * _NEXT), text, "la")
        cut = {one.label: one for one in here.found if here.cuts(one, view)}
        left_out = _name_lesions(panel, here, [cut[label] for label in ranked if label in cut])
        if left_out:
            unnamed[slice_name(imprint, k)] = tuple(left_out)
        tiles.append(panel.finished())
    in_rows = (tuple(tiles[n : n + columns]) for n in range(0, len(tiles), columns))
    return Montage(tuple(in_rows), unnamed)


def _name_lesions(panel: Panel, scene: Scene, lesions: Sequence[Found]) -> list[str]:
    """Frame lesions on a tile and name them in their order; gives those that there is no room to name."""
    names, more_at = Names(panel), (_SAID[0], _SAID[1] + _NEXT)
    frames = [frame_on(panel, scene.box_of(found)) for found in lesions]
    names.keep_for_more(more_at)
    for found, (low, high) in zip(lesions, frames, strict=True):
        panel.draw_corners(low, high, scene.colour_of(found))
        names.avoid((*low, *high))
    left_out = [
        writable(found.label)
        for found, (low, high) in zip(lesions, frames, strict=True)
        if not names.write(writable(found.label), scene.colour_of(found), (*low, *high))
    ]
    names.write_more(more_at, len(left_out))
    return left_out


def _of_lesions(lesions: Sequence[Found], findings: Findings) -> list[int]:
    """Key slices first, then others through each lesion; no neighbours of these where room is short."""
    wanted = [key_slice(found, findings) for found in lesions]
    for found in lesions:
        wanted += _through(found, findings, max(1, TILES // len(lesions)))
    keys, chosen = set(wanted[: len(lesions)]), list[int]()
    crowded = len(set(wanted)) > TILES
    for k in wanted:
        near = {k - 1, k, k + 1} if crowded and k not in keys else {k}
        if not near & set(chosen):
            chosen.append(k)
    return chosen[:TILES]


def _through(found: Found, findings: Findings, most: int) -> list[int]:
    """Slices through a lesion; if there is but one, that with most of it."""
    grid = findings.sources[0].grid
    assert grid is not None
    low, high = box_of(found, grid)[0]
    first, last = (int(np.clip(round(end), 0, grid.shape_kji[0] - 1)) for end in (low + 0.01, high - 0.01))
    if most == 1 or first >= last:
        return [key_slice(found, findings)]
    return _spread(first, last + 1, most)


def _spread(start: int, stop: int, most: int) -> list[int]:
    """Whole numbers spread evenly from `start` to below `stop`, `most` of them or all that there are."""
    count = min(most, stop - start)
    return sorted({int(k) for k in np.rint(np.linspace(start, stop - 1, count))})


def _extract(scene: Scene, view: View, size: tuple[int, int]) -> Extract:
    """The part of the plane with everything that was found, and some air around it; size: of the panel."""
    ends = np.array([[-0.5, n - 0.5] for n in view.shape])
    spacing = np.array(view.spacing_mm)
    if scene.found:
        boxes = [
            [view.locate(corner) for corner in zip(*scene.box_of(one), strict=True)] for one in scene.found
        ]
        places = np.array(boxes).reshape(-1, 2)
        air = _AROUND_MM / spacing
        low, high = places.min(axis=0) - air, places.max(axis=0) + air
        lacking = np.maximum(0.0, _LEAST_MM / spacing - (high - low)) / 2
        ends = np.clip(np.stack((low - lacking, high + lacking), axis=1), ends[:, :1], ends[:, 1:])
    down_mm, right_mm = (ends[:, 1] - ends[:, 0]) * spacing
    row, column = (float(middle) for middle in ends.mean(axis=1))
    scale = min(size[0] / float(right_mm), size[1] / float(down_mm))
    return Extract((row, column), scale, size)
