"""`dicomnode retract`: what it says, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import insert, select

from dicomnode.cli import main
from dicomnode.journal import AnswerQuery, Event, Journal, Maker, TaskKind, schema
from dicomnode.journal.connection import writing
from dicomnode.store.findings_file import pack_findings
from tests.unit.journal.world import (
    NOON,
    PACS,
    STUDY,
    analyse,
    claim,
    complete,
    deliver,
    receive,
    report,
    result,
    until_delivery,
)
from tests.unit.store.findings import full_findings, provenance


class Command:
    """Runs the command; `told` is what it wrote to standard error last."""

    def __init__(self, capsys, config: Path) -> None:
        self._capsys, self._config, self._told = capsys, config, ""

    def __call__(self, *arguments: str) -> tuple[int, str]:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["retract", *arguments, "--config", str(self._config)])
        out, self._told = self._capsys.readouterr()
        return int(ended.value.code or 0), out

    def told(self) -> str:
        return self._told


@pytest.fixture
def run(capsys, config: Path):
    return Command(capsys, config)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "dicomnode.toml"
    path.write_text(
        f"""schema = 1
[log]
format = "json"
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


BY = ("--by", "A. Smith")
ONE = ("--yes-retract", "1", *BY)


def test_it_says_what_is_taken_back_and_who_is_told(run, journal):
    delivered(journal)
    status, out = run("A17", "--reason", "safety", *ONE)
    assert status == 0
    assert out.endswith(f"2 result object(s) are taken back; {PACS} will get a rejection note.\n")
    assert set(journal.rejected(STUDY).values()) == {"113037"}
    assert journal.study(STUDY).state == "retracted"


def test_who_did_it_stands_in_the_story_and_in_the_log(run, journal, capsys):
    delivered(journal)
    run("A17", *ONE, "--json")
    (event,) = [one for one in journal.events(STUDY) if one.what == "results.retracted"]
    assert event.facts["by"] == "A. Smith"
    assert "are taken back by A. Smith (DCM 113001)" in event.text
    (line,) = [json.loads(line) for line in run.told().splitlines() if "results.retracted" in line]
    assert (line["by"], line["studies"], line["objects"], line["study"]) == ("A. Smith", 1, 2, STUDY)


def test_a_second_time_there_is_nothing_to_take_back(run, journal):
    delivered(journal)
    run(STUDY, *ONE)
    assert run(STUDY, *ONE) == (3, "There is nothing to take back.\n")


def test_a_queued_study_of_which_nothing_was_made_is_ended(run, journal):
    status, out = run(STUDY, *ONE)
    assert status == 0
    assert out.endswith("There is no result to take back; what was under way of the study is ended.\n")
    assert journal.study(STUDY).state == "retracted"
    assert journal.claim(list(TaskKind), "w1", 60, NOON) is None
    assert run(STUDY, *ONE)[0] == 3


def test_with_json_it_is_an_object(run, journal):
    until_delivery(journal)
    status, out = run(STUDY, *ONE, "--json")
    assert status == 0
    document = json.loads(out)
    (study,) = document.pop("studies")
    assert document == {
        "schema": 1, "dry_run": False, "objects": 2, "destinations": [], "ended": True, "unknown": [],
        "under_way": 0,
    }  # fmt: skip
    assert (study["study_instance_uid"], study["objects"], study["ended"]) == (STUDY, 2, True)
    assert [one["engine"] for one in study["answers"]] == ["lung-ct"]


def test_of_a_study_with_one_version_nothing_earlier_is_taken_back(run, journal):
    delivered(journal)
    assert run(STUDY, "--earlier", *ONE)[0] == 3
    assert journal.study(STUDY).state != "retracted"


def test_an_unknown_study_is_said_so(run, journal):
    assert run("1.9.9", *ONE)[0] == 3


# ── of many studies ──

DIGEST = "ab" * 32


def many(journal: Journal, folder: Path, count: int, *, known: bool = True) -> None:
    """More studies of which results wait to be sent; each was found one day after the one before."""
    for number in range(count):
        uid, at = f"1.2.{100 + number}", NOON + timedelta(days=number)
        receive(journal, 1, study=uid, at=at)
        complete(journal, uid, at)
        journal.finish(claim(journal, TaskKind.DISPATCH, at), Event.COMMITTED, at, new_tasks=[analyse(uid)])
        path = folder / f"{number}.findings"
        made_by = replace(provenance(version=f"1.{number % 2}.0"), engine_digest=DIGEST)
        path.write_bytes(pack_findings(full_findings(provenance=made_by)))
        journal.finish(
            claim(journal, TaskKind.ANALYSE, at), Event.COMMITTED, at, finding_path=path,
            maker=Maker(made_by.version, DIGEST) if known else None,
            new_tasks=[replace(report(uid), destination=PACS)],
        )  # fmt: skip
        made = replace(result(number), study_instance_uid=uid, sop_instance_uid=f"2.25.9.{number}")
        follows = [replace(deliver(uid), engine="lung-ct")]
        task = claim(journal, TaskKind.REPORT, at)
        journal.finish(task, Event.COMMITTED, at, objects=[made], new_tasks=follows)


