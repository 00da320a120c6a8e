"""Findings on a picture or a clip: pixels that are not square, and one region or segment on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dicomnode.values import (
    Findings,
    Mask,
    PicturePlane,
    PointLps,
    Region,
    RegionKind,
    SourceFrame,
    SourceHeaders,
)
from tests.unit.report.sources import NODULE, Series, findings

PLANE = PicturePlane(spacing_ji_mm=(0.5, 0.4))  # between rows, between columns
SHAPE = (3, 20, 28)


def at(frame: float, row: float, column: float) -> PointLps:
    """A place on the picture: mm along a row and down a column from the first pixel's centre, the frame."""
    x, y, z = PLANE.grid(SHAPE).to_lps_mm((frame, row, column))
    return float(x), float(y), float(z)


def spot(kind: RegionKind, *points: PointLps, **changes: object) -> Region:
    """A region of a lesion."""
    made = Region(
        label="spot-1",
        kind=kind,
        points_lps_mm=points,
        type=NODULE,
        tracking_uid="1.2.3",
        tracking_id="Spot 1",
        algorithm="spots 1",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def on_picture(kind: RegionKind, *points: PointLps, frames: int = 3) -> Findings:
    """A clip with so many frames, or a picture, and one region on it."""
    source = Series(shape_kji=SHAPE).source()
    uid = source.frames[0].sop_instance_uid
    picture = replace(
        source,
        grid=PLANE.grid((frames, *SHAPE[1:])),
        frames=tuple(SourceFrame(uid, n + 1 if frames > 1 else None) for n in range(frames)),
        headers=SourceHeaders(source.headers.encoded[:1]),
        plane=PLANE,
    )
    return findings(None, sources=(picture,), segments=(), regions=(spot(kind, *points),))


def outlined(*frames: tuple[int, slice, slice], of: int = 8) -> Findings:
    """A segment on some frames of a clip: k, rows, columns."""
    some = on_picture(RegionKind.POINT, at(0, 4, 7), frames=of)
    mask = np.zeros((of, *SHAPE[1:]), dtype=bool)
    for k, rows, columns in frames:
        mask[k, rows, columns] = True
    segment = replace(
        findings().segments[2],
        mask=Mask.from_array(mask),
        centre_lps_mm=at(3, 10, 10),
        long_axis_lps_mm=None,
        measurements=(),
    )
    return replace(some, segments=(segment,), regions=())
