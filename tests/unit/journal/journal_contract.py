"""What every journal must do, whatever database it lies in. A new database is one subclass with `url`."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from dicomnode.faults import (
    KILLED_ITS_WORKER,
    LEASE_LOST,
    NETWORK_FAILED,
    NO_ENGINE_WANTS,
    STORE_REFUSED,
    STUDY_NOT_FOUND,
    NodeError,
)
from dicomnode.journal import (
    Event,
    FindingRecord,
    IllegalTransition,
    Journal,
    NewDelivery,
    NewTask,
    StudyState,
    TaskKind,
    TaskRecord,
    TaskState,
)
from tests.unit.journal.world import (
    ENGINE,
    NOON,
    PACS,
    STUDY,
    Ids,
    analyse,
    claim,
    complete,
    deliver,
    instance,
    later,
    receive,
    report,
    result,
    until_delivery,
    verdict,
)

BROKEN = NodeError(NETWORK_FAILED, engine=ENGINE, error="no memory")


def claim_all(url: str, owner: str, kinds: Sequence[TaskKind]) -> list[int]:
    """Claim and finish until nothing is left; give the ids (run in threads and processes)."""
    done: list[int] = []
    with Journal.open(url) as journal:
        while (task := journal.claim(kinds, owner, 60, NOON)) is not None:
            done.append(task.id)
            journal.finish(task, Event.COMMITTED, NOON)
    return done


class JournalContract:
    """The contract; a subclass gives the fixture `url` of an empty database."""

    @pytest.fixture
    def journal(self, url: str) -> Iterator[Journal]:
        with Journal.open(url) as journal:
            yield journal

    # ── instances and studies ──

    def test_instances_come_back_as_they_were(self, journal: Journal) -> None:
        items = [instance(n, at=later(n), series=n % 2) for n in range(3)]
        journal.add_instances([(item, Ids()) for item in reversed(items)], NOON)
        assert journal.instances(STUDY) == items

    def test_a_study_is_counted_and_named(self, journal: Journal) -> None:
        journal.add_instances([(instance(1, at=later(5)), Ids(accession_number=""))], NOON)
        journal.add_instances(
            [(instance(2, series=2, at=later(1)), Ids(modality="SR")), (instance(3, at=later(9)), Ids())],
            later(9),
        )
        study = journal.study(STUDY)
        assert study.state is StudyState.RECEIVING
        assert (study.instances, study.series, study.modalities) == (3, 2, ("CT", "SR"))
        assert (study.accession_number, study.calling_ae, study.version) == ("A17", "CT1", 1)
        assert (study.first_received_at, study.last_received_at) == (later(5), later(9))
        assert (study.complete_evidence, study.reason, study.progress) == (None, None, None)

    def test_times_of_other_zones_are_the_same_instants(self, journal: Journal) -> None:
        east = timezone(timedelta(hours=5, minutes=30))
        receive(journal, 1, study="1.1", at=later(0).astimezone(east))
        receive(journal, 1, study="1.2", at=later(1))
        assert journal.study("1.1").last_received_at == later(0)
        assert journal.study("1.1").last_received_at.utcoffset() == timedelta(0)
        assert [s.study_instance_uid for s in journal.quiet_studies(later(0.5).astimezone(east))] == ["1.1"]

    def test_adding_instances_again_changes_nothing(self, journal: Journal) -> None:
        receive(journal)
        before = (journal.studies(), journal.instances(STUDY), journal.events(STUDY))
        receive(journal)
        journal.add_instances([(instance(0), Ids()), (instance(0), Ids())], later(5))
        journal.add_instances([], NOON)
        assert (journal.studies(), journal.instances(STUDY), journal.events(STUDY)) == before

    def test_a_large_group_is_entered_whole(self, journal: Journal) -> None:
        items = [(instance(n), Ids()) for n in range(1203)]
        journal.add_instances(items, NOON)
        journal.add_instances(items, NOON)
        assert journal.study(STUDY).instances == 1203

    def test_a_study_is_found_by_uid_or_accession_number(self, journal: Journal) -> None:
        receive(journal, study="1.1", at=later(0))
        receive(journal, study="1.2", at=later(1))
        assert journal.study("1.1").study_instance_uid == "1.1"
        assert journal.study("A17").study_instance_uid == "1.2"  # the later one
        for nothing in ("1.9", ""):
            with pytest.raises(NodeError) as caught:
                journal.study(nothing)
            assert caught.value.fault is STUDY_NOT_FOUND

    def test_studies_are_listed_with_the_last_received_first(self, journal: Journal) -> None:
        for number in (2, 0, 1):
            receive(journal, study=f"1.{number}", at=later(number))
        assert [study.study_instance_uid for study in journal.studies()] == ["1.2", "1.1", "1.0"]
        assert [study.study_instance_uid for study in journal.studies(limit=1)] == ["1.2"]

    def test_the_same_uid_in_another_study_is_another_instance_and_is_noted(self, journal: Journal) -> None:
        receive(journal, 2, study="1.1")
        receive(journal, 2, study="1.2")
        assert journal.study("1.1").instances == journal.study("1.2").instances == 2
        (event,) = [event for event in journal.events("1.2") if event.what == "study.namesakes"]
        assert event.text == "2 images of it came before in study 1.1, under the same UIDs."

    # ── completeness ──

    def test_a_study_is_quiet_when_nothing_came_nor_was_entered_since(self, journal: Journal) -> None:
        receive(journal, study="1.1", at=later(0))
        receive(journal, study="1.2", at=later(10))
        journal.add_instances([(instance(1, study="1.3", at=later(0)), Ids())], later(10))  # entered late
        assert [study.study_instance_uid for study in journal.quiet_studies(later(5))] == ["1.1"]
        assert len(journal.quiet_studies(later(11))) == 3
        assert journal.quiet_studies(later(0)) == []

    def test_completing_a_study_makes_its_dispatch_task(self, journal: Journal) -> None:
        receive(journal)
        assert complete(journal) == 1
        study = journal.study(STUDY)
        assert study.state is StudyState.COMPLETE
        assert study.complete_evidence == "nothing new came for 60 s"
        (task,) = journal.tasks(STUDY)
        assert (task.kind, task.state, task.study_version) == (TaskKind.DISPATCH, TaskState.READY, 1)
        assert journal.quiet_studies(later(100)) == []

    def test_a_study_is_completed_once(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        assert journal.complete_study(STUDY, "again", NOON) is None
        assert len(journal.tasks(STUDY)) == 1

    def test_a_study_is_not_completed_when_something_came_meanwhile(self, journal: Journal) -> None:
        receive(journal, at=later(0))
        assert len(journal.quiet_studies(later(60))) == 1
        receive(journal, 1, first=7, at=later(61))
        assert journal.complete_study(STUDY, "quiet", later(62), quiet_before=later(60)) is None
        assert journal.tasks(STUDY) == []
        assert journal.complete_study(STUDY, "quiet", later(200), quiet_before=later(140)) == 1

    def test_completing_an_unknown_study_is_a_fault(self, journal: Journal) -> None:
        with pytest.raises(NodeError) as caught:
            journal.complete_study("1.9", "quiet", NOON)
        assert caught.value.fault is STUDY_NOT_FOUND

    def test_an_instance_after_completion_begins_a_new_version(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(
            claim(journal, TaskKind.DISPATCH),
            Event.COMMITTED,
            NOON,
            new_tasks=[analyse(), analyse(engine="liver")],
        )
        running = claim(journal, TaskKind.ANALYSE)
        receive(journal, 2, first=10, at=later(100))
        study = journal.study(STUDY)
        assert (study.state, study.version, study.instances) == (StudyState.RECEIVING, 2, 5)
        assert study.complete_evidence is None
        states = {task.kind + ":" + (task.engine or ""): task.state for task in journal.tasks(STUDY)}
        assert states == {
            "dispatch:": TaskState.DONE,
            "analyse:lung-ct": TaskState.SUPERSEDED,
            "analyse:liver": TaskState.SUPERSEDED,
        }
        with pytest.raises(NodeError) as caught:  # its worker hears of it, and changes nothing
            journal.finish(running, Event.COMMITTED, later(101), finding_path=Path("/x"))
        assert caught.value.fault is LEASE_LOST
        assert journal.findings(STUDY) == []
        assert complete(journal, at=later(200)) == 2
        assert claim(journal, TaskKind.DISPATCH, later(200)).study_version == 2

    def test_an_instance_that_is_known_begins_no_new_version(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        receive(journal, at=later(100))
        assert journal.study(STUDY).version == 1

    # ── tasks ──

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

    # ── what work makes ──

    def test_the_states_of_a_study_on_its_way(self, journal: Journal) -> None:
        def state() -> StudyState:
            return journal.study(STUDY).state

        receive(journal)
        seen = [state()]
        complete(journal)
        seen.append(state())
        task = claim(journal, TaskKind.DISPATCH)
        journal.finish(task, Event.COMMITTED, NOON, new_tasks=[analyse()], verdicts=[verdict()])
        seen.append(state())
        task = claim(journal, TaskKind.ANALYSE)
        seen.append(state())
        journal.finish(task, Event.COMMITTED, NOON, finding_path=Path("/f"), new_tasks=[report()])
        task = claim(journal, TaskKind.REPORT)
        seen.append(state())
        journal.finish(task, Event.COMMITTED, NOON, objects=[result(0)], new_tasks=[deliver()])
        seen.append(state())
        task = claim(journal, TaskKind.DELIVER)
        journal.record_delivery(task, "2.25.1.0", "stored", 0, "", NOON)
        journal.finish(task, Event.COMMITTED, NOON)
        seen.append(state())
        assert seen == ["receiving", "complete", "queued", "analysing", "analysing", "delivering", "done"]
        told = [event.what for event in journal.events(STUDY) if event.what.startswith("study.")]
        assert told == [
            f"study.{word}" for word in ("receiving", "complete", "queued", "analysing", "delivering", "done")
        ]

    def test_a_study_that_no_engine_wants_is_refused_with_the_reason(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(
            claim(journal, TaskKind.DISPATCH),
            Event.COMMITTED,
            NOON,
            error=NodeError(NO_ENGINE_WANTS),
            verdicts=[verdict(chosen=False)],
        )
        study = journal.study(STUDY)
        assert (study.state, study.reason) == (StudyState.REFUSED, "No engine wants this study.")
        assert journal.verdicts(STUDY) == [verdict(chosen=False)]

    def test_verdicts_of_a_second_try_replace_those_of_the_first(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(
            claim(journal, TaskKind.DISPATCH), Event.FAILED, NOON, verdicts=[verdict(chosen=False)]
        )
        journal.finish(
            claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, verdicts=[verdict(), verdict(stack=1)]
        )
        assert journal.verdicts(STUDY) == [verdict(), verdict(stack=1)]

    def test_the_first_committed_findings_win(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[analyse()])
        journal.finish(claim(journal, TaskKind.ANALYSE), Event.FAILED, NOON, finding_path=Path("/first"))
        journal.finish(claim(journal, TaskKind.ANALYSE), Event.COMMITTED, NOON, finding_path=Path("/second"))
        assert journal.findings(STUDY) == [FindingRecord(ENGINE, 1, Path("/first"))]
        assert journal.findings(STUDY) == [(ENGINE, 1, Path("/first"))]

    def test_each_destination_shall_get_each_object(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal, objects=2, destinations=(PACS, "PACS2"))
        assert journal.objects(STUDY) == journal.objects(STUDY, 1) == [result(0), result(1)]
        assert journal.objects(STUDY, 2) == []
        for _ in range(2):
            assert journal.undelivered(claim(journal, TaskKind.DELIVER)) == [result(0), result(1)]
        assert Counter(record.destination for record in journal.deliveries(STUDY)) == {PACS: 2, "PACS2": 2}

    def test_a_destination_may_want_some_objects_only(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[report()])
        journal.finish(
            claim(journal, TaskKind.REPORT),
            Event.COMMITTED,
            NOON,
            objects=[result(0), result(1, "SR")],
            new_tasks=[deliver()],
            deliveries=[NewDelivery(destination=PACS, sop_instance_uid="2.25.1.1")],
        )
        assert journal.undelivered(claim(journal, TaskKind.DELIVER)) == [result(1, "SR")]

    def test_what_is_stored_is_not_sent_again_and_what_is_not_is(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal, objects=3)
        task = claim(journal, TaskKind.DELIVER)
        journal.record_delivery(task, "2.25.1.0", "stored", 0x0000, "", NOON)
        journal.record_delivery(task, "2.25.1.1", "retry", 0xA700, "Out of resources.", NOON)
        journal.record_delivery(task, "2.25.1.2", "refused", 0xA900, "Does not match.", NOON)
        assert journal.undelivered(task) == [result(1), result(2)]
        journal.finish(task, Event.FAILED, NOON, not_before=later(10))
        assert journal.study(STUDY).state is StudyState.DELIVERING
        again = claim(journal, TaskKind.DELIVER, later(10))
        assert journal.undelivered(again) == [result(1), result(2)]
        rows = {
            row.sop_instance_uid: (row.outcome, row.status, row.text) for row in journal.deliveries(STUDY)
        }
        assert rows == {
            "2.25.1.0": ("stored", 0, ""),
            "2.25.1.1": ("retry", 0xA700, "Out of resources."),
            "2.25.1.2": ("refused", 0xA900, "Does not match."),
        }

    def test_a_study_is_not_done_before_every_object_is_stored_everywhere(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal, objects=1, destinations=(PACS, "PACS2"))
        first, second = (claim(journal, TaskKind.DELIVER) for _ in range(2))
        journal.record_delivery(first, "2.25.1.0", "stored", 0, "", NOON)
        journal.finish(first, Event.COMMITTED, NOON)
        assert journal.study(STUDY).state is StudyState.DELIVERING
        journal.finish(second, Event.COMMITTED, NOON)  # says that it is done, and has not stored the object
        assert journal.study(STUDY).state is StudyState.UNCONFIRMED

    def test_an_answer_on_an_object_that_was_not_to_be_sent_is_a_bug_of_the_caller(
        self, journal: Journal
    ) -> None:
        receive(journal)
        complete(journal)
        until_delivery(journal)
        with pytest.raises(ValueError, match="was not to get"):
            journal.record_delivery(claim(journal, TaskKind.DELIVER), "1.2.9", "stored", 0, "", NOON)

    def test_a_finish_is_whole_or_not_at_all(self, journal: Journal) -> None:
        """The process may be killed between any two lines: here it is, after the first object."""

        class Killed(BaseException):
            pass

        def objects() -> Iterator[object]:
            yield result(0)
            raise Killed

        receive(journal)
        complete(journal)
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[report()])
        task = claim(journal, TaskKind.REPORT)
        before = (journal.tasks(), journal.events(STUDY), journal.studies())
        with pytest.raises(Killed):
            journal.finish(
                task,
                Event.COMMITTED,
                NOON,
                finding_path=Path("/x"),
                verdicts=[verdict()],
                objects=objects(),  # type: ignore[arg-type]
                new_tasks=[deliver()],
                deliveries=[],
            )
        assert (journal.tasks(), journal.events(STUDY), journal.studies()) == before
        assert journal.objects(STUDY) == []
        assert journal.findings(STUDY) == []
        assert journal.verdicts(STUDY) == []
        journal.finish(task, Event.COMMITTED, NOON, objects=[result(0)], new_tasks=[deliver()])
        assert journal.objects(STUDY) == [result(0)]

    def test_every_change_is_told_in_a_sentence(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        task = claim(journal, TaskKind.DISPATCH)
        journal.finish(task, Event.FAILED, NOON, error=BROKEN, not_before=later(10))
        journal.finish(
            claim(journal, TaskKind.DISPATCH, later(10)), Event.COMMITTED, later(11), new_tasks=[analyse()]
        )
        receive(journal, 1, first=9, at=later(20))
        events = journal.events(STUDY)
        assert [event.text for event in events] == [
            "The first image of the study came from CT1.",
            "The study is complete: 3 images in 1 series; nothing new came for 60 s.",
            "The choice of engines has started (try 1).",
            f"The choice of engines has failed and is tried again after 12:00:10 UTC. {BROKEN}",
            "The choice of engines has started (try 2).",
            "The choice of engines has ended.",
            "The study waits for its analysis.",
            "The analysis by engine lung-ct is not needed any more: more images have come.",
            "One more image has come after the study was complete: version 2 begins.",
        ]
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert events[3].facts == {"task": task.id, "attempt": 1, "code": "DN-4006"}

    # ── many at once ──

    def fill(self, journal: Journal, count: int) -> None:
        receive(journal)
        complete(journal)
        new = [analyse(engine=f"engine-{n}") for n in range(count)]
        journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=new)

    def test_threads_claim_each_task_once(self, journal: Journal) -> None:
        self.fill(journal, 200)
        claimed: list[TaskRecord] = []

        def work(owner: str) -> None:
            while (task := journal.claim([TaskKind.ANALYSE], owner, 60, NOON)) is not None:
                claimed.append(task)

        threads = [threading.Thread(target=work, args=(f"thread-{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(Counter(task.engine for task in claimed).values()) == [1] * 200

    def test_processes_claim_and_finish_each_task_once(self, journal: Journal, url: str) -> None:
        self.fill(journal, 200)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            done = pool.starmap(claim_all, [(url, f"process-{n}", [TaskKind.ANALYSE]) for n in range(2)])
        assert sorted(done[0] + done[1]) == sorted(
            task.id for task in journal.tasks() if task.kind == "analyse"
        )
        assert {task.state for task in journal.tasks()} == {TaskState.DONE}

    def test_readers_see_a_study_whole_while_it_is_written(self, journal: Journal) -> None:
        receive(journal, 1)
        stop, torn = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                study = journal.study(STUDY)
                if study.instances % 10 != 1:
                    torn.append(study.instances)

        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(30):
            receive(journal, 10, first=1 + turn * 10, at=later(turn))
        stop.set()
        reader.join()
        assert torn == []
        assert journal.study(STUDY).instances == 301
