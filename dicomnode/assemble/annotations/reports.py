"""Measurement reports of others (SR, TID 1500): what they found, measured and answered, where it lies.

Enhanced, Comprehensive, Comprehensive 3D and Extensible SR; as highdicom, dcmqi, OHIF and this node write
them. Source: PS3.16 TID 1500, PS3.3 C.17 (SR document), C.17.2 (verification, predecessors, evidence).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pydicom import Dataset

from dicomnode.assemble.annotations.authors import author_of
from dicomnode.assemble.annotations.content import Item
from dicomnode.assemble.annotations.opened import Opened, moment_of
from dicomnode.assemble.annotations.phantoms import known_by
from dicomnode.assemble.annotations.report_groups import Group, answers_of, read_group
from dicomnode.assemble.annotations.targets import References, Target, Targets
from dicomnode.assemble.attributes import text_of
from dicomnode.assemble.kinds import class_name
from dicomnode.faults import ANNOTATION_OF_OTHERS, NOT_MEASUREMENT_REPORT, NodeError
from dicomnode.values import Annotation, AnnotationKind, Code, MadeBy

ENHANCED: Final = "1.2.840.10008.5.1.4.1.1.88.22"
_CLASSES: Final = frozenset(
    {ENHANCED} | {f"1.2.840.10008.5.1.4.1.1.88.{last}" for last in ("33", "34", "35")}
)
# CID 7021, titles of measurement reports
_TITLES: Final = frozenset(
    Code(value, "DCM", "Measurement report") for value in ("126000", "126001", "126002", "126003")
)
_MEASUREMENTS: Final = frozenset(
    {
        Code("126010", "DCM", "Imaging Measurements"),
        Code("126011", "DCM", "Derived Imaging Measurements"),
    }
)
_EVALUATIONS: Final = frozenset(
    {
        Code("C0034375", "UMLS", "Qualitative Evaluations"),
        Code("C1513040", "NCIt", "Qualitative Evaluations"),
    }
)
_GROUP: Final = Code("125007", "DCM", "Measurement Group")
_OBSERVER_TYPE: Final = Code("121005", "DCM", "Observer Type")
_PERSON: Final = Code("121006", "DCM", "Person")
_DEVICE: Final = Code("121007", "DCM", "Device")


def read_report(opened: Opened, targets: Targets) -> tuple[Annotation, ...]:
    """Read a measurement report: one annotation for each stack that its groups speak of.

    What speaks of no stack belongs to the one whose images the report names most. A report that names no
    image at all speaks of the study, if one of the stacks is of that.
    Raises NodeError: NOT_MEASUREMENT_REPORT, ANNOTATION_OF_OTHERS, ANNOTATION_DAMAGED.
    """
    root = _root(opened)
    evidence = _evidence(opened, "CurrentRequestedProcedureEvidenceSequence")
    most_named = targets.find(evidence)
    groups = [read_group(item, targets, most_named) for item in _groups(root)]
    here = [group for group in groups if group.region is not None]
    if groups and not here:
        raise _of_others(opened, evidence)
    main = most_named or _main(opened, evidence, groups, targets)
    answers = tuple(answer for item in _evaluations(root) for answer in answers_of(item))
    spoken_of: dict[int, tuple[Target | None, list[Group]]] = {}
    if answers or not here:
        spoken_of[id(main)] = (main, [])
    for group in here:
        target = group.target or main
        spoken_of.setdefault(id(target), (target, []))[1].append(group)
    shared, notes = _Shared(opened, root, groups, evidence), _notes(groups)
    return tuple(
        shared.annotation(target, own, answers=answers if target is main else (), notes=notes)
        for target, own in spoken_of.values()
    )


def _of_others(opened: Opened, evidence: References) -> NodeError:
    return opened.refused(ANNOTATION_OF_OTHERS, series=", ".join(evidence.series[:3]) or "none named")


def _root(opened: Opened) -> Item:
    """Return the root of the content; NodeError(NOT_MEASUREMENT_REPORT) where it is no such report."""
    sop_class = opened.header.sop_class_uid
    if sop_class not in _CLASSES:
        raise opened.refused(NOT_MEASUREMENT_REPORT, error=f"it is a {class_name(sop_class)}")
    root = Item(opened.dataset, opened)
    template = text_of(opened.item(opened.dataset, "ContentTemplateSequence"), "TemplateIdentifier")
    title = root.name
    if template != "1500" and title not in _TITLES:
        said = "without a title" if title is None else f"its title is ({title.value}, {title.scheme})"
        raise opened.refused(NOT_MEASUREMENT_REPORT, error=said)
    return root


def _groups(root: Item) -> Iterator[Item]:
    for container in root.children:
        if container.value_type == "CONTAINER" and container.name in _MEASUREMENTS:
            for item in container.children:
                if item.value_type == "CONTAINER" and item.name == _GROUP:
                    yield item


def _evaluations(root: Item) -> Iterator[Item]:
    for container in root.children:
        if container.value_type == "CONTAINER" and container.name in _EVALUATIONS:
            yield container


def _evidence(opened: Opened, keyword: str) -> References:
    """Return the instances and series that a list of evidence names (PS3.3 C.17.2, Table C.17-3b)."""
    instances, series = [], []
    for one in opened.below(opened.dataset, keyword, "ReferencedSeriesSequence"):
        series.append(text_of(one, "SeriesInstanceUID"))
        instances += [
            text_of(item, "ReferencedSOPInstanceUID") for item in opened.items(one, "ReferencedSOPSequence")
        ]
    return References(instances=_once(instances), series=_once(series))


def _once(uids: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(uid for uid in uids if uid))


def _main(opened: Opened, evidence: References, groups: Sequence[Group], targets: Targets) -> Target | None:
    """Return the stack that the report as a whole speaks of; None where it speaks of the study."""
    found = next((one.target for one in groups if one.target is not None), None)
    if found is not None:
        return found
    study = opened.header.study_instance_uid
    of_study = any(one.stack.facts.study_instance_uid == study for one in targets.all)
    if evidence.instances or not of_study:
        raise _of_others(opened, evidence)
    return None


def _notes(groups: Sequence[Group]) -> tuple[str, ...]:
    elsewhere = sum(1 for group in groups if group.region is None)
    left = sum(group.left for group in groups)
    notes = []
    if elsewhere:
        notes.append(f"{elsewhere} measurement group(s) lie on images that are not here, and were left out.")
    if left:
        notes.append(f"{left} measurement(s) have no valid value, unit or concept, and were left out.")
    return tuple(notes)


class _Shared:
    """What the annotations of one report have in common."""

    def __init__(self, opened: Opened, root: Item, groups: Sequence[Group], evidence: References) -> None:
        self._opened = opened
        self._verified = text_of(opened.dataset, "VerificationFlag").upper() == "VERIFIED"
        self._made_by = MadeBy.PERSON if self._verified else _made_by(opened.dataset, root, groups)
        title = root.name
        self._title = title.meaning if title is not None else ""
        others = _evidence(opened, "PertinentOtherEvidenceSequence")
        named = [uid for group in groups for uid in group.names]
        self._references = _once((*evidence.instances, *others.instances, *named))
        self._predecessors = _evidence(opened, "PredecessorDocumentsSequence").instances

    def annotation(
        self,
        target: Target | None,
        groups: Sequence[Group],
        *,
        answers: tuple[tuple[Code, Code], ...],
        notes: tuple[str, ...],
    ) -> Annotation:
        """Make what the report says of one stack. answers: beside its groups."""
        regions = [group.region for group in groups if group.region is not None]
        placeless = [one for one in regions if one.kind is None and one.segment is None]
        header = self._opened.header
        space = target.grid.frame_of_reference_uid if target is not None else ""
        return Annotation(
            kind=AnnotationKind.SR,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            series_instance_uid=header.series_instance_uid,
            study_instance_uid=header.study_instance_uid,
            of_series=target.series_instance_uid if target is not None else "",
            of_stack=target.stack.facts.stack if target is not None else None,
            frame_of_reference_uid=space or None,
            title=self._title,
            made_by=self._made_by,
            verified=self._verified,
            made_at=moment_of(self._opened.dataset, "ContentDate", "ContentTime"),
            references=self._references,
            predecessors=self._predecessors,
            regions=tuple(regions),
            answers=(*answers, *(answer for one in placeless for answer in one.answers)),
            measurements=tuple(number for one in placeless for number in one.measurements),
            notes=notes,
            author=author_of(self._opened),
        )


def _made_by(dataset: Dataset, root: Item, groups: Sequence[Group]) -> MadeBy:
    """Return who observed it (TID 1001): a person, a device, both, or a person with an algorithm."""
    types = {item.code for item in root.named(_OBSERVER_TYPE, "CODE")}
    if not types:  # the device is the default, but only where the document says who its author is
        authors = root.opened.items(dataset, "AuthorObserverSequence")
        words = {text_of(one, "ObserverType").upper() for one in authors}
        types = {code for word, code in (("PSN", _PERSON), ("DEV", _DEVICE)) if word in words}
    by_algorithm = any(group.by_algorithm for group in groups)
    if _PERSON in types:
        return MadeBy.SEMI if by_algorithm or _DEVICE in types else MadeBy.PERSON
    made = MadeBy.MACHINE if _DEVICE in types or by_algorithm else MadeBy.UNKNOWN
    return known_by(made, dataset)
