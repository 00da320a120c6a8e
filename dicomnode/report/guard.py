"""The geometry guard: a segmentation is read back and compared, in patient space, with what was found.

It shares no code with the writers, and nothing with the library that they write with: pydicom reads the
elements, the bits are unpacked and placed here by the formulas of the standard. What is compared of each
segment: every voxel, number of voxels and volume, centroid, extent, type and side; and of the object:
patient, study, frame of reference. Positions may differ by a
quarter of a voxel: slices of real scanners jitter.
Source: PS3.3 C.7.6.2.1.1 (positions), C.8.20.2 (segmentation), PS3.5 8.1.1 (bits).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from dicomnode.faults import GEOMETRY_GUARD, NodeError
from dicomnode.store.foreign import quiet
from dicomnode.values import FindingKind, Findings, Float64, Grid, Segment
from dicomnode.values.codes import LEFT, RIGHT

Bool = NDArray[np.bool_]

_QUARTER: Final = 0.25  # of a voxel
_ROUNDING_MM: Final = 1.0  # a stated centre may come from a coarser grid
_VOLUME_PART: Final = 0.01
_SEGMENTATION_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.66.4"
_EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"


@dataclass(slots=True, eq=False)
class _Sum:
    """What voxels add up to in patient space."""

    voxels: int = 0
    volume_mm3: float = 0.0
    sum_lps_mm: Float64 = field(default_factory=lambda: np.zeros(3))
    low_lps_mm: Float64 = field(default_factory=lambda: np.full(3, np.inf))
    high_lps_mm: Float64 = field(default_factory=lambda: np.full(3, -np.inf))

    def add(self, points_ij1: Float64, plane: Float64, distance_mm: float) -> None:
        """Add voxels (3, n) of a plane; plane: (3, 3), maps (column, row, 1) to LPS mm."""
        placed = plane @ points_ij1
        pixel_mm2 = float(np.linalg.norm(np.cross(plane[:, 0], plane[:, 1])))
        self.voxels += placed.shape[1]
        self.volume_mm3 += placed.shape[1] * pixel_mm2 * distance_mm
        self.sum_lps_mm += placed.sum(axis=1)
        self.low_lps_mm = np.minimum(self.low_lps_mm, placed.min(axis=1))
        self.high_lps_mm = np.maximum(self.high_lps_mm, placed.max(axis=1))

    @property
    def centroid_lps_mm(self) -> Float64:
        return self.sum_lps_mm / max(self.voxels, 1)


@dataclass(slots=True, eq=False)
class _Read:
    """A segment as it was read: placed by the object's own geometry, and the same voxels by the grid."""

    by_object: _Sum = field(default_factory=_Sum)
    by_grid: _Sum = field(default_factory=_Sum)
    slices: set[int] = field(default_factory=set)


def check_segmentation(content: bytes, findings: Findings) -> None:
    """Read a BINARY segmentation and compare it with the segments of `findings`.

    content: a Part 10 file. Raises NodeError(GEOMETRY_GUARD) with the first difference.
    """
    seg = dcmread(BytesIO(content))
    grid = findings.sources[0].grid
    if grid is None:
        raise _differs("there is a segmentation, and no volume that it could be of")
    _check_object(seg, findings, grid)
    described = {int(item.SegmentNumber): item for item in seg.SegmentSequence}
    if sorted(described) != list(range(1, len(findings.segments) + 1)):
        raise _differs(f"it has segments {sorted(described)}, {len(findings.segments)} were found")
    read = _decode(seg, findings, grid)
    for number, segment in enumerate(findings.segments, start=1):
        _check_description(described[number], segment)
        _check_segment(read[number], segment, grid)
    _check_sides(read, findings)


