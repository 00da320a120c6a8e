"""What ends a cure of the wrong patient or order, what does not, and what a note on results stops."""

from __future__ import annotations

import sqlite3

import pytest

from dicomnode.journal import AnswerKey, Event, StudyState, TaskKind, TaskState
from tests.unit.journal import test_of_another
from tests.unit.journal.test_of_another import WRONG, anothers, answered, at_work, correct, note
from tests.unit.journal.world import (
    ALL_HERE,
    ENGINE,
    PACS,
    STUDY,
    analyse,
    claim,
    complete,
    later,
    receive,
    report,
    result,
    until_delivery,
)

journal, taken_back = test_of_another.journal, test_of_another.taken_back


def test_who_was_named_instead_and_is_wrong_too_must_be_corrected_in_all_images_again(taken_back):
    correct(taken_back, 0, 1, 2)
    complete(taken_back)
    until_delivery(taken_back, version=2)
    taken_back.retract(STUDY, WRONG, later(6))
    correct(taken_back, 0, 1, digest="e", at=7)
    assert taken_back.study(STUDY).state is StudyState.RETRACTED
    correct(taken_back, 2, digest="e", at=8)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


def test_who_is_wrong_too_stays_so_although_an_image_went_back_and_names_a_third_one(taken_back):
    correct(taken_back, 0, 1, 2)
    complete(taken_back)
    until_delivery(taken_back, version=2)
    taken_back.retract(STUDY, WRONG, later(6))
    correct(taken_back, 0, digest="e", at=7, returns=True)
    correct(taken_back, 0, digest="d", at=8)
    assert taken_back.study(STUDY).state is StudyState.RETRACTED, "two images name the second one still"
    correct(taken_back, 1, 2, digest="d", at=9)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


def test_what_was_corrected_before_a_person_had_it_analysed_cures_nothing_that_is_wrong_after_it(taken_back):
    correct(taken_back, 0)
    taken_back.reanalyse(STUDY, "A. Smith", later(6))
    complete(taken_back)
    until_delivery(taken_back, version=3)
    taken_back.retract(STUDY, WRONG, later(7))
    correct(taken_back, 1, 2, digest="e", at=8)
    assert taken_back.study(STUDY).state is StudyState.RETRACTED
    correct(taken_back, 0, digest="e", at=9)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


@pytest.mark.parametrize("by", ["a note", "its engine"])
def test_an_answer_that_was_cured_is_of_another_again_once_a_header_goes_back(journal, by):
    complete(journal)
    answered(journal, 1, 0)
    if by == "a note":
        note(journal, result(0).sop_instance_uid, code=WRONG)
    else:
        journal.retract_answers(STUDY, [AnswerKey(1, ENGINE)], WRONG, "A. Smith", later(3))
    correct(journal, 0, 1, 2)
    complete(journal)
    answered(journal, 2, 1)
    assert anothers(journal) == {(ENGINE, 1): False}
    correct(journal, 0, digest="e", at=9, returns=True)
    assert anothers(journal) == {(ENGINE, 1): True}
    correct(journal, 0, digest="d", at=10)
    assert anothers(journal) == {(ENGINE, 1): False}


def test_what_was_taken_back_of_earlier_versions_alone_is_taken_back_when_headers_go_back_to_it(journal):
    complete(journal)
    until_delivery(journal)
    correct(journal, 0, 1, 2)
    complete(journal)
    until_delivery(journal, version=2)
    journal.retract(STUDY, WRONG, later(7), earlier_only=True)
    assert journal.study(STUDY).state is StudyState.DELIVERING
    correct(journal, 0, 1, 2, digest="e", at=9, returns=True)
    assert journal.study(STUDY).state is StudyState.RETRACTED


def test_a_header_that_undoes_a_merge_goes_back_to_nobody_wrong(taken_back):
    correct(taken_back, 0, 1, 2)
    complete(taken_back)
    correct(taken_back, 0, 1, 2, digest="e", at=9, returns=True, undoes=True)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


BACK: dict[str, dict[str, object]] = {
    "another Patient ID": {},
    "an order that was once": {
        "keywords": ("AccessionNumber",),
        "of_another": frozenset({"AccessionNumber"}),
    },
}


@pytest.mark.parametrize("case", BACK)
def test_a_study_that_went_back_says_so_and_waits_for_each_image_once_more(taken_back, case):
    correct(taken_back, 0, 1, 2)
    complete(taken_back)
    correct(taken_back, 0, digest="e", at=6, returns=True, **BACK[case])
    text = [one.text for one in taken_back.events(STUDY) if one.what == "study.corrected"][-1]
    assert "goes back to whom it named before: the study is taken back again" in text
    assert "once each image that may be used has come again since" in text
    correct(taken_back, 0, digest="d", at=7)
    assert taken_back.study(STUDY).state is StudyState.RETRACTED
    correct(taken_back, 1, 2, digest="d", at=8)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


