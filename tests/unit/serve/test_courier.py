"""When and where a courier goes: in the hours of its destination, to the sender, at its rate."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from dicomnode.faults import (
    COMMITMENT_REFUSED,
    OUTSIDE_HOURS,
    PEER_UNREACHABLE,
    QUERY_FAILED,
    RESULTS_HELD,
    SENDER_NOT_KNOWN,
    NodeError,
)
from dicomnode.journal import Event, Journal, StudyState, TaskKind, TaskRecord, TaskState
from dicomnode.net.rate import Rate
from dicomnode.serve.deciding.plan import confirm_task
from dicomnode.serve.results import courier as courier_room
from dicomnode.serve.results.courier import Courier
from dicomnode.serve.work.carry import carry_out
from dicomnode.settings import DestinationSettings, Settings
from tests.unit.journal.delivery_contract import to_delivery
from tests.unit.journal.world import NOON, PACS, STUDY, Ids, complete, instance, until_delivery

DAY = DestinationSettings(name=PACS, ae_title="PACS", host="127.0.0.1", confirm="status", hours="08:00-17:00")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
WALL = TODAY + timedelta(hours=20)  # what the clock on the wall shows


@pytest.fixture
def evening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier_room, "_wall", lambda: WALL)


def courier(journal: Journal, destination: DestinationSettings) -> Courier:
    return Courier(Settings(destination=(destination,)), destination, journal, threading.Event())


def waiting(journal: Journal, address: str = "10.0.0.7") -> None:
    image = instance(1)
    journal.add_instances([(replace(image, sender=replace(image.sender, address=address)), Ids())], NOON)
    complete(journal)
    until_delivery(journal)


def delivery(journal: Journal) -> TaskRecord:
    (task,) = (one for one in journal.tasks(STUDY) if one.kind is TaskKind.DELIVER)
    return task


def test_outside_its_hours_a_destination_gets_nothing_and_the_study_says_why(
    journal: Journal, evening: None
) -> None:
    waiting(journal)
    assert courier(journal, DAY)._claim() is None
    task = delivery(journal)
    assert (task.state, task.error_code, task.attempt) == (TaskState.RETRY, OUTSIDE_HOURS.code, 0)
    opens = (TODAY + timedelta(days=1, hours=8)).astimezone(UTC)
    assert task.not_before == opens
    assert "08:00-17:00" in (journal.study(STUDY).reason or "")


def test_in_its_hours_it_gets_what_waits(journal: Journal, evening: None) -> None:
    waiting(journal)
    task = courier(journal, replace(DAY, hours="19:00-06:00"))._claim()
    assert task is not None
    assert task.kind is TaskKind.DELIVER


def test_what_is_to_be_held_is_held_at_any_hour_and_waits_for_the_hours_when_it_is_let_go(
    journal: Journal, evening: None
) -> None:
    waiting(journal)
    clerk = courier(journal, replace(DAY, hold=True))
    task = clerk._claim()
    assert task is not None
    carry_out(task, clerk.work, journal, 60)
    assert delivery(journal).error_code == RESULTS_HELD.code
    assert journal.study(STUDY).state is StudyState.HELD
    assert journal.release_results(STUDY, None, "Dr. Roe", datetime.now(UTC)) == [PACS]
    assert clerk._claim() is None
    assert delivery(journal).error_code == OUTSIDE_HOURS.code


def _asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What routes are asked for; they take nothing."""
    asked: list[dict[str, object]] = []

    def route_to(destination: DestinationSettings, calling_ae: str, **more: object) -> object:
        asked.append({"destination": destination, "calling_ae": calling_ae, **more})
        return SimpleNamespace(send=lambda files, **_: [])

    monkeypatch.setattr(courier_room, "route_to", route_to)
    monkeypatch.setattr(Journal, "undelivered", lambda *_: [])
    return asked


