"""The command as an operator meets it: what it prints where, and how it exits."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from dicomnode.cli import main
from dicomnode.cli.app import app
from dicomnode.journal import Closing, EvidenceKind, EvidenceRecord, Journal
from dicomnode.store import Store
from tests.unit.journal.world import NOON, STUDY, receive
from tests.wire.plain_engines import mean_engine

ENGINE = 'name = "lung-ct"\n'
VERBS = [command.callback.__name__.rstrip("_") for command in app.registered_commands]


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
[receive]
address = "127.0.0.1"
port = 0
[store]
path = {json.dumps(str(tmp_path / "store"))}
[[sender]]
ae_title = "SCANNER"
address = "127.0.0.1"
[[engine]]
{ENGINE}[[destination]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = 1
timeout_s = 2
"""
    )
    (tmp_path / "store").mkdir()
    return path


def with_mean(config: Path) -> Path:
    """The same configuration with an engine whose gate takes no time."""
    path = mean_engine(config.parent / "mean")
    text = config.read_text()
    assert ENGINE in text
    config.write_text(text.replace(ENGINE, f'name = "mean"\npath = {json.dumps(str(path))}\n'))
    return config


@pytest.fixture
def quick(config: Path) -> Path:
    return with_mean(config)


@pytest.fixture
def journal(config) -> Iterator[Journal]:
    """The journal of a node that ran once with the configuration."""
    with Journal.open(f"sqlite:///{config.parent}/store/journal.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("verb", [*VERBS, "engine list", "engine check"])
def test_the_help_of_every_verb_ends_with_its_exit_statuses(run, verb):
    status, out, _ = run(*verb.split(), "--help")
    assert status == 0
    last = " ".join(out.split())
    assert "EXIT STATUS: 0 " in last


def test_a_verb_that_is_read_alone_is_as_among_all_verbs(run, capsys):
    whole = typer.main.get_command(app)
    assert len(whole.commands) > len(VERBS)
    for verb in whole.commands:
        alone = run(verb, "--help")[1]
        whole.main(args=[verb, "--help"], prog_name="dicomnode", standalone_mode=False)
        assert capsys.readouterr().out == alone
    assert run("nothing", "--help")[0] == 2


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


def test_a_failure_is_a_sentence_and_a_remedy_on_stderr_without_a_traceback(run, config, journal):
    status, out, err = run("why", "1.2.3", "--config", config)
    assert status == 3
    assert out == ""
    assert "DN-6003" in err
    assert "dicomnode studies" in err
    assert "Traceback" not in err


def test_a_failure_with_json_is_an_object_on_stdout(run, config, journal):
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
    text = path.read_text()
    free = text.replace('#path = "/var/lib/dicomnode"', f"path = {json.dumps(str(tmp_path / 'a/b'))}")
    path.write_text(free.replace("#port = 11112", "port = 0"))
    status, out, _ = run("check", "--config", path, "--json")
    assert (status, json.loads(out)["problems"]) == (0, [])
    assert not (tmp_path / "a").exists()
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
    assert problems["destination[1].port"]["value"] == "99999"
    assert "ae_title" in problems["destination[1].ae_titel"]["hint"]
    assert "destination[1].retries" in problems


def test_check_refuses_an_environment_that_another_package_of_this_name_shares(run, quick, monkeypatch):
    assert run("check", "--config", quick)[0] == 0
    owners = {"dicomnode": ["dicomnode", "DicomNode"]}
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: owners)
    status, out, _ = run("check", "--config", quick, "--json")
    assert status == 10
    (problem,) = json.loads(out)["problems"]
    assert problem["key"] == "installation"


def test_check_with_probe_says_which_destination_does_not_answer(run, quick):
    status, out, _ = run("check", "--config", quick, "--probe", "--json")
    assert status == 13
    (destination,) = json.loads(out)["destinations"]
    assert destination["problem"].startswith("DN-2001")
    assert run("check", "--config", quick)[0] == 0


def test_a_missing_configuration_is_named_with_the_command_that_makes_one(run, tmp_path):
    status, _, err = run("studies", "--config", tmp_path / "nowhere.toml")
    assert status == 10
    assert "dicomnode init" in err


def test_a_node_that_has_received_nothing_has_no_studies_and_nothing_to_retry(run, config, journal):
    status, out, _ = run("studies", "--config", config, "--json")
    assert (status, json.loads(out)["studies"]) == (0, [])
    assert run("studies", "--config", config)[1] == "No study has come yet.\n"
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
        "regions", "classifications", "measurements", "maps", "images", "features", "frame_scores",
        "changes", "remarks", "provenance", "objects", "timings_s",
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


@pytest.mark.parametrize("verb", [["studies"], ["why", "1.2.3"], ["retry", "1.2.3"]])
def test_who_looks_at_a_node_that_never_ran_is_told_so_and_makes_no_journal(run, config, verb):
    status, _, err = run(*verb, "--config", config)
    assert (status, "DN-6008" in err) == (3, True)
    assert list((config.parent / "store").iterdir()) == []


def test_an_accession_number_of_several_studies_is_answered_with_their_uids(run, config, journal):
    receive(journal, study="1.1")
    receive(journal, study="1.2")
    for verb in ("why", "retry"):
        status, _, err = run(verb, "A17", "--config", config)
        assert (status, "DN-6010" in err, "1.1" in err, "1.2" in err) == (2, True, True, True)


