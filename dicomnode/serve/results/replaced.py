"""Which reports a new one takes the place of: earlier versions of the same answer, at the same destination.

A report names them (Predecessor Documents Sequence, PS3.3 C.17.2), so that nobody takes two versions of one
answer for two answers. What a rejection note has taken back is not named: an archive hides it, and nothing of
it stands in the new report. After a correction of the patient's identity they are named as ever: the
reference is of UIDs, and without it nothing tells that what stands under the old identity is replaced.

A document that an analysis failed takes the place of older ones that say so, and of no result: a failure
undoes nothing of what was found in an earlier version. Once the analysis has worked, its report takes the
place of that document, also of the same version, and of the results before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from dicomnode.faults import NodeError
from dicomnode.journal import Journal, ObjectRecord, TaskRecord, analysis_of, failure_of, is_failure
from dicomnode.journal.records import Scalar
from dicomnode.report import EarlierReport
from dicomnode.serve.logs import fault_facts
from dicomnode.serve.naming import engine_of
from dicomnode.store import load_findings
from dicomnode.values import Findings, SourceFrame

log = structlog.get_logger("dicomnode.serve")

_Stack = tuple[Scalar, Scalar]  # Series Instance UID, and number of the stack in it


def replaced_reports(task: TaskRecord, findings: Findings, journal: Journal) -> tuple[EarlierReport, ...]:
    """Name what the report of a report task takes the place of, of the latest version that has some of it.

    findings: what it is written from.
    """
    study_uid = task.study_instance_uid
    there = journal.reports_at(study_uid, task.destination or "")
    found = _earlier(there, task, findings, journal)
    failures = _latest([one for one in found if is_failure(one.engine)])
    results = _latest([one for one in found if not is_failure(one.engine)])
    if results:  # older ones were replaced by these
        failures = [one for one in failures if one.study_version > results[0].study_version]
    return tuple(
        EarlierReport(
            sop_class_uid=one.sop_class_uid,
            sop_instance_uid=one.sop_instance_uid,
            series_instance_uid=one.series_instance_uid,
        )
        for one in (*failures, *([] if is_failure(task.engine) else results))
    )


def _latest(records: Sequence[ObjectRecord]) -> list[ObjectRecord]:
    version = max((one.study_version for one in records), default=0)
    return [one for one in records if one.study_version == version]


def _earlier(
    there: Sequence[ObjectRecord], task: TaskRecord, findings: Findings, journal: Journal
) -> list[ObjectRecord]:
    """Return the reports of earlier versions by the engine of the task, on the same stack.

    The number of an analysis does not tell its stack: a late series may stand before the others. Nor does
    that of the stack in its series, as a late image may make another one the largest: what looked at one of
    the same images looked at the same stack, or at a part of it. Where the engine made one analysis in each
    of two versions, that is its answer to the study, whatever it took.
    """
    study_uid = task.study_instance_uid
    engine = engine_of(task.engine or "")
    analyses: dict[int, dict[str, _Stack | None]] = {}
    for one in journal.tasks(study_uid):
        if one.engine is not None and engine_of(one.engine) == engine:
            of_version = analyses.setdefault(one.study_version, {})
            analysis = analysis_of(one.engine)
            of_version[analysis] = _stack(one) or of_version.get(analysis)
    mine = analyses[task.study_version]
    wanted = mine[analysis_of(task.engine or "")]
    paths = {(one.engine, one.study_version): one.path for one in journal.findings(study_uid)}

    def same(record: ObjectRecord) -> bool:
        before = analyses.get(record.study_version, {})
        stack = before.get(analysis_of(record.engine))
        if len(mine) == len(before) == 1:
            return True
        if stack is None or wanted is None or stack[0] != wanted[0]:
            return False
        now = _images(findings, wanted)
        then = _images(_read(paths.get((record.engine, record.study_version))), wanted)
        return not now.isdisjoint(then) if now and then else stack == wanted

    own = (task.study_version, failure_of(task.engine or ""))
    earlier = [
        one
        for one in there
        if one.study_version < task.study_version or (one.study_version, one.engine) == own
    ]
    return [one for one in earlier if engine_of(one.engine) == engine and same(one)]


def _read(path: Path | None) -> Findings | None:
    """Read what an earlier version found; None where it cannot be read: no report waits for it."""
    try:
        return None if path is None else load_findings(path)
    except NodeError as error:
        log.warning("findings.unreadable", **fault_facts(error))
        return None


def _images(findings: Findings | None, stack: _Stack) -> frozenset[SourceFrame]:
    """Which images of the series of a stack Findings are of."""
    sources = () if findings is None else findings.sources
    return frozenset(frame for one in sources if one.series_instance_uid == stack[0] for frame in one.frames)


def _stack(task: TaskRecord) -> _Stack | None:
    """What an analysis, or the search for its priors, looks at; None of tasks that follow from it."""
    series = task.payload.get("series_instance_uid")
    return None if series is None else (series, task.payload.get("stack"))
