"""An engine with priors does not search and analyse again because of a name; because of an ID it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dicomnode.journal import AnswerKey, Event, HeaderCorrection, NewTask, RejectionNote, TaskKind
from dicomnode.serve.analysing.again import FINDINGS_OF, taken_over
from dicomnode.serve.asking.given_priors import ARCHIVES, GivenPrior, payload_of
from tests.unit.journal.world import (
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
)
from tests.unit.store.findings import full_findings

FOUND = GivenPrior(study_instance_uid="1.2.4", series_instance_uid="1.2.4.1", stack=0, days=365)


def search(version: int, **more: str) -> NewTask:
    task = analyse(version=version)
    payload = {**task.payload, "asks": "priors", **more}
    return replace(task, kind=TaskKind.FETCH, destination=ARCHIVES, payload=payload)


def analysed(store, journal, new_tasks: Sequence[NewTask] = ()) -> str:
    """Walk a study through the search and the analysis; give the digest of the engine."""
    receive(journal)
    complete(journal)
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[search(1)])
    task = analyse()
    given = replace(task, payload={**task.payload, **payload_of("before", FOUND)})
    journal.finish(claim(journal, TaskKind.FETCH), Event.COMMITTED, NOON, new_tasks=[given])
    findings = full_findings()
    path = store.save_findings(findings)
    journal.finish(
        claim(journal, TaskKind.ANALYSE), Event.COMMITTED, NOON, finding_path=path, new_tasks=new_tasks
    )
    return findings.provenance.engine_digest


def corrected(journal, keyword: str):
    """Correct a header of all images; give the dispatch that follows."""
    at = later(60)
    others = [replace(instance(n), digest=f"{100 + n:016x}", received_at=at) for n in range(3)]
    corrections = [
        HeaderCorrection(
            instance=one,
            ids=Ids(),
            keywords=(keyword,),
            is_renaming=True,
            of_another=frozenset({keyword}) - {"IssuerOfPatientID"},
        )
        for one in others
    ]
    journal.add_instances([(one, Ids()) for one in others], at, corrections=corrections)
    assert complete(journal, at=later(120)) == 2
    return claim(journal, TaskKind.DISPATCH, later(120))


def test_after_a_corrected_name_the_findings_are_taken_over_without_a_search(store, journal):
    digest = analysed(store, journal)
    (task,), _ = taken_over([search(2)], corrected(journal, "PatientName"), journal, {ENGINE: digest})
    assert (task.kind, task.destination, task.study_version) == (TaskKind.ANALYSE, None, 2)
    assert task.payload == {**analyse().payload, **payload_of("before", FOUND), FINDINGS_OF: 1}


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"])
def test_after_a_corrected_identity_a_prior_is_searched_again(store, journal, keyword):
    digest = analysed(store, journal)
    new = [search(2)]
    assert taken_over(new, corrected(journal, keyword), journal, {ENGINE: digest}) == (new, {})


@pytest.mark.parametrize("uid", ["1.2.4", "1.2.5"])
def test_findings_are_not_taken_over_when_the_prior_they_were_made_with_is_rejected(store, journal, uid):
    digest = analysed(store, journal)
    of_prior = instance(0, study=uid)
    receive(journal, 1, study=uid)
    note = RejectionNote(
        sop_instance_uid="9.8",
        study_instance_uid=uid,
        code="113037",
        meaning="Rejected for Patient Safety Reasons",
        instances=(of_prior.sop_instance_uid,),
    )
    journal.add_instances([], later(30), corrections=[note])
    new = [search(2)]
    (task,), _ = taken_over(new, corrected(journal, "PatientName"), journal, {ENGINE: digest})
    assert (task in new) == (uid == FOUND.study_instance_uid)


def test_for_another_series_a_prior_is_searched(store, journal):
    digest = analysed(store, journal)
    new = [search(2, series="1.2.9")]
    assert taken_over(new, corrected(journal, "PatientName"), journal, {ENGINE: digest}) == (new, {})


def test_for_another_engine_a_prior_is_searched(store, journal):
    analysed(store, journal)
    new = [search(2)]
    assert taken_over(new, corrected(journal, "PatientName"), journal, {ENGINE: "0" * 64}) == (new, {})


def reject_result(journal, code: str) -> None:
    """A note of somebody else rejects what the engine found."""
    made = result(0, "SR")
    journal.finish(claim(journal, TaskKind.REPORT), Event.COMMITTED, NOON, objects=[made])
    note = RejectionNote(
        sop_instance_uid="9.8",
        study_instance_uid=STUDY,
        code=code,
        meaning="Rejected",
        instances=(made.sop_instance_uid,),
    )
    journal.add_instances([], later(30), corrections=[note])


@pytest.mark.parametrize(
    ("code", "keyword", "lost", "becomes"),
    [
        ("113001", "PatientName", False, "nothing"),
        ("113037", "PatientID", False, "nothing"),
        ("113038", "AccessionNumber", False, "a search"),
        ("113038", "IssuerOfPatientID", False, "nothing"),
        ("113001", "PatientName", True, "a search"),
    ],
    ids=["renamed", "of another ID", "of the wrong order", "of its issuer", "its prior is lost"],
)
def test_what_somebody_else_rejected_is_not_made_again_without_a_cure(
    store, journal, code, keyword, lost, becomes
):
    digest = analysed(store, journal, new_tasks=[report()])
    reject_result(journal, code)
    if lost:
        receive(journal, 1, study=FOUND.study_instance_uid)
        images = (instance(0, study=FOUND.study_instance_uid).sop_instance_uid,)
        note = RejectionNote(
            sop_instance_uid="9.7",
            study_instance_uid=FOUND.study_instance_uid,
            code="113037",
            meaning="Rejected",
            instances=images,
        )
        journal.add_instances([], later(40), corrections=[note])
    new = [search(2)]
    found = taken_over(new, corrected(journal, keyword), journal, {ENGINE: digest})
    assert found == (([], {ENGINE: code}) if becomes == "nothing" else (new, {}))


@pytest.mark.parametrize(
    ("code", "keyword", "becomes"),
    [
        ("113001", "PatientName", "nothing"),
        ("113037", "PatientID", "nothing"),
        ("113038", "PatientID", "a search"),
        ("113038", "IssuerOfPatientID", "nothing"),
    ],
)
def test_what_a_person_took_back_by_its_engine_is_not_made_again_without_a_cure(
    store, journal, code, keyword, becomes
):
    digest = analysed(store, journal, new_tasks=[report(), analyse(engine="other")])
    journal.retract_answers(STUDY, [AnswerKey(1, ENGINE)], code, "A. Smith", later(30))
    new, dispatch = [search(2)], corrected(journal, keyword)
    found = taken_over(new, dispatch, journal, {ENGINE: digest})
    assert found == (([], {ENGINE: code}) if becomes == "nothing" else (new, {}))
    by_another_package = taken_over(new, dispatch, journal, {ENGINE: "0" * 64})
    is_still_his = (code, becomes) == ("113038", "nothing")
    assert by_another_package == (([], {ENGINE: code}) if is_still_his else (new, {}))


@pytest.mark.parametrize("by_a_person", [True, False], ids=["taken back", "rejected"])
@pytest.mark.parametrize(("code", "is_made"), [("113001", True), ("113038", False)])
def test_new_images_have_nothing_of_the_wrong_patient_made_again(store, journal, code, is_made, by_a_person):
    digest = analysed(store, journal, new_tasks=[report(), analyse(engine="other")])
    if by_a_person:
        journal.retract_answers(STUDY, [AnswerKey(1, ENGINE)], code, "A. Smith", later(30))
    else:
        reject_result(journal, code)
    receive(journal, 1, first=7, at=later(60))
    assert complete(journal, at=later(120)) == 2
    new = [search(2), replace(search(2), engine=f"{ENGINE}:2")]
    found = taken_over(new, claim(journal, TaskKind.DISPATCH, later(120)), journal, {ENGINE: digest})
    assert found == ((new, {}) if is_made else ([], {ENGINE: code, f"{ENGINE}:2": code}))


def test_another_engine_that_nobody_rejected_takes_its_findings_over(store, journal):
    digest = analysed(store, journal, new_tasks=[report(engine="other")])
    journal.finish(
        claim(journal, TaskKind.REPORT), Event.COMMITTED, NOON, objects=[result(0, engine="other")]
    )
    note = RejectionNote(
        sop_instance_uid="9.8",
        study_instance_uid=STUDY,
        code="113001",
        meaning="Rejected",
        instances=(result(0).sop_instance_uid,),
    )
    journal.add_instances([], later(30), corrections=[note])
    (task,), rejected = taken_over([search(2)], corrected(journal, "PatientName"), journal, {ENGINE: digest})
    assert (task.payload[FINDINGS_OF], rejected) == (1, {})
