"""What every journal must do with deliveries: what is refused, confirmed, lost, held, and made again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode.faults import LEASE_LOST, RESULTS_HELD, NodeError
from dicomnode.journal import Event, Journal, NewTask, StudyState, TaskKind, TaskRecord, TaskState
from tests.unit.journal.world import (
    ENGINE,
    NOON,
    PACS,
    STUDY,
    analyse,
    claim,
    complete,
    later,
    receive,
    result,
)

SEG, GSPS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.11.1"
TRANSACTION = "2.25.77"


def again(kind: TaskKind, engine: str = ENGINE) -> NewTask:
    return NewTask(
        kind=kind, study_instance_uid=STUDY, study_version=1, engine=engine, destination=PACS, again=True
    )


def to_delivery(journal: Journal, objects: int = 2) -> TaskRecord:
    """A study whose results are being delivered to one destination, engine by engine."""
    receive(journal)
    complete(journal)
    finding = Path("/store/findings/x")
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[analyse()])
    journal.finish(
        claim(journal, TaskKind.ANALYSE),
        Event.COMMITTED,
        NOON,
        finding_path=finding,
        new_tasks=[again(TaskKind.REPORT)],
    )
    journal.finish(
        claim(journal, TaskKind.REPORT),
        Event.COMMITTED,
        NOON,
        objects=[result(n) for n in range(objects)],
        new_tasks=[again(TaskKind.DELIVER)],
    )
    return claim(journal, TaskKind.DELIVER)


def stored(journal: Journal, objects: int = 2) -> TaskRecord:
    """All of it was stored; gives the task that confirms it, claimed."""
    task = to_delivery(journal, objects)
    for one in journal.undelivered(task):
        journal.record_delivery(task, one.sop_instance_uid, "stored", 0, "stored", NOON)
    journal.finish(task, Event.COMMITTED, NOON, new_tasks=[again(TaskKind.CONFIRM)])
    return claim(journal, TaskKind.CONFIRM)


def words(journal: Journal) -> list[str]:
    return [event.text for event in journal.events(STUDY)]


class DeliveryContract:
    """Needs the fixture `journal`."""

    def test_results_are_done_when_they_are_confirmed_and_not_before(self, journal: Journal) -> None:
        task = stored(journal)
        assert journal.study(STUDY).state is StudyState.UNCONFIRMED
        waiting = journal.unconfirmed(task)
        assert [(one.stored_at, one.losses) for one in waiting] == [(NOON, 0)] * 2
        uids = [one.record.sop_instance_uid for one in waiting]
        journal.confirm(task, uids[:1], "commitment", later(1))
        assert [one.record.sop_instance_uid for one in journal.unconfirmed(task)] == uids[1:]
        journal.confirm(task, uids[1:], "query", later(1))
        journal.finish(task, Event.COMMITTED, later(2))
        assert journal.study(STUDY).state is StudyState.DONE
        by = {one.sop_instance_uid: one.confirmed_by for one in journal.deliveries(STUDY)}
        assert by == {uids[0]: "commitment", uids[1]: "query"}
        assert f"{PACS} has taken responsibility for 1 object (storage commitment)." in words(journal)
        assert f"{PACS} was asked and lists 1 object." in words(journal)

    def test_what_a_destination_lost_is_delivered_again_and_confirmed_again(self, journal: Journal) -> None:
        task = stored(journal)
        first, second = (one.record.sop_instance_uid for one in journal.unconfirmed(task))
        journal.confirm(task, [first], "query", NOON)
        journal.lose(task, [second], "It does not list it.", NOON)
        journal.finish(task, Event.COMMITTED, NOON, new_tasks=[again(TaskKind.DELIVER)])
        assert journal.study(STUDY).state is StudyState.DELIVERING
        task = claim(journal, TaskKind.DELIVER)
        assert [one.sop_instance_uid for one in journal.undelivered(task)] == [second]
        journal.record_delivery(task, second, "stored", 0, "stored", later(5))
        journal.finish(task, Event.COMMITTED, later(5), new_tasks=[again(TaskKind.CONFIRM)])
        task = claim(journal, TaskKind.CONFIRM, later(6))
        (one,) = journal.unconfirmed(task)
        assert (one.record.sop_instance_uid, one.losses, one.stored_at) == (second, 1, later(5))
        assert f"{PACS} does not have 1 object that it had stored. It does not list it." in words(journal)

    def test_a_task_is_made_again_only_where_it_is_done(self, journal: Journal) -> None:
        task = to_delivery(journal)
        journal.finish(task, Event.FAILED, NOON, not_before=later(60), new_tasks=[again(TaskKind.REPORT)])
        state = {one.kind: one.state for one in journal.tasks(STUDY)}
        assert state[TaskKind.DELIVER] is TaskState.RETRY
        assert state[TaskKind.REPORT] is TaskState.READY, "it was done"
        more = [again(TaskKind.DELIVER)]
        journal.finish(claim(journal, TaskKind.REPORT), Event.COMMITTED, NOON, new_tasks=more)
        kinds = [one.kind for one in journal.tasks(STUDY)]
        assert len(kinds) == len(set(kinds)) == 4, "no task is there twice"

    def test_other_objects_take_the_place_of_what_was_not_stored(self, journal: Journal) -> None:
        task = to_delivery(journal, objects=2)
        kept, left = (one.sop_instance_uid for one in journal.undelivered(task))
        journal.record_delivery(task, kept, "stored", 0, "stored", NOON)
        journal.finish(task, Event.COMMITTED, NOON, new_tasks=[again(TaskKind.REPORT)])
        other = result(7, "GSPS")
        task = claim(journal, TaskKind.REPORT)
        journal.finish(task, Event.COMMITTED, NOON, objects=[other], new_tasks=[again(TaskKind.DELIVER)])
        outcomes = {one.sop_instance_uid: one.outcome for one in journal.deliveries(STUDY)}
        assert outcomes == {kept: "stored", left: "replaced", other.sop_instance_uid: "wanted"}
        task = claim(journal, TaskKind.DELIVER)
        assert [one.sop_instance_uid for one in journal.undelivered(task)] == [other.sop_instance_uid]

    def test_what_was_replaced_is_wanted_again_when_it_is_made_again(self, journal: Journal) -> None:
        task = to_delivery(journal, objects=1)
        (first,) = journal.undelivered(task)
        journal.finish(task, Event.COMMITTED, NOON, new_tasks=[again(TaskKind.REPORT)])
        task = claim(journal, TaskKind.REPORT)
        more = [again(TaskKind.DELIVER), again(TaskKind.REPORT)]
        journal.finish(task, Event.COMMITTED, NOON, objects=[result(7, "GSPS")], new_tasks=more)
        journal.finish(claim(journal, TaskKind.DELIVER), Event.COMMITTED, NOON, new_tasks=[more[1]])
        task = claim(journal, TaskKind.REPORT)
        journal.finish(task, Event.COMMITTED, NOON, objects=[first], new_tasks=more[:1])
        task = claim(journal, TaskKind.DELIVER)
        assert [one.sop_instance_uid for one in journal.undelivered(task)] == [first.sop_instance_uid]

    def test_what_may_be_there_is_taken_back_there_although_another_object_replaced_it(
        self, journal: Journal
    ) -> None:
        task = to_delivery(journal, objects=2)
        lost_sight_of, never_sent = (one.sop_instance_uid for one in journal.undelivered(task))
        journal.record_delivery(task, lost_sight_of, "retry", None, "no answer", NOON)
        journal.finish(task, Event.COMMITTED, NOON, new_tasks=[again(TaskKind.REPORT)])
        task = claim(journal, TaskKind.REPORT)
        more = [again(TaskKind.DELIVER)]
        journal.finish(task, Event.COMMITTED, NOON, objects=[result(7, "GSPS")], new_tasks=more)
        journal.retract(STUDY, "113001", NOON, earlier_only=False)
        (note,) = [one for one in journal.tasks(STUDY) if one.kind is TaskKind.REPORT and one.payload]
        assert [one.sop_instance_uid for one in journal.withdrawn(note)] == [lost_sight_of]
        assert never_sent not in {one.sop_instance_uid for one in journal.withdrawn(note)}

    def test_what_somebody_rejected_is_not_asked_for_any_more(self, journal: Journal) -> None:
        task = stored(journal)
        first = journal.unconfirmed(task)[0].record.sop_instance_uid
        journal.retract(STUDY, "113001", NOON, earlier_only=False)
        assert first not in {one.record.sop_instance_uid for one in journal.unconfirmed(task)}

    def test_what_was_asked_for_a_version_that_is_superseded_is_forgotten(self, journal: Journal) -> None:
        task = stored(journal)
        journal.ask_commitment(task, TRANSACTION, NOON)
        journal.finish(task, Event.FAILED, NOON, not_before=later(3600))
        receive(journal, 9)
        assert not journal.answer_commitment(TRANSACTION, [], {}, later(1))

    def test_what_a_confirmation_learned_is_kept_for_its_next_try_alone(self, journal: Journal) -> None:
        task = stored(journal)
        journal.finish(task, Event.FAILED, NOON, not_before=NOON, payload={"late": 1})
        task = claim(journal, TaskKind.CONFIRM)
        assert task.payload == {"late": 1}
        journal.finish(task, Event.COMMITTED, NOON, new_tasks=[again(TaskKind.DELIVER)])
        more = [again(TaskKind.CONFIRM)]
        journal.finish(claim(journal, TaskKind.DELIVER), Event.COMMITTED, NOON, new_tasks=more)
        assert claim(journal, TaskKind.CONFIRM).payload == {}

    def test_a_commitment_is_answered_at_any_time_and_its_task_is_due_then(self, journal: Journal) -> None:
        task = stored(journal)
        uids = [one.record.sop_instance_uid for one in journal.unconfirmed(task)]
        assert journal.asked_commitment(task) is None
        journal.ask_commitment(task, TRANSACTION, NOON)
        journal.finish(task, Event.FAILED, NOON, not_before=later(3600))
        assert "looked for again" in words(journal)[-1]
        assert not journal.answer_commitment("2.25.78", [], {}, later(9)), "nobody asked for that"
        assert journal.answer_commitment(TRANSACTION, uids[:1], {uids[1]: 0x0112}, later(9))
        task = claim(journal, TaskKind.CONFIRM, later(10))
        asked = journal.asked_commitment(task)
        assert asked is not None
        assert (asked.answered_at, asked.committed) == (later(9), {uids[0]})
        assert asked.failed == {uids[1]: 0x0112}
        journal.settle_commitment(TRANSACTION)
        assert journal.asked_commitment(task) is None

    def test_an_answer_that_comes_before_its_task_waits_is_not_waited_for(self, journal: Journal) -> None:
        task = stored(journal)
        journal.ask_commitment(task, TRANSACTION, NOON)
        assert journal.answer_commitment(TRANSACTION, [], {}, later(1))
        journal.finish(task, Event.FAILED, later(2), not_before=later(3600))
        assert claim(journal, TaskKind.CONFIRM, later(3)).id == task.id

    def test_what_a_destination_refuses_is_remembered_for_a_time_and_until_a_person_retries(
        self, journal: Journal
    ) -> None:
        journal.note_classes(PACS, {SEG: False, GSPS: True}, NOON)
        assert journal.refused_classes(PACS, NOON) == {SEG}
        assert journal.refused_classes(PACS, NOON + timedelta(seconds=1)) == set()
        assert journal.refused_classes("other", NOON) == set()
        journal.note_classes(PACS, {SEG: True, GSPS: False}, later(1))
        assert journal.refused_classes(PACS, NOON) == {GSPS}
        task = to_delivery(journal)
        journal.finish(task, Event.FAILED, NOON, not_before=later(60))
        journal.retry(STUDY, None, NOON)
        assert journal.refused_classes(PACS, NOON) == set()

    def test_held_results_go_when_a_person_lets_them_and_the_audit_has_the_name(
        self, journal: Journal
    ) -> None:
        task = to_delivery(journal)
        held = NodeError(RESULTS_HELD, destination=PACS)
        journal.finish(task, Event.NEEDS_PERSON, NOON, error=held)
        assert journal.study(STUDY).state is StudyState.HELD
        assert journal.release_results(STUDY, "other", "Dr. Roe", NOON) == []
        assert journal.release_results(STUDY, None, "Dr. Roe", NOON) == [PACS]
        task = claim(journal, TaskKind.DELIVER)
        assert task.payload["released_by"] == "Dr. Roe"
        assert f"Dr. Roe let the results go to {PACS}." in words(journal)
        assert journal.release_results(STUDY, None, "Dr. Roe", NOON) == []

    @pytest.mark.parametrize("what", ["confirm", "lose", "ask"])
    def test_who_has_lost_a_confirmation_writes_nothing(self, journal: Journal, what: str) -> None:
        task = stored(journal)
        journal.owner_died(task.owner or "", NOON)
        claim(journal, TaskKind.CONFIRM, later(1))
        calls: dict[str, Callable[[], None]] = {
            "confirm": lambda: journal.confirm(task, ["2.25.1.0"], "query", NOON),
            "lose": lambda: journal.lose(task, ["2.25.1.0"], "", NOON),
            "ask": lambda: journal.ask_commitment(task, TRANSACTION, NOON),
        }
        with pytest.raises(NodeError) as raised:
            calls[what]()
        assert raised.value.fault is LEASE_LOST
