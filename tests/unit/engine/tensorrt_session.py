"""The session of TensorRT, run on the test driver through PyCUDA with a double of TensorRT's module.

`test_tensorrt_session.py` runs this file in a process that finds the test driver.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from dicomnode.device import HostBuffer
from dicomnode.device.cuda import CudaBuffer, CudaContext
from dicomnode.engine.runtimes.contract import Capability, Network, Reason
from dicomnode.engine.runtimes.tensorrt import (
    TENSORRT,
    BuildOptions,
    InputRange,
    ReadyPlan,
    TensorRtRuntime,
    build_plan,
)
from dicomnode.engine.runtimes.tensorrt import runtime as runtime_module
from dicomnode.faults import (
    CUDA_MEMORY,
    NETWORK_FAILED,
    PLAN_MISSING,
    PLAN_NOT_BUILT,
    PLAN_NOT_LOADED,
    RUNTIME_MISSING,
    NodeError,
)
from tests.fixtures.tensorrt import double
from tests.unit.engine.networks import NETWORKS, item_shape
from tests.unit.engine.runtime_contract import RuntimeContract
from tests.unit.engine.small_engine import model, network

ANY = InputRange(name="x", smallest=(1, 1, 2, 2, 2), best=(1, 1, 4, 6, 8), largest=(1, 1, 16, 16, 16))
RELEASED = []


@pytest.fixture
def cuda():
    with CudaContext() as context:
        yield context
    gc.collect()


@pytest.fixture(autouse=True)
def double_of_tensorrt(monkeypatch):
    """The double stands where the module of TensorRT is imported; nothing was used wrongly in the end."""
    monkeypatch.setattr(runtime_module, "bindings", lambda flavour: double)
    double.misuse.clear()
    double.ended.clear()
    RELEASED.clear()
    yield
    assert double.misuse == []


def plans_of(*profiles, tf32=False):
    """A source of plans that builds them at once with the double, and refuses as a runtime does."""

    def source(network, capability):
        options = BuildOptions(profiles=tuple((one,) for one in profiles), tf32=tf32)
        try:
            built = build_plan(double, network, options)
        except NodeError as error:
            engine = f"{network.engine} ({network.file})"
            raise NodeError(NETWORK_FAILED, engine=engine, error=str(error)) from error
        return ReadyPlan(
            content=built,
            key="f" * 64,
            precision="fp32",
            tf32=tf32,
            release=lambda: RELEASED.append(1),
        )

    return source


def capability_of(cuda):
    return Capability("tensorrt", double.__version__, cuda.device, ("fp32", "fp16"))


class Here(TensorRtRuntime):
    """The runtime without its probe, which is tested in children."""

    def __init__(self, cuda, plans) -> None:
        super().__init__(TENSORRT, plans, lambda device: cuda)
        self._answer = capability_of(cuda)

    def probe(self, threads=0):
        return self._answer


def given(content, **changes):
    content = content if isinstance(content, bytes) else content.SerializeToString()
    return Network(**{"engine": "small 0.1.0", "file": "net.onnx", "content": content, **changes})


def opened(cuda, content=None, *profiles, tf32=False):
    runtime = Here(cuda, plans_of(*(profiles or (ANY,)), tf32=tf32))
    return runtime.load(given(content or network()), capability_of(cuda))


def exact_where_there_is_a_weight(network, capability):
    """The profile is of the shapes that the network can take: with a weight, of that shape alone."""
    shape = (1, 1, 2, 2, 2)
    one = InputRange(name="x", smallest=shape, best=shape, largest=shape)
    return plans_of(one if b"Add" in network.content else ANY)(network, capability)


class TestTensorRt(RuntimeContract):
    """TensorRT's session."""

    @pytest.fixture
    def runtime(self, cuda):
        return Here(cuda, exact_where_there_is_a_weight)


