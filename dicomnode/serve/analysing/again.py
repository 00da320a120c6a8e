"""Findings again: a study whose images are the same is not analysed a second time because of a name.

After a correction that no engine can see, the Findings of an earlier version are taken over with the headers
as they are now, and written as objects of the new version: voxel for voxel the same results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dicomnode.assemble import encode_headers, read_studies
from dicomnode.journal import Journal, NewTask, TaskKind, TaskRecord
from dicomnode.serve.asking.given_priors import without_priors
from dicomnode.serve.naming import engine_of
from dicomnode.store import load_findings
from dicomnode.values import Findings, Source

# Key in the payload of an analyse task: the version of the study whose Findings are taken over
FINDINGS_OF: Final = "findings_of"
# What a search for priors goes by: after a correction of it another study may be the prior
_SEARCHED_BY: Final = frozenset(
    {"PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"}
)


def taken_over(
    new: Sequence[NewTask], task: TaskRecord, journal: Journal, digests: Mapping[str, str]
) -> list[NewTask]:
    """Let analyses take over what an earlier version found, where nothing that they look at has changed.

    task: the dispatch that they follow from. digests: of the packages of the engines, by name. The images
    must be the same but for whose they are, and the engine, its stack and all else that it is given too. A
    search for priors is left out then, unless what it goes by was corrected, or a prior is lost.
    """
    study_uid, version = task.study_instance_uid, task.study_version
    first = journal.same_images_since(study_uid, version)
    if first == version:
        return list(new)
    before = {
        (one.engine, one.study_version): one.payload
        for one in journal.tasks(study_uid)
        if one.kind is TaskKind.ANALYSE
    }
    paths = {(one.engine, one.study_version): one.path for one in journal.findings(study_uid)}
    found = []
    for one in new:
        digest = digests.get(engine_of(one.engine or ""))
        of = next(
            (
                earlier
                for earlier in range(version - 1, first - 1, -1)
                if (one.engine, earlier) in paths
                and _same_priors(one, earlier, journal)
                and _asked(before.get((one.engine, earlier), {})) == _asked(one.payload)
                and _made_by(paths[one.engine or "", earlier]) == digest
            ),
            None,
        )
        found.append(one if of is None else _taking_over(one, of, before[one.engine, of]))
    return found


def _same_priors(new: NewTask, earlier: int, journal: Journal) -> bool:
    if new.kind is TaskKind.ANALYSE:  # it looks for none
        return True
    uid = new.study_instance_uid
    corrected = _SEARCHED_BY & journal.corrected_since(uid, earlier)
    return not corrected and not journal.lost_priors_since(uid, earlier)


def _taking_over(new: NewTask, of: int, before: Mapping[str, Any]) -> NewTask:
    """Make the analysis that follows; where its images turn out not to be there, it has the same priors."""
    payload = {**before, FINDINGS_OF: of}
    return replace(new, kind=TaskKind.ANALYSE, destination=None, payload=payload)


def _asked(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in without_priors(payload).items() if name != FINDINGS_OF}


def _made_by(path: Path) -> str:
    return load_findings(path).provenance.engine_digest


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
