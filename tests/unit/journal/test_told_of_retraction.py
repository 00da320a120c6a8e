"""A destination is told of the results that it has or may have, and of no others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.journal import Event, Journal, TaskKind, is_of_retraction, sentences
from tests.unit.journal.world import NOON, STUDY, claim, complete, deliver, receive, report, result


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite") as journal:
        yield journal


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "the answer was lost"])
def test_a_note_names_nothing_of_an_engine_whose_results_were_never_sent(
    journal: Journal, answered: bool
) -> None:
    receive(journal)
    complete(journal)
    engines = ("one", "two")
    journal.finish(
        claim(journal, TaskKind.DISPATCH),
        Event.COMMITTED,
        NOON,
        new_tasks=[report(engine=engine) for engine in engines],
    )
    for number, engine in enumerate(engines):
        journal.finish(
            claim(journal, TaskKind.REPORT),
            Event.COMMITTED,
            NOON,
            objects=[result(number, "SR", engine=engine)],
            new_tasks=[replace(deliver(), engine=engine)],
        )
    sending = claim(journal, TaskKind.DELIVER)
    assert sending.engine == "one"
    if answered:
        journal.record_delivery(sending, result(0).sop_instance_uid, "stored", 0, "", NOON)
    done = journal.retract(STUDY, "113037", NOON)
    assert done.objects == 2
    note = claim(journal, TaskKind.REPORT)
    assert is_of_retraction(note.engine)
    assert [made.engine for made in journal.withdrawn(note)] == ["one"]


@pytest.mark.parametrize(
    ("destinations", "told"), [((), "Nobody is told"), (("A",), "A is told"), (("A", "B"), "A, B are told")]
)
def test_the_story_says_who_is_told(destinations: tuple[str, ...], told: str) -> None:
    assert told in sentences.retracted(2, destinations, "113037", earlier_only=False)
