"""`dicomnode try`: on the node's runtimes, and what it leaves where it cannot write."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dicomnode.cli import findings
from dicomnode.cli.findings import write_results
from dicomnode.engine import shelf
from tests.unit.analyse.engines import tissue_engine
from tests.unit.cli.test_commands import config, run  # noqa: F401  fixtures
from tests.unit.cli.test_writing import short_disk


@pytest.fixture
def tissue(tmp_path) -> Path:
    return tissue_engine(tmp_path / "tissue").folder


def with_engine(config: Path, folder: Path, more: str = "") -> None:  # noqa: F811
    entry = f'[[engine]]\nname = "tissue"\npath = {json.dumps(str(folder))}\n{more}'
    config.write_text(config.read_text().replace('[[engine]]\nname = "lung-ct"\n', entry))


def runtimes(out: str) -> list[tuple[str, str]]:
    return [(one["engine"], one["runtime"].split()[0]) for one in json.loads(out)["provenance"]]


def test_with_a_configuration_its_engines_run_on_its_runtimes_and_records(
    run,  # noqa: F811
    config,  # noqa: F811
    tissue,
    small_phantom,
):
    with_engine(config, tissue)
    arguments = ["try", small_phantom.folder / "dicom", "--config", config, "--json"]
    status, out, _ = run(*arguments)
    assert (status, runtimes(out)) == (0, [("tissue", "openvino")])
    assert len(list((config.parent / "store" / "acceptance").iterdir())) == 1
    config.write_text(
        config.read_text().replace('name = "tissue"', 'name = "tissue"\nruntime = "onnxruntime"')
    )
    assert runtimes(run(*arguments)[1]) == [("tissue", "onnxruntime")]
    status, out, _ = run(*arguments, "--engine", "lung-mr")
    assert (status, json.loads(out)["error"]["code"]) == (12, "DN-4001")


def test_a_runtime_that_the_configuration_names_and_that_is_missing_serves_no_trial(
    run,  # noqa: F811
    config,  # noqa: F811
    tissue,
    small_phantom,
):
    with_engine(config, tissue, 'runtime = "tensorrt-rtx"\n')
    status, out, _ = run("try", small_phantom.folder / "dicom", "--config", config, "--json")
    assert (status, json.loads(out)["error"]["code"]) == (12, "DN-4140")


def test_the_usual_configuration_is_found_and_without_one_it_is_as_ever(
    run,  # noqa: F811
    config,  # noqa: F811
    tissue,
    small_phantom,
    monkeypatch,
    tmp_path_factory,
):
    with_engine(config, tissue)
    arguments = ["try", small_phantom.folder / "dicom", "--engine-path", tissue]
    monkeypatch.chdir(config.parent)
    status, out, err = run(*arguments[:2])
    assert status == 0
    assert "On openvino" in out
    assert "Engines run as dicomnode.toml says." in err
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    status, out, err = run(*arguments)
    assert "On onnxruntime" in out
    assert "dicomnode.toml" not in err


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """Three engines that ship: the usual one, one more for CT, and one for MR."""
    folder = tmp_path / "shipped"
    for name in ("lung-ct", "other-ct", "other-mr"):
        text = (tissue_engine(folder / name).folder / "engine.toml").read_text()
        if name == "other-mr":
            (folder / name / "engine.toml").write_text(text.replace('equals = "CT"', 'equals = "MR"'))
    monkeypatch.setattr(shelf, "shipped_engines_dir", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_without_a_word_of_engines_the_usual_one_runs_and_the_others_are_told_of(
    run,  # noqa: F811
    shipped,
    small_phantom,
):
    status, out, _ = run("try", small_phantom.folder / "dicom")
    words = " ".join(out.split())
    assert status == 0
    assert "Engine lung-ct" in words
    assert "Engine other-ct" not in words
    table = words[words.index("Shipped as well, not run") :]
    assert re.search(r"other-ct .* fits .*other-mr", table)
    assert re.search(r"other-mr .* does not fit: wanted .*MR; found CT", table)
    assert "Only lung-ct was asked" in table


def test_an_engine_that_is_named_runs_and_no_other_is_told_of(run, shipped, small_phantom):  # noqa: F811
    folder = small_phantom.folder / "dicom"
    status, out, _ = run("try", folder, "--engine", "other-ct")
    assert status == 0
    assert "Engine other-ct" in out
    assert "not run" not in out


def test_a_configuration_that_is_named_must_be_there(run, small_phantom, tmp_path):  # noqa: F811
    arguments = ["try", small_phantom.folder / "dicom", "--config", tmp_path / "none.toml", "--json"]
    assert run(*arguments)[0] == 10


def test_an_unwritable_out_is_told_before_anything_is_analysed(run, small_phantom, tissue):  # noqa: F811
    folder = small_phantom.folder / "dicom"
    status, _, err = run("try", folder, "--engine-path", tissue, "--out", "/proc/results")
    assert status == 1
    assert "DN-9008 /proc/results cannot be written" in err
    assert "reading headers" not in err


def test_a_disk_that_fills_up_leaves_no_half_file(run, small_phantom, lungs_engine, tmp_path, monkeypatch):  # noqa: F811
    out_folder = tmp_path / "out"

    def on_a_short_disk(*given):
        with short_disk(60_000):
            return write_results(*given)

    monkeypatch.setattr(findings, "write_results", on_a_short_disk)
    arguments = ["try", small_phantom.folder / "dicom", "--engine-path", lungs_engine, "--out", out_folder]
    status, out, _ = run(*arguments, "--json")
    error = json.loads(out)["error"]
    assert (status, error["code"]) == (1, "DN-9008")
    assert str(out_folder / "seg-") in error["text"]
    assert list(out_folder.iterdir()) == []


def test_a_study_that_no_engine_wants_has_no_objects_and_that_is_said(run, small_phantom, tissue):  # noqa: F811
    text = (tissue / "engine.toml").read_text()
    (tissue / "engine.toml").write_text(text.replace('equals = "CT"', 'equals = "MR"'))
    status, out, _ = run("try", small_phantom.folder / "dicom", "--engine-path", tissue)
    assert status == 3
    assert "No DICOM objects were made, as no engine wants a series of this study." in out
    assert "Objects" not in out


def test_the_kinds_of_objects_that_are_made_can_be_named(run, small_phantom, lungs_engine, tmp_path):  # noqa: F811
    folder, out_folder = small_phantom.folder / "dicom", tmp_path / "out"
    kinds = ["--objects", "gsps, RTSTRUCT,SC,PDF,SR,SEG"]
    status, out, _ = run("try", folder, "--engine-path", lungs_engine, "--out", out_folder, *kinds, "--json")
    assert status == 0
    made = [one["kind"] for one in json.loads(out)["objects"]]
    assert set(made) == {"GSPS", "RTSTRUCT", "SC", "PDF", "SR", "SEG"}
    assert all(Path(one["path"]).is_file() for one in json.loads(out)["objects"])


@pytest.mark.parametrize("objects", ["SEGG", "", "SEG,KO"])
def test_a_kind_of_object_that_is_none_is_told_with_those_that_are(run, small_phantom, objects):  # noqa: F811
    status, _, err = run("try", small_phantom.folder / "dicom", "--objects", objects)
    assert status == 2
    assert "SEG, LABELMAP, SR" in err
