"""The whole way with a real compiler: TensorRT-RTX builds in the child, without a GPU; the plan is kept."""

from __future__ import annotations

import os

import numpy as np
import pytest

from dicomnode.device import Device
from dicomnode.engine import find_engine
from dicomnode.engine.plans import Compiler, KeptPlans, PlanCache, ensure_plan, plan_order
from dicomnode.engine.runtimes import Capability, Network
from dicomnode.engine.runtimes.tensorrt import TENSORRT_RTX
from dicomnode.faults import PLAN_REFUSED, NodeError
from tests.fixtures.tensorrt.fetched import environment, rtx
from tests.unit.engine.test_precision import Net

# Bound to no device, as there is none here
COMPILER = Compiler(flavour=TENSORRT_RTX.name, version="1.7.1.116", device=None)
PACKAGE = find_engine("lung-ct")
STEP = PACKAGE.step("nodules")
CONTENT = PACKAGE.network_bytes(STEP)


@pytest.fixture(autouse=True)
def _child_finds_rtx(monkeypatch):
    for name, value in environment("rtx").items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def cache(tmp_path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


def order(precision: str = "fp32", content: bytes = CONTENT):
    return plan_order("lung-ct", STEP, content, precision, COMPILER)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8", "fp8"])
def test_the_shipped_network_is_built_kept_and_found_by_the_next_start(cache, precision):
    told = []
    from dicomnode.engine.plans import Following

    plan = ensure_plan(cache, order(precision), Following(watch=told.append))
    assert len(plan.content) > 500_000
    assert (told[-1].phase, told[-1].part) == ("done", 1.0)
    log = cache.log_path(plan.key).read_text()
    assert log.startswith(f"building lung-ct nodules.onnx {precision}, tensorrt-rtx\n")
    if precision != "fp32":
        conversion = plan.record.facts["conversion"]
        assert conversion["precision"] == precision
        assert len(conversion["agreement"]) == (0 if precision == "bf16" else 3)
    # As the next start finds it: another process, nothing is built
    again = PlanCache(cache.root)
    os.environ.pop("PYTHONPATH")
    assert again.find(order(precision).key) == plan
    assert ensure_plan(again, order(precision)) == plan


def test_a_flipped_byte_is_quarantined_and_the_plan_is_built_again(cache):
    first = ensure_plan(cache, order())
    path = cache.root / f"{first.key.digest}.plan"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert cache.find(order().key) is None
    second = ensure_plan(cache, order())
    assert second.record.holds(second.content)
    assert cache.find(order().key) == second


def test_a_network_that_the_parser_refuses_is_told_with_its_node(cache):
    net = Net()
    net.nodes.append(
        __import__("onnx").helper.make_node("FusedThing", ["x"], ["y"], domain="com.example", name="the_node")
    )
    model = net.model("y")
    with pytest.raises(NodeError, match="the_node") as caught:
        ensure_plan(cache, plan_order("small", STEP, model.SerializeToString(), "fp32", COMPILER))
    assert caught.value.fault is PLAN_REFUSED


def test_a_session_of_rtx_is_given_the_plan_that_was_built(cache):
    plan = ensure_plan(cache, order())
    gpu = Device(name="a GPU", kind="cuda", threads=1, memory_bytes=1 << 30, compute_capability=(8, 9))
    capability = Capability(TENSORRT_RTX.name, rtx().__version__, gpu, ("fp32",))
    network = Network(engine="lung-ct 1.0.0", file="nodules.onnx", content=CONTENT)
    assert KeptPlans(cache, (STEP,))(network, capability).content == plan.content


def test_norms_in_fp16_networks_are_built_as_fp32(cache):
    """The norm that overflows: RTX takes the network with its squares in fp32."""
    net = Net()
    x = net.conv("x")
    axes = net.constant(np.array([2, 3, 4]))
    off = net.add("Sub", x, net.add("ReduceMean", x, axes, keepdims=1))
    variance = net.add("ReduceMean", net.add("Mul", off, off), axes, keepdims=1)
    root = net.add("Sqrt", net.add("Add", variance, net.constant(np.float32(1e-5))))
    net.add("Conv", net.add("Div", off, root), net.weight(3, 4, 1, 1, 1), name="y")
    content = net.model("y").SerializeToString()
    for precision in ("fp16", "bf16"):
        assert ensure_plan(cache, order(precision, content)).content
