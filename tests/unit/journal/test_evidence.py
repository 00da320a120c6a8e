"""What speaks for a study being complete, how it is closed, and what became of it when the node dies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.faults import LEASE_LOST, STUDY_HELD, STUDY_NOT_FOUND, NodeError
from dicomnode.journal import (
    SHORTFALL,
    THEN,
    Closing,
    Event,
    EvidenceKind,
    EvidenceRecord,
    HeaderCorrection,
    IdentityChange,
    Journal,
    Notice,
    NoticeKind,
    Reference,
    ReportState,
    SourceAnswer,
    StudyState,
    TaskKind,
    TaskState,
)
from tests.unit.journal.world import (
    NOON,
    STUDY,
    Ids,
    claim,
    complete,
    instance,
    later,
    receive,
    report,
)

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
SHORT = "3 of 5 images, by the count of PACS1"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path / 'journal.sqlite'}") as journal:
        yield journal


def open_study(journal: Journal, seconds: float = 10.0):
    (found,) = journal.open_studies(later(seconds))
    return found


def notice(name: str, kind: NoticeKind, numbers: range, **more) -> Notice:
    given = {
        "uid": "1.9.1", "study_instance_uid": "", "status": "", "calling_ae": "CT1", "address": "10.0.0.7",
        "received_at": NOON,
        "references": tuple(Reference(instance(n).sop_instance_uid, CT_CLASS) for n in numbers),
    }  # fmt: skip
    return Notice(name=name, kind=kind, **{**given, **more})


def closing(**more) -> Closing:
    return Closing(**{"evidence": "nothing new for 60 s", "last_arrival": later(0), **more})


def incomplete(then: str, journal: Journal) -> None:
    record = EvidenceRecord(
        kind=EvidenceKind.COUNT, source="PACS1", text=SHORT, found_at=NOON, expected=5, here=3, decided=True
    )
    given = closing(evidence="the longest wait is over", evidences=[record], shortfall=SHORT, then=then)
    assert journal.close_study(STUDY, given, later(9)) == 1


def test_an_open_study_says_how_many_images_of_each_series_are_here(journal: Journal) -> None:
    receive(journal, 3)
    journal.add_instances([(instance(7, series=2), Ids(modality="PT"))], NOON)
    found = open_study(journal)
    assert found.series == {f"{STUDY}.1": 3, f"{STUDY}.2": 1}
    assert (found.modalities, found.last_arrival, found.study.instances) == (("CT", "PT"), NOON, 4)
    assert journal.open_studies(later(0)) == []
    complete(journal)
    assert journal.open_studies(later(10)) == []


def test_a_source_is_asked_once_for_what_is_here_and_again_when_more_has_come(journal: Journal) -> None:
    receive(journal, 3)
    for _ in range(2):
        journal.ask_sources(open_study(journal).study, ["PACS1"], later(5))
    task = claim(journal, TaskKind.FETCH, later(5))
    assert (task.destination, task.payload) == ("PACS1", {"asks": "count", "images_here": 3})
    assert open_study(journal).asked == {"PACS1"}
    answer = SourceAnswer(source="PACS1", images_here=3, found_at=later(6), series={f"{STUDY}.1": 5})
    journal.record_answer(task, answer, "PACS1 counts 5 images in 1 series")
    journal.finish(task, Event.COMMITTED, later(6))
    found = open_study(journal)
    assert (found.asked, found.answers) == (frozenset(), (answer,))
    assert found.study.state is StudyState.RECEIVING
    receive(journal, 1, first=3, at=later(7))
    found = open_study(journal)
    assert found.answers == (), "it was said of three images"
    journal.ask_sources(found.study, ["PACS1"], later(12))
    assert claim(journal, TaskKind.FETCH, later(12)).payload["images_here"] == 4


def test_a_study_that_has_gone_on_is_not_asked_about(journal: Journal) -> None:
    receive(journal)
    before = open_study(journal).study
    complete(journal)
    journal.ask_sources(before, ["PACS1"], later(5))
    assert [task.kind for task in journal.tasks(STUDY)] == [TaskKind.DISPATCH]


def test_a_question_that_ends_without_an_answer_is_not_waited_for(journal: Journal) -> None:
    receive(journal)
    journal.ask_sources(open_study(journal).study, ["PACS1"], NOON)
    for turn in range(3):  # each process that asks dies of it
        claim(journal, TaskKind.FETCH, later(turn * 10), lease_s=1)
    assert journal.claim([TaskKind.FETCH], "w", 1, later(40)) is None
    found = open_study(journal)
    assert found.asked == frozenset()
    assert [(answer.source, bool(answer.problem)) for answer in found.answers] == [("PACS1", True)]
    journal.close_study(STUDY, closing(), later(70))
    assert journal.study(STUDY).state is StudyState.COMPLETE, "a parked question fails no study"


def test_a_study_that_is_closed_is_not_kept_by_who_is_still_asked(journal: Journal) -> None:
    receive(journal)
    journal.ask_sources(open_study(journal).study, ["PACS1", "GONE"], NOON)
    slow = claim(journal, TaskKind.FETCH)
    journal.close_study(STUDY, closing(), later(9))
    states = {task.destination: task.state for task in journal.tasks(STUDY) if task.kind is TaskKind.FETCH}
    assert states == {"PACS1": TaskState.SUPERSEDED, "GONE": TaskState.SUPERSEDED}
    with pytest.raises(NodeError) as caught:
        journal.record_answer(slow, SourceAnswer(source="PACS1", images_here=3, found_at=NOON), "")
    assert caught.value.fault is LEASE_LOST


def test_an_answer_of_a_worker_that_lost_its_task_is_not_written(journal: Journal) -> None:
    receive(journal)
    journal.ask_sources(open_study(journal).study, ["PACS1"], NOON)
    slow = claim(journal, TaskKind.FETCH, NOON, lease_s=1)
    again = claim(journal, TaskKind.FETCH, later(5))
    answer = SourceAnswer(source="PACS1", images_here=3, found_at=later(6), problem="DN-2001")
    with pytest.raises(NodeError) as caught:
        journal.record_answer(slow, answer, "")
    assert caught.value.fault is LEASE_LOST
    journal.record_answer(again, answer, "DN-2001")
    journal.record_answer(again, answer, "DN-2001")  # its process died before it could finish the task
    assert open_study(journal).answers == (answer,)


def test_what_a_study_lacks_makes_it_incomplete_until_more_comes(journal: Journal) -> None:
    receive(journal, 3)
    assert journal.mark_incomplete(STUDY, closing(shortfall=SHORT), later(9))
    assert not journal.mark_incomplete(STUDY, closing(shortfall=SHORT), later(10)), "nothing new"
    study = journal.study(STUDY)
    assert (study.state, study.shortfall) == (StudyState.INCOMPLETE, SHORT)
    assert study.reason == f"The study is incomplete: {SHORT}."
    assert [event.what for event in journal.events(STUDY)][-1] == "study.incomplete"
    assert [one.study_instance_uid for one in journal.arriving()] == [STUDY]
    receive(journal, 1, first=3, at=later(20))
    study = journal.study(STUDY)
    assert (study.state, study.shortfall, study.reason, study.version) == (
        StudyState.RECEIVING,
        None,
        None,
        1,
    )


def test_nothing_is_decided_on_what_was_known_before_the_last_image(journal: Journal) -> None:
    receive(journal, 3)
    receive(journal, 1, first=3, at=later(1))
    assert journal.close_study(STUDY, closing(), later(9)) is None
    assert not journal.mark_incomplete(STUDY, closing(shortfall=SHORT), later(9))
    assert journal.study(STUDY).state is StudyState.RECEIVING
    assert journal.close_study(STUDY, closing(last_arrival=later(1)), later(70)) == 1
    assert journal.close_study(STUDY, closing(last_arrival=later(1)), later(71)) is None
    with pytest.raises(NodeError) as caught:
        journal.close_study("1.9", closing(), NOON)
    assert caught.value.fault is STUDY_NOT_FOUND


def test_the_evidence_that_decided_is_kept_with_the_version(journal: Journal) -> None:
    receive(journal)
    count = EvidenceRecord(
        kind=EvidenceKind.COUNT,
        source="PACS1",
        text="3 of 3 images",
        found_at=NOON,
        expected=3,
        here=3,
        decided=True,
    )
    step = replace(count, kind=EvidenceKind.STEP, source="CT1", decided=False)
    journal.close_study(STUDY, closing(evidences=[step, count]), later(9))
    receive(journal, 1, first=3, at=later(20))
    journal.close_study(STUDY, closing(last_arrival=later(20)), later(90))
    assert journal.evidence(STUDY) == {1: [count, step]}


@pytest.mark.parametrize("then", ["analyse", "report"])
def test_p6_an_incomplete_study_goes_on_after_the_longest_wait_and_says_what_is_missing(
    journal: Journal, then: str
) -> None:
    receive(journal, 3)
    incomplete(then, journal)
    study = journal.study(STUDY)
    assert (study.state, study.shortfall) == (StudyState.COMPLETE, SHORT)
    assert claim(journal, TaskKind.DISPATCH, later(9)).payload == {SHORTFALL: SHORT, THEN: then}
    event = next(one for one in journal.events(STUDY) if one.what == "study.closed_incomplete")
    assert SHORT in event.text


def test_p6_an_incomplete_study_is_held_until_a_person_lets_it_go_on(journal: Journal) -> None:
    receive(journal, 3)
    incomplete("hold", journal)
    study = journal.study(STUDY)
    assert study.state is StudyState.HELD
    assert study.reason == STUDY_HELD.text(shortfall=SHORT)
    assert journal.claim([TaskKind.DISPATCH], "w", 60, later(100)) is None
    assert journal.retry(STUDY, None, later(100)) == 1
    assert claim(journal, TaskKind.DISPATCH, later(100)).payload[SHORTFALL] == SHORT


def test_p4_what_comes_to_a_held_study_makes_a_new_version_that_names_its_predecessor(
    journal: Journal,
) -> None:
    receive(journal, 3)
    incomplete("hold", journal)
    receive(journal, 2, first=3, at=later(20))
    study = journal.study(STUDY)
    assert (study.state, study.version, study.predecessor) == (StudyState.RECEIVING, 2, 1)
    assert (study.shortfall, study.reason) == (None, None)
    assert [task.state for task in journal.tasks(STUDY)] == [TaskState.SUPERSEDED]


def test_a_step_says_its_study_once_and_its_images_at_the_end(journal: Journal) -> None:
    begun = notice("a", NoticeKind.STEP, range(0), study_instance_uid=STUDY, status="IN PROGRESS")
    ended = notice("b", NoticeKind.STEP, range(5), status="COMPLETED", received_at=later(5))
    journal.add_notices([begun], NOON)
    receive(journal, 3)
    assert [(s.status, s.expected) for s in open_study(journal).said] == [("IN PROGRESS", 0)]
    journal.add_notices([ended, ended], later(5))
    journal.add_notices([ended], later(6))
    assert [(s.status, s.expected, s.here) for s in open_study(journal).said] == [("COMPLETED", 5, 3)]
    told = [event.text for event in journal.events(STUDY) if event.what == "notice.step"]
    assert told == ["The performed procedure step of CT1 (completed) names 5 images."]


def test_the_end_of_a_step_may_overtake_its_beginning(journal: Journal) -> None:
    receive(journal, 3)
    ended = notice("a", NoticeKind.STEP, range(3), status="COMPLETED")
    begun = notice("b", NoticeKind.STEP, range(0), study_instance_uid=STUDY, status="IN PROGRESS")
    journal.add_notices([ended], NOON)
    assert open_study(journal).said == ()
    journal.add_notices([replace(begun, received_at=later(-1))], NOON)
    assert [(s.status, s.expected, s.here) for s in open_study(journal).said] == [("COMPLETED", 3, 3)]


def test_another_sender_does_not_speak_for_a_step(journal: Journal) -> None:
    receive(journal, 3)
    begun = notice("a", NoticeKind.STEP, range(0), study_instance_uid=STUDY, status="IN PROGRESS")
    other = notice("b", NoticeKind.STEP, range(3), status="COMPLETED", calling_ae="OTHER")
    journal.add_notices([begun, other], NOON)
    assert [s.status for s in open_study(journal).said] == ["IN PROGRESS"]


def test_a_commitment_request_speaks_of_the_study_whose_images_it_names(journal: Journal) -> None:
    journal.add_notices([notice("a", NoticeKind.COMMITMENT, range(5))], NOON)
    receive(journal, 3)
    assert [(s.expected, s.here) for s in open_study(journal).said] == [(5, 3)]


def test_a_commitment_request_for_several_studies_says_nothing_of_one(journal: Journal) -> None:
    receive(journal, 3)
    receive(journal, 2, study="1.1", first=50)
    both = [*range(5)]
    references = [Reference(instance(n).sop_instance_uid, CT_CLASS) for n in both]
    references.append(Reference(instance(50, study="1.1").sop_instance_uid, CT_CLASS))
    request = notice("a", NoticeKind.COMMITMENT, range(0), references=tuple(references))
    journal.add_notices([request], NOON)
    assert [study.said for study in journal.open_studies(later(10))] == [(), ()]


def test_what_is_here_is_compared_with_all_that_notices_name_together(journal: Journal) -> None:
    receive(journal, 3)
    assert open_study(journal).unnamed == 0, "nobody said anything"
    first = notice("a", NoticeKind.STEP, range(2), study_instance_uid=STUDY, status="COMPLETED")
    journal.add_notices([first], NOON)
    assert open_study(journal).unnamed == 1
    journal.add_notices([notice("b", NoticeKind.COMMITMENT, range(1, 3), uid="1.9.2")], NOON)
    assert open_study(journal).unnamed == 0
    journal.add_instances([(instance(7, series=2), Ids(modality="PT"))], NOON)
    assert open_study(journal).unnamed == 1


def test_a_source_is_asked_in_the_lane_of_the_study(journal: Journal) -> None:
    receive(journal)
    receive(journal, study="1.1", first=50)
    routine, urgent = (journal.study(uid) for uid in (STUDY, "1.1"))
    journal.ask_sources(routine, ["PACS1"], later(5))
    journal.ask_sources(urgent, ["PACS1"], later(6), priority=10)
    assert claim(journal, TaskKind.FETCH, later(7)).study_instance_uid == "1.1"


def test_a_new_name_of_the_patient_leaves_what_a_study_lacks(journal: Journal) -> None:
    receive(journal, 3)
    incomplete("analyse", journal)
    until_report(journal)
    change = IdentityChange(
        path=Path("/store/identity"), keywords=("PatientName",), source="ADT^A08", after=0
    )
    assert journal.correct_identity(STUDY, change, later(30)) == 2
    study = journal.study(STUDY)
    assert (study.state, study.version, study.shortfall) == (StudyState.COMPLETE, 2, SHORT)
    assert claim(journal, TaskKind.DISPATCH, later(30)).payload == {SHORTFALL: SHORT, THEN: "analyse"}
    (event,) = [one for one in journal.events(STUDY) if one.what == "study.closed_incomplete"][1:]
    assert SHORT in event.text


def until_report(journal: Journal) -> None:
    """Walk the study that was closed to the point where its results are to be written."""
    journal.finish(
        claim(journal, TaskKind.DISPATCH, later(9)), Event.COMMITTED, later(9), new_tasks=[report()]
    )


def test_a_corrected_modality_is_that_of_the_series(journal: Journal) -> None:
    receive(journal, 3)
    image = replace(instance(0), digest="f" * 16, received_at=later(5))
    correction = HeaderCorrection(
        instance=image, ids=Ids(modality="PT"), keywords=("Modality",), is_renaming=False
    )
    journal.add_instances([], later(5), corrections=[correction])
    found = open_study(journal)
    assert (found.modalities, found.study.modalities) == (("PT",), ("PT",))


def test_a_request_is_answered_once_and_tried_again_until_then(journal: Journal) -> None:
    request = notice("a", NoticeKind.COMMITMENT, range(2), report=ReportState.WANTED)
    journal.add_notices(
        [request, notice("b", NoticeKind.AVAILABILITY, range(2), study_instance_uid=STUDY)], NOON
    )
    wanted = journal.due_commitment(NOON)
    assert wanted is not None
    assert (wanted.transaction_uid, wanted.attempt, len(wanted.references)) == ("1.9.1", 0, 2)
    journal.commitment_reported("a", ReportState.WANTED, NOON, 30.0)
    assert journal.due_commitment(later(29)) is None
    again = journal.due_commitment(later(31))
    assert again is not None
    assert again.attempt == 1
    journal.forget_notices(later(100))
    assert journal.due_commitment(later(31)) is not None, "somebody waits for its answer"
    journal.commitment_reported("a", ReportState.SENT, later(31))
    assert journal.due_commitment(later(1000)) is None
    journal.forget_notices(later(100))
    receive(journal, 3)
    assert open_study(journal).said == ()


def test_what_is_here_of_instances_is_found_with_every_copy(journal: Journal) -> None:
    receive(journal, 2)
    first, second = (instance(n) for n in range(2))
    found = journal.holdings([first.sop_instance_uid, second.sop_instance_uid, "1.99"])
    assert set(found) == {first.sop_instance_uid, second.sop_instance_uid}
    (copy,) = found[first.sop_instance_uid]
    assert (copy.sop_class_uid, copy.path, copy.digest) == (first.sop_class_uid, first.path, first.digest)