def test_studies_prints_times_with_their_zone(run, config, journal):
    receive(journal, study="1.1")
    assert re.search(r"2026-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", run("studies", "--config", config)[1])


def test_p3_why_shows_the_evidence_what_decided_and_what_is_missing(run, config, journal):
    receive(journal)
    count = EvidenceRecord(
        kind=EvidenceKind.COUNT, source="PACS1", text="3 of 5 images, by the count of PACS1", found_at=NOON,
        expected=5, here=3, decided=True,
    )  # fmt: skip
    closing = Closing(
        evidence="nothing new for 3600 s, the longest wait",
        last_arrival=NOON,
        evidences=[count],
        shortfall=count.text,
    )
    assert journal.close_study(STUDY, closing, NOON) == 1
    code, out, err = run("why", STUDY, "--config", config)
    assert code == 0, err
    assert "missing    3 of 5 images, by the count of PACS1" in out
    assert "Evidence of completeness" in out
    assert "decided" in out
    document = json.loads(run("why", STUDY, "--json", "--config", config)[1])
    assert [
        (e["kind"], e["source"], e["here"], e["expected"], e["decided"]) for e in document["evidence"]
    ] == [("count", "PACS1", 3, 5, True)]
    assert (document["study"]["shortfall"], document["study"]["predecessor"]) == (count.text, None)
    assert "shortfall" in run("studies", "--json", "--config", config)[1]


def test_check_finds_a_file_in_the_place_of_the_store_and_a_taken_port(run, quick):
    store = quick.parent / "store"
    store.rmdir()
    store.write_text("in the way")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        quick.write_text(quick.read_text().replace("port = 0", f"port = {port}"))
        status, out, _ = run("check", "--config", quick, "--json")
    problems = {problem["key"]: problem for problem in json.loads(out)["problems"]}
    assert (status, set(problems)) == (10, {"store.path", "receive.port"})
    assert (problems["receive.port"]["line"], problems["receive.port"]["value"]) == (4, str(port))
    assert "DN-9003" in problems["receive.port"]["hint"]


def test_check_leaves_the_port_alone_while_the_node_runs(run, quick):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        quick.write_text(quick.read_text().replace("port = 0", f"port = {taken.getsockname()[1]}"))
        with Store.open(quick.parent / "store", exclusive=True):
            status, out, _ = run("check", "--config", quick, "--json")
            assert (status, json.loads(out)["problems"]) == (0, [])
            assert "runs" in json.loads(out)["notes"][0]
        assert run("check", "--config", quick)[0] == 10


def test_check_says_that_all_is_well_only_when_it_is(run, config):
    assert "no problem" in run("check", "--config", config)[2]
    config.write_text(config.read_text().replace("lung-ct", "lung-mr"))
    status, _, err = run("check", "--config", config)
    assert (status, "no problem" in err) == (10, False)


@pytest.mark.parametrize(
    "content", [b"schema = 1\nport 2\n", "schema = 1\n# Gerät\n".encode("latin-1"), None], ids=str
)
@pytest.mark.parametrize("verb", ["check", "studies", "serve"])
def test_a_file_that_cannot_be_read_is_a_clear_line_of_the_configuration(run, tmp_path, content, verb):
    path = tmp_path / "dicomnode.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    status, _, err = run(verb, "--config", path)
    assert (status, "DN-6099" in err, "None" in err) == (10, False, False)
    assert "file" in err
    assert "expected" in err
    assert content is None or "dicomnode.toml:2" in "".join(err.split())


@pytest.mark.parametrize("verb", ["echo", "send"])
@pytest.mark.parametrize("wrong", ["A" * 17 + "@127.0.0.1:104", "A\\B@127.0.0.1:104", "A@127.0.0.1:²"])
def test_an_address_that_cannot_be_is_wrong_use(run, tmp_path, verb, wrong):
    arguments = [verb, wrong, *([tmp_path] if verb == "send" else [])]
    status, _, err = run(*arguments)
    assert (status, "DN-9004" in err) == (2, True)
    good = [verb, "A@127.0.0.1:1", "--calling-ae", "B" * 17, *([tmp_path] if verb == "send" else [])]
    assert run(*good)[0] == 2


def test_what_cannot_be_written_is_told_as_such(run, tmp_path):
    status, _, err = run("init", "--config", tmp_path / "none" / "dicomnode.toml")
    assert (status, "DN-9008" in err) == (1, True)
    (tmp_path / "file").write_text("")
    status, _, err = run("try", tmp_path, "--out", tmp_path / "file")
    assert (status, "DN-9008" in err) == (1, True)


def test_send_to_nobody_is_unreachable_and_counts_nothing_as_sent(run, small_phantom):
    status, out, err = run("send", "ARCHIVE@127.0.0.1:1", small_phantom.folder / "dicom")
    assert (status, out) == (13, "")
    assert "DN-2001" in err
    assert not re.search(r"stored: [1-9]", err)


def test_wrong_use_with_json_is_an_object_on_stdout_too(run):
    status, out, _ = run("why", "--json")
    document = json.loads(out)
    assert (status, document["schema"], document["error"]["code"]) == (2, 1, "DN-9004")


def test_ctrl_c_while_it_loads_ends_without_a_traceback():
    code = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'dicomnode.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "import runpy\n"
        "runpy.run_module('dicomnode', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
