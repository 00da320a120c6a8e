"""Which prior an analysis was given: its results do not outlive what they were made with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.journal import (
    AnswerKey,
    Event,
    HeaderCorrection,
    Journal,
    NewTask,
    RejectionNote,
    StudyState,
    TaskKind,
    TaskState,
    is_of_retraction,
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
)

PRIOR = "1.2.4"
OTHER = "other-engine"
GIVEN = {"prior.before.study": PRIOR, "prior.before.series": f"{PRIOR}.1", "prior.before.stack": 0}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        yield journal


def with_prior(version: int = 1, **more: str) -> NewTask:
    task = analyse(version=version)
    return replace(task, payload={**task.payload, **GIVEN, **more})


def analysed(journal: Journal) -> None:
    """One engine is given a prior, another is not; the archive has the results of both."""
    receive(journal, study=PRIOR)
    complete(journal, PRIOR)
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON)
    receive(journal)
    complete(journal)
    work = [with_prior(), analyse(engine=OTHER)]
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=work)
    for task in work:
        written = report(engine=task.engine or "")
        journal.finish(
            claim(journal, TaskKind.ANALYSE),
            Event.COMMITTED,
            NOON,
            finding_path=Path(f"/store/findings/{task.engine}"),
            new_tasks=[written],
        )
    for number, task in enumerate(work):
        sent = replace(deliver(), engine=task.engine)
        made = result(number, "SR", engine=task.engine or "")
        journal.finish(
            claim(journal, TaskKind.REPORT), Event.COMMITTED, NOON, objects=[made], new_tasks=[sent]
        )
        sending = claim(journal, TaskKind.DELIVER)
        journal.record_delivery(sending, made.sop_instance_uid, "stored", 0, "", NOON)
        journal.finish(sending, Event.COMMITTED, NOON)
    assert journal.study(STUDY).state is StudyState.DONE


def reject(journal: Journal, *, series: int = 1) -> None:
    note = RejectionNote(
        sop_instance_uid="9.9",
        study_instance_uid=PRIOR,
        code="113037",
        meaning="Rejected for Patient Safety Reasons",
        instances=(instance(0, study=PRIOR, series=series).sop_instance_uid,),
    )
    journal.add_instances([], later(10), corrections=[note])


def correct(journal: Journal, *keywords: str, is_renaming: bool = True, **more: frozenset[str]) -> None:
    other = replace(instance(0, study=PRIOR), digest="f" * 16)
    correction = HeaderCorrection(
        instance=other, ids=Ids(), keywords=keywords, is_renaming=is_renaming, **more
    )
    journal.add_instances([(other, Ids())], later(10), corrections=[correction])


def taken_back(journal: Journal) -> set[str]:
    """The objects of which the archive will get a rejection note."""
    open_tasks = [one for one in journal.tasks(STUDY, {TaskState.READY}) if is_of_retraction(one.engine)]
    return {made.sop_instance_uid for task in open_tasks for made in journal.withdrawn(task)}


WITH_IT = result(0).sop_instance_uid


@pytest.mark.parametrize("how", ["rejected", "PatientID", "IssuerOfPatientID", "PatientBirthDate"])
def test_results_are_taken_back_and_made_again_when_their_prior_is_withdrawn_or_somebody_elses(
    journal: Journal, how: str
) -> None:
    analysed(journal)
    if how == "rejected":
        reject(journal)
    else:
        correct(journal, how)
    assert taken_back(journal) == {WITH_IT}
    assert set(journal.rejected(STUDY)) == {WITH_IT}, "the other engine saw nothing of it"
    study = journal.study(STUDY)
    assert (study.version, study.state) == (2, StudyState.RECEIVING)
    (event,) = [one for one in journal.events(STUDY) if one.what == "study.prior_withdrawn"]
    assert PRIOR in event.text
    assert complete(journal, at=later(20)) == 2


def test_an_engine_that_had_no_such_prior_may_take_its_findings_over(journal: Journal) -> None:
    analysed(journal)
    reject(journal)
    assert journal.same_images_since(STUDY, 2) == 1
    assert journal.lost_priors_since(STUDY, 1)
    assert not journal.lost_priors_since(STUDY, 2)


def test_one_image_of_a_series_that_is_somebody_elses_is_enough(journal: Journal) -> None:
    analysed(journal)
    others = [replace(instance(n, study=PRIOR), digest=f"{200 + n:016x}") for n in range(2)]
    corrections = [
        HeaderCorrection(instance=one, ids=Ids(), keywords=(keyword,), is_renaming=True)
        for one, keyword in zip(others, ("PatientID", "PatientName"), strict=True)
    ]
    journal.add_instances([(one, Ids()) for one in others], later(10), corrections=corrections)
    assert taken_back(journal) == {WITH_IT}
    (event,) = [one for one in journal.events(STUDY) if one.what == "study.prior_withdrawn"]
    assert "was corrected in PatientID." in event.text


@pytest.mark.parametrize("keyword", ["PatientName", "AccessionNumber"])
def test_another_correction_of_a_prior_takes_nothing_back(journal: Journal, keyword: str) -> None:
    analysed(journal)
    correct(journal, keyword)
    assert (taken_back(journal), journal.study(STUDY).version) == (set(), 1)


def test_an_issuer_where_none_was_makes_a_prior_nobody_elses(journal: Journal) -> None:
    analysed(journal)
    correct(journal, "IssuerOfPatientID", "PatientName", added=frozenset({"IssuerOfPatientID"}))
    assert (taken_back(journal), journal.study(STUDY).version) == (set(), 1)


@pytest.mark.parametrize("keyword", ["PatientID", "PatientBirthDate", "PatientSex"])
def test_anything_else_where_nothing_was_may_be_somebody_elses(journal: Journal, keyword: str) -> None:
    analysed(journal)
    correct(journal, keyword, added=frozenset({keyword}))
    assert taken_back(journal) == {WITH_IT}


def test_a_prior_that_an_engine_may_see_otherwise_is_looked_at_again_and_takes_nothing_back(
    journal: Journal,
) -> None:
    analysed(journal)
    correct(journal, "PatientWeight", is_renaming=False)
    assert (taken_back(journal), journal.rejected(STUDY)) == (set(), {})
    study = journal.study(STUDY)
    assert (study.version, study.state) == (2, StudyState.RECEIVING)
    (event,) = [one for one in journal.events(STUDY) if one.what == "study.prior_corrected"]
    assert event.text == (
        f"Study {PRIOR}, a prior of this one, was corrected in what an engine may see. Version 2 begins."
    )
    assert journal.lost_priors_since(STUDY, 1), "the engine that had it looks again"
    assert journal.same_images_since(STUDY, 2) == 1, "the other one takes its findings over"


def test_a_prior_that_is_somebody_elses_and_seen_otherwise_is_told_of_once(journal: Journal) -> None:
    analysed(journal)
    correct(journal, "PatientID", "PatientWeight", is_renaming=False)
    assert taken_back(journal) == {WITH_IT}
    assert journal.study(STUDY).version == 2
    told = [one.what for one in journal.events(STUDY) if one.what.startswith("study.prior_")]
    assert told == ["study.prior_withdrawn"]


def test_a_prior_of_an_earlier_version_that_is_seen_otherwise_reopens_nothing(journal: Journal) -> None:
    analysed(journal)
    receive(journal, 1, first=7, at=later(3))
    complete(journal, at=later(4))
    journal.finish(claim(journal, TaskKind.DISPATCH, later(4)), Event.COMMITTED, later(4), new_tasks=[])
    correct(journal, "PatientWeight", is_renaming=False)
    assert (taken_back(journal), journal.study(STUDY).version) == (set(), 2)


def test_a_prior_that_is_lost_once_more_takes_back_what_was_made_with_it(journal: Journal) -> None:
    analysed(journal)
    correct(journal, "PatientWeight", is_renaming=False)
    assert taken_back(journal) == set()
    reject(journal)
    assert taken_back(journal) == {WITH_IT}
    assert journal.study(STUDY).version == 2, "it has begun already"
    told = [one.what for one in journal.events(STUDY) if one.what.startswith("study.prior_")]
    assert told == ["study.prior_corrected", "study.prior_withdrawn"]


def test_a_prior_that_is_seen_otherwise_twice_begins_one_version(journal: Journal) -> None:
    analysed(journal)
    correct(journal, "PatientWeight", is_renaming=False)
    other = replace(instance(1, study=PRIOR), digest="e" * 16)
    again = HeaderCorrection(instance=other, ids=Ids(), keywords=("PatientWeight",), is_renaming=False)
    journal.add_instances([(other, Ids())], later(11), corrections=[again])
    assert journal.study(STUDY).version == 2
    assert complete(journal, at=later(20)) == 2
    journal.add_instances(
        [(replace(other, digest="d" * 16), Ids())],
        later(21),
        corrections=[replace(again, instance=replace(other, digest="d" * 16))],
    )
    assert (journal.study(STUDY).version, taken_back(journal)) == (2, set())


def test_a_prior_whose_header_follows_the_merge_that_was_told_stays_the_patients(journal: Journal) -> None:
    analysed(journal)
    correct(journal, "PatientID", "PatientName", as_told=frozenset({"PatientID"}))
    assert (taken_back(journal), journal.study(STUDY).version) == (set(), 1)


def test_what_no_message_told_is_still_somebody_elses(journal: Journal) -> None:
    analysed(journal)
    correct(journal, "PatientID", "PatientBirthDate", as_told=frozenset({"PatientID"}))
    assert taken_back(journal) == {WITH_IT}
    (event,) = [one for one in journal.events(STUDY) if one.what == "study.prior_withdrawn"]
    assert "was corrected in PatientBirthDate." in event.text


def test_another_series_of_the_prior_is_nothing_to_the_results(journal: Journal) -> None:
    analysed(journal)
    journal.add_instances([(instance(0, study=PRIOR, series=2), Ids(modality="SR"))], later(5))
    reject(journal, series=2)
    assert (taken_back(journal), journal.study(STUDY).version) == (set(), 1)


def test_a_prior_that_is_withdrawn_while_the_analysis_waits_begins_the_next_version(
    journal: Journal,
) -> None:
    receive(journal, study=PRIOR)
    receive(journal)
    complete(journal)
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[with_prior()])
    reject(journal)
    assert journal.study(STUDY).version == 2
    assert [one.state for one in journal.tasks(STUDY) if one.kind is TaskKind.ANALYSE] == [
        TaskState.SUPERSEDED
    ]


def test_results_of_an_earlier_version_are_taken_back_and_the_present_one_stays(journal: Journal) -> None:
    analysed(journal)
    receive(journal, 1, first=7, at=later(3))
    complete(journal, at=later(4))
    journal.finish(claim(journal, TaskKind.DISPATCH, later(4)), Event.COMMITTED, later(4), new_tasks=[])
    reject(journal)
    assert taken_back(journal) == {WITH_IT}
    assert journal.study(STUDY).version == 2


def test_a_study_whose_results_were_taken_back_stays_ended(journal: Journal) -> None:
    analysed(journal)
    journal.retract(STUDY, "113001", later(5))
    reject(journal)
    study = journal.study(STUDY)
    assert (study.version, study.state) == (1, StudyState.RETRACTED)


def test_the_same_note_again_changes_nothing(journal: Journal) -> None:
    analysed(journal)
    reject(journal)
    complete(journal, at=later(20))
    reject(journal)
    assert journal.study(STUDY).version == 2


def test_the_destination_is_told_of_what_was_made_with_it_alone(journal: Journal) -> None:
    analysed(journal)
    reject(journal)
    (task,) = [one for one in journal.tasks(STUDY, {TaskState.READY}) if is_of_retraction(one.engine)]
    assert (task.destination, task.payload["code"]) == (PACS, "113037")


@pytest.mark.parametrize("how", ["retracted", "by its engine", "by a note of somebody else"])
def test_what_was_made_with_a_study_of_the_wrong_patient_is_taken_back_and_made_again(journal, how):
    analysed(journal)
    made = replace(result(7, "SR"), study_instance_uid=PRIOR)
    receive(journal, 1, study=PRIOR, first=5, at=later(3))
    complete(journal, PRIOR, at=later(4))
    at, made = later(5), replace(made, study_version=2)
    work = [analyse(PRIOR, 2), report(PRIOR, 2)]
    journal.finish(claim(journal, TaskKind.DISPATCH, at), Event.COMMITTED, at, new_tasks=work)
    journal.finish(claim(journal, TaskKind.ANALYSE, at), Event.COMMITTED, at, finding_path=Path("/f"))
    journal.finish(claim(journal, TaskKind.REPORT, at), Event.COMMITTED, at, objects=[made])
    if how == "retracted":
        journal.retract(PRIOR, "113038", later(10))
    elif how == "by its engine":
        journal.retract_answers(PRIOR, [AnswerKey(2, ENGINE)], "113038", "A. Smith", later(10))
    else:
        note = RejectionNote(
            sop_instance_uid="9.9", study_instance_uid=PRIOR, code="113038", meaning="Rejected",
            instances=(made.sop_instance_uid,),
        )  # fmt: skip
        journal.add_instances([], later(10), corrections=[note])
    assert taken_back(journal) == {WITH_IT}
    assert journal.study(STUDY).state is StudyState.RECEIVING
    assert journal.lost_priors_since(STUDY, 1), "the engine looks for another one"
    assert journal.is_of_another(PRIOR)
    assert not journal.is_of_another(STUDY)


@pytest.mark.parametrize("code", ["113001", "113037"])
def test_a_prior_whose_results_are_wrong_for_another_reason_stays_one(journal, code):
    analysed(journal)
    journal.retract(PRIOR, code, later(10))
    assert (taken_back(journal), journal.study(STUDY).version) == (set(), 1)
    assert not journal.is_of_another(PRIOR)
