"""The geometry guard: a segmentation is read back and compared, in patient space, with what was found.

It shares no code with the writers, and nothing with the library that they write with: pydicom reads the
elements, the bits are unpacked and placed here by the formulas of the standard (`guard_reading`). What is
compared of each segment: every voxel, number of voxels and volume, centroid, extent, type and side, and the
image that each frame names; and of the object: patient, study, frame of reference. Positions may differ by a
quarter of a voxel: slices of real scanners jitter.
Source: PS3.3 C.7.6.2.1.1 (positions), C.8.20.2 (segmentation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from pydicom import Dataset

from dicomnode.report.guard.identity import check_object, equal, grid_of
from dicomnode.report.guard.places import QUARTER, Bool, PlacedSum, PlacedVoxels, SliceOf, mm_text
from dicomnode.report.guard.reading import Bits, Encoded, Place, read_head, read_labels
from dicomnode.report.mismatch.error import differs, guarded
from dicomnode.values import FindingKind, Findings, Grid, Mask, Segment
from dicomnode.values.codes import LEFT, RIGHT

_ROUNDING_MM: Final = 1.0  # a stated centre may come from a coarser grid
_VOLUME_PART: Final = 0.01
_BINARY: Final = {
    "SOP Class": "1.2.840.10008.5.1.4.1.1.66.4",
    "transfer syntax": "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "segmentation type": "BINARY",
}
_LABELMAP: Final = {
    "SOP Class": "1.2.840.10008.5.1.4.1.1.66.7",
    "transfer syntax": "1.2.840.10008.1.2.5",  # RLE Lossless
    "segmentation type": "LABELMAP",
}


@dataclass(slots=True, eq=False)
class _Read:
    """A segment as it was read: placed by the object's own geometry, and the same voxels by the grid."""

    by_object: PlacedSum = field(default_factory=PlacedSum)
    by_grid: PlacedSum = field(default_factory=PlacedSum)
    area_mm2: float = 0.0
    slices: set[int] = field(default_factory=set)

    def add(self, region: Bool, mask: Mask, place: Place, grid: Grid, k: int) -> None:
        _, (top, _), (left, _) = mask.box_kji
        voxels = PlacedVoxels.of(region, top, left)
        i, j, along, origin = grid.affine_lps[:3].T
        self.area_mm2 += voxels.count * place.pixel_mm2
        self.by_object.add(voxels, place.plane)
        self.by_grid.add(voxels, np.array((i, j, origin + k * along)).T)


@guarded
def check_segmentation(
    contents: Sequence[bytes],
    findings: Findings,
    *,
    empty_frames: bool = False,
    patient_id: str | None = None,
) -> None:
    """Read the BINARY segmentations of a series and compare them with the segments of `findings`.

    contents: Part 10 files that hold all segments, in their order. empty_frames: whether each segment must
    have a frame for every slice, or only for those where it has voxels. patient_id: that a message told, None
    where the source's header says it.
    Raises NodeError(GEOMETRY_GUARD) with the first difference.
    """
    grid = grid_of(findings)
    read: list[_Read] = []
    for content in contents:
        seg = read_head(content)
        _check_object(seg, findings, grid, _BINARY, patient_id)
        own = findings.segments[len(read) :][: len(seg.SegmentSequence)]
        described = {int(item.SegmentNumber): item for item in seg.SegmentSequence}
        if sorted(described) != list(range(1, len(own) + 1)):
            raise differs(f"it has segments {sorted(described)}, {len(own)} more were found")
        for number, segment in enumerate(own, start=1):
            _check_description(described[number], segment)
        read += _decode(seg, content, own, findings, empty_frames=empty_frames)
    _check_all(read, findings, grid)


