"""A real Flower server and two sites in processes of their own, on the loopback, by the command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicomnode.faults import NodeError
from dicomnode.learn.federate import require_flower
from tests.fixtures.frameworks import needed
from tests.unit.learn.federate.plain_sites import free_port
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


ROOT = Path(__file__).parents[4]
FLOWER = ROOT / "build/federated/bin/python"
ROUNDS = 3
# Python's own connections are told of; gRPC's go where the options say
COMMAND = """
import os, sys
def heard(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
        os.write(2, f"HEARD {event} {arguments[-1] if event == 'socket.connect' else arguments}\\n".encode())
sys.addaudithook(heard)
from dicomnode.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def flower() -> Path:
    """The Python of the environment that has Flower."""
    if not FLOWER.exists():
        assert os.environ.get("CI") != "true", "scripts/federated.sh was not run"
        pytest.skip("Flower is not installed: scripts/federated.sh does it")
    return FLOWER


@pytest.fixture
def begin(flower, tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `dicomnode federate` in a process of its own; whatever still runs at the end is ended."""
    begun: list[subprocess.Popen[str]] = []
    (tmp_path / "home").mkdir()

    def start(*arguments: object) -> subprocess.Popen[str]:
        begun.append(
            subprocess.Popen(
                [flower, "-c", COMMAND, "federate", *map(str, arguments), "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "HOME": str(tmp_path / "home")},
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[dict, str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err + out
    return json.loads(out), err


@pytest.mark.parametrize("which", ["not long", pytest.param("long", marks=pytest.mark.long)])
def test_the_tests_of_the_wire_pass_where_flower_is_installed(flower, tmp_path, which):
    command = [flower, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-W", "ignore::DeprecationWarning"]  # of typer 0.20 with click 8.5
    files = sorted(map(str, Path(__file__).parent.glob("wire/wire_*.py")))
    done = subprocess.run(
        [*command, "-m", which, f"--basetemp={tmp_path}/wire", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-5000:]
    assert " passed" in done.stdout


def studies(folder: Path) -> None:
    from tests.unit.learn.train.small_data import write_study

    (folder / "recipe.toml").write_text(RECIPE)
    for name, seeds in (("north", range(5)), ("south", range(5, 11))):
        for seed in seeds:
            write_study(folder / name, seed)


def client(folder: Path, name: str, address: str, *more: object) -> tuple[object, ...]:
    return (
        *("client", "--server", address, "--data", folder / name, "--structure", "liver"),
        *("--recipe", folder / "recipe.toml", "--out", folder / "engines" / f"liver-{name}"),
        *("--threads", 1, "--device", "cpu", "--wait", 120, *more),
    )


def require_one_engine_each(folder: Path, told: list[dict], led: dict) -> None:
    assert [one["round"] for one in led["rounds"]] == [1, 2, 3]
    assert all(len(one["rounds"]) == ROUNDS for one in told)
    made = [_weights(folder / "engines" / f"liver-{name}") for name in ("north", "south")]
    with np.load(folder / "weights.npz", allow_pickle=False) as common:
        for weights in made:
            assert sorted(weights) == sorted(common.files)
            assert all((weights[name] == common[name]).all() for name in common.files)
    assert led["rounds"][-1]["loss"] < led["rounds"][0]["loss"]


def test_two_sites_train_one_network_and_only_what_is_said_leaves_them(tmp_path, begin):
    needed("torch")
    needed("monai")
    studies(tmp_path)
    address = f"127.0.0.1:{free_port()}"
    server = begin(
        "server", "--sites", 2, "--rounds", ROUNDS, "--address", address, "--out", tmp_path / "weights.npz"
    )
    with listening_in(int(address.rpartition(":")[2])) as (port, heard):
        sites = [
            begin(*client(tmp_path, "north", f"127.0.0.1:{port}")),
            begin(*client(tmp_path, "south", address)),
        ]
        told = [ended(one) for one in sites]
    led, said = ended(server)
    require_one_engine_each(tmp_path, [one for one, _ in told], led)
    sent = bytes(heard)
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as common:
        weights = sum(common[name].nbytes for name in common.files)
    # The weights to begin with, those of each round, and little beside
    assert ROUNDS * weights < len(sent) < (ROUNDS + 1) * weights * 1.1 + 30_000
    for secret in secrets_of(tmp_path / "north"):
        assert secret not in sent, secret
    connections = [line for _, err in [*told, (led, said)] for line in err.splitlines() if "HEARD" in line]
    assert all("127.0.0.1" in line for line in connections), connections
    assert not (tmp_path / "home" / ".flwr").exists()  # where Flower keeps who it counts


@pytest.mark.long
def test_two_sites_train_one_network_by_gradients_over_tls_with_certificates_of_their_own(tmp_path, begin):
    needed("torch")
    needed("monai")
    studies(tmp_path)
    authority = Authority(tmp_path / "certificates")
    root = ("--tls-root", authority.pair.certificate)

    def shown(name: str) -> tuple[object, ...]:
        pair = authority.issue(name)
        return (*root, "--tls-certificate", pair.certificate, "--tls-key", pair.key)

    address = f"127.0.0.1:{free_port()}"
    server = begin(
        *("server", "--sites", 2, "--rounds", ROUNDS, "--address", address, "--method", "fedsgd"),
        *("--learning-rate", 0.1, "--out", tmp_path / "weights.npz", *shown("server")),
    )
    sites = [begin(*client(tmp_path, name, address, *shown(name))) for name in ("north", "south")]
    told = [ended(one)[0] for one in sites]
    require_one_engine_each(tmp_path, told, ended(server)[0])


@contextmanager
def listening_in(to_port: int) -> Iterator[tuple[int, bytearray]]:
    """A port of this machine before another, and all bytes that were sent to it, not those that came back."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def passes(source: socket.socket, target: socket.socket, into: bytearray) -> None:
            with suppress(OSError):
                while content := source.recv(65536):
                    into += content
                    target.sendall(content)
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)

        def serve(asking: socket.socket) -> None:
            with asking, suppress(OSError), socket.create_connection(("127.0.0.1", to_port), 20) as server:
                server.settimeout(None)
                back = threading.Thread(target=passes, args=(server, asking, bytearray()), daemon=True)
                back.start()
                passes(asking, server, heard)
                back.join(20)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    serving.append(threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True))
                    serving[-1].start()

        serving: list[threading.Thread] = []
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
        for thread in serving:
            thread.join(20)


def secrets_of(folder: Path) -> set[bytes]:
    """All that a site's studies say of anybody, names of files and of the machine, and rows of pixels."""
    found: set[bytes] = {socket.gethostname().encode(), str(folder).encode(), folder.name.encode(), b"liver"}
    for path in folder.rglob("*.dcm"):
        found.add(path.name.encode())
        image = pydicom.dcmread(path)
        for element in image.iterall():
            if element.VR in {"PN", "LO", "SH", "UI", "DA", "TM", "ST", "LT"} and len(str(element.value)) > 5:
                found.add(str(element.value).encode())
        if "PixelData" in image and image.BitsAllocated == 16:
            row = image.Columns * 2
            found.update(image.PixelData[at : at + row] for at in range(0, len(image.PixelData), row))
    assert len(found) > 50
    return found


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
