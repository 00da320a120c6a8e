"""The command as an operator meets it: what it prints where, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog

from dicomnode.cli import main
from dicomnode.cli.app import app

VERBS = [command.callback.__name__.rstrip("_") for command in app.registered_commands]


@pytest.fixture(autouse=True)
def _quiet_logs():
    hook = threading.excepthook
    yield
    structlog.reset_defaults()
    threading.excepthook = hook


@pytest.fixture
def run(capsys):
    """Run the command in this process; give (exit status, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that is right, with a store in the test's folder and an archive that is not there."""
    path = tmp_path / "dicomnode.toml"
    path.write_text(
        f"""schema = 1
[store]
path = {json.dumps(str(tmp_path / "store"))}
[[sender]]
ae_title = "SCANNER"
address = "127.0.0.1"
[[engine]]
name = "lung-ct"
[[destination]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = 1
timeout_s = 2
"""
    )
    (tmp_path / "store").mkdir()
    return path


@pytest.mark.parametrize("verb", [*VERBS, "engine list", "engine check"])
def test_the_help_of_every_verb_ends_with_its_exit_statuses(run, verb):
    status, out, _ = run(*verb.split(), "--help")
    assert status == 0
    last = " ".join(out.split())
    assert "EXIT STATUS: 0 " in last


def test_help_loads_no_array_and_no_engine():
    code = (
        "import sys\n"
        "from dicomnode.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'pydicom', 'pynetdicom', 'highdicom', 'onnxruntime', 'sqlalchemy'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("wrong", [["frobnicate"], ["why"], ["try"], ["fault", "--frob"], []])
def test_wrong_use_exits_with_2_and_says_how_it_is_used(run, wrong):
    status, out, err = run(*wrong)
    assert status == 2
    assert "Usage" in out + err


def test_a_failure_is_a_sentence_and_a_remedy_on_stderr_without_a_traceback(run, config):
    status, out, err = run("why", "1.2.3", "--config", config)
    assert status == 3
    assert out == ""
    assert "DN-6003" in err
    assert "dicomnode studies" in err
    assert "Traceback" not in err


def test_a_failure_with_json_is_an_object_on_stdout(run, config):
    status, out, _ = run("why", "1.2.3", "--config", config, "--json")
    assert status == 3
    assert json.loads(out)["error"]["code"] == "DN-6003"


def test_a_bug_is_told_as_one_and_its_traceback_only_with_debug(run, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("dicomnode.cli.fault.print_json", broken)
    status, _, err = run("fault", "--json")
    assert (status, "Traceback" in err) == (1, False)
    assert "DN-6099" in err
    status, _, err = run("--debug", "fault", "--json")
    assert (status, "Traceback" in err) == (1, True)


def test_fault_explains_a_code_in_words_and_in_json(run):
    status, out, _ = run("fault", "dn-1001")
    assert status == 0
    assert "0xA700" in out
    _, out, _ = run("fault", "DN-1001", "--json")
    assert json.loads(out)["faults"][0]["dimse_status"] == 0xA700
    assert run("fault", "DN-0000")[0] == 2


def test_init_writes_a_configuration_that_check_finds_right_and_never_overwrites_one(run, tmp_path):
    path = tmp_path / "new.toml"
    assert run("init", "--config", path)[0] == 0
    status, out, _ = run("check", "--config", path, "--json")
    assert (status, json.loads(out)["problems"]) == (0, [])
    path.write_text("schema = 1\n")
    assert run("init", "--config", path)[0] == 2
    assert path.read_text() == "schema = 1\n"
    assert run("init", "--config", path, "--force")[0] == 0


@pytest.mark.parametrize(("peer", "words"), [("orthanc", "DicomModalities"), ("dcm4chee", "DICOMNODE")])
def test_init_for_a_peer_prints_the_peers_side(run, tmp_path, peer, words):
    status, out, _ = run("init", "--for", peer, "--config", tmp_path / "none.toml")
    assert status == 0
    assert words in out
    assert not (tmp_path / "none.toml").exists()


def test_check_tells_all_problems_at_once_with_key_value_and_hint(run, config):
    config.write_text(config.read_text().replace("port = 1\n", 'port = 99999\nretries = 3\nae_titel = "X"\n'))
    status, out, _ = run("check", "--config", config, "--json")
    assert status == 10
    problems = {problem["key"]: problem for problem in json.loads(out)["problems"]}
    assert len(problems) == 3
    assert problems["destination[0].port"]["value"] == "99999" if "destination[0].port" in problems else True
    assert any("ae_title" in (problem["hint"] or "") for problem in problems.values())


def test_check_with_probe_says_which_destination_does_not_answer(run, config):
    status, out, _ = run("check", "--config", config, "--probe", "--json")
    assert status == 13
    (destination,) = json.loads(out)["destinations"]
    assert destination["problem"].startswith("DN-2001")
    assert run("check", "--config", config)[0] == 0


def test_a_missing_configuration_is_named_with_the_command_that_makes_one(run, tmp_path):
    status, _, err = run("studies", "--config", tmp_path / "nowhere.toml")
    assert status == 10
    assert "dicomnode init" in err


def test_a_node_that_has_received_nothing_has_no_studies_and_nothing_to_retry(run, config):
    status, out, _ = run("studies", "--config", config, "--json")
    assert (status, json.loads(out)["studies"]) == (0, [])
    assert run("retry", "--destination", "archive", "--config", config)[0] == 3
    assert run("retry", "--config", config)[0] == 2
    status, _, err = run("retry", "--destination", "pacs", "--config", config)
    assert (status, "archive" in err) == (2, True)


def test_echo_to_a_closed_port_is_unreachable_and_a_wrong_address_is_wrong_use(run):
    assert run("echo", "ARCHIVE@127.0.0.1:1")[0] == 13
    status, _, err = run("echo", "127.0.0.1:104")
    assert (status, "AE@HOST:PORT" in err) == (2, True)


def test_engine_list_names_the_shipped_engine_with_its_digest(run):
    status, out, _ = run("engine", "list", "--json")
    assert status == 0
    (engine,) = [e for e in json.loads(out)["engines"] if e["name"] == "lung-ct"]
    assert len(engine["digest"]) == 64
    assert "Not for clinical use" in engine["use"]


def test_engine_check_runs_the_gate(run):
    status, out, _ = run("engine", "check", "lung-ct", "--json")
    report = json.loads(out)
    assert (status, report["passed"]) == (0, True)
    assert all(check["passed"] for check in report["checks"])
    assert run("engine", "check", "no-such-engine")[0] == 12


def test_try_tells_every_series_and_writes_what_it_made(run, small_phantom, lungs_engine, tmp_path):
    out_folder = tmp_path / "out"
    arguments = ["try", small_phantom.folder / "dicom", "--engine-path", lungs_engine, "--out", out_folder]
    status, out, _ = run(*arguments, "--json")
    assert status == 0
    document = json.loads(out)
    assert set(document) == {
        "schema", "study_instance_uid", "state", "series", "set_aside", "verdicts", "findings",
        "classifications", "remarks", "objects", "timings_s",
    }  # fmt: skip
    ((stack,),) = [series["stacks"] for series in document["series"]]
    assert stack["volume"]["shape_kji"] == [112, 138, 138]
    assert stack["refusal"] is None
    assert {finding["label"] for finding in document["findings"]} >= {"lung-right", "lung-left"}
    for made in document["objects"]:
        assert Path(made["path"]).stat().st_size > 1000
    assert list(out_folder.glob("overlay-*.png"))
    assert "lung-right" in run(*arguments)[1]


def test_try_of_a_folder_without_dicom_finds_nothing(run, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    status, _, err = run("try", tmp_path)
    assert status == 3
    assert "DN-3015" in err


def test_colour_is_left_out_where_the_environment_says_so(tmp_path):
    environ = {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "dicomnode", "fault", "DN-1001"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    assert "\x1b[" not in done.stdout
