"""`dicomnode release`, and what `why` and `studies` say of results that are held."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dicomnode.cli import main
from dicomnode.faults import RESULTS_HELD, NodeError
from dicomnode.journal import Event, Journal, TaskKind
from tests.unit.cli import test_retract
from tests.unit.journal.world import NOON, PACS, STUDY, claim, complete, deliver, receive, until_delivery

config, journal = test_retract.config, test_retract.journal
BY = ("--by", "Dr. Roe")
OTHER = "1.2.4"


@pytest.fixture
def run(capsys, config):
    config.write_text(config.read_text().replace('"archive"', f'"{PACS}"'))

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--config", str(config)])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def hold(journal: Journal) -> None:
    until_delivery(journal)
    task = claim(journal, TaskKind.DELIVER)
    journal.finish(task, Event.NEEDS_PERSON, NOON, error=NodeError(RESULTS_HELD, destination=PACS))


def hold_another(journal: Journal) -> None:
    """A study with a held delivery, as much of one as is needed."""
    receive(journal, 1, study=OTHER)
    complete(journal, OTHER)
    dispatch = claim(journal, TaskKind.DISPATCH)
    journal.finish(dispatch, Event.COMMITTED, NOON, new_tasks=[replace(deliver(OTHER), engine="lung-ct")])
    task = claim(journal, TaskKind.DELIVER)
    journal.finish(task, Event.NEEDS_PERSON, NOON, error=NodeError(RESULTS_HELD, destination=PACS))


def test_results_of_a_study_are_let_go_by_a_person_with_a_name(run, journal):
    hold(journal)
    assert run("release", "A17", *BY)[:2] == (0, f"The results go to {PACS}.\n")
    task = claim(journal, TaskKind.DELIVER, datetime.now(UTC))
    assert task.payload["released_by"] == "Dr. Roe"
    assert run("release", "A17", *BY)[:2] == (3, "Nothing is held.\n")


def test_all_of_a_destination_are_let_go_when_their_number_is_given(run, journal):
    hold(journal)
    hold_another(journal)
    status, _, told = run("release", "--destination", PACS, *BY)
    assert status == 2
    assert "--yes-release 2" in told
    assert run("release", "--destination", PACS, *BY, "--yes-release", "1")[0] == 2
    assert set(journal.held()) == {STUDY, OTHER}
    status, out, _ = run("release", "--destination", PACS, *BY, "--yes-release", "2", "--json")
    assert (status, json.loads(out)) == (
        0, {"schema": 1, "destinations": [PACS], "studies": [STUDY, OTHER]},
    )  # fmt: skip
    assert journal.held() == {}
    assert run("release", "--destination", PACS, *BY)[0] == 3


@pytest.mark.parametrize("arguments", [(STUDY,), (STUDY, "--by", " "), BY, ("--destination", "other", *BY)])
def test_a_name_and_a_study_or_destination_are_wanted(run, journal, arguments):
    hold(journal)
    assert run("release", *arguments)[0] == 2
    assert journal.held() == {STUDY: [PACS]}


def test_why_and_studies_say_what_is_held_and_what_to_do(run, journal):
    hold(journal)
    out = run("why", STUDY)[1]
    assert f"The results for {PACS} are held until a person lets them go." in out
    assert f"`dicomnode release {STUDY} --by NAME` sends them to {PACS}" in out
    assert json.loads(run("why", STUDY, "--json")[1])["held"] == [PACS]
    out = run("studies")[1]
    assert "held" in out
    assert "The results of 1 study wait for a person" in out
    assert json.loads(run("studies", "--json")[1])["held"] == [STUDY]
    run("release", STUDY, *BY)
    assert json.loads(run("studies", "--json")[1])["held"] == []
    assert "to do" not in run("why", STUDY)[1]