def _check_object(seg: Dataset, findings: Findings, grid: Grid) -> None:
    _, rows, columns = grid.shape_kji
    for what, found, expected in (
        ("SOP Class", seg.SOPClassUID, _SEGMENTATION_STORAGE),
        ("transfer syntax", seg.file_meta.TransferSyntaxUID, _EXPLICIT_LITTLE),
        ("study", seg.StudyInstanceUID, findings.sources[0].study_instance_uid),
        ("frame of reference", seg.FrameOfReferenceUID, grid.frame_of_reference_uid),
        ("segmentation type", seg.SegmentationType, "BINARY"),
        ("rows and columns", (seg.Rows, seg.Columns), (rows, columns)),
    ):
        if found != expected:
            raise _differs(f"its {what} is {found}, expected {expected}")
    # An ID beyond ASCII may stand in another character set than the source's: other bytes, the same ID
    patient_id = _source_patient_id(findings)
    if patient_id.isascii() and str(seg.PatientID or "").strip() != patient_id:
        raise _differs("it is of another patient")


def _source_patient_id(findings: Findings) -> str:
    with quiet():  # of a character set that does not exist: not looked at here
        source = dcmread(BytesIO(findings.sources[0].headers.encoded[0]), specific_tags=["PatientID"])
        return str(source.get("PatientID") or "").strip()


