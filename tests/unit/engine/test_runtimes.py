"""The runtimes that there are, each before the contract, and what each is to be refused for."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from dicomnode.engine.runtimes import Capability, Network, Reason
from dicomnode.engine.runtimes import onnxruntime as onnx_room
from dicomnode.engine.runtimes import openvino as openvino_room
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
from dicomnode.engine.runtimes.openvino import OpenVino
from dicomnode.faults import NETWORK_FAILED, NodeError
from tests.unit.engine.runtime_contract import HostRuntimeContract
from tests.unit.engine.small_engine import model, network


class TestOnnxRuntime(HostRuntimeContract):
    """ONNX Runtime on the CPU."""

    @pytest.fixture
    def runtime(self):
        return OnnxRuntime()


class TestOpenVino(HostRuntimeContract):
    """OpenVINO on the CPU."""

    tolerance = 1e-6

    @pytest.fixture
    def runtime(self):
        return OpenVino()


@pytest.mark.parametrize(
    ("library", "said"),
    [
        (ImportError("no module of that name"), "cannot be imported: no module of that name"),
        (OSError("libfoo.so.1: cannot open"), "cannot be imported: libfoo.so.1: cannot open"),
    ],
)
@pytest.mark.parametrize(
    ("room", "name", "probe"),
    [
        (onnx_room, "import_onnxruntime", lambda: OnnxRuntime().probe()),
        (openvino_room, "_library", lambda: OpenVino().try_here()),
    ],
    ids=["onnxruntime", "openvino"],
)
def test_a_library_that_does_not_load_is_a_reason_and_no_error(monkeypatch, library, said, room, name, probe):
    def fail():
        raise library

    monkeypatch.setattr(room, name, fail)
    answer = probe()
    assert isinstance(answer, Reason)
    assert answer.installed
    assert said in answer.text


def test_a_library_that_is_not_there_is_told_from_one_that_is_broken(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    answer = OnnxRuntime().probe()
    assert isinstance(answer, Reason)
    assert not answer.installed


def test_a_build_without_a_cpu_provider_is_a_reason(monkeypatch):
    library = onnx_room.import_onnxruntime()
    monkeypatch.setattr(library, "get_available_providers", lambda: ["Other"])
    assert OnnxRuntime().probe() == Reason("onnxruntime", "this build of it has no CPU provider")


def test_onnxruntime_that_was_imported_with_its_telemetry_on_is_not_used(monkeypatch):
    monkeypatch.setattr(onnx_room, "ORT_IMPORTED_REPORTING", True)
    answer = OnnxRuntime().probe()
    assert isinstance(answer, Reason)
    assert "reports to its maker" in answer.text
    with pytest.raises(ImportError, match="reports to its maker"):
        onnx_room.import_onnxruntime()


def test_openvino_that_was_imported_with_its_telemetry_is_not_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino_telemetry", object())
    answer = OpenVino().try_here()
    assert isinstance(answer, Reason)
    assert "reports to its maker" in answer.text


@pytest.fixture
def openvino_library():
    return openvino_room._library()


def test_openvino_is_tried_with_a_convolution_whose_result_is_known(monkeypatch, openvino_library):
    assert isinstance(OpenVino().try_here(), Capability)
    wrong = np.full((1, 1, 6, 6, 6), 26.9, np.float32)
    monkeypatch.setattr(openvino_room, "_convolution", lambda library: wrong)
    assert OpenVino().try_here() == Reason("openvino", "it gives 26.9 where 27 is right")

    def fail(library):
        raise RuntimeError("Exception from src/core.cpp:1:\nno kernel")

    monkeypatch.setattr(openvino_room, "_convolution", fail)
    answer = OpenVino().try_here()
    assert answer == Reason("openvino", "it does not work here: Exception from src/core.cpp:1: no kernel")


def test_openvino_without_a_cpu_device_is_a_reason(monkeypatch, openvino_library):
    class Core:
        available_devices = ("GPU",)

    monkeypatch.setattr(openvino_library, "Core", Core)
    assert OpenVino().try_here() == Reason("openvino", "it has no CPU device here")


def test_openvino_computes_in_fp32_with_the_threads_that_were_given(openvino_library):
    capability = OpenVino().probe(1)
    made = model([helper.make_node("Neg", ["x"], ["mask"])], ["mask"])
    session = OpenVino().load(Network(engine="e", file="f", content=made.SerializeToString()), capability)
    told = {
        name: str(session._compiled.get_property(name))
        for name in ("INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS", "NUM_STREAMS", "ENABLE_CPU_PINNING")
    }
    assert told == {
        "INFERENCE_PRECISION_HINT": "<Type: 'float32'>",
        "INFERENCE_NUM_THREADS": "1",
        "NUM_STREAMS": "1",
        "ENABLE_CPU_PINNING": "False",
    }
    session.close()


@pytest.mark.parametrize("runtime", [OnnxRuntime(), OpenVino()], ids=lambda one: one.name)
def test_one_tensor_under_two_names_is_given_out_under_both(runtime):
    nodes = [
        helper.make_node("Neg", ["x"], ["heat"]),
        helper.make_node("Identity", ["heat"], ["mask"]),
    ]
    content = model(nodes, ["heat", "mask"]).SerializeToString()
    session = runtime.load(Network(engine="e", file="f", content=content), runtime.probe(1))
    outputs = session.run({"x": np.ones((1, 1, 2, 2, 2), np.float32)})
    session.close()
    assert list(outputs) == ["heat", "mask"]
    assert all((array == -1.0).all() for array in outputs.values())


@pytest.mark.parametrize("runtime", [OnnxRuntime(), OpenVino()], ids=lambda one: one.name)
def test_a_type_of_tensor_that_is_not_known_is_refused(runtime):
    made = model([helper.make_node("Cast", ["x"], ["words"], to=TensorProto.STRING)], ["words"])
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    with pytest.raises(NodeError) as caught:
        runtime.load(Network(engine="e", file="f", content=made.SerializeToString()), runtime.probe(1))
    assert caught.value.fault is NETWORK_FAILED


def test_bytes_in_the_format_of_onnxruntime_itself_are_not_loaded(tmp_path):
    """Only ONNX is looked through before a runtime gets it."""
    library = onnx_room.import_onnxruntime()
    options = library.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "net.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    library.InferenceSession(network().SerializeToString(), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "net.ort").read_bytes()
    library.InferenceSession(content, providers=["CPUExecutionProvider"])
    capability = OnnxRuntime().probe(1)
    with pytest.raises(NodeError) as caught:
        OnnxRuntime().load(Network(engine="small", file="net.onnx", content=content), capability)
    assert caught.value.fault is NETWORK_FAILED