def test_an_input_on_the_device_is_read_where_it_lies_and_outputs_stay_there(cuda):
    session = opened(cuda)
    x = cuda.upload(np.ones((1, 1, 4, 6, 8), np.float32))
    before = cuda.traffic
    outputs = session.infer({"x": x})
    assert (cuda.traffic - before).bytes_up == (cuda.traffic - before).bytes_down == 0
    assert {type(buffer) for buffer in outputs.values()} == {CudaBuffer}
    assert np.array_equal(outputs["mask"].host(), -np.ones((1, 1, 4, 6, 8), np.float32))
    assert np.array_equal(x.host(), np.ones((1, 1, 4, 6, 8), np.float32))


def test_an_input_on_the_host_goes_up_once_and_its_memory_comes_back(cuda):
    session = opened(cuda)
    session.run({"x": np.ones((1, 1, 4, 6, 8), np.float32)})
    used, before = cuda.pool.used, cuda.traffic
    outputs = session.infer({"x": HostBuffer(np.ones((1, 1, 4, 6, 8), np.float32))})
    assert (cuda.traffic - before).arrays_up == 1
    for buffer in outputs.values():
        buffer.close()
    assert cuda.pool.used == used


def test_a_part_of_a_buffer_that_is_not_aligned_is_copied_on_the_device(cuda):
    session = opened(cuda)
    batch = np.arange(2 * 2 * 2 * 2, dtype=np.float32).reshape(2, 1, 1, 2, 2, 2)
    whole = cuda.upload(batch)
    before = cuda.traffic
    outputs = session.infer({"x": whole.part(1)})
    assert (cuda.traffic - before).bytes_up == 0
    assert np.array_equal(outputs["mask"].host(), -batch[1])


def test_an_input_may_be_closed_while_its_run_is_queued(cuda):
    session = opened(cuda)
    x = cuda.upload(np.full((1, 1, 4, 4, 4), 2, np.float32))
    outputs = session.infer({"x": x})
    x.close()
    cuda.upload(np.full((1, 1, 4, 4, 4), 9, np.float32))
    assert (outputs["mask"].host() == -2).all()


def test_the_profile_that_takes_the_shapes_is_used(cuda):
    small = InputRange(name="x", smallest=(1, 1, 2, 2, 2), best=(1, 1, 2, 2, 2), largest=(1, 1, 4, 4, 4))
    large = InputRange(name="x", smallest=(1, 1, 8, 8, 8), best=(1, 1, 8, 8, 8), largest=(1, 1, 16, 8, 8))
    session = opened(cuda, network(), small, large)
    for shape in ((1, 1, 2, 4, 4), (1, 1, 16, 8, 8), (1, 1, 8, 8, 8), (1, 1, 4, 4, 2)):
        x = np.random.default_rng(1).random(shape).astype(np.float32)
        assert np.array_equal(session.run({"x": x})["mask"], -x)
    with pytest.raises(NodeError) as caught:
        session.run({"x": np.zeros((1, 1, 6, 6, 6), np.float32)})
    assert caught.value.fault is NETWORK_FAILED
    assert "x (1, 1, 2, 2, 2) to (1, 1, 4, 4, 4) or x (1, 1, 8, 8, 8) to (1, 1, 16, 8, 8)" in str(
        caught.value
    )
    assert "it was given x (1, 1, 6, 6, 6)" in str(caught.value)


@pytest.mark.parametrize("kind", NETWORKS)
def test_batches_of_any_size_that_the_profile_takes_run(cuda, kind):
    made = NETWORKS[kind]()
    item = item_shape(made)
    session = opened(cuda, made, InputRange.batches("x", item, best=2, largest=4))
    x = np.random.default_rng(2).random((4, *item)).astype(np.float32)
    (name,) = (spec.name for spec in session.outputs)
    whole = session.run({"x": x})[name]
    parts = np.concatenate([session.run({"x": x[:1]})[name], session.run({"x": x[1:]})[name]])
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-5)


