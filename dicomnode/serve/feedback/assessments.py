"""Reports that assess result objects and are no measurement reports: what they say of each object.

IHE AIRA (AI Result Assessment), and what reading stations write in its manner: a tree with coded answers
("accepted", "rejected") beside the objects, or the tracking UIDs, that they speak of. Only that is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread

from dicomnode.evaluate.feedback import assessment_of
from dicomnode.store.foreign import UNREADABLE_ITEMS, quiet
from dicomnode.values import AnnotatedRegion, Annotation, AnnotationKind, Code, MadeBy

_REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."
_DEEPEST: Final = 16
_LONGEST: Final = 64  # of a Code Meaning
_TRACKING_UID: Final = ("112040", "DCM")
_EVIDENCE: Final = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
_ANSWER = tuple[Code, Code]


@dataclass(slots=True)
class _Said:
    """What stands in one container: answers of assessment, and what they speak of."""

    answers: list[_ANSWER] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    segment: tuple[str, int] | None = None
    tracking_uid: str | None = None


def read_assessments(path: Path) -> list[Annotation]:
    """Read a report; one annotation for each container that assesses something. [] where none does.

    Raises OSError only where the disk does not give the file.
    """
    with path.open("rb") as file, quiet():
        try:
            report = dcmread(file, stop_before_pixels=True)
            if not str(report.SOPClassUID).startswith(_REPORTS):
                return []
            return _read(report)
        except UNREADABLE_ITEMS:
            return []


def _read(report: Dataset) -> list[Annotation]:
    title = _concept(report, "ConceptNameCodeSequence")
    meaning = "" if title is None else title.meaning
    whole = _named(report)
    made = []
    for said in _containers(report, meaning, 0):
        region = AnnotatedRegion(
            label="assessment", kind=None, tracking_uid=said.tracking_uid, segment=said.segment,
            answers=tuple(said.answers),
        )  # fmt: skip
        of_one = said.tracking_uid is not None or said.segment is not None
        made.append(
            Annotation(
                kind=AnnotationKind.SR,
                sop_class_uid=str(report.SOPClassUID),
                sop_instance_uid=str(report.SOPInstanceUID),
                series_instance_uid=str(report.SeriesInstanceUID),
                study_instance_uid=str(report.StudyInstanceUID),
                title=meaning,
                made_by=MadeBy.PERSON,
                verified=report.get("VerificationFlag") == "VERIFIED",
                references=tuple(dict.fromkeys(said.objects or whole)),
                regions=(region,) if of_one else (),
                answers=() if of_one else tuple(said.answers),
            )
        )
    return made


def _containers(item: Dataset, title: str, depth: int) -> Iterator[_Said]:
    """Walk the tree; a container speaks of what stands in it, and in no container within."""
    if depth > _DEEPEST:
        return
    said = _Said()
    for child in item.get("ContentSequence", ()):
        if child.get("ValueType") == "CONTAINER":
            yield from _containers(child, title, depth + 1)
        else:
            _take(child, title, said)
    if said.answers:
        yield said


def _take(item: Dataset, title: str, said: _Said) -> None:
    name, value = _concept(item, "ConceptNameCodeSequence"), _concept(item, "ConceptCodeSequence")
    if name is not None and value is not None and assessment_of(name, value, title) is not None:
        said.answers.append((name, value))
    if name is not None and (name.value, name.scheme) == _TRACKING_UID:
        said.tracking_uid = str(item.UID)
    for one in (item, *item.get("ContentSequence", ())):  # beside the answer, or below it as what it is of
        for reference in one.get("ReferencedSOPSequence", ()):
            uid = str(reference.ReferencedSOPInstanceUID)
            said.objects.append(uid)
            number = reference.get("ReferencedSegmentNumber")
            if number is not None:
                said.segment = (uid, int(number))


def _named(report: Dataset) -> list[str]:
    """Every object that the report as a whole names."""
    found = [str(one.ReferencedSOPInstanceUID) for one in report.get("ReferencedSOPSequence", ())]
    for keyword in _EVIDENCE:
        for study in report.get(keyword, ()):
            for series in study.get("ReferencedSeriesSequence", ()):
                found += [str(one.ReferencedSOPInstanceUID) for one in series.ReferencedSOPSequence]
    return found


def _concept(item: Dataset, keyword: str) -> Code | None:
    for code in item.get(keyword, ()):
        try:
            meaning = str(code.get("CodeMeaning", ""))[:_LONGEST]
            return Code(str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", "")), meaning)
        except ValueError:
            return None
    return None
