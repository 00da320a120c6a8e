"""What is urgent goes next, and what is not gets its turn: the order in which tasks are claimed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.faults import NETWORK_FAILED, NodeError
from dicomnode.journal import Event, Journal, TaskKind
from dicomnode.journal.tasks import PATIENCE
from tests.unit.journal.world import NOON, analyse, claim, complete, receive

STAT, ROUTINE, LOW = 10, 0, -10
MINUTE = timedelta(minutes=1)
BROKEN = NodeError(NETWORK_FAILED, engine="e", error="no memory")


@pytest.fixture
def journal(tmp_path):
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        receive(journal)
        complete(journal)
        yield journal


class Lane:
    """One worker, and tasks that are handed in by their priority."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.made = 0
        self.after: int | None = None
        self.dispatch = claim(journal, TaskKind.DISPATCH, lease_s=10**7)

    def hand_in(self, priority: int, at: datetime) -> str:
        self.made += 1
        new = replace(analyse(engine=f"e{self.made}"), priority=priority)
        # The dispatch is tried again, so that it can bring more
        self.journal.finish(self.dispatch, Event.FAILED, at, error=BROKEN, not_before=at, new_tasks=[new])
        self.dispatch = claim(self.journal, TaskKind.DISPATCH, at, lease_s=10**7)
        return f"e{self.made}"

    def next(self, at: datetime):
        """Claim as a clerk does, do the task, and give it with its priority; None where there is none."""
        task = self.journal.claim([TaskKind.ANALYSE], "w1", 60, at, after=self.after)
        if task is None:
            return None
        self.after = task.priority
        self.journal.finish(task, Event.COMMITTED, at)
        return task.engine, task.priority


def test_of_twenty_routine_studies_and_an_urgent_one_the_urgent_one_starts_next(journal):
    lane = Lane(journal)
    for _ in range(20):
        lane.hand_in(ROUTINE, NOON)
    assert lane.next(NOON) == ("e1", ROUTINE)  # at work when the urgent one comes
    urgent = lane.hand_in(STAT, NOON)
    assert lane.next(NOON) == (urgent, STAT)
    assert lane.next(NOON) == ("e2", ROUTINE)


def test_the_urgent_one_starts_next_even_when_all_others_have_waited_too_long(journal):
    lane = Lane(journal)
    for _ in range(20):
        lane.hand_in(ROUTINE, NOON)
    late = NOON + 2 * PATIENCE
    lane.next(late)
    urgent = lane.hand_in(STAT, late)
    assert lane.next(late) == (urgent, STAT)


def test_of_one_priority_the_oldest_goes_first(journal):
    lane = Lane(journal)
    names = [lane.hand_in(ROUTINE, NOON + n * MINUTE) for n in range(3)]
    assert [lane.next(NOON + 9 * MINUTE)[0] for _ in names] == names


def test_routine_work_gets_every_second_turn_once_it_has_waited_for_an_hour(journal):
    lane = Lane(journal)
    lane.hand_in(ROUTINE, NOON)
    lane.hand_in(LOW, NOON)
    for _ in range(6):
        lane.hand_in(STAT, NOON + PATIENCE / 2)
    assert [lane.next(NOON + PATIENCE - MINUTE)[1] for _ in range(2)] == [STAT, STAT]
    turns = [lane.next(NOON + PATIENCE)[1] for _ in range(6)]
    assert turns == [ROUTINE, STAT, LOW, STAT, STAT, STAT]


def test_what_low_priority_has_waited_for_is_not_starved_by_routine_work(journal):
    lane = Lane(journal)
    low = lane.hand_in(LOW, NOON)
    for _ in range(4):
        lane.hand_in(ROUTINE, NOON + PATIENCE / 2)
    late = NOON + PATIENCE
    assert lane.next(late)[1] == ROUTINE
    assert lane.next(late) == (low, LOW)


def test_a_task_waits_from_the_time_that_it_is_due(journal):
    lane = Lane(journal)
    lane.hand_in(ROUTINE, NOON)
    task = claim(journal, TaskKind.ANALYSE)
    again_at = NOON + PATIENCE
    journal.finish(task, Event.FAILED, NOON, error=BROKEN, not_before=again_at)
    for _ in range(2):
        lane.hand_in(STAT, again_at)
    assert [lane.next(again_at + MINUTE)[1] for _ in range(3)] == [STAT, STAT, ROUTINE]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([STAT, ROUTINE, LOW]), st.integers(0, 3)), max_size=25))
def test_between_an_urgent_task_and_its_turn_there_is_one_that_is_not_urgent_at_most(work):
    """work: priorities as they come, and how many tasks are done, an hour each, before the next comes."""
    with TemporaryDirectory() as folder, Journal.open(f"sqlite:///{folder}/journal.sqlite") as journal:
        receive(journal)
        complete(journal)
        lane, at = Lane(journal), NOON
        waiting: dict[str, int] = {}

        def turn() -> bool:
            done = lane.next(at)
            if done is None:
                return False
            waiting.pop(done[0], None)
            if done[1] < STAT:
                waiting.update({name: count + 1 for name, count in waiting.items()})
            assert all(count <= urgent_before[name] + 1 for name, count in waiting.items())
            return True

        urgent_before: dict[str, int] = {}
        for priority, turns in work:
            name = lane.hand_in(priority, at)
            if priority == STAT:
                urgent_before[name] = len(waiting)  # each urgent one before it may have let one other in
                waiting[name] = 0
            for _ in range(turns):
                turn()
                at += PATIENCE
        while turn():
            at += PATIENCE
        assert not waiting
