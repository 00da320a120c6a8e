"""Structure sets of others (RTSTRUCT): contours filled on the slices that they were drawn on.

A voxel belongs to a region if its centre lies within the contours of its slice, by the even-odd rule: so
holes may be contours of their own (XOR) or joined to the outline by a channel (keyhole).
Source: PS3.3 C.8.8.5 (Structure Set), C.8.8.6 (ROI Contour), C.8.8.8 (RT ROI Observations).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from dicomnode.assemble.annotations.authors import author_of
from dicomnode.assemble.annotations.codes import code_of
from dicomnode.assemble.annotations.contour_planes import paint_planes
from dicomnode.assemble.annotations.opened import Opened, moment_of
from dicomnode.assemble.annotations.painting import Painting
from dicomnode.assemble.annotations.segmentations import side_of, together
from dicomnode.assemble.annotations.targets import References, Target, Targets
from dicomnode.assemble.attributes import text_of, whole_of
from dicomnode.faults import (
    ANNOTATION_NOT_READ,
    ANNOTATION_OTHER_SPACE,
    ANNOTATION_OUTSIDE,
    ANNOTATION_UNPLACED,
)
from dicomnode.values import (
    AnnotatedRegion,
    AnnotatedSegment,
    Annotation,
    AnnotationKind,
    Float64,
    MadeBy,
    RegionKind,
)

_CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_LINES: Final = frozenset({"OPEN_PLANAR", "OPEN_NONPLANAR"})
_MADE_BY: Final[Mapping[str, MadeBy]] = {  # PS3.3 C.8.8.5, ROI Generation Algorithm (3006,0036)
    "MANUAL": MadeBy.PERSON,
    "SEMIAUTOMATIC": MadeBy.SEMI,
    "AUTOMATIC": MadeBy.MACHINE,
}
_CONTOUR_DATA: Final = tag_for_keyword("ContourData") or 0
_LARGEST_MM: Final = 1e5  # no place in a patient
# This node ends ROI Description with the tracking UID of the segment (`report.outlines.structure_set`)
_TRACKING: Final = re.compile(r", (2\.25\.\d{1,39})\.$")


@dataclass(slots=True, eq=False)
class _Roi:
    """A region of interest: its items in the three sequences, and its contours by their kind."""

    number: int
    item: Dataset
    observation: Dataset = field(default_factory=Dataset)
    closed: list[Float64] = field(default_factory=list)
    lines: list[Float64] = field(default_factory=list)
    points: list[Float64] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    others: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """As a person called it."""
        return text_of(self.item, "ROIName") or text_of(self.observation, "ROIObservationLabel")

    @property
    def space(self) -> str:
        """Frame of Reference that it lies in."""
        return text_of(self.item, "ReferencedFrameOfReferenceUID")


def read_structure_set(opened: Opened, targets: Targets) -> Annotation:
    """Read a structure set: regions of closed contours as segments, points and open lines as regions.

    A region without contours, in another Frame of Reference or of contours across the slices is left out, and
    told; NodeError with a row where nothing is left.
    """
    dataset = opened.dataset
    rois = _rois(opened)
    references = _references(opened, rois)
    target = targets.choose(references, opened)
    if target.is_picture:
        raise opened.refused(
            ANNOTATION_UNPLACED, error="its images are pictures, which have no patient space"
        )
    here, notes = _in_space(rois, target, opened)
    filled = _Filling(target=target, opened=opened, on_these=_are_named(target, references), notes=notes)
    segments = filled.segments(here)
    regions = [region for roi in here for region in _regions(roi, opened)]
    if not segments and not regions:
        raise opened.refused(ANNOTATION_NOT_READ, error=" ".join(notes) or "a structure set without regions")
    approved = text_of(dataset, "ApprovalStatus") == "APPROVED"
    made = together({_made_by(roi) for roi in here})
    return Annotation(
        kind=AnnotationKind.RTSTRUCT,
        sop_class_uid=opened.header.sop_class_uid,
        sop_instance_uid=opened.header.sop_instance_uid,
        series_instance_uid=opened.header.series_instance_uid,
        study_instance_uid=opened.header.study_instance_uid,
        of_series=target.series_instance_uid,
        of_stack=target.stack.facts.stack,
        frame_of_reference_uid=target.grid.frame_of_reference_uid,
        grid=target.grid,
        title=text_of(dataset, "StructureSetLabel"),
        made_by=MadeBy.PERSON if approved else made,
        verified=approved,
        made_at=moment_of(dataset, "StructureSetDate", "StructureSetTime"),
        references=references.instances,
        predecessors=_named(opened.items(dataset, "PredecessorStructureSetSequence")),
        segments=tuple(segments),
        regions=tuple(regions),
        notes=tuple(notes),
        author=author_of(opened),
    )


def _rois(opened: Opened) -> list[_Roi]:
    """Read the regions with their contours, in the order of their definitions."""
    dataset = opened.dataset
    found: dict[int, _Roi] = {}
    for item in opened.items(dataset, "StructureSetROISequence"):
        number = whole_of(item, "ROINumber")
        if number is None or number in found:
            raise opened.damaged(f"a region has ROI Number {number}, or a second one has")
        found[number] = _Roi(number, item)
    if not found:
        raise opened.damaged("it has no StructureSetROISequence (3006,0020)")
    for item in opened.items(dataset, "RTROIObservationsSequence"):
        number = whole_of(item, "ReferencedROINumber")
        if number in found and not len(found[number].observation):
            found[number].observation = item
    for item in opened.items(dataset, "ROIContourSequence"):
        number = whole_of(item, "ReferencedROINumber")
        if number not in found:
            raise opened.damaged(f"contours are of region {number}, which it does not describe")
        for contour in opened.items(item, "ContourSequence"):
            _take(contour, found[number], opened)
    return list(found.values())


def _take(contour: Dataset, roi: _Roi, opened: Opened) -> None:
    kind = text_of(contour, "ContourGeometricType").upper()
    points = _points(contour, opened)
    roi.images += _named(opened.items(contour, "ContourImageSequence"))
    if not len(points):
        return
    if kind in _CLOSED:
        roi.closed.append(points)
    elif kind in _LINES:
        roi.lines.append(points)
    elif kind == "POINT":
        roi.points.append(points)
    else:
        roi.others.add(kind or "without a type")


def _points(contour: Dataset, opened: Opened) -> Float64:
    """Return the points (n, 3) of a contour in LPS mm, without a number object for each coordinate."""
    if _CONTOUR_DATA not in contour:
        return np.zeros((0, 3))
    raw: object = contour.get_item(_CONTOUR_DATA).value
    texts = raw.strip(b"\0 ").split(b"\\") if isinstance(raw, bytes) else list(raw or ())  # type: ignore[call-overload]
    try:
        numbers = np.array([text for text in texts if text not in {b"", ""}], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise opened.damaged("ContourData (3006,0050) holds what is no number") from error
    count = whole_of(contour, "NumberOfContourPoints")
    if numbers.size % 3 or (count is not None and count * 3 != numbers.size):
        raise opened.damaged(f"a contour says {count} points and has {numbers.size} coordinates")
    if not np.all(np.abs(numbers) < _LARGEST_MM):
        raise opened.damaged("a contour has points that are nowhere in a patient")
    return numbers.reshape(-1, 3)


def _in_space(rois: Sequence[_Roi], target: Target, opened: Opened) -> tuple[list[_Roi], list[str]]:
    """Leave out regions of other Frames of Reference; return the others, and what is to be told."""
    space = target.grid.frame_of_reference_uid
    here = [roi for roi in rois if roi.space in {"", space}]
    if not here:
        raise opened.refused(ANNOTATION_OTHER_SPACE, found=rois[0].space, expected=space)
    left = len(rois) - len(here)
    notes = [f"{left} region(s) of another Frame of Reference were left out."] if left else []
    return here, notes


def _are_named(target: Target, references: References) -> bool:
    """Tell whether contours were drawn on these images, not on others of the same patient space."""
    own = {header.sop_instance_uid for header in target.stack.headers}
    return target.series_instance_uid in references.series or not own.isdisjoint(references.instances)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Filling:
    """Fills the contours of regions; what cannot be filled is told in `notes`."""

    target: Target
    opened: Opened
    on_these: bool
    notes: list[str]

    def segments(self, rois: Sequence[_Roi]) -> list[AnnotatedSegment]:
        """Fill all regions. Raises NodeError(ANNOTATION_OUTSIDE) where all contours lie beside the images."""
        painted: list[AnnotatedSegment] = []
        outside = 0
        for roi in rois:
            if roi.others:
                kinds = ", ".join(sorted(roi.others))
                self.notes.append(f"Region {roi.number} has contours of a type that is not read: {kinds}.")
            if not (roi.closed or roi.lines or roi.points):
                self.notes.append(f"Region {roi.number} has no contours and was left out.")
            painting = Painting(self.target.grid.shape_kji)
            grid, opened = self.target.grid, self.opened
            across, beside = paint_planes(roi.closed, grid, painting, opened, on_these=self.on_these)
            outside += beside
            if across:
                said = f"Region {roi.number} has {across} contour(s) across the slices and was left out."
                self.notes.append(said)
            elif roi.closed and painting.mask().is_empty:  # that does not say that there is none
                self.notes.append(f"Region {roi.number} holds no voxel of the images and was left out.")
            elif roi.closed:
                painted.append(_segment(roi, painting, opened))
        if outside:
            self.notes.append(f"{outside} contour(s) lie beside the images, and were left out.")
        if outside and not any(one.mask.count for one in painted):
            raise self.opened.refused(ANNOTATION_OUTSIDE, error=f"{outside} contours, and none within")
        return painted


def _segment(roi: _Roi, painting: Painting, opened: Opened) -> AnnotatedSegment:
    about = roi.observation
    tracked = _TRACKING.search(text_of(roi.item, "ROIDescription"))
    return AnnotatedSegment(
        number=roi.number,
        label=roi.name,
        mask=painting.mask(),
        category=code_of(opened.item(about, "SegmentedPropertyCategoryCodeSequence")),
        type=code_of(opened.item(about, "RTROIIdentificationCodeSequence")),
        laterality=side_of(opened, about, "RTROIIdentificationCodeSequence"),
        site=code_of(opened.item(about, "AnatomicRegionSequence")),
        tracking_uid=tracked[1] if tracked else None,
        made_by=_made_by(roi),
    )


def _regions(roi: _Roi, opened: Opened) -> list[AnnotatedRegion]:
    about = roi.observation
    shapes = [(RegionKind.POINT, point[None]) for some in roi.points for point in some]
    shapes += [(RegionKind.POLYLINE, line) for line in roi.lines]
    return [
        AnnotatedRegion(
            label=roi.name,
            kind=kind,
            points_lps_mm=tuple((float(x), float(y), float(z)) for x, y, z in points),
            type=code_of(opened.item(about, "RTROIIdentificationCodeSequence")),
            site=code_of(opened.item(about, "AnatomicRegionSequence")),
            laterality=side_of(opened, about, "RTROIIdentificationCodeSequence"),
        )
        for kind, points in shapes
    ]


def _made_by(roi: _Roi) -> MadeBy:
    return _MADE_BY.get(text_of(roi.item, "ROIGenerationAlgorithm").upper(), MadeBy.UNKNOWN)


def _named(items: Sequence[Dataset]) -> tuple[str, ...]:
    return tuple(uid for one in items if (uid := text_of(one, "ReferencedSOPInstanceUID")))


def _references(opened: Opened, rois: Sequence[_Roi]) -> References:
    instances = [uid for roi in rois for uid in roi.images]
    series, spaces = [], [text_of(opened.dataset, "FrameOfReferenceUID")]
    for item in opened.items(opened.dataset, "ReferencedFrameOfReferenceSequence"):
        spaces.append(text_of(item, "FrameOfReferenceUID"))
        for one in opened.below(item, "RTReferencedStudySequence", "RTReferencedSeriesSequence"):
            series.append(text_of(one, "SeriesInstanceUID"))
            instances += _named(opened.items(one, "ContourImageSequence"))
    own = [roi.space for roi in rois]
    return References(
        instances=tuple(dict.fromkeys(instances)),
        series=tuple(dict.fromkeys(uid for uid in series if uid)),
        frames_of_reference=tuple(dict.fromkeys(uid for uid in (*own, *spaces) if uid)),
    )
