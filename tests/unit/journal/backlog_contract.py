"""What every journal must say of what waits: for what, since when, and how much for each destination."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from dicomnode.faults import (
    DEVICE_OUT,
    OUTSIDE_HOURS,
    PEER_UNREACHABLE,
    PLAN_AWAITED,
    RESULTS_HELD,
    NodeError,
)
from dicomnode.journal import Backlog, Closed, Event, Journal, TaskKind, TaskRecord, TaskState, Wait
from tests.unit.journal.delivery_contract import again, stored, to_delivery
from tests.unit.journal.world import (
    NOON,
    PACS,
    STUDY,
    analyse,
    claim,
    complete,
    deliver,
    later,
    receive,
)

AWAY = NodeError(PEER_UNREACHABLE, name=PACS, host="10.0.0.1", port=104, ae_title="PACS", error="no answer")
HELD = NodeError(RESULTS_HELD, destination=PACS)
HOUR, DAY = 3600.0, 86400.0


def fail(journal: Journal, task: TaskRecord, at: datetime, error: NodeError | None = AWAY) -> None:
    journal.finish(task, Event.FAILED, at, error=error, not_before=later(2 * DAY))


def waits(journal: Journal, at: datetime = NOON) -> list[Wait]:
    return journal.waits(STUDY, at)


def to_analyse(journal: Journal, *engines: str) -> None:
    receive(journal)
    complete(journal)
    new = [analyse(engine=engine) for engine in engines]
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=new)


def _tried_twice(journal: Journal) -> None:
    fail(journal, to_delivery(journal), NOON)
    fail(journal, claim(journal, TaskKind.DELIVER, later(2 * DAY)), later(2 * DAY))


def _put_off(journal: Journal) -> None:
    task = to_delivery(journal)
    journal.finish(task, Event.GIVEN_BACK, NOON)
    why = NodeError(OUTSIDE_HOURS, name=PACS, hours="19:00-06:30")
    closed = Closed(destination=PACS, until=later(HOUR), why=why)
    journal.postpone([TaskKind.DELIVER], closed, lambda _: False, later(5))


def _held(journal: Journal) -> None:
    journal.finish(to_delivery(journal), Event.NEEDS_PERSON, later(7), error=HELD)


def _awaited(journal: Journal) -> None:
    to_analyse(journal, "lung-ct")
    error = NodeError(PLAN_AWAITED, engine="lung-ct", words="building plan 30 %")
    fail(journal, claim(journal, TaskKind.ANALYSE, later(3)), later(4), error)


def _no_device(journal: Journal) -> None:
    to_analyse(journal, "lung-ct")
    error = NodeError(DEVICE_OUT, device="GPU-1", reason="it ended 3 processes within an hour")
    fail(journal, claim(journal, TaskKind.ANALYSE, later(3)), later(4), error)


def _unconfirmed(journal: Journal) -> None:
    fail(journal, stored(journal), later(4), None)


def _to_dispatch(journal: Journal) -> None:
    receive(journal)
    complete(journal)


_CLOSED = f"{PACS} gets results from 19:00-06:30 only: they wait until then."
_PLAN = PLAN_AWAITED.text(engine="lung-ct", words="building plan 30 %")
_DEVICE = DEVICE_OUT.text(device="GPU-1", reason="it ended 3 processes within an hour")
_AWAY = AWAY.fault.text(**AWAY.values)
_HELD = RESULTS_HELD.text(destination=PACS)
_FREE = "(0 before it, 0 at work)"

Case = tuple[Callable[[Journal], object], str, float, float | None, str | None]
# What is done; what is waited for, since when, until when (seconds), with which code
CASES: dict[str, Case] = {
    "a dispatch": (_to_dispatch, f"its turn: the choice of engines {_FREE}", 0, None, None),
    "an analysis": (lambda journal: to_analyse(journal, "lung-ct"), f"a worker {_FREE}", 0, None, None),
    "a plan": (_awaited, f"its next try: {_PLAN}", 0, 2 * DAY, PLAN_AWAITED.code),
    "a device": (_no_device, f"its next try: {_DEVICE}", 0, 2 * DAY, DEVICE_OUT.code),
    "an archive": (_tried_twice, f"its next try: {_AWAY}", 0, 2 * DAY, AWAY.fault.code),
    "its hours": (_put_off, f"the hours of {PACS}: {_CLOSED}", 0, HOUR, OUTSIDE_HOURS.code),
    "a person": (_held, f"a person: {_HELD}", 7, None, RESULTS_HELD.code),
    "a word": (_unconfirmed, f"the word of {PACS} that it keeps what it stored", 0, 2 * DAY, None),
}


class BacklogContract:
    """Needs the fixture `journal`."""

    @pytest.mark.parametrize("case", CASES)
    def test_p33_each_task_that_waits_says_what_for_and_since_when(self, journal: Journal, case: str) -> None:
        do, waits_for, since_s, until_s, code = CASES[case]
        do(journal)
        (wait,) = waits(journal)
        assert (wait.waits_for, wait.since, wait.code) == (waits_for, later(since_s), code)
        assert wait.not_before == (None if until_s is None else later(until_s))

    def test_what_is_at_work_or_done_waits_for_nothing(self, journal: Journal) -> None:
        to_delivery(journal)
        assert waits(journal) == []

    def test_an_analysis_says_how_many_are_before_it(self, journal: Journal) -> None:
        to_analyse(journal, "a", "b", "c", "d")
        claim(journal, TaskKind.ANALYSE)
        assert [one.waits_for for one in waits(journal)] == [
            f"a worker ({before} before it, 1 at work)" for before in range(3)
        ]

    def test_results_that_wait_are_counted_by_destination(self, journal: Journal) -> None:
        assert journal.backlogs() == {}
        task = to_delivery(journal, objects=3)
        journal.record_delivery(task, "2.25.1.0", "stored", 0, "stored", later(1))
        fail(journal, task, later(1))
        assert journal.backlogs() == {
            PACS: Backlog(
                destination=PACS,
                waiting=2,
                since=NOON,
                next_try=later(2 * DAY),
                why=AWAY.fault.text(**AWAY.values),
            )
        }

    def test_what_a_destination_stored_and_not_confirmed_is_told_apart(self, journal: Journal) -> None:
        fail(journal, stored(journal), later(4), None)
        assert journal.backlogs() == {PACS: Backlog(destination=PACS, unconfirmed=2, unconfirmed_since=NOON)}

    @pytest.mark.parametrize(
        ("error", "field"), [(HELD, "held"), (AWAY, "for_a_person")], ids=["held", "failed"]
    )
    def test_what_a_person_is_needed_for_waits_for_no_destination(
        self, journal: Journal, error: NodeError, field: str
    ) -> None:
        journal.finish(to_delivery(journal), Event.NEEDS_PERSON, NOON, error=error)
        assert journal.backlogs() == {PACS: replace(Backlog(destination=PACS), **{field: 2})}

    def test_nothing_waits_when_all_is_stored_or_the_study_has_a_later_version(
        self, journal: Journal
    ) -> None:
        fail(journal, to_delivery(journal), NOON)
        receive(journal, 1, first=7, at=later(9))
        assert {one.state for one in journal.tasks(STUDY)} <= {TaskState.DONE, TaskState.SUPERSEDED}
        assert (journal.backlogs(), waits(journal)) == ({}, [])

    @pytest.mark.parametrize("parked", [False, True], ids=["made first", "handed back last"])
    def test_the_oldest_of_several_counts(self, journal: Journal, parked: bool) -> None:
        task = to_delivery(journal)
        if parked:
            journal.finish(task, Event.NEEDS_PERSON, NOON, error=AWAY)
        else:
            fail(journal, task, NOON)
        receive(journal, 1, study="1.2.4")
        complete(journal, "1.2.4")
        dispatch, late = claim(journal, TaskKind.DISPATCH), [replace(deliver("1.2.4"), engine="lung-ct")]
        journal.finish(dispatch, Event.COMMITTED, later(HOUR), new_tasks=late)
        journal.retry(STUDY, None, later(DAY))
        assert journal.backlogs()[PACS].since == later(HOUR if parked else 0)

    def test_a_person_who_has_it_tried_at_once_does_not_make_it_younger(self, journal: Journal) -> None:
        fail(journal, to_delivery(journal), NOON)
        journal.retry(STUDY, None, later(DAY))
        assert journal.backlogs()[PACS].since == NOON

    def test_what_waited_for_a_person_waits_for_the_destination_from_then_on(self, journal: Journal) -> None:
        journal.finish(to_delivery(journal), Event.NEEDS_PERSON, NOON, error=AWAY)
        journal.retry(STUDY, None, later(DAY))
        assert journal.backlogs()[PACS].since == later(DAY)
        fail(journal, claim(journal, TaskKind.DELIVER, later(DAY)), later(DAY + 1))
        assert [one.since for one in waits(journal)] == [later(DAY)]

    def test_what_was_held_waits_for_the_destination_since_it_was_released(self, journal: Journal) -> None:
        journal.finish(to_delivery(journal), Event.NEEDS_PERSON, NOON, error=HELD)
        journal.release_results(STUDY, None, "Dr. Roe", later(DAY))
        assert journal.backlogs()[PACS].since == later(DAY)

    def test_what_was_lost_there_waits_since_that_was_found_out(self, journal: Journal) -> None:
        task = stored(journal)
        journal.lose(task, ["2.25.1.0"], "It does not list them.", later(DAY))
        journal.finish(task, Event.COMMITTED, later(DAY), new_tasks=[again(TaskKind.DELIVER)])
        (backlog,) = journal.backlogs().values()
        assert (backlog.waiting, backlog.since) == (1, later(DAY))
