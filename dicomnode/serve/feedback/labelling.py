"""Which files say the truth, of all that was said of the results of one engine in a study.

An outline that somebody sent stands for all. Without one, our own outlines do, as they were accepted and
rejected: of lesions of one type only where each was answered, since one that nobody has answered would else
be taken for tissue without one. For the same reason there is none where images came since, or where what was
said does not go together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dicomnode.evaluate.feedback import JudgementKind, last_words
from dicomnode.faults import FILE_NOT_WRITTEN, FILE_UNREADABLE, NodeError
from dicomnode.journal import BY_HAND, FeedbackRecord, FindingRecord, Journal, ObjectRecord, is_failure
from dicomnode.serve.feedback.groups import tracked_in
from dicomnode.serve.feedback.reviewed import reviewed
from dicomnode.serve.naming import engine_of
from dicomnode.store import load_findings
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import FindingKind, Findings, Instance, Segment

_OUTLINES: Final = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_ANSWERS: Final = (JudgementKind.ACCEPTED, JudgementKind.REJECTED)
_TypeCode = tuple[str, str]  # scheme and value


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFiles:
    """Files by SOP Instance UID. accepted: those that say what our own objects say, and no more.

    lesions: types of which they say all that there are; None: of any, since somebody drew them. half: of
    other types a lesion that was accepted and is not in them, since not all of its type were answered.
    problem: why what was said is no label; "" where it is one, or where nothing outlines what is true.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    lesions: frozenset[_TypeCode] | None = frozenset()
    half: Mapping[_TypeCode, str] = field(default_factory=dict)
    problem: str = ""


