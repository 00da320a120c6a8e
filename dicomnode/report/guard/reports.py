"""The geometry guard of structured reports: what each group says it is, and its coordinates, read back.

Coordinates on images become points in the patient by the grid, which must be that of the images
(`guard_source`). An outline must run around a piece of its segment on that slice; of a region each point must
lie on it, moved straight onto the slice. Of a picture they are compared in its pixels.
Source: PS3.3 C.18.6, C.18.9 (spatial coordinates), PS3.16 TID 1410, 1411.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread

from dicomnode.report.guard.identity import check_object, equal
from dicomnode.report.guard.places import QUARTER
from dicomnode.report.guard.rings import surrounds_piece
from dicomnode.report.guard.source import check_source
from dicomnode.report.mismatch.error import differs, guarded
from dicomnode.values import Code, Findings, Float64, Grid, Region, RegionKind, Segment, SourceFrame

_ENHANCED, _IN_SPACE = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.34"
_GROUP, _TRACKING_UID, _FINDING, _SIDE = "125007", "112040", "121071", "272741003"
_PRESENT, _ABSENT, _UNDETERMINED = "52101004", "272519000", "373068000"
_SNOMED: Final = "SCT"
_CENTRE: Final = 0.5  # of the first pixel
_HALF_A_SLICE: Final = 0.51

Found = Segment | Region
_Key = tuple[str, str]  # value and scheme of a code


@guarded
def check_report(content: bytes, findings: Findings, *, patient_id: str | None = None) -> None:
    """Read a report and compare its groups with the findings that they track. Raises MismatchError.

    patient_id: that a message told, None where the source's header says it.
    """
    read = dcmread(BytesIO(content))
    wanted = _IN_SPACE if read.SOPClassUID == _IN_SPACE else _ENHANCED
    check_object(read, findings, wanted, patient_id)
    check_source(findings)
    groups: dict[str, list[Dataset]] = defaultdict(list)
    for item in _items(read):
        if item.ValueType == "CONTAINER" and _concept(item) == _GROUP:
            for one in _of(item, _TRACKING_UID):
                groups[str(one.UID)].append(item)
    every: list[Found] = [*findings.segments, *findings.regions]
    for found in every:
        own = groups.get(found.tracking_uid, [])
        if not own:
            raise differs(f"{found.label!r} is not in the report")
        _check_words(own, found)
        _check_classes(own, found)
        for group in own:
            for one in group.get("ContentSequence", ()):
                if one.ValueType in {"SCOORD", "SCOORD3D"}:
                    _check_coordinates(one, found, findings)


def _check_words(groups: Sequence[Dataset], found: Found) -> None:
    """Compare what groups say that a finding is, and on which side."""
    sides = {
        one.ConceptCodeSequence[0].CodeValue for group in groups for one in _items(group) if _is_side(one)
    }
    for group in groups:
        kinds = [one.ConceptCodeSequence[0].CodeValue for one in _of(group, _FINDING)]
        equal(f"type of {found.label!r}", kinds, [found.type.value])
    equal(f"side of {found.label!r}", sides, {found.laterality.value} if found.laterality else set())


def _check_classes(groups: Sequence[Dataset], found: Found) -> None:
    """Compare the classes and attributes that groups say a finding has with those that were found."""
    wanted = _classes_of(found)
    kinds = {_key(one.type) for one in found.classes} | {name for name, _ in wanted}
    items = [item for group in groups for item in group.get("ContentSequence", ())]
    codes = [
        (_code(item.get("ConceptNameCodeSequence")), _code(item.ConceptCodeSequence))
        for item in items
        if item.ValueType == "CODE"
    ]
    equal(f"classes of {found.label!r}", {(name, value) for name, value in codes if name in kinds}, wanted)


def _classes_of(found: Found) -> set[tuple[_Key, _Key]]:
    """Return what is to be said: a class and whether it is there, an attribute and the surest value of it.

    Of values that are equally sure it is the first.
    """
    told: set[tuple[_Key, _Key]] = set()
    values: dict[_Key, tuple[float, _Key]] = {}
    for one in found.classes:
        if one.attribute is None:
            told.add((_key(one.type), (_PRESENT if one.present else _ABSENT, _SNOMED)))
            continue
        best, _ = values.setdefault(_key(one.attribute), (-1.0, (_UNDETERMINED, _SNOMED)))
        if one.present and one.probability > best:
            values[_key(one.attribute)] = (one.probability, _key(one.type))
    return told | {(name, value) for name, (_, value) in values.items()}


def _key(code: Code) -> _Key:
    return code.value, code.scheme


def _code(sequence: Sequence[Dataset] | None) -> _Key:
    return (str(sequence[0].CodeValue), str(sequence[0].CodingSchemeDesignator)) if sequence else ("", "")


def _is_side(item: Dataset) -> bool:
    return bool(item.ValueType == "CODE" and _concept(item) == _SIDE)


def _check_coordinates(item: Dataset, found: Found, findings: Findings) -> None:
    """Compare where a group says that a finding is with where it was found."""
    source = findings.sources[0]
    if source.grid is None:
        raise differs(f"{found.label!r} has coordinates, and there are no images that they could be of")
    slices, points = _read(item, found, findings, source.grid)
    if source.plane is not None:
        _check_on_picture(slices, points, found, source.grid)
    elif isinstance(found, Segment):
        equal(f"number of slices of the outline of {found.label!r}", len(slices), 1)
        if not surrounds_piece(points[:-1], found.mask, slices[0]) and not _is_box(points, found, slices[0]):
            raise differs(f"the outline of {found.label!r} does not surround it on slice {slices[0]}")
    else:
        _check_on_slice(slices[0], points, found, source.grid)


def _read(item: Dataset, found: Found, findings: Findings, grid: Grid) -> tuple[list[int], Float64]:
    """Slices or frames of coordinates, ascending, and their points (n, 2): row, column of pixel centres."""
    data = np.array(item.GraphicData, dtype=np.float64)
    if item.ValueType == "SCOORD3D":
        equal("frame of reference", item.ReferencedFrameOfReferenceUID, grid.frame_of_reference_uid)
        index = grid.to_index_kji(data.reshape(-1, 3))
        k = int(np.clip(round(float(index[:, 0].mean())), 0, grid.shape_kji[0] - 1))
        if isinstance(found, Segment) and np.abs(index[:, 0] - k).max() > QUARTER:
            raise differs(f"the outline of {found.label!r} lies beside slice {k}")
        return [k], index[:, 1:]
    slice_of = {frame: k for k, frame in enumerate(findings.sources[0].frames)}
    frames = [frame for image in item.ContentSequence for frame in _frames(image.ReferencedSOPSequence[0])]
    if not frames or any(frame not in slice_of for frame in frames):
        raise differs(f"{found.label!r} lies on an image that was not looked at")
    return sorted(slice_of[frame] for frame in frames), data.reshape(-1, 2)[:, ::-1] - _CENTRE


def _frames(reference: Dataset) -> list[SourceFrame]:
    uid, numbers = str(reference.ReferencedSOPInstanceUID), reference.get("ReferencedFrameNumber")
    if numbers is None:
        return [SourceFrame(uid)]
    return [SourceFrame(uid, int(one)) for one in np.atleast_1d(np.array(numbers, dtype=int))]


def _is_box(points: Float64, segment: Segment, k: int) -> bool:
    """Tell whether points go around all of a segment on slice k: a frayed outline is told by its box."""
    j, i = np.nonzero(segment.mask.plane(k))
    _, (top, _), (left, _) = segment.mask.box_kji
    if not j.size or len(points) != 5:
        return False
    low, high = (top + j.min() - 0.5, left + i.min() - 0.5), (top + j.max() + 0.5, left + i.max() + 0.5)
    return np.array_equal(points.min(axis=0), low) and np.array_equal(points.max(axis=0), high)


def _check_on_picture(frames: Sequence[int], points: Float64, found: Found, grid: Grid) -> None:
    """Compare corners on a picture, and the frames that they are on."""
    if isinstance(found, Segment):
        (first, last), (top, bottom), (left, right) = found.mask.box_kji
        wanted = [k for k in range(first, last) if found.mask.plane(k).any()]
        equal(f"frames of {found.label!r}", list(frames), wanted)
        low, high = np.array((top, left)) - _CENTRE, np.array((bottom, right)) - _CENTRE
    else:
        index = grid.to_index_kji(np.array(found.points_lps_mm, dtype=np.float64))
        ends = index[:, 0].min() - _HALF_A_SLICE, index[:, 0].max() + _HALF_A_SLICE
        if not all(ends[0] <= k <= ends[1] for k in frames):
            raise differs(f"{found.label!r} is on other frames than it was found on")
        edge = np.array(grid.shape_kji[1:]) - _CENTRE
        low, high = (np.clip(end(index[:, 1:], axis=0), -_CENTRE, edge) for end in (np.min, np.max))
    apart = np.abs(np.concatenate((points.min(axis=0) - low, points.max(axis=0) - high))).max()
    if apart > QUARTER:
        raise differs(f"{found.label!r} lies {apart:.1f} pixels off where it was found")


def _check_on_slice(k: int, points: Float64, region: Region, grid: Grid) -> None:
    """Compare points on slice k of a volume with a region, which may lie up to half a slice beside it."""
    there = grid.to_lps_mm(np.column_stack((np.full(len(points), float(k)), points)))
    wanted = np.array(region.points_lps_mm, dtype=np.float64)
    pixel_mm = 2 * QUARTER * max(grid.spacing_kji_mm[1:])
    near_mm = np.abs(grid.normal_lps) * _HALF_A_SLICE * grid.slice_distance_mm + pixel_mm
    low, high = _ends(region, wanted)
    inside = ((there >= low - near_mm) & (there <= high + near_mm)).all(axis=1)
    if region.kind is RegionKind.BOX:
        at_end = (np.abs(there - low) <= near_mm) | (np.abs(there - high) <= near_mm)
        at_edge = (points <= QUARTER - _CENTRE) | (points >= np.array(grid.shape_kji[1:]) - 1 + QUARTER)
        inside &= at_end.any(axis=1) | at_edge.any(axis=1)
    elif len(wanted) == len(there):
        away = there - wanted
        beside = away - np.outer(away @ grid.normal_lps, grid.normal_lps)
        inside &= np.linalg.norm(beside, axis=1) <= pixel_mm
    if not inside.all():
        raise differs(f"{region.label!r} has points on slice {k} that do not lie on it")


def _ends(region: Region, points: Float64) -> tuple[Float64, Float64]:
    """Lowest and highest x, y, z of a region."""
    if region.kind is not RegionKind.ELLIPSE:
        return points.min(axis=0), points.max(axis=0)
    half = np.hypot((points[1] - points[0]) / 2, (points[3] - points[2]) / 2)
    return points.mean(axis=0) - half, points.mean(axis=0) + half


# ── Content items ─────────────────────────────────────────────────────────────────────────────────
def _items(item: Dataset) -> Iterator[Dataset]:
    """All items below one, the first ones first."""
    for one in item.get("ContentSequence", ()):
        yield one
        yield from _items(one)


def _of(group: Dataset, concept: str) -> list[Dataset]:
    return [one for one in group.get("ContentSequence", ()) if _concept(one) == concept]


def _concept(item: Dataset) -> str:
    named = item.get("ConceptNameCodeSequence")
    return str(named[0].CodeValue) if named else ""
