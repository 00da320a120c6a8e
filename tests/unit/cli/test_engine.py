"""`dicomnode engine list|check`: what runs an engine here, and how well it agreed."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from pathlib import Path

import pytest

from dicomnode.cli import main
from dicomnode.engine import find_engine
from dicomnode.faults import DIGEST_MISMATCH, GATE_FAILED, NETWORK_UNSAFE
from dicomnode.settings import template
from tests.unit.engine.small_engine import write_engine


@pytest.fixture
def run(capsys):
    """Run `dicomnode engine …` in this process; give (exit status, stdout)."""

    def call(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["engine", *map(str, arguments)])
        return int(ended.value.code or 0), capsys.readouterr().out

    return call


@pytest.fixture
def document(run):
    """The same with --json; give the document."""

    def call(*arguments: object) -> dict:
        return json.loads(run(*arguments, "--json")[1])

    return call


@pytest.fixture
def config(tmp_path) -> Path:
    (tmp_path / "state").mkdir()
    path = tmp_path / "dicomnode.toml"
    text = template().replace('#path = "/var/lib/dicomnode"', f'path = "{tmp_path}/state"', 1)
    assert "/state" in text
    path.write_text(text)
    return path


def test_check_with_a_configuration_takes_openvino_once_it_agrees_and_list_shows_it(document, config):
    checked = document("check", "lung-ct", "--config", str(config))
    assert checked["passed"]
    *networks, trees = checked["runtimes"]
    assert networks
    assert all(network.startswith("openvino ") for network in networks)
    assert trees.startswith("onnxruntime ")
    accepted = checked["accepted"]
    assert "nodules" in [one["step"] for one in accepted]
    assert {(one["precision"], one["passed"]) for one in accepted} == {("fp32", True)}
    engines = {one["name"]: one for one in document("list", "--config", str(config))["engines"]}
    listed = engines["lung-ct"]["runtimes"]
    assert all(one.pop("when").endswith("+00:00") for one in listed)
    assert {one["step"]: one for one in listed} == {one["step"]: one for one in accepted}


def test_list_and_check_show_people_how_runtimes_agreed(run, config):
    for arguments in (["check", "lung-ct"], ["list"]):
        status, shown = run(*arguments, "--config", config)
        assert status == 0
        assert "Agreement with onnxruntime fp32" in shown
        assert "openvino" in shown


def test_without_a_configuration_the_reference_is_tried_and_the_reason_is_said(document):
    checked = document("check", "lung-ct")
    assert checked["runtimes"][0].startswith("onnxruntime ")
    reasons = {one["runtime"]: one["reason"] for one in checked["passed_over"]}
    assert "no state folder" in reasons["openvino"]


def test_a_runtime_that_was_passed_over_says_what_to_do(run, document):
    passed_over = {one["runtime"]: one for one in document("check", "lung-ct")["passed_over"]}
    assert "dicomnode engine check lung-ct --config FILE" in passed_over["openvino"]["advice"]
    assert "--runtime openvino" in passed_over["openvino"]["advice"]
    assert "pip install" in passed_over["tensorrt"]["reason"]
    assert passed_over["tensorrt"]["advice"] is None
    shown = " ".join(run("check", "lung-ct")[1].replace("│", " ").split())
    assert "not accepted yet" in shown


def test_a_package_that_is_named_by_its_folder_has_its_owners_looked_at_as_in_service(run, config, tmp_path):
    folder = write_engine(tmp_path / "own")
    arguments = ["check", "small", "--path", folder, "--json"]
    assert run(*arguments)[0] == 0
    (folder / "net.onnx").chmod(0o666)
    for more in ([], ["--config", config]):
        status, told = run(*arguments, *more)
        assert (status, json.loads(told)["error"]["code"]) == (12, NETWORK_UNSAFE.code)
        assert "chmod o-w" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which root alone can")
def test_owners_that_the_configuration_names_may_own_a_package_that_is_named_by_its_folder(
    run, config, tmp_path
):
    folder = write_engine(tmp_path / "own")
    for path in (folder, *folder.iterdir()):
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    with_engine(config, folder)
    arguments = ["check", "small", "--path", folder, "--config", config]
    assert run(*arguments)[0] == 12
    text = config.read_text().replace('name = "small"\n', 'name = "small"\nowners = ["nobody"]\n')
    config.write_text(text)
    assert run(*arguments)[0] == 0


def test_a_usual_configuration_that_cannot_be_used_is_told_of_and_a_missing_one_is_not(
    capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    for text, is_told in ((None, False), ("schema = 7\n", True)):
        if text is not None:
            (tmp_path / "dicomnode.toml").write_text(text)
        with pytest.raises(SystemExit) as ended:
            main(["engine", "list", "--json"])
        told = capsys.readouterr()
        assert ended.value.code == 0
        assert json.loads(told.out)["engines"]
        assert ("DN-9001" in told.err) == is_told


def test_a_runtime_can_be_named_and_none_takes_over_from_it(run, document):
    assert document("check", "lung-ct", "--runtime", "openvino")["runtimes"][0].startswith("openvino ")
    status, told = run("check", "lung-ct", "--runtime", "tensorrt-rtx", "--json")
    assert (status, json.loads(told)["error"]["code"]) == (12, "DN-4140")


def test_what_the_settings_name_is_what_is_checked(document, config):
    text = config.read_text()
    config.write_text(text.replace('name = "lung-ct"', 'name = "lung-ct"\nruntime = "onnxruntime"'))
    checked = document("check", "lung-ct", "--config", str(config))
    assert checked["runtimes"][0].startswith("onnxruntime ")
    assert checked["passed_over"] == []
    assert checked["accepted"] == []


def test_a_configuration_that_is_named_must_be_there(run, tmp_path):
    assert run("list", "--config", tmp_path / "none.toml")[0] == 10


def with_engine(config: Path, folder: Path) -> None:
    entry = f'\n[[engine]]\nname = "small"\npath = "{folder}"\nmode = "shadow"\n'
    config.write_text(config.read_text() + entry)


def test_an_engine_of_the_configuration_is_known_by_its_name(run, document, config, tmp_path):
    folder = write_engine(tmp_path / "own")
    with_engine(config, folder)
    listed = {one["name"]: one for one in document("list", "--config", config)["engines"]}
    assert (listed["small"]["mode"], listed["small"]["folder"]) == ("shadow", str(folder))
    assert document("check", "small", "--config", config)["passed"]
    status, told = run("export", "small", "--config", config, "--triton", tmp_path / "models")
    assert status == 0
    assert "small.net." in told


def test_an_engine_that_the_service_would_refuse_is_refused_by_its_name(run, config, tmp_path):
    folder = write_engine(tmp_path / "own")
    with_engine(config, folder)
    folder.chmod(0o777)
    assert run("check", "small", "--config", config)[0] == 12


def test_a_broken_engine_hides_no_other(run, document, config, tmp_path):
    folder = write_engine(tmp_path / "own")
    with_engine(config, folder)
    (folder / "net.onnx").write_bytes(b"no network")
    status, told = run("list", "--config", config)
    assert status == 12
    assert "lung-ct" in told
    [broken] = document("list", "--config", config)["broken"]
    assert (broken["folder"], broken["code"]) == (str(folder), DIGEST_MISMATCH.code)


def test_a_gate_that_fails_says_what_to_do_and_that_nothing_serves(capsys, tmp_path):
    wrong = 'high = 1.0\nexpect = [ { output = "mask", mean = 9.0, std = 1.0, smallest = 0.0, largest = 1.0, '
    folder = write_engine(tmp_path / "own", **{"high = 1.0": f"{wrong}probes = [0.0] }} ]"})
    with pytest.raises(SystemExit) as ended:
        main(["engine", "check", "small", "--path", str(folder)])
    told = capsys.readouterr()
    assert ended.value.code == 12
    assert GATE_FAILED.code in told.err
    assert "would serve, had it passed" in told.out


def test_of_an_engine_without_a_network_it_is_said_what_was_checked(run, document):
    status, out = run("check", "ct-body")
    words = " ".join(out.split())
    assert status == 0
    assert "ct-body" in words
    assert "It has no network, so there are no numbers to be met" in words
    assert "knows its steps" in words
    for heading in ("expected", "Runtimes"):
        assert heading not in words
    assert document("check", "ct-body")["checks"] == []


def test_an_engine_without_a_network_fails_where_a_step_of_it_is_not_known(run, tmp_path):
    folder = tmp_path / "ct-body"
    shutil.copytree(find_engine("ct-body").folder, folder)
    path = folder / "engine.toml"
    path.write_text(path.read_text().replace("slab_mm = 2.5", "slabs_mm = 2.5"))
    assert run("check", "ct-body", "--path", folder)[0] == 12