@guarded
def check_labelmap(
    content: bytes, findings: Findings, *, empty_frames: bool = False, patient_id: str | None = None
) -> None:
    """Read a label map segmentation and compare it with the segments of `findings`.

    empty_frames: whether slices without labels may have a frame. patient_id: as there. Raises
    NodeError(GEOMETRY_GUARD) as `check_segmentation`.
    """
    grid = grid_of(findings)
    seg = read_head(content)
    _check_object(seg, findings, grid, _LABELMAP, patient_id)
    described = {int(item.SegmentNumber): item for item in seg.SegmentSequence}
    if sorted(described) != list(range(len(findings.segments) + 1)) or seg.get("PixelPaddingValue") != 0:
        raise differs(f"it has segments {sorted(described)}, {len(findings.segments)} and 0 were expected")
    for number, segment in enumerate(findings.segments, start=1):
        _check_description(described[number], segment)
    read = [_Read() for _ in findings.segments]
    slice_of, seen = SliceOf(grid), set[int]()
    for (_, place), labels in zip(_frames(seg, Encoded(content)), read_labels(content), strict=True):
        k = slice_of(place)
        if k in seen or not (empty_frames or labels.any()):
            raise differs(f"slice {k} has an empty or a second frame")
        seen.add(k)
        left = int(np.count_nonzero(labels))
        for number, segment in enumerate(findings.segments, start=1):
            if segment.mask.box_kji[0][0] <= k < segment.mask.box_kji[0][1]:
                region = labels[segment.mask.slices_kji[1:]] == number
                left -= int(np.count_nonzero(region))
                _take(read[number - 1], region, segment, place, grid, k)
        _check_image(place, k, findings)
        if left:
            raise differs(f"{left} voxels on slice {k} are labelled as of no segment that is there")
    _check_all(read, findings, grid)


def _check_object(
    seg: Dataset, findings: Findings, grid: Grid, wanted: Mapping[str, str], told: str | None
) -> None:
    check_object(seg, findings, wanted["SOP Class"], told)
    _, rows, columns = grid.shape_kji
    for what, found, expected in (
        ("transfer syntax", seg.file_meta.TransferSyntaxUID, wanted["transfer syntax"]),
        ("frame of reference", seg.FrameOfReferenceUID, grid.frame_of_reference_uid),
        ("segmentation type", seg.SegmentationType, wanted["segmentation type"]),
        ("rows and columns", (seg.Rows, seg.Columns), (rows, columns)),
    ):
        equal(what, found, expected)


def _frames(seg: Dataset, encoded: Encoded) -> list[tuple[int, Place]]:
    """Of each frame the number of its segment, and its place."""
    frames = encoded.frames()
    if len(frames) != int(seg.NumberOfFrames):
        raise differs(f"it says {seg.NumberOfFrames} frames and describes {len(frames)}")
    return frames


def _decode(
    seg: Dataset, content: bytes, segments: Sequence[Segment], findings: Findings, *, empty_frames: bool
) -> list[_Read]:
    """Place every frame, compare it with the slice it lies on, and add it up per segment."""
    grid = grid_of(findings)
    read = [_Read() for _ in segments]
    encoded = Encoded(content)
    frames, slice_of = _frames(seg, encoded), SliceOf(grid)
    bits = Bits(np.frombuffer(encoded.pixels(), dtype=np.uint8), int(seg.Rows), int(seg.Columns))
    if bits.packed.size < (int(seg.NumberOfFrames) * bits.rows * bits.columns + 7) // 8:
        raise differs(f"it has too few pixels for {seg.NumberOfFrames} frames")
    for index, (number, place) in enumerate(frames):
        if not 1 <= number <= len(segments):
            raise differs(f"a frame is of segment {number}, it has segments 1 to {len(segments)}")
        segment, own = segments[number - 1], read[number - 1]
        k = slice_of(place)
        _, (top, bottom), (left, right) = segment.mask.box_kji
        region = bits.rows_of(index, top, bottom)[:, left:right]
        count = int(np.count_nonzero(region))
        if bits.count(index) != count:
            raise differs(f"segment {segment.label!r} has other voxels on slice {k}")
        _take(own, region, segment, place, grid, k)
        if k in own.slices or not (empty_frames or count):
            raise differs(f"segment {segment.label!r} has an empty or a second frame on slice {k}")
        _check_image(place, k, findings)
        own.slices.add(k)
    for segment, own in zip(segments, read, strict=True):
        if empty_frames and len(own.slices) != grid.shape_kji[0]:
            raise differs(f"segment {segment.label!r} has frames on {len(own.slices)} slices only")
    return read


