"""The texts of a presentation state where many findings lie on one slice."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.report.drawing.free_places import Box
from dicomnode.values import FindingKind, Findings, Mask, Region, RegionKind, Segment
from tests.unit.report.outlines.finished import read
from tests.unit.report.sources import Series, findings

SERIES = Series(shape_kji=(3, 120, 120), spacing_kji_mm=(2.0, 2.0, 2.0))


def on_one_slice(count: int) -> Findings:
    """Small nodules all over the image, some at its edges and where the notice stands, from a fixed seed."""
    rng = np.random.default_rng(4)
    segments = []
    for n in range(count):
        mask = np.zeros(SERIES.shape_kji, dtype=bool)
        j, i = (int(value) for value in rng.integers(0, 114, 2))
        mask[1, j : j + 6, i : i + 6] = True
        segments.append(
            replace(
                findings().segments[2],
                label=f"nodule-{n}",
                mask=Mask.from_array(mask),
                score=(n + 1) / 300,
                long_axis_lps_mm=None,
            )
        )
    return findings(SERIES, segments=tuple(segments))


def texts(ds: Dataset) -> list[tuple[str, str, Box]]:
    """Layer, words, and box in columns and rows, of every text."""
    said = []
    for annotation in ds.GraphicAnnotationSequence:
        for one in annotation.get("TextObjectSequence", ()):
            times = 120 if one.BoundingBoxAnnotationUnits == "DISPLAY" else 1
            corners = (*one.BoundingBoxTopLeftHandCorner, *one.BoundingBoxBottomRightHandCorner)
            left, top, right, bottom = (float(value) * times for value in corners)
            said.append((annotation.GraphicLayer, one.UnformattedTextValue, (left, top, right, bottom)))
    return said


@pytest.mark.parametrize("count", [2, 5, 14, 100])
def test_no_text_lies_on_another_or_on_the_notice_or_beyond_the_image(count: int) -> None:
    said = texts(read("GSPS", on_one_slice(count)))
    boxes = [box for _, _, box in said]
    for one, other in combinations(boxes, 2):
        width = min(one[2], other[2]) - max(one[0], other[0])
        height = min(one[3], other[3]) - max(one[1], other[1])
        assert min(width, height) <= 1e-3, (one, other)  # single precision
    assert all(0 <= value <= 120 for box in boxes for value in box)
    of_findings = [words for layer, words, _ in said if layer != "NOTICE"]
    more = [words for layer, words, _ in said if layer == "NOTICE" and words.startswith("+")]
    left_out = count - len(of_findings)
    assert more == ([f"+ {left_out} more: see the layers"] if left_out else [])
    assert (left_out > 0) == (count == 100)


def test_the_surest_have_their_texts_where_there_is_no_room_for_all() -> None:
    said = texts(read("GSPS", on_one_slice(100)))
    named = {int(words.split(":")[0].split("-")[1]) for layer, words, _ in said if layer != "NOTICE"}
    assert {99, 98, 97, 96} <= named
    whole = {int(words.split(":")[0].split("-")[1]) for layer, words, _ in said if "score" in words}
    assert min(whole) > max(set(range(100)) - named)


def test_a_lesion_takes_its_place_before_an_organ_does() -> None:
    found = on_one_slice(1)
    organ = replace(found.segments[0], label="organ", kind=FindingKind.ANATOMY, score=1.0)
    alone = {layer: box for layer, _, box in texts(read("GSPS", found))}
    both = {
        layer: box for layer, _, box in texts(read("GSPS", replace(found, segments=(organ, *found.segments))))
    }
    assert both["NODULE 0"] == alone["NODULE 0"]


def test_a_text_keeps_off_the_outlines_and_regions_of_others() -> None:
    """Of a nodule on the right, with and without others right where its text stands otherwise."""
    (nodule,) = on_one_slice(1).segments

    def at(column: int, row: int, label: str) -> Segment:
        mask = np.zeros(SERIES.shape_kji, dtype=bool)
        mask[1, row : row + 6, column : column + 6] = True
        return replace(nodule, label=label, mask=Mask.from_array(mask))

    def text_of(found: Findings) -> Box:
        return next(box for layer, _, box in texts(read("GSPS", found)) if layer == "NODULE 1")

    own = replace(at(62, 60, "nodule-1"), score=1.0)
    left, top, right, bottom = text_of(findings(SERIES, segments=(own,)))
    middle = int((left + right) / 2), int((top + bottom) / 2)
    other = at(middle[0], middle[1] - 3, "nodule-2")
    grid = findings(SERIES).sources[0].grid
    assert grid is not None
    corners = [grid.to_lps_mm((k, middle[1] + d, middle[0] + d)) for k, d in ((0.6, -3), (1.4, 3))]
    region = Region(
        label="spot",
        kind=RegionKind.BOX,
        points_lps_mm=tuple(tuple(map(float, one(corners, axis=0))) for one in (np.min, np.max)),
        type=nodule.type,
        tracking_uid="1.2.3",
        tracking_id="spot",
        algorithm="net",
    )
    for found in (
        findings(SERIES, segments=(own, other)),
        findings(SERIES, segments=(own,), regions=(region,)),
    ):
        moved = text_of(found)
        assert (
            moved[2] <= middle[0] - 3
            or moved[0] >= middle[0] + 6
            or moved[3] <= middle[1] - 3
            or (moved[1] >= middle[1] + 3)
        )


def test_a_text_stands_near_what_it_speaks_of() -> None:
    ds = read("GSPS", on_one_slice(8))
    away = []
    for annotation in ds.GraphicAnnotationSequence:
        for one in annotation.get("TextObjectSequence", ()):
            if "AnchorPoint" in one:
                assert one.AnchorPointVisibility == "Y"
                low, high = (
                    np.array(one.BoundingBoxTopLeftHandCorner),
                    np.array(one.BoundingBoxBottomRightHandCorner),
                )
                anchor = np.array(one.AnchorPoint, dtype=float)
                away.append(float(np.linalg.norm(np.maximum(np.maximum(low - anchor, anchor - high), 0))))
    assert len(away) == 8
    assert max(away) < 20  # columns, of 120
