"""Regions of pictures as coordinates of their pixels (SCOORD, PS3.3 C.18.6): there is no patient space.

Column and row are counted from the upper left corner of the first pixel, whose centre is 0.5, 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dicomnode.report.frame_references import image_region
from dicomnode.report.identity import Imprint
from dicomnode.values import PointLps, Region, RegionKind, Segment, Source

if TYPE_CHECKING:
    from highdicom import sr

Corner = tuple[float, float]
"""Column, row."""


def region_on_picture(imprint: Imprint, region: Region) -> sr.ImageRegion | None:
    """Return a point or box of a picture; None of a volume, where it stands in words."""
    source = imprint.findings.sources[0]
    if source.plane is None or source.grid is None:
        return None
    corners = [_corner(source, point) for point in region.points_lps_mm]
    _, _, z = np.mean(np.array(region.points_lps_mm), axis=0)
    if region.kind is RegionKind.POINT:
        return _as_region(imprint, "POINT", corners, round(float(z)))
    if region.kind is RegionKind.BOX:
        return _as_region(imprint, "POLYLINE", _around(corners[0], corners[1]), round(float(z)))
    return None


def region_of_segment(imprint: Imprint, segment: Segment) -> sr.ImageRegion | None:
    """Return the box around a segment of a picture, on the frame with most of it; None of a volume."""
    if imprint.findings.sources[0].plane is None:
        return None
    counts = segment.mask.crop().sum(axis=(1, 2))
    frame = int(np.argmax(counts)) + segment.mask.box_kji[0][0]
    on_frame = segment.mask.to_array()[frame]
    rows, columns = (np.flatnonzero(on_frame.any(axis=axis)) for axis in (1, 0))
    low, high = (float(columns[0]), float(rows[0])), (float(columns[-1] + 1), float(rows[-1] + 1))
    return _as_region(imprint, "POLYLINE", _around(low, high), frame)


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


def _as_region(imprint: Imprint, graphic: str, corners: Sequence[Corner], frame: int) -> sr.ImageRegion:
    return image_region(imprint, graphic, np.array(corners, dtype=np.float64), frame)
