"""The geometry guard of outlines: structure sets and presentation states, read back by who did not write.

The contours of a structure set are filled again, and must give each mask voxel for voxel. The lines of a
presentation state, of which some may be left out, must lie within what they outline, on the slice that they
name. Nothing is shared with the writers.
Source: PS3.3 C.8.8.6 (contours), C.10.5 (graphics; the first pixel's centre is 0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from dicomnode.report.mismatch import differs, guarded
from dicomnode.values import Findings, Float64, Grid, Segment, SourceFrame

Bool = NDArray[np.bool_]

_STRUCTURE_SET: Final = "1.2.840.10008.5.1.4.1.1.481.3"
_PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
_QUARTER: Final = 0.25  # of a voxel: slices of real scanners jitter
_CENTRE: Final = 0.5  # of the first pixel, in graphics
# Outlines pass half a pixel outside, measured axes end at the corners of pixels
_AROUND: Final = 1.0
_LEFT_OUT: Final = "No contours:"  # in the description of a region that would be too large


@guarded
def check_structure_set(content: bytes, findings: Findings) -> None:
    """Read an RT Structure Set and compare each region with its segment. Raises MismatchError."""
    grid = _grid_of(findings)
    read = dcmread(BytesIO(content))
    _check_object(read, findings, _STRUCTURE_SET)
    (reference,) = read.ReferencedFrameOfReferenceSequence
    _equal("frame of reference", reference.FrameOfReferenceUID, grid.frame_of_reference_uid)
    regions, drawn = read.StructureSetROISequence, read.ROIContourSequence
    observed = read.RTROIObservationsSequence
    for what, items in (("regions", regions), ("regions with contours", drawn), ("observations", observed)):
        _equal(f"number of {what}", len(items), len(findings.segments))
    for number, segment in enumerate(findings.segments, start=1):
        region, contours, observation = (items[number - 1] for items in (regions, drawn, observed))
        numbers = (region.ROINumber, contours.ReferencedROINumber, observation.ReferencedROINumber)
        _equal(f"number of {segment.label!r}", [int(one) for one in numbers], [number] * 3)
        _equal(f"name of {segment.label!r}", region.ROIName, segment.label[:64])
        _check_meaning(observation, segment)
        if "ContourSequence" not in contours and _LEFT_OUT in region.get("ROIDescription", ""):
            continue
        _check_contours(contours.get("ContourSequence") or [], segment, findings, grid)


@guarded
def check_presentation_state(content: bytes, findings: Findings) -> None:
    """Read a presentation state; its lines must lie around what they are of. Raises MismatchError."""
    _grid_of(findings)
    read = dcmread(BytesIO(content))
    _check_object(read, findings, _PRESENTATION_STATE)
    slice_of = {frame: k for k, frame in enumerate(findings.sources[0].frames)}
    segments = {segment.tracking_uid: segment for segment in findings.segments}
    extents: dict[tuple[str, int], tuple[Float64, Float64] | None] = {}
    for annotation in read.GraphicAnnotationSequence:
        for graphic in annotation.get("GraphicObjectSequence") or ():
            uid = str(graphic.get("TrackingUID") or "")
            if uid not in segments:  # of a region, which has no mask
                continue
            segment, k = segments[uid], _slice_of(annotation, slice_of)
            if (uid, k) not in extents:
                extents[uid, k] = _extent(segment, k)
            _check_graphic(graphic, segment, k, extents[uid, k])


def _check_object(read: Dataset, findings: Findings, sop_class: str) -> None:
    _equal("SOP Class", read.SOPClassUID, sop_class)
    _equal("study", read.StudyInstanceUID, findings.sources[0].study_instance_uid)


def _check_meaning(observation: Dataset, segment: Segment) -> None:
    (kind,) = observation.RTROIIdentificationCodeSequence
    sides = kind.get("SegmentedPropertyTypeModifierCodeSequence") or []
    wanted = [segment.laterality.value] if segment.laterality is not None else []
    _equal(f"type of {segment.label!r}", kind.CodeValue, segment.type.value)
    _equal(f"side of {segment.label!r}", [side.CodeValue for side in sides], wanted)


def _check_contours(contours: Sequence[Dataset], segment: Segment, findings: Findings, grid: Grid) -> None:
    """Fill the contours of a region and compare them with the mask, slice by slice."""
    (first, last), rows, columns = segment.mask.box_kji
    frames = findings.sources[0].frames
    rings: dict[int, list[Float64]] = {}
    for contour in contours:
        points = _points(contour)
        _equal(f"number of points in {segment.label!r}", int(contour.NumberOfContourPoints), len(points))
        index = grid.to_index_kji(points)
        k = round(float(index[:, 0].mean()))
        if np.abs(index[:, 0] - k).max() > _QUARTER or not 0 <= k < len(frames):
            raise differs(f"a contour of {segment.label!r} lies beside slice {k}")
        (image,) = contour.ContourImageSequence
        _equal(f"image of a contour of {segment.label!r} on slice {k}", _frame(image), frames[k])
        # Corners lie in the middle between pixels: what an image is beside its place is taken off again
        rings.setdefault(k, []).append(np.round(2 * index[:, 1:]) / 2)
    for k in sorted({*range(first, last), *rings}):
        mask = segment.mask.plane(k)
        there, same = _compared(rings.get(k, []), mask, (rows[0], columns[0]))
        if not same:
            found = int(np.count_nonzero(mask))
            raise differs(
                f"the contours of {segment.label!r} hold {there} voxels on slice {k}, not its {found}"
            )


def _compared(rings: Sequence[Float64], mask: Bool, origin_ji: tuple[int, int]) -> tuple[int, bool]:
    """Fill rings (row, column), and compare that with a mask whose first pixel is at `origin_ji`.

    Give how many pixels they hold, and whether these are those of the mask.
    """
    corners = np.concatenate([np.array([origin_ji, np.add(origin_ji, mask.shape)]), *rings])
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
    filled = _filled([ring - low for ring in rings], tuple(int(size) for size in high - low))
    wanted = np.zeros_like(filled)
    top, left = np.array(origin_ji) - low
    wanted[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return int(np.count_nonzero(filled)), np.array_equal(filled, wanted)


def _points(contour: Dataset) -> Float64:
    """Read the points (n, 3) of a contour, without a number object for each of a million coordinates."""
    raw = contour.get_item("ContourData").value
    texts = raw.split(b"\\") if isinstance(raw, bytes) else raw
    return np.array(texts, dtype=np.float64).reshape(-1, 3)


def _filled(rings: Sequence[Float64], shape_ji: tuple[int, ...]) -> Bool:
    """Which pixel centres lie within the rings (n, 2) of row, column: bool (rows, columns), even-odd rule."""
    rows, columns = shape_ji
    crossed = np.zeros((rows, columns + 1), dtype=np.int64)
    for ring in rings:
        begin, end = ring, np.roll(ring, -1, axis=0)
        # Of each edge the rows whose centres it passes, its lower end not counted
        low, high = (np.ceil(pick(begin[:, 0], end[:, 0])).astype(int) for pick in (np.minimum, np.maximum))
        low, high = np.clip(low, 0, rows), np.clip(high, 0, rows)
        lengths = high - low
        edge = np.repeat(np.arange(len(ring)), lengths)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + low[edge]
        part = (row - begin[edge, 0]) / (end[edge, 0] - begin[edge, 0])
        column = begin[edge, 1] + part * (end[edge, 1] - begin[edge, 1])
        np.add.at(crossed, (row, np.clip(np.ceil(column), 0, columns).astype(int)), 1)
    inside: Bool = np.cumsum(crossed, axis=1)[:, :columns] % 2 == 1
    return inside


def _slice_of(annotation: Dataset, slice_of: Mapping[SourceFrame, int]) -> int:
    (image,) = annotation.ReferencedImageSequence
    frame = _frame(image)
    if frame not in slice_of:
        raise differs("a line is on an image that was not looked at")
    return slice_of[frame]


def _extent(segment: Segment, k: int) -> tuple[Float64, Float64] | None:
    """Give the least and the greatest column, row of a mask on slice k; None where it has no voxels there."""
    _, (top, _), (left, _) = segment.mask.box_kji
    j, i = np.nonzero(segment.mask.plane(k))
    if not j.size:
        return None
    return np.array([i.min() + left, j.min() + top]), np.array([i.max() + left, j.max() + top])


def _check_graphic(
    graphic: Dataset, segment: Segment, k: int, extent: tuple[Float64, Float64] | None
) -> None:
    """Compare the extent of a line on slice k with that of the mask there."""
    _equal(f"units of {segment.label!r}", graphic.GraphicAnnotationUnits, "PIXEL")
    if extent is None:
        raise differs(f"a line of {segment.label!r} is on slice {k}, where it has no voxels")
    raw = graphic.get_item("GraphicData").value
    data = np.frombuffer(raw, dtype="<f4") if isinstance(raw, bytes) else np.array(raw)
    points = data.astype(np.float64).reshape(-1, 2) - _CENTRE
    if (points < extent[0] - _AROUND).any() or (points > extent[1] + _AROUND).any():
        raise differs(f"a line of {segment.label!r} on slice {k} lies beside it")


def _frame(image: Dataset) -> SourceFrame:
    number = image.get("ReferencedFrameNumber")
    return SourceFrame(str(image.ReferencedSOPInstanceUID), None if number is None else int(number))


def _grid_of(findings: Findings) -> Grid:
    grid = findings.sources[0].grid
    if grid is None:
        raise differs("there are outlines, and no volume that they could be of")
    return grid


def _equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise differs(f"its {what} is {found}, expected {expected}")