def _take(read: _Read, region: Bool, segment: Segment, place: Place, grid: Grid, k: int) -> None:
    """Compare the voxels within a mask's box on slice k with the mask, and add them up."""
    if not np.array_equal(region, segment.mask.plane(k)):
        raise differs(f"segment {segment.label!r} has other voxels on slice {k}")
    if region.any():
        read.add(region, segment.mask, place, grid, k)


def _check_image(place: Place, k: int, findings: Findings) -> None:
    if place.image != findings.sources[0].frames[k]:
        raise differs(f"a frame on slice {k} names another image than that of the slice")


def _check_description(item: Dataset, segment: Segment) -> None:
    kind = item.SegmentedPropertyTypeCodeSequence[0]
    sides = kind.get("SegmentedPropertyTypeModifierCodeSequence") or []
    for what, found, expected in (
        ("type", kind.CodeValue, segment.type.value),
        ("category", item.SegmentedPropertyCategoryCodeSequence[0].CodeValue, segment.category.value),
        ("tracking UID", item.TrackingUID, segment.tracking_uid),
        (
            "side",
            [side.CodeValue for side in sides],
            [segment.laterality.value] if segment.laterality else [],
        ),
    ):
        if found != expected:
            raise differs(f"segment {segment.label!r} has {what} {found}, expected {expected}")


def _check_all(read: Sequence[_Read], findings: Findings, grid: Grid) -> None:
    """Compare what the voxels of all objects together add up to."""
    if len(read) != len(findings.segments):
        raise differs(f"there are {len(read)} segments, {len(findings.segments)} were found")
    for one, segment in zip(read, findings.segments, strict=True):
        _check_segment(one, segment, grid)
    _check_sides(read, findings)


def _check_segment(read: _Read, segment: Segment, grid: Grid) -> None:
    found, expected = read.by_object, read.by_grid
    if found.voxels != segment.mask.count:
        raise differs(f"segment {segment.label!r} has {found.voxels} voxels, not {segment.mask.count}")
    half_voxel_mm = 2 * QUARTER * max(grid.spacing_kji_mm)
    for what, there, wanted, near_mm in (
        ("centroid", found.centroid_lps_mm, expected.centroid_lps_mm, half_voxel_mm),
        ("lower corner", found.low_lps_mm, expected.low_lps_mm, half_voxel_mm),
        ("upper corner", found.high_lps_mm, expected.high_lps_mm, half_voxel_mm),
        ("centroid", found.centroid_lps_mm, np.array(segment.centre_lps_mm), half_voxel_mm + _ROUNDING_MM),
    ):
        if np.linalg.norm(there - wanted) > near_mm:
            raise differs(
                f"segment {segment.label!r} has its {what} at {mm_text(there)}, not {mm_text(wanted)}"
            )
    wanted_mm3 = segment.mask.count * grid.voxel_mm3
    volume_mm3 = read.area_mm2 * _distance_mm(grid)
    if abs(volume_mm3 - wanted_mm3) > _VOLUME_PART * wanted_mm3:
        raise differs(f"segment {segment.label!r} has {volume_mm3:.1f} mm³, not {wanted_mm3:.1f}")


def _check_sides(read: Sequence[_Read], findings: Findings) -> None:
    """Of a pair of organs, the left one lies to the patient's left: greater x (LPS)."""
    x_mm = {
        (segment.type, segment.laterality): one.by_object.centroid_lps_mm[0]
        for one, segment in zip(read, findings.segments, strict=True)
        if segment.kind is FindingKind.ANATOMY
    }
    for kind, side in x_mm:
        if side == LEFT and (kind, RIGHT) in x_mm and x_mm[kind, LEFT] <= x_mm[kind, RIGHT]:
            raise differs(f"the left {kind.meaning} lies to the right of the right one")


def _distance_mm(grid: Grid) -> float:
    """Distance of neighbouring slices along their normal."""
    _, row_mm, column_mm = grid.spacing_kji_mm
    return grid.voxel_mm3 / (row_mm * column_mm)
