"""What people, or other programs, say of a study: read from their SEG, RTSTRUCT and SR.

The other way round from Findings: a label to learn from, a truth to compare with, a doctor's answer to our
own result. Names of readers are not kept: an annotation says what, where and of which object, and by a key
whether two are of one person, not who that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from dicomnode.values.codes import Code
from dicomnode.values.findings import Measurement, PointLps, RegionKind
from dicomnode.values.geometry import Grid
from dicomnode.values.mask import Mask
from dicomnode.values.volume import SourceFrame

PHANTOM_MAKER: Final = ("dicomnode", "Procedural phantom")
"""Manufacturer and Manufacturer's Model Name of all that `dicomnode synth` draws, and of no engine."""


class AnnotationKind(StrEnum):
    """What kind of object said it."""

    SEG = "SEG"
    RTSTRUCT = "RTSTRUCT"
    SR = "SR"
    TABLE = "table"  # rows of a table, which is no object


class MadeBy(StrEnum):
    """How it came about, as far as the object says."""

    PERSON = "person"  # drawn or verified by a person
    MACHINE = "machine"  # found by an algorithm, nobody has said yes to it
    KNOWN = "known"  # true by construction: a phantom's, written by what drew it
    SEMI = "semi"  # an algorithm that a person led, or whose result a person changed
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnnotatedSegment:
    """Voxels of a stack with a meaning. mask: in the grid of `Annotation.grid`; it may be empty.

    number: of the segment or ROI in its object. label: as a person wrote it. tracking_uid, tracking_id: None
    where the object has none.
    """

    number: int
    label: str
    mask: Mask
    category: Code | None = None
    type: Code | None = None
    laterality: Code | None = None
    site: Code | None = None
    tracking_uid: str | None = None
    tracking_id: str | None = None
    made_by: MadeBy = MadeBy.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedRegion:
    """A finding of a report: a measurement group, with a shape where it gives one, in LPS mm.

    kind, points_lps_mm: None and () where it names a segment, an image or the whole study only; on a picture
    the points lie in the plane of its pixels (`PicturePlane.grid`). image: that the shape was drawn on, None
    where it was drawn in patient space. parts: the shapes of one that has several, such as an outline on each
    slice; then it is the box around them all. segment: SOP Instance UID and number of the segment that it
    speaks of. measurements: its numbers. answers: coded answers (concept, value).
    """

    label: str
    kind: RegionKind | None
    points_lps_mm: tuple[PointLps, ...] = ()
    type: Code | None = None
    site: Code | None = None
    laterality: Code | None = None
    tracking_uid: str | None = None
    tracking_id: str | None = None
    measurements: tuple[Measurement, ...] = ()
    answers: tuple[tuple[Code, Code], ...] = ()
    segment: tuple[str, int] | None = None
    image: SourceFrame | None = None
    parts: tuple[tuple[PointLps, ...], ...] = ()

    def __post_init__(self) -> None:
        if (self.kind is None) != (not self.points_lps_mm):
            raise ValueError(f"AnnotatedRegion.kind is that of its points, got {self.kind!r} of none or some")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotation:
    """One object that speaks of a study; of a report on several stacks, what it says of one of them.

    grid: of the stack that masks lie in, None where the object has none. series_instance_uid: its own series;
    of_series: the image series that it speaks of ("" where it does not say); of_stack: the number of the
    stack in it (`SeriesFacts.stack`), None where no stack is meant. references: SOP Instance UIDs that it
    names, images and objects; predecessors: documents that it takes the place of. made_at: None where it does
    not say; without a time zone where it gives none. verified: an SR whose Verification Flag is VERIFIED, an
    RTSTRUCT whose Approval Status is APPROVED. answers, measurements: of the whole study or image (groups of
    no place, which are regions of no kind, too: there each stands with its finding and tracking UID). notes:
    sentences on what was tolerated or left out when it was read. author: a key, equal for equal authors, ""
    where the object names nobody, or several; it is compared within a run, never written or shown.
    Raises ValueError where a mask is not of `grid`.
    """

    kind: AnnotationKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    of_series: str = ""
    of_stack: int | None = None
    frame_of_reference_uid: str | None = None
    grid: Grid | None = None
    title: str = ""
    made_by: MadeBy = MadeBy.UNKNOWN
    verified: bool = False
    made_at: datetime | None = None
    references: tuple[str, ...] = ()
    predecessors: tuple[str, ...] = ()
    segments: tuple[AnnotatedSegment, ...] = ()
    regions: tuple[AnnotatedRegion, ...] = ()
    answers: tuple[tuple[Code, Code], ...] = ()
    measurements: tuple[Measurement, ...] = ()
    notes: tuple[str, ...] = ()
    author: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for segment in self.segments:
            if self.grid is None or segment.mask.shape_kji != self.grid.shape_kji:
                raise ValueError(
                    f"segment {segment.number} lies on {segment.mask.shape_kji}, "
                    f"the grid is {self.grid and self.grid.shape_kji}"
                )
