"""The contract of a runtime against a real Triton Inference Server on the loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from dicomnode.engine import RuntimeWish, load_package, open_session
from dicomnode.engine.runtimes import Capability, Network, Reason
from dicomnode.engine.runtimes.triton import TritonRuntime, TritonServer, model_name
from dicomnode.faults import NETWORK_FAILED, RUNTIME_REFUSED, NodeError
from tests.unit.engine.runtime_contract import HostRuntimeContract
from tests.unit.engine.small_engine import network, with_weight, write_engine
from tests.wire.node import running_node
from tests.wire.peers import free_port
from tests.wire.plain_engines import mean_engine, series
from tests.wire.test_walk import NOWHERE
from tests.wire.test_walk_gpu import analysed

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / "build" / "triton" / "bin" / "python"
START_S = 90.0

pytestmark = [pytest.mark.wire, pytest.mark.xdist_group("triton")]


@pytest.fixture(scope="module")
def server():
    """A server with the small networks that the contract loads."""
    if not PYTHON.exists():
        assert os.environ.get("CI") != "true", "scripts/triton.sh was not run"
        pytest.skip("no Triton Inference Server here: scripts/triton.sh installs one")
    folder = Path(tempfile.mkdtemp(prefix="triton-"))
    mean = mean_engine(folder / "mean").joinpath("net.onnx").read_bytes()
    files = [
        served(folder, network().SerializeToString()),
        served(folder, network("Identity").SerializeToString()),
        served(folder, with_weight(np.zeros((1, 1, 2, 2, 2), np.float32)).SerializeToString()),
        served(folder, mean, "mean 1.0.0"),
        served(folder, network("Identity").SerializeToString(), "other 0.1.0", as_if=network()),
    ]
    port = free_port()
    command = [str(PYTHON), str(ROOT / "tests/fixtures/triton/serve.py"), str(port), str(free_port()), *files]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "HOME": str(folder)}
        )
    try:
        until_ready(process, port, [Path(file).stem for file in files], folder / "log")
        yield TritonServer(url=f"http://127.0.0.1:{port}", timeout_s=30.0)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        shutil.rmtree(folder)


def served(folder: Path, content: bytes, engine: str = "small 0.1.0", as_if=None) -> str:
    """Write a network for the server; as_if: under the name of another one, as no release would."""
    named = content if as_if is None else as_if.SerializeToString()
    path = folder / f"{model_name(loadable(named, engine))}.onnx"
    path.write_bytes(content)
    return str(path)


def loadable(content: bytes, engine: str = "small 0.1.0") -> Network:
    return Network(engine=engine, file="net.onnx", content=content)


def until_ready(process: subprocess.Popen[bytes], port: int, models: list[str], log: Path) -> None:
    end = time.monotonic() + START_S
    pause = threading.Event()
    waiting = list(models)
    while waiting:
        said = log.read_text(errors="replace")[-2000:]
        assert process.poll() is None, f"the server ended: {said}"
        assert time.monotonic() < end, f"not ready within {START_S} s: {said}"
        try:
            url = f"http://127.0.0.1:{port}/v2/models/{waiting[0]}/ready"
            with urllib.request.urlopen(url, timeout=5):
                waiting.pop(0)
        except (urllib.error.URLError, OSError):
            pause.wait(0.2)


class TestTriton(HostRuntimeContract):
    """Outputs come from ONNX Runtime behind Triton: the same numbers."""

    @pytest.fixture
    def runtime(self, server):
        return TritonRuntime(server)


def test_another_version_of_a_network_is_not_what_the_server_has(server):
    runtime = TritonRuntime(server)
    capability = runtime.probe()
    with pytest.raises(NodeError) as caught:
        runtime.load(loadable(network(mask="Exp").SerializeToString()), capability)
    assert caught.value.fault is NETWORK_FAILED
    assert "no model 'small.net." in str(caught.value)


def test_a_session_may_be_used_from_another_thread(server):
    runtime = TritonRuntime(server)
    session = runtime.load(loadable(network().SerializeToString()), runtime.probe())
    x = np.ones((1, 1, 2, 2, 2), np.float32)
    got = []
    thread = threading.Thread(target=lambda: got.append(session.run({"x": x})["mask"]))
    thread.start()
    thread.join()
    assert np.array_equal(got[0], -x)
    assert np.array_equal(session.run({"x": x})["mask"], -x)
    session.close()


def test_a_thread_that_came_after_another_does_not_get_its_connections(server):
    """The number of a thread that has ended is given to the next one."""
    runtime = TritonRuntime(server)
    session = runtime.load(loadable(network().SerializeToString()), runtime.probe())
    x, used = np.ones((1, 1, 2, 2, 2), np.float32), []

    def run():
        session.run({"x": x})
        used.append(session._clients[threading.current_thread()])

    for _ in range(3):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len({id(client) for client in used}) == 3
    assert len([one for one in session._clients if not one.is_alive()]) == 1  # the last: others are closed
    session.close()


def test_what_made_the_result_is_told(server):
    runtime = TritonRuntime(server)
    session = runtime.load(loadable(network().SerializeToString()), runtime.probe())
    assert session.runtime.startswith("triton 2.")
    assert session.provenance["model"].startswith("small.net.")
    assert session.provenance["server"] == server.place
    session.close()


def test_a_server_that_is_not_there_is_a_reason():
    answer = TritonRuntime(TritonServer(url=f"http://127.0.0.1:{free_port()}")).probe()
    assert isinstance(answer, Reason)
    assert "127.0.0.1" in answer.text


def test_a_server_that_says_nothing_is_a_reason():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        answer = TritonRuntime(TritonServer(url=url)).probe()
    assert isinstance(answer, Reason)


def test_a_server_that_is_no_inference_server_is_a_reason():
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer_nonsense():
            connection, _ = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer_nonsense)
        thread.start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        answer = TritonRuntime(TritonServer(url=url)).probe()
        thread.join()
    assert isinstance(answer, Reason)


def test_a_server_that_dies_between_two_runs_is_a_failure_that_is_tried_again(server):
    runtime = TritonRuntime(server)
    capability = runtime.probe()
    assert isinstance(capability, Capability)
    session = runtime.load(loadable(network().SerializeToString()), capability)
    session._server = TritonServer(url=f"http://127.0.0.1:{free_port()}", timeout_s=2.0)
    session._clients.clear()
    with pytest.raises(NodeError) as caught:
        session.run({"x": np.ones((1, 1, 2, 2, 2), np.float32)})
    assert caught.value.fault is NETWORK_FAILED


def test_the_server_serves_an_engine_whose_numbers_agree_with_the_reference(server, tmp_path):
    package = load_package(write_engine(tmp_path / "small"))
    (tmp_path / "state").mkdir()
    wish = RuntimeWish(runtime="triton", state=tmp_path / "state", triton=server)
    session = open_session(package, "net", 1, wish)
    assert session.runtime.startswith("triton 2.")
    assert "limit" in session.provenance["accepted with"]
    session.close()
    assert len(list((tmp_path / "state").rglob("*.json"))) == 1  # the record; the server is asked each time


def test_a_server_that_computes_something_else_does_not_serve(server, tmp_path):
    """Its model has the right name, and another network behind it."""
    package = load_package(write_engine(tmp_path / "other", **{'name = "small"': 'name = "other"'}))
    with pytest.raises(NodeError) as caught:
        open_session(package, "net", 1, RuntimeWish(runtime="triton", triton=server))
    assert caught.value.fault is RUNTIME_REFUSED
    assert "does not agree with onnxruntime" in str(caught.value)


def test_a_study_is_analysed_on_the_server_and_the_result_says_so(server, tmp_path):
    engine = mean_engine(tmp_path / "mean")
    analyse = {"triton": {"url": server.url, "timeout_s": 30.0}, "runtime": "triton"}
    with running_node(tmp_path / "node", [engine], NOWHERE, analyse=analyse) as node:
        told = analysed(node, series(tmp_path / "ct", 1))
    assert told["runtime"].startswith("triton 2.")
    assert told["server"] == server.place
    assert told["model"].startswith("mean.net.")


def test_a_server_that_is_not_there_lets_the_cpu_serve_and_says_why(tmp_path):
    engine = mean_engine(tmp_path / "mean")
    away = f"127.0.0.1:{free_port()}"
    analyse = {"triton": {"url": f"http://{away}"}}
    with running_node(tmp_path / "node", [engine], NOWHERE, analyse=analyse) as node:
        told = analysed(node, series(tmp_path / "ct", 1))
    assert "CPU" in told["runtime"]
    assert away in told["why not triton"]
