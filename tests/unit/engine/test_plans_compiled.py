"""From engine.toml and a device to a plan's key, its shapes, and the plan that a session gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dicomnode.device import Device
from dicomnode.engine import find_engine
from dicomnode.engine.manifest.inputs import Feed
from dicomnode.engine.manifest.tree import Crop, GateSpec, StepSpec, Window
from dicomnode.engine.onnx_file import UnsafeNetworkError
from dicomnode.engine.plans import Compiler, KeptPlans, PlanCache, compiler_of, plan_order
from dicomnode.engine.plans.profiles import OnnxInput, onnx_inputs, profile_of
from dicomnode.engine.precision import Calibration
from dicomnode.engine.runtimes import Capability, Network, Reason
from dicomnode.engine.runtimes.tensorrt import ready_plan
from dicomnode.faults import PLAN_BUILD_FAILED, NodeError
from tests.unit.engine.plan_keys import KEY

GPU = Device(
    name="NVIDIA H200", kind="cuda", threads=1, memory_bytes=150 << 30, compute_capability=(9, 0),
    driver="580.65.06 (CUDA 13.0)",
)  # fmt: skip
COMPILER = Compiler(flavour="tensorrt", version="11.4.0.106", device=GPU, cuda_runtime="13")
CAPABILITY = Capability("tensorrt", "11.4.0.106", GPU, ("fp32", "fp16"))
GATE = GateSpec(shape=(1, 1, 32, 48, 64), low=-1, high=1)
STEP = StepSpec(network="net.onnx", sha256="0" * 64, gate=GATE, precisions=("fp32", "fp16"))


def network(shape, name: str = "x") -> bytes:
    """A network with one input of this shape: a text is a length that may vary."""
    weight = numpy_helper.from_array(np.ones(1, np.float32), "w")
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]),  # as before IR 4
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph([helper.make_node("Add", [name, "w"], ["y"])], "g", inputs, outputs, [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()


FREE = network(["n", 1, "k", "j", "i"])


def test_inputs_are_read_without_a_library_and_weights_are_none_of_them():
    assert onnx_inputs(FREE) == (OnnxInput("x", (None, 1, None, None, None)),)
    assert onnx_inputs(network([2, 1, 8, 8, 8])) == (OnnxInput("x", (2, 1, 8, 8, 8)),)
    assert onnx_inputs(network([-1, 3, None, 8])) == (OnnxInput("x", (None, 3, None, 8)),)
    (lung,) = onnx_inputs(find_engine("lung-ct").network_bytes(find_engine("lung-ct").manifest.networks[0]))
    assert lung == OnnxInput("hu", (None, 1, None, None, None))
    with pytest.raises(UnsafeNetworkError):
        onnx_inputs(b"\x3a\xff")


def with_window(*size: int, **changes: object) -> StepSpec:
    return replace(STEP, window=Window(size_kji=size), **changes)


TURNED = {"x": Feed(of=("ct",), axes="ncijk")}
FLAT = {"x": Feed(of=("ct",), axes="ncji")}
LAST = {"x": Feed(of=("ct",), axes="nkjic")}
BY_16 = Crop(of="lungs", multiple=16)


@pytest.mark.parametrize(
    ("step", "shape", "low", "best", "high"),
    [
        (
            with_window(32, 48, 64),
            ["n", 1, "k", "j", "i"],
            [1, 1, 32, 48, 64],
            [4, 1, 32, 48, 64],
            [8, 1, 32, 48, 64],
        ),
        (
            with_window(96, 96, 96),
            [1, 1, "k", "j", "i"],
            [1, 1, 32, 48, 64],
            [1, 1, 96, 96, 96],
            [1, 1, 96, 96, 96],
        ),
        (
            with_window(96, 96, 96),
            ["n", 1, 96, 96, 96],
            [1, 1, 96, 96, 96],
            [4, 1, 96, 96, 96],
            [8, 1, 96, 96, 96],
        ),
        (STEP, [1, 1, "k", "j", "i"], [1, 1, 1, 1, 1], [1, 1, 32, 48, 64], [1, 1, 384, 384, 384]),
        (STEP, ["n", 1, "k", "j", "i"], [1, 1, 1, 1, 1], [1, 1, 32, 48, 64], [1, 1, 384, 384, 384]),
        (
            replace(STEP, crop=BY_16),
            [1, 1, "k", "j", "i"],
            [1, 1, 16, 16, 16],
            [1, 1, 32, 48, 64],
            [1, 1, 384, 384, 384],
        ),
        (
            replace(STEP, crop=BY_16, typical_kji=(208, 192, 256)),
            [1, 1, "k", "j", "i"],
            [1, 1, 16, 16, 16],
            [1, 1, 208, 192, 256],
            [1, 1, 384, 384, 384],
        ),
        (
            replace(STEP, inputs=TURNED, typical_kji=(208, 192, 400)),
            [1, 1, "i", "j", "k"],
            [1, 1, 1, 1, 1],
            [1, 1, 384, 192, 208],
            [1, 1, 384, 384, 384],
        ),
        (
            with_window(96, 80, 64, inputs=TURNED, gate=replace(GATE, shape=(1, 1, 64, 80, 96))),
            ["n", 1, "i", "j", "k"],
            [1, 1, 64, 80, 96],
            [4, 1, 64, 80, 96],
            [8, 1, 64, 80, 96],
        ),
        (
            replace(STEP, inputs=FLAT, gate=replace(GATE, shape=(3, 1, 64, 64))),
            ["n", 1, "j", "i"],
            [1, 1, 1, 1],
            [3, 1, 64, 64],
            [6, 1, 4096, 4096],
        ),
        (
            replace(STEP, inputs=FLAT, gate=replace(GATE, shape=(1, 1, 64, 64))),
            ["n", 1, "j", "i"],
            [1, 1, 1, 1],
            [3, 1, 64, 64],
            [3, 1, 4096, 4096],
        ),
        (
            with_window(256, 256, 256, gate=replace(GATE, shape=(1, 1, 256, 256, 256))),
            ["n", 1, 256, 256, 256],
            [1, 1, 256, 256, 256],
            [3, 1, 256, 256, 256],
            [3, 1, 256, 256, 256],
        ),
        (
            replace(STEP, inputs=LAST, gate=replace(GATE, shape=(1, 32, 32, 32, 2))),
            [1, "k", "j", "i", "c"],
            [1, 1, 1, 1, 2],
            [1, 32, 32, 32, 2],
            [1, 384, 384, 384, 2],
        ),
    ],
    ids=[
        "windows",
        "window, gate smaller",
        "batch alone",
        "whole",
        "whole, batch",
        "multiple",
        "usual box",
        "usual box, turned, beyond the largest",
        "turned",
        "slices, three in the gate",
        "slices",
        "large windows",
        "channels last",
    ],
)
def test_the_range_of_an_input_follows_the_windows_of_the_engine(step, shape, low, best, high):
    assert profile_of(step, network(shape)) == [["x", low, best, high]]


def test_a_row_of_numbers_has_as_many_items_as_the_image_beside_it():
    made = onnx.load_from_string(network(["n", 1, 128, 128]))
    row = helper.make_tensor_value_info("row", TensorProto.FLOAT, ["n", 3])
    made.graph.input.append(row)
    gate = replace(GATE, shape=(), shapes={"x": (1, 1, 128, 128), "row": (1, 3)})
    step = replace(STEP, gate=gate, inputs={"x": FLAT["x"], "row": Feed(of=("header",))})
    image, numbers = profile_of(step, made.SerializeToString())
    assert (image[0], numbers[0]) == ("x", "row")
    for of_image, of_numbers in zip(image[1:], numbers[1:], strict=True):
        assert of_image[1:] == [1, 128, 128]
        assert of_numbers == [of_image[0], 3]


def test_a_network_whose_lengths_are_given_needs_no_range():
    assert profile_of(STEP, network([1, 1, 8, 8, 8])) == []


@pytest.mark.parametrize(
    ("step", "content", "said"),
    [
        (STEP, network(["n", "c", "j", "i"]), "has 4 axes, engine.toml says 5"),
        (
            replace(STEP, gate=None),
            network([1, "c", "k", "j", "i"]),
            "the length of axis c of input x is not known",
        ),
        (STEP, b"\x3a\xff", "cut off"),
    ],
)
def test_what_engine_toml_does_not_say_cannot_be_built(step, content, said):
    with pytest.raises(NodeError, match=said) as caught:
        profile_of(step, content)
    assert caught.value.fault is PLAN_BUILD_FAILED


def ordered(precision: str = "fp32", compiler: Compiler = COMPILER, **changes: object):
    return plan_order("small", replace(STEP, **changes), FREE, precision, compiler).key


def test_an_order_says_all_that_the_plan_is_bound_to():
    key = ordered()
    assert (key.engine, key.network, key.flavour, key.version) == (
        "small",
        "net.onnx",
        "tensorrt",
        "11.4.0.106",
    )
    assert (key.gpu.name, key.gpu.compute_capability, key.gpu.memory_bytes) == (
        "NVIDIA H200",
        (9, 0),
        150 << 30,
    )
    assert (key.driver, key.cuda_runtime, key.conversion) == ("580.65.06 (CUDA 13.0)", "13", "")
    assert key.options["tf32"] is False
    assert key.options["profiles"][0][0][0] == "x"


def test_other_devices_drivers_windows_and_calibrations_are_other_plans():
    keys = [
        ordered(),
        ordered("fp16"),
        ordered("int8"),
        ordered("int8", gate=replace(GATE, high=2.0)),
        ordered(window=Window(size_kji=(32, 48, 64))),
        ordered(compiler=replace(COMPILER, device=replace(GPU, driver="590"))),
        ordered(compiler=replace(COMPILER, device=replace(GPU, memory_bytes=18 << 30))),
        ordered(compiler=replace(COMPILER, device=None)),
    ]
    assert len({key.digest for key in keys}) == len(keys)
    folder = Calibration(folder="anywhere")
    assert plan_order("small", STEP, FREE, "fp16", COMPILER, folder).key == keys[1]  # not needed for it


def test_the_compiler_of_a_capability_has_its_device_and_precisions():
    found = compiler_of(CAPABILITY)
    assert (found.flavour, found.version, found.device) == ("tensorrt", "11.4.0.106", GPU)
    assert found.precisions == ("fp32", "fp16")


# ── what a session gets ──


@pytest.fixture
def cache(tmp_path):
    return PlanCache(tmp_path / "plans")


def asked(cache, capability=CAPABILITY, **changes: object):
    given = Network(**{"engine": "small 0.1.0", "file": "net.onnx", "content": FREE, **changes})
    return KeptPlans(cache, (STEP,))(given, capability)


def test_without_a_plan_there_is_a_reason_with_the_command_that_builds_it(cache):
    found = asked(cache)
    assert found == Reason("tensorrt", "no plan was built for it here: `dicomnode engine build small`")
    assert "no network other.onnx" in asked(cache, file="other.onnx").text


def test_a_built_plan_is_given_before_it_is_accepted_so_that_it_can_be_tried(cache):
    cuda = compiler_of(CAPABILITY).cuda_runtime
    key = ordered(compiler=replace(COMPILER, cuda_runtime=cuda))
    cache.put(key, b"the plan")
    found = asked(cache)
    assert (found.content, found.key, found.precision, found.tf32) == (b"the plan", key.digest, "fp32", False)
    assert isinstance(asked(cache, precision="fp16"), Reason)
    found.release()


def test_a_rejected_plan_is_not_given_and_what_served_before_is(cache):
    compiler = compiler_of(CAPABILITY)
    key = ordered(compiler=compiler)
    cache.put(key, b"the plan")
    cache.judge(key.digest, passed=False, figures={"dice": 0.2})
    assert asked(cache).text.startswith("its plan did not agree with the reference")
    older = ordered(compiler=replace(compiler, device=replace(GPU, driver="570")))
    cache.put(older, b"older")
    cache.judge(older.digest, passed=True, figures={"dice": 1.0})
    assert asked(cache).content == b"older"


def test_a_verdict_on_a_plan_that_is_gone_is_none(cache):
    assert cache.judge("0" * 64, passed=True, figures={}) is None


def test_the_plan_is_held_until_the_session_lets_go(cache):
    compiler = compiler_of(CAPABILITY)
    keys = [ordered(compiler=replace(compiler, device=replace(GPU, driver=driver))) for driver in "abc"]
    capability = replace(CAPABILITY, device=replace(GPU, driver="a"))
    cache.put(keys[0], b"first")
    cache.accept(keys[0], {})
    held = asked(cache, capability)
    for key in keys[1:]:
        cache.put(key, b"later")
        cache.accept(key, {})
    assert cache.prune() == ()
    held.release()
    assert [record.key for record in cache.prune()] == [keys[0]]


def test_a_plan_of_rtx_that_is_bound_to_no_device_serves_every_device(cache):
    capability = replace(CAPABILITY, runtime="tensorrt-rtx", version="1.7.1")
    compiler = Compiler(flavour="tensorrt-rtx", version="1.7.1", device=None)  # as built without a driver
    cache.put(ordered(compiler=compiler), b"for any")
    assert asked(cache, capability).content == b"for any"
    own = ordered(compiler=compiler_of(capability))
    cache.put(own, b"for this one")
    assert asked(cache, capability).content == b"for this one"


def test_a_plan_that_does_not_load_is_put_aside_and_given_to_nobody_else(cache):
    key = ordered(compiler=replace(COMPILER, cuda_runtime=compiler_of(CAPABILITY).cuda_runtime))
    cache.put(key, b"the plan")
    found = asked(cache)
    found.release()
    found.discard("magic tag does not match")
    assert isinstance(asked(cache), Reason)
    (reason,) = (cache.root / "quarantine").glob("*.txt")
    assert reason.read_text().endswith(": magic tag does not match\n")


def test_what_a_session_holds_of_a_plan_is_its_lock_and_not_its_bytes(cache):
    cache.put(KEY, b"the plan")
    held = cache.use(KEY)
    ready = ready_plan(held)
    assert ready.release.__self__ is held.lock
    ready.release()
