"""What becomes of a study that was closed although something of it is missing: its results say so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dicomnode.faults import STUDY_INCOMPLETE
from dicomnode.journal import SHORTFALL, THEN, NewTask, TaskRecord
from dicomnode.serve.asking.given_priors import at_once
from dicomnode.serve.deciding.plan import because
from dicomnode.values import Findings, Remark, RemarkKind


def carried_on(tasks: Iterable[NewTask], of: TaskRecord) -> list[NewTask]:
    """Give the analyses that follow from the dispatch of an incomplete study what is missing of it.

    Where the site wants that reported instead of an analysis, it is why the engine cannot have its series,
    and nobody looks for its priors.
    """
    shortfall = of.payload.get(SHORTFALL)
    if shortfall is None:
        return list(tasks)
    said = {SHORTFALL: shortfall}
    wanted = list(tasks)
    if of.payload.get(THEN) == "report":
        said |= because(STUDY_INCOMPLETE.refusal(shortfall=shortfall))
        wanted = [at_once(task) for task in wanted]
    # What keeps an engine from its series all the same is told first
    return [replace(task, payload={**said, **task.payload}) for task in wanted]


def remarked(findings: Findings, task: TaskRecord) -> Findings:
    """Say in the findings of an analysis what is missing of the study, unless they say that already."""
    shortfall = task.payload.get(SHORTFALL)
    if shortfall is None or any(remark.code == STUDY_INCOMPLETE.code for remark in findings.remarks):
        return findings
    text = STUDY_INCOMPLETE.text(shortfall=shortfall)
    remark = Remark(kind=RemarkKind.LIMIT, text=text, code=STUDY_INCOMPLETE.code)
    return replace(findings, remarks=(*findings.remarks, remark))
