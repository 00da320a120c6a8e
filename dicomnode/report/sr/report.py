"""Findings as a structured report: TID 1500, Enhanced SR, which is what most viewers take.

Only coordinates in patient space, where a destination wants them, need a Comprehensive 3D SR.

Beside the measurement groups it says in words what no number says. TID 1500 has one place for text that does
not belong to a group: the container "Qualitative Evaluations" (row 12), whose CODE (row 13) tells how the
analysis ended and whose TEXT items (row 14) hold remarks, provenance and use. Template checkers accept both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom import Dataset

from dicomnode.report import concepts as c
from dicomnode.report.heading.identity import FOR_A_LOOK, MANUFACTURER, Imprint
from dicomnode.report.objects import ReportProfile
from dicomnode.report.segmentation.binary import numbered
from dicomnode.report.sr.groups import GroupWriter
from dicomnode.report.uids import ResultUids, device_uid
from dicomnode.report.words.changes import change_sentences
from dicomnode.report.words.conclusion import conclusion
from dicomnode.report.words.sentences import comments, made_with, of_organ, of_region, of_segment
from dicomnode.values import Code, FindingKind, Findings, Outcome, RemarkKind

if TYPE_CHECKING:
    from highdicom import sr


_PLAIN: Final = ReportProfile()
_VALUE_TYPE: Final = 0x0040A040


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beside:
    """What was made of the same Findings before the report.

    segmentations: the objects that its groups refer to, see `numbered`. companions: the others that it names.
    told: sentences on what was made and what was not.
    """

    segmentations: Sequence[Dataset] = ()
    companions: Sequence[Dataset] = ()
    told: Sequence[str] = ()

    @property
    def objects(self) -> list[Dataset]:
        """All of them."""
        return [*self.segmentations, *self.companions]


_ALONE: Final = Beside()


def build_report(
    imprint: Imprint,
    uids: ResultUids,
    series_number: int,
    profile: ReportProfile = _PLAIN,
    beside: Beside = _ALONE,
) -> Dataset:
    """Write the report of the Findings.

    It is the root of all results of a run: the evidence is complete, with every source instance, the
    objects beside it, which are made of the same Findings (0040,A375). Where
    it takes the place of earlier reports it names them (Predecessor Documents Sequence, PS3.3 C.17.2). Images
    of priors are Pertinent Other Evidence (0040,A385): they are of another procedure.
    """
    from highdicom import sr  # noqa: PLC0415  heavy

    stubs = [stub for own in imprint.heading.stubs for stub in own]
    content = _content(GroupWriter(imprint, uids, numbered(beside.segmentations), profile), beside)[0]
    in_space = any(element.value == "SCOORD3D" for element in content.iterall() if element.tag == _VALUE_TYPE)
    report = (sr.Comprehensive3DSR if in_space else sr.EnhancedSR)(
        evidence=[*stubs, *beside.objects, *_of_priors(imprint.findings)],
        content=content,
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


def _of_priors(findings: Findings) -> list[Dataset]:
    """What the library asks of images that were compared with; it sees that their study is another."""
    images = []
    for prior in findings.earlier:
        for one in prior.instances:
            stub = Dataset()
            stub.SOPClassUID, stub.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
            stub.SeriesInstanceUID = prior.series_instance_uid
            stub.StudyInstanceUID = prior.study_instance_uid
            images.append(stub)
    return images


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


def _content(groups: GroupWriter, beside: Beside) -> sr.MeasurementReport:
    from highdicom import sr  # noqa: PLC0415  heavy

    imprint = groups.imprint
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_device(imprint)),
        procedure_reported=c.coded(c.procedure_of(imprint.heading.modality)),
        imaging_measurements=groups.all(),
        title=c.coded(c.MEASUREMENT_REPORT),
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            sr.CodedConcept.from_code(c.coded(c.ENGLISH))
        ),
    )
    report[0].ContentSequence.append(_words(imprint, beside))
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


def _words(imprint: Imprint, beside: Beside) -> sr.ContainerContentItem:
    """How the analysis ended, and every sentence of the report."""
    from highdicom import sr  # noqa: PLC0415  heavy

    contains = sr.RelationshipTypeValues.CONTAINS
    findings, heading = imprint.findings, imprint.heading
    done = findings.outcome in {Outcome.FINDINGS, Outcome.NO_FINDINGS}
    texts = [(c.COMMENT, FOR_A_LOOK)] if imprint.for_a_look else []
    texts += [(c.FINDING if done else c.COMMENT, text) for text in conclusion(findings, heading.numbers)]
    # What people look for first; organs are where they always are
    organs = [one for one in findings.segments if one.kind is FindingKind.ANATOMY]
    told = [of_segment(one, findings, heading) for one in findings.segments if one not in organs]
    told += [of_region(region, findings, heading) for region in findings.regions]
    told += [of_organ(one, findings) for one in organs]
    texts += [(c.FINDING, text) for text in (*change_sentences(findings), *told)]
    if imprint.replaces:
        texts.append((c.COMMENT, _replacement(len(imprint.replaces))))
    texts += [(c.COMMENT, text) for text in (*beside.told, *comments(findings, heading))]
    texts.append((c.COMMENT, made_with([str(one.SOPClassUID) for one in beside.objects])))
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
    placed = findings.segments or findings.regions or findings.classifications or findings.measurements
    something = placed or findings.maps or findings.images
    return c.PARTLY_WITHOUT if something else c.NONE_SUCCEEDED
