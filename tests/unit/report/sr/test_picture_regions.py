"""Where regions of a picture lie in its pixels: column before row, and half a pixel to its centre."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings, RegionKind
from tests.unit.report.on_pictures import at, on_picture, outlined
from tests.unit.report.sources import SALT


def items(ds: Dataset, value_type: str) -> Iterator[Dataset]:
    for item in ds.get("ContentSequence", []):
        if item.ValueType == value_type:
            yield item
        yield from items(item, value_type)


def region_of(some: Findings) -> tuple[Dataset, Dataset]:
    """The only coordinates of the report, and the reference of the image that they lie on."""
    (report,) = make_objects(some, ReportProfile(kinds=("SR",)), SALT)
    (scoord,) = items(dcmread(BytesIO(report.content)), "SCOORD")
    (image,) = items(scoord, "IMAGE")
    return scoord, image.ReferencedSOPSequence[0]


def test_the_centre_of_a_pixel_is_half_a_pixel_from_its_corner_and_columns_come_first() -> None:
    scoord, _ = region_of(on_picture(RegionKind.POINT, at(0, 4, 7)))
    assert (scoord.GraphicType, list(scoord.GraphicData)) == ("POINT", [7.5, 4.5])


def test_a_box_goes_around_its_pixels_from_edge_to_edge() -> None:
    """Rows 10 to 13, columns 6 to 10: the regions' corners are edges of pixels."""
    scoord, _ = region_of(on_picture(RegionKind.BOX, at(0, 9.5, 5.5), at(0, 13.5, 10.5)))
    assert scoord.GraphicType == "POLYLINE"
    assert list(scoord.GraphicData) == pytest.approx([6, 10, 11, 10, 11, 14, 6, 14, 6, 10])


@pytest.mark.parametrize("frame", [0, 2])
def test_a_region_of_a_clip_names_its_frame(frame: int) -> None:
    some = on_picture(RegionKind.POINT, at(frame, 4, 7))
    _, image = region_of(some)
    assert image.ReferencedSOPInstanceUID == some.sources[0].frames[0].sop_instance_uid
    assert image.ReferencedFrameNumber == frame + 1


def test_a_box_through_several_frames_names_them_all() -> None:
    _, image = region_of(on_picture(RegionKind.BOX, at(0.5, 4, 7), at(2.5, 8, 9)))
    assert list(image.ReferencedFrameNumber) == [2, 3]


def test_a_segment_of_a_clip_names_all_its_frames_and_encloses_it_on_each() -> None:
    moving = outlined(*((k, slice(4, 8), slice(2 * k, 2 * k + 4)) for k in (2, 3, 5)))
    scoord, image = region_of(moving)
    assert list(image.ReferencedFrameNumber) == [3, 4, 6]
    assert list(scoord.GraphicData) == [4, 4, 14, 4, 14, 8, 4, 8, 4, 4]


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ((2, 3, 4, 5), ", on frames 3 to 6, largest on frame 3"),
        ((0, 2, 3, 4, 7), ", on frames 1, 3 to 5 and 8, largest on frame 1"),
        ((4,), "87.1 %, largest on frame 5"),
        ((0, 2, 4, 6, 8, 10), ", on 6 frames from 1 to 11, largest on frame 1"),
    ],
)
def test_its_sentence_names_the_frames(frames: tuple[int, ...], said: str) -> None:
    clip = outlined(*((k, slice(4, 8), slice(5, 9)) for k in frames), of=12)
    (report,) = make_objects(clip, ReportProfile(kinds=("SR",)), SALT)
    told = [item.TextValue for item in items(dcmread(BytesIO(report.content)), "TEXT")]
    (sentence,) = (one for one in told if one.startswith("nodule-1"))
    assert said in sentence


def test_a_region_of_a_single_picture_names_no_frame() -> None:
    _, image = region_of(on_picture(RegionKind.POINT, at(0, 4, 7), frames=1))
    assert "ReferencedFrameNumber" not in image
