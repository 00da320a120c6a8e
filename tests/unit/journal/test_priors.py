"""Studies that are fetched as priors: kept, never completed; what somebody sends is a study of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from dicomnode.faults import FETCHED_AS_PRIOR
from dicomnode.journal import ExpectedPrior, HeaderCorrection, Journal, RejectionNote, StudyState
from tests.unit.journal.world import ALL_HERE, NOON, STUDY, Ids, complete, instance, later

WANTED_BY = "1.2.100"
HOUR_S = 3600.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        yield journal


def expect(journal: Journal, until: datetime = NOON) -> bool:
    return journal.expect_prior(
        ExpectedPrior(study_instance_uid=STUDY, wanted_by=WANTED_BY, calling_ae="PACS", until=until)
    )


def come(
    journal: Journal, *numbers: int, at: datetime = NOON, calling_ae: str = "PACS", fetched: bool = True
) -> None:
    made = [instance(number, at=at) for number in numbers]
    sent = [replace(one, sender=replace(one.sender, calling_ae=calling_ae, fetched=fetched)) for one in made]
    journal.add_instances([(one, Ids()) for one in sent], at)


def test_what_is_fetched_is_kept_and_never_complete(journal: Journal) -> None:
    assert expect(journal)
    come(journal, 1, 2)
    come(journal, 3, at=later(10))
    study = journal.study(STUDY)
    assert (study.state, study.version, study.instances) == (StudyState.REFUSED, 1, 3)
    assert study.reason == FETCHED_AS_PRIOR.text(study=WANTED_BY)
    assert journal.open_studies(later(10 * HOUR_S)) == []
    assert journal.arriving() == []
    assert journal.close_study(STUDY, ALL_HERE, later(10 * HOUR_S)) is None
    assert journal.tasks(STUDY) == []
    (event,) = [one for one in journal.events(STUDY) if one.what == "study.prior"]
    assert WANTED_BY in event.text


def test_what_was_fetched_belongs_to_it_whenever_and_by_whatever_title_it_comes(journal: Journal) -> None:
    assert expect(journal)
    come(journal, 1, calling_ae="PACS-STORE")
    come(journal, 2, at=later(2 * HOUR_S))
    assert journal.study(STUDY).state is StudyState.REFUSED


def test_of_a_c_move_what_the_archive_sends_without_its_originator_belongs_to_it_until_its_end(
    journal: Journal,
) -> None:
    assert expect(journal, until=later(60))
    come(journal, 1, at=later(50), fetched=False)
    assert journal.study(STUDY).state is StudyState.REFUSED
    come(journal, 2, at=later(61), fetched=False)
    assert journal.study(STUDY).state is StudyState.RECEIVING


def test_what_another_one_sends_during_the_fetch_makes_it_a_study_of_its_own(journal: Journal) -> None:
    assert expect(journal, until=later(60))
    come(journal, 1)
    come(journal, 1, 2, at=later(10), calling_ae="CT1", fetched=False)
    assert (journal.study(STUDY).state, journal.study(STUDY).version) == (StudyState.RECEIVING, 2)


def test_a_study_of_which_the_fetch_brought_nothing_is_one_of_its_own_when_it_is_sent(
    journal: Journal,
) -> None:
    assert expect(journal)
    come(journal, 1, at=later(400 * 24 * HOUR_S), fetched=False)
    assert (journal.study(STUDY).state, journal.study(STUDY).version) == (StudyState.RECEIVING, 1)


def test_a_prior_with_a_corrected_header_stays_one_that_nobody_analyses(journal: Journal) -> None:
    assert expect(journal)
    come(journal, 1, 2)
    other = replace(instance(1), digest="f" * 16, sender=replace(instance(1).sender, fetched=True))
    correction = HeaderCorrection(instance=other, ids=Ids(), keywords=("PatientName",), is_renaming=True)
    journal.add_instances([(other, Ids())], later(10), corrections=[correction])
    _stays_closed(journal)
    assert "f" * 16 in {one.digest for one in journal.instances(STUDY)}


def test_a_prior_of_which_an_image_is_rejected_stays_one_that_nobody_analyses(journal: Journal) -> None:
    assert expect(journal)
    come(journal, 1, 2)
    note = RejectionNote(
        sop_instance_uid="9.9",
        study_instance_uid=STUDY,
        code="113001",
        meaning="Rejected for Quality Reasons",
        instances=(instance(1).sop_instance_uid,),
    )
    journal.add_instances([], later(10), corrections=[note])
    _stays_closed(journal)
    assert [one.sop_instance_uid for one in journal.instances(STUDY)] == [instance(2).sop_instance_uid]


def _stays_closed(journal: Journal) -> None:
    study = journal.study(STUDY)
    assert (study.state, study.version) == (StudyState.REFUSED, 1)
    assert study.reason == FETCHED_AS_PRIOR.text(study=WANTED_BY)
    assert journal.open_studies(later(10 * HOUR_S)) == []
    assert journal.tasks(STUDY) == []


@pytest.mark.parametrize("numbers", [(1, 2), (3,), (1, 2, 3)])
def test_what_another_one_sends_later_makes_it_a_study_of_its_own(
    journal: Journal, numbers: tuple[int, ...]
) -> None:
    assert expect(journal)
    come(journal, 1, 2)
    come(journal, *numbers, at=later(2 * HOUR_S), calling_ae="CT1", fetched=False)
    study = journal.study(STUDY)
    assert (study.state, study.version, study.reason) == (StudyState.RECEIVING, 2, None)
    assert study.instances == len({1, 2, *numbers})
    assert complete(journal, at=later(3 * HOUR_S)) == 2
    assert not expect(journal)


@pytest.mark.parametrize("number", [1, 3], ids=["an image that is here", "a new one"])
def test_what_the_archive_routes_later_makes_it_a_study_of_its_own(journal: Journal, number: int) -> None:
    assert expect(journal)
    come(journal, 1, 2)
    come(journal, number, at=later(1.0), fetched=False)
    assert (journal.study(STUDY).state, journal.study(STUDY).version) == (StudyState.RECEIVING, 2)


def test_a_study_that_is_here_is_not_expected_as_a_prior(journal: Journal) -> None:
    come(journal, 1, calling_ae="CT1", fetched=False)
    assert not expect(journal)
    come(journal, 2)
    assert journal.study(STUDY).state is StudyState.RECEIVING


def test_a_prior_may_be_asked_for_again(journal: Journal) -> None:
    assert expect(journal)
    come(journal, 1)
    assert expect(journal)
    come(journal, 2)
    assert journal.study(STUDY).state is StudyState.REFUSED


def test_a_prior_of_the_wrong_patient_stays_taken_back_when_somebody_sends_it(journal: Journal) -> None:
    assert expect(journal)
    come(journal, 1, 2)
    journal.retract(STUDY, "113038", later(10))
    come(journal, 3, at=later(HOUR_S), calling_ae="CT1", fetched=False)
    study = journal.study(STUDY)
    assert (study.state, study.version, study.instances) == (StudyState.RETRACTED, 1, 3)
    assert journal.reanalyse(STUDY, "A. Smith", later(2 * HOUR_S)) == 2, "it is a study of its own now"


def test_a_prior_is_not_analysed_at_a_persons_wish(journal: Journal) -> None:
    assert expect(journal)
    come(journal, 1, 2)
    journal.retract(STUDY, "113037", later(10))
    assert journal.reanalyse(STUDY, "A. Smith", later(20)) is None
    assert journal.study(STUDY).state is StudyState.RETRACTED
