"""`dicomnode engine bench`: what it measures of a small engine, and what it says where it cannot."""

from __future__ import annotations

import json
import os
import platform
import pty
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from dicomnode.cli import engine_bench
from tests.unit.analyse.engines import tissue_engine
from tests.unit.cli.test_commands import config, run  # noqa: F401  fixtures
from tests.unit.engine.small_engine import write_engine


@pytest.fixture
def study(small_phantom):
    return small_phantom.files[0].parent


@pytest.fixture
def engine(tmp_path):
    return tissue_engine(tmp_path / "tissue").folder


@pytest.fixture
def one_start(monkeypatch):
    """Start the engine once: for what does not hang on how often it is started."""
    monkeypatch.setattr(engine_bench, "_STARTS", 1)


@pytest.fixture(scope="module")
def kept():
    return {}


@pytest.fixture
def measured(run, engine, study, kept):  # noqa: F811
    """Two rounds, every repetition told: exit status, stdout and stderr of one run for all tests here."""
    if not kept:
        arguments = ["--path", engine, "--study", study, "--rounds", "2", "--threads", "1", "--json"]
        kept["run"] = run("engine", "bench", "tissue", *arguments, "-v")
    return kept["run"]


def test_its_help_ends_with_its_exit_statuses(run):  # noqa: F811
    status, out, _ = run("engine", "bench", "--help")
    assert status == 0
    assert "EXIT STATUS: 0 " in " ".join(out.split())


def test_a_small_engine_is_measured_stage_by_stage(measured):
    status, out, _ = measured
    assert status == 0
    found = json.loads(out)
    assert (found["schema"], found["engine"], found["rounds"], found["outcome"]) == (
        1,
        "tissue",
        2,
        "findings",
    )
    assert found["runtime"].startswith("onnxruntime ")
    assert found["machine"]["threads"] == 1
    assert found["machine"]["versions"]["numpy"] == np.__version__
    assert found["study"]["name"] == "given"
    assert [volume["input"] for volume in found["study"]["volumes"]] == ["ct"]

    stages = {stage["name"]: stage for stage in found["stages"]}
    assert list(stages) == ["preparing", "tissue", "measuring"]
    assert list(stages["tissue"]["parts"]) == ["gather", "infer", "interpret"]
    assert stages["tissue"]["runs"] == 1
    assert (
        0 < stages["tissue"]["network"] <= stages["tissue"]["parts"]["infer"] <= stages["tissue"]["seconds"]
    )
    assert stages["preparing"]["network"] is None
    # Medians of two rounds are means, so they add up; what no stage has is the making of the Findings
    assert sum(stage["seconds"] for stage in stages.values()) <= found["latency"]["p50"] * 1.0001
    latency = found["latency"]
    assert latency["least"] <= latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["most"]
    assert found["volumes_per_hour"] == pytest.approx(3600 * 2 / (latency["least"] + latency["most"]))
    assert found["network"] > 0
    assert found["plain"] > 0
    assert found["around_percent"] > 0
    assert found["batches"] == []
    assert found["device_mb"] is None
    assert 0 < found["ready_mb"] < found["peak_mb"]

    assert len(found["starts"]) == 3
    for start in found["starts"]:
        parts = sum(start[part] for part in ("process", "import", "load", "warm"))
        assert parts == pytest.approx(start["seconds"], abs=1e-3)


@pytest.mark.usefixtures("one_start")
def test_for_people_there_are_tables_and_the_machine(run, engine, study):  # noqa: F811
    status, out, err = run("engine", "bench", "tissue", "--path", engine, "--study", study, "--rounds", "1")
    assert status == 0
    for words in (
        "start until ready",
        "second study",
        "p50 / p90 / p99",
        "volumes/h",
        "window, blend",
        "1 run",
    ):
        assert words in out
    assert f"Python {platform.python_version()}" in out
    assert "rounds: 1 of 1" in err


