"""`dicomnode check`: what the machine would not let a right configuration do."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.unit.cli.test_commands import _quiet_logs, config, run  # noqa: F401  fixtures

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which root alone can")


@pytest.fixture
def checked(run, config):  # noqa: F811
    """Check the configuration; give the exit status, the problems by key, and the notes."""

    def call(*arguments: str) -> tuple[int, dict[str, dict], list[str]]:
        status, out, _ = run("check", "--config", config, *arguments, "--json")
        document = json.loads(out)
        return status, {one["key"]: one for one in document["problems"]}, document["notes"]

    return call


def say(config: Path, before: str, after: str) -> None:  # noqa: F811
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))


def test_a_disk_with_less_than_the_reserve_is_a_problem_with_both_figures(checked, config):  # noqa: F811
    say(config, "[store]\n", "[store]\nreserve_gb = 1e9\n")
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"store.reserve_gb"})
    problem = problems["store.reserve_gb"]
    assert problem["value"] == "1000000000.0"
    assert "GB" in problem["expected"]
    assert str(config.parent / "store") in problem["expected"]
    assert "DN-1001" in problem["hint"]


def test_a_runtime_that_is_named_and_missing_is_a_problem_with_how_to_get_it(checked, config):  # noqa: F811
    say(config, "[store]\n", '[analyse]\nruntime = "tensorrt-rtx"\n[store]\n')
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"analyse.runtime"})
    assert problems["analyse.runtime"]["value"] == "tensorrt-rtx"
    assert "pip install" in problems["analyse.runtime"]["hint"]
    assert problems["analyse.runtime"]["line"] is not None


def test_a_runtime_that_an_engine_names_is_tried_and_that_of_analyse_only_where_it_counts(
    checked,
    config,  # noqa: F811
):
    say(config, "[store]\n", '[analyse]\nruntime = "tensorrt"\n[store]\n')
    say(config, 'name = "lung-ct"\n', 'name = "lung-ct"\nruntime = "openvino"\n')
    assert checked()[:2] == (0, {})
    say(config, 'runtime = "openvino"', 'runtime = "tensorrt-rtx"')
    assert set(checked()[1]) == {"engine[1].runtime"}


def test_with_a_fallback_a_missing_runtime_is_a_note(checked, config):  # noqa: F811
    say(config, "[store]\n", '[analyse]\nruntime = "tensorrt"\nfallback = true\n[store]\n')
    status, problems, notes = checked()
    assert (status, problems) == (0, {})
    assert any("tensorrt does not work on this machine" in note for note in notes)


def test_an_inference_server_is_asked_only_with_probe(checked, config):  # noqa: F811
    triton = '[analyse]\nruntime = "triton"\n[analyse.triton]\nurl = "http://127.0.0.1:1"\n[store]\n'
    say(config, "[store]\n", triton)
    status, problems, notes = checked()
    assert (status, problems) == (0, {})
    assert any("--probe" in note for note in notes)
    assert set(checked("--probe")[1]) == {"analyse.runtime"}


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_plans_that_others_may_reach_are_a_problem(checked, config, mode):  # noqa: F811
    plans = config.parent / "store" / "plans"
    plans.mkdir()
    plans.chmod(0o700)
    assert checked()[:2] == (0, {})
    plans.chmod(mode)
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"store.plans"})
    assert f"{mode:04o}" in problems["store.plans"]["hint"]


def test_acceptance_records_that_others_may_write_are_a_problem(checked, config):  # noqa: F811
    folder = config.parent / "store" / "acceptance"
    folder.mkdir(0o750)
    record = folder / "a.json"
    record.write_text("{}")
    record.chmod(0o640)
    assert checked()[:2] == (0, {})
    record.chmod(0o666)
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"store.path"})
    assert f"{record} has mode 0666" in problems["store.path"]["hint"]


@as_root
@pytest.mark.parametrize(("name", "key"), [("plans", "store.plans"), ("acceptance", "store.path")])
def test_root_looks_at_private_folders_as_the_user_whose_the_store_is(checked, config, request, name, key):  # noqa: F811
    # Not below the folders of pytest, which are for one user
    place = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(place))
    place.chmod(0o755)
    store = place / "store"
    store.mkdir()
    say(config, str(config.parent / "store"), str(store))
    nobody = pwd.getpwnam("nobody").pw_uid
    folder = store / name
    folder.mkdir(0o700)
    for path in (store, folder):
        os.chown(path, nobody, -1)
    assert checked()[:2] == (0, {})
    os.chown(folder, 0, -1)
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {key})
    assert os.geteuid() == 0


def test_check_leaves_nothing_behind(checked, config):  # noqa: F811
    say(config, "[store]\n", '[analyse]\nruntime = "openvino"\n[store]\n')
    assert checked()[0] == 0
    assert list((config.parent / "store").iterdir()) == []
