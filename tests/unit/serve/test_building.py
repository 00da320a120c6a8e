"""Which plans a worker has built, and what it says of them; tests/wire/test_walk_gpu.py has the builds."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dicomnode.engine import RuntimeWish
from dicomnode.engine.plans import BuildProgress, PlanCache, PlanOrder
from dicomnode.faults import PLANS_UNSAFE, NodeError
from dicomnode.serve.analysing import building as room
from dicomnode.serve.analysing.building import PlanBuilding, _wished
from dicomnode.serve.process.place import Place
from dicomnode.settings import AnalyseSettings, EngineSettings, Settings
from tests.unit.engine.plan_keys import KEY

GPU = Place(device="NVIDIA H200 (GPU-0)", visible="GPU-0")
SETTINGS = Settings(engine=(EngineSettings(name="lung-ct"), EngineSettings(name="off", mode="off")))


def order(flavour: str, precision: str) -> PlanOrder:
    key = replace(KEY, engine="lung-ct", flavour=flavour, precision=precision)
    return PlanOrder(key=key, content=b"", builder="no:builder")


ORDERS = [order(flavour, one) for flavour in ("tensorrt", "tensorrt-rtx") for one in ("fp16", "fp32")]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (RuntimeWish(), "tensorrt fp16, tensorrt fp32, tensorrt-rtx fp16, tensorrt-rtx fp32"),
        (RuntimeWish(runtime="tensorrt-rtx"), "tensorrt-rtx fp16, tensorrt-rtx fp32"),
        (RuntimeWish(precision="fp32"), "tensorrt fp32, tensorrt-rtx fp32"),
        (
            RuntimeWish(runtime="tensorrt-rtx", precision="fp32", fallback=True),
            "tensorrt-rtx fp32, tensorrt-rtx fp16, tensorrt fp32, tensorrt fp16",
        ),
        (RuntimeWish(runtime="onnxruntime"), ""),
        (RuntimeWish(runtime="openvino", fallback=True), ""),
    ],
    ids=["auto", "named", "precision", "named, others allowed", "cpu", "cpu, others allowed"],
)
def test_only_plans_that_may_serve_are_built_those_that_are_named_first(wish, expected):
    found = [f"{one.key.flavour} {one.key.precision}" for one in _wished(ORDERS, wish)]
    assert ", ".join(found) == expected


@pytest.fixture
def cache(monkeypatch, tmp_path) -> PlanCache:
    cache = PlanCache(tmp_path / "plans")
    monkeypatch.setattr(room, "open_plans", lambda _: cache)
    return cache


@pytest.fixture
def installed(monkeypatch, cache):
    monkeypatch.setattr(room, "installed", lambda flavour: flavour.name == "tensorrt")
    monkeypatch.setattr(PlanBuilding, "_run", lambda self: None)


def started(settings: Settings, place: Place) -> PlanBuilding:
    building = PlanBuilding(settings, place, threading.Event())
    building.start()
    building.join()
    return building


def test_where_no_runtime_needs_plans_there_is_no_thread(monkeypatch):
    monkeypatch.setattr(room, "installed", lambda _: False)
    building = started(SETTINGS, GPU)
    assert building._thread is None
    assert (building.words, building.awaited("lung-ct"), building.offered) == ("", "", [])


@pytest.mark.parametrize(
    ("settings", "place", "waits"),
    [
        (SETTINGS, GPU, True),
        (SETTINGS, Place(visible=""), False),
        (SETTINGS, replace(GPU, lost={"lung-ct": 2}), False),
        (replace(SETTINGS, analyse=AnalyseSettings(runtime="onnxruntime")), GPU, False),
        (replace(SETTINGS, analyse=AnalyseSettings(runtime="tensorrt-rtx")), GPU, False),
    ],
    ids=["a gpu", "no gpu", "it ended who loaded it", "the cpu is wished", "what is wished is not installed"],
)
def test_an_engine_waits_for_a_plan_where_one_may_come(installed, settings, place, waits):
    building = started(settings, place)
    assert bool(building.awaited("lung-ct")) is waits
    assert not building.awaited("off")


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (BuildProgress("parsing", None, 1.0, None), "building plan for lung-ct (tensorrt, fp16)"),
        (
            BuildProgress("tactics", 0.4, 60.0, 118.0),
            "building plan for lung-ct (tensorrt, fp16) 40%, about 2 min",
        ),
        (
            BuildProgress("tactics", 0.9, 60.0, 12.4),
            "building plan for lung-ct (tensorrt, fp16) 90%, about 12 s",
        ),
    ],
)
def test_how_far_a_build_is_can_be_read(progress, words):
    building = PlanBuilding(SETTINGS, GPU, threading.Event())
    building._watch(ORDERS[0], progress)
    assert building.words == words


def test_a_stop_ends_a_build(monkeypatch):
    building = PlanBuilding(SETTINGS, GPU, threading.Event())
    building._stopping.set()
    with pytest.raises(room._StoppedError):
        building._watch(ORDERS[0], BuildProgress("tactics", 0.1, 1.0, None))


def test_a_cache_that_cannot_be_opened_leaves_the_cpu_and_a_word(installed, monkeypatch, logged):
    def fail(_: object) -> None:
        raise NodeError(PLANS_UNSAFE, path="/p", reason="others may write there")

    monkeypatch.setattr(room, "open_plans", fail)
    building = started(SETTINGS, GPU)
    assert building.awaited("lung-ct") == ""
    assert [line["code"] for line in logged if line["event"] == "plans.failed"] == [PLANS_UNSAFE.code]


def run_and_take(building: PlanBuilding, cache: PlanCache) -> int:
    """Do what the worker does: take what is offered, and let the gate accept it; tell how often that was."""
    taken = []
    building._offered = Offered(lambda name: (taken.append(name), cache.accept(ORDERS[0].key, {})))
    assert building._serves("lung-ct", ORDERS[0], cache)
    return len(taken)


class Offered(set):
    """Takes what is offered at once."""

    def __init__(self, take) -> None:
        super().__init__()
        self._take = take

    def add(self, name: str) -> None:
        self._take(name)


def test_a_plan_that_another_worker_has_made_meanwhile_is_taken_as_well(installed, cache):
    building = started(SETTINGS, GPU)
    cache.put(ORDERS[0].key, b"plan")
    cache.accept(ORDERS[0].key, {})
    assert run_and_take(building, cache) == 1


def test_a_plan_that_served_before_the_engines_were_loaded_is_not_taken_again(installed, cache):
    cache.put(ORDERS[0].key, b"plan")
    cache.accept(ORDERS[0].key, {})
    assert run_and_take(started(SETTINGS, GPU), cache) == 0


def test_a_plan_that_was_rejected_gives_way_to_the_next(installed, cache):
    cache.put(ORDERS[0].key, b"plan")
    cache.reject(ORDERS[0].key, {})
    assert not started(SETTINGS, GPU)._serves("lung-ct", ORDERS[0], cache)


def test_what_ends_the_thread_does_not_go_unheard(monkeypatch, cache, logged):
    def fail() -> None:
        raise ValueError("Doe^Jane")

    monkeypatch.setattr(room, "installed", lambda _: True)
    monkeypatch.setattr(room, "find_compilers", fail)
    building = started(SETTINGS, GPU)
    (line,) = [line for line in logged if line["event"] == "plans.failed"]
    assert "ValueError" in line["text"]
    assert "Doe" not in line["text"]
    assert building.awaited("lung-ct") == ""
