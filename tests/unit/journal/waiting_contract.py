"""What every journal must do with deliveries that wait for their hours, and with results that go back."""

from __future__ import annotations

from dataclasses import replace

from dicomnode.faults import OUTSIDE_HOURS, NodeError
from dicomnode.journal import Closed, Event, Journal, StudyState, TaskKind, TaskRecord, TaskState, place_of
from dicomnode.journal.instances import KEY_OBJECTS
from dicomnode.values import Sender
from tests.unit.journal.world import (
    NOON,
    PACS,
    STUDY,
    Ids,
    claim,
    complete,
    instance,
    later,
    receive,
    until_delivery,
)

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
CLOSED = Closed(
    destination=PACS, until=later(3600), why=NodeError(OUTSIDE_HOURS, name=PACS, hours="19:00-06:30")
)
KINDS = (TaskKind.DELIVER, TaskKind.CONFIRM)


def nothing(_: TaskRecord) -> bool:
    return False


def deliveries(journal: Journal) -> dict[str, TaskRecord]:
    return {task.destination or "": task for task in journal.tasks(STUDY) if task.kind is TaskKind.DELIVER}


def waiting(journal: Journal, *destinations: str) -> None:
    receive(journal)
    complete(journal)
    until_delivery(journal, destinations=destinations or (PACS,))


class WaitingContract:
    """Needs the fixture `journal`."""

    def test_what_is_put_off_waits_until_its_hours_and_says_so(self, journal: Journal) -> None:
        waiting(journal)
        assert journal.postpone(KINDS, CLOSED, nothing, NOON) == 1
        study = journal.study(STUDY)
        assert study.state is StudyState.DELIVERING
        assert study.reason == f"{PACS} gets results from 19:00-06:30 only: they wait until then."
        assert any("is put off" in event.text for event in journal.events(STUDY))
        assert journal.claim(KINDS, "w1", 60, later(3599), destination=PACS) is None
        task = claim(journal, TaskKind.DELIVER, later(3600))
        assert task.attempt == 1, "no try was counted"
        journal.finish(task, Event.COMMITTED, later(3601))
        assert journal.study(STUDY).reason is None

    def test_it_is_put_off_once_and_told_of_once(self, journal: Journal) -> None:
        waiting(journal)
        assert [journal.postpone(KINDS, CLOSED, nothing, later(n)) for n in range(3)] == [1, 0, 0]
        told = [event for event in journal.events(STUDY) if event.what == "deliver.postponed"]
        assert len(told) == 1

    def test_only_the_destination_that_is_closed_waits(self, journal: Journal) -> None:
        waiting(journal, PACS, "OTHER")
        assert journal.postpone(KINDS, CLOSED, nothing, NOON) == 1
        task = claim(journal, TaskKind.DELIVER, later(1))
        assert task.destination == "OTHER"

    def test_what_is_tried_again_earlier_waits_and_what_is_later_stays(self, journal: Journal) -> None:
        for not_before, count in ((later(60), 1), (later(7200), 0)):
            if not deliveries(journal):
                waiting(journal)
            task = claim(journal, TaskKind.DELIVER, later(count))
            journal.finish(task, Event.FAILED, later(count), not_before=not_before)
            assert journal.postpone(KINDS, CLOSED, nothing, later(2)) == count
            journal.retry(STUDY, None, NOON)

    def test_what_runs_and_what_is_to_be_held_is_left(self, journal: Journal) -> None:
        waiting(journal, PACS)
        assert journal.postpone(KINDS, CLOSED, lambda task: task.kind is TaskKind.DELIVER, NOON) == 0
        claim(journal, TaskKind.DELIVER)
        assert journal.postpone(KINDS, CLOSED, nothing, NOON) == 0
        assert deliveries(journal)[PACS].state is TaskState.RUNNING

    def test_a_person_may_want_it_tried_and_it_is_put_off_again(self, journal: Journal) -> None:
        waiting(journal)
        journal.postpone(KINDS, CLOSED, nothing, NOON)
        assert journal.retry(STUDY, None, later(1)) == 1
        assert deliveries(journal)[PACS].state is TaskState.READY
        assert journal.postpone(KINDS, CLOSED, nothing, later(2)) == 1

    def test_a_study_comes_from_who_sent_its_latest_image(self, journal: Journal) -> None:
        assert journal.origin(STUDY, 1) is None
        here = Sender(calling_ae="CT1", called_ae="DICOMNODE", address="10.0.0.7")
        there = Sender(calling_ae="CT2", called_ae="DICOMNODE", address="10.0.0.8")
        journal.add_instances([(instance(1), Ids()), (instance(2, at=later(1)), Ids())], NOON)
        assert journal.origin(STUDY, 1) == here
        journal.add_instances([(replace(instance(3, at=later(5)), sender=there), Ids())], later(5))
        assert journal.origin(STUDY, 1) == there
        assert journal.origin("9.9", 1) is None

    def test_a_version_comes_from_who_sent_its_images_and_no_note(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        there = Sender(calling_ae="CT2", called_ae="DICOMNODE", address="10.0.0.8")
        note = replace(
            instance(7, at=later(3)), sender=replace(there, calling_ae="PACS"), sop_class_uid=KEY_OBJECTS
        )
        nobody = replace(instance(8, at=later(4)), sender=replace(there, address=""))
        late = replace(instance(9, at=later(2)), sender=there)
        journal.add_instances([(one, Ids()) for one in (note, nobody, late)], later(5))
        version = journal.study(STUDY).version
        assert version == 2
        first, second = journal.origin(STUDY, 1), journal.origin(STUDY, version)
        assert (first and first.calling_ae, second and second.calling_ae) == ("CT1", "CT2")

    def test_each_sender_refuses_for_itself_and_a_retry_asks_all_of_them_anew(self, journal: Journal) -> None:
        name = "back-to-" + "x" * 56
        places = [
            place_of(name, Sender(calling_ae=title, called_ae="DICOMNODE", address=address))
            for title, address in (("CT1", "10.0.0.7"), ("CT1", "10.0.0.8"), ("CT2", "10.0.0.7"))
        ]
        assert len({*places, place_of(name, None)}) == 4
        assert max(map(len, places)) <= 64
        waiting(journal, name, PACS)
        for place in (*places, PACS):
            journal.note_classes(place, {SEG: False}, NOON)
        assert journal.refused_classes(places[0], NOON) == {SEG}
        assert journal.refused_classes(name, NOON) == frozenset()
        for task in iter(lambda: journal.claim(KINDS, "w1", 60, NOON), None):
            journal.finish(task, Event.FAILED, NOON, not_before=later(60))
        journal.retry(None, name, NOON)
        assert [journal.refused_classes(place, NOON) for place in places] == [frozenset()] * 3
        assert journal.refused_classes(PACS, NOON) == {SEG}