@pytest.fixture
def studies(journal: Journal, tmp_path: Path) -> Journal:
    journal.retract(STUDY, "113001", NOON)
    many(journal, tmp_path, 4)
    return journal


def taken_back(journal: Journal) -> list[str]:
    uids = sorted(one.study_instance_uid for one in journal.studies())
    return [uid for uid in uids if uid != STUDY and journal.study(uid).state == "retracted"]


def local_day(number: int) -> str:
    return f"{(NOON + timedelta(days=number)).astimezone():%Y-%m-%d}"


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (("--engine", "lung-ct"), ["1.2.100", "1.2.101", "1.2.102", "1.2.103"]),
        (("--engine", "lung-ct", "--version", "1.1.0"), ["1.2.101", "1.2.103"]),
        (("--digest", f"sha256:{DIGEST[:12].upper()}"), ["1.2.100", "1.2.101", "1.2.102", "1.2.103"]),
        (("--from", local_day(1), "--to", local_day(2)), ["1.2.101", "1.2.102"]),
        (("--from", local_day(3)), ["1.2.103"]),
        (("--to", local_day(1), "--version", "1.0.0", "--engine", "lung-ct"), ["1.2.100"]),
        (("1.2.102", "--engine", "lung-ct"), ["1.2.102"]),
    ],
    ids=" ".join,
)
def test_results_of_an_engine_a_version_a_package_or_some_days_are_taken_back(run, studies, chosen, found):
    status, out = run(*chosen, "--dry-run", "--json")
    document = json.loads(out)
    assert (status, [one["study_instance_uid"] for one in document["studies"]]) == (0, found)
    assert (document["objects"], document["dry_run"], taken_back(studies)) == (len(found), True, [])
    assert run(*chosen, *BY, "--yes-retract", str(len(found)))[0] == 0
    assert taken_back(studies) == found
    assert run(*chosen, *BY, "--yes-retract", str(len(found)))[0] == 3, "it was done"


def test_a_dry_run_shows_each_study_and_changes_nothing(run, studies):
    status, out = run("--engine", "lung-ct", "--dry-run")
    assert status == 0
    for number in range(4):
        assert f"1.2.{100 + number}" in out
    assert "It would take back 4 result object(s) of 4 studies; nothing was done." in out
    assert taken_back(studies) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--engine", "lung-ct", *BY), "--yes-retract 4"),
        ((STUDY,), "--by"),
        (("1.2.100", *BY), "--yes-retract 1"),
        (("--engine", "lung-ct", *BY, "--yes-retract", "3"), "4 are concerned"),
        (("--engine", "lung-ct", "--by", " ", "--yes-retract", "4"), "--by"),
        (BY, "Name a study"),
        (("--version", "1.0.0", *BY), "--engine"),
        (("--from", "2026-11-20", "--to", "2026-11-01", *BY), "--to is before --from"),
        (("--digest", "abc", *BY), "12 digits"),
        (("--digest", "xyzxyzxyzxyz", *BY), "12 digits"),
    ],
)
def test_nothing_is_taken_back_without_being_asked(run, studies, arguments, words):
    assert run(*arguments)[0] == 2
    assert words in run.told()
    assert taken_back(studies) == []


