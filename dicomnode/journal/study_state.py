"""What state a study is in: one pure function of what is known of its latest version.

It is written into the study's row in the same transaction as what it is made from, so no reader ever
sees a study that says one thing and tasks that say another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dicomnode.faults import RESULTS_HELD, STUDY_HELD, STUDY_INCOMPLETE
from dicomnode.journal.transitions import TaskKind, TaskState


class StudyState(StrEnum):
    """The same words everywhere: commands, page, metrics, audit."""

    RECEIVING = "receiving"  # instances may still come
    INCOMPLETE = "incomplete"  # the source has more than was sent
    COMPLETE = "complete"  # all is here; nobody has decided yet what to do with it
    QUEUED = "queued"  # waits for an engine
    ANALYSING = "analysing"  # an engine works on it, or results are being written
    HELD = "held"  # a person holds it
    DELIVERING = "delivering"  # results are on their way
    UNCONFIRMED = "unconfirmed"  # sent, not yet confirmed
    DONE = "done"  # every wanted object is stored at every destination
    REFUSED = "refused"  # no engine wants it, or none can take it
    FAILED = "failed"  # needs a person
    SUPERSEDED = "superseded"
    RETRACTED = "retracted"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFact:
    """What the state depends on, of one task of the latest version, or of what takes results back."""

    kind: TaskKind
    state: TaskState
    error_text: str | None = None
    error_code: str | None = None
    takes_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What the state depends on. undelivered: deliveries wanted and not stored yet.

    shortfall: what is known to be missing; waited for while it is not complete. retracted: its results were
    taken back.
    """

    complete: bool
    shortfall: str | None = None
    tasks: Sequence[TaskFact] = ()
    undelivered: int = 0
    retracted: bool = False


_OPEN: Final = frozenset({TaskState.WAITING, TaskState.READY, TaskState.RUNNING, TaskState.RETRY})
_WORK: Final = frozenset({TaskKind.ANALYSE, TaskKind.REPORT})
_HELD: Final = (STUDY_HELD.code, RESULTS_HELD.code)  # parked, with nothing amiss
# Work ahead decides nothing: it may be thrown away. Nor does what others say of results that have arrived
_DECIDING: Final = frozenset(TaskKind) - {TaskKind.PREFETCH, TaskKind.FEEDBACK}


def study_state(facts: StudyFacts) -> StudyState:
    """Decide the state. The earliest stage that still has work wins; without work, what is amiss."""
    if facts.retracted or not facts.complete:
        return _taken_back_or_open(facts)
    tasks = [task for task in facts.tasks if task.kind in _DECIDING]
    at_work = _stage_at_work([task for task in tasks if task.state in _OPEN], tasks)
    if at_work is not None:
        return at_work
    parked = [task for task in tasks if task.state is TaskState.PARKED]
    if parked:
        held = all(task.error_code in _HELD for task in parked)
        return StudyState.HELD if held else StudyState.FAILED
    if facts.undelivered:
        return StudyState.UNCONFIRMED
    if any(task.kind in _WORK and task.state is TaskState.DONE for task in tasks):
        return StudyState.DONE
    # Looked at, and nobody wanted it; or complete, and nobody has looked yet
    return StudyState.REFUSED if tasks else StudyState.COMPLETE


def _taken_back_or_open(facts: StudyFacts) -> StudyState:
    if not facts.retracted:
        return StudyState.INCOMPLETE if facts.shortfall else StudyState.RECEIVING
    # While it cannot be taken back, an archive keeps what it should not have
    failed = any(task.takes_back and task.state is TaskState.PARKED for task in facts.tasks)
    return StudyState.FAILED if failed else StudyState.RETRACTED


def _stage_at_work(still_open: Sequence[TaskFact], tasks: Iterable[TaskFact]) -> StudyState | None:
    kinds = {task.kind for task in still_open}
    if kinds & {TaskKind.FETCH, TaskKind.DISPATCH}:
        return StudyState.COMPLETE
    if kinds & _WORK:
        begun = TaskKind.REPORT in kinds or any(
            task.kind in _WORK and task.state in (TaskState.RUNNING, TaskState.DONE) for task in tasks
        )
        return StudyState.ANALYSING if begun else StudyState.QUEUED
    if TaskKind.DELIVER in kinds:
        return StudyState.DELIVERING
    if TaskKind.CONFIRM in kinds:
        return StudyState.UNCONFIRMED
    return None


def study_reason(facts: StudyFacts) -> str | None:
    """Why it waits, is refused or failed.

    What is missing; else what a parked task says, else a retried one, else a done one.
    """
    if not facts.complete and facts.shortfall:
        return STUDY_INCOMPLETE.text(shortfall=facts.shortfall)
    for state in (TaskState.PARKED, TaskState.RETRY, TaskState.DONE):
        for task in facts.tasks:
            if task.state is state and task.error_text and task.kind in _DECIDING:
                return task.error_text
    return None
