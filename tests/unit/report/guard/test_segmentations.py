"""The geometry guard finds every way in which a segmentation can lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.faults import NodeError
from dicomnode.report import ReportProfile, check_segmentation, make_objects
from dicomnode.values import Findings, Mask
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.report.guard.lies import Lies, changed, expect_found, of_another, set_to
from tests.unit.report.sources import PLANES, SALT, Series, findings


def _content(found: Findings) -> bytes:
    return make_objects(found, ReportProfile(kinds=("SEG",)), SALT)[0].content


def _shared(seg: Dataset) -> Dataset:
    return seg.SharedFunctionalGroupsSequence[0]


def _first_frame(seg: Dataset) -> Dataset:
    return seg.PerFrameFunctionalGroupsSequence[0]


def _shift_all(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[0] = float(position[0]) + 0.35  # half a pixel


def _shift_one_slice(seg: Dataset) -> None:
    position = _first_frame(seg).PlanePositionSequence[0].ImagePositionPatient
    position[2] = float(position[2]) - 2.5


def _shift_out_of_the_volume(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[2] = float(position[2]) + 100.0


def _mirror_columns(seg: Dataset) -> None:
    orientation = _shared(seg).PlaneOrientationSequence[0].ImageOrientationPatient
    orientation[0] = -float(orientation[0])


def _transpose_axes(seg: Dataset) -> None:
    plane = _shared(seg).PlaneOrientationSequence[0]
    plane.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]


def _wrong_spacing(seg: Dataset) -> None:
    measures = _shared(seg).PixelMeasuresSequence[0]
    measures.PixelSpacing = list(measures.PixelSpacing)[::-1]


def _flip_a_bit(seg: Dataset) -> None:
    pixels = bytearray(seg.PixelData)
    pixels[len(pixels) // 2] ^= 0x10
    seg.PixelData = bytes(pixels)


def _swap_segments(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        item = group.SegmentIdentificationSequence[0]
        item.ReferencedSegmentNumber = {1: 2, 2: 1}.get(item.ReferencedSegmentNumber, 3)


def _swap_sides(seg: Dataset) -> None:
    for item in seg.SegmentSequence[:2]:
        side = item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
        side.CodeValue = RIGHT.value if side.CodeValue == LEFT.value else LEFT.value


def _lose_side(seg: Dataset) -> None:
    del seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence


def _lose_a_frame(seg: Dataset) -> None:
    rows, columns = seg.Rows, seg.Columns
    seg.PerFrameFunctionalGroupsSequence = list(seg.PerFrameFunctionalGroupsSequence)[:-1]
    seg.NumberOfFrames = len(seg.PerFrameFunctionalGroupsSequence)
    seg.PixelData = seg.PixelData[: (seg.NumberOfFrames * rows * columns + 15) // 16 * 2]


def _double_a_frame(seg: Dataset) -> None:
    groups = list(seg.PerFrameFunctionalGroupsSequence)
    size = seg.Rows * seg.Columns // 8
    assert seg.Rows * seg.Columns % 8 == 0
    seg.PerFrameFunctionalGroupsSequence = [groups[0], *groups]
    seg.NumberOfFrames = len(groups) + 1
    pixels = seg.PixelData[:size] + seg.PixelData
    seg.PixelData = pixels + b"\0" * (len(pixels) % 2)


def _miscount_frames(seg: Dataset) -> None:
    seg.NumberOfFrames = seg.NumberOfFrames - 1


def _name_the_next_image(seg: Dataset) -> None:
    images = [
        group.DerivationImageSequence[0].SourceImageSequence[0]
        for group in seg.PerFrameFunctionalGroupsSequence
    ]
    images[0].ReferencedSOPInstanceUID = images[1].ReferencedSOPInstanceUID


def _name_no_image(seg: Dataset) -> None:
    _first_frame(seg).DerivationImageSequence = []


def _cut_the_pixels(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData[: len(seg.PixelData) // 4 * 2]


def _lose_the_pixels(seg: Dataset) -> None:
    del seg.PixelData


def _lose_a_segment(seg: Dataset) -> None:
    seg.SegmentSequence = list(seg.SegmentSequence)[:-1]


def _set_type(seg: Dataset) -> None:
    seg.SegmentSequence[2].SegmentedPropertyTypeCodeSequence[0].CodeValue = "39607008"


def _set_tracking(seg: Dataset) -> None:
    seg.SegmentSequence[2].TrackingUID = "1.2.3"


LIES: Lies = {
    "all frames half a pixel off": (_shift_all, "voxels"),
    "one frame on the next slice": (_shift_one_slice, "names another image"),
    "all frames outside of the volume": (_shift_out_of_the_volume, "the volume has 12"),
    "columns mirrored": (_mirror_columns, "voxels"),
    "rows and columns exchanged": (_transpose_axes, "voxels"),
    "spacing of rows and columns exchanged": (_wrong_spacing, "voxels"),
    "one bit wrong": (_flip_a_bit, "other voxels"),
    "segments exchanged": (_swap_segments, "other voxels"),
    "sides exchanged": (_swap_sides, "side"),
    "side missing": (_lose_side, "side"),
    "last frame missing": (_lose_a_frame, "voxels, not"),
    "a frame twice": (_double_a_frame, "second frame"),
    "number of frames wrong": (_miscount_frames, "frames"),
    "a frame of the next image": (_name_the_next_image, "names another image"),
    "a frame of no image": (_name_no_image, "names another image"),
    "half of the pixels": (_cut_the_pixels, "too few pixels"),
    "no pixels": (_lose_the_pixels, "too few pixels"),
    "a segment missing": (_lose_a_segment, "segments"),
    "another type": (_set_type, "type"),
    "another tracking UID": (_set_tracking, "tracking"),
    **of_another("1.2.840.10008.5.1.4.1.1.66.5"),
    "another frame of reference": (set_to(FrameOfReferenceUID="1.2.3"), "frame of reference"),
    "rows and columns exchanged in the header": (set_to(Rows=28, Columns=20), "rows and columns"),
    "fractional": (set_to(SegmentationType="FRACTIONAL"), "segmentation type"),
}


@pytest.fixture(scope="module")
def found() -> Findings:
    return findings()


@pytest.fixture(scope="module")
def content(found: Findings) -> bytes:
    return _content(found)


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_of_a_segmentation_is_found(lie: str, found: Findings, content: bytes) -> None:
    expect_found(lambda lying: check_segmentation([lying], found), content, LIES[lie])


def test_reading_and_writing_alone_is_no_lie(found: Findings, content: bytes) -> None:
    check_segmentation([changed(content, lambda seg: None)], found)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("shape", [(12, 20, 28), (7, 11, 13), (3, 9, 12)], ids=str)
def test_a_true_segmentation_passes_in_every_plane_and_size(plane: str, shape: tuple[int, int, int]) -> None:
    if shape == (3, 9, 12):
        full = findings(Series(plane=plane, shape_kji=shape), segments=())
        mask = np.zeros(shape, dtype=bool)
        mask[1, 2:4, 3:9] = True
        one = replace(findings().segments[2], mask=Mask.from_array(mask), laterality=None, site=None)
        grid = full.sources[0].grid
        assert grid is not None
        x, y, z = grid.to_lps_mm(np.argwhere(mask)).mean(axis=0)
        found = replace(full, segments=(replace(one, centre_lps_mm=(float(x), float(y), float(z))),))
    else:
        found = findings(Series(plane=plane, shape_kji=shape))
    check_segmentation([_content(found)], found)


def test_a_stated_centre_that_is_elsewhere_is_found(found: Findings, content: bytes) -> None:
    nodule = found.segments[2]
    x, y, z = nodule.centre_lps_mm
    moved = replace(nodule, centre_lps_mm=(x, y, z + 5.0))
    with pytest.raises(NodeError, match="centroid"):
        check_segmentation([content], replace(found, segments=(*found.segments[:2], moved)))


def test_lungs_whose_sides_are_exchanged_everywhere_are_found() -> None:
    found = findings()
    right, left, nodule = found.segments
    exchanged = (replace(right, laterality=LEFT), replace(left, laterality=RIGHT), nodule)
    with pytest.raises(NodeError, match="left Lung lies to the right"):
        _content(replace(found, segments=exchanged))


def test_slices_that_jitter_a_little_pass_and_those_that_jitter_more_do_not() -> None:
    def jitter(by_mm: float) -> Series:
        def edit(ds: Dataset, k: int) -> None:
            ds.ImagePositionPatient[2] = f"{float(ds.ImagePositionPatient[2]) + (by_mm if k == 5 else 0):.4f}"

        return Series(edit=edit)

    _content(findings(jitter(0.4)))
    with pytest.raises(NodeError, match="off slice 5"):
        _content(findings(jitter(0.9)))


def test_a_segmentation_without_a_volume_is_found(found: Findings, content: bytes) -> None:
    source = replace(found.sources[0], grid=None)
    with pytest.raises(NodeError, match="no volume"):
        check_segmentation([content], replace(found, sources=(source,), segments=()))
