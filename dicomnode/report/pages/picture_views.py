"""Pictures on pages: a radiograph, a mammogram, a photograph, a frame of a clip, and what was found on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicomnode.report.drawing.colours import coloured
from dicomnode.report.drawing.panels import Extract, Lettering, Panel
from dicomnode.report.drawing.patient_views import View, stored_view
from dicomnode.report.drawing.pictures import Corners, draw_shape, on_panel
from dicomnode.report.drawing.scene import Box, box_of
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.pages.names import Names
from dicomnode.report.pages.pixels import SourcePixels
from dicomnode.report.pages.shown import Shown
from dicomnode.report.pages.typeface import plain, writable
from dicomnode.report.pages.words import Found, colours_of, key_slice, lesions_of, slice_name
from dicomnode.report.words.wording import percent
from dicomnode.values import Float64, Grid, Picture, Pixels, Segment
from dicomnode.values.colours import Rgb

_LETTERS: Final = 1.45
_WIDE: Final = 1.9
_NO_SIDES: Final = str.maketrans("", "", "LR")
_OPPOSITE: Final = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
_PERCENTILES: Final = (1.0, 99.5)
_BESIDE_POINT: Final = 17  # pixels: the arms of the cross stay free
_TOP: Final = 30  # pixels from the top, below what the frame is called
_NAME: Final = 14  # size of names
_BLACK: Final = 0.1  # of what a screen shows: nobody sees anything in less
_ENOUGH: Final = 100_000  # pixels are enough for percentiles


def frames_with_findings(imprint: Imprint, lesions: Sequence[Found]) -> list[int]:
    """Frames of the first source with something on them, in the order of what matters most."""
    findings = imprint.findings
    return list(dict.fromkeys(key_slice(one, findings) for one in (*lesions, *findings.segments)))


def frames_to_look_at(
    imprint: Imprint, pixels: SourcePixels, lesions: Sequence[Found], most: int
) -> list[Shown]:
    """Frames for the first page: with findings or the highest scores, then one of each other picture."""
    findings = imprint.findings
    frames = frames_with_findings(imprint, lesions)
    if not frames:
        best = sorted(findings.frame_scores, key=lambda one: (-one.score, one.k))
        frames = list(dict.fromkeys(one.k for one in best)) or [0]
    others = [Shown(n, 0) for n in range(1, len(pixels.volumes))]
    own = [Shown(0, frame) for frame in sorted(frames[: max(1, most - len(others))])]
    return [*own, *others][:most]


def picture_panel(imprint: Imprint, pixels: SourcePixels, shown: Shown, size: tuple[int, int]) -> Image.Image:
    """Draw a frame as large as there is room for, with the findings that lie on it."""
    picture = pixels.pictures[shown.source]
    view = picture_view(picture)
    scale = min(
        n / (pixel * mm) for n, pixel, mm in zip(size, view.shape[::-1], view.spacing_mm[::-1], strict=True)
    )
    # No wider than it is: beside it another one may stand
    width, height = (
        max(120, round(n * mm * scale)) for n, mm in zip(view.shape[::-1], view.spacing_mm[::-1], strict=True)
    )
    middle = ((view.shape[0] - 1) / 2, (view.shape[1] - 1) / 2)
    panel = Panel(view, Extract(middle, scale, (width, height)), Lettering(plain, _LETTERS))
    panel.draw_pixels(toned(picture.frames[shown.frame]))
    panel.write_letters()
    if picture.plane.spacing_ji_mm is not None:
        panel.draw_scale()
    if name := frame_name(imprint, picture, shown):
        panel.write((8, 6), name, "la")
    if shown.source == 0:
        _draw_findings(panel, imprint, shown.frame)
    return panel.finished()


def frame_name(imprint: Imprint, picture: Picture, shown: Shown) -> str:
    """What people call it: its side and view ("R CC"), and which frame of a clip."""
    named = " ".join(part for part in (picture.plane.laterality, picture.plane.view) if part)
    parts = [named] if named else []
    if len(picture.sources) > 1:
        parts.append(slice_name(imprint, shown.frame) if shown.source == 0 else f"frame {shown.frame + 1}")
    scores = [one for one in imprint.findings.frame_scores if shown == Shown(0, one.k)]
    parts += [f"{one.label} {percent(one.score)}" for one in scores]
    return writable(", ".join(parts))


def toned(frame: Pixels) -> NDArray[np.uint8]:
    """Pixels (j, i, c) as a screen shows them, (j, i) of grey or (j, i, 3).

    Bytes, colours, and what its own window has brought to 0 … 1 stay as they are, unless that is black all
    over; other values are shown from the 1st to the 99.5th percentile of what is not background.
    """
    if frame.dtype == np.uint8:
        return _squeezed(frame.astype(np.uint8))
    values = frame.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if frame.dtype != np.uint16 and low >= 0.0 and _BLACK < high <= 1.0:
        low, high = 0.0, 1.0
    elif frame.shape[2] == 3:
        low, high = 0.0, 65535.0 if frame.dtype == np.uint16 else high
    else:
        some = values.ravel()[:: max(1, values.size // _ENOUGH)]
        some = some[some > low]
        low, high = (float(one) for one in np.percentile(some, _PERCENTILES)) if some.size else (low, high)
    return _squeezed(np.clip((values - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8))


def _squeezed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey ones without their axis of channels."""
    return pixels.reshape(pixels.shape[:2]) if pixels.shape[2] == 1 else pixels


