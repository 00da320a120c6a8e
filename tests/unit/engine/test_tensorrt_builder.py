"""A plan on its whole way without a GPU: ordered, built by TensorRT-RTX in a child, kept, made ready."""

from __future__ import annotations

import hashlib

import pytest

from dicomnode.engine.plans import Following, PlanCache, PlanKey, PlanOrder, ensure_plan
from dicomnode.engine.runtimes.tensorrt import BuildOptions, InputRange, ready_plan
from dicomnode.engine.runtimes.tensorrt.builder import build
from dicomnode.engine.runtimes.tensorrt.options import options_of
from dicomnode.faults import PLAN_NOT_BUILT, PLAN_REFUSED, RUNTIME_MISSING, NodeError
from tests.fixtures.tensorrt.fetched import environment
from tests.unit.engine.small_engine import network

RANGE = InputRange(name="x", smallest=(1, 1, 2, 2, 2), best=(1, 1, 8, 8, 8), largest=(1, 1, 16, 16, 16))
OPTIONS = BuildOptions(profiles=((RANGE,),), tf32=True, workspace_bytes=1 << 28, optimisation_level=2)


@pytest.fixture
def cache(tmp_path):
    return PlanCache(tmp_path / "plans")


def order(content=None, flavour="tensorrt-rtx", options=OPTIONS):
    content = network().SerializeToString() if content is None else content
    key = PlanKey(
        engine="small 0.1.0",
        network="net.onnx",
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        precision="fp32",
        flavour=flavour,
        version="1.7.1.116",
        options=options.material(),
    )
    return PlanOrder(key=key, content=content, builder=f"{build.__module__}:{build.__name__}")


def child_finds(monkeypatch, folder):
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)


def test_options_come_back_from_the_key_that_they_went_into():
    assert options_of(order().key.options) == OPTIONS
    with pytest.raises(ValueError, match="no options of a build"):
        options_of({"tf32": True})


def test_a_plan_is_built_in_a_child_and_ready_for_a_session(monkeypatch, cache):
    child_finds(monkeypatch, "rtx")
    seen = []
    plan = ensure_plan(cache, order(), Following(watch=seen.append))
    assert len(plan.content) > 10_000
    assert (seen[-1].phase, seen[-1].part) == ("done", 1.0)
    assert "network tensors" in cache.log_path(plan.key).read_text(encoding="utf-8")
    held = cache.use(plan.key)
    assert held is not None
    ready = ready_plan(held)
    assert (ready.content, ready.key, ready.precision, ready.tf32) == (
        plan.content,
        plan.key.digest,
        "fp32",
        True,
    )
    ready.release()


def test_a_network_that_is_refused_is_the_same_row_in_the_parent(monkeypatch, cache):
    child_finds(monkeypatch, "rtx")
    with pytest.raises(NodeError) as caught:
        ensure_plan(cache, order(options=BuildOptions()))
    assert caught.value.fault is PLAN_REFUSED
    assert "lengths of x may vary, and no profile says how far" in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "row", "said"),
    [
        ("11", PLAN_NOT_BUILT, "there is no NVIDIA driver"),
        (None, RUNTIME_MISSING, "TensorRT is not installed"),
    ],
    ids=["no driver", "not installed"],
)
def test_where_tensorrt_cannot_build_that_is_said_and_nothing_crashes(monkeypatch, cache, folder, row, said):
    child_finds(monkeypatch, folder)
    with pytest.raises(NodeError) as caught:
        ensure_plan(cache, order(flavour="tensorrt"))
    assert caught.value.fault is row
    assert said in str(caught.value)