def test_why_a_study_waits_is_its_reason_until_it_is_cured(taken_back):
    assert "wrong patient or order (DCM 113038)" in (taken_back.study(STUDY).reason or "")
    correct(taken_back, 0, 1, 2)
    assert taken_back.study(STUDY).reason is None


def test_a_version_that_an_earlier_release_began_with_a_late_image_is_taken_back_too(taken_back, tmp_path):
    with sqlite3.connect(tmp_path / "journal.sqlite") as database:
        database.execute("UPDATE study SET version = 2, state = 'receiving', complete_at = NULL")
    receive(taken_back, 1, first=7, at=later(6))
    assert taken_back.close_study(STUDY, ALL_HERE, later(60)) is None
    assert (taken_back.study(STUDY).state, at_work(taken_back)) == (StudyState.RETRACTED, [])
    correct(taken_back, 0, 1, 2, 7, at=70)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


# ── what a note of somebody else stops ──


def test_a_note_on_the_wrong_patient_stops_what_its_engine_makes_of_later_images(journal):
    complete(journal)
    answered(journal, 1, 0)
    receive(journal, 1, first=7, at=later(6))
    complete(journal)
    work = [analyse(version=2), analyse(version=2, engine=f"{ENGINE}:2"), analyse(version=2, engine="other")]
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, later(7), new_tasks=work)
    note(journal, result(0).sop_instance_uid, code=WRONG)
    states = {one.engine: one.state for one in journal.tasks(STUDY) if one.kind is TaskKind.ANALYSE}
    assert states == {
        ENGINE: TaskState.SUPERSEDED,
        f"{ENGINE}:2": TaskState.SUPERSEDED,
        "other": TaskState.READY,
    }
    (event,) = [one for one in journal.events(STUDY) if one.what == "results.rejected"]
    assert f"names results of {ENGINE}" in event.text


@pytest.mark.parametrize("case", ["another reason", "cured"])
def test_any_other_note_stops_the_answer_that_it_is_on_and_no_later_one(journal, case):
    complete(journal)
    answered(journal, 1, 0)
    if case == "cured":
        correct(journal, 0, 1, 2)
    else:
        receive(journal, 1, first=7, at=later(6))
    complete(journal)
    journal.finish(
        claim(journal, TaskKind.DISPATCH), Event.COMMITTED, later(7), new_tasks=[analyse(version=2)]
    )
    note(journal, result(0).sop_instance_uid, code=WRONG if case == "cured" else "113001")
    assert at_work(journal) == [TaskKind.ANALYSE]


def test_what_a_rejected_answer_has_not_sent_is_not_sent_to_anybody(journal):
    complete(journal)
    until_delivery(journal, destinations=(PACS, "SECOND"))
    note(journal, result(0).sop_instance_uid)
    assert {one.outcome for one in journal.deliveries(STUDY)} == {"replaced"}, "also its other objects"


def test_a_person_may_say_of_an_engine_that_it_is_right_where_another_one_has_answered_since(journal):
    complete(journal)
    answered(journal, 1, 0)
    journal.retract_answers(STUDY, [AnswerKey(1, ENGINE)], WRONG, "A. Smith", later(3))
    receive(journal, 1, first=7, at=later(6))
    complete(journal)
    other = result(1, "SR", version=2, engine="other")
    for kind, made in ((TaskKind.DISPATCH, [report(version=2, engine="other")]), (TaskKind.REPORT, [])):
        objects = [other] if kind is TaskKind.REPORT else []
        task = claim(journal, kind, later(8))
        journal.finish(task, Event.COMMITTED, later(8), new_tasks=made, objects=objects)
    assert journal.study(STUDY).state is StudyState.DONE
    assert journal.reanalyse(STUDY, "A. Smith", later(9)) == 3
    assert anothers(journal) == {(ENGINE, 1): False}


def test_what_a_person_said_to_be_right_stays_so_when_another_header_comes(journal):
    complete(journal)
    answered(journal, 1, 0)
    correct(journal, 0, 1, 2)
    complete(journal)
    answered(journal, 2, 1)
    note(journal, result(1, version=2).sop_instance_uid, code=WRONG)
    journal.retract(STUDY, WRONG, later(6))
    assert journal.reanalyse(STUDY, "A. Smith", later(7)) == 3
    correct(journal, 0, digest="e", at=8, keywords=("PatientName",), of_another=frozenset())
    assert anothers(journal) == {(ENGINE, 2): False}
