"""Findings as a DICOM Segmentation (PS3.3 A.51): BINARY, Explicit VR Little Endian, never compressed.

BINARY is what every archive and viewer takes, and segments may overlap in it. highdicom writes the
description (dimensions, functional groups, references to the source frames) for images of one row and one
column, in which a voxel says "this segment has something on this slice"; the real pixels are packed here,
frame by frame. So a hundred organs do not cost a hundred full arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomnode.report.colours import coloured
from dicomnode.report.concepts import ARTIFICIAL_INTELLIGENCE, coded
from dicomnode.report.identity import MANUFACTURER, Imprint
from dicomnode.report.segment_bits import MaskSlices, frames_of, overlap, pack_frames
from dicomnode.report.uids import ResultUids
from dicomnode.values import Code, Segment, Source

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

_LABEL_MAX: Final = 64  # LO
_CONTENT_LABEL_MAX: Final = 16  # CS


def build_segmentation(imprint: Imprint, uids: ResultUids, series_number: int) -> Dataset:
    """Write the segments of the Findings on the frames of their first source.

    Frames are there only where a segment has voxels. Raises NodeError(SOURCE_HEADER_WRONG) as `read_heading`.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues  # noqa: PLC0415  heavy

    findings = imprint.findings
    made_by = findings.provenance
    stubs = imprint.heading.stubs[0]
    segments = coloured(findings.segments)
    seg = Segmentation(
        source_images=[_as_single_frame(stub) for stub in stubs],
        pixel_array=_occupied(imprint),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _describe(number, segment, imprint) for number, segment in enumerate(segments, start=1)
        ],
        series_instance_uid=uids.series,
        series_number=series_number,
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=made_by.engine,
        software_versions=made_by.engine_digest,  # all of them are set with the identity
        device_serial_number=imprint.serial_number,
        content_label=_content_label(made_by.engine),
        content_description=made_by.title[:_LABEL_MAX],
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    _set_pixels(seg, imprint)
    _set_source_classes(seg, stubs)
    _set_dimension_uid(seg, uids.inside("dimensions"))
    if body_part := imprint.heading.equipment.get("BodyPartExamined"):
        seg.BodyPartExamined = body_part
    return seg


def _as_single_frame(stub: Dataset) -> Dataset:
    """Give an instance of one frame a class that has one: highdicom takes only one object of the others."""
    if "NumberOfFrames" in stub:
        return stub
    single = Dataset()
    single.update(stub)
    single.SOPClassUID = CTImageStorage
    return single


def _set_source_classes(seg: Dataset, stubs: Sequence[Dataset]) -> None:
    """Refer to the source instances by their own SOP classes."""
    classes = {str(stub.SOPInstanceUID): stub.SOPClassUID for stub in stubs}

    def correct(item: Dataset, element: DataElement) -> None:
        if element.keyword == "ReferencedSOPInstanceUID" and str(element.value) in classes:
            item.ReferencedSOPClassUID = classes[str(element.value)]

    seg.walk(correct)


def _plane_of(source: Source, stubs: tuple[Dataset, ...]) -> list[int]:
    """For each slice k, the plane that highdicom counts: an instance, or a frame of the only one."""
    if source.frames[0].frame_number is not None:
        return [(frame.frame_number or 1) - 1 for frame in source.frames]
    order = {str(stub.SOPInstanceUID): n for n, stub in enumerate(stubs)}
    return [order[frame.sop_instance_uid] for frame in source.frames]


def _occupied(imprint: Imprint) -> NDArray[np.uint8]:
    """uint8 (planes, 1, 1, segments): 1 where a segment has voxels on a plane of the source."""
    findings, stubs = imprint.findings, imprint.heading.stubs[0]
    source = findings.sources[0]
    planes = int(stubs[0].NumberOfFrames) if "NumberOfFrames" in stubs[0] else len(stubs)
    plane_of = _plane_of(source, stubs)
    occupied = np.zeros((planes, 1, 1, len(findings.segments)), dtype=np.uint8)
    for number, segment in enumerate(findings.segments):
        for k in MaskSlices(segment.mask).occupied():
            occupied[plane_of[k], 0, 0, number] = 1
    return occupied


def _set_pixels(seg: Dataset, imprint: Imprint) -> None:
    """Put the real pixels in, in the order of the frames that highdicom described."""
    findings = imprint.findings
    slice_of = {
        (frame.sop_instance_uid, frame.frame_number): k for k, frame in enumerate(findings.sources[0].frames)
    }
    masks = [segment.mask for segment in findings.segments]
    shared = seg.SharedFunctionalGroupsSequence[0]
    wanted = []
    for group in seg.PerFrameFunctionalGroupsSequence:
        identified = group if "SegmentIdentificationSequence" in group else shared
        number = int(identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        frame_number = image.get("ReferencedFrameNumber")
        key = (str(image.ReferencedSOPInstanceUID), None if frame_number is None else int(frame_number))
        wanted.append((number - 1, slice_of[key]))
    _, seg.Rows, seg.Columns = masks[0].shape_kji
    seg.SegmentsOverlap = "YES" if overlap(masks) else "NO"
    seg.PixelData = pack_frames(frames_of(masks, wanted))


def _set_dimension_uid(seg: Dataset, uid: str) -> None:
    """Replace the random UID of the dimension organisation, so that the bytes are always the same."""
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _describe(number: int, segment: Segment, imprint: Imprint) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence  # noqa: PLC0415  heavy
    from highdicom.color import CIELabColor  # noqa: PLC0415
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription  # noqa: PLC0415

    made_by = imprint.findings.provenance
    description = SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:_LABEL_MAX],
        segmented_property_category=coded(segment.category),
        segmented_property_type=coded(segment.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=f"{made_by.engine}: {segment.algorithm}"[:_LABEL_MAX],
            family=coded(ARTIFICIAL_INTELLIGENCE),
            version=made_by.version,
            source=MANUFACTURER,
            parameters={"engine_sha256": made_by.engine_digest},
        ),
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


def _code_item(code: Code) -> Dataset:
    from highdicom.sr import CodedConcept  # noqa: PLC0415  heavy

    return CodedConcept.from_code(coded(code))


def _content_label(engine: str) -> str:
    """Content Label (0070,0080), a CS: "LUNG_CT" of "lung-ct"."""
    return re.sub(r"[^A-Z0-9 ]", "_", engine.upper())[:_CONTENT_LABEL_MAX].strip() or "SEG"
