"""`dicomnode evaluate --look`: what the data set looks like stands on the page and in a file beside it."""

from __future__ import annotations

import json

import pytest

from dicomnode.learn.generate import SynthPlan, synth_cases
from tests.unit.cli.test_commands import run  # noqa: F401  fixtures
from tests.unit.evaluate.page.reading import section, shown
from tests.unit.evaluate.running.engines import liver_engine
from tests.unit.learn.heads.test_package import ENGINE


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return liver_engine(tmp_path_factory.mktemp("engines") / "first").folder


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look") / "data"
    synth_cases(SynthPlan(kind="volumes", cases=4, seed=5), folder)
    return folder


def test_the_look_of_the_data_is_on_the_page_and_in_a_file(run, engine, volumes, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    quick = ("--resamples", "100", "--out", out, "--look")
    status, _, _ = run("evaluate", engine, "--data", volumes, *quick)
    assert status == 0
    written = json.loads((out / "dataset.json").read_text())
    assert len(written["cases"]) == 4
    told = shown(section((out / "report.html").read_text(), "look"))
    assert "4 cases by" in told
    for remark in written["remarks"]:
        assert remark in told


def test_a_look_without_a_page_is_wrong_use(run, engine, volumes):  # noqa: F811
    status, _, said = run("evaluate", engine, "--data", volumes, "--look")
    assert status == 2
    assert "needs --out" in said


def test_the_features_of_another_engine_are_looked_at_and_one_without_is_refused(
    run,  # noqa: F811
    engine,
    volumes,
    tmp_path,
):
    texture = tmp_path / "texture"
    texture.mkdir()
    (texture / "engine.toml").write_text(ENGINE)
    out = tmp_path / "out"
    asked = ("evaluate", engine, "--data", volumes, "--resamples", "100", "--out", out, "--look")
    status, _, _ = run(*asked, "--features", texture)
    assert status == 0
    written = json.loads((out / "dataset.json").read_text())
    assert written["features_are"].startswith("features of the engine texture")
    assert "features of the engine texture" in (out / "report.html").read_text()
    status, told, _ = run(*asked, "--features", engine, "--json")
    assert (status, json.loads(told)["error"]["code"]) == (12, "DN-7153")
    assert run("evaluate", engine, "--data", volumes, "--features", texture)[0] == 2
