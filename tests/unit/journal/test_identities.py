"""Whose a study is, as the journal keeps it: what messages said, and what headers have said anew since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.journal import (
    Closing,
    Event,
    HeaderCorrection,
    Identity,
    IdentityChange,
    Journal,
    PatientKey,
    TaskKind,
)
from tests.unit.journal.world import NOON, STUDY, Ids, claim, instance, later, receive, report

RECORD = Path("/store/history/record.json")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        receive(journal)
        yield journal


def tell(journal: Journal, *keywords: str, path: Path = RECORD, after: int | None = None) -> int | None:
    after = journal.newest_correction(STUDY) if after is None else after
    change = IdentityChange(path=path, keywords=keywords, source="ADT^A40 of 10.0.0.1", after=after)
    return journal.correct_identity(STUDY, change, NOON)


def correct(journal: Journal, *keywords: str, digest: str = "f", number: int = 0, **more: object) -> None:
    """An image comes again with another header. more: of the correction."""
    image = replace(instance(number), digest=digest * 16, received_at=later(5))
    correction = HeaderCorrection(instance=image, ids=Ids(), keywords=keywords, is_renaming=True, **more)
    journal.add_instances([], later(5), corrections=[correction])


@pytest.mark.parametrize(
    ("keywords", "left"),
    [
        (["PatientName"], frozenset({"PatientName"})),
        (["PatientBirthDate", "PatientSex"], frozenset({"PatientBirthDate", "PatientSex"})),
        (["IssuerOfPatientID"], frozenset({"IssuerOfPatientID"})),
        (["PatientID"], frozenset()),
        (["PatientID", "PatientName"], frozenset({"PatientName"})),
    ],
)
def test_a_corrected_header_has_the_last_word_on_what_it_says_anew(journal, keywords, left):
    tell(journal, "PatientID", "PatientName")
    correct(journal, *keywords)
    assert journal.identity(STUDY, 1) == Identity(path=RECORD, corrected=left)


def test_what_follows_a_message_leaves_all_that_was_told(journal):
    tell(journal, "PatientID", "PatientName")
    correct(journal, "PatientID", "PatientName", as_told=frozenset({"PatientID", "PatientName"}))
    assert journal.identity(STUDY, 1) == Identity(path=RECORD, corrected=frozenset())


def test_what_undoes_a_message_ends_all_that_was_told(journal):
    tell(journal, "PatientID", "PatientName")
    correct(journal, "PatientID", undoes=True)
    assert journal.identity(STUDY, 1) is None


def test_a_message_is_told_of_the_images_that_had_come_first_however_often_they_are_corrected(journal):
    tell(journal, "PatientID")
    receive(journal, 1, first=7, at=later(9))
    correct(journal, "PatientID", digest="a")
    record = journal.newest_record(STUDY)
    assert record is not None
    assert record.of == {instance(n).sop_instance_uid for n in range(3)}


def test_corrections_of_headers_add_up_until_the_next_message(journal):
    tell(journal, "PatientID")
    correct(journal, "PatientName", digest="a")
    correct(journal, "PatientSex", digest="b")
    told = journal.identity(STUDY, 1)
    assert told == Identity(path=RECORD, corrected=frozenset({"PatientName", "PatientSex"}))
    tell(journal, "PatientName")  # the same record once more
    assert journal.identity(STUDY, 1) == Identity(path=RECORD, corrected=frozenset())


def test_a_message_does_not_stand_over_a_correction_that_it_has_not_seen(journal):
    read = journal.newest_correction(STUDY)
    correct(journal, "PatientID")
    assert tell(journal, "PatientName", after=read) is None
    assert journal.identity(STUDY, 1) is None
    assert tell(journal, "PatientName") == 1


def test_a_key_that_was_read_before_a_correction_is_not_kept(journal):
    read = journal.newest_correction(STUDY)
    correct(journal, "PatientID")
    journal.set_patient_keys({STUDY: PatientKey("old", read)})
    assert journal.without_patient_key() == [STUDY]
    journal.set_patient_keys({STUDY: PatientKey("new", journal.newest_correction(STUDY))})
    assert journal.studies_of({"old", "new"}) == [STUDY]
    assert journal.studies_of({"old"}) == []


def test_after_either_kind_of_correction_it_is_asked_again_whose_a_study_is(journal):
    for number, change in enumerate(
        (lambda: correct(journal, "PatientID"), lambda: tell(journal, "PatientID"))
    ):
        journal.set_patient_keys({STUDY: PatientKey(f"key {number}", journal.newest_correction(STUDY))})
        assert journal.without_patient_key() == []
        change()
        assert journal.without_patient_key() == [STUDY]


def test_a_study_that_was_released_is_not_said_to_be_held_after_a_merge(journal):
    short = "3 of 5 images, by the count of PACS1"
    journal.close_study(
        STUDY, Closing(evidence="e", last_arrival=later(9e6), shortfall=short, then="hold"), NOON
    )
    journal.retry(STUDY, None, NOON)
    journal.finish(claim(journal, TaskKind.DISPATCH), Event.COMMITTED, NOON, new_tasks=[report()])
    assert tell(journal, "PatientID") == 2
    held, again = [one.text for one in journal.events(STUDY) if one.what == "study.closed_incomplete"]
    assert "is held" in held
    assert (
        again == f"The wait for missing images is over: {short}. Its images are those of the version before."
    )
    assert claim(journal, TaskKind.DISPATCH).study_version == 2
