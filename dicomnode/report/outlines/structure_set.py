"""Segments as an RT Structure Set (PS3.3 A.19), for planning systems and viewers that read no segmentations.

One region of interest a segment, closed planar contours on the source's own slices. A hole is joined to its
outline by a channel of no width (the keyhole technique, C.8.8.6.3): a reader that fills each contour, by
whatever rule, and one that takes contours off each other, both get the mask back.

It is written in Implicit VR Little Endian: where a value representation stands before each value, a contour
can have no more than 65,534 bytes (PS3.5 7.1.2), which is not enough for that of a lung with its vessels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import DataElement, Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage
from pydicom.valuerep import format_number_as_ds

from dicomnode.report.concepts import ARTIFICIAL_INTELLIGENCE, code_item
from dicomnode.report.drawing.colours import coloured
from dicomnode.report.heading.identity import MANUFACTURER, Imprint
from dicomnode.report.outlines.outlines import Ring, slices_of
from dicomnode.report.outlines.placed import PlacedSlices, decimal_strings, reference_of
from dicomnode.report.uids import ResultUids
from dicomnode.report.words.sentences import site_text
from dicomnode.report.words.wording import present_classes, score_text, volume_mm3
from dicomnode.values import FindingKind, Segment

MOST_POINTS: Final = 2_000_000
"""Of all contours together: about 50 MB. Beyond it the regions with most points are left without contours."""

_DETACHED_STUDY: Final = "1.2.840.10008.3.1.2.3.1"  # retired, and what stands for a study here (C.8.8.5)
_CONTOUR_DATA: Final = 0x30060050
_ST_MAX: Final = 1024
_LO_MAX: Final = 64
_SH_MAX: Final = 16
_MM3_PER_CM3: Final = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class _Contours:
    """All contours of one segment: rings and the slice that each lies on. cut: they are left out."""

    rings: tuple[tuple[int, Ring], ...]
    points: int
    cut: bool = False


def build_structure_set(imprint: Imprint, uids: ResultUids, series_number: int) -> tuple[Dataset, ...]:
    """Write the segments of the Findings as contours on the slices of their first source.

    () where there is no segment, or no patient space (pictures). At most `MOST_POINTS` points: what is left
    out is said in the description of the set and of its region.
    """
    source = imprint.findings.sources[0]
    if source.grid is None or source.plane is not None or not imprint.findings.segments:
        return ()
    slices = PlacedSlices(imprint)
    segments = coloured(imprint.findings.segments)
    contours = _within_bounds([_contours(segment) for segment in segments])
    result = _empty(imprint, uids, series_number, contours)
    result.ReferencedFrameOfReferenceSequence = [_frame_of_reference(imprint)]
    numbered = list(enumerate(zip(segments, contours, strict=True), start=1))
    result.StructureSetROISequence = [
        _region(number, segment, made, imprint) for number, (segment, made) in numbered
    ]
    result.ROIContourSequence = [
        _contour_item(number, segment, made, slices) for number, (segment, made) in numbered
    ]
    result.RTROIObservationsSequence = [_observation(number, segment) for number, (segment, _) in numbered]
    result.ApprovalStatus = "UNAPPROVED"
    return (result,)


def _contours(segment: Segment) -> _Contours:
    rings = tuple((one.k, ring) for one in slices_of(segment.mask) for ring in one.keyholed())
    return _Contours(rings, sum(len(ring) for _, ring in rings))


def _within_bounds(contours: Sequence[_Contours]) -> list[_Contours]:
    """Leave out the largest until the rest has no more points than are allowed."""
    left, kept = sum(one.points for one in contours), list(contours)
    for number in sorted(range(len(kept)), key=lambda n: -kept[n].points):
        if left <= MOST_POINTS:
            break
        left -= kept[number].points
        kept[number] = _Contours((), kept[number].points, cut=True)
    return kept


def _empty(imprint: Imprint, uids: ResultUids, series_number: int, contours: Iterable[_Contours]) -> Dataset:
    """Return the set without its regions."""
    made_by, made_at = imprint.findings.provenance, imprint.made_at
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    result.SOPClassUID, result.SOPInstanceUID = RTStructureSetStorage, uids.instance
    result.Modality, result.Manufacturer = "RTSTRUCT", MANUFACTURER
    result.SeriesInstanceUID, result.SeriesNumber = uids.series, series_number
    result.InstanceNumber = 1
    result.OperatorsName = ""
    result.FrameOfReferenceUID = imprint.heading.stubs[0][0].FrameOfReferenceUID
    result.PositionReferenceIndicator = ""
    result.StructureSetLabel = made_by.engine[:_SH_MAX]
    result.StructureSetName = f"{made_by.engine} {made_by.version}"[:_LO_MAX]
    cut = sum(one.cut for one in contours)
    regions = "1 region has" if cut == 1 else f"{cut} regions have"
    more = f" {regions} too many points and no contours." if cut else ""
    result.StructureSetDescription = f"{made_by.title}. {imprint.mark}{more}"[:_ST_MAX]
    result.StructureSetDate = made_at.strftime("%Y%m%d")
    result.StructureSetTime = made_at.strftime("%H%M%S.%f")
    return result


def _frame_of_reference(imprint: Imprint) -> Dataset:
    """Name the patient space, and all images of the source that lie in it."""
    source, stubs = imprint.findings.sources[0], imprint.heading.stubs[0]
    series, study, item = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = source.series_instance_uid
    series.ContourImageSequence = [reference_of(stub) for stub in stubs]
    study.ReferencedSOPClassUID = _DETACHED_STUDY
    study.ReferencedSOPInstanceUID = source.study_instance_uid
    study.RTReferencedSeriesSequence = [series]
    item.FrameOfReferenceUID = stubs[0].FrameOfReferenceUID
    item.RTReferencedStudySequence = [study]
    return item


def _region(number: int, segment: Segment, contours: _Contours, imprint: Imprint) -> Dataset:
    findings = imprint.findings
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = imprint.heading.stubs[0][0].FrameOfReferenceUID
    item.ROIName = segment.label[:_LO_MAX]
    said = f"{segment.type.meaning}{site_text(segment)}"
    if segment.score is not None:
        said += f", {score_text(segment.score, calibrated=segment.calibrated)}"
    said += "".join(f", {one}" for one in present_classes(segment))
    if contours.cut:
        said += f". No contours: they would have {contours.points} points"
    item.ROIDescription = f"{said}. {segment.tracking_id}, {segment.tracking_uid}."[:_ST_MAX]
    item.ROIVolume = format_number_as_ds(volume_mm3(segment, findings) / _MM3_PER_CM3)
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    made_by = findings.provenance
    item.ROIGenerationDescription = f"{made_by.engine} {made_by.version}: {segment.algorithm}"[:_LO_MAX]
    algorithm = Dataset()
    algorithm.AlgorithmFamilyCodeSequence = [code_item(ARTIFICIAL_INTELLIGENCE)]
    algorithm.AlgorithmName = f"{made_by.engine}: {segment.algorithm}"[:_LO_MAX]
    algorithm.AlgorithmVersion = made_by.version[:_LO_MAX]
    algorithm.AlgorithmSource = MANUFACTURER
    item.ROIDerivationAlgorithmIdentificationSequence = [algorithm]
    return item


def _contour_item(number: int, segment: Segment, contours: _Contours, slices: PlacedSlices) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(segment.colour_rgb)
    if contours.rings:
        item.ContourSequence = [_contour(k, ring, slices) for k, ring in contours.rings]
    return item


def _contour(k: int, ring: Ring, slices: PlacedSlices) -> Dataset:
    item = Dataset()
    item.ContourImageSequence = [slices.reference(k)]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(ring)
    texts = decimal_strings(slices.to_lps_mm(k, ring), slices.decimals)
    # As it stands in the file: a number object for each of a million coordinates would take seconds
    item.add(DataElement(_CONTOUR_DATA, "DS", "\\".join(texts), already_converted=True))
    return item


def _observation(number: int, segment: Segment) -> Dataset:
    """Say what a region is. Of a lesion no planning role is claimed: that is for who plans."""
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.ROIObservationLabel = segment.label[:_SH_MAX]
    kind = code_item(segment.type)
    item.SegmentedPropertyCategoryCodeSequence = [code_item(segment.category)]
    item.RTROIIdentificationCodeSequence = [kind]
    if segment.site is not None:
        item.AnatomicRegionSequence = [code_item(segment.site)]
    if segment.laterality is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [code_item(segment.laterality)]
        for region in item.get("AnatomicRegionSequence", ()):
            region.AnatomicRegionModifierSequence = [code_item(segment.laterality)]
    item.RTROIInterpretedType = "ORGAN" if segment.kind is FindingKind.ANATOMY else ""
    item.ROIInterpreter = ""
    return item
