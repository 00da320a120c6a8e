"""How often the scheduler looks at all that is open: work that grows with it is not done all the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.serve import scheduler as scheduler_room
from dicomnode.serve.scheduler import Scheduler
from tests.unit.serve import test_clerks
from tests.unit.store.part10 import NOON, behind_preamble, receive

room = test_clerks.room


@pytest.fixture
def looks(room, monkeypatch):
    """A scheduler, and the seconds at which it has looked; a look takes as long as `took[0]` says."""
    scheduler = Scheduler(room.frame, room.store, room.journal)
    at: list[float] = []
    took = [0.0]
    clock = [0.0]
    began = datetime.now(UTC)

    def look(now: datetime, *_: object) -> None:
        at.append((now - began).total_seconds())
        clock[0] += took[0]

    monkeypatch.setattr(scheduler._closer, "turn", look)
    monkeypatch.setattr(scheduler_room.time, "monotonic", lambda: clock[0])
    return scheduler, began, at, took


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "while files come"])
def test_open_studies_are_looked_at_once_a_second(room, looks, busy):
    scheduler, began, at, _ = looks
    for n in range(11):
        if busy:
            receive(room.store, behind_preamble(f"1.2.{n}"), NOON)
        scheduler.turn(began + timedelta(seconds=0.2 * n))
    assert at == [0.0, 1.0, 2.0]


def test_a_look_that_takes_long_is_done_less_often(looks):
    scheduler, began, at, took = looks
    took[0] = 0.4
    for n in range(21):
        scheduler.turn(began + timedelta(seconds=0.2 * n))
    assert at == [0.0, 2.0, 4.0]


def test_a_clock_that_is_set_back_stops_no_look(looks):
    scheduler, began, at, _ = looks
    scheduler.turn(began)
    scheduler.turn(began - timedelta(hours=1))
    assert at == [0.0, -3600.0]
