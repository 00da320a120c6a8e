"""The engines of a worker: loaded once, let go where room is needed, and what is said of those that fail."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest

from dicomnode.faults import (
    DEVICE_OUT,
    ENGINE_LEFT_OUT,
    PLAN_AWAITED,
    RUNTIME_REFUSED,
    NodeError,
)
from dicomnode.serve.analysing import engines as engines_room
from dicomnode.serve.analysing.engines import Engines
from dicomnode.serve.process.place import DEVICE_BROKE, Place
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings, StoreSettings
from tests.wire.plain_engines import mean_engine

GPU = Place(device="NVIDIA H200 (GPU-0)", visible="GPU-0")


@pytest.fixture
def settings(tmp_path) -> Settings:
    names = ("first", "second", "third")
    return Settings(
        store=StoreSettings(path=tmp_path / "state"),
        analyse=AnalyseSettings(runtime="onnxruntime"),
        engine=tuple(EngineSettings(name=name, path=mean_engine(tmp_path / name)) for name in names),
    )


@pytest.fixture
def engines(settings):
    engines = Engines(settings, Place())
    yield engines
    engines.close()


def refused(engines: Engines, name: str) -> NodeError:
    with pytest.raises(NodeError) as caught:
        engines.get(name)
    return caught.value


def test_an_engine_is_loaded_once(engines, logged):
    first = engines.get("first")
    sessions = dict(first._sessions)
    assert engines.get("first") is first
    assert first._sessions == sessions
    assert [line["engine"] for line in logged if line["event"] == "engine.ready"] == ["first"]


def test_room_is_made_by_letting_go_of_what_was_used_longest_ago(engines, logged):
    engines.load(engines.wanted())
    engines.get("first")  # a study wants it: it is at work now
    assert engines.make_room(1)
    assert [line["engine"] for line in logged if line["event"] == "engine.evicted"] == ["second"]
    assert engines.make_room(1 << 30)
    assert not engines.make_room(1 << 30), "what is at work stays"
    assert len(engines) == 1
    assert engines.get("second").package.manifest.name == "second"


def test_room_for_an_engine_that_is_loaded_is_made_by_all_others(engines, logged, monkeypatch):
    """None is at work then; and an engine is not passed over to the CPU while others hold the device."""
    engines.load(["first", "second"])
    inner, asked = engines_room.Analyst, []

    def analyst(*given, make_room, **more):
        asked.extend(make_room(1 << 30) for _ in range(2))
        return inner(*given, make_room=make_room, **more)

    monkeypatch.setattr(engines_room, "Analyst", analyst)
    engines.get("third")
    assert asked == [True, False]
    assert [line["engine"] for line in logged if line["event"] == "engine.evicted"] == ["first", "second"]
    assert [one.name for one in engines.manifests] == ["third"]


def test_an_engine_is_loaded_anew_for_a_plan(engines):
    before = engines.get("first")
    engines.reload("first")
    assert engines.get("first") is not before


def test_one_that_fails_is_told_and_the_others_are_loaded(settings, logged, tmp_path):
    gone = EngineSettings(name="gone", path=tmp_path / "nowhere")
    engines = Engines(replace(settings, engine=(gone, *settings.engine[:1])), Place())
    engines.load(engines.wanted())
    assert len(engines) == 1
    engines.close()
    assert [line["engine"] for line in logged if line["event"] == "engine.failed"] == ["gone"]


def test_what_nobody_foresaw_leaves_out_one_engine_and_not_the_worker(engines, monkeypatch, logged):
    def fail(*_: object) -> None:
        raise MemoryError("Doe^Jane")

    monkeypatch.setattr(engines_room, "configured_engine", fail)
    engines.load(["first"])
    (line,) = [line for line in logged if line["event"] == "engine.failed"]
    assert "MemoryError" in line["text"]
    assert "Doe" not in line["text"]


def test_the_supervisor_is_told_before_an_engine_is_loaded_and_after(settings):
    said = []
    engines = Engines(settings, Place(), lambda: said.append(engines.loading and engines.loading[0]))
    engines.get("first")
    engines.close()
    assert said == ["first", None]


def test_engines_that_ended_a_process_are_loaded_last(settings):
    engines = Engines(settings, Place(lost={"first": 2, "second": 1}))
    assert engines.wanted() == ["third", "second", "first"]


def test_an_engine_that_ended_three_processes_is_left_out(settings):
    error = refused(Engines(settings, Place(lost={"first": 3})), "first")
    assert error.fault is ENGINE_LEFT_OUT
    assert "3 processes" in str(error)


def test_an_engine_that_ended_two_processes_on_a_gpu_is_loaded_without_it_where_that_may_be(settings):
    suspect = replace(GPU, lost={"first": 2})
    engines = Engines(settings, suspect)
    assert refused(engines, "first").fault is ENGINE_LEFT_OUT  # it is to run on one runtime only
    auto = replace(settings, analyse=AnalyseSettings())
    assert Engines(auto, suspect)._wish("first").plans is None
    assert Engines(auto, suspect)._wish("second").plans is not None


@pytest.fixture
def no_runtime(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise NodeError(RUNTIME_REFUSED, engine="first", runtime="tensorrt", reasons="no plan")

    monkeypatch.setattr(engines_room, "Analyst", fail)


@pytest.mark.parametrize(
    ("place", "awaited", "fault", "word"),
    [
        (GPU, "building plan for first 40 %", PLAN_AWAITED, "building plan for first 40 %"),
        (Place(visible="", without="NVIDIA H200 (GPU-0)"), "", DEVICE_OUT, "NVIDIA H200 (GPU-0)"),
        (GPU, "", RUNTIME_REFUSED, "no plan"),
    ],
    ids=["a plan", "a device", "nothing that will come"],
)
def test_what_an_engine_without_a_runtime_waits_for_is_said(
    settings, no_runtime, place, awaited, fault, word
):
    error = refused(Engines(settings, place, awaited=lambda _: awaited), "first")
    assert error.fault is fault
    assert word in str(error)


BROKEN = textwrap.dedent("""
    from dicomnode.faults import CUDA_BROKEN, CUDA_MEMORY, NodeError
    from dicomnode.serve.analysing.engines import end_if_broken
    facts = {"device": "G", "doing": "copying", "error": "illegal address"}
    end_if_broken(NodeError(CUDA_MEMORY, used_mb=1, free_mb=1, **facts), engine="a")
    print("alive", flush=True)
    try:
        end_if_broken(NodeError(CUDA_BROKEN, **facts), engine="a")
    finally:
        print("tidied up", flush=True)
""")


def test_a_process_whose_device_broke_ends_at_once_and_one_without_memory_does_not():
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, check=False)
    assert done.returncode == DEVICE_BROKE
    lines = done.stdout.splitlines()
    assert lines[0] == "alive"
    assert "tidied up" not in lines
    assert "DN-4162" in done.stdout + done.stderr