def test_it_is_warm_when_it_is_loaded_and_holds_nothing_but_its_work_memory(cuda):
    used = cuda.pool.used
    session = opened(cuda)
    work = session.memory_parts({"x": ANY.best}).context
    assert session.warm_up() == 2
    assert 0 <= cuda.pool.used - used - work <= max(work // 4, 256)


def shapes_of_the_warm_up(session, monkeypatch):
    seen, infer = [], session.infer

    def watched(inputs):
        seen.append(tuple(buffer.shape for buffer in inputs.values()))
        return infer(inputs)

    monkeypatch.setattr(session, "infer", watched)
    assert session.warm_up() == len(seen)
    return seen


def test_of_boxes_the_usual_one_is_warmed_up_and_never_the_largest(cuda, monkeypatch):
    assert shapes_of_the_warm_up(opened(cuda), monkeypatch) == [(ANY.best,)] * 2


@pytest.mark.parametrize(("ranges", "best"), [(((3, 4),), 3), (((3, 4), (2, 8)), 2), (((1, 1),), 1)])
def test_the_best_batch_is_what_the_plan_is_made_fast_for(cuda, ranges, best):
    made = NETWORKS["2D U-Net"]()
    profiles = [InputRange.batches("x", item_shape(made), *one) for one in ranges]
    assert opened(cuda, made, *profiles).best_batch == best


def test_a_network_of_one_item_at_a_time_has_no_better_batch(cuda):
    assert opened(cuda).best_batch == 1


def test_of_windows_the_best_and_the_largest_batch_are_warmed_up(cuda, monkeypatch):
    made = NETWORKS["2D U-Net"]()
    item = item_shape(made)
    session = opened(cuda, made, InputRange.batches("x", item, best=2, largest=4))
    assert shapes_of_the_warm_up(session, monkeypatch) == [((2, *item),)] * 2 + [((4, *item),)] * 2


def test_results_say_how_they_were_computed(cuda):
    session = opened(cuda, tf32=True)
    assert session.provenance == {
        "flavour": "tensorrt",
        "version": "11.4.0.106",
        "driver": cuda.device.driver,
        "device_uuid": cuda.device.uuid,
        "plan": "f" * 64,
        "precision": "fp32",
        "tf32": "on",
    }
    assert opened(cuda).provenance["tf32"] == "off"


def test_memory_is_weights_work_inputs_and_outputs(cuda):
    session = opened(cuda)
    small, large = session.memory((1, 1, 4, 4, 4)), session.memory((1, 1, 8, 4, 4))
    in_and_out, work = 64 * 4 * 2 + 8 * 4 * 2, double.WORK_BYTES // 64  # of the largest shape 64 voxels' part
    assert large - small == in_and_out + work  # input and mask, heat and logd
    parts = session.memory_parts({"x": (1, 1, 4, 4, 4)})
    assert (parts.context, parts.io) == (work, in_and_out)
    assert small == parts.weights + parts.context + parts.io


def test_neither_plan_nor_onnx_stays_on_the_host(cuda):
    session = opened(cuda)
    weights = session.memory_parts({"x": ANY.best}).weights
    assert weights == len(plans_of(ANY)(given(network()), capability_of(cuda)).content)
    held = [session._plan.content, session._network.content, session._loaded._network.content]
    assert held == [b"", b"", b""]


def test_a_run_works_in_the_memory_that_its_shapes_take(cuda):
    session = opened(cuda)

    def held(shape):
        for buffer in session.infer({"x": HostBuffer(np.zeros(shape, np.float32))}).values():
            buffer.close()
        return cuda.pool.used

    largest, small = held((1, 1, 16, 16, 16)), held((1, 1, 2, 2, 2))
    assert largest - small > double.WORK_BYTES // 2
    assert session.memory((1, 1, 16, 16, 16)) > 0  # asked between two runs of one shape
    assert held((1, 1, 2, 2, 2)) == small
    with pytest.raises(NodeError, match="its plan takes"):
        session.run({"x": np.zeros((1, 1, 17, 2, 2), np.float32)})
    assert held((1, 1, 16, 16, 16)) == largest


@pytest.fixture
def as_rtx(monkeypatch):
    """Let the double have what TensorRT-RTX has besides."""
    for name, one in double.RTX_ALONE.items():
        monkeypatch.setattr(double, name, one, raising=False)


def configured(session):
    """What its context was made of, beside the memory."""
    config = {name: one.name for name, one in vars(session._loaded.context.config).items()}
    assert config.pop("allocation") == "USER_MANAGED"
    return config


@pytest.mark.parametrize("most", [1, 4])
def test_on_rtx_runs_of_windows_are_captured_and_kernels_compiled_in_the_warm_up(cuda, as_rtx, most):
    made = NETWORKS["2D U-Net"]()
    session = opened(cuda, made, InputRange.batches("x", item_shape(made), 1, most))
    assert configured(session) == {
        "cuda_graph_strategy": "WHOLE_GRAPH_CAPTURE",
        "dynamic_shapes_kernel_specialization_strategy": "EAGER",
    }


def test_on_rtx_boxes_of_any_size_are_neither_captured_nor_compiled_for(cuda, as_rtx):
    assert configured(opened(cuda)) == {"dynamic_shapes_kernel_specialization_strategy": "NONE"}


def test_tensorrt_itself_has_no_such_choices(cuda):
    assert configured(opened(cuda, network(), InputRange.batches("x", (1, 4, 4, 4), 1, 1))) == {}


def test_without_a_configuration_there_is_no_session(cuda, monkeypatch):
    monkeypatch.setattr(double._Engine, "create_runtime_config", lambda self: None)
    with pytest.raises(NodeError) as caught:
        opened(cuda)
    assert caught.value.fault is PLAN_NOT_LOADED
    double.misuse.clear()


def test_it_ends_in_order_and_gives_everything_back(cuda):
    used = cuda.pool.used
    session = opened(cuda)
    session.close()
    session.close()
    assert double.ended == ["context", "engine", "runtime"]
    assert cuda.pool.used == used
    assert RELEASED == [1]


def test_it_ends_with_its_cuda_context(cuda):
    session = opened(cuda)
    cuda.close()
    assert double.ended == ["context", "engine", "runtime"]
    with pytest.raises(NodeError, match="its session is closed"):
        session.run({"x": np.zeros((1, 1, 2, 2, 2), np.float32)})


def test_another_thread_may_not_use_it(cuda):
    session = opened(cuda)
    caught = []

    def use():
        try:
            session.infer({"x": HostBuffer(np.zeros((1, 1, 2, 2, 2), np.float32))})
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "belongs to another thread" in caught[0]
    double.misuse.clear()


def test_what_is_not_a_number_fails_where_it_comes_down(cuda):
    session = opened(cuda, network("Log"))
    x = np.full((1, 1, 2, 2, 2), -1, np.float32)
    with pytest.raises(NodeError) as caught:
        session.run({"x": x})
    assert caught.value.fault is NETWORK_FAILED
    assert "its output mask holds what is not a number" in str(caught.value)


def test_what_is_infinite_fails_where_it_comes_down(cuda):
    session = opened(cuda, network("Log"))
    with pytest.raises(NodeError, match="its output mask holds what is not a number, or infinite"):
        session.run({"x": np.zeros((1, 1, 2, 2, 2), np.float32)})


@pytest.mark.parametrize("said", ["Error Code 2: OutOfMemory (Requested size was 9 bytes.)", "out of memory"])
def test_a_plan_that_finds_no_memory_is_not_spoiled(cuda, monkeypatch, said):
    """It is loaded again when others have made room; a spoiled one would be put aside and built again."""

    def refuse(self, serialized_engine):
        self._logger.log(double.ILogger.Severity.ERROR, said)

    discarded = []

    def plans(network, capability):
        return replace(plans_of(ANY)(network, capability), discard=discarded.append)

    monkeypatch.setattr(double.Runtime, "deserialize_cuda_engine", refuse)
    runtime = TensorRtRuntime(TENSORRT, plans, lambda device: cuda)
    with pytest.raises(NodeError, match="ran out of memory while loading") as caught:
        runtime.load(given(network()), capability_of(cuda))
    assert caught.value.fault is CUDA_MEMORY
    assert (discarded, RELEASED) == ([], [1])


def test_what_the_pool_keeps_is_given_back_before_a_plan_is_loaded(cuda):
    cuda.zeros((1 << 20,), np.uint8).close()
    cuda.stream.synchronize()
    assert cuda.pool.held >= 1 << 20
    opened(cuda)
    assert cuda.pool.held < 1 << 20


def test_a_network_without_a_plan_is_told_how_to_get_one(cuda):
    runtime = TensorRtRuntime(TENSORRT, contexts=lambda device: cuda)
    with pytest.raises(NodeError) as caught:
        runtime.load(given(network()), capability_of(cuda))
    assert caught.value.fault is PLAN_MISSING
    assert "no plan of net.onnx of engine small 0.1.0 for" in str(caught.value)
    assert caught.value.remedy == "Run `dicomnode engine build small` on this machine."


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 4096])
def test_a_plan_that_does_not_load_is_a_row_with_tensorrts_words(cuda, content):
    plan = ReadyPlan(
        content=content,
        key="k",
        precision="fp32",
        tf32=False,
        release=lambda: RELEASED.append(1),
        discard=RELEASED.append,
    )
    runtime = TensorRtRuntime(TENSORRT, lambda network, capability: plan, lambda device: cuda)
    with pytest.raises(NodeError) as caught:
        runtime.load(given(network()), capability_of(cuda))
    assert caught.value.fault is PLAN_NOT_LOADED
    assert "magic tag does not match" in str(caught.value)
    assert [1, str(caught.value)] == RELEASED


