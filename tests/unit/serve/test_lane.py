"""A clerk at work: what is urgent waits for the task at hand, and for no other that is not urgent."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.journal import Event, TaskKind
from dicomnode.journal.tasks import PATIENCE
from dicomnode.serve.work.clerk import Clerk, Post
from tests.unit.journal.world import STUDY, analyse, claim, complete, receive


class Doer(Clerk):
    """Does analyses; while it does the first one, `urgent` ones come in. It stops when nothing is left."""

    def __init__(self, journal, urgent: int) -> None:
        self.stopping = threading.Event()
        super().__init__(Post(name="w1", kinds=(TaskKind.ANALYSE,), lease_s=60), journal, self.stopping)
        self.done: list[str] = []
        self.coming = [replace(analyse(engine=f"urgent-{n}"), priority=10) for n in range(urgent)]

    def work(self, task, pulse) -> Event:
        del pulse
        self.done.append(task.engine)
        self._journal.finish(task, Event.COMMITTED, datetime.now(UTC), new_tasks=self.coming)
        self.coming = []
        return Event.COMMITTED

    def aside(self) -> bool:
        self.stopping.set()
        return False


def hand_in(journal, at: datetime, count: int) -> None:
    receive(journal, at=at)
    complete(journal, at=at)
    routine = [analyse(engine=f"routine-{n}") for n in range(count)]
    journal.finish(claim(journal, TaskKind.DISPATCH, at), Event.COMMITTED, at, new_tasks=routine)


@pytest.mark.parametrize("waited", [timedelta(0), 2 * PATIENCE], ids=["just now", "for two hours"])
def test_behind_twenty_routine_studies_an_urgent_one_starts_next(journal, waited):
    hand_in(journal, datetime.now(UTC) - waited, 20)
    clerk = Doer(journal, urgent=1)
    clerk.run()
    assert clerk.done[:3] == ["routine-0", "urgent-0", "routine-1"]
    assert len(clerk.done) == 21
    assert {task.state for task in journal.tasks(STUDY)} == {"done"}


def test_routine_studies_that_have_waited_get_every_second_turn(journal):
    hand_in(journal, datetime.now(UTC) - 2 * PATIENCE, 3)
    clerk = Doer(journal, urgent=3)
    clerk.run()
    assert [name.partition("-")[0] for name in clerk.done] == ["routine", "urgent"] * 3
