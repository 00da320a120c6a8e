"""What every journal must do with tasks: claim, lease, fence, retry."""

from __future__ import annotations

import pickle

import pytest

from dicomnode.faults import (
    KILLED_ITS_WORKER,
    LEASE_LOST,
    NETWORK_FAILED,
    SEARCH_LOST,
    STORE_REFUSED,
    Fault,
    NodeError,
)
from dicomnode.journal import (
    ASKS,
    GIVEN_UP,
    PRIORS,
    Event,
    IllegalTransition,
    Journal,
    NewTask,
    StudyState,
    TaskKind,
    TaskState,
)
from tests.unit.journal.world import (
    ENGINE,
    NOON,
    PACS,
    STUDY,
    analyse,
    claim,
    complete,
    deliver,
    later,
    receive,
    report,
    result,
    until_delivery,
)

BROKEN = NodeError(NETWORK_FAILED, engine=ENGINE, error="no memory")


class TaskContract:
    """Needs the fixture `journal`."""

    def test_the_same_task_twice_is_one(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(
            claim(journal, TaskKind.DISPATCH),
            Event.COMMITTED,
            NOON,
            new_tasks=[analyse(), analyse(), report()],
        )
        journal.finish(claim(journal, TaskKind.ANALYSE), Event.COMMITTED, NOON, new_tasks=[report()])
        assert [task.kind for task in journal.tasks(STUDY)] == ["dispatch", "analyse", "report"]
        assert journal.tasks(STUDY, states=[TaskState.READY])[0].kind is TaskKind.REPORT

    def test_a_claimed_task_says_all_that_a_worker_needs(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, later(1), new_tasks=[analyse()])
        task = claim(journal, TaskKind.ANALYSE, later(2), owner="worker-0")
        assert (task.study_instance_uid, task.study_version, task.engine, task.destination) == (
            STUDY,
            1,
            ENGINE,
            None,
        )
        assert task.payload == {"series": f"{STUDY}.1", "stack": 0, "score": 0.5, "note": None}
        assert (task.state, task.attempt, task.fence, task.owner) == (TaskState.RUNNING, 1, 1, "worker-0")
        assert task.created_at == later(1)
        assert pickle.loads(pickle.dumps(task)) == task

    def test_nothing_is_claimed_twice_nor_of_another_kind(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        assert journal.claim([TaskKind.ANALYSE], "w", 60, NOON) is None
        claim(journal, TaskKind.DISPATCH)
        assert journal.claim(list(TaskKind), "w", 60, NOON) is None

    def test_the_highest_priority_is_first_then_the_oldest(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        new = [
            NewTask(
                kind=TaskKind.ANALYSE,
                study_instance_uid=STUDY,
                study_version=1,
                engine=name,
                priority=priority,
            )
            for name, priority in (("a", 0), ("b", 5), ("c", 5), ("d", -1))
        ]
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=new)
        assert [claim(journal, TaskKind.ANALYSE).engine for _ in new] == ["b", "c", "a", "d"]

    def test_a_worker_of_one_destination_gets_its_tasks_only(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal, destinations=(PACS, "PACS2"))
        assert journal.claim([TaskKind.DELIVER], "w", 60, NOON, destination="PACS3") is None
        task = journal.claim([TaskKind.DELIVER], "w", 60, NOON, destination="PACS2")
        assert task is not None
        assert task.destination == "PACS2"

    def test_a_failed_task_is_claimed_again_when_its_time_has_come(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        first = claim(journal, TaskKind.DISPATCH)
        journal.finish(first, Event.FAILED, NOON, error=BROKEN, not_before=later(10))
        (task,) = journal.tasks(STUDY)
        assert (task.state, task.not_before, task.owner) == (TaskState.RETRY, later(10), None)
        assert (task.error_code, task.error_text) == (
            "DN-4006",
            "The network of engine lung-ct failed: no memory.",
        )
        assert journal.study(STUDY).reason == task.error_text
        assert journal.next_due(NOON) == later(10)
        assert journal.next_due(later(20)) == later(20)
        assert journal.claim([TaskKind.DISPATCH], "w", 60, later(9.999)) is None
        second = claim(journal, TaskKind.DISPATCH, later(10))
        assert (second.attempt, second.fence) == (2, 2)
        journal.finish(second, Event.COMMITTED, later(11), new_tasks=[analyse()])
        assert journal.tasks(STUDY)[0].error_code is None
        assert journal.study(STUDY).reason is None

    def test_a_stale_fence_changes_nothing(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal)
        slept = claim(journal, TaskKind.DELIVER, lease_s=10)
        awake = claim(journal, TaskKind.DELIVER, later(11), owner="w2")
        assert (awake.id, awake.fence, awake.attempt) == (slept.id, 2, 2)
        before = (journal.tasks(), journal.deliveries(STUDY), journal.events(STUDY), journal.studies())
        for write in (
            lambda: journal.heartbeat(slept, 60, later(12), ("sending", 1, 2)),
            lambda: journal.record_delivery(slept, "2.25.1.0", "stored", 0, "", later(12)),
            lambda: journal.finish(
                slept, Event.COMMITTED, later(12), objects=[result(9)], new_tasks=[deliver(destination="X")]
            ),
            lambda: journal.finish(slept, Event.FAILED, later(12), error=BROKEN),
        ):
            with pytest.raises(NodeError) as caught:
                write()
            assert caught.value.fault is LEASE_LOST
        assert (
            journal.tasks(),
            journal.deliveries(STUDY),
            journal.events(STUDY),
            journal.studies(),
        ) == before
        journal.record_delivery(awake, "2.25.1.0", "stored", 0, "", later(13))
        journal.finish(awake, Event.FAILED, later(13))

    def test_a_worker_whose_lease_has_ended_keeps_its_work_while_nobody_else_has_it(
        self, journal: Journal
    ) -> None:
        receive(journal)
        complete(journal)
        task = claim(journal, TaskKind.DISPATCH, lease_s=10)
        journal.finish(task, Event.COMMITTED, later(100), new_tasks=[analyse()])
        assert journal.study(STUDY).state is StudyState.QUEUED

    def test_a_heartbeat_makes_the_lease_longer_and_shows_the_progress(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[analyse()])
        task = claim(journal, TaskKind.ANALYSE, lease_s=10)
        journal.heartbeat(task, 10, later(9), ("inference window", 3, 27))
        assert journal.study(STUDY).progress == ("inference window", 3, 27)
        journal.heartbeat(task, 10, later(9.5))
        assert journal.study(STUDY).progress == ("inference window", 3, 27)
        assert journal.claim([TaskKind.ANALYSE], "w2", 10, later(19)) is None
        assert journal.next_due(NOON) == later(19.5)
        journal.finish(task, Event.FAILED, later(19))
        assert journal.study(STUDY).progress is None

    def test_the_third_lost_worker_parks_the_task(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        for turn in range(3):
            claim(journal, TaskKind.DISPATCH, later(turn * 100), lease_s=10)
        assert journal.claim([TaskKind.DISPATCH], "w", 10, later(300)) is None
        (task,) = journal.tasks(STUDY)
        assert (task.state, task.attempt, task.error_code) == (TaskState.PARKED, 3, KILLED_ITS_WORKER.code)
        study = journal.study(STUDY)
        assert study.state is StudyState.FAILED
        assert study.reason == f"Task {task.id} ended its process 3 times; it is parked."

    @pytest.mark.parametrize("fault", [NETWORK_FAILED, SEARCH_LOST], ids=["failed", "lost"])
    def test_a_search_for_priors_is_never_parked_its_analysis_follows(
        self, journal: Journal, fault: Fault
    ) -> None:
        receive(journal)
        complete(journal)
        search = NewTask(
            kind=TaskKind.FETCH,
            study_instance_uid=STUDY,
            study_version=1,
            engine=ENGINE,
            destination="archives",
            payload={ASKS: PRIORS, "stack": 2},
            priority=7,
        )
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[search])
        if fault is NETWORK_FAILED:
            journal.finish(claim(journal, TaskKind.FETCH), Event.NEEDS_PERSON, NOON, error=BROKEN)
        else:
            for turn in range(3):
                claim(journal, TaskKind.FETCH, later(turn * 100), lease_s=10)
            assert journal.claim([TaskKind.FETCH], "w", 10, later(300)) is None
        *_, search_task, analysis = journal.tasks(STUDY)
        assert (search_task.state, search_task.error_code) == (TaskState.DONE, fault.code)
        assert (analysis.kind, analysis.engine, analysis.priority) == (TaskKind.ANALYSE, ENGINE, 7)
        assert (analysis.payload["stack"], analysis.payload[GIVEN_UP]) == (2, search_task.error_text)
        assert journal.study(STUDY).state is StudyState.QUEUED
        assert [event.what for event in journal.events(STUDY)].count("fetch.given_up") == 1

    def test_a_question_for_a_count_is_parked_as_any_other_task(self, journal: Journal) -> None:
        receive(journal)
        journal.ask_sources(journal.study(STUDY), [PACS], NOON)
        journal.finish(claim(journal, TaskKind.FETCH), Event.NEEDS_PERSON, NOON, error=BROKEN)
        assert [(one.kind, one.state) for one in journal.tasks(STUDY)] == [(TaskKind.FETCH, TaskState.PARKED)]

    def test_a_try_that_ends_in_words_is_no_lost_worker(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        for turn in range(5):
            claim(journal, TaskKind.DISPATCH, later(turn * 100), lease_s=10)
            task = claim(journal, TaskKind.DISPATCH, later(turn * 100 + 50), lease_s=10)
            journal.finish(task, Event.FAILED, later(turn * 100 + 51))
        assert journal.tasks(STUDY)[0].state is TaskState.RETRY

    def test_the_leases_of_a_worker_known_to_be_dead_end_at_once(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        claim(journal, TaskKind.DISPATCH, owner="w1", lease_s=1000)
        assert journal.claim([TaskKind.DISPATCH], "w2", 60, later(1)) is None
        assert journal.owner_died("w9", later(1)) == 0
        assert journal.owner_died("w1", later(1)) == 1
        assert claim(journal, TaskKind.DISPATCH, later(1), owner="w2").fence == 2

    def test_a_task_given_back_is_ready_at_once(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.GIVEN_BACK, NOON)
        assert journal.tasks(STUDY)[0].state is TaskState.READY
        claim(journal, TaskKind.DISPATCH)

    @pytest.mark.parametrize(
        "event", sorted(set(Event) - {"committed", "failed", "needs_person", "given_back"})
    )
    def test_a_worker_cannot_end_a_task_with_what_is_not_its_to_say(
        self, journal: Journal, event: Event
    ) -> None:
        receive(journal)
        complete(journal)
        task = claim(journal, TaskKind.DISPATCH)
        with pytest.raises(IllegalTransition):
            journal.finish(task, event, NOON)
        assert journal.tasks(STUDY)[0].state is TaskState.RUNNING

    def test_a_person_can_ask_for_another_try(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal, destinations=(PACS, "PACS2"))
        refused = NodeError(
            STORE_REFUSED,
            name=PACS,
            sop_class="SEG",
            sop_instance_uid="2.25.1.0",
            status=0xA900,
            meaning="no match",
        )
        for name, event in ((PACS, Event.NEEDS_PERSON), ("PACS2", Event.FAILED)):
            task = journal.claim([TaskKind.DELIVER], "w", 60, NOON, destination=name)
            assert task is not None
            journal.finish(task, event, NOON, error=refused, not_before=later(1000))
        assert journal.retry("1.9", None, NOON) == 0
        assert journal.retry(STUDY, "PACS2", NOON) == 1
        assert journal.retry(None, PACS, NOON) == 1
        assert journal.retry(None, None, NOON) == 0  # what is ready needs no retry
        task = claim(journal, TaskKind.DELIVER)
        assert (task.attempt, task.state) == (1, TaskState.RUNNING)

    def test_when_nothing_waits_nothing_is_due(self, journal: Journal) -> None:
        assert journal.next_due(NOON) is None
        receive(journal)
        complete(journal)
        assert journal.next_due(later(5)) == later(5)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.NEEDS_PERSON, NOON)
        assert journal.next_due(NOON) is None
