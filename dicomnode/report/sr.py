"""Findings as a structured report: TID 1500, Enhanced SR, which is what most viewers take.

Beside the measurement groups it says in words what no number says. TID 1500 has one place for text that does
not belong to a group: the container "Qualitative Evaluations" (row 12), whose CODE (row 13) tells how the
analysis ended and whose TEXT items (row 14) hold remarks, provenance and use. Template checkers accept both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom import Dataset

from dicomnode.report import concepts as c
from dicomnode.report.conclusion import conclusion
from dicomnode.report.identity import FOR_A_LOOK, MANUFACTURER, Imprint
from dicomnode.report.sentences import comments, of_region, of_segment
from dicomnode.report.sr_groups import GroupWriter
from dicomnode.report.uids import ResultUids, device_uid
from dicomnode.values import Code, FindingKind, Findings, Outcome, RemarkKind

if TYPE_CHECKING:
    from highdicom import sr


def build_report(
    imprint: Imprint, uids: ResultUids, series_number: int, segmentation: Dataset | None
) -> Dataset:
    """Write the report of the Findings; segmentation: the object its groups refer to, None without one.

    The evidence is complete: every source instance, and the segmentation. Where it takes the place of earlier
    reports it names them (Predecessor Documents Sequence, PS3.3 C.17.2).
    """
    from highdicom import sr  # noqa: PLC0415  heavy

    stubs = [stub for own in imprint.heading.stubs for stub in own]
    report = sr.EnhancedSR(
        evidence=[*stubs, *([segmentation] if segmentation is not None else [])],
        content=_content(imprint, uids, segmentation)[0],
        series_instance_uid=uids.series,
        series_number=series_number,
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,  # nobody has looked at it: PRELIMINARY, and UNVERIFIED
        previous_versions=_earlier(imprint) or None,
    )
    for study in report.get("PredecessorDocumentsSequence", ()):
        for series in study.ReferencedSeriesSequence:
            for one in series.ReferencedSOPSequence:
                one.PurposeOfReferenceCodeSequence = [sr.CodedConcept.from_code(c.coded(c.REPLACED_REPORT))]
    return report


def _earlier(imprint: Imprint) -> list[Dataset]:
    """What the library asks of the reports that this one replaces: they are of the same study."""
    earlier = []
    for one in imprint.replaces:
        stub = Dataset()
        stub.SOPClassUID, stub.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
        stub.SeriesInstanceUID = one.series_instance_uid
        stub.StudyInstanceUID = imprint.findings.sources[0].study_instance_uid
        earlier.append(stub)
    return earlier


def _content(imprint: Imprint, uids: ResultUids, segmentation: Dataset | None) -> sr.MeasurementReport:
    from highdicom import sr  # noqa: PLC0415  heavy

    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_device(imprint)),
        procedure_reported=c.coded(c.procedure_of(imprint.heading.modality)),
        imaging_measurements=GroupWriter(imprint, uids, segmentation).all(),
        title=c.coded(c.MEASUREMENT_REPORT),
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            sr.CodedConcept.from_code(c.coded(c.ENGLISH))
        ),
    )
    report[0].ContentSequence.append(_words(imprint))
    return report


def _device(imprint: Imprint) -> sr.ObserverContext:
    from highdicom import sr  # noqa: PLC0415  heavy

    made_by = imprint.findings.provenance
    return sr.ObserverContext(
        observer_type=sr.CodedConcept.from_code(c.coded(c.DEVICE)),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=device_uid(imprint.salt),
            name=f"dicomnode {made_by.node_version}",
            manufacturer_name=MANUFACTURER,
            model_name=f"{made_by.engine} {made_by.version}",
            serial_number=imprint.serial_number,
        ),
    )


def _words(imprint: Imprint) -> sr.ContainerContentItem:
    """How the analysis ended, and every sentence of the report."""
    from highdicom import sr  # noqa: PLC0415  heavy

    contains = sr.RelationshipTypeValues.CONTAINS
    findings, heading = imprint.findings, imprint.heading
    done = findings.outcome in {Outcome.FINDINGS, Outcome.NO_FINDINGS}
    texts = [(c.COMMENT, FOR_A_LOOK)] if imprint.for_a_look else []
    texts += [(c.FINDING if done else c.COMMENT, text) for text in conclusion(findings, heading.numbers)]
    # Organs are where they always are; of everything else people ask where to look
    told = [of_segment(s, findings, heading) for s in findings.segments if s.kind is not FindingKind.ANATOMY]
    told += [of_region(region, findings) for region in findings.regions]
    texts += [(c.FINDING, text) for text in told]
    if imprint.replaces:
        texts.append((c.COMMENT, _replacement(len(imprint.replaces))))
    texts += [(c.COMMENT, text) for text in comments(findings, heading)]
    container = sr.ContainerContentItem(c.coded(c.QUALITATIVE_EVALUATIONS), relationship_type=contains)
    container.ContentSequence = sr.ContentSequence(
        [
            sr.CodeContentItem(c.coded(c.PROCESSING_SUMMARY), c.coded(_summary(findings)), contains),
            *(sr.TextContentItem(c.coded(name), text, contains) for name, text in texts if text),
        ]
    )
    return container


def _replacement(count: int) -> str:
    """The same in words, for viewers that show no more than the content."""
    return f"This report takes the place of {count} earlier report{'s' if count > 1 else ''} on this study."


def _summary(findings: Findings) -> Code:
    """How the analysis ended (CID 6047): whether all was looked for, and whether something was found."""
    unseen = any(one.kind is RemarkKind.NOT_ANALYSED for one in findings.remarks)
    if findings.outcome is Outcome.FINDINGS:
        return c.PARTLY_WITH_FINDINGS if unseen else c.SUCCEEDED_WITH_FINDINGS
    if findings.outcome is Outcome.NO_FINDINGS:
        return c.PARTLY_WITHOUT if unseen else c.SUCCEEDED_WITHOUT
    something = findings.segments or findings.regions or findings.classifications or findings.measurements
    return c.PARTLY_WITHOUT if something else c.NONE_SUCCEEDED