def _draw_findings(panel: Panel, imprint: Imprint, frame: int) -> None:
    findings = imprint.findings
    grid, colours = findings.sources[0].grid, colours_of(findings)
    assert grid is not None  # there are pixels
    segments = coloured(findings.segments)
    for segment in segments:
        panel.draw_contour(segment, frame, _WIDE)
    on_it = [one for one in findings.regions if key_slice(one, findings) == frame]
    shown: list[tuple[Found, Box]] = []
    for region in on_it:
        shown.append((region, box_of(region, grid)))
        draw_shape(panel, region, box_of(region, grid), colours[region.label])
    shown += [(one, of_it) for one in segments if (of_it := _box_on(one, frame)) is not None]
    # The surest choose their places first
    rank = {one.label: n for n, one in enumerate(lesions_of(findings))}
    shown.sort(key=lambda one: rank.get(one[0].label, len(rank)))
    _name_all(panel, [(found, _with_air(panel, box)) for found, box in shown], colours)


def _name_all(panel: Panel, shown: Sequence[tuple[Found, Corners]], colours: Mapping[str, Rgb]) -> None:
    """Write what findings are called, in their order, and how many there is no room for."""
    names, more_at = Names(panel, _NAME), (8, _TOP)
    names.keep_for_more(more_at)
    for _, (low, high) in shown:
        names.avoid((*low, *high))
    named = [
        names.write(writable(found.label), colours[found.label], (*low, *high))
        for found, (low, high) in shown
    ]
    names.write_more(more_at, named.count(False))


def _with_air(panel: Panel, box: Box) -> Corners:
    """Upper left and lower right corner of a finding on a panel; of a point those of the cross around it."""
    (x0, y0), (x1, y1) = on_panel(panel, box)
    air = _BESIDE_POINT if max(x1 - x0, y1 - y0) < 1 else 0
    return (x0 - air, y0 - air), (x1 + air, y1 + air)


def _box_on(segment: Segment, frame: int) -> Box | None:
    """What a segment takes of a frame; None where it is not on it."""
    (start, stop), (top, _), (left, _) = segment.mask.box_kji
    if not start <= frame < stop:
        return None
    on_it = segment.mask.crop()[frame - start]
    rows, columns = (np.flatnonzero(on_it.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    ends = [
        (float(low) + one[0] - 0.5, float(low) + one[-1] + 0.5) for low, one in ((top, rows), (left, columns))
    ]
    return (frame - 0.5, frame + 0.5), ends[0], ends[1]


def picture_view(picture: Picture) -> View:
    """A picture as it is stored: columns to the right, rows downwards; letters where it says them.

    Of a picture of one side of the body, R and L would be taken for that side: they are left out.
    """
    _, rows, columns, _ = picture.frames.shape
    letters = ("", "", "", "")
    if picture.plane.toward is not None:
        right, down = picture.plane.toward
        letters = (_opposite(right), right, _opposite(down), down)
        if picture.plane.laterality in {"L", "R"}:
            letters = tuple(one.translate(_NO_SIDES) for one in letters)  # type: ignore[assignment]
    return View(
        name="picture",
        axes=(1, 2, 0),
        flips=(False, False, False),
        shape=(rows, columns),
        spacing_mm=picture.plane.spacing_ji_mm or (1.0, 1.0),
        letters=letters,
    )


def turned_view(picture: Picture, grid: Grid) -> View:
    """Pixels of a picture that were flipped, turned or scaled, as their array has them.

    grid: where they lie on the plane of the picture (`PicturePlane.grid`).
    """
    left, right, top, bottom = picture_view(picture).letters
    toward = ((left, right), (top, bottom))

    def letter(direction: Float64) -> str:
        axis = int(np.argmax(np.abs(direction[:2])))
        return toward[axis][int(direction[axis] > 0)]

    along_row, along_column = grid.affine_lps[:3, 0], grid.affine_lps[:3, 1]
    lies = (letter(-along_row), letter(along_row), letter(-along_column), letter(along_column))
    return replace(stored_view(grid), letters=lies)


def _opposite(letters: str) -> str:
    return "".join(_OPPOSITE.get(letter, "") for letter in letters)