def test_tensorrt_rtx_says_why_it_calls_a_plan_invalid(cuda, monkeypatch):
    monkeypatch.setattr(double.Runtime, "get_engine_validity", lambda self, plan: (2, 1 | 4), raising=False)
    plan = ReadyPlan(content=b"old", key="k", precision="fp32", tf32=False)
    runtime = TensorRtRuntime(TENSORRT, lambda network, capability: plan, lambda device: cuda)
    with pytest.raises(NodeError) as caught:
        runtime.load(given(network()), capability_of(cuda))
    assert caught.value.fault is PLAN_NOT_LOADED
    assert "it was built by another version, the driver is too old; Error Code 1" in str(caught.value)


@pytest.mark.parametrize("kind", ["Runtime", "Builder"])
def test_a_library_that_gives_nothing_is_a_row(cuda, monkeypatch, kind):
    def nothing(logger):
        raise TypeError("pybind11::init(): factory function returned nullptr")

    plan = plans_of(ANY)(given(network()), capability_of(cuda))
    monkeypatch.setattr(double, kind, nothing)
    runtime = TensorRtRuntime(TENSORRT, lambda network, capability: plan, lambda device: cuda)
    ways = {
        "Builder": lambda: build_plan(double, given(network()), BuildOptions()),
        "Runtime": lambda: runtime.load(given(network()), capability_of(cuda)),
    }
    with pytest.raises(NodeError, match="factory function returned nullptr") as caught:
        ways[kind]()
    assert caught.value.fault is {"Builder": PLAN_NOT_BUILT, "Runtime": PLAN_NOT_LOADED}[kind]


