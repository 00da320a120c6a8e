"""`dicomnode engine build`: what it says where nothing needs plans, and what it builds elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from onnx import helper

from dicomnode.cli.engine_build import NOTHING
from tests.fixtures.tensorrt.fetched import environment
from tests.unit.analyse.engines import tissue_engine
from tests.unit.cli.test_commands import config, run  # noqa: F401  fixtures
from tests.unit.engine.small_engine import model, write_engine


@pytest.fixture
def command(config, monkeypatch):  # noqa: F811
    """Run the command where TensorRT-RTX is installed, and no driver; give (exit status, stdout, stderr)."""
    variables = environment("rtx")

    def call(*given: object) -> tuple[int, str, str]:
        words = ["engine", "build", *map(str, given), "--config", str(config)]
        arguments = [sys.executable, "-m", "dicomnode", *words]
        done = subprocess.run(arguments, check=False, capture_output=True, text=True, env=variables)
        return done.returncode, done.stdout, done.stderr

    return call


def test_its_help_ends_with_its_exit_statuses(run):  # noqa: F811
    status, out, _ = run("engine", "build", "--help")
    assert status == 0
    assert "EXIT STATUS: 0 " in " ".join(out.split())


def test_where_no_runtime_needs_plans_that_is_said_with_the_reasons(run, config):  # noqa: F811
    status, out, _ = run("engine", "build", "--config", config)
    assert status == 0
    first, *reasons = out.splitlines()
    assert first == NOTHING
    assert [line.split(":")[0].strip() for line in reasons] == ["tensorrt", "tensorrt-rtx"]
    assert all("is not installed" in line and "pip install" in line for line in reasons)
    assert not (config.parent / "store" / "plans").exists()


def test_where_no_runtime_needs_plans_json_says_so_too(run, config):  # noqa: F811
    status, out, _ = run("engine", "build", "--all", "--config", config, "--json")
    document = json.loads(out)
    assert (status, document["plans"], document["text"]) == (0, [], NOTHING)
    assert [one["runtime"] for one in document["reasons"]] == ["tensorrt", "tensorrt-rtx"]


def test_a_runtime_that_is_named_and_is_not_installed_is_a_failure_that_says_what_to_do(run, config):  # noqa: F811
    arguments = ["engine", "build", "--runtime", "tensorrt", "--config", config]
    status, out, err = run(*arguments)
    assert (status, out) == (12, "")
    said = " ".join(err.split())
    assert "DN-4280 No plans can be built for tensorrt on this machine: TensorRT is not installed" in said
    assert "pip install" in said
    assert "docs/gpu.md" in said
    status, out, _ = run(*arguments, "--json")
    assert (status, json.loads(out)["error"]["code"]) == (12, "DN-4280")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runtime", "onnxruntime"], "'onnxruntime' is no runtime with plans"),
        (["lung-ct", "--all"], "not both"),
        (["--precision", "fp64"], "fp64 is no precision"),
    ],
)
def test_wrong_use_is_told(run, config, arguments, said):  # noqa: F811
    status, _, err = run("engine", "build", *arguments, "--config", config)
    assert status == 2
    assert said in err


def test_an_engine_that_is_not_there_is_told_before_anything_is_built(run, config):  # noqa: F811
    assert run("engine", "build", "no-such-engine", "--config", config)[0] == 12


def test_without_a_configuration_there_is_no_place_for_plans(run, tmp_path):  # noqa: F811
    status, _, err = run("engine", "build", "--config", tmp_path / "none.toml")
    assert status == 10
    assert "dicomnode init" in err


def test_a_gpu_runtime_without_a_driver_says_why_it_builds_nothing(command):
    status, out, _ = command()
    assert status == 0
    assert out.splitlines()[0] == NOTHING
    (line,) = [line for line in out.splitlines() if line.strip().startswith("tensorrt-rtx")]
    assert "driver" in line or "CUDA" in line or "PyCUDA" in line


def test_what_is_missing_is_built_once(command, config):  # noqa: F811
    status, out, err = command("--runtime", "tensorrt_rtx", "--json")
    assert status == 0, err
    document = json.loads(out)
    rows = document["plans"]
    assert [row["network"] for row in rows] == ["lung-masks.onnx", "nodules.onnx"]
    for row in rows:
        assert (row["engine"], row["precision"]) == ("lung-ct", "fp32")
        assert (row["built"], row["state"], row["device"], row["error"]) == (True, "built", None, None)
        assert row["build_s"] > 0
    assert document["folder"] == str(config.parent / "store" / "plans")
    assert [one["runtime"] for one in document["reasons"]] == ["tensorrt-rtx"]
    status, out, _ = command("lung-ct", "--runtime", "tensorrt-rtx")
    assert status == 0
    assert "was there" in out


def test_a_plan_that_cannot_be_built_does_not_keep_the_others_from_it(command, tmp_path):
    net = model(
        [helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Neg", ["x"], ["mask"])], ["mask"]
    )
    own = write_engine(tmp_path / "small", net.SerializeToString())
    arguments = ["lung-ct", "small", "--path", own, "--runtime", "tensorrt-rtx", "--json"]
    status, out, _ = command(*arguments)
    rows = {row["engine"]: row for row in json.loads(out)["plans"]}
    assert status == 4
    assert rows["lung-ct"]["state"] == "built"
    assert (rows["small"]["state"], rows["small"]["built"]) == (None, False)
    assert rows["small"]["error"]["code"].startswith("DN-41")
    assert rows["small"]["error"]["remedy"]
    status, _, err = command("small", "--path", own, "--runtime", "tensorrt-rtx")
    assert status == 12
    assert rows["small"]["error"]["code"] in err


def test_calibrating_keeps_inputs_and_builds_another_plan(command, config, tmp_path, small_phantom):  # noqa: F811
    tissue_engine(tmp_path / "tissue", window="{ size_kji = [32, 32, 32], overlap = 0.0 }")
    arguments = ["--path", tmp_path / "tissue", "--runtime", "tensorrt-rtx", "--precision", "int8", "--json"]
    (seeded,) = json.loads(command(*arguments)[1])["plans"]
    status, out, err = command(*arguments, "--calibrate", small_phantom.files[0].parent)
    assert status == 0, err
    (row,) = json.loads(out)["plans"]
    assert (row["state"], row["built"]) == ("built", True)
    assert row["digest"] != seeded["digest"]
    assert "tissue: inputs of 1 studies are kept" in err
    kept = config.parent / "store" / "calibration" / "tissue" / "tissue"
    assert list(kept.glob("*.npz"))
    (again,) = json.loads(command(*arguments)[1])["plans"]
    assert (again["digest"], again["built"]) == (row["digest"], False)


def test_a_folder_without_studies_calibrates_nothing(command, tmp_path):
    tissue_engine(tmp_path / "tissue")
    (tmp_path / "empty").mkdir()
    arguments = ["--path", tmp_path / "tissue", "--runtime", "tensorrt-rtx"]
    status, _, err = command(*arguments, "--calibrate", tmp_path / "empty")
    assert status == 3
    assert "DN-" in err
