"""Label maps: one number a voxel, and what the guard says of those that lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from structlog.testing import capture_logs

from dicomnode.faults import GEOMETRY_GUARD, NodeError
from dicomnode.report.guard.segmentations import check_labelmap
from dicomnode.report.heading.identity import apply_identity, to_bytes
from dicomnode.report.segmentation.labelmap import build_labelmap
from dicomnode.report.segmentation.run_lengths import encode_frame
from dicomnode.values import Findings, Mask
from tests.unit.report.segmentation.plain import SERIES_NUMBER, imprint_of, uids_of
from tests.unit.report.sources import PLANES, Series, findings
from tests.unit.report.test_multi_frame import ORDERS, on_frames


def apart(found: Findings) -> Findings:
    """The lungs, which share no voxel."""
    return replace(found, segments=found.segments[:2])


def content_of(found: Findings, *, empty_frames: bool = False) -> bytes:
    imprint, uids = imprint_of(found), uids_of(found, "LABELMAP")
    (made,) = build_labelmap(imprint, uids, SERIES_NUMBER, empty_frames=empty_frames)
    apply_identity(made, imprint, uids, "LABELMAP")
    return to_bytes(made)


def _many(count: int) -> Findings:
    """So many segments of one voxel each."""
    found = findings()
    grid = found.sources[0].grid
    assert grid is not None
    index = np.argwhere(np.ones(grid.shape_kji, dtype=bool))[: 3 * count : 3]
    made = []
    for n, one in enumerate(index):
        crop, at = np.ones((1, 1, 1), dtype=bool), tuple(int(value) for value in one)
        x, y, z = (float(value) for value in grid.to_lps_mm(one))
        made.append(
            replace(
                found.segments[2],
                label=f"spot-{n}",
                tracking_uid=f"1.2.{n + 1}",
                mask=Mask.from_crop(crop, grid.shape_kji, (at[0], at[1], at[2])),
                centre_lps_mm=(x, y, z),
            )
        )
    return replace(found, segments=tuple(made))


@pytest.mark.parametrize("plane", PLANES)
def test_each_voxel_has_the_number_of_its_segment(plane: str) -> None:
    found = apart(findings(Series(plane=plane)))
    content = content_of(found)
    seg = dcmread(BytesIO(content))
    numbers = np.zeros(found.segments[0].mask.shape_kji, dtype=np.uint8)
    for number, segment in enumerate(found.segments, start=1):
        numbers[segment.mask.to_array()] = number
    frames = {frame.sop_instance_uid: k for k, frame in enumerate(found.sources[0].frames)}
    back = np.zeros_like(numbers)
    for group, labels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        back[frames[str(image.ReferencedSOPInstanceUID)]] = labels
    assert np.array_equal(back, numbers)
    check_labelmap(content, found)


def test_it_says_what_it_is_and_what_each_number_means() -> None:
    seg = dcmread(BytesIO(content_of(apart(findings()))))
    assert seg.SOPClassUID == seg.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert seg.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    assert (seg.SegmentationType, seg.SegmentsOverlap, seg.DimensionOrganizationType) == (
        "LABELMAP",
        "NO",
        "3D",
    )
    assert (seg.BitsAllocated, seg.PixelPaddingValue) == (8, 0)
    background, *others = seg.SegmentSequence
    assert background.SegmentNumber == 0
    assert background.SegmentedPropertyTypeCodeSequence[0].CodeValue == "125040"
    assert [(one.SegmentNumber, one.SegmentLabel) for one in others] == [(1, "lung-right"), (2, "lung-left")]
    assert [one.TrackingUID for one in others] == [one.tracking_uid for one in findings().segments[:2]]
    for group in seg.PerFrameFunctionalGroupsSequence:
        assert "SegmentIdentificationSequence" not in group


@pytest.mark.parametrize(("count", "bits"), [(255, 8), (256, 16), (300, 16)])
def test_more_than_255_segments_take_two_bytes(count: int, bits: int) -> None:
    found = _many(count)
    content = content_of(found)
    seg = dcmread(BytesIO(content))
    assert (seg.BitsAllocated, seg.BitsStored, seg.HighBit) == (bits, bits, bits - 1)
    assert int(seg.pixel_array.max()) == count
    assert sorted(np.unique(seg.pixel_array)) == list(range(count + 1))
    check_labelmap(content, found)


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_frames_of_one_object_are_named_by_their_numbers(numbers: tuple[int, ...]) -> None:
    found = apart(on_frames(numbers))
    check_labelmap(content_of(found), found)


def test_segments_that_overlap_have_no_label_map_and_it_is_told() -> None:
    found = findings()
    with capture_logs() as logs:
        assert build_labelmap(imprint_of(found), uids_of(found, "LABELMAP"), SERIES_NUMBER) == ()
    assert [(entry["event"], entry["segments"]) for entry in logs] == [("labelmap.left_out", 3)]
    none = replace(found, segments=())
    assert build_labelmap(imprint_of(none), uids_of(none, "LABELMAP"), SERIES_NUMBER) == ()


def test_the_same_findings_give_the_same_bytes() -> None:
    assert content_of(apart(findings())) == content_of(apart(findings()))


def test_every_slice_has_a_frame_where_that_is_wanted() -> None:
    found = apart(findings())
    lower = replace(found, segments=(found.segments[0],))
    content = content_of(lower, empty_frames=True)
    assert dcmread(BytesIO(content)).NumberOfFrames == 12
    check_labelmap(content, lower, empty_frames=True)
    with pytest.raises(NodeError, match="an empty or a second frame"):
        check_labelmap(content, lower)


# ── Lies ──────────────────────────────────────────────────────────────────────────────────────────
def _relabel(change: Callable[[np.ndarray], None]) -> Callable[[Dataset], None]:
    def edit(seg: Dataset) -> None:
        labels = seg.pixel_array.copy()
        change(labels)
        seg.PixelData = encapsulate([encode_frame(frame) for frame in labels])
        seg["PixelData"].is_undefined_length = True

    return edit


def _exchange(labels: np.ndarray) -> None:
    labels[:] = np.array([0, 2, 1], dtype=np.uint8)[labels]


def _spill(labels: np.ndarray) -> None:
    labels[3, 0, 14] = 1


def _unknown(labels: np.ndarray) -> None:
    labels[3, 0, 14] = 7


def _erode(labels: np.ndarray) -> None:
    labels[2][tuple(np.argwhere(labels[2])[0])] = 0


def _shift(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[0] = float(position[0]) + 0.35


def _double(seg: Dataset) -> None:
    groups = list(seg.PerFrameFunctionalGroupsSequence)
    seg.PerFrameFunctionalGroupsSequence = [groups[0], groups[0], *groups[2:]]


def _without_background(seg: Dataset) -> None:
    seg.SegmentSequence = list(seg.SegmentSequence)[1:]


def _without_padding(seg: Dataset) -> None:
    del seg.PixelPaddingValue


def _damage(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData[:120] + b"\xff" * 40 + seg.PixelData[160:]
    seg["PixelData"].is_undefined_length = True


def _lose_the_places(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence


LIES = {
    "numbers exchanged": (_relabel(_exchange), "other voxels"),
    "a voxel more": (_relabel(_spill), "of no segment that is there"),
    "a voxel of a number that nobody knows": (_relabel(_unknown), "of no segment that is there"),
    "a voxel less": (_relabel(_erode), "other voxels"),
    "half a pixel off": (_shift, "voxels"),
    "a frame twice": (_double, "other voxels|second frame"),
    "background not described": (_without_background, "segments"),
    "no padding": (_without_padding, "segments"),
    "damaged": (_damage, "voxels|cannot be read"),
    "no places": (_lose_the_places, "cannot be read"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_of_a_label_map_is_found(lie: str) -> None:
    change, words = LIES[lie]
    found = apart(findings())
    seg = dcmread(BytesIO(content_of(found)))
    change(seg)
    buffer = BytesIO()
    seg.save_as(buffer, enforce_file_format=True)
    with pytest.raises(NodeError, match=words) as caught:
        check_labelmap(buffer.getvalue(), found)
    assert caught.value.fault is GEOMETRY_GUARD


def test_a_label_map_is_no_binary_segmentation() -> None:
    from dicomnode.report import check_segmentation

    found = apart(findings())
    with pytest.raises(NodeError, match="SOP Class"):
        check_segmentation([content_of(found)], found)