def test_a_library_that_went_away_is_a_row(cuda, monkeypatch):
    monkeypatch.setattr(runtime_module, "bindings", lambda flavour: Reason("tensorrt", "it is gone"))
    runtime = Here(cuda, plans_of(ANY))
    with pytest.raises(NodeError) as caught:
        runtime.load(given(network()), capability_of(cuda))
    assert caught.value.fault is RUNTIME_MISSING
    assert RELEASED == [1]


def test_a_type_that_numpy_has_not_is_refused(cuda, monkeypatch):
    monkeypatch.setitem(double._TYPES, "tensor(float)", (double.enum.IntEnum("T", "BF16").BF16, np.float32))
    with pytest.raises(NodeError) as caught:
        opened(cuda)
    assert caught.value.fault is PLAN_NOT_LOADED
    assert "x has the type BF16, which is not supported" in str(caught.value)


def test_a_tensor_that_carries_a_shape_is_refused(cuda, monkeypatch):
    monkeypatch.setattr(double._Engine, "get_tensor_location", lambda self, name: double.TensorLocation.HOST)
    discarded = []

    def plans(network, capability):
        return replace(plans_of(ANY)(network, capability), discard=discarded.append)

    runtime = TensorRtRuntime(TENSORRT, plans, lambda device: cuda)
    with pytest.raises(NodeError, match="x carries a shape, which is not supported"):
        runtime.load(given(network()), capability_of(cuda))
    assert discarded == []  # the plan is as good as any that would be built


