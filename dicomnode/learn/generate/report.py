"""The truth of a case as a structured report: TID 1500, Enhanced SR, one group for each thing that is true.

Written here and not by `dicomnode.report`, as the segmentation is: nothing was found, no engine is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.uid import EnhancedSRStorage
from pydicom.valuerep import DSfloat

from dicomnode.learn.generate.drawn import Drawing, TrueBox, TrueClass, TrueNumber, TrueSegment
from dicomnode.learn.generate.items import code_item, item
from dicomnode.learn.generate.marks import COMMENT, MANUFACTURER, MODEL, WORD
from dicomnode.learn.generate.segmentation import UidOf, is_placed, truth_head
from dicomnode.values import Code
from dicomnode.values.codes import CUBIC_MILLIMETRE

SERIES_NUMBER: Final = 901
_TITLE: Final = Code("126000", "DCM", "Imaging Measurement Report")
_LANGUAGE: Final = Code("121049", "DCM", "Language of Content Item and Descendants")
_ENGLISH: Final = Code("en", "RFC5646", "English")
_OBSERVER_TYPE: Final = Code("121005", "DCM", "Observer Type")
_DEVICE: Final = Code("121007", "DCM", "Device")
_DEVICE_UID: Final = Code("121012", "DCM", "Device Observer UID")
_DEVICE_NAME: Final = Code("121013", "DCM", "Device Observer Name")
_DEVICE_MAKER: Final = Code("121014", "DCM", "Device Observer Manufacturer")
_DEVICE_MODEL: Final = Code("121015", "DCM", "Device Observer Model Name")
_PROCEDURE: Final = Code("121058", "DCM", "Procedure reported")
_ANY_PROCEDURE: Final = Code("363679005", "SCT", "Imaging procedure")
_MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
_GROUP: Final = Code("125007", "DCM", "Measurement Group")
_TRACKING_ID: Final = Code("112039", "DCM", "Tracking Identifier")
_TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
_FINDING: Final = Code("121071", "DCM", "Finding")
_SITE: Final = Code("363698007", "SCT", "Finding Site")
_LATERALITY: Final = Code("272741003", "SCT", "Laterality")
_SEGMENT: Final = Code("121191", "DCM", "Referenced Segment")
_SEGMENT_FRAME: Final = Code("121214", "DCM", "Referenced Segmentation Frame")
_SOURCE_IMAGE: Final = Code("121233", "DCM", "Source image for segmentation")
_SOURCE_SERIES: Final = Code("121232", "DCM", "Source series for segmentation")
_REGION: Final = Code("111030", "DCM", "Image Region")
_SOURCE: Final = Code("260753009", "SCT", "Source")
_VOLUME: Final = Code("118565006", "SCT", "Volume")
_PRESENT: Final = Code("52101004", "SCT", "Present")
_ABSENT: Final = Code("272519000", "SCT", "Absent")
_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
_COMMENT: Final = Code("121106", "DCM", "Comment")
_OWN_SCHEME: Final = "99DICOMNODE"


def build_report(
    images: Sequence[Dataset], drawing: Drawing, segmentation: Dataset | None, uid_of: UidOf
) -> Dataset:
    """Write what is true of a study. images: headers, k ascending; segmentation: that of the same study."""
    made = truth_head(images[0], "SR", SERIES_NUMBER, uid_of)
    made.SOPClassUID = EnhancedSRStorage
    made.SeriesDescription = f"{WORD} known truth, report"
    made.InstanceNumber = 1
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "UNVERIFIED"
    made.ReferencedPerformedProcedureStepSequence = []
    made.PerformedProcedureCodeSequence = []
    made.CodingSchemeIdentificationSequence = [
        item(
            CodingSchemeDesignator=_OWN_SCHEME,
            CodingSchemeName="Concepts of dicomnode",
            CodingSchemeResponsibleOrganization=MANUFACTURER,
        )
    ]
    evidence = [*images] if segmentation is None else [*images, segmentation]
    made.CurrentRequestedProcedureEvidenceSequence = [_evidence(evidence)]
    writer = _Writer(images, segmentation, uid_of)
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.ConceptNameCodeSequence = [code_item(_TITLE)]
    made.ContentTemplateSequence = [item(MappingResource="DCMR", TemplateIdentifier="1500")]
    made.ContentSequence = [*_context(uid_of), writer.groups(drawing), _words()]
    return made


def _evidence(objects: Sequence[Dataset]) -> Dataset:
    """Every image and object that the report speaks of, by series (PS3.3 C.17.2)."""
    by_series: dict[str, list[Dataset]] = {}
    for one in objects:
        by_series.setdefault(str(one.SeriesInstanceUID), []).append(one)
    return item(
        StudyInstanceUID=objects[0].StudyInstanceUID,
        ReferencedSeriesSequence=[
            item(SeriesInstanceUID=uid, ReferencedSOPSequence=[_reference(one) for one in own])
            for uid, own in by_series.items()
        ],
    )


def _reference(one: Dataset, **more: object) -> Dataset:
    return item(ReferencedSOPClassUID=one.SOPClassUID, ReferencedSOPInstanceUID=one.SOPInstanceUID, **more)


# ── Content items (PS3.3 C.17.3) ──────────────────────────────────────────────────────────────────
def _content(relation: str, kind: str, name: Code | None, **values: object) -> Dataset:
    made = item(RelationshipType=relation, ValueType=kind)
    if name is not None:
        made.ConceptNameCodeSequence = [code_item(name)]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def _container(name: Code, content: Sequence[Dataset], template: str | None = None) -> Dataset:
    made = _content("CONTAINS", "CONTAINER", name, ContinuityOfContent="SEPARATE")
    if template is not None:
        made.ContentTemplateSequence = [item(MappingResource="DCMR", TemplateIdentifier=template)]
    made.ContentSequence = list(content)
    return made


def _code(relation: str, name: Code, value: Code) -> Dataset:
    return _content(relation, "CODE", name, ConceptCodeSequence=[code_item(value)])


def _text(relation: str, name: Code, value: str) -> Dataset:
    return _content(relation, "TEXT", name, TextValue=value)


def _uid(relation: str, name: Code, value: str) -> Dataset:
    return _content(relation, "UIDREF", name, UID=value)


def _number(name: Code, value: float, unit: Code) -> Dataset:
    measured = item(
        NumericValue=DSfloat(value, auto_format=True), MeasurementUnitsCodeSequence=[code_item(unit)]
    )
    return _content("CONTAINS", "NUM", name, MeasuredValueSequence=[measured])


def _context(uid_of: UidOf) -> list[Dataset]:
    """Language, and who says it: software, not a person (TID 1204, 1002)."""
    context = "HAS OBS CONTEXT"
    return [
        _code("HAS CONCEPT MOD", _LANGUAGE, _ENGLISH),
        _code(context, _OBSERVER_TYPE, _DEVICE),
        _uid(context, _DEVICE_UID, uid_of("device")),
        _text(context, _DEVICE_NAME, f"{WORD} {MODEL}"),
        _text(context, _DEVICE_MAKER, MANUFACTURER),
        _text(context, _DEVICE_MODEL, MODEL),
        _code("HAS CONCEPT MOD", _PROCEDURE, _ANY_PROCEDURE),
    ]


def _words() -> Dataset:
    return _container(_EVALUATIONS, [_text("CONTAINS", _COMMENT, COMMENT)])


class _Writer:
    """Writes the groups of a report on some images."""

    def __init__(self, images: Sequence[Dataset], segmentation: Dataset | None, uid_of: UidOf) -> None:
        self._images, self._segmentation, self._uid_of = images, segmentation, uid_of

    def groups(self, drawing: Drawing) -> Dataset:
        """Write everything that is true; segments without voxels are no findings."""
        groups = [
            self._segment(number, one, drawing)
            for number, one in enumerate(drawing.segments, start=1)
            if one.mask.any()
        ]
        groups += [self._box(one) for one in drawing.boxes]
        groups += [self._class(one) for one in drawing.classes]
        if drawing.numbers:
            groups.append(self._numbers(drawing.numbers))
        return _container(_MEASUREMENTS, groups)

    def _head(self, label: str, finding: Code | None) -> list[Dataset]:
        context = "HAS OBS CONTEXT"
        head = [
            _text(context, _TRACKING_ID, label),
            _uid(context, _TRACKING_UID, self._uid_of(f"tracking {label}")),
        ]
        return [*head, _code("CONTAINS", _FINDING, finding)] if finding is not None else head

    def _segment(self, number: int, segment: TrueSegment, drawing: Drawing) -> Dataset:
        """Volumetric ROI (TID 1411) with its volume, or of a picture Planar ROI (TID 1410): the segment."""
        assert self._segmentation is not None
        head = self._head(segment.label, segment.type)
        if (site := segment.site or (segment.type if segment.laterality is not None else None)) is not None:
            where = _code("HAS CONCEPT MOD", _SITE, site)
            if segment.laterality is not None:
                where.ContentSequence = [_code("HAS CONCEPT MOD", _LATERALITY, segment.laterality)]
            head.append(where)
        if drawing.grid is None:
            # One frame a segment that is there, in their order; a frame says its segment (PS3.3 Table 10-3)
            there = [one for one in drawing.segments[:number] if one.mask.any()]
            reference = _reference(self._segmentation, ReferencedFrameNumber=len(there))
            source = _reference(self._images[0])
            frame = _content("CONTAINS", "IMAGE", _SEGMENT_FRAME, ReferencedSOPSequence=[reference])
            image = _content("CONTAINS", "IMAGE", _SOURCE_IMAGE, ReferencedSOPSequence=[source])
            return _container(_GROUP, [*head, frame, image], template="1410")
        reference = _reference(self._segmentation, ReferencedSegmentNumber=number)
        volume_mm3 = float(segment.mask.sum()) * drawing.grid.voxel_mm3
        return _container(
            _GROUP,
            [
                *head,
                _content("CONTAINS", "IMAGE", _SEGMENT, ReferencedSOPSequence=[reference]),
                _uid("CONTAINS", _SOURCE_SERIES, str(self._images[0].SeriesInstanceUID)),
                _number(_VOLUME, volume_mm3, CUBIC_MILLIMETRE),
            ],
            template="1411",
        )

    def _box(self, box: TrueBox) -> Dataset:
        """Planar ROI (TID 1410): the closed line around it, column and row from the corner of the image."""
        (top, bottom), (left, right) = box.rows, box.columns
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        region = _content("CONTAINS", "SCOORD", _REGION, GraphicType="POLYLINE")
        region.GraphicData = [float(one) for corner in corners for one in corner]
        selected = _reference(self._images[0])
        region.ContentSequence = [_content("SELECTED FROM", "IMAGE", None, ReferencedSOPSequence=[selected])]
        return _container(_GROUP, [*self._head(box.label, box.type), region], template="1410")

    def _class(self, one: TrueClass) -> Dataset:
        answer = _code("CONTAINS", one.type, _PRESENT if one.present else _ABSENT)
        return self._of_study([*self._head(one.label, one.type), *self._source(), answer])

    def _numbers(self, numbers: Sequence[TrueNumber]) -> Dataset:
        written = [_number(one.concept, one.value, one.unit) for one in numbers]
        return self._of_study([*self._head("study", None), *self._source(), *written])

    def _of_study(self, content: Sequence[Dataset]) -> Dataset:
        return _container(_GROUP, content, template="1501")

    def _source(self) -> list[Dataset]:
        """The picture that a statement is about (TID 1501 row 7); of a volume that is the whole series."""
        if is_placed(self._images[0]):
            return []
        return [_content("CONTAINS", "IMAGE", _SOURCE, ReferencedSOPSequence=[_reference(self._images[0])])]
