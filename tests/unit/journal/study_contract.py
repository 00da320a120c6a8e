"""What every journal must do with what comes: instances, studies, completeness."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from dicomnode.faults import (
    LEASE_LOST,
    STUDY_AMBIGUOUS,
    STUDY_NOT_FOUND,
    NodeError,
)
from dicomnode.journal import (
    Event,
    Journal,
    Note,
    StudyState,
    TaskKind,
    TaskState,
)
from tests.unit.journal.world import (
    ALL_HERE,
    NOON,
    STUDY,
    Ids,
    analyse,
    claim,
    complete,
    instance,
    later,
    receive,
)


class StudyContract:
    """Needs the fixture `journal`."""

    def test_instances_come_back_as_they_were(self, journal: Journal) -> None:
        items = [instance(n, at=later(n), series=n % 2) for n in range(3)]
        journal.add_instances([(item, Ids()) for item in reversed(items)], NOON)
        assert journal.instances(STUDY) == items

    def test_what_arrives_is_listed_until_its_study_is_complete(self, journal: Journal) -> None:
        journal.add_instances([(instance(1, study="1.2.9", at=later(5)), Ids())], NOON)
        journal.add_instances([(instance(1, at=later(1)), Ids())], NOON)
        assert journal.arriving() == [(STUDY, NOON), ("1.2.9", NOON)], "the one that began first stands first"
        journal.add_instances([(instance(2, at=later(2)), Ids())], later(9))
        assert journal.arriving()[0] == (STUDY, later(9))
        complete(journal)
        complete(journal, "1.2.9")
        assert journal.arriving() == []

    def test_a_note_with_the_same_facts_is_written_once_a_study(self, journal: Journal) -> None:
        def note(path: str) -> Note:
            return Note(what="instance.conflict", text="It came again.", facts={"path": path})

        journal.add_instances([(instance(1), Ids())], NOON, [(STUDY, note("a")), (STUDY, note("a"))])
        journal.add_instances([], later(1), [(STUDY, note("a")), (STUDY, note("b"))])
        told = [event.facts for event in journal.events(STUDY) if event.what == "instance.conflict"]
        assert told == [{"path": "a"}, {"path": "b"}]

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
        assert [s.study.study_instance_uid for s in journal.open_studies(later(0.5).astimezone(east))] == [
            "1.1"
        ]

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
        assert journal.study("1.1").study_instance_uid == "1.1"
        assert journal.study("A17").study_instance_uid == "1.1"
        for nothing in ("1.9", ""):
            with pytest.raises(NodeError) as caught:
                journal.study(nothing)
            assert caught.value.fault is STUDY_NOT_FOUND

    def test_an_accession_number_of_several_studies_names_them_all(self, journal: Journal) -> None:
        receive(journal, study="1.1", at=later(0))
        receive(journal, study="1.2", at=later(1))
        assert journal.study("1.2").study_instance_uid == "1.2"
        with pytest.raises(NodeError, match=r"1\.2, 1\.1") as caught:
            journal.study("A17")
        assert caught.value.fault is STUDY_AMBIGUOUS

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

    def test_a_study_is_quiet_when_nothing_came_nor_was_entered_since(self, journal: Journal) -> None:
        receive(journal, study="1.1", at=later(0))
        receive(journal, study="1.2", at=later(10))
        journal.add_instances([(instance(1, study="1.3", at=later(0)), Ids())], later(10))  # entered late
        assert [one.study.study_instance_uid for one in journal.open_studies(later(5))] == ["1.1"]
        assert len(journal.open_studies(later(11))) == 3
        assert journal.open_studies(later(0)) == []

    def test_completing_a_study_makes_its_dispatch_task(self, journal: Journal) -> None:
        receive(journal)
        assert complete(journal) == 1
        study = journal.study(STUDY)
        assert study.state is StudyState.COMPLETE
        assert study.complete_evidence == "nothing new came for 60 s"
        (task,) = journal.tasks(STUDY)
        assert (task.kind, task.state, task.study_version) == (TaskKind.DISPATCH, TaskState.READY, 1)
        assert journal.open_studies(later(100)) == []

    def test_a_study_is_completed_once(self, journal: Journal) -> None:
        receive(journal)
        complete(journal)
        assert journal.close_study(STUDY, ALL_HERE, NOON) is None
        assert len(journal.tasks(STUDY)) == 1

    def test_a_study_is_not_completed_when_something_came_meanwhile(self, journal: Journal) -> None:
        receive(journal, at=later(0))
        assert len(journal.open_studies(later(60))) == 1
        receive(journal, 1, first=7, at=later(61))
        assert journal.close_study(STUDY, replace(ALL_HERE, last_arrival=later(0)), later(62)) is None
        assert journal.tasks(STUDY) == []
        assert journal.close_study(STUDY, replace(ALL_HERE, last_arrival=later(61)), later(200)) == 1

    def test_completing_an_unknown_study_is_a_fault(self, journal: Journal) -> None:
        with pytest.raises(NodeError) as caught:
            journal.close_study("1.9", ALL_HERE, NOON)
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
