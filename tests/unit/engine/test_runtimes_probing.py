"""Probing in a child: whatever happens to the child, this process gets an answer."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from importlib import metadata

import pytest

from dicomnode.device import Device, cpu_device
from dicomnode.engine.runtimes import Capability, Reason, probing
from dicomnode.engine.runtimes.openvino import OpenVino
from dicomnode.engine.runtimes.probing import ask_child, probe, probe_in_child

GPU = Capability(
    "fast",
    "11.4",
    Device(name="GPU", kind="cuda", threads=1, uuid="GPU-1", compute_capability=(9, 0), driver="580.1"),
    ("fp32", "fp16"),
)


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def says(text: str) -> list[str]:
    return child(f"print({text!r})")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (child("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), "(SIGSEGV)"),
        (child("import os; os.abort()"), "(SIGABRT)"),
        (child("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)"), "(signal 37)"),
        (child("raise SystemExit(3)"), "exit status 3"),
        (child(""), "gave no answer"),
        (says("not JSON"), "gave no answer"),
        (says("[]"), "gave no answer"),
        (says('{"runtime": "fast"}'), "gave no answer"),
        (says(json.dumps({**asdict(GPU), "runtime": "other"})), "gave no answer"),
        (says(json.dumps({**asdict(GPU), "device": {"name": "GPU"}})), "gave no answer"),
        (["/nowhere/python"], "could not be tried: No such file"),
        (says('{"reason": "there is no driver"}'), "there is no driver"),
    ],
    ids=[
        "segmentation fault",
        "abort",
        "signal without a name",
        "exit",
        "silence",
        "nonsense",
        "other JSON",
        "half an answer",
        "answer of another",
        "half a device",
        "no child",
        "reason",
    ],
)
def test_whatever_the_child_does_is_a_reason(command, said):
    answer = ask_child("fast", command, 60.0)
    assert isinstance(answer, Reason)
    assert answer.runtime == "fast"
    assert answer.installed
    assert said in answer.text


def test_a_child_that_hangs_is_ended():
    answer = ask_child("fast", child("import signal; signal.pause()"), 0.2)
    assert answer == Reason("fast", "it did not answer within 0.2 s when it was tried")


@pytest.mark.parametrize("capability", [GPU, replace(GPU, device=cpu_device(1))], ids=["gpu", "cpu"])
def test_an_answer_comes_back_whole(capability):
    assert ask_child("fast", says(json.dumps(asdict(capability))), 60.0) == capability


def test_the_real_child_tries_the_runtime_of_that_name_and_nothing_it_prints_is_in_the_way():
    command = [sys.executable, "-m", "dicomnode.engine.runtimes.probing", "openvino"]
    answer = ask_child("openvino", command, 60.0)
    assert isinstance(answer, Capability), answer
    assert (answer.runtime, answer.precisions) == ("openvino", ("fp32",))
    assert answer.version == metadata.version("openvino")


def test_a_library_that_is_missing_costs_no_child(monkeypatch):
    class Missing(OpenVino):
        library = "a_library_that_nobody_has"

    monkeypatch.setattr(probing, "ask_child", lambda *_: pytest.fail("a child was started"))
    assert Missing().probe(1) == Reason("openvino", "it is not installed", installed=False)


@pytest.fixture
def asked(monkeypatch):
    """Count the children; each answers with a CPU of 64 threads."""
    asked: list[str] = []

    def answer(name, command, limit_s):
        asked.append(name)
        device = Device(name=cpu_device().name, kind="cpu", threads=64)
        return Capability(name, "1.0", device, ("fp32",))

    monkeypatch.setattr(probing, "ask_child", answer)
    probing._found.clear()
    yield asked
    probing._found.clear()


def test_a_process_asks_once_and_threads_are_those_of_the_asker(asked):
    first, second = probe_in_child(OpenVino(), 1), probe_in_child(OpenVino(), 2)
    assert asked == ["openvino"]
    assert (first.device, second.device) == (cpu_device(1), cpu_device(2))


def test_a_failure_is_asked_again(asked, monkeypatch):
    """At a cold start a library may be too slow: that is not so for the life of the process."""
    answer = probing.ask_child
    monkeypatch.setattr(probing, "ask_child", lambda name, *_: Reason(name, "it did not answer"))
    assert isinstance(probe_in_child(OpenVino(), 1), Reason)
    monkeypatch.setattr(probing, "ask_child", answer)
    assert isinstance(probe_in_child(OpenVino(), 1), Capability)


def test_with_a_state_folder_the_next_process_does_not_ask(asked, tmp_path):
    first = probe(OpenVino(), 1, tmp_path)
    probing._found.clear()  # as in another process
    assert probe(OpenVino(), 1, tmp_path) == first
    assert asked == ["openvino"]


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: {**kept, "here": {**kept["here"], "version": "0.1"}},
        lambda kept: {**kept, "here": {**kept["here"], "cpu": "another"}},
        lambda kept: {**kept, "schema": 0},
        lambda kept: {**kept, "answer": {}},
        lambda kept: [],
    ],
    ids=["version", "cpu", "schema", "answer", "no table"],
)
def test_a_kept_answer_holds_only_for_what_it_was_given_for(asked, tmp_path, change):
    probe(OpenVino(), 1, tmp_path)
    path = tmp_path / "probes" / "openvino.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    probing._found.clear()
    probe(OpenVino(), 1, tmp_path)
    assert asked == ["openvino", "openvino"]


class Elsewhere(OpenVino):
    """A runtime that answers as it is told."""

    def __init__(self, answer):
        self._answer = answer

    def probe(self, threads=0):
        return self._answer


@pytest.mark.parametrize("answer", [GPU, Reason("openvino", "there is no driver")], ids=["gpu", "reason"])
def test_what_may_change_tomorrow_is_not_kept(tmp_path, answer):
    assert probe(Elsewhere(answer), 1, tmp_path) == answer
    assert not (tmp_path / "probes").exists()


def test_a_state_folder_that_cannot_be_written_stops_nothing(asked, tmp_path):
    (tmp_path / "probes").write_text("in the way")
    assert isinstance(probe(OpenVino(), 1, tmp_path), Capability)