@pytest.mark.usefixtures("one_start")
def test_a_runtime_that_is_named_is_the_one_that_is_measured(run, engine, study):  # noqa: F811
    arguments = ["--path", engine, "--study", study, "--rounds", "1", "--runtime", "openvino", "--json"]
    status, out, _ = run("engine", "bench", "tissue", *arguments)
    assert status == 0
    assert json.loads(out)["runtime"].startswith("openvino ")
    arguments[-2] = "tensorrt-rtx"
    status, out, _ = run("engine", "bench", "tissue", *arguments)
    assert (status, json.loads(out)["error"]["code"]) == (12, "DN-4140")


def test_a_study_that_the_engine_does_not_want_is_told(run, tmp_path, study):  # noqa: F811
    folder = tissue_engine(tmp_path / "tissue").folder
    text = (folder / "engine.toml").read_text().replace('equals = "CT"', 'equals = "MR"')
    (folder / "engine.toml").write_text(text)
    status, _, err = run("engine", "bench", "tissue", "--path", folder, "--study", study)
    assert status == 3
    assert "DN-4270" in err
    assert "Modality is MR, found CT" in " ".join(err.split())


@pytest.mark.usefixtures("one_start")
def test_what_fails_where_it_is_measured_is_told_as_it_is(run, tmp_path, study):  # noqa: F811
    folder = write_engine(tmp_path / "small")  # its network halves, and the study has odd lengths
    status, _, err = run("engine", "bench", "small", "--path", folder, "--study", study, "--rounds", "1")
    assert status == 12
    assert "do not go together with a stride of 2" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["no-such-engine"], 12),
        (["lung-ct", "--rounds", "0"], 2),
        (["lung-ct", "--runtime", "tpu"], 2),
        (["lung-ct", "--config", "none.toml"], 10),
    ],
)
def test_wrong_use_has_its_status(run, arguments, status):  # noqa: F811
    assert run("engine", "bench", *arguments)[0] == status


def test_a_folder_without_images_is_told(run, tmp_path):  # noqa: F811
    status, _, err = run("engine", "bench", "lung-ct", "--study", tmp_path)
    assert status == 3
    assert "DN-" in err


def test_each_repetition_is_told_on_stderr_where_that_is_wished_and_never_in_the_json(measured):
    status, out, err = measured
    assert (status, json.loads(out)["rounds"]) == (0, 2)
    told = [line for line in err.splitlines() if line.startswith(("starts", "first", "second", "rounds"))]
    assert told == [
        "starts: 0 of 3", "starts: 1 of 3", "starts: 2 of 3", "starts: 3 of 3",
        "first study: 0 of 1", "first study: 1 of 1", "second study: 0 of 1", "second study: 1 of 1",
        "rounds: 0 of 2", "rounds: 1 of 2", "rounds: 2 of 2",
    ]  # fmt: skip


@pytest.mark.usefixtures("one_start")
def test_with_json_nothing_is_told_where_nobody_looks(run, engine, study):  # noqa: F811
    arguments = ["tissue", "--path", engine, "--study", study, "--rounds", "1", "--threads", "1", "--json"]
    _, out, err = run("engine", "bench", *arguments)
    assert (json.loads(out)["rounds"], err) == (1, "")


def test_with_json_there_are_bars_on_a_terminal(engine, study):
    """A terminal on stderr, a file on stdout: what is told goes to the one, the JSON to the other."""
    leader, follower = pty.openpty()
    arguments = ["tissue", "--path", engine, "--study", study, "--rounds", "1", "--threads", "1", "--json"]
    command = [sys.executable, "-m", "dicomnode", "engine", "bench", *map(str, arguments)]
    seen = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower) as child:
        os.close(follower)
        with suppress(OSError):  # EIO: the other end is closed
            while part := os.read(leader, 1 << 16):
                seen += part
        out, _ = child.communicate()
    os.close(leader)
    assert json.loads(out)["rounds"] == 1
    assert b"first study" in seen
    assert b"rounds" in seen
