"""What the node made of a study lies at the archive beside its images, and is counted and announced there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.journal import Journal, Notice, NoticeKind, OpenStudy, Reference
from tests.unit.journal.world import NOON, STUDY, complete, instance, later, receive, result, until_delivery

SERIES = f"{STUDY}.1"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        yield journal


def with_a_late_image(journal: Journal) -> OpenStudy:
    """A study whose first version has results, and of which one more image has come."""
    receive(journal, 3)
    complete(journal)
    until_delivery(journal)
    receive(journal, 1, first=7, at=later(30))
    (found,) = journal.open_studies(later(60))
    return found


def test_the_series_of_results_are_known_as_our_own(journal: Journal) -> None:
    found = with_a_late_image(journal)
    assert (found.series, found.own_series) == ({SERIES: 4}, {result(0).series_instance_uid})


def test_a_result_that_an_archive_announces_is_no_image_that_is_missing(journal: Journal) -> None:
    images = [instance(number).sop_instance_uid for number in (0, 1, 2, 7)]
    announced = Notice(
        name="ian-1",
        kind=NoticeKind.AVAILABILITY,
        uid="1.9.1",
        study_instance_uid=STUDY,
        status="",
        calling_ae="PACS1",
        address="10.0.0.7",
        received_at=NOON,
        references=tuple(
            Reference(uid, "1.2.840.10008.5.1.4.1.1.2") for uid in (*images, result(0).sop_instance_uid)
        ),
    )
    journal.add_notices([announced], NOON)
    (said,) = with_a_late_image(journal).said
    assert (said.expected, said.here) == (4, 4)
