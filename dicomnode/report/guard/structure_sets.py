"""The geometry guard of structure sets: contours, read back by who did not write them.

They are filled again, and must give each mask voxel for voxel. Nothing is shared with the writers.
Source: PS3.3 C.8.8.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread

from dicomnode.report.guard.identity import check_object, equal, frame_of, grid_of
from dicomnode.report.guard.rings import compare_rings
from dicomnode.report.mismatch.error import differs, guarded
from dicomnode.values import Findings, Float64, Grid, Segment

_STRUCTURE_SET: Final = "1.2.840.10008.5.1.4.1.1.481.3"
_QUARTER: Final = 0.25  # of a voxel: slices of real scanners jitter
_LEFT_OUT: Final = "No contours:"  # in the description of a region that would be too large


@guarded
def check_structure_set(content: bytes, findings: Findings, *, patient_id: str | None = None) -> None:
    """Read an RT Structure Set and compare each region with its segment. Raises MismatchError.

    patient_id: that a message told, None where the source's header says it.
    """
    grid = grid_of(findings)
    read = dcmread(BytesIO(content))
    check_object(read, findings, _STRUCTURE_SET, patient_id)
    (reference,) = read.ReferencedFrameOfReferenceSequence
    equal("frame of reference", reference.FrameOfReferenceUID, grid.frame_of_reference_uid)
    regions, drawn = read.StructureSetROISequence, read.ROIContourSequence
    observed = read.RTROIObservationsSequence
    for what, items in (("regions", regions), ("regions with contours", drawn), ("observations", observed)):
        equal(f"number of {what}", len(items), len(findings.segments))
    for number, segment in enumerate(findings.segments, start=1):
        region, contours, observation = (items[number - 1] for items in (regions, drawn, observed))
        numbers = (region.ROINumber, contours.ReferencedROINumber, observation.ReferencedROINumber)
        equal(f"number of {segment.label!r}", [int(one) for one in numbers], [number] * 3)
        equal(f"name of {segment.label!r}", region.ROIName, segment.label[:64])
        _check_meaning(observation, segment)
        if "ContourSequence" not in contours and _LEFT_OUT in region.get("ROIDescription", ""):
            continue
        _check_contours(contours.get("ContourSequence") or [], segment, findings, grid)


def _check_meaning(observation: Dataset, segment: Segment) -> None:
    (kind,) = observation.RTROIIdentificationCodeSequence
    sides = kind.get("SegmentedPropertyTypeModifierCodeSequence") or []
    wanted = [segment.laterality.value] if segment.laterality is not None else []
    equal(f"type of {segment.label!r}", kind.CodeValue, segment.type.value)
    equal(f"side of {segment.label!r}", [side.CodeValue for side in sides], wanted)


def _check_contours(contours: Sequence[Dataset], segment: Segment, findings: Findings, grid: Grid) -> None:
    """Fill the contours of a region and compare them with the mask, slice by slice."""
    frames = findings.sources[0].frames
    rings: dict[int, list[Float64]] = {}
    for contour in contours:
        points = _points(contour)
        equal(f"number of points in {segment.label!r}", int(contour.NumberOfContourPoints), len(points))
        index = grid.to_index_kji(points)
        k = round(float(index[:, 0].mean()))
        if np.abs(index[:, 0] - k).max() > _QUARTER or not 0 <= k < len(frames):
            raise differs(f"a contour of {segment.label!r} lies beside slice {k}")
        (image,) = contour.ContourImageSequence
        equal(f"image of a contour of {segment.label!r} on slice {k}", frame_of(image), frames[k])
        # Corners lie in the middle between pixels: what an image is beside its place is taken off again
        rings.setdefault(k, []).append(np.round(2 * index[:, 1:]) / 2)
    for k in sorted({*range(*segment.mask.box_kji[0]), *rings}):
        there, same = compare_rings(rings.get(k, []), segment.mask, k)
        if not same:
            found = int(np.count_nonzero(segment.mask.plane(k)))
            raise differs(
                f"contours of {segment.label!r} hold {there} voxels on slice {k}, which are not its {found}"
            )


def _points(contour: Dataset) -> Float64:
    """Read the points (n, 3) of a contour, without a number object for each of a million coordinates."""
    raw = contour.get_item("ContourData").value
    texts = raw.split(b"\\") if isinstance(raw, bytes) else raw
    return np.array(texts, dtype=np.float64).reshape(-1, 3)
