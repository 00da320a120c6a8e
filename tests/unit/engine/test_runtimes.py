"""The runtimes that there are, each before the contract; and which one is chosen."""

from __future__ import annotations

import subprocess
import sys

import pytest
from onnx import TensorProto, helper

from dicomnode.device import cpu_device
from dicomnode.engine.runtimes import Capability, Network, Reason, choose_runtime, survey
from dicomnode.engine.runtimes import onnxruntime as onnx_room
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
from dicomnode.faults import NETWORK_FAILED, RUNTIME_MISSING, NodeError
from tests.unit.engine.runtime_contract import RuntimeContract
from tests.unit.engine.small_engine import model


class TestOnnxRuntime(RuntimeContract):
    """ONNX Runtime on the CPU."""

    @pytest.fixture
    def runtime(self):
        return OnnxRuntime()


class Broken:
    """A runtime that does not work here."""

    name = "broken"

    def probe(self, threads: int = 0) -> Reason:
        return Reason("broken", "there is no driver")

    def load(self, network: Network, capability: Capability):
        raise AssertionError("a runtime that does not work is not used")


class Half:
    """A runtime with half precision alone."""

    name = "half"

    def probe(self, threads: int = 0) -> Capability:
        return Capability("half", "1", cpu_device(threads), ("fp16",))

    def load(self, network: Network, capability: Capability):
        raise AssertionError("not used here")


def test_the_best_runtime_that_works_and_has_the_precision_is_chosen():
    runtimes = (Broken(), Half(), OnnxRuntime())
    assert choose_runtime("small", ["fp32"], 1, runtimes)[0].name == "onnxruntime"
    assert choose_runtime("small", ["fp16", "fp32"], 1, runtimes)[0].name == "half"


def test_when_none_works_the_reasons_are_all_said():
    with pytest.raises(NodeError) as caught:
        choose_runtime("small", ["fp32"], 1, (Broken(), Half()))
    assert caught.value.fault is RUNTIME_MISSING
    assert "broken: there is no driver; half: it has fp16 only" in str(caught.value)


def test_without_any_runtime_that_is_said():
    with pytest.raises(NodeError, match="none is installed"):
        choose_runtime("small", ["fp32"], 1, ())


def test_all_runtimes_are_surveyed():
    answers = survey(1, (Broken(), OnnxRuntime()))
    assert answers[0] == Reason("broken", "there is no driver")
    assert isinstance(answers[1], Capability)
    assert answers[1].device.threads == 1


@pytest.mark.parametrize(
    ("library", "said"),
    [
        (ImportError("no module of that name"), "cannot be imported: no module of that name"),
        (OSError("libfoo.so.1: cannot open"), "cannot be imported: libfoo.so.1: cannot open"),
    ],
)
def test_a_library_that_does_not_load_is_a_reason_and_no_error(monkeypatch, library, said):
    def fail():
        raise library

    monkeypatch.setattr(onnx_room, "_library", fail)
    answer = OnnxRuntime().probe()
    assert isinstance(answer, Reason)
    assert said in answer.text


def test_a_build_without_a_cpu_provider_is_a_reason(monkeypatch):
    library = onnx_room._library()
    monkeypatch.setattr(library, "get_available_providers", lambda: ["Other"])
    assert OnnxRuntime().probe() == Reason("onnxruntime", "this build of it has no CPU provider")


def test_a_type_of_tensor_that_is_not_known_is_refused():
    made = model([helper.make_node("Cast", ["x"], ["words"], to=TensorProto.STRING)], ["words"])
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    runtime = OnnxRuntime()
    with pytest.raises(NodeError, match=r"words has the type tensor\(string\)") as caught:
        runtime.load(Network(engine="e", file="f", content=made.SerializeToString()), runtime.probe(1))
    assert caught.value.fault is NETWORK_FAILED


def test_telemetry_is_off_before_the_library_is_loaded():
    """The variable stands when the library is first loaded: seen from an import hook in a fresh process."""
    code = """
import os, sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))
        return None
sys.meta_path.insert(0, Hook())
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
assert "onnxruntime" not in sys.modules
OnnxRuntime().probe(1)
assert "onnxruntime" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