def together(parts: Iterable[LabelFiles]) -> LabelFiles:
    """Put files together: an object that is in several is there once."""
    some = list(parts)
    lesions = [one.lesions for one in some]
    return LabelFiles(
        files={uid: path for one in some for uid, path in one.files.items()},
        accepted=frozenset(uid for one in some for uid in one.accepted),
        lesions=None if None in lesions else frozenset(code for one in lesions for code in one or ()),
        half={code: label for one in some for code, label in one.half.items()},
        problem="; ".join(dict.fromkeys(one.problem for one in some if one.problem)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelMaker:
    """Finds the files of a study. instances: of it, by UID. scratch: a folder for files that are made."""

    journal: Journal
    study_instance_uid: str
    instances: Mapping[str, Instance]
    scratch: Path

    def of_engine(self, said: Sequence[FeedbackRecord]) -> LabelFiles:
        """Give the files of one engine. said: all that was ever said of its results in the study."""
        records = last_words(said)
        found = self._files(records, said)
        if found.problem or not found.files:
            return found
        grown = self._grown(records[0].engine, max(one.study_version for one in records))
        return LabelFiles(problem=grown) if grown else found

    def _files(self, records: Sequence[FeedbackRecord], said: Sequence[FeedbackRecord]) -> LabelFiles:
        newest = {one.their_class_uid: one.their_uid for one in records if one.their_uid in self.instances}
        theirs = {uid: self.instances[uid].path for uid in newest.values()}
        drawn = {uid for sop_class, uid in newest.items() if sop_class in _OUTLINES}
        if drawn:
            clash = _contradicted(records, said, drawn) or self._not_drawn(records, said, drawn)
            return LabelFiles(problem=clash) if clash else LabelFiles(files=theirs, lesions=None)
        ours = self._ours([one for one in records if one.kind in _ANSWERS])
        says_more = any(one.kind != JudgementKind.REJECTED for one in records)
        return replace(ours, files={**(theirs if says_more or ours.files else {}), **ours.files})

    def _ours(self, answers: Sequence[FeedbackRecord]) -> LabelFiles:
        """Our own outlines of the latest version that was answered, and which of them are as they were."""
        if not answers:
            return LabelFiles()
        version = max(one.study_version for one in answers)
        said = {one.finding: one.kind == JudgementKind.ACCEPTED for one in answers}
        return together(self._of_analysis(one, said) for one in self._analyses(answers[0].engine, version))

    def _of_analysis(self, record: FindingRecord, said: Mapping[str, bool]) -> LabelFiles:
        if self._is_taken_back(record) and any(said.values()):
            return LabelFiles(problem="a result was taken back that was accepted: send what is true")
        objects = self._objects(record.engine, record.study_version)
        known = load_findings(record.path)
        segmentations = _one_series([one for one in objects if one.kind == "SEG"])
        told = _answered(known, said)
        files = self._reviewed(segmentations, told)
        accepted = set(files) if all(told.values()) else set()
        if not segmentations and _all_accepted(known, objects, said):
            others = [one for one in objects if one.kind in {"RTSTRUCT", "SR"}]
            files |= {one.sop_instance_uid: one.path for one in others}
            accepted |= {one.sop_instance_uid for one in others}
        lesions = [one for one in known.segments if one.kind is FindingKind.LESION]
        left = [one for one in lesions if said.get(one.tracking_uid) and one.tracking_uid not in told]
        return LabelFiles(
            files=files,
            accepted=frozenset(accepted),
            lesions=frozenset(_type_of(one) for one in lesions if one.tracking_uid in told),
            half={_type_of(one): one.label for one in left},
        )

    def _analyses(self, engine: str, version: int | None = None) -> list[FindingRecord]:
        """What an engine said of a version of the study, or of all."""
        return [
            one
            for one in self.journal.findings(self.study_instance_uid)
            if engine_of(one.engine) == engine and not is_failure(one.engine)
            if version in {None, one.study_version}
        ]

    def _is_taken_back(self, record: FindingRecord) -> bool:
        study_uid, rejected = self.study_instance_uid, self.journal.rejected(self.study_instance_uid)
        objects = self.journal.objects(study_uid, record.study_version)
        of_it = {one.sop_instance_uid for one in objects if one.engine == record.engine}
        answered = self.journal.rejected_answers(study_uid)
        return (record.engine, record.study_version) in answered or not of_it.isdisjoint(rejected)

    def _grown(self, engine: str, version: int) -> str:
        """Say that a later version looked at more images of a series; "" where none did."""
        images: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for record in self._analyses(engine):
            for one in load_findings(record.path).sources:
                images[record.study_version][one.series_instance_uid] |= {
                    frame.sop_instance_uid for frame in one.frames
                }
        for later in sorted(one for one in images if one > version):
            if any(images[later].get(series, of) - of for series, of in images[version].items()):
                return f"images came after it was answered: answer the results of version {later}"
        return ""

    def _not_drawn(
        self, records: Sequence[FeedbackRecord], said: Sequence[FeedbackRecord], drawn: set[str]
    ) -> str:
        """Say which outline was accepted after the drawings, and is in none; "" where none is."""
        by_drawing = [one for one in said if one.their_uid in drawn]
        named, last = {one.finding for one in by_drawing}, max(one.at for one in by_drawing)
        later = [one for one in records if one.kind == JudgementKind.ACCEPTED and one.at > last]
        if not (left := [one for one in later if one.finding not in named]):
            return ""
        known = [load_findings(one.path) for one in self._analyses(left[0].engine)]
        placed = {one.tracking_uid for of in known for one in of.segments}
        placed |= {one.tracking_uid for of in known for one in of.regions}
        label = next((one.label for one in left if one.finding in placed), "")
        return label and f"{label} was accepted after a drawing that does not have it: send what is true"

    def _objects(self, analysis: str, version: int) -> list[ObjectRecord]:
        objects = self.journal.objects(self.study_instance_uid, version)
        return [one for one in objects if one.engine == analysis and one.path.exists()]

    def _reviewed(self, objects: Sequence[ObjectRecord], said: Mapping[str, bool]) -> dict[str, Path]:
        """Write what is left of them. Raises NodeError: FILE_UNREADABLE, FILE_NOT_WRITTEN."""
        files = {}
        for one in objects:
            try:
                left = reviewed(one.path, said)
            except UNREADABLE_ITEMS as error:
                raise NodeError(FILE_UNREADABLE, path=one.path, error=type(error).__name__) from error
            if left is None:
                continue
            uid, content = left
            files[uid] = self.scratch / f"{uid}.dcm"
            try:
                files[uid].write_bytes(content)
            except OSError as error:
                raise NodeError(FILE_NOT_WRITTEN, path=files[uid], error=error.strerror or error) from error
        return files


def _contradicted(records: Sequence[FeedbackRecord], said: Sequence[FeedbackRecord], drawn: set[str]) -> str:
    """Say which answer speaks against an outline that came before it; "" where none does."""
    by_drawing = {one.finding: one for one in said if one.their_uid in drawn}
    for one in records:
        before = by_drawing.get(one.finding)
        if before is None or one.their_uid in drawn or one.kind not in _ANSWERS:
            continue
        gone = [said.kind == JudgementKind.REJECTED for said in (before, one)]
        if gone[0] != gone[1] or (one.their_uid == BY_HAND and before.kind != one.kind):
            return f"{one.label} was {before.kind} by a drawing, and {one.kind} after it: send what is true"
    return ""


def _type_of(segment: Segment) -> _TypeCode:
    return segment.type.scheme, segment.type.value


def _one_series(objects: Sequence[ObjectRecord]) -> list[ObjectRecord]:
    """The objects of one series: destinations with other profiles get the same outlines in another one."""
    return [one for one in objects if one.series_instance_uid == objects[0].series_instance_uid]


def _answered(findings: Findings, said: Mapping[str, bool]) -> dict[str, bool]:
    """What was said of segments, without lesions of a type of which one was not answered."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for one in findings.segments:
        key = _type_of(one) if one.kind is FindingKind.LESION else (one.tracking_uid,)
        groups[key].append(one.tracking_uid)
    return {uid: said[uid] for some in groups.values() if all(one in said for one in some) for uid in some}


def _all_accepted(findings: Findings, objects: Sequence[ObjectRecord], said: Mapping[str, bool]) -> bool:
    """Whether each thing that was found was accepted: then a report of ours says what is true."""
    segments = [one.tracking_uid for one in findings.segments]
    placed = [*segments, *(one.tracking_uid for one in findings.regions)]
    tracked = (
        tracked_in([one.path for one in objects if one.kind == "SR"]) if findings.classifications else {}
    )
    classes = [tracked.get(one.label, one.label) for one in findings.classifications]
    return bool(placed or classes) and all(said.get(one) for one in (*placed, *classes))