def test_results_go_back_to_who_sent_the_study(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting(journal)
    asked = _asked(monkeypatch)
    back = DestinationSettings(name=PACS, to_sender=True, port=11112, confirm="status")
    clerk = courier(journal, back)
    task = clerk._claim()
    assert task is not None
    carry_out(task, clerk.work, journal, 60)
    (one,) = asked
    assert (one["sender"].calling_ae, one["sender"].address) == ("CT1", "10.0.0.7")  # type: ignore[attr-defined]
    assert delivery(journal).state is TaskState.DONE


def test_where_nobody_knows_who_sent_it_a_person_is_needed(journal: Journal) -> None:
    waiting(journal, address="")
    clerk = courier(journal, DestinationSettings(name=PACS, to_sender=True, confirm="status"))
    task = clerk._claim()
    assert task is not None
    carry_out(task, clerk.work, journal, 60)
    task = delivery(journal)
    assert (task.state, task.error_code) == (TaskState.PARKED, SENDER_NOT_KNOWN.code)


def test_one_rate_holds_for_all_that_a_destination_gets(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting(journal)
    asked = _asked(monkeypatch)
    clerk = courier(journal, replace(DAY, hours="", rate_mb_s=0.5))
    task = clerk._claim()
    assert task is not None
    for _ in range(2):
        carry_out(task, clerk.work, journal, 60)
    rates = [one["rate"] for one in asked]
    assert isinstance(rates[0], Rate)
    assert rates[0].mb_s == 0.5
    assert rates[0] is rates[-1]
    assert len(rates) == 2


def confirming(journal: Journal, confirm: str) -> Courier:
    """A courier, and results that its destination has stored and that are to be confirmed."""
    task = to_delivery(journal)
    for one in journal.undelivered(task):
        journal.record_delivery(task, one.sop_instance_uid, "stored", 0, "stored", NOON)
    journal.finish(task, Event.COMMITTED, NOON, new_tasks=[confirm_task(task)])
    return courier(journal, replace(DAY, hours="", confirm=confirm))


def confirmed(journal: Journal, clerk: Courier, at: datetime) -> TaskRecord:
    """The confirmation, tried once."""
    task = journal.claim([TaskKind.CONFIRM], "w1", 60, at)
    assert task is not None
    carry_out(task, clerk.work, journal, 60)
    (found,) = (one for one in journal.tasks(STUDY) if one.kind is TaskKind.CONFIRM)
    return found


LATER = datetime(9999, 1, 1, tzinfo=UTC)
AWAY = NodeError(PEER_UNREACHABLE, name=PACS, host="h", port=104, ae_title="PACS", error="connection refused")
UNSURE = NodeError(QUERY_FAILED, name=PACS, request="C-FIND", reason="no answer", calling_ae="DICOMNODE")
REFUSED = NodeError(COMMITMENT_REFUSED, name=PACS, reason="it does not offer it")


def raising(monkeypatch: pytest.MonkeyPatch, commitment: NodeError, query: NodeError) -> None:
    """A destination that fails like that."""

    def ask_commitment(*_: object) -> None:
        raise commitment

    def lists(*_: object) -> None:
        raise query

    route = SimpleNamespace(ask_commitment=ask_commitment, lists=lists)
    monkeypatch.setattr(courier_room, "route_to", lambda *_, **__: route)


@pytest.mark.parametrize("confirm", ["auto", "commitment", "query"])
def test_a_destination_that_is_away_when_it_is_to_confirm_is_asked_for_as_long_as_that_takes(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, confirm: str
) -> None:
    clerk = confirming(journal, confirm)
    raising(monkeypatch, AWAY, AWAY)
    for _ in range(12):
        task = confirmed(journal, clerk, LATER)
        assert (task.state, task.error_code) == (TaskState.RETRY, PEER_UNREACHABLE.code)
    wait_s = (task.not_before - datetime.now(UTC)).total_seconds()
    assert 0.75 * DAY.retry_longest_s < wait_s <= DAY.retry_longest_s
    assert journal.study(STUDY).state is StudyState.UNCONFIRMED


def test_a_question_that_is_not_answered_is_asked_again_before_the_answer_to_the_sending_must_do(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = confirming(journal, "auto")
    raising(monkeypatch, UNSURE, UNSURE)
    # Three times by commitment, and three times by query
    states = [confirmed(journal, clerk, LATER).state for _ in range(5)]
    assert states == [TaskState.RETRY] * 4 + [TaskState.DONE]
    assert {one.confirmed_by for one in journal.deliveries(STUDY)} == {"status"}


def test_what_is_not_offered_is_known_at_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    clerk = confirming(journal, "commitment")
    raising(monkeypatch, REFUSED, UNSURE)
    task = confirmed(journal, clerk, LATER)
    assert (task.state, task.error_code) == (TaskState.PARKED, COMMITMENT_REFUSED.code)


def test_the_clock_on_the_wall_is_that_of_this_machine() -> None:
    wall = courier_room._wall()
    assert wall.tzinfo is None
    assert abs(wall.astimezone(UTC) - datetime.now(UTC)) < timedelta(minutes=1)
