"""`dicomnode retract`: what it says, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from dicomnode.cli import main
from dicomnode.journal import Journal, TaskKind
from tests.unit.journal.world import NOON, PACS, STUDY, claim, complete, receive, until_delivery


@pytest.fixture(autouse=True)
def _quiet_logs():
    yield
    structlog.reset_defaults()


@pytest.fixture
def run(capsys, config: Path):
    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["retract", *arguments, "--config", str(config)])
        return int(ended.value.code or 0), capsys.readouterr().out

    return call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "dicomnode.toml"
    path.write_text(
        f"""schema = 1
[store]
path = {json.dumps(str(tmp_path / "store"))}
[[sender]]
ae_title = "SCANNER"
[[engine]]
name = "lung-ct"
[[destination]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
"""
    )
    (tmp_path / "store").mkdir()
    return path


@pytest.fixture
def journal(config: Path) -> Iterator[Journal]:
    with Journal.open(f"sqlite:///{config.parent}/store/journal.sqlite") as opened:
        receive(opened)
        complete(opened)
        yield opened


def delivered(journal: Journal) -> None:
    until_delivery(journal)
    task = claim(journal, TaskKind.DELIVER)
    for one in journal.objects(STUDY):
        journal.record_delivery(task, one.sop_instance_uid, "stored", 0, "stored", NOON)


def test_it_says_what_is_taken_back_and_who_is_told(run, journal):
    delivered(journal)
    status, out = run("A17", "--reason", "safety")
    assert (status, out) == (0, f"2 result object(s) are taken back; {PACS} will get a rejection note.\n")
    assert set(journal.rejected(STUDY).values()) == {"113037"}
    assert journal.study(STUDY).state == "retracted"


def test_a_second_time_there_is_nothing_to_take_back(run, journal):
    delivered(journal)
    run(STUDY)
    assert run(STUDY) == (3, "There is nothing to take back.\n")


def test_a_queued_study_of_which_nothing_was_made_is_ended(run, journal):
    status, out = run(STUDY)
    assert (status, out) == (
        0,
        "There is no result to take back; what was under way of the study is ended.\n",
    )
    assert journal.study(STUDY).state == "retracted"
    assert journal.claim(list(TaskKind), "w1", 60, NOON) is None
    assert run(STUDY)[0] == 3


def test_with_json_it_is_an_object(run, journal):
    until_delivery(journal)
    status, out = run(STUDY, "--json")
    assert status == 0
    assert json.loads(out) == {"schema": 1, "objects": 2, "destinations": [], "ended": True}


def test_of_a_study_with_one_version_nothing_earlier_is_taken_back(run, journal):
    delivered(journal)
    assert run(STUDY, "--earlier")[0] == 3
    assert journal.study(STUDY).state != "retracted"


def test_an_unknown_study_is_said_so(run, journal):
    assert run("1.9.9")[0] == 3
