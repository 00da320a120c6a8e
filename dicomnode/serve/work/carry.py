"""Carrying out a task: whatever happens, it ends as a state of the journal."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from dicomnode.deliver import next_try_s
from dicomnode.faults import (
    DEVICE_OUT,
    JOURNAL_FAILED,
    LEASE_LOST,
    PLAN_AWAITED,
    STORE_FULL,
    NodeError,
    Retry,
)
from dicomnode.journal import Event, Journal, TaskRecord
from dicomnode.serve.logs import bug, fault_facts
from dicomnode.serve.work.pulse import Pulse

log = structlog.get_logger("dicomnode.serve")

_RETRY_FIRST_S: Final = 5.0
_RETRY_LONGEST_S: Final = 600.0
# What is on its way is looked for more often: a study must not wait long for what is there
_AWAITED_LONGEST_S: Final = 60.0
# A failure that comes back so often will not go away by itself: a person must look
_ATTEMPTS: Final = 5
# No two retries compete here: the middle of the jitter is as good as any
_NO_JITTER: Final = 0.5

# Nothing is wrong with the task: it waits until its engine can run
_AWAITED: Final = (PLAN_AWAITED, DEVICE_OUT)

# What is short today may be there tomorrow, and says nothing about the task
_SHORTAGE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def is_shortage(error: NodeError) -> bool:
    """Whether it failed for want of space, descriptors or the journal: to be tried until there is some."""
    cause = error.values.get("error")
    return error.fault in (STORE_FULL, JOURNAL_FAILED) or (
        isinstance(cause, OSError) and cause.errno in _SHORTAGE
    )


def carry_out(
    task: TaskRecord, action: Callable[[TaskRecord, Pulse], Event], journal: Journal, lease_s: float
) -> None:
    """Do the task, its lease kept meanwhile; give it back to the journal if it fails. Never raises.

    action: does it, finishes it in the journal, and tells with which event.

    A failure with a row of the table is retried or parked as the row says; what is short is waited for.
    Anything else is a bug of ours: the log tells where, not what (it may quote what a header held), and the
    task is tried again and parked after some tries.
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
        with Pulse(journal, task, lease_s) as pulse:
            ended = action(task, pulse)
    except NodeError as error:
        _fail(task, error, journal, facts)
    # The loop that calls must outlive any task: an engine, a header, a disk can raise what nobody foresaw
    except Exception as error:  # noqa: BLE001
        _fail(task, bug(error, f"{task.kind} task"), journal, facts)
    else:
        word = "task.done" if ended is Event.COMMITTED else "task.waits"
        log.info(word, duration_s=round(time.monotonic() - began, 2), **pulse.facts, **facts)


def _fail(task: TaskRecord, error: NodeError, journal: Journal, facts: dict[str, object]) -> None:
    if error.fault is LEASE_LOST:  # somebody else has it now, or nobody needs it any more
        log.info("task.dropped", attempt=task.attempt, **facts)
        return
    awaited = error.fault in _AWAITED
    say = log.info if awaited else log.error
    say("task.waits" if awaited else "task.failed", attempt=task.attempt, **facts, **fault_facts(error))
    now = datetime.now(UTC)
    tried_again = error.fault.retry is Retry.BACKOFF and task.attempt < _ATTEMPTS
    again = awaited or is_shortage(error) or tried_again
    longest_s = _AWAITED_LONGEST_S if awaited else _RETRY_LONGEST_S
    wait_s = next_try_s(task.attempt, _RETRY_FIRST_S, longest_s, _NO_JITTER)
    try:
        journal.finish(
            task,
            Event.FAILED if again else Event.NEEDS_PERSON,
            now,
            error=error,
            not_before=now + timedelta(seconds=wait_s) if again else None,
        )
    except NodeError as late:
        # It stays ours until its lease ends, and is taken up again then
        log.warning("task.not_given_back", **facts, **fault_facts(late))
