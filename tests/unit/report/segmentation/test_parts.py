"""Segments that are too many for one object go to several, and everything that refers to them finds them."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.faults import NodeError
from dicomnode.report import ReportProfile, ResultObject, check_segmentation, make_objects
from dicomnode.report.segmentation import binary
from dicomnode.report.segmentation.binary import build_segmentation, numbered
from dicomnode.report.segmentation.encoding import LongDataset
from dicomnode.values import Findings, PicturePlane
from tests.unit.report.segmentation.plain import SERIES_NUMBER, imprint_of, uids_of
from tests.unit.report.sources import PLANES, SALT, Series, findings

COUNTS = [10, 10, 2]  # slices of the right lung, of the left lung, of the nodule


def _made(found: Findings, **profile: object) -> list[ResultObject]:
    return list(make_objects(found, ReportProfile(**profile), SALT))  # type: ignore[arg-type]


def _read(one: ResultObject) -> Dataset:
    return dcmread(BytesIO(one.content))


def _segs(made: list[ResultObject]) -> list[Dataset]:
    return [_read(one) for one in made if one.kind == "SEG"]


def test_the_counts_of_this_file_are_those_of_the_findings() -> None:
    assert [int(s.mask.crop().any(axis=(1, 2)).sum()) for s in findings().segments] == COUNTS


@pytest.mark.parametrize(
    ("frames_max", "parts"),
    [
        (0, [[1, 2, 3]]),
        (22, [[1, 2, 3]]),
        (21, [[1, 2], [1]]),
        (12, [[1], [1, 2]]),
        (11, [[1], [1], [1]]),
        (10, [[1], [1], [1]]),
        (1, [[1], [1], [1]]),  # a segment is never divided
    ],
)
def test_whole_segments_go_together_as_long_as_their_frames_fit(
    frames_max: int, parts: list[list[int]]
) -> None:
    segs = _segs(_made(findings(), kinds=("SEG",), frames_max=frames_max))
    assert [[item.SegmentNumber for item in seg.SegmentSequence] for seg in segs] == parts
    labels = [item.SegmentLabel for seg in segs for item in seg.SegmentSequence]
    assert labels == ["lung-right", "lung-left", "nodule-1"]
    assert [seg.InstanceNumber for seg in segs] == list(range(1, len(parts) + 1))
    assert len({seg.SOPInstanceUID for seg in segs}) == len(parts)
    assert len({seg.DimensionOrganizationSequence[0].DimensionOrganizationUID for seg in segs}) == len(parts)
    assert len({seg.SeriesInstanceUID for seg in segs}) == 1
    assert sum(seg.NumberOfFrames for seg in segs) == sum(COUNTS)


def test_an_object_of_one_of_several_parts_is_like_one_with_these_segments_alone() -> None:
    _, both = _segs(_made(findings(), kinds=("SEG",), frames_max=12))
    (alone,) = _segs(_made(findings(segments=findings().segments[1:]), kinds=("SEG",)))
    assert np.array_equal(both.pixel_array, alone.pixel_array)
    assert both.SegmentsOverlap == alone.SegmentsOverlap == "NO"
    for group, other in zip(
        both.PerFrameFunctionalGroupsSequence, alone.PerFrameFunctionalGroupsSequence, strict=True
    ):
        assert group == other


def test_no_object_of_several_segments_is_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "OBJECT_MAX_BYTES", 12 * (20 * 28 // 8 + 700))
    made = _made(findings(), kinds=("SEG",))
    assert [seg.NumberOfFrames for seg in _segs(made)] == [10, 12]
    assert len(made[1].content) < binary.OBJECT_MAX_BYTES + 20_000  # the head stands beside the frames


def test_another_limit_makes_other_objects_and_the_same_limit_the_same() -> None:
    first, second = (_made(findings(), frames_max=12) for _ in range(2))
    assert [one.content for one in first] == [one.content for one in second]
    others = [*_made(findings()), *_made(findings(), frames_max=11), *_made(findings(), empty_frames=True)]
    assert not {one.sop_instance_uid for one in first} & {one.sop_instance_uid for one in others}
    assert not {one.series_instance_uid for one in first} & {one.series_instance_uid for one in others}


def test_a_report_names_for_each_segment_its_object_and_its_number_there() -> None:
    *segs, report = map(_read, _made(findings(), frames_max=12))
    places = []
    for container in report.ContentSequence:
        for group in container.get("ContentSequence", ()):
            for item in group.get("ContentSequence", ()):
                if (
                    "ReferencedSOPSequence" in item
                    and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]
                ):
                    one = item.ReferencedSOPSequence[0]
                    places.append((one.ReferencedSOPInstanceUID, one.ReferencedSegmentNumber))
    uids = [seg.SOPInstanceUID for seg in segs]
    assert places == [(uids[0], 1), (uids[1], 1), (uids[1], 2)]
    evidence = {
        one.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert set(uids) < evidence


def test_the_pixels_of_an_object_are_let_go_before_the_next_one_is_made(monkeypatch) -> None:
    real, made = binary._object, []

    def watched(*what: object) -> LongDataset:
        assert all(one.tail == () for one in made)
        made.append(real(*what))
        return made[-1]

    monkeypatch.setattr(binary, "_object", watched)
    assert len(_made(findings(), kinds=("SEG",), frames_max=12)) == len(made) == 2


def test_numbers_of_the_findings_lead_to_objects() -> None:
    found = findings()
    imprint, uids = imprint_of(found), uids_of(found, "SEG")
    objects = tuple(build_segmentation(imprint, uids, SERIES_NUMBER, frames_max=12))
    assert numbered(objects) == {1: (objects[0], 1), 2: (objects[1], 1), 3: (objects[1], 2)}
    assert numbered(()) == {}


def test_the_guard_wants_every_part_once_and_in_its_order() -> None:
    found = findings()
    first, second = (one.content for one in _made(found, kinds=("SEG",), frames_max=12))
    check_segmentation([first, second], found)
    for contents in ([first], [second], [second, first], [first, first, second], []):
        with pytest.raises(NodeError, match="DN-5003"):
            check_segmentation(contents, found)


@pytest.mark.parametrize("plane", PLANES)
def test_every_slice_of_each_segment_has_a_frame_where_that_is_wanted(plane: str) -> None:
    found = findings(Series(plane=plane))
    (made,) = _made(found, kinds=("SEG",), empty_frames=True)
    seg = _read(made)
    assert seg.NumberOfFrames == 3 * 12
    frames = seg.pixel_array.reshape(3, 12, 20, 28)
    assert [int(one.sum()) for one in frames] == [segment.mask.count for segment in found.segments]
    assert not frames[2, 0].any()
    with pytest.raises(NodeError, match="an empty or a second frame"):
        check_segmentation([made.content], found)


def test_the_guard_misses_empty_frames_where_they_are_wanted() -> None:
    found = findings()
    (made,) = _made(found, kinds=("SEG",))
    with pytest.raises(NodeError, match="has frames on 10 slices only"):
        check_segmentation([made.content], found, empty_frames=True)


def test_a_limit_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="frames_max"):
        ReportProfile(frames_max=-1)


def test_references_are_to_the_source_by_its_own_class_whatever_it_is() -> None:
    pet = "1.2.840.10008.5.1.4.1.1.128"

    def edit(ds: Dataset, k: int) -> None:
        ds.SOPClassUID = pet

    found = findings(Series(edit=edit))
    seg, report = map(_read, _made(found))
    source = {frame.sop_instance_uid for frame in found.sources[0].frames}
    named = 0
    for ds in (seg, report):
        for item in _all_items(ds):
            if str(item.get("ReferencedSOPInstanceUID", "")) in source:
                named += 1
                assert item.ReferencedSOPClassUID == pet
    assert named > len(source) * 3 + seg.NumberOfFrames - 1


def _all_items(ds: Dataset) -> list[Dataset]:
    items = [item for element in ds if element.VR == "SQ" for item in element.value]
    return [*items, *(inner for item in items for inner in _all_items(item))]


def test_findings_without_segments_and_pictures_have_no_segmentation() -> None:
    found = findings()
    imprint, uids = imprint_of(found), uids_of(found, "SEG")
    picture = replace(found.sources[0], plane=PicturePlane())
    for other in (replace(found, segments=()), replace(found, sources=(picture,))):
        assert list(build_segmentation(replace(imprint, findings=other), uids, SERIES_NUMBER)) == []
