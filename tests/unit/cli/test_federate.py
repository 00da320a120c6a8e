"""`dicomnode federate`: what is refused before anybody is waited for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dicomnode.learn.federate import Kept, Round
from tests.unit.cli.test_commands import run  # noqa: F401  fixtures

SERVER = ["federate", "server", "--sites", "2"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--address", "0.0.0.0:8470"], "DN-7260"),
        (["--address", "hospital.example:8470"], "DN-7260"),
        (["--address", "127.0.0.1"], "DN-9004"),
        (["--address", "127.0.0.1:99999"], "DN-9004"),
        (["--address", "::1:8470"], "DN-9004"),
        (["--address", "[::1]:0"], "DN-9004"),
        (["--address", "[2001:db8::1]:8470"], "DN-7260"),
        (["--address", "127.0.0.1.example:8470"], "DN-7260"),
        (["--tls-root", "root.pem"], "DN-9004"),
        (["--tls-certificate", "server.pem"], "DN-9004"),
        (["--learning-rate", "nan"], "DN-9004"),
        (["--learning-rate", "inf"], "DN-9004"),
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


def test_rounds_that_are_there_are_neither_lost_nor_gone_on_with_by_mistake(run, tmp_path):  # noqa: F811
    kept = Kept(
        method="fedavg",
        of="abc",
        weights={"w": np.ones(2, np.float32)},
        rounds=tuple(Round(number=one, loss=0.5, score=0.5, samples=3) for one in (1, 2)),
    )
    path = tmp_path / "weights.npz.rounds"
    path.write_bytes(kept.written())
    for more, code in (
        ([], "DN-7264"),
        (["--resume", "--method", "fedsgd"], "DN-7265"),
        (["--resume", "--rounds", "1"], "DN-7265"),
    ):
        status, out, _ = run(*SERVER, "--out", tmp_path / "weights.npz", "--json", *more)
        assert (status, json.loads(out)["error"]["code"]) == (2, code)
    assert path.read_bytes() == kept.written()


@pytest.mark.parametrize("verb", ["server", "client"])
def test_the_help_ends_with_the_exit_statuses(run, verb):  # noqa: F811
    status, out, _ = run("federate", verb, "--help")
    assert status == 0
    assert "EXIT STATUS: 0 " in " ".join(out.split())
