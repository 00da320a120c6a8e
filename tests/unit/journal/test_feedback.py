"""What others send after our results: it begins no version, becomes a task, and what it says is kept once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from dicomnode.faults import LEASE_LOST, NodeError
from dicomnode.journal import (
    ANNOTATIONS,
    BY_HAND,
    COMMENT,
    KEY_OBJECTS,
    OBJECT,
    Act,
    Event,
    FeedbackQuery,
    FeedbackRecord,
    HeaderCorrection,
    Journal,
    Note,
    StudyState,
    TaskKind,
    TaskState,
)
from dicomnode.values import Sender
from tests.unit.journal.world import (
    ENGINE,
    NOON,
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
THEIRS = f"{STUDY}.8.1"
AT = later(60)
SAID = FeedbackRecord(
    study_instance_uid=STUDY,
    study_version=1,
    engine=ENGINE,
    engine_version="1.0.0",
    engine_digest="ab" * 32,
    their_uid=THEIRS,
    their_class_uid=SEG,
    finding="2.25.7",
    label="nodule-1",
    kind="changed",
    recognised_by="tracking",
    at=later(60),
    object_uid="2.25.1.0",
    tracking_uid="2.25.7",
    dice=0.75,
    difference_ml=-0.5,
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        receive(journal)
        complete(journal)
        yield journal


@pytest.fixture
def answered(journal: Journal) -> Journal:
    """A journal whose study has results."""
    until_delivery(journal)
    return journal


def comes(journal: Journal, number: int = 1, sop_class: str = SEG, at: datetime = AT) -> None:
    workstation = Sender(calling_ae="WORKSTATION", called_ae="DICOMNODE", address="10.0.0.9")
    one = replace(instance(number, series=8, at=at), sop_class_uid=sop_class, sender=workstation)
    journal.add_instances([(one, Ids(modality="SEG"))], at)


def feedback_tasks(journal: Journal) -> list[str]:
    return [str(task.payload[OBJECT]) for task in journal.tasks(STUDY) if task.kind is TaskKind.FEEDBACK]


@pytest.mark.parametrize("sop_class", sorted(ANNOTATIONS))
def test_what_speaks_of_images_begins_no_version_of_a_study_with_results_and_makes_a_task(
    answered: Journal, sop_class: str
) -> None:
    before = answered.study(STUDY)
    comes(answered, sop_class=sop_class)
    after = answered.study(STUDY)
    assert (after.version, after.state) == (before.version, before.state)
    assert feedback_tasks(answered) == [THEIRS]
    assert THEIRS in [one.sop_instance_uid for one in answered.instances(STUDY)]
    assert "annotations.came" in [event.what for event in answered.events(STUDY)]


def test_it_makes_one_task_an_object_however_often_it_comes(answered: Journal) -> None:
    for number in (1, 2, 1, 2):
        comes(answered, number)
    assert feedback_tasks(answered) == [THEIRS, f"{STUDY}.8.2"]


def test_without_results_there_is_nothing_to_speak_of_and_no_version_begins_either(journal: Journal) -> None:
    comes(journal)
    assert feedback_tasks(journal) == []
    assert journal.study(STUDY).version == 1


def test_a_note_on_images_is_no_feedback(answered: Journal) -> None:
    comes(answered, sop_class=KEY_OBJECTS)
    assert feedback_tasks(answered) == []


def test_our_own_object_that_comes_back_is_no_feedback(answered: Journal) -> None:
    own = replace(instance(1), sop_instance_uid="2.25.1.0", sop_class_uid=SEG)
    answered.add_instances([(own, Ids())], later(60))
    assert feedback_tasks(answered) == []
    assert "object.returned" in [event.what for event in answered.events(STUDY)]


def test_an_image_beside_it_begins_a_version_as_ever_and_the_answer_to_the_old_one_is_still_read(
    answered: Journal,
) -> None:
    comes(answered)
    answered.add_instances([(instance(77, at=later(70)), Ids())], later(70))
    assert answered.study(STUDY).version == 2
    (task,) = [one for one in answered.tasks(STUDY) if one.kind is TaskKind.FEEDBACK]
    assert task.state is TaskState.READY


def test_what_a_study_waits_for_is_decided_by_no_answer_of_others(answered: Journal) -> None:
    state = answered.study(STUDY).state
    comes(answered)
    task = claim(answered, TaskKind.FEEDBACK, later(61))
    assert answered.study(STUDY).state is state
    answered.finish(task, Event.NEEDS_PERSON, later(62), error=NodeError(LEASE_LOST, task=1))
    study = answered.study(STUDY)
    assert study.state is state is not StudyState.FAILED
    assert study.reason is None


def test_results_go_back_to_who_sent_the_images_not_to_who_corrected_them(answered: Journal) -> None:
    comes(answered)
    origin = answered.origin(STUDY, 1)
    assert origin is not None
    assert origin.calling_ae == "CT1"


def test_a_study_whose_name_was_corrected_keeps_its_findings_though_an_answer_came(answered: Journal) -> None:
    comes(answered)
    assert answered.same_images_since(STUDY, 1) == 1


def test_what_was_said_is_kept_and_read_by_engine_study_and_time(answered: Journal) -> None:
    comes(answered)
    other = replace(SAID, finding="2.25.8", tracking_uid="2.25.8", kind="missed", object_uid=None)
    task = claim(answered, TaskKind.FEEDBACK, later(61))
    answered.finish(task, Event.COMMITTED, later(61), feedback=[SAID, other, replace(SAID, kind="accepted")])
    assert answered.feedback(FeedbackQuery()) == [SAID, other]
    wanted = FeedbackQuery(engine=ENGINE, since=later(60), study_instance_uid=STUDY)
    assert answered.feedback(wanted) == [SAID, other]
    for none in (
        FeedbackQuery(engine="other"),
        FeedbackQuery(since=later(61)),
        FeedbackQuery(study_instance_uid="9"),
    ):
        assert answered.feedback(none) == []


def test_an_object_that_was_edited_in_place_is_read_again_and_its_last_word_counts(answered: Journal) -> None:
    comes(answered)
    first = claim(answered, TaskKind.FEEDBACK, later(61))
    answered.finish(first, Event.COMMITTED, later(61), feedback=[SAID, replace(SAID, finding="2.25.8")])
    (there,) = [one for one in answered.instances(STUDY) if one.sop_instance_uid == THEIRS]
    edited = replace(there, digest="f" * 16, received_at=later(90))
    words = HeaderCorrection(
        instance=edited, ids=Ids(), keywords=frozenset({"VerificationFlag"}), is_renaming=False
    )
    for _ in range(2):
        answered.add_instances([(edited, Ids())], later(90), corrections=[words])
    assert answered.study(STUDY).version == 1
    again = claim(answered, TaskKind.FEEDBACK, later(91))
    assert again.id == first.id
    accepted = replace(SAID, kind="accepted", verified=True)
    answered.finish(again, Event.COMMITTED, later(92), feedback=[accepted])
    assert answered.feedback(FeedbackQuery()) == [accepted]
    assert answered.claim([TaskKind.FEEDBACK], "w", 60, later(93)) is None


def test_a_worker_that_slept_past_its_lease_writes_nothing(answered: Journal) -> None:
    comes(answered)
    task = claim(answered, TaskKind.FEEDBACK, later(61), lease_s=1)
    again = claim(answered, TaskKind.FEEDBACK, later(100), owner="w2")
    with pytest.raises(NodeError) as caught:
        answered.finish(task, Event.COMMITTED, later(101), feedback=[SAID])
    assert caught.value.fault is LEASE_LOST
    assert answered.feedback(FeedbackQuery()) == []
    answered.finish(again, Event.COMMITTED, later(102), feedback=[SAID])
    assert answered.feedback(FeedbackQuery()) == [SAID]


def test_what_persons_do_to_engines_is_kept_in_order(journal: Journal) -> None:
    acts = [Act(at=later(n), what="engine.promoted", engine=ENGINE, text=f"number {n}") for n in (1, 2)]
    for act in acts:
        journal.add_act(act)
    assert journal.acts() == acts
    assert journal.acts()[0].at > NOON


# ── without an object ──

BY_COMMAND = replace(
    SAID, their_uid=BY_HAND, their_class_uid="", kind="accepted", recognised_by="command", dice=None
)


def told(comment: str | None = None) -> Note:
    return Note(what="feedback.answered", text="A reader has …", facts={"kind": "accepted", COMMENT: comment})


def answers_told(journal: Journal) -> int:
    return [event.what for event in journal.events(STUDY)].count("feedback.answered")


def test_an_answer_without_an_object_stands_once_and_the_last_one_alone(answered: Journal) -> None:
    assert answered.answer([BY_COMMAND], told(), AT) == 1
    assert answered.answer([replace(BY_COMMAND, at=later(90))], told(), later(90)) == 0
    assert answered.feedback(FeedbackQuery()) == [BY_COMMAND]
    changed = replace(BY_COMMAND, kind="rejected", at=later(95))
    assert answered.answer([changed, replace(changed, finding="2.25.8")], told(), later(95)) == 2
    assert [one.kind for one in answered.feedback(FeedbackQuery())] == ["rejected", "rejected"]
    assert answers_told(answered) == 2


def test_the_same_answer_with_another_comment_is_told_and_with_the_same_one_it_is_not(
    answered: Journal,
) -> None:
    for comment, count in ((None, 1), ("a vessel", 2), ("a vessel", 2), ("a rib", 3), (None, 3)):
        answered.answer([BY_COMMAND], told(comment), AT)
        assert answers_told(answered) == count


def test_what_an_object_says_stays_beside_it(answered: Journal) -> None:
    comes(answered)
    task = claim(answered, TaskKind.FEEDBACK, later(61))
    answered.finish(task, Event.COMMITTED, later(62), feedback=[SAID])
    answered.answer([BY_COMMAND], told(), later(90))
    assert {one.their_uid for one in answered.feedback(FeedbackQuery())} == {THEIRS, BY_HAND}
