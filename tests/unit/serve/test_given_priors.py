"""Whose the images of a prior are: each is asked that says something of its own, and messages once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dicomnode.faults import FILE_UNREADABLE, NodeError
from dicomnode.net import Patient
from dicomnode.serve.asking import given_priors
from dicomnode.serve.asking.given_priors import Priors, contradiction, stacks_in
from dicomnode.serve.identity import whose as whose_room
from dicomnode.serve.intake.ingest import ingest
from tests.unit.serve.test_corrections import changed
from tests.unit.store.part10 import NOON, receive
from tests.wire.earlier import BEFORE_UID, PATIENT_ID, SLICES, examination

OURS = Patient(patient_id=PATIENT_ID, birth_date="19600203", sex="F")
HEADER = {"PatientBirthDate": "19600203", "PatientSex": "F"}


@pytest.fixture
def instances(store, journal, tmp_path):
    """The images of a prior, of which some say other things."""

    def received(**others):
        files = examination(tmp_path / "before", BEFORE_UID, "20250601")
        for n, path in enumerate(files):
            content = changed(path, **(HEADER | (others if n == SLICES - 2 else {})))
            receive(store, content[128:], NOON)
        ingest(store, journal, datetime.now(UTC))
        return journal.instances(BEFORE_UID)

    return received


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ({}, ""),
        ({"PatientName": "Written^Otherwise"}, ""),
        ({"IssuerOfPatientID": "ELSEWHERE"}, ""),
        ({"PatientID": "PRIOR-2"}, "it has another Patient ID"),
        ({"PatientID": ""}, "it has another Patient ID"),
        ({"PatientBirthDate": "19010101"}, "it has the same Patient ID, but another"),
        ({"PatientSex": "M"}, "it has the same Patient ID, but another"),
    ],
)
def test_one_image_of_somebody_else_among_many_is_found(instances, journal, others, problem):
    all_of_it = instances(**others)
    found = contradiction(OURS, all_of_it, stacks_in([one.path for one in all_of_it]), journal)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_an_image_that_is_in_no_stack_is_asked_too(instances, journal):
    all_of_it = instances(PatientID="PRIOR-2")
    assert contradiction(OURS, all_of_it, [], journal) == "it has another Patient ID"


def test_headers_that_are_the_same_are_read_once_and_messages_are_asked_once(instances, journal, monkeypatch):
    all_of_it = instances(IssuerOfPatientID="ELSEWHERE")
    stacks = stacks_in([one.path for one in all_of_it])
    read, told = [], []
    monkeypatch.setattr(
        given_priors, "whose", lambda one, said: (read.append(one), whose_room.whose(one, said))[1]
    )
    monkeypatch.setattr(
        given_priors, "told_now", lambda uid, of: (told.append(uid), whose_room.told_now(uid, of))[1]
    )
    assert contradiction(OURS, all_of_it, stacks, journal) == ""
    assert (len(read), told) == (2, [BEFORE_UID])


def test_a_file_that_is_gone_is_named(instances):
    paths = [one.path for one in instances()]
    paths[3].unlink()
    with pytest.raises(NodeError) as caught:
        stacks_in(paths)
    assert caught.value.fault is FILE_UNREADABLE


def test_the_images_of_a_prior_are_named_for_the_report_each_once(instances):
    all_of_it = instances()
    (stack,) = stacks_in([one.path for one in all_of_it])
    (earlier,) = Priors(stacks={"before": stack}, days={"before": 365}).earlier
    assert (earlier.name, earlier.study_instance_uid) == ("before", BEFORE_UID)
    assert earlier.series_instance_uid == all_of_it[0].series_instance_uid
    assert sorted(one.sop_instance_uid for one in earlier.instances) == sorted(
        one.sop_instance_uid for one in all_of_it
    )


def test_a_study_of_the_wrong_patient_is_no_prior_until_that_is_put_right(instances, journal):
    all_of_it = instances()
    stacks = stacks_in([one.path for one in all_of_it])
    journal.retract(BEFORE_UID, "113038", datetime.now(UTC))
    assert "of the wrong patient or order" in contradiction(OURS, all_of_it, stacks, journal)
    assert journal.reanalyse(BEFORE_UID, "A. Smith", datetime.now(UTC)) is not None
    assert contradiction(OURS, all_of_it, stacks, journal) == ""
