"""An engine with priors does not search and analyse again because of a name; because of an ID it does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.journal import Event, HeaderCorrection, NewTask, RejectionNote, TaskKind
from dicomnode.serve.analysing.again import FINDINGS_OF, taken_over
from dicomnode.serve.asking.given_priors import ARCHIVES, GivenPrior, payload_of
from tests.unit.journal.world import ENGINE, NOON, Ids, analyse, claim, complete, instance, later, receive
from tests.unit.store.findings import full_findings

FOUND = GivenPrior(study_instance_uid="1.2.4", series_instance_uid="1.2.4.1", stack=0, days=365)


def search(version: int, **more: str) -> NewTask:
    task = analyse(version=version)
    payload = {**task.payload, "asks": "priors", **more}
    return replace(task, kind=TaskKind.FETCH, destination=ARCHIVES, payload=payload)


def analysed(store, journal) -> str:
    """Walk a study through the search and the analysis; give the digest of the engine."""
    receive(journal)
    complete(journal)
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[search(1)])
    task = analyse()
    given = replace(task, payload={**task.payload, **payload_of("before", FOUND)})
    journal.finish(claim(journal, TaskKind.FETCH), Event.COMMITTED, NOON, new_tasks=[given])
    findings = full_findings()
    path = store.save_findings(findings)
    journal.finish(claim(journal, TaskKind.ANALYSE), Event.COMMITTED, NOON, finding_path=path)
    return findings.provenance.engine_digest


def corrected(journal, keyword: str):
    """Correct a header of all images; give the dispatch that follows."""
    at = later(60)
    others = [replace(instance(n), digest=f"{100 + n:016x}", received_at=at) for n in range(3)]
    corrections = [
        HeaderCorrection(instance=one, ids=Ids(), keywords=(keyword,), is_renaming=True) for one in others
    ]
    journal.add_instances([(one, Ids()) for one in others], at, corrections=corrections)
    assert complete(journal, at=later(120)) == 2
    return claim(journal, TaskKind.DISPATCH, later(120))


def test_after_a_corrected_name_the_findings_are_taken_over_without_a_search(store, journal):
    digest = analysed(store, journal)
    (task,) = taken_over([search(2)], corrected(journal, "PatientName"), journal, {ENGINE: digest})
    assert (task.kind, task.destination, task.study_version) == (TaskKind.ANALYSE, None, 2)
    assert task.payload == {**analyse().payload, **payload_of("before", FOUND), FINDINGS_OF: 1}


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"])
def test_after_a_corrected_identity_a_prior_is_searched_again(store, journal, keyword):
    digest = analysed(store, journal)
    new = [search(2)]
    assert taken_over(new, corrected(journal, keyword), journal, {ENGINE: digest}) == new


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
    (task,) = taken_over(new, corrected(journal, "PatientName"), journal, {ENGINE: digest})
    assert (task in new) == (uid == FOUND.study_instance_uid)


def test_for_another_series_a_prior_is_searched(store, journal):
    digest = analysed(store, journal)
    new = [search(2, series="1.2.9")]
    assert taken_over(new, corrected(journal, "PatientName"), journal, {ENGINE: digest}) == new


def test_for_another_engine_a_prior_is_searched(store, journal):
    analysed(store, journal)
    new = [search(2)]
    assert taken_over(new, corrected(journal, "PatientName"), journal, {ENGINE: "0" * 64}) == new