def _decode(seg: Dataset, findings: Findings, grid: Grid) -> dict[int, _Read]:
    """Place every frame, compare it with the slice it lies on, and add it up per segment."""
    read = {number: _Read() for number in range(1, len(findings.segments) + 1)}
    shared = seg.SharedFunctionalGroupsSequence[0]
    groups = seg.PerFrameFunctionalGroupsSequence
    if len(groups) != int(seg.NumberOfFrames):
        raise _differs(f"it says {seg.NumberOfFrames} frames and describes {len(groups)}")
    rows_columns = (int(seg.Rows), int(seg.Columns))
    unpacked, crop = 0, np.zeros((0, 0, 0), dtype=bool)
    for index, group in enumerate(groups):
        number = int(_macro(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        segment = findings.segments[number - 1]
        if number != unpacked:  # frames come segment by segment
            unpacked, crop = number, segment.mask.crop()
        frame = _frame(seg.PixelData, index, rows_columns)
        plane = _plane(group, shared)
        k = _slice_of(plane, rows_columns, grid, segment.label)
        if not np.array_equal(frame, _expected(crop, segment, k, rows_columns)):
            raise _differs(f"segment {segment.label!r} has other voxels on slice {k}")
        if k in read[number].slices or not frame.any():
            raise _differs(f"segment {segment.label!r} has an empty or a second frame on slice {k}")
        read[number].slices.add(k)
        _add(read[number], frame, plane, grid, k)
    return read


def _add(read: _Read, frame: Bool, plane: Float64, grid: Grid, k: int) -> None:
    rows, columns = np.nonzero(frame)
    points = np.stack((columns, rows, np.ones_like(rows))).astype(np.float64)
    i, j, along, origin = grid.affine_lps[:3].T
    read.by_object.add(points, plane, _distance_mm(grid))
    read.by_grid.add(points, np.stack((i, j, origin + k * along), axis=1), _distance_mm(grid))


def _macro(group: Dataset, shared: Dataset, keyword: str) -> Dataset:
    """A functional group of a frame: its own or the one that all frames share (PS3.3 C.7.6.16)."""
    item: Dataset = (group if keyword in group else shared)[keyword].value[0]
    return item


def _frame(pixels: bytes, index: int, rows_columns: tuple[int, int]) -> Bool:
    size = rows_columns[0] * rows_columns[1]
    first, last = index * size, (index + 1) * size
    some = np.frombuffer(pixels[first // 8 : (last + 7) // 8], dtype=np.uint8)
    bits = np.unpackbits(some, bitorder="little")[first % 8 :][:size]
    return bits.reshape(rows_columns).astype(bool)


def _plane(group: Dataset, shared: Dataset) -> Float64:
    """(3, 3): (column, row, 1) → LPS mm of a frame, PS3.3 equation C.7.6.2.1-1."""
    position = np.array(_macro(group, shared, "PlanePositionSequence").ImagePositionPatient, dtype=np.float64)
    cosines = np.array(
        _macro(group, shared, "PlaneOrientationSequence").ImageOrientationPatient, dtype=np.float64
    )
    between_rows, between_columns = _macro(group, shared, "PixelMeasuresSequence").PixelSpacing
    return np.stack(
        (cosines[:3] * float(between_columns), cosines[3:] * float(between_rows), position), axis=1
    )


def _slice_of(plane: Float64, rows_columns: tuple[int, int], grid: Grid, label: str) -> int:
    """The slice of the grid that a frame lies on, corner by corner."""
    rows, columns = rows_columns
    corners_ji = np.array(
        [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)], dtype=np.float64
    )
    placed = plane @ np.stack((corners_ji[:, 1], corners_ji[:, 0], np.ones(4)))
    index = grid.to_index_kji(placed.T)
    k = round(float(index[:, 0].mean()))
    off = np.abs(index - np.column_stack((np.full(4, k), corners_ji))).max(axis=0)
    if not 0 <= k < grid.shape_kji[0]:
        raise _differs(f"a frame of segment {label!r} lies at slice {k}, the volume has {grid.shape_kji[0]}")
    if off.max() > _QUARTER:
        away = ", ".join(f"{value:.2f}" for value in off)
        raise _differs(f"a frame of segment {label!r} lies {away} voxels (k, j, i) off slice {k}")
    return k


def _expected(crop: Bool, segment: Segment, k: int, rows_columns: tuple[int, int]) -> Bool:
    full = np.zeros(rows_columns, dtype=bool)
    (start, stop), (j0, j1), (i0, i1) = segment.mask.box_kji
    if start <= k < stop:
        full[j0:j1, i0:i1] = crop[k - start]
    return full


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
            raise _differs(f"segment {segment.label!r} has {what} {found}, expected {expected}")


def _check_segment(read: _Read, segment: Segment, grid: Grid) -> None:
    found, expected = read.by_object, read.by_grid
    if found.voxels != segment.mask.count:
        raise _differs(f"segment {segment.label!r} has {found.voxels} voxels, not {segment.mask.count}")
    half_voxel_mm = 2 * _QUARTER * max(grid.spacing_kji_mm)
    for what, there, wanted, near_mm in (
        ("centroid", found.centroid_lps_mm, expected.centroid_lps_mm, half_voxel_mm),
        ("lower corner", found.low_lps_mm, expected.low_lps_mm, half_voxel_mm),
        ("upper corner", found.high_lps_mm, expected.high_lps_mm, half_voxel_mm),
        ("centroid", found.centroid_lps_mm, np.array(segment.centre_lps_mm), half_voxel_mm + _ROUNDING_MM),
    ):
        if np.linalg.norm(there - wanted) > near_mm:
            raise _differs(f"segment {segment.label!r} has its {what} at {_mm(there)}, not {_mm(wanted)}")
    wanted_mm3 = segment.mask.count * grid.voxel_mm3
    if abs(found.volume_mm3 - wanted_mm3) > _VOLUME_PART * wanted_mm3:
        raise _differs(f"segment {segment.label!r} has {found.volume_mm3:.1f} mm³, not {wanted_mm3:.1f}")


def _check_sides(read: dict[int, _Read], findings: Findings) -> None:
    """Of a pair of organs, the left one lies to the patient's left: greater x (LPS)."""
    x_mm = {
        (segment.type, segment.laterality): read[number].by_object.centroid_lps_mm[0]
        for number, segment in enumerate(findings.segments, start=1)
        if segment.kind is FindingKind.ANATOMY
    }
    for kind, side in x_mm:
        if side == LEFT and (kind, RIGHT) in x_mm and x_mm[kind, LEFT] <= x_mm[kind, RIGHT]:
            raise _differs(f"the left {kind.meaning} lies to the right of the right one")


def _distance_mm(grid: Grid) -> float:
    """Distance of neighbouring slices along their normal."""
    _, row_mm, column_mm = grid.spacing_kji_mm
    return grid.voxel_mm3 / (row_mm * column_mm)


def _mm(point: Float64) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in point) + ") mm"


def _differs(difference: str) -> NodeError:
    return NodeError(GEOMETRY_GUARD, difference=difference)
