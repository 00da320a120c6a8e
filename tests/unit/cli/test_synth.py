"""`dicomnode synth`: what it writes, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.test_commands import run  # noqa: F401  fixtures


def test_a_set_is_written_and_described(run, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "set"
    status, said, _ = run("synth", "discs", "--out", out, "--cases", "4", "--seed", "9", "--json")
    told = json.loads(said)
    assert (status, told["kind"], told["seed"], told["answers"]) == (0, "discs", 9, None)
    assert len(told["cases"]) == 4
    assert sum(case["something_to_find"] for case in told["cases"]) == 2
    assert Path(told["labels"]).read_text().startswith("StudyInstanceUID,opacity,side,diameter_mm\n")
    for case in told["cases"]:
        assert all(Path(path).is_file() for path in case["truth"])
        assert [path.suffix for path in Path(case["images"]).iterdir()] == [".dcm"]


def test_people_read_how_many_and_where(run, tmp_path: Path) -> None:  # noqa: F811
    status, said, more = run("synth", "cine", "--out", tmp_path / "set", "--cases", "2", "--teaching")
    assert status == 0
    assert "with something to find" in said
    assert "answers.html" in said.replace("\n", "")
    assert "SYNTHETIC" in more


def test_what_cannot_be_asked_for_and_a_full_folder_are_refused(run, tmp_path: Path) -> None:  # noqa: F811
    status, said, _ = run("synth", "horses", "--out", tmp_path / "set", "--json")
    assert (status, json.loads(said)["error"]["code"]) == (2, "DN-7180")
    (tmp_path / "mine.txt").write_text("mine")
    status, said, _ = run("synth", "cine", "--out", tmp_path, "--json")
    assert (status, json.loads(said)["error"]["code"]) == (2, "DN-7181")
