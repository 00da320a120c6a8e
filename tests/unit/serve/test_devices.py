"""Which devices workers are started for."""

from __future__ import annotations

import threading

import pytest

from dicomnode.device import Device
from dicomnode.device import cuda as cuda_room
from dicomnode.engine.runtimes.tensorrt import flavours
from dicomnode.serve.process import devices as room
from dicomnode.serve.process.devices import Survey, may_use_gpus
from dicomnode.serve.process.place import Place
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings

DEVICES = tuple(
    Device(name="NVIDIA H200", kind="cuda", threads=1, index=n, uuid=f"GPU-{n}", compute_capability=(9, 0))
    for n in range(2)
)


def settings(runtime: str = "auto", *engines: EngineSettings, devices: str = "auto") -> Settings:
    analyse = AnalyseSettings(runtime=runtime, devices=tuple(devices.split()))
    return Settings(analyse=analyse, engine=engines or (EngineSettings(name="lung-ct"),))


@pytest.fixture
def installed(monkeypatch):
    """PyCUDA and TensorRT are found, and the driver says that there are two GPUs."""
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(flavours, "installed", lambda flavour: flavour.name == "tensorrt")
    monkeypatch.setattr(cuda_room, "probe_cuda", lambda: DEVICES)


def places(wanted: Settings) -> tuple[Place, ...]:
    survey = Survey(wanted)
    survey.places()
    if survey._thread is not None:
        survey._thread.join()
    found = survey.places()
    assert found is not None
    return found


def test_without_pycuda_there_is_one_worker_for_the_cpu_and_nobody_is_asked(monkeypatch):
    monkeypatch.setattr(room.importlib.util, "find_spec", lambda _: None)
    assert Survey(settings()).places() == (Place(),)


def test_every_gpu_gets_a_worker(installed):
    found = places(settings())
    assert [(place.number, place.workers, place.visible) for place in found] == [
        (0, 2, "GPU-0"),
        (1, 2, "GPU-1"),
    ]
    assert found[0].device == "NVIDIA H200 (GPU-0)"


def test_without_a_device_the_cpu_serves_and_the_log_says_why(installed, monkeypatch, logged):
    monkeypatch.setattr(cuda_room, "probe_cuda", lambda: "there is no NVIDIA driver")
    assert places(settings()) == (Place(),)
    (line,) = [line for line in logged if line["event"] == "device.none"]
    assert "there is no NVIDIA driver" in line["text"]


def test_what_is_named_is_taken_as_it_is(installed):
    found = places(settings(devices="MIG-7 cpu"))
    assert [(place.visible, place.workers) for place in found] == [("MIG-7", 2), ("", 2)]


def test_a_driver_that_never_answers_keeps_only_the_workers_waiting(installed, monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(cuda_room, "probe_cuda", lambda: answered.wait(30) and DEVICES)
    survey = Survey(settings())
    assert survey.places() is None
    assert survey.places() is None
    answered.set()
    survey._thread.join()
    assert len(survey.places()) == 2


CPU = EngineSettings(name="a", runtime="openvino")


@pytest.mark.parametrize(
    ("wanted", "may"),
    [
        (settings(), True),
        (settings("tensorrt-rtx"), True),
        (settings("onnxruntime"), False),
        (settings("onnxruntime", EngineSettings(name="a", runtime="tensorrt")), True),
        (settings("auto", CPU), False),
        (settings("onnxruntime", EngineSettings(name="a", runtime="openvino", fallback=True)), True),
        (settings("auto", EngineSettings(name="a", mode="off")), False),
    ],
    ids=["auto", "named", "cpu", "of one engine", "of no engine", "others allowed", "off"],
)
def test_gpus_are_of_use_where_an_engine_may_run_on_one(installed, wanted, may):
    assert may_use_gpus(wanted) is may


def test_gpus_are_of_no_use_without_a_runtime_for_them(installed, monkeypatch):
    monkeypatch.setattr(flavours, "installed", lambda _: False)
    assert not may_use_gpus(settings())
    assert places(settings()) == (Place(),)
