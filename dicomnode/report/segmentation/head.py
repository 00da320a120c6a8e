"""What a segmentation says beside its frames: highdicom writes it, for a source of one image and one frame.

All that does not come once a frame is the same for one frame as for a thousand: modules of the IOD, segments,
dimensions, groups that all frames share. What comes once an image of the source is put in here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from dicomnode.report.concepts import ARTIFICIAL_INTELLIGENCE, coded
from dicomnode.report.heading.identity import MANUFACTURER, Imprint
from dicomnode.report.segmentation.encoding import LongDataset
from dicomnode.report.segmentation.slices import Slices, instance_references, one_frame_of
from dicomnode.report.uids import ResultUids
from dicomnode.values import Code, Provenance, Segment

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription

_LABEL_MAX: Final = 64  # LO
_CONTENT_LABEL_MAX: Final = 16  # CS
_WITHOUT: Final = ("PerFrameFunctionalGroupsSequence", "PixelData")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """Which of the instances of a series: its number from 1, of how many."""

    number: int = 1
    of: int = 1

    def uid(self, uids: ResultUids) -> str:
        """SOP Instance UID."""
        return uids.instance if self.of == 1 else uids.inside(f"instance {self.number}")

    def dimensions_uid(self, uids: ResultUids) -> str:
        """Dimension Organization UID: indices of one instance say nothing of another."""
        return uids.inside("dimensions" if self.of == 1 else f"dimensions {self.number}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadWriter:
    """Writes heads of segmentations of some Findings. syntax: Transfer Syntax UID."""

    imprint: Imprint
    uids: ResultUids
    series_number: int
    slices: Slices
    segmentation: Literal["BINARY", "LABELMAP"]
    syntax: str

    def write(
        self, segments: Sequence[Segment], planes: Sequence[int], instance: Instance
    ) -> tuple[LongDataset, Dataset]:
        """Write a head, and what highdicom says of a frame.

        segments: numbered from 1. planes: slices that have a frame.
        """
        from highdicom.seg import Segmentation  # noqa: PLC0415  heavy

        made_by = self.imprint.findings.provenance
        algorithms = {name: identified(name, made_by) for name in {one.algorithm for one in segments}}
        written = Segmentation(
            source_images=[self._source()],
            pixel_array=self._one_frame(len(segments)),
            segmentation_type=self.segmentation,
            segment_descriptions=[
                describe(number, segment, algorithms[segment.algorithm])
                for number, segment in enumerate(segments, start=1)
            ],
            series_instance_uid=self.uids.series,
            series_number=self.series_number,
            sop_instance_uid=instance.uid(self.uids),
            instance_number=instance.number,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=made_by.engine,
            software_versions=made_by.engine_digest,  # all of them are set with the identity
            device_serial_number=self.imprint.serial_number,
            content_label=_content_label(made_by.engine),
            content_description=made_by.title[:_LABEL_MAX],
            transfer_syntax_uid=self.syntax,
        )
        sample = written.PerFrameFunctionalGroupsSequence[0]
        head = LongDataset.of(written, without=_WITHOUT)
        self._set_source(head)
        self._set_geometry(head, planes, alone=len(segments) == 1 or self.segmentation == "LABELMAP")
        for item in (*head.DimensionOrganizationSequence, *head.DimensionIndexSequence):
            item.DimensionOrganizationUID = instance.dimensions_uid(self.uids)
        return head, sample

    def _source(self) -> Dataset:
        """An image for highdicom: of one pixel, and of a class that has one frame."""
        single = one_frame_of(self.imprint.heading.stubs[0][0])
        # A new element: that of the stub is shared, and others refer to the source by it
        single.add_new("SOPClassUID", "UI", CTImageStorage)
        return single

    def _one_frame(self, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]:
        """A frame of one pixel, which the first segment has."""
        if self.segmentation == "LABELMAP":
            return np.ones((1, 1, 1), dtype=np.uint8)
        frame = np.zeros((1, 1, 1, count), dtype=np.uint8)
        frame[..., 0] = 1
        return frame

    def _set_source(self, head: Dataset) -> None:
        references = instance_references(self.imprint)
        head.SourceImageSequence = references
        head.ReferencedSeriesSequence[0].ReferencedInstanceSequence = references
        if body_part := self.imprint.heading.equipment.get("BodyPartExamined"):
            head.BodyPartExamined = body_part

    def _set_geometry(self, head: Dataset, planes: Sequence[int], *, alone: bool) -> None:
        """Set size, distance of slices and kind of stack. alone: whether frames differ in place only."""
        grid = self.imprint.findings.sources[0].grid
        assert grid is not None  # there are no segments without
        _, head.Rows, head.Columns = grid.shape_kji
        measures = head.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.pop("SpacingBetweenSlices", None)
        if (spacing := self.slices.spacing()) is not None:
            measures.SpacingBetweenSlices = spacing
        head.pop("DimensionOrganizationType", None)
        if alone and len(planes) > 1 and self.slices.spacing(planes) is not None:
            head.DimensionOrganizationType = "3D"


def describe(number: int, segment: Segment, algorithm: AlgorithmIdentificationSequence) -> SegmentDescription:
    """Write an item of the Segment Sequence (0062,0002). algorithm: as `identified` writes it."""
    from highdicom.color import CIELabColor  # noqa: PLC0415  heavy
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription  # noqa: PLC0415

    description = SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:_LABEL_MAX],
        segmented_property_category=coded(segment.category),
        segmented_property_type=coded(segment.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=segment.tracking_uid,
        tracking_id=segment.tracking_id,
        anatomic_regions=[coded(segment.site)] if segment.site else None,
        display_color=CIELabColor.from_rgb(*segment.colour_rgb),
    )
    if segment.laterality is not None:
        # Inside the item of the type: one level higher it is no attribute of the IOD (PS3.3 C.8.20.4)
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_code_item(segment.laterality)]
        if segment.site is not None:
            region = description.AnatomicRegionSequence[0]
            region.AnatomicRegionModifierSequence = [_code_item(segment.laterality)]
    return description


def identified(algorithm: str, made_by: Provenance) -> AlgorithmIdentificationSequence:
    """Write what found a segment: Segmentation Algorithm Identification Sequence (0062,0007)."""
    from highdicom import AlgorithmIdentificationSequence  # noqa: PLC0415  heavy

    return AlgorithmIdentificationSequence(
        name=f"{made_by.engine}: {algorithm}"[:_LABEL_MAX],
        family=coded(ARTIFICIAL_INTELLIGENCE),
        version=made_by.version,
        source=MANUFACTURER,
        parameters={"engine_sha256": made_by.engine_digest},
    )


def _code_item(code: Code) -> Dataset:
    from highdicom.sr import CodedConcept  # noqa: PLC0415  heavy

    return CodedConcept.from_code(coded(code))


def _content_label(engine: str) -> str:
    """Content Label (0070,0080), a CS: "LUNG_CT" of "lung-ct"."""
    return re.sub(r"[^A-Z0-9 ]", "_", engine.upper())[:_CONTENT_LABEL_MAX].strip() or "SEG"
