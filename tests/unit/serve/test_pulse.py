"""The pulse keeps a lease, the heart keeps the supervisor calm."""

from __future__ import annotations

import threading

import pytest

from dicomnode.faults import JOURNAL_FAILED, LEASE_LOST, NodeError
from dicomnode.journal import Event, Journal, TaskKind, TaskRecord
from dicomnode.serve.process.heart import Heart
from dicomnode.serve.process.line import Beat, ChildLine, ParentLine, line_pair, wait_readable
from dicomnode.serve.work.pulse import Pulse
from tests.unit.journal.world import STUDY, claim, complete, later, receive
from tests.wire.receive_peer import wait_until

QUICK_S = 0.005


@pytest.fixture
def task(journal: Journal) -> TaskRecord:
    receive(journal)
    complete(journal)
    return claim(journal, TaskKind.DISPATCH, lease_s=1.0)


def lost(pulse: Pulse) -> bool:
    try:
        pulse.progress("inference", 1, 2)
    except NodeError as error:
        return error.fault is LEASE_LOST
    return False


def test_a_lease_does_not_end_while_the_pulse_beats(journal, task):
    with Pulse(journal, task, 3600, look_s=QUICK_S) as pulse:
        pulse.progress("inference", 1, 2)  # a change is written at once, whatever the lease
        wait_until(lambda: journal.study(STUDY).progress == ("inference", 1, 2), "the progress is written")
        assert journal.claim([TaskKind.DISPATCH], "w2", 60, later(120)) is None


def test_a_long_task_that_says_nothing_keeps_its_lease_too(journal, task, monkeypatch):
    beats: list[object] = []
    heartbeat = journal.heartbeat
    monkeypatch.setattr(journal, "heartbeat", lambda *args: (beats.append(args), heartbeat(*args)))
    with Pulse(journal, task, 0.06, look_s=QUICK_S):
        wait_until(lambda: len(beats) >= 3, "three heartbeats")


def test_who_has_lost_the_lease_is_told_at_the_next_step_of_the_work(journal, task):
    with Pulse(journal, task, 0.03, look_s=QUICK_S) as pulse:
        journal.finish(task, Event.GIVEN_BACK, later(0))
        wait_until(lambda: lost(pulse), "the loss is told")


def test_a_journal_that_is_locked_for_a_moment_is_no_loss(journal, task, monkeypatch):
    tried: list[int] = []

    def locked(*_: object) -> None:
        tried.append(1)
        raise NodeError(JOURNAL_FAILED, error="database is locked")

    monkeypatch.setattr(journal, "heartbeat", locked)
    with Pulse(journal, task, 0.03, look_s=QUICK_S) as pulse:
        wait_until(lambda: len(tried) > 3, "it goes on trying")
        assert not lost(pulse)


def test_the_heart_is_silent_while_something_hangs_and_beats_again_after_it():
    ours, theirs = line_pair()
    hangs = threading.Event()
    hangs.set()
    with ours, theirs:
        line, parent = ChildLine(theirs), ParentLine(ours)
        asked = threading.Semaphore(0)

        def say() -> Beat | None:
            asked.release()
            return None if hangs.is_set() else Beat(state="well")

        with Heart(line, say, every_s=QUICK_S):
            for _ in range(3):
                assert asked.acquire(timeout=5)
            assert parent.beats() == []
            hangs.clear()
            wait_readable([parent], 5.0)
            assert parent.beats()[0] == Beat(state="well")
        ours.close()
        assert line.stopping.wait(5)
