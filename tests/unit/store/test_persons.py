"""Of whom a message was told: each header is judged by itself, before and after it follows the message."""

from __future__ import annotations

import hashlib

import pytest

from dicomnode.store.persons import NO_RENAMING, Person, Renaming, difference, is_one, person_of

A = {"PatientID": "A", "PatientName": "Doe^Jane", "PatientBirthDate": "19700102"}
TOLD = {"PatientID": "B", "PatientName": "Roe^Jane"}
MERGED = Renaming(told=TOLD, former=(A,))


def hide(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


THEIRS = {
    "as it was": A,
    "followed by its ID alone": {**A, "PatientID": "B"},
    "followed by its name alone": {**A, "PatientName": "Roe^Jane"},
    "followed": {**A, **TOLD},
    "followed in capitals": {**A, "PatientID": "B", "PatientName": "ROE^JANE^^"},
    "of an issuer": {**A, "IssuerOfPatientID": "HOSP"},
    "with a middle name": {**A, "PatientName": "Doe^Jane^M"},
    "without a name": {**A, "PatientName": ""},
    "of a birth date in an old form": {**A, "PatientBirthDate": "1970.01.02"},
}
NOT_THEIRS = {
    "of a third one": {"PatientID": "C", "PatientName": "Third^Person"},
    "of a third one of the same name": {**A, "PatientID": "C"},
    "of the old ID and another name": {**A, "PatientName": "Third^Person"},
    "of the new ID and another birth date": {**A, **TOLD, "PatientBirthDate": "19990102"},
}


@pytest.mark.parametrize("case", THEIRS)
@pytest.mark.parametrize("by", [None, hide], ids=["plain", "hidden"])
def test_what_was_told_takes_the_place_of_what_a_header_of_the_patient_says(case, by):
    person = person_of(THEIRS[case], by)
    assert MERGED.told_of(person, by) == TOLD
    (now,) = MERGED.of([person], by)
    assert (now.patient_id, now.name) == (person_of(TOLD, by).patient_id, person_of(TOLD, by).name)


@pytest.mark.parametrize("case", NOT_THEIRS)
@pytest.mark.parametrize("by", [None, hide], ids=["plain", "hidden"])
def test_nothing_was_told_of_anybody_else(case, by):
    person = person_of(NOT_THEIRS[case], by)
    assert MERGED.told_of(person, by) == {}
    assert MERGED.of([person], by) == [person]


def test_all_headers_of_the_patient_are_one_person_while_an_archive_follows():
    assert is_one(MERGED.of(person_of(values) for values in THEIRS.values()))
    assert not is_one(MERGED.of(map(person_of, (A, NOT_THEIRS["of a third one of the same name"]))))


@pytest.mark.parametrize("case", [*THEIRS, *NOT_THEIRS])
def test_who_has_the_replaced_id_and_cannot_be_shown_to_be_meant_is_known(case):
    person = person_of({**THEIRS, **NOT_THEIRS}[case])
    assert MERGED.may_be_told_of(person) == (case == "of the old ID and another name")
    assert not NO_RENAMING.may_be_told_of(person)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (A, False),
        ({**A, "PatientID": "B"}, False),
        ({**A, **TOLD}, True),
        ({"PatientID": "B", "PatientName": "Third^Person"}, False),
    ],
)
def test_a_record_that_does_not_say_of_whom_it_was_told_is_of_those_alone_who_say_as_it_did(values, told):
    renaming = Renaming(told=TOLD)
    assert renaming.told_of(person_of(values)) == (TOLD if told else {})
    assert renaming.may_be_told_of(person_of(values)) == (not told)


def test_a_name_that_is_told_without_an_id_replaces_no_id():
    renamed = Renaming(told={"PatientName": "Roe^Jane"}, former=(A,))
    assert renamed.told_of(person_of(A)) == {"PatientName": "Roe^Jane"}
    assert not renamed.may_be_told_of(person_of(NOT_THEIRS["of the old ID and another name"]))


def test_what_headers_were_corrected_in_since_is_theirs_to_say_and_the_rest_is_told():
    since = Renaming(told=TOLD, former=(A,), corrected=frozenset({"PatientName"}))
    for name in ("Third^Name", "Doe^Jane"):
        person = person_of({**A, "PatientName": name})
        assert since.told_of(person) == {"PatientID": "B"}
        (now,) = since.of([person])
        assert (now.patient_id, now.name) == ("B", person.name)
        assert not since.may_be_told_of(person)


def test_after_several_merges_the_last_id_is_that_of_all():
    chain = Renaming(told={"PatientID": "C"}, former=(A, {**A, "PatientID": "B"}))
    for number in "ABC":
        assert chain.told_of(person_of({**A, "PatientID": number})) == {"PatientID": "C"}
    assert chain.told_of(person_of({**A, "PatientID": "D"})) == {}


ONE = {
    "a birth date in an old form": ({"PatientBirthDate": "1970.01.02"}, {"PatientBirthDate": "19700102"}),
    "no birth date in one": ({"PatientBirthDate": ""}, {"PatientBirthDate": "19700102"}),
    "no name in one": ({"PatientName": ""}, {"PatientName": "Doe^Jane"}),
    "no issuer in one": ({"IssuerOfPatientID": ""}, {"IssuerOfPatientID": "HOSP"}),
}
TWO = {
    "PatientID": ({}, {"PatientID": "B"}),
    "no Patient ID in one": ({}, {"PatientID": ""}),
    "IssuerOfPatientID": ({"IssuerOfPatientID": "X"}, {"IssuerOfPatientID": "Y"}),
    "PatientName": ({}, {"PatientName": "Doe^John"}),
    "PatientBirthDate": ({}, {"PatientBirthDate": "19700103"}),
}


@pytest.mark.parametrize("by", [None, hide], ids=["plain", "hidden"])
@pytest.mark.parametrize("case", [*ONE, *TWO])
def test_what_is_not_known_of_one_contradicts_nothing(case, by):
    persons: list[Person] = [person_of({**A, **values}, by) for values in {**ONE, **TWO}[case]]
    keyword = "PatientID" if case.startswith("no Patient") else case
    assert difference(persons) == (None if case in ONE else (keyword, 2))


def test_the_new_id_is_no_replaced_one_although_it_was_once_merged_away():
    renaming = Renaming(told=TOLD, former=(A, {**A, "PatientID": "B"}))
    somebody = person_of(NOT_THEIRS["of the new ID and another birth date"])
    assert renaming.told_of(somebody) == {}
    assert not renaming.may_be_told_of(somebody)
