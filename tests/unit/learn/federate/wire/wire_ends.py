"""Processes that are stopped or killed in the middle of a round."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dicomnode.learn.federate.flower_server import Lead, lead
from dicomnode.learn.federate.kept import Kept, Round, read_kept
from tests.unit.learn.federate.plain_sites import Line, free_port, points
from tests.unit.learn.federate.wire.peers import (  # noqa: F401  ended: a fixture
    SOON_S,
    ended,
    fault_of,
    taking_part,
    text_of,
)

SERVER = "import sys; from dicomnode.cli import main; main(sys.argv[1:])"
SITE = """
import os, signal
from dicomnode.learn.federate.flower_client import join
from tests.unit.learn.federate.plain_sites import Line, points

def die(number):
    os.kill(os.getpid(), signal.SIGKILL)

join(Line(points(1, 5), during=die), {address!r}, tls=None, wait_s=60, tell=print)
"""


def serving(out: Path, *more: object) -> tuple[subprocess.Popen[str], str]:
    address = f"127.0.0.1:{free_port()}"
    arguments = ("federate", "server", "--sites", 1, "--out", out, "--address", address, "--json", *more)
    command = [sys.executable, "-c", SERVER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), address


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, marks=pytest.mark.long),
    ],
)
def test_a_server_that_is_stopped_keeps_its_whole_rounds_and_goes_on_after_them(tmp_path, number):
    hold, second = threading.Event(), threading.Event()

    def during(now: int) -> None:
        if now == 2:
            second.set()
            hold.wait(SOON_S)

    out = tmp_path / "weights.npz"
    server, address = serving(out, "--rounds", 3)
    joined = taking_part(address, Line(points(1, 5), during=during))
    assert second.wait(SOON_S)
    server.send_signal(number)
    said, err = server.communicate(timeout=SOON_S)  # in the middle of a round
    assert server.returncode == (-9 if number == signal.SIGKILL else 130), said + err
    assert "Traceback" not in err
    hold.set()
    why = text_of(fault_of(joined))
    assert ("it left" if number == signal.SIGKILL else "the server was stopped") in why
    kept = read_kept(tmp_path / "weights.npz.rounds")
    assert kept is not None
    assert [one.number for one in kept.rounds] == [1]
    assert not out.exists()

    again, _ = serving(out, "--rounds", 3)
    said, _ = again.communicate(timeout=SOON_S)
    assert (again.returncode, json.loads(said)["error"]["code"]) == (2, "DN-7264")
    rest, address = serving(out, "--rounds", 3, "--resume")
    went = taking_part(address, Line(points(1, 5))).result(SOON_S)
    said, err = rest.communicate(timeout=SOON_S)
    assert rest.returncode == 0, said + err
    assert [one["round"] for one in json.loads(said)["rounds"]] == [1, 2, 3]
    with np.load(out, allow_pickle=False) as file:
        assert {name: file[name].tolist() for name in file.files} == {
            name: value.tolist() for name, value in went.weights.items()
        }
    assert not (tmp_path / "weights.npz.rounds").exists()


def test_a_site_that_is_killed_in_a_round_is_named_and_costs_that_round(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    plan = Lead(address=address, sites=2, rounds=2)
    with ThreadPoolExecutor(1) as pool:
        led = pool.submit(lead, plan, lambda kept: None, lambda came: None)
        hold = threading.Event()
        other = taking_part(address, Line(points(2, 5), during=lambda n: hold.wait(SOON_S)))
        killed = subprocess.run(
            [sys.executable, "-c", SITE.format(address=address)], capture_output=True, check=False
        )
        assert killed.returncode == -9
        assert "DN-7257 Round 1 is not whole" in text_of(fault_of(led))
        hold.set()
        assert "has left" in text_of(fault_of(other))


def test_where_only_the_last_file_is_missing_nobody_is_waited_for(tmp_path):
    done = tuple(Round(number=one, loss=0.5, score=0.5, samples=3) for one in (1, 2))
    kept = Kept(method="fedavg", of="abc", weights={"w": np.ones(2, np.float32)}, rounds=done)
    out = tmp_path / "weights.npz"
    (tmp_path / "weights.npz.rounds").write_bytes(kept.written())
    server, _ = serving(out, "--rounds", 2, "--resume")
    said, err = server.communicate(timeout=SOON_S)
    assert server.returncode == 0, said + err
    with np.load(out, allow_pickle=False) as file:
        assert file["w"].tolist() == [1.0, 1.0]
    assert not (tmp_path / "weights.npz.rounds").exists()