def test_on_a_terminal_it_is_asked_twice(run, studies, monkeypatch):
    asked = []

    def on_terminal(*answers: object) -> None:
        given = iter(answers)
        ask = lambda text, **how: asked.append(text) or next(given)  # noqa: E731
        monkeypatch.setattr("dicomnode.cli.asked.typer.confirm", ask)
        monkeypatch.setattr("dicomnode.cli.asked.typer.prompt", ask)

    monkeypatch.setattr("dicomnode.cli.asked.sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("dicomnode.cli.asked.console", SimpleNamespace(is_terminal=True))
    on_terminal(True, 3)
    assert run("--engine", "lung-ct", *BY)[0] == 2
    assert taken_back(studies) == []
    on_terminal(True, 4)
    assert run("--engine", "lung-ct", *BY)[0] == 0
    assert len(taken_back(studies)) == 4
    assert asked[0] == "This will take back 4 result object(s) of 4 studies. Go on?"


def test_an_interrupted_retraction_is_ended_by_the_same_command_again(run, studies, monkeypatch):
    real, calls = Journal.retract_answers, []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(Journal, "retract_answers", interrupted)
    assert run("--engine", "lung-ct", *BY, "--yes-retract", "4")[0] == 130
    assert "2 of 4 studies are done" in run.told()
    assert len(taken_back(studies)) == 2
    status, out = run("--engine", "lung-ct", *BY, "--yes-retract", "2")
    assert status == 0
    assert "2 result object(s) of 2 studies are taken back" in out
    assert len(taken_back(studies)) == 4


def test_of_an_older_journal_the_files_say_which_package_it_was(run, journal, tmp_path):
    many(journal, tmp_path, 3, known=False)
    (tmp_path / "2.findings").write_bytes(b"damaged")
    status, out = run("--engine", "lung-ct", "--version", "1.0.0", *BY, "--yes-retract", "1", "--json")
    document = json.loads(out)
    assert status == 4
    assert taken_back(journal) == ["1.2.100"]
    assert [one["study_instance_uid"] for one in document["unknown"]] == ["1.2.102"]
    (tmp_path / "0.findings").unlink()  # what was read is known
    (tmp_path / "1.findings").unlink()
    assert len(json.loads(run("--digest", DIGEST, "--dry-run", "--json")[1])["studies"]) == 1


def test_analyses_under_way_are_told_of(run, studies):
    receive(studies, 1, study="1.2.200")
    complete(studies, "1.2.200")
    dispatch = claim(studies, TaskKind.DISPATCH)
    studies.finish(dispatch, Event.COMMITTED, NOON, new_tasks=[analyse("1.2.200")])
    run("--engine", "lung-ct", *BY, "--yes-retract", "4")
    assert "1 analysis is under way, and will be sent" in run.told()


def copies(journal: Journal, of: str, count: int) -> None:
    """More studies like one, in one transaction: to bring each there takes longer than what is tested."""
    tables = (schema.study, schema.task, schema.finding, schema.result_object, schema.delivery)
    names = ("study_instance_uid", "sop_instance_uid")
    with writing(journal._engine) as connection:
        for table in tables:
            rows = [dict(row._mapping) for row in connection.execute(select(table))]
            mine = [row for row in rows if row.get("study_instance_uid", of) == of]
            for row in mine:
                row.pop("id", None)
            connection.execute(
                insert(table),
                [
                    row | {name: f"{row[name]}.{number}" for name in names if name in row}
                    for row in mine
                    for number in range(1, count)
                ],
            )


def test_a_thousand_studies_are_taken_back(run, journal, tmp_path):
    many(journal, tmp_path, 1)
    copies(journal, "1.2.100", 1000)
    status, out = run("--engine", "lung-ct", *BY, "--yes-retract", "1000", "--json")
    document = json.loads(out)
    assert (status, len(document["studies"]), document["objects"]) == (0, 1000, 1000)
    assert journal.answers(AnswerQuery()) == []


# ── and analysed again ──


@pytest.fixture
def retry(capsys, config: Path):
    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["retry", *arguments, "--config", str(config)])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return call


def test_a_retracted_study_is_analysed_again_when_a_person_says_so_and_who_he_is(run, retry, journal):
    delivered(journal)
    run(STUDY, "--reason", "safety", *ONE)
    status, out = retry(STUDY)
    assert status == 3
    assert "--retracted has it analysed again" in out
    assert retry("A17", "--retracted", "--by", " A. Smith ") == (
        0,
        "The study is analysed again as version 2, once nothing more of it comes.\n",
    )
    assert journal.study(STUDY).state == "receiving"
    (event,) = [one for one in journal.events(STUDY) if one.what == "study.reanalysed"]
    assert (event.facts["by"], event.facts["code"]) == ("A. Smith", "113037")


def test_what_stands_is_not_analysed_again(retry, journal):
    delivered(journal)
    status, out = retry(STUDY, "--retracted", "--by", "A. Smith", "--json")
    assert (status, json.loads(out)) == (3, {"schema": 1, "version": None})
    assert "There is nothing to analyse again" in retry(STUDY, "--retracted", "--by", "A. Smith")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        (STUDY, "--retracted"),
        (STUDY, "--by", "A. Smith"),
        (STUDY, "--retracted", "--by", " "),
        (STUDY, "--retracted", "--by", "A. Smith", "--destination", "archive"),
        ("--destination", "archive", "--retracted", "--by", "A. Smith"),
    ],
)
def test_a_study_and_a_name_are_wanted_to_analyse_it_again(run, retry, journal, arguments):
    delivered(journal)
    run(STUDY, *ONE)
    assert retry(*arguments)[0] == 2
    assert journal.study(STUDY).state == "retracted"
