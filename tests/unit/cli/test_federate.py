"""`dicomnode federate`: what is refused before anybody is waited for."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.test_commands import run  # noqa: F401  fixtures

SERVER = ["federate", "server", "--sites", "2"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--address", "0.0.0.0:8470"], "DN-7260"),
        (["--address", "hospital.example:8470"], "DN-7260"),
        (["--address", "127.0.0.1"], "DN-9004"),
        (["--address", "127.0.0.1:99999"], "DN-9004"),
        (["--tls-root", "root.pem"], "DN-9004"),
        (["--learning-rate", "0"], "DN-9004"),
    ],
)
def test_a_server_in_the_open_or_a_wrong_use_is_refused(run, tmp_path, more, code):  # noqa: F811
    status, out, _ = run(*SERVER, "--out", tmp_path / "weights.npz", "--json", *more)
    assert (status, json.loads(out)["error"]["code"]) == (2, code)


def test_a_client_sends_no_weights_to_another_machine_without_encryption(run, tmp_path):  # noqa: F811
    (tmp_path / "recipe.toml").write_text("")
    arguments = ["--data", tmp_path, "--recipe", tmp_path / "recipe.toml", "--structure", "liver"]
    status, out, _ = run(
        "federate", "client", "--server", "10.1.2.3:8470", *arguments, "--out", tmp_path / "x", "--json"
    )
    assert (status, json.loads(out)["error"]["code"]) == (2, "DN-7260")


@pytest.mark.parametrize("verb", ["server", "client"])
def test_the_help_ends_with_the_exit_statuses(run, verb):  # noqa: F811
    status, out, _ = run("federate", verb, "--help")
    assert status == 0
    assert "EXIT STATUS: 0 " in " ".join(out.split())
