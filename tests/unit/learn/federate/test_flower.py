"""A real Flower server and two sites in processes of their own, on the loopback, by the command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dicomnode.faults import NodeError
from dicomnode.learn.federate import require_flower
from tests.wire.certificates import Authority

RECIPE = """schema = 1
task = "segment"
network = "unet"
width = 8
levels = 2
batch = 2
steps = 6
epochs = 1
learning_rate = 0.01
spacing_kji_mm = [4.0, 4.0, 4.0]
patch_kji = [8, 24, 24]
scaling = "z_score"
precision = "fp32"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `dicomnode federate` in a process of its own; whatever still runs at the end is ended."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        begun.append(_begin(*arguments))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def _begin(*arguments: object) -> subprocess.Popen[str]:
    command = "import sys; from dicomnode.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", command, "federate", *map(str, arguments), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )


def ended(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err + out
    return json.loads(out)


@pytest.mark.long
@pytest.mark.parametrize(("method", "tls"), [("fedavg", False), ("fedsgd", True)])
def test_two_sites_train_one_network_and_each_makes_an_engine_of_it(tmp_path, begin, method, tls):
    pytest.importorskip("flwr")
    pytest.importorskip("monai")
    from tests.unit.learn.train.small_data import write_study

    (tmp_path / "recipe.toml").write_text(RECIPE)
    for name, seeds in (("north", range(5)), ("south", range(5, 11))):
        for seed in seeds:
            write_study(tmp_path / name, seed)
    server_tls, site_tls = _certificates(tmp_path / "certificates") if tls else ((), ())
    address = f"127.0.0.1:{free_port()}"
    rounds = 3
    server = begin(
        *("server", "--sites", 2, "--rounds", rounds, "--address", address, "--method", method),
        *("--learning-rate", 0.1, "--out", tmp_path / "weights.npz", *server_tls),
    )
    sites = [
        begin(
            *("client", "--server", address, "--data", tmp_path / name, "--structure", "liver"),
            *("--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "engines" / f"liver-{name}"),
            *("--threads", 1, "--device", "cpu", "--wait", 120, *site_tls),
        )
        for name in ("north", "south")
    ]
    told = [ended(one) for one in sites]
    led = ended(server)
    assert [one["round"] for one in led["rounds"]] == [1, 2, 3]
    assert all(len(one["rounds"]) == rounds for one in told)
    made = [_weights(tmp_path / "engines" / f"liver-{name}") for name in ("north", "south")]
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as common:
        for weights in made:
            assert sorted(weights) == sorted(common.files)
            assert all((weights[name] == common[name]).all() for name in common.files)
    assert led["rounds"][-1]["loss"] < led["rounds"][0]["loss"]


def _certificates(folder: Path) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Options of a server whose certificate a hospital's own root signed, and of its sites."""
    authority = Authority(folder)
    pair = authority.issue("server")
    root = ("--tls-root", authority.pair.certificate)
    return (*root, "--tls-certificate", pair.certificate, "--tls-key", pair.key), root


def _weights(engine: Path) -> dict[str, np.ndarray]:
    import torch

    kept = torch.load(engine / "weights.pt", map_location="cpu", weights_only=True)["state"]
    return {name: one.numpy() for name, one in kept.items()}


def test_without_flower_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr", None)
    with pytest.raises(NodeError) as raised:
        require_flower()
    assert raised.value.fault.code == "DN-7255"
    assert "pip install 'dicomnode[federated]'" in raised.value.remedy


def test_flower_is_told_to_tell_its_makers_nothing():
    code = "import os, dicomnode.learn.federate; print(os.environ['FLWR_TELEMETRY_ENABLED'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