def test_outputs_whose_shape_depends_on_the_numbers_are_refused(cuda, monkeypatch):
    monkeypatch.setattr(double._Context, "get_tensor_shape", lambda self, name: double.Dims((-1, 1)))
    with pytest.raises(NodeError, match="the shape of heat depends on the numbers"):
        opened(cuda)


def test_a_run_that_tensorrt_refuses_is_a_failure_and_frees_its_outputs(cuda, monkeypatch):
    session = opened(cuda)
    session.run({"x": np.zeros((1, 1, 2, 2, 2), np.float32)})
    used = cuda.pool.used

    def refuse(self, stream_handle):
        self._engine().logger.log(double.ILogger.Severity.ERROR, "Error Code 2: it would not")
        return False

    monkeypatch.setattr(double._Context, "execute_async_v3", refuse)
    with pytest.raises(NodeError, match="Error Code 2: it would not"):
        session.run({"x": np.zeros((1, 1, 2, 2, 2), np.float32)})
    assert cuda.pool.used == used


def test_two_inputs_are_two_addresses(cuda):
    free = [1, 1, "k", "j", "i"]
    made = model([helper.make_node("Sub", ["x", "y"], ["mask"])], ["mask"])
    made.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, free))
    ranges = (ANY, InputRange(name="y", smallest=ANY.smallest, best=ANY.best, largest=ANY.largest))
    content = build_plan(double, given(made), BuildOptions(profiles=(ranges,)))
    plan = ReadyPlan(content=content, key="k", precision="fp32", tf32=False)
    runtime = TensorRtRuntime(TENSORRT, lambda network, capability: plan, lambda device: cuda)
    session = runtime.load(given(made), capability_of(cuda))
    x, y = np.full((1, 1, 2, 2, 2), 5, np.float32), np.full((1, 1, 2, 2, 2), 3, np.float32)
    assert (session.run({"y": y, "x": x})["mask"] == 2).all()


def test_the_memory_of_several_inputs_is_reckoned_with_one_shape(cuda):
    row = helper.make_node("ReduceSum", ["age"], ["sum"], keepdims=0)
    made = model([row, helper.make_node("Add", ["x", "sum"], ["mask"])], ["mask"])
    made.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 2]))
    ages = InputRange(name="age", smallest=(1, 2), best=(1, 2), largest=(1, 2))
    content = build_plan(double, given(made), BuildOptions(profiles=((ANY, ages),)))
    plan = ReadyPlan(content=content, key="k", precision="fp32", tf32=False)
    runtime = TensorRtRuntime(TENSORRT, lambda network, capability: plan, lambda device: cuda)
    session = runtime.load(given(made), capability_of(cuda))
    asked = {"x": (1, 1, 4, 4, 4), "age": (1, 2)}
    parts = session.memory_parts(asked)
    assert session.memory((1, 1, 4, 4, 4)) == parts.weights + parts.context + parts.io
    with pytest.raises(NodeError, match="its plan takes"):
        session.memory((1, 1, 99, 4, 4))
