"""What doctors have said of our results, as labels: images of each study, and files that say the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.evaluate.data import patient_named
from dicomnode.evaluate.feedback import last_words
from dicomnode.faults import (
    FEEDBACK_NONE,
    FILE_UNREADABLE,
    FINDINGS_UNREADABLE,
    IDENTITY_UNREADABLE,
    LABEL_GONE,
    NodeError,
)
from dicomnode.journal import NO_IMAGES, FeedbackQuery, FeedbackRecord, Journal
from dicomnode.serve.feedback.labelling import LabelFiles, LabelMaker, together
from dicomnode.serve.identity.whose import who_and_when
from dicomnode.values import Instance

_OF_A_FILE: Final = (FILE_UNREADABLE, FINDINGS_UNREADABLE, IDENTITY_UNREADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStudy:
    """A study that doctors have answered, in the store. labels: files that say the truth.

    accepted: SOP Instance UIDs of objects of our own among them, which somebody accepted as they are.
    records: the last words on its findings. patient: key of whom it is, where messages named another than its
    images do: two studies of one patient must not be learned from and tested with; else "".
    """

    study_instance_uid: str
    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    accepted: frozenset[str]
    records: tuple[FeedbackRecord, ...]
    patient: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLabels:
    """All of them, sorted by UID, and what is left out: why (LABEL_GONE)."""

    studies: tuple[KeptStudy, ...]
    left_out: tuple[NodeError, ...]


def kept_labels(journal: Journal, query: FeedbackQuery, scratch: Path) -> KeptLabels:
    """Give every study that doctors have answered; the last object of each kind on an engine is the label.

    scratch: a folder for labels that are made of our outlines and of answers without one; it must stay while
    they are read. Raises NodeError(FEEDBACK_NONE).
    """
    by_study: dict[str, list[FeedbackRecord]] = defaultdict(list)
    for one in journal.feedback(query):
        by_study[one.study_instance_uid].append(one)
    if not by_study:
        raise NodeError(FEEDBACK_NONE, of=f" on {query.engine}" if query.engine else "")
    studies: list[KeptStudy] = []
    left_out: list[NodeError] = []
    for study_uid, of_study in sorted(by_study.items()):
        kept = _kept(journal, study_uid, of_study, scratch)
        if isinstance(kept, NodeError):
            left_out.append(kept)
        else:
            studies.append(kept)
    return KeptLabels(studies=tuple(studies), left_out=tuple(left_out))


def _kept(
    journal: Journal, study_uid: str, said: Sequence[FeedbackRecord], scratch: Path
) -> KeptStudy | NodeError:
    if journal.is_of_another(study_uid):
        reason = "it is of the wrong patient or order (DCM 113038)"
        return NodeError(LABEL_GONE, study=study_uid, reason=reason)
    instances = {one.sop_instance_uid: one for one in journal.instances(study_uid)}
    images = [one.path for one in instances.values() if one.sop_class_uid not in NO_IMAGES]
    if not images:
        return NodeError(LABEL_GONE, study=study_uid, reason="its images are not here any more")
    maker = LabelMaker(journal=journal, study_instance_uid=study_uid, instances=instances, scratch=scratch)
    try:
        files = _of_all_engines(maker, said)
        patient = _renamed(journal, next(one for one in instances.values() if one.path in images))
    except NodeError as error:
        if error.fault not in _OF_A_FILE:
            raise
        return NodeError(LABEL_GONE, study=study_uid, reason=error.refusal.text.rstrip("."))
    if not files.files or files.problem:
        reason = files.problem or "what was said of it does not outline all that is true of a kind"
        return NodeError(LABEL_GONE, study=study_uid, reason=reason)
    return KeptStudy(
        study_instance_uid=study_uid,
        images=tuple(images),
        labels=tuple(files.files.values()),
        accepted=files.accepted,
        records=tuple(last_words(said)),
        patient=patient,
    )


def _renamed(journal: Journal, image: Instance) -> str:
    """Return the key of the patient that messages name, "" where that is the one of the header."""
    now = who_and_when(image, journal)
    if now is None or now.patient.former is None:
        return ""
    return patient_named(now.patient.patient_id, now.patient.issuer)


def _of_all_engines(maker: LabelMaker, said: Sequence[FeedbackRecord]) -> LabelFiles:
    """What says the truth of all engines, where it goes together."""
    by_engine: dict[str, list[FeedbackRecord]] = defaultdict(list)
    for one in said:
        by_engine[one.engine].append(one)
    found = {engine: maker.of_engine(of_engine) for engine, of_engine in by_engine.items()}
    problem = _clash(found)
    return LabelFiles(problem=problem) if problem else together(found.values())


def _clash(found: Mapping[str, LabelFiles]) -> str:
    """Say which lesion was accepted of one engine, and is not in what says all of another; "" of none."""
    for engine, of in found.items():
        others = [one for name, one in found.items() if name != engine and one.files]
        for code, label in of.half.items():
            if any(one.lesions is None or code in one.lesions for one in others):
                return f"{label} of {engine} was accepted, and others of its type were not answered"
    return ""
