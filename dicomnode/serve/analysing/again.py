"""Findings again: a study whose images are the same is not analysed a second time because of a name.

After a correction that no engine can see, the Findings of an earlier version are taken over with the headers
as they are now, and written as objects of the new version: voxel for voxel the same results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from dicomnode.assemble import encode_headers, read_studies
from dicomnode.faults import RESULTS_REJECTED, TAG_INCONSISTENT
from dicomnode.journal import Journal, NewTask, Note, TaskKind, TaskRecord
from dicomnode.journal.versions import RejectedAnswer
from dicomnode.serve.asking.given_priors import without_priors
from dicomnode.serve.naming import engine_of
from dicomnode.store import load_findings, read_provenance, read_remarks
from dicomnode.values import Findings, Source

# Key in the payload of an analyse task: the version of the study whose Findings are taken over
FINDINGS_OF: Final = "findings_of"
# What a search for priors goes by: after a correction of it another study may be the prior
_SEARCHED_BY: Final = frozenset(
    {"PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"}
)


class Following(NamedTuple):
    """What follows from a dispatch. rejected: of engines that are not asked again, the codes of CID 7010."""

    tasks: list[NewTask]
    rejected: dict[str, str]


def taken_over(
    new: Sequence[NewTask], task: TaskRecord, journal: Journal, digests: Mapping[str, str]
) -> Following:
    """Let analyses take over what an earlier version found, where nothing that they look at has changed.

    task: the dispatch that they follow from. digests: of the packages of the engines, by name. The images
    must be the same but for whose they are, and the engine, its stack and all else that it is given too. A
    search for priors is left out then, unless what it goes by was corrected, or a prior is lost. What a note
    of somebody else rejects is not made again; where what was corrected may be the cure, it is made anew.
    What is of the wrong patient or order waits for that cure also where an engine sees other images.
    """
    study_uid, version = task.study_instance_uid, task.study_version
    rejected = journal.rejected_answers(study_uid)
    anothers = _of_another(rejected)
    named = {one.engine: engine_of(one.engine) for one in new if one.engine is not None}
    following = Following([], {name: anothers[of] for name, of in named.items() if of in anothers})
    others = [one for one in new if one.engine not in following.rejected]
    first = journal.same_images_since(study_uid, version)
    if first == version:
        following.tasks.extend(others)
        return following
    before = {
        (one.engine, one.study_version): one.payload
        for one in journal.tasks(study_uid)
        if one.kind is TaskKind.ANALYSE
    }
    paths = {(one.engine, one.study_version): one.path for one in journal.findings(study_uid)}
    for one in others:
        name = one.engine or ""
        digest = digests.get(engine_of(name))
        alike = (
            earlier
            for earlier in range(version - 1, first - 1, -1)
            if (name, earlier) in paths
            and _asked(before.get((name, earlier), {})) == _asked(one.payload)
            and _is_made_by(digest, paths[name, earlier])
        )
        of = next(alike, None)
        if of is None or _has_lost_prior(one, of, journal):
            following.tasks.append(one)
        elif (name, of) in rejected and not rejected[name, of].is_cured:
            following.rejected[name] = ", ".join(sorted(rejected[name, of].codes))
        elif (name, of) in rejected or _searches_again(one, of, journal):
            following.tasks.append(one)
        else:
            following.tasks.append(_taking_over(one, of, before[name, of]))
    return following


def _of_another(rejected: Mapping[tuple[str, int], RejectedAnswer]) -> dict[str, str]:
    """Engines whose answer is of the wrong patient or order still, whatever has come since."""
    return {
        engine_of(name): ", ".join(sorted(answer.codes))
        for (name, _), answer in rejected.items()
        if answer.is_anothers
    }


def rejected_notes(rejected: Mapping[str, str]) -> list[Note]:
    """Tell whose results are not made again."""
    return [
        Note(
            what="results.rejected",
            text=f"Engine {engine} is not asked again. {RESULTS_REJECTED.text(codes=codes)}",
            facts={"engine": engine, "code": RESULTS_REJECTED.code},
        )
        for engine, codes in rejected.items()
    ]


def _has_lost_prior(new: NewTask, earlier: int, journal: Journal) -> bool:
    return new.kind is TaskKind.FETCH and journal.lost_priors_since(new.study_instance_uid, earlier)


def _searches_again(new: NewTask, earlier: int, journal: Journal) -> bool:
    """Whether an analysis looks for priors, and for others than an earlier version did."""
    corrected = journal.corrected_since(new.study_instance_uid, earlier)
    return new.kind is TaskKind.FETCH and not _SEARCHED_BY.isdisjoint(corrected)


def _taking_over(new: NewTask, of: int, before: Mapping[str, Any]) -> NewTask:
    """Make the analysis that follows; where its images turn out not to be there, it has the same priors."""
    payload = {**before, FINDINGS_OF: of}
    return replace(new, kind=TaskKind.ANALYSE, destination=None, payload=payload)


def _asked(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in without_priors(payload).items() if name != FINDINGS_OF}


def _is_made_by(digest: str | None, path: Path) -> bool:
    """Tell whether an engine found it; not so where the images were of two persons, and it did not run."""
    if read_provenance(path).engine_digest != digest:
        return False
    return all(one.code != TAG_INCONSISTENT.code for one in read_remarks(path))


def findings_again(task: TaskRecord, journal: Journal) -> Findings | None:
    """The Findings that an analyse task takes over, with the headers as they are now; None: analyse it.

    None too where the images are not all there as they were. Raises
    NodeError: FINDINGS_UNREADABLE, FILE_UNREADABLE, HEADER_DAMAGED.
    """
    of = task.payload.get(FINDINGS_OF)
    if of is None:
        return None
    path = next(
        one.path
        for one in journal.findings(task.study_instance_uid)
        if (one.engine, one.study_version) == (task.engine, of)
    )
    findings = load_findings(path)
    reading = read_studies([instance.path for instance in journal.instances(task.study_instance_uid)])
    headers = {
        header.sop_instance_uid: header
        for study in reading.studies
        for series in study.series
        for stack in series.stacks
        for header in stack.headers
    }
    sources: list[Source] = []
    for source in findings.sources:
        uids = dict.fromkeys(frame.sop_instance_uid for frame in source.frames)
        if not headers.keys() >= uids.keys():
            return None
        sources.append(replace(source, headers=encode_headers(headers[uid] for uid in uids)))
    return replace(
        findings,
        sources=tuple(sources),
        study_version=task.study_version,
        made_at=task.created_at.astimezone(),
    )
