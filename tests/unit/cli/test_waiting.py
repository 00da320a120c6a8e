"""What `why` and `studies` say of what waits."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from dicomnode.cli.waiting import age_words
from dicomnode.faults import PEER_UNREACHABLE, NodeError
from dicomnode.journal import Event, TaskKind
from tests.unit.cli import test_release
from tests.unit.journal.world import NOON, PACS, STUDY, claim, later, until_delivery

config, journal, run = (
    test_release.config,
    test_release.journal,
    test_release.run,
)
AWAY = NodeError(PEER_UNREACHABLE, name=PACS, host="10.0.0.1", port=104, ae_title="PACS", error="no answer")
IDLE = {
    "waiting": 0, "oldest_since": None, "oldest_s": None, "next_try": None, "why": None,
    "unconfirmed": 0, "unconfirmed_since": None, "held": 0, "for_a_person": 0,
}  # fmt: skip


@pytest.fixture
def down(journal):
    """A study whose results wait for an archive that is down."""
    until_delivery(journal)
    task = claim(journal, TaskKind.DELIVER)
    journal.finish(task, Event.FAILED, NOON, error=AWAY, not_before=later(60))


def test_studies_tells_of_each_destination_how_much_waits_and_how_long(run, down):
    (found,) = json.loads(run("studies", "--json")[1])["destinations"]
    assert found.pop("oldest_s") > 0
    text = AWAY.fault.text(**AWAY.values)
    assert found == {
        "name": PACS, "waiting": 2, "oldest_since": NOON.isoformat(), "next_try": later(60).isoformat(),
        "why": text, "unconfirmed": 0, "unconfirmed_since": None, "held": 0, "for_a_person": 0,
    }  # fmt: skip
    out = " ".join(run("studies")[1].split())
    assert "Objects that wait for a destination" in out
    assert f"│ {PACS} │ 2 │" in out


def test_a_destination_that_nothing_waits_for_is_in_the_json_and_not_in_the_table(run, journal):
    until_delivery(journal)
    task = claim(journal, TaskKind.DELIVER)
    assert json.loads(run("studies", "--json")[1])["destinations"][0]["waiting"] == 2, "they are being sent"
    journal.finish(task, Event.COMMITTED, NOON)
    assert json.loads(run("studies", "--json")[1])["destinations"] == [{"name": PACS, **IDLE}]
    assert "Objects that wait" not in run("studies")[1]


def test_why_tells_of_each_task_what_it_waits_for_and_since_when(run, down):
    text = AWAY.fault.text(**AWAY.values)
    assert json.loads(run("why", STUDY, "--json")[1])["waiting"] == [
        {
            "kind": "deliver",
            "study_version": 1,
            "engine": None,
            "destination": PACS,
            "state": "retry",
            "waits_for": f"its next try: {text}",
            "since": NOON.isoformat(),
            "not_before": later(60).isoformat(),
            "code": AWAY.fault.code,
        }
    ]
    out = run("why", STUDY)[1]
    assert "Waiting" in out
    assert NOON.astimezone().isoformat(timespec="seconds") in out


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (42, "42 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (11520, "3 h 12 min"),
        (86400, "1 d 0 h"),
        (3 * 86400 + 7 * 3600 + 59, "3 d 7 h"),
    ],
)
def test_an_age_is_told_in_its_two_largest_units(seconds, words):
    assert age_words(timedelta(seconds=seconds)) == words
