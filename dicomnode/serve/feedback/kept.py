"""What doctors have said of our results, as labels: images of each study, and files that say the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.evaluate.feedback import JudgementKind, last_words
from dicomnode.faults import FEEDBACK_NONE, LABEL_GONE, NodeError
from dicomnode.journal import NO_IMAGES, FeedbackQuery, FeedbackRecord, Journal
from dicomnode.serve.naming import engine_of
from dicomnode.values import Instance

_OUTLINES: Final = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStudy:
    """A study that doctors have answered, in the store. labels: files that say the truth.

    accepted: SOP Instance UIDs of outlines of our own among them, which somebody accepted as they are.
    records: the last words on its findings.
    """

    study_instance_uid: str
    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    accepted: frozenset[str]
    records: tuple[FeedbackRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLabels:
    """All of them, sorted by UID, and what is left out: why (LABEL_GONE)."""

    studies: tuple[KeptStudy, ...]
    left_out: tuple[NodeError, ...]


def kept_labels(journal: Journal, query: FeedbackQuery) -> KeptLabels:
    """Give every study that doctors have answered; the last object of each kind on an engine is the label.

    Raises NodeError(FEEDBACK_NONE).
    """
    by_study: dict[str, list[FeedbackRecord]] = defaultdict(list)
    for one in last_words(journal.feedback(query)):
        by_study[one.study_instance_uid].append(one)
    if not by_study:
        raise NodeError(FEEDBACK_NONE, of=f" on {query.engine}" if query.engine else "")
    studies: list[KeptStudy] = []
    left_out: list[NodeError] = []
    for study_uid, of_study in sorted(by_study.items()):
        kept = _kept(journal, study_uid, of_study)
        if isinstance(kept, NodeError):
            left_out.append(kept)
        else:
            studies.append(kept)
    return KeptLabels(studies=tuple(studies), left_out=tuple(left_out))


def _kept(journal: Journal, study_uid: str, records: Sequence[FeedbackRecord]) -> KeptStudy | NodeError:
    if journal.is_of_another(study_uid):
        reason = "it is of the wrong patient or order (DCM 113038)"
        return NodeError(LABEL_GONE, study=study_uid, reason=reason)
    instances = {one.sop_instance_uid: one for one in journal.instances(study_uid)}
    images = [one.path for one in instances.values() if one.sop_class_uid not in NO_IMAGES]
    labels, accepted = _labels(journal, study_uid, records, instances)
    if not images or not labels:
        reason = "its images are not here any more" if not images else "no answer to it outlines what is true"
        return NodeError(LABEL_GONE, study=study_uid, reason=reason)
    return KeptStudy(
        study_instance_uid=study_uid,
        images=tuple(images),
        labels=tuple(labels),
        accepted=accepted,
        records=tuple(records),
    )


def _labels(
    journal: Journal,
    study_uid: str,
    records: Sequence[FeedbackRecord],
    instances: Mapping[str, Instance],
) -> tuple[list[Path], frozenset[str]]:
    """What says the truth of all engines: an object that speaks of several is there once."""
    by_engine: dict[str, list[FeedbackRecord]] = defaultdict(list)
    for one in records:
        by_engine[one.engine].append(one)
    labels: dict[str, Path] = {}
    accepted: set[str] = set()
    for of_engine in by_engine.values():
        theirs, ours = _of_engine(journal, study_uid, of_engine, instances)
        labels |= theirs | ours
        accepted |= set(ours)
    return list(labels.values()), frozenset(accepted)


def _of_engine(
    journal: Journal,
    study_uid: str,
    records: Sequence[FeedbackRecord],
    instances: Mapping[str, Instance],
) -> tuple[dict[str, Path], dict[str, Path]]:
    """The last object of each class on one engine, and our own outlines where all was accepted as it is."""
    newest: dict[str, str] = {}
    for one in records:
        if one.their_uid in instances:
            newest[one.their_class_uid] = one.their_uid  # the oldest first
    theirs = {uid: instances[uid].path for uid in newest.values()}
    if any(sop_class in _OUTLINES for sop_class in newest):
        return theirs, {}
    if all(one.kind == JudgementKind.ACCEPTED for one in records):
        versions = {(one.engine, one.study_version) for one in records}
        ours = {
            one.sop_instance_uid: one.path
            for one in journal.objects(study_uid)
            if (engine_of(one.engine), one.study_version) in versions and one.sop_class_uid in _OUTLINES
        }
        return theirs, ours
    changed = [one for one in records if one.kind != JudgementKind.REJECTED]
    return (theirs if changed else {}), {}
