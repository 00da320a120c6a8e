"""What was rejected stands for nothing: neither for the images that replace it, nor as something missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.journal import (
    Journal,
    Notice,
    NoticeKind,
    OpenStudy,
    Reference,
    RejectionNote,
    SourceAnswer,
    TaskKind,
)
from tests.unit.journal.world import NOON, PACS, STUDY, claim, instance, later, receive

SERIES = f"{STUDY}.1"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        yield journal


def reject(journal: Journal, *numbers: int) -> None:
    note = RejectionNote(
        sop_instance_uid="9.9",
        study_instance_uid=STUDY,
        code="113001",
        meaning="Rejected for Quality Reasons",
        instances=tuple(instance(number).sop_instance_uid for number in numbers),
    )
    journal.add_instances([], NOON, corrections=[note])


def open_study(journal: Journal) -> OpenStudy:
    (found,) = journal.open_studies(later(60))
    return found


def ask(journal: Journal) -> int:
    """Ask the source and let it say that it has six; give how many images were here, as the question says."""
    journal.ask_sources(open_study(journal).study, [PACS], NOON)
    task = claim(journal, TaskKind.FETCH)
    images_here = task.payload["images_here"]
    assert isinstance(images_here, int)
    answer = SourceAnswer(source=PACS, images_here=images_here, found_at=NOON, series={SERIES: 6})
    journal.record_answer(task, answer, "six")
    return images_here


def test_rejected_images_are_not_counted_as_here(journal: Journal) -> None:
    receive(journal, 6)
    reject(journal, 0, 1)
    assert open_study(journal).series == {SERIES: 4}
    assert ask(journal) == 4
    (answer,) = open_study(journal).answers
    assert answer.series == {SERIES: 6}


def test_a_source_is_asked_again_when_the_images_have_come_that_replace_them(journal: Journal) -> None:
    receive(journal, 6)
    reject(journal, 0, 1)
    ask(journal)
    receive(journal, 2, first=6)
    study = open_study(journal)
    assert (study.series, study.answers) == ({SERIES: 6}, ())
    assert ask(journal) == 6


@pytest.mark.parametrize("rejected", [0, 2])
def test_what_a_notice_names_and_was_rejected_is_neither_here_nor_missing(
    journal: Journal, rejected: int
) -> None:
    receive(journal, 4)
    reject(journal, *range(rejected))
    named = tuple(Reference(instance(number).sop_instance_uid, "1.2") for number in range(5))
    notice = Notice(
        name="n", kind=NoticeKind.COMMITMENT, uid="1.9", study_instance_uid=STUDY, status="",
        calling_ae="CT1", address="10.0.0.7", received_at=NOON, references=named,
    )  # fmt: skip
    journal.add_notices([notice], NOON)
    (said,) = open_study(journal).said
    assert (said.here, said.expected) == (4 - rejected, 5 - rejected)


def test_a_rejected_image_that_no_notice_names_says_nothing_of_what_is_to_come(journal: Journal) -> None:
    receive(journal, 2)
    notice = Notice(
        name="n", kind=NoticeKind.STEP, uid="1.9", study_instance_uid=STUDY, status="COMPLETED",
        calling_ae="CT1", address="10.0.0.7", received_at=NOON,
        references=(Reference(instance(1).sop_instance_uid, "1.2"),),
    )  # fmt: skip
    journal.add_notices([notice], NOON)
    assert open_study(journal).unnamed == 1
    reject(journal, 0)
    assert open_study(journal).unnamed == 0
