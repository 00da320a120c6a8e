"""Results of the wrong patient or order stay taken back, whatever comes, until all images name another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.journal import (
    AnswerKey,
    Event,
    HeaderCorrection,
    Journal,
    RejectionNote,
    StudyState,
    TaskKind,
    TaskState,
)
from tests.unit.journal.world import (
    ALL_HERE,
    ENGINE,
    NOON,
    STUDY,
    Ids,
    analyse,
    claim,
    complete,
    instance,
    later,
    receive,
    report,
    result,
    until_delivery,
)

WRONG = "113038"
DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"
ANOTHER = frozenset({"PatientID"})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        receive(journal)
        yield journal


@pytest.fixture
def taken_back(journal: Journal) -> Journal:
    complete(journal)
    until_delivery(journal)
    journal.retract(STUDY, WRONG, NOON)
    return journal


def correct(journal: Journal, *numbers: int, digest: str = "f", at: float = 5, **more: object) -> None:
    """Images come again with another header, of another patient where `more` says nothing else."""
    told = {"keywords": ("PatientID",), "is_renaming": True, "of_another": ANOTHER, **more}
    images = [replace(instance(n), digest=digest * 16, received_at=later(at)) for n in numbers]
    corrections = [HeaderCorrection(instance=image, ids=Ids(), **told) for image in images]
    journal.add_instances([], later(at), corrections=corrections)


def note(journal: Journal, *uids: str, code: str = "113001") -> None:
    """A rejection note of somebody else."""
    rejection = RejectionNote(
        sop_instance_uid="9.8", study_instance_uid=STUDY, code=code, meaning="Rejected", instances=uids
    )
    journal.add_instances([], later(6), corrections=[rejection])


def dose(journal: Journal) -> None:
    report = replace(instance(9, series=2), sop_class_uid=DOSE_SR)
    journal.add_instances([(report, Ids(modality="SR"))], later(6))


def at_work(journal: Journal) -> list[TaskKind]:
    states = (TaskState.READY, TaskState.RUNNING, TaskState.RETRY)
    return [
        one.kind for one in journal.tasks(STUDY) if one.state in states and one.kind is not TaskKind.REPORT
    ]


LATER: dict[str, Callable[[Journal], None]] = {
    "a late image": lambda journal: receive(journal, 1, first=7, at=later(6)),
    "a dose report": dose,
    "a note on one image": lambda journal: note(journal, instance(0).sop_instance_uid),
    "a note on a result": lambda journal: note(journal, result(0).sop_instance_uid),
    "half the images of another one": lambda journal: correct(journal, 0),
    "a weight": lambda journal: correct(
        journal, 0, 1, 2, keywords=("PatientWeight",), is_renaming=False, of_another=frozenset()
    ),
    "a merge that an archive follows": lambda journal: correct(journal, 0, 1, 2, as_told=ANOTHER),
    "a merge that an archive undoes": lambda journal: correct(journal, 0, 1, 2, undoes=True),
}


@pytest.mark.parametrize("case", LATER)
def test_nothing_that_comes_has_the_wrong_patients_results_made_again(taken_back, case):
    for comes in (LATER[case], LATER["a late image"]):
        comes(taken_back)
        assert taken_back.study(STUDY).state is StudyState.RETRACTED
        assert taken_back.close_study(STUDY, ALL_HERE, later(60)) is None
        assert at_work(taken_back) == []


def test_a_study_that_is_taken_back_while_it_arrives_stays_so(journal):
    journal.retract(STUDY, WRONG, NOON)
    for number in (7, 8):
        receive(journal, 1, first=number, at=later(6))
    study = journal.study(STUDY)
    assert (study.state, study.version, study.instances) == (StudyState.RETRACTED, 1, 5)
    texts = [one.text for one in journal.events(STUDY) if one.what == "study.stays_taken_back"]
    assert len(texts) == 2
    assert "with another Patient ID or Accession Number" in texts[0]
    assert "retry STUDY --retracted --by NAME" in texts[0]


def test_what_is_corrected_in_all_images_is_received_again_however_many_steps_it_takes(taken_back):
    correct(taken_back, 0)
    assert taken_back.study(STUDY).state is StudyState.RETRACTED
    text = [one.text for one in taken_back.events(STUDY) if one.what == "study.corrected"][-1]
    assert "The study stays taken back as of the wrong patient or order" in text
    note(taken_back, instance(1).sop_instance_uid)  # it need not name another one
    correct(taken_back, 2, at=7)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING
    text = [one.text for one in taken_back.events(STUDY) if one.what == "study.corrected"][-1]
    assert "stays taken back" not in text
    assert complete(taken_back) == taken_back.study(STUDY).version
    receive(taken_back, 1, first=7, at=later(9))
    assert taken_back.study(STUDY).state is StudyState.RECEIVING, "it is cured for good"


def test_a_correction_from_before_the_taking_back_is_no_cure(journal):
    correct(journal, 0, 1, 2)
    complete(journal)
    journal.retract(STUDY, WRONG, NOON)
    correct(journal, 0, digest="e", at=6)
    assert journal.study(STUDY).state is StudyState.RETRACTED


def test_an_image_that_goes_back_to_who_was_named_before_names_no_other_one(taken_back):
    correct(taken_back, 0)
    correct(taken_back, 0, digest="e", at=6, returns=True)
    correct(taken_back, 1, 2, at=7)
    assert taken_back.study(STUDY).state is StudyState.RETRACTED
    correct(taken_back, 0, digest="d", at=8)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_study_that_was_cured_and_goes_back_to_the_wrong_one_is_taken_back_again(taken_back, is_complete):
    correct(taken_back, 0, 1, 2)
    if is_complete:
        complete(taken_back)
    correct(taken_back, 0, 1, 2, digest="e", at=6, returns=True)
    assert taken_back.study(STUDY).state is StudyState.RETRACTED
    receive(taken_back, 1, first=7, at=later(8))
    assert taken_back.study(STUDY).state is StudyState.RETRACTED


def test_a_study_that_was_never_of_the_wrong_one_may_go_back(journal):
    complete(journal)
    correct(journal, 0, 1, 2)
    correct(journal, 0, 1, 2, digest="e", at=6, returns=True)
    assert journal.study(STUDY).state is StudyState.RECEIVING


def test_a_late_image_of_whom_nothing_was_corrected_holds_the_study_back(taken_back):
    receive(taken_back, 1, first=7, at=later(6))
    correct(taken_back, 0, 1, 2)
    assert taken_back.study(STUDY).state is StudyState.RETRACTED
    correct(taken_back, 7, at=7)
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


@pytest.mark.parametrize("code", ["113001", "113037"])
def test_what_was_taken_back_for_another_reason_is_made_of_new_images_as_ever(journal, code):
    complete(journal)
    journal.retract(STUDY, code, NOON)
    receive(journal, 1, first=7, at=later(6))
    assert journal.study(STUDY).state is StudyState.RECEIVING


def test_a_person_may_say_that_it_is_right_and_what_comes_then_is_analysed(taken_back):
    receive(taken_back, 1, first=7, at=later(6))
    assert taken_back.reanalyse(STUDY, "A. Smith", later(7)) == 2
    complete(taken_back)
    receive(taken_back, 1, first=8, at=later(8))
    assert taken_back.study(STUDY).state is StudyState.RECEIVING


def test_nothing_is_analysed_again_at_a_persons_wish_while_something_is_made(journal):
    complete(journal)
    until_delivery(journal)
    note(journal, *(result(n).sop_instance_uid for n in range(2)), code="113037")
    correct(journal, 0, of_another=frozenset(), keywords=("PatientWeight",), is_renaming=False)
    assert journal.study(STUDY).state is StudyState.RECEIVING
    assert journal.reanalyse(STUDY, "A. Smith", later(9)) is None


# ── by engine ──


def answered(journal: Journal, version: int, number: int) -> None:
    """An engine answers to a version."""
    work = [report(version=version), report(version=version, engine="other")]
    journal.finish(
        claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[analyse(version=version)]
    )
    journal.finish(
        claim(journal, TaskKind.ANALYSE), Event.COMMITTED, NOON, finding_path=Path("/f"), new_tasks=work
    )
    made = result(number, "SR", version=version)
    journal.finish(claim(journal, TaskKind.REPORT), Event.COMMITTED, NOON, objects=[made])


def anothers(journal: Journal) -> dict[tuple[str, int], bool]:
    return {of: answer.is_anothers for of, answer in journal.rejected_answers(STUDY).items()}


def test_an_answer_that_was_taken_back_by_its_engine_waits_for_all_images_or_a_person(journal):
    complete(journal)
    answered(journal, 1, 0)
    journal.retract_answers(STUDY, [AnswerKey(1, ENGINE)], WRONG, "A. Smith", later(3))
    receive(journal, 1, first=7, at=later(6))
    assert anothers(journal) == {(ENGINE, 1): True}
    correct(journal, 0, 1, 2)
    assert anothers(journal) == {(ENGINE, 1): True}
    correct(journal, 7, at=7)
    assert anothers(journal) == {(ENGINE, 1): False}


def test_an_answer_to_what_was_corrected_may_be_of_the_wrong_patient_too(journal):
    complete(journal)
    answered(journal, 1, 0)
    note(journal, result(0).sop_instance_uid, code=WRONG)
    correct(journal, 0, 1, 2)
    complete(journal)
    answered(journal, 2, 1)
    rejection = RejectionNote(
        sop_instance_uid="9.9", study_instance_uid=STUDY, code=WRONG, meaning="Rejected",
        instances=(result(1, version=2).sop_instance_uid,),
    )  # fmt: skip
    journal.add_instances([], later(8), corrections=[rejection])
    assert anothers(journal) == {(ENGINE, 1): False, (ENGINE, 2): True}
