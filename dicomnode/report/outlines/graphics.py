"""Lines and texts of a presentation state (PS3.3 C.10.5), as the library makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from dicomnode.report.drawing.free_places import Box
from dicomnode.report.outlines.labels import PlacedText
from dicomnode.report.outlines.layer_words import LINE_BREAK
from dicomnode.report.outlines.outlines import Ring
from dicomnode.values import Float64, Region, Segment

if TYPE_CHECKING:
    from highdicom import pr

_ST_MAX: Final = 1024
_MOST_POINTS: Final = 8000  # of one object: a value has at most 65,534 bytes (PS3.5 7.1.2), a point 8


def pieces(points: Float64) -> Iterator[Float64]:
    """Cut a line where it has more points than one value can hold; pieces share their ends."""
    for start in range(0, len(points) - 1, _MOST_POINTS - 1):
        yield points[start : start + _MOST_POINTS]


def line(points: Ring, found: Segment | Region, graphic: str = "POLYLINE") -> pr.GraphicObject:
    """Draw points (n, 2) of column and row, counted from the corner of the first pixel."""
    from highdicom import pr  # noqa: PLC0415  heavy

    return pr.GraphicObject(
        graphic_type=graphic,
        graphic_data=points.astype(np.float32),
        units="PIXEL",
        tracking_id=found.tracking_id,
        tracking_uid=found.tracking_uid,
    )


def text(placed: PlacedText, found: Segment | Region) -> pr.TextObject:
    """Write a text on the image, with a line to what it speaks of."""
    from highdicom import pr  # noqa: PLC0415  heavy

    left, top, right, bottom = (float(np.float32(one)) for one in placed.box)
    return pr.TextObject(
        text_value=LINE_BREAK.join(placed.lines)[:_ST_MAX],
        units="PIXEL",
        bounding_box=(left, top, right, bottom),
        anchor_point=placed.anchor,
        text_justification="LEFT",
        tracking_id=found.tracking_id,
        tracking_uid=found.tracking_uid,
    )


def on_display(words: str, box: Box) -> pr.TextObject:
    """Write words at a place of the screen, whatever part of the image it shows."""
    from highdicom import pr  # noqa: PLC0415  heavy

    return pr.TextObject(
        text_value=words[:_ST_MAX], units="DISPLAY", bounding_box=box, text_justification="LEFT"
    )
