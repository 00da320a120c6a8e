"""The outline of a segment of a volume on one image: the region of its planar group (TID 1410).

For reports without a Segmentation beside them, which else would say of no finding where it is. It lies on the
slice with most of the segment; of several pieces there, the largest one stands for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from dicomnode.report.frame_references import image_region
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.outlines.outlines import area_of, polygons_of
from dicomnode.report.words.sentences import largest_slice
from dicomnode.values import Float64, Segment

if TYPE_CHECKING:
    from highdicom import sr

_MOST_POINTS: Final = 8000  # a value has at most 65,534 bytes (PS3.5 7.1.2), a point 8
_HALF: Final = 0.5


def outline_of_segment(
    imprint: Imprint, segment: Segment, spatial: Literal["2d", "3d"]
) -> sr.ImageRegion | sr.ImageRegion3D:
    """Write the outline of a segment of a volume. spatial: on the image, or in patient space."""
    from highdicom import sr  # noqa: PLC0415  heavy

    k = largest_slice(segment)
    ring = _outline(segment, k)
    grid = imprint.findings.sources[0].grid
    if spatial == "2d" or grid is None:
        return image_region(imprint, "POLYLINE", ring + _HALF, k)
    points = grid.to_lps_mm(np.column_stack((np.full(len(ring), float(k)), ring[:, ::-1])))
    return sr.ImageRegion3D("POLYGON", points, grid.frame_of_reference_uid)


def _outline(segment: Segment, k: int) -> Float64:
    """Column and row (n, 2) around the largest piece on slice k, closed; of a frayed one its box."""
    _, (top, _), (left, _) = segment.mask.box_kji
    outers = [one.outer for one in polygons_of(segment.mask.plane(k), (top, left))]
    largest = max(outers, key=area_of)
    if len(largest) >= _MOST_POINTS:
        (west, north), (east, south) = largest.min(axis=0), largest.max(axis=0)
        largest = np.array([[west, north], [east, north], [east, south], [west, south]])
    closed: Float64 = np.concatenate([largest, largest[:1]])
    return closed
