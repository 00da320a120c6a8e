"""`dicomnode evaluate --site`: what the journal of a node tells of an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dicomnode.cli import main
from dicomnode.journal import TaskKind, TaskState
from tests.unit.cli.test_feedback import hear
from tests.unit.serve import test_feedback as heard
from tests.unit.serve.test_feedback import Answered, corrected
from tests.wire.plain_engines import series

answered = heard.answered


@pytest.fixture
def run(capsys, answered: Answered, tmp_path: Path):
    config = tmp_path / "dicomnode.toml"
    config.write_text(
        f"""schema = 1
[store]
path = {json.dumps(str(answered.store.root))}
[[sender]]
ae_title = "SCANNER"
[[engine]]
name = "bright"
mode = "shadow"
[[engine]]
name = "new"
mode = "shadow"
[[destination]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
"""
    )

    def call(name: str, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", "--site", name, *arguments, "--config", str(config)])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def test_studies_times_findings_and_answers_are_told(run, answered: Answered, tmp_path: Path) -> None:
    answered.receive(series(tmp_path / "mr", 7, "MR"))
    assert answered.do(TaskKind.DISPATCH, answered.desk.work) is TaskState.DONE
    hear(answered, corrected(answered.our_seg()))
    ours = answered.our_seg()
    out = tmp_path / "site"
    status, told, err = run("bright", "--json", "--out", str(out))
    assert status == 0
    document = json.loads(told)
    assert document == json.loads((out / "site.json").read_text()) | {"made_at": document["made_at"]}
    assert (document["mode"], document["versions"]) == ("shadow", {"1.0.0": 1})
    assert document["studies"] == 2
    assert document["states"] == {
        "analysed": 1,
        "refused": 0,
        "failed": 0,
        "not wanted": 1,
        "waiting": 0,
    }
    assert document["findings_per_study"] == 1
    assert document["seconds_from_last_image"]["cases"] == 1
    assert document["answers"] == {"accepted": 0, "changed": 1, "rejected": 0, "missed": 0}
    [wanted] = [one for one in document["cases"] if one["state"] == "analysed"]
    assert wanted["study_instance_uid"] == answered.uid
    # From the journal itself, by another way
    [task] = [one for one in answered.journal.tasks(answered.uid) if one.kind is TaskKind.ANALYSE]
    assert 0 <= wanted["seconds_from_wanted"] < 120
    assert task.created_at >= answered.journal.study(answered.uid).first_received_at
    page = (out / "site.html").read_text()
    for word in (str(ours.PatientName), str(ours.PatientID)):
        assert word not in told + err + page
    assert json.loads(run("bright", "--json", "--first", "1")[1])["studies"] == 1


def test_the_table_names_what_became_of_the_studies(run, answered: Answered) -> None:
    status, told, _ = run("bright")
    assert status == 0
    for word in ("bright, shadow", "not wanted", "from the last image", "Nobody has answered"):
        assert word in told


@pytest.mark.parametrize(("name", "status", "code"), [("new", 3, "DN-7290"), ("other", 10, "DN-7291")])
def test_of_an_engine_that_has_seen_nothing_there_is_nothing_to_tell(run, name, status, code) -> None:
    found, _, err = run(name)
    assert (found, code in err) == (status, True)
