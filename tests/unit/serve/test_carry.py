"""Whatever a task does, it ends as a state of the journal, and who carries it out goes on."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dicomnode.faults import (
    GEOMETRY_GUARD,
    JOURNAL_FAILED,
    LEASE_LOST,
    NETWORK_FAILED,
    STORE_FULL,
    STORE_WRITE_FAILED,
    NodeError,
)
from dicomnode.journal import Event, Journal, TaskKind, TaskRecord, TaskState
from dicomnode.serve.work.carry import carry_out, is_shortage
from dicomnode.serve.work.pulse import Pulse
from tests.unit.journal.world import STUDY, claim, complete, later, receive

PASSING = NodeError(NETWORK_FAILED, engine="lung-ct", error="out of range")
LASTING = NodeError(GEOMETRY_GUARD, difference="it is mirrored")
FULL = NodeError(STORE_WRITE_FAILED, path="/store", error=OSError(errno.ENOSPC, "No space left"))
BROKEN = NodeError(STORE_WRITE_FAILED, path="/store", error=OSError(errno.EIO, "Input/output error"))


@pytest.fixture
def task(journal: Journal) -> TaskRecord:
    receive(journal)
    complete(journal)
    return claim(journal, TaskKind.DISPATCH)


def after(journal: Journal) -> TaskRecord:
    (task,) = journal.tasks(STUDY)
    return task


def failing(error: Exception) -> Callable[[TaskRecord, Pulse], Event]:
    def action(_task: TaskRecord, _pulse: Pulse) -> Event:
        raise error

    return action


def with_attempt(journal: Journal, count: int) -> TaskRecord:
    """The task as its worker has it in its `count`-th attempt."""
    task = after(journal)
    while task.attempt < count:
        journal.finish(task, Event.GIVEN_BACK, later(0))
        task = claim(journal, TaskKind.DISPATCH)
    return task


def test_what_a_task_finishes_itself_stays_as_it_finished_it(journal, task, logged):
    def action(task: TaskRecord, _pulse: Pulse) -> Event:
        journal.finish(task, Event.COMMITTED, later(1))
        return Event.COMMITTED

    carry_out(task, action, journal, 60)
    assert after(journal).state is TaskState.DONE
    assert [line["event"] for line in logged] == ["task.done"]


@pytest.mark.parametrize(
    ("error", "attempt", "state"),
    [
        (PASSING, 1, TaskState.RETRY),
        (PASSING, 5, TaskState.PARKED),
        (LASTING, 1, TaskState.PARKED),
        (BROKEN, 1, TaskState.PARKED),
        (FULL, 1, TaskState.RETRY),
        (FULL, 9, TaskState.RETRY),
        (NodeError(JOURNAL_FAILED, error="database is locked"), 9, TaskState.RETRY),
        (NodeError(STORE_FULL, path="/store", free_gb=1.0, reserve_gb=5.0), 9, TaskState.RETRY),
        (ValueError("Doe^Jane"), 1, TaskState.RETRY),
        (ValueError("Doe^Jane"), 5, TaskState.PARKED),
        (MemoryError(), 1, TaskState.RETRY),
    ],
    ids=lambda value: getattr(value, "fault", value).code if isinstance(value, NodeError) else str(value),
)
def test_a_failure_is_tried_again_or_parked_as_its_row_says(journal, task, error, attempt, state, logged):
    carry_out(with_attempt(journal, attempt), failing(error), journal, 60)
    ended = after(journal)
    assert ended.state is state
    assert ended.error_code == (error.fault.code if isinstance(error, NodeError) else "DN-6099")
    if state is TaskState.RETRY:
        assert ended.not_before > datetime.now(UTC)
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["task.failed"]


def test_a_bug_tells_where_it_was_and_never_what_it_said(journal, task, logged):
    carry_out(task, failing(ValueError("Doe^Jane")), journal, 60)
    assert "Doe" not in str(logged) + str(after(journal)) + str(journal.events(STUDY))
    assert "ValueError at test_carry.py:" in after(journal).error_text


def test_who_has_lost_the_lease_changes_nothing(journal, task, logged):
    journal.finish(task, Event.GIVEN_BACK, later(0))
    other = claim(journal, TaskKind.DISPATCH, owner="w2")
    carry_out(task, failing(NodeError(LEASE_LOST, task=task.id)), journal, 60)
    carry_out(task, failing(PASSING), journal, 60)
    assert after(journal) == other
    assert [line["event"] for line in logged] == ["task.dropped", "task.failed", "task.not_given_back"]


def test_a_journal_that_cannot_be_written_does_not_end_who_carries_out(journal, task, logged, monkeypatch):
    def locked(*_: object, **__: object) -> None:
        raise NodeError(JOURNAL_FAILED, error="database is locked")

    monkeypatch.setattr(journal, "finish", locked)
    carry_out(task, failing(PASSING), journal, 60)
    assert logged[-1]["event"] == "task.not_given_back"
    assert after(journal).state is TaskState.RUNNING


def test_only_what_may_be_there_again_is_a_shortage():
    assert is_shortage(FULL)
    assert not is_shortage(BROKEN)
    assert not is_shortage(PASSING)
