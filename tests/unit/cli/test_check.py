"""`dicomnode check`: what the machine would not let a right configuration do."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest
from onnx import TensorProto

from tests.unit.analyse.forms import CT, LESION, ONE, engine, node, onnx_bytes, step
from tests.unit.cli.test_commands import config as usual  # noqa: F401  a fixture
from tests.unit.cli.test_commands import run, with_mean  # noqa: F401  a fixture

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which root alone can")


@pytest.fixture
def config(usual):  # noqa: F811
    return with_mean(usual)


@pytest.fixture
def checked(run, config):  # noqa: F811
    """Check the configuration; give the exit status, the problems by key, and the notes."""

    def call(*arguments: str) -> tuple[int, dict[str, dict], list[str]]:
        status, out, _ = run("check", "--config", config, *arguments, "--json")
        document = json.loads(out)
        return status, {one["key"]: one for one in document["problems"]}, document["notes"]

    return call


def say(config: Path, before: str, after: str) -> None:
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))


def test_a_disk_with_less_than_the_reserve_is_a_problem_with_both_figures(checked, config):
    say(config, "[store]\n", "[store]\nreserve_gb = 1e9\n")
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"store.reserve_gb"})
    problem = problems["store.reserve_gb"]
    assert problem["value"] == "1000000000.0"
    assert "GB" in problem["expected"]
    assert str(config.parent / "store") in problem["expected"]
    assert "DN-1001" in problem["hint"]


def test_a_runtime_that_is_named_and_missing_is_a_problem_with_how_to_get_it(checked, config):
    say(config, "[store]\n", '[analyse]\nruntime = "tensorrt-rtx"\n[store]\n')
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"analyse.runtime"})
    assert problems["analyse.runtime"]["value"] == "tensorrt-rtx"
    assert "pip install" in problems["analyse.runtime"]["hint"]
    assert problems["analyse.runtime"]["line"] is not None


def test_a_runtime_that_an_engine_names_is_tried_and_that_of_analyse_only_where_it_counts(
    checked,
    config,
):
    say(config, "[store]\n", '[analyse]\nruntime = "tensorrt"\n[store]\n')
    say(config, 'name = "mean"\n', 'name = "mean"\nruntime = "openvino"\n')
    assert checked()[:2] == (0, {})
    say(config, 'runtime = "openvino"', 'runtime = "tensorrt-rtx"')
    assert set(checked()[1]) == {"engine[1].runtime"}


def test_with_a_fallback_a_missing_runtime_is_a_note(checked, config):
    say(config, "[store]\n", '[analyse]\nruntime = "tensorrt"\nfallback = true\n[store]\n')
    status, problems, notes = checked()
    assert (status, problems) == (0, {})
    assert any("tensorrt does not work on this machine" in note for note in notes)


def test_an_inference_server_is_asked_only_with_probe(checked, config):
    triton = '[analyse]\nruntime = "triton"\n[analyse.triton]\nurl = "http://127.0.0.1:1"\n[store]\n'
    say(config, "[store]\n", triton)
    status, problems, notes = checked()
    assert (status, problems) == (0, {})
    assert any("--probe" in note for note in notes)
    assert set(checked("--probe")[1]) == {"analyse.runtime"}


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_plans_that_others_may_reach_are_a_problem(checked, config, mode):
    plans = config.parent / "store" / "plans"
    plans.mkdir()
    plans.chmod(0o700)
    assert checked()[:2] == (0, {})
    plans.chmod(mode)
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"store.plans"})
    assert f"{mode:04o}" in problems["store.plans"]["hint"]


def test_acceptance_records_that_others_may_write_are_a_problem(checked, config):
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
def test_root_looks_at_private_folders_as_the_user_whose_the_store_is(checked, config, request, name, key):
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


def test_check_leaves_nothing_behind(checked, config):
    say(config, "[store]\n", '[analyse]\nruntime = "openvino"\n[store]\n')
    assert checked()[0] == 0
    assert list((config.parent / "store").iterdir()) == []


@pytest.fixture
def with_priors(config, tmp_path):
    """The configuration, with an engine that asks for an earlier study."""
    folder = tmp_path / "growth"
    networks = {"net.onnx": onnx_bytes([node("Sub", ["a", "b"], ["y"])], *_TENSORS)}
    keys = 'inputs = { a = ["ct"], b = ["before"] }\ninterpret = "map"'
    body = step(keys=keys, gate="shapes = { a = [1, 1, 8, 8, 8], b = [1, 1, 8, 8, 8] }")
    body += f'[[output]]\nmap = "difference"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
    engine(folder, body, networks, CT + _BEFORE)
    mean = f'name = "mean"\npath = {json.dumps(str(tmp_path / "mean"))}\n'
    say(config, mean, f'name = "growth"\npath = {json.dumps(str(folder))}\n')
    return config


_SHAPE = [1, 1, "k", "j", "i"]
_TENSORS = ([("a", _SHAPE), ("b", _SHAPE)], [("y", _SHAPE, TensorProto.FLOAT)])
_BEFORE = """
[[input]]
name = "before"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }]
register = "rigid"
[input.prior]
"""
_QUERY = '[[query]]\nname = "pacs"\nae_title = "PACS"\nhost = "10.0.0.9"\n[store]\n'


def moved(notes: list[str]) -> list[str]:
    return [note for note in notes if "C-MOVE" in note]


def test_an_archive_that_could_not_send_its_priors_is_told_with_what_to_add(checked, with_priors):
    say(with_priors, "[store]\n", _QUERY)
    status, _, notes = checked()
    assert status == 0, "it may offer C-GET"
    (note,) = moved(notes)
    assert note.startswith("query[1] (pacs)")
    assert 'ae_title = "PACS"' in note


@pytest.mark.parametrize(
    "sender",
    ['ae_title = "PACS"\n', 'ae_title = "PACS"\naddress = "10.0.0.0/24"\n'],
    ids=["from anywhere", "from its network"],
)
def test_an_archive_that_is_a_sender_may_send_its_priors(checked, with_priors, sender):
    say(with_priors, "[store]\n", f"[[sender]]\n{sender}{_QUERY}")
    assert moved(checked()[2]) == []


def test_an_archive_that_is_a_sender_from_elsewhere_is_told(checked, with_priors):
    say(with_priors, "[store]\n", f'[[sender]]\nae_title = "PACS"\naddress = "10.0.1.0/24"\n{_QUERY}')
    (note,) = moved(checked()[2])
    assert "10.0.0.9" in note


@pytest.mark.parametrize("change", ["accepts anybody", "is asked by the web", "wants no prior"])
def test_nothing_is_told_where_no_prior_comes_through_the_door(checked, with_priors, change):
    query = _QUERY
    if change == "accepts anybody":
        say(with_priors, "[receive]\n", '[receive]\nunknown_senders = "accept"\n')
    elif change == "is asked by the web":
        query = '[[query]]\nname = "pacs"\nurl = "https://pacs/dicom-web"\n[store]\n'
    else:
        say(with_priors, "[[engine]]\n", '[[engine]]\nmode = "off"\n')
    say(with_priors, "[store]\n", query)
    assert moved(checked()[2]) == []


def web_query(config: Path, *lines: str) -> None:
    text = ["[[query]]", 'name = "pacs"', 'url = "https://127.0.0.1:1/dicom-web"', "timeout_s = 2", *lines]
    config.write_text(config.read_text() + "\n" + "\n".join(text) + "\n")


def test_a_password_file_that_others_may_read_is_a_problem_that_does_not_show_it(checked, config, run):  # noqa: F811
    secret = config.parent / "pacs.password"
    secret.write_text("correct horse")
    secret.chmod(0o644)
    web_query(config, 'user = "node"', f'password = "file:{secret}"')
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"query[1].login"})
    assert "DN-2551" in problems["query[1].login"]["hint"]
    assert "0644" in problems["query[1].login"]["hint"]
    assert "correct horse" not in "".join(run("check", "--config", config)[1:])
    secret.chmod(0o600)
    assert checked()[:2] == (0, {})


def test_a_certificate_of_nobody_is_a_problem(checked, config):
    web_query(config, f'ca_file = "{config.parent / "ca.pem"}"')
    status, problems, _ = checked()
    assert (status, set(problems)) == (10, {"query[1].certificates"})
    assert str(config.parent / "ca.pem") in problems["query[1].certificates"]["hint"]


def test_a_credential_of_systemd_is_a_note(checked, config, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    web_query(config, 'token = "credential:pacs"')
    status, problems, notes = checked()
    assert (status, problems) == (0, {})
    assert any(note.startswith("query[1] (pacs): systemd gives its secret") for note in notes)


def test_a_source_that_does_not_answer_is_told_with_probe_only(checked, config, run):  # noqa: F811
    web_query(config)
    assert checked()[0] == 0
    status, out, _ = run("check", "--config", config, "--probe", "--json")
    assert status == 13
    (source,) = json.loads(out)["sources"]
    assert (source["name"], source["address"]) == ("pacs", "https://127.0.0.1:1/dicom-web")
    assert "DN-25" in source["problem"]


def test_a_sender_that_results_go_back_to_is_not_said_to_answer(run, config):  # noqa: F811
    config.write_text(config.read_text() + '\n[[destination]]\nname = "back"\nto_sender = true\n')
    _, out, _ = run("check", "--config", config, "--probe")
    said = " ".join(out.split())
    assert "was not asked: who gets it is known when a study comes" in said
    assert "answers;" not in said


def test_where_the_configuration_is_wrong_it_is_said_that_no_peer_was_asked(run, config):  # noqa: F811
    say(config, "[store]\n", "[store]\nreserve = 1\n")
    status, out, _ = run("check", "--config", config, "--probe", "--json")
    assert status == 10
    document = json.loads(out)
    assert document["destinations"] == []
    assert any("no peer was asked" in note for note in document["notes"])
    _, out, _ = run("check", "--config", config, "--json")
    assert not any("no peer was asked" in note for note in json.loads(out)["notes"])
