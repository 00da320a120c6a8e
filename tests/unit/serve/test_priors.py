"""Earlier studies in the store: which files make a study one of its own, and whose and of when it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dicomnode.journal import ExpectedPrior, StudyState
from dicomnode.serve.intake.ingest import ingest
from tests.unit.store.part10 import INSTANCE, NOON, SENDER, STUDY, behind_preamble, data_set, meta

ARCHIVE = replace(SENDER, calling_ae="PACS", fetched=True)
DAY = timedelta(days=1)
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"


def came(store, journal, content, sender, at) -> None:
    with store.new_part() as part:
        part.write(content)
        part.seal(sender, at)
    ingest(store, journal, at)


def expect(journal) -> bool:
    return journal.expect_prior(
        ExpectedPrior(study_instance_uid=STUDY, wanted_by="1.2.100", calling_ae="PACS", until=NOON)
    )


@pytest.fixture
def fetched(store, journal):
    """A study that was fetched as a prior."""
    assert expect(journal)
    came(store, journal, behind_preamble(), ARCHIVE, NOON)
    assert journal.study(STUDY).state is StudyState.REFUSED


@pytest.mark.parametrize("calling_ae", ["CT1", "PACS"])
def test_the_same_image_sent_later_makes_a_prior_a_study_of_its_own(store, journal, fetched, calling_ae):
    del fetched
    came(store, journal, behind_preamble(), replace(SENDER, calling_ae=calling_ae), NOON + DAY)
    study = journal.study(STUDY)
    assert (study.state, study.version, study.last_received_at) == (StudyState.RECEIVING, 2, NOON + DAY)
    assert study.calling_ae == calling_ae


def test_the_same_image_fetched_again_leaves_a_prior_one(store, journal, fetched):
    del fetched
    came(store, journal, behind_preamble(), ARCHIVE, NOON + DAY)
    assert (journal.study(STUDY).state, journal.study(STUDY).version) == (StudyState.REFUSED, 1)


def test_what_waited_for_ingest_when_the_fetch_began_is_a_study_of_its_own(store, journal):
    with store.new_part() as part:
        part.write(behind_preamble())
        part.seal(SENDER, NOON - DAY)
    assert expect(journal)
    ingest(store, journal, NOON)
    assert journal.study(STUDY).state is StudyState.RECEIVING


def test_a_note_on_images_of_a_prior_does_not_make_it_a_study_of_its_own(store, journal, fetched):
    del fetched
    uid = f"{INSTANCE}.2"
    note = meta(uid, KEY_OBJECTS) + data_set(uid, sop_class_uid=KEY_OBJECTS, modality="KO")
    came(store, journal, note, SENDER, NOON + DAY)
    assert (journal.study(STUDY).state, len(journal.instances(STUDY))) == (StudyState.REFUSED, 2)
