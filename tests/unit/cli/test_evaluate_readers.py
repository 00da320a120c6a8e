"""`dicomnode evaluate --readers`: two people on one set of data, and beside an engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dicomnode.learn.generate import SynthPlan, synth_cases
from tests.unit.cli.test_commands import run  # noqa: F401  fixtures
from tests.unit.evaluate.readers.people import ADA, BOB, read_again, sign, without_headers
from tests.unit.evaluate.running.engines import liver_engine

QUICK = ("--resamples", "100")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Three studies of two readers, and a table of their grades."""
    folder = tmp_path_factory.mktemp("readers") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=3, seed=5), folder)
    lines = ["file;dr_lovelace;dr_babbage;size_a;size_b"]
    for n, grades in enumerate(("1;2;1,5;1,75", "2;2;3,5;3,25", "0;0;9;8"), start=1):
        sign(folder / f"case-{n:04d}", ADA)
        read_again(folder / f"case-{n:04d}", BOB, n)
        lines.append(f"case-{n:04d}/images;{grades}")
    (folder / "read.csv").write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    return folder


def test_readers_are_compared_printed_and_written_without_their_names(run, data, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    status, printed, _ = run(
        *("evaluate", "--readers", "--data", data, "--labels", data / "read.csv", *QUICK, "--out", out),
        *("--reader-columns", "dr_lovelace,dr_babbage", "--reader-columns", "size_a,size_b"),
    )
    document = json.loads((out / "readers.json").read_text())
    page = (out / "readers.html").read_text()
    assert status == 0
    kinds = {one["title"]: one["kind"] for one in document["results"]}
    assert kinds["dr"] == "classes"
    assert kinds["size"] == "numbers"
    assert kinds["Liver"] == "outlines"
    (size,) = [one for one in document["results"] if one["title"] == "size"]
    (bias,) = [one for one in size["figures"] if one["name"] == "bias"]
    assert bias["value"] == pytest.approx((0.25 - 0.25 - 1.0) / 3)
    for name in (*without_headers(data), "lovelace", "babbage"):
        assert name not in printed + page + json.dumps(document), name
    assert "reader 1, reader 2" in printed


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        (("--reader-columns", "a,b"), 2, "DN-9004"),
        (("--labels", "read.csv", "--reader-columns", "a,b"), 2, "DN-7031"),
        (("--labels", "read.csv", "--reader-columns", "size_a"), 2, "DN-7031"),
        (("--order", "mild"), 2, "DN-7031"),
        (("--part", "test"), 2, "DN-9004"),
        (("--look",), 2, "DN-9004"),
        (("--labels", "no.csv"), 11, "DN-1030"),
    ],
)
def test_what_cannot_be_compared_is_refused(run, data, monkeypatch, more, status, code):  # noqa: F811
    monkeypatch.chdir(data)
    done, out, _ = run("evaluate", "--readers", "--data", data, *QUICK, "--json", *more)
    assert done == status
    assert json.loads(out)["error"]["code"] == code


def test_data_of_one_reader_say_so(run, data, tmp_path):  # noqa: F811
    shutil.copytree(data, tmp_path / "data")
    for path in (tmp_path / "data").rglob("again.dcm"):
        path.unlink()
    status, out, _ = run("evaluate", "--readers", "--data", tmp_path / "data", *QUICK, "--json")
    assert (status, json.loads(out)["error"]["code"]) == (3, "DN-7032")


def test_an_engine_stands_beside_the_readers_of_its_data(run, data, tmp_path):  # noqa: F811
    engine = liver_engine(tmp_path / "engine").folder
    out = tmp_path / "out"
    status, printed, _ = run(
        *("evaluate", engine, "--data", data, "--labels", data / "read.csv", *QUICK, "--out", out),
        *("--match", "liver_volume_ml=size_a", "--reader-columns", "liver_volume_ml=size_a,size_b"),
    )
    document = json.loads((out / "evaluation.json").read_text())
    assert status == 0
    assert {one["output"] for one in document["readers"]} >= {"liver", "liver_volume_ml"}
    page = (out / "report.html").read_text()
    assert "Beside the readers" in page
    assert "Beside the readers" in printed
    for one in document["readers"]:
        assert f"{one['output']}: {one['verdict']}" in " ".join(printed.split())
    assert "the column of reader 1" in page  # which was the truth
    for name in ("size_a", "size_b"):
        assert name not in page + json.dumps(document) + printed
    assert run("evaluate", engine, "--data", data, "--order", "a,b")[0] == 2
    asked = ("evaluate", engine, "--data", data, "--labels", data / "read.csv", *QUICK, "--json")
    status, told, _ = run(*asked, "--reader-columns", "spine=size_a,size_b")
    assert (status, json.loads(told)["error"]["code"]) == (2, "DN-7031")
    assert "any-lesion, liver_volume_ml" in json.loads(told)["error"]["text"]
    status, told, _ = run(*asked, "--reader-columns", "any-lesion=dr_lovelace,dr_babbage")
    assert status == 0
    assert any("any-lesion: no case has two readers" in text for text in json.loads(told)["remarks"])
    for name in without_headers(data):
        assert name not in page
