"""Telling that an analysis failed for good: kept as Findings of their own, and reported as any others.

The task follows from the analysis that a person is needed for, in the transaction that parks it, so that
there is one such document whatever is killed between.
"""

from __future__ import annotations

from datetime import UTC, datetime

from dicomnode.engine import configured_engine
from dicomnode.faults import BUG, NodeError
from dicomnode.journal import Event, Journal, Maker, Note, TaskKind, TaskRecord, TaskState, analysis_of
from dicomnode.serve.analysing.chosen import stacks_of
from dicomnode.serve.analysing.failed import failed
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.analysing.patient import check_reportable
from dicomnode.serve.deciding.incomplete import remarked
from dicomnode.serve.deciding.plan import report_tasks
from dicomnode.serve.identity.whose import renaming_of
from dicomnode.serve.naming import engine_of
from dicomnode.settings import Settings
from dicomnode.store import Store
from dicomnode.values import Findings


def tell_of_failure(task: TaskRecord, settings: Settings, store: Store, journal: Journal) -> Event:
    """Keep that the analysis of the task failed, and let reports of it be written, where it is live.

    Nothing is told where a person has had the analysis tried again meanwhile, and of an engine that is not
    configured any more. Raises NodeError: SOURCE_HEADER_WRONG and IDENTITY_UNSURE where it is not known whose
    the images are; as of `stacks_of` and of the engine's package.
    """
    now = datetime.now(UTC)
    analysis = _analysis(task, journal)
    names = {entry.name for entry in settings.engine}
    if analysis.state is not TaskState.PARKED or engine_of(task.engine or "") not in names:
        journal.finish(task, Event.COMMITTED, now)
        return Event.COMMITTED
    findings = _findings(task, analysis, settings, store, journal)
    path = store.save_findings(findings)
    made_by = findings.provenance
    reports = report_tasks(settings, task)
    journal.finish(
        task,
        Event.COMMITTED,
        now,
        finding_path=path,
        maker=Maker(made_by.version, made_by.engine_digest),
        new_tasks=reports,
        notes=[_note(analysis, [one.destination or "" for one in reports])],
    )
    return Event.COMMITTED


def _analysis(task: TaskRecord, journal: Journal) -> TaskRecord:
    of = (TaskKind.ANALYSE, task.study_version, analysis_of(task.engine or ""))
    for one in journal.tasks(task.study_instance_uid):
        if (one.kind, one.study_version, one.engine) == of:
            return one
    raise NodeError(BUG, where="report", error="the analysis that failed is not in the journal")


def _findings(
    task: TaskRecord, analysis: TaskRecord, settings: Settings, store: Store, journal: Journal
) -> Findings:
    engine = engine_of(task.engine or "")
    package = configured_engine(next(entry for entry in settings.engine if entry.name == engine))
    stack, _ = stacks_of(task, journal)
    renaming = renaming_of(task.study_instance_uid, task.study_version, journal)
    if report_tasks(settings, task):  # in shadow nothing is reported
        check_reportable(stack, renaming)
    occasion = Occasion(
        study_version=task.study_version,
        made_at=task.created_at.astimezone(),
        salt=store.salt,
        renaming=renaming,
    )
    return remarked(failed(package, stack, analysis.error_code, occasion), task)


def _note(analysis: TaskRecord, destinations: list[str]) -> Note:
    """Tell who is told."""
    engine, code = analysis.engine or "", analysis.error_code or ""
    told = (
        f"{', '.join(destinations)} will be told by a document."
        if destinations
        else "No destination is told."
    )
    return Note(
        what="analysis.failed",
        text=f"The analysis by engine {engine} failed for good{f' ({code})' if code else ''}. {told}",
        facts={"engine": engine, "code": code, "destinations": ", ".join(destinations)},
    )
