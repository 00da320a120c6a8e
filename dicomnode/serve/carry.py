"""Carrying out a task: whatever happens, it ends as a state of the journal."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from dicomnode.deliver import next_try_s
from dicomnode.faults import BUG, LEASE_LOST, NodeError, Retry
from dicomnode.journal import Event, Journal, TaskRecord
from dicomnode.serve.logs import fault_facts

log = structlog.get_logger("dicomnode.serve")

_RETRY_FIRST_S: Final = 5.0
_RETRY_LONGEST_S: Final = 600.0
# A failure that comes back so often will not go away by itself: a person must look
_ATTEMPTS: Final = 5
# No two retries compete here: the middle of the jitter is as good as any
_NO_JITTER: Final = 0.5


def carry_out(task: TaskRecord, action: Callable[[TaskRecord], Event], journal: Journal) -> None:
    """Do the task; give it back to the journal if it fails.

    action: does it, finishes it in the journal, and tells with which event.

    A failure with a row of the table is retried or parked as the row says. Anything else is a bug of
    ours: its traceback goes to the log at level debug only (it may quote what a header held), and the task
    is tried again and parked after some tries.
    """
    facts = {
        "task": task.id,
        "kind": str(task.kind),
        "study": task.study_instance_uid,
        "engine": task.engine,
        "destination": task.destination,
    }
    began = time.monotonic()
    try:
        ended = action(task)
    except NodeError as error:
        _give_back(task, error, journal)
        log.error("task.failed", attempt=task.attempt, **facts, **fault_facts(error))
    # The loop that calls must outlive any task: an engine, a header, a disk can raise what nobody foresaw
    except Exception as error:  # noqa: BLE001
        bug = NodeError(BUG, where=f"{task.kind} task", error=type(error).__name__)
        log.debug("task.bug", text=traceback.format_exc(), **facts)
        _give_back(task, bug, journal)
        log.error("task.failed", attempt=task.attempt, **facts, **fault_facts(bug))
    else:
        word = "task.done" if ended is Event.COMMITTED else "task.waits"
        log.info(word, duration_s=round(time.monotonic() - began, 2), **facts)


def _give_back(task: TaskRecord, error: NodeError, journal: Journal) -> None:
    if error.fault is LEASE_LOST:
        return  # somebody else has it now
    now = datetime.now(UTC)
    again = error.fault.retry is Retry.BACKOFF and task.attempt < _ATTEMPTS
    wait_s = next_try_s(task.attempt, _RETRY_FIRST_S, _RETRY_LONGEST_S, _NO_JITTER)
    try:
        journal.finish(
            task,
            Event.FAILED if again else Event.NEEDS_PERSON,
            now,
            error=error,
            not_before=now + timedelta(seconds=wait_s) if again else None,
        )
    except NodeError as late:
        if late.fault is not LEASE_LOST:
            raise
