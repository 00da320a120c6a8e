"""Regions of pictures as coordinates of their pixels (SCOORD, PS3.3 C.18.6): there is no patient space.

Column and row are counted from the upper left corner of the first pixel, whose centre is 0.5, 0.5. A planar
group has one region (TID 1410 row 5): of a clip it names all frames that it is on, and encloses what is found
on each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import TYPE_CHECKING, Final

import numpy as np

from dicomnode.report.frame_references import image_region
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.words.wording import joined
from dicomnode.values import Findings, PointLps, Region, RegionKind, Segment, Source

if TYPE_CHECKING:
    from highdicom import sr

_MOST_RUNS: Final = 4  # of frames are named one by one

Corner = tuple[float, float]
"""Column, row."""


def region_on_picture(imprint: Imprint, region: Region) -> sr.ImageRegion | None:
    """Return a point or box of a picture; None of a volume, where it stands in words."""
    source = imprint.findings.sources[0]
    if source.plane is None or source.grid is None:
        return None
    corners = [_corner(source, point) for point in region.points_lps_mm]
    frames = _frames_between([float(z) for _, _, z in region.points_lps_mm])
    if region.kind is RegionKind.POINT:
        return _as_region(imprint, "POINT", corners, frames)
    if region.kind is RegionKind.BOX:
        return _as_region(imprint, "POLYLINE", _around(corners[0], corners[1]), frames)
    return None


def region_of_segment(imprint: Imprint, segment: Segment) -> sr.ImageRegion | None:
    """Return the box around a segment of a picture, on every frame that has some of it; None of a volume."""
    if imprint.findings.sources[0].plane is None:
        return None
    _, (top, bottom), (left, right) = segment.mask.box_kji
    corners = _around((float(left), float(top)), (float(right), float(bottom)))
    return _as_region(imprint, "POLYLINE", corners, frames_with(segment))


def frames_with(segment: Segment) -> list[int]:
    """Return the frames (k) that a segment of a clip is on, ascending."""
    first = segment.mask.box_kji[0][0]
    return [first + int(k) for k in np.flatnonzero(segment.mask.crop().any(axis=(1, 2)))]


def frames_text(segment: Segment, findings: Findings) -> str:
    """Name the frames of a clip that a segment is on: "on frames 3 to 6"; nothing where that is one, or none.

    Beyond a few runs of frames: how many there are.
    """
    frames = findings.sources[0].frames
    numbers = [number for k in frames_with(segment) if (number := frames[k].frame_number) is not None]
    if findings.sources[0].plane is None or len(numbers) < 2:
        return ""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(runs) > _MOST_RUNS:
        return f"on {len(numbers)} frames from {numbers[0]} to {numbers[-1]}"
    return f"on frames {joined([_run(one) for one in runs])}"


def _run(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def pictures_looked_at(imprint: Imprint) -> list[sr.SourceImageForMeasurementGroup] | None:
    """Return the pictures that a statement is about; None of volumes."""
    from highdicom import sr  # noqa: PLC0415  heavy

    if imprint.findings.sources[0].plane is None:
        return None
    return [
        sr.SourceImageForMeasurementGroup(stub.SOPClassUID, stub.SOPInstanceUID)
        for stubs in imprint.heading.stubs
        for stub in stubs
    ]


def _corner(source: Source, point: PointLps) -> Corner:
    assert source.grid is not None
    _, row, column = source.grid.to_index_kji(point)
    # On the picture: half a pixel beyond its centre is its end, whatever rounding says
    _, rows, columns = source.grid.shape_kji
    return float(np.clip(column + 0.5, 0.0, columns)), float(np.clip(row + 0.5, 0.0, rows))


def _around(one: Corner, other: Corner) -> list[Corner]:
    """Return the closed line around a box."""
    (left, top), (right, bottom) = one, other
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def _frames_between(places: Sequence[float]) -> list[int]:
    """Return the frames within what points span across frames; of what lies between two, the nearest one."""
    low, high = min(places), max(places)
    return list(range(ceil(low), floor(high) + 1)) or [round((low + high) / 2)]


def _as_region(
    imprint: Imprint, graphic: str, corners: Sequence[Corner], frames: Sequence[int]
) -> sr.ImageRegion:
    return image_region(imprint, graphic, np.array(corners, dtype=np.float64), *frames)
