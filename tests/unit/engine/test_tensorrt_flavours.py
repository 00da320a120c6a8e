"""Which TensorRT is here, what is said where it is not, and that trying it never takes the process down."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dicomnode.device import Device
from dicomnode.engine.runtimes.contract import Capability, Network, Reason, Runtime
from dicomnode.engine.runtimes.tensorrt import (
    FLAVOURS,
    TENSORRT,
    TENSORRT_RTX,
    TensorRtRuntime,
    bindings,
    flavours,
)
from dicomnode.engine.runtimes.tensorrt import runtime as runtime_module
from dicomnode.engine.runtimes.tensorrt.probing import precisions_of, unfit_for
from dicomnode.faults import PLAN_MISSING, NodeError
from tests.fixtures.cuda_driver.build import environment as driver
from tests.fixtures.tensorrt.fetched import environment, need_pycuda

GPU = Device(
    name="Test GPU",
    kind="cuda",
    threads=1,
    uuid="GPU-1",
    memory_bytes=1 << 34,
    compute_capability=(9, 0),
    driver="580.82.07 (CUDA 13.0)",
)
INSTALL = "pip install --extra-index-url https://pypi.nvidia.com 'dicomnode[gpu]'"


def probed(flavour, folder=None):
    """Try a flavour in a child with the bindings of a folder; return its answer. It must end by itself."""
    command = [sys.executable, "-m", "dicomnode.engine.runtimes.tensorrt.probing", flavour.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(folder))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["reason"]


@pytest.mark.parametrize(
    ("flavour", "folder"),
    [(TENSORRT, "10"), (TENSORRT, "11"), (TENSORRT_RTX, "rtx")],
    ids=["10.16", "11.4", "rtx"],
)
def test_without_a_driver_each_flavour_is_a_reason_and_no_crash(flavour, folder):
    assert re.search(r"there is no NVIDIA driver|PyCUDA is not installed", probed(flavour, folder))


def with_test_driver(folder, **settings):
    """The environment of a child that finds the test driver and the bindings of a folder."""
    env, found = driver(**settings), environment(folder)
    env.pop("LD_BIND_NOW")  # the library itself leaves symbols to be bound later
    joined = {name: f"{found[name]}:{env[name]}" for name in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    return env | joined


def test_with_a_driver_the_answer_is_the_device_and_what_it_can_do():
    need_pycuda()
    code = """
from dicomnode.engine.runtimes.tensorrt import TENSORRT_RTX, TensorRtRuntime
answer = TensorRtRuntime(TENSORRT_RTX).probe()
print(answer.title, answer.device.name, answer.device.uuid[:4], answer.device.compute_capability, sep="|")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=with_test_driver("rtx")
    )
    assert done.stdout.startswith("tensorrt-rtx 1.7.1.116 CUDA|Test GPU|GPU-|(9, 0)")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {},
            "TensorRT 11.4.0.106 does not start: ERROR: pybind11::init(): factory function returned nullptr",
        ),
        ({"CAPABILITY": 70}, "Test GPU has compute capability 7.0, TensorRT needs 7.5 or later"),
        ({"INIT": 100}, "no CUDA-capable device"),
        ({"INIT": -11}, "killed the process that asked (SIGSEGV)"),
    ],
    ids=["empty libraries", "an old GPU", "no GPU", "a driver that crashes"],
)
def test_with_a_driver_that_is_not_enough_there_is_a_reason_and_no_crash(settings, said):
    need_pycuda()
    command = [sys.executable, "-m", "dicomnode.engine.runtimes.tensorrt.probing", "tensorrt"]
    env = with_test_driver("11", **settings)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert said in json.loads(done.stdout)["reason"]


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_a_flavour_that_is_not_installed_says_how_to_install_it(flavour):
    assert flavour.title in (said := probed(flavour))
    assert "is not installed: `pip install " in said
    assert f"dicomnode[{flavour.extra}]" in said
    answer = TensorRtRuntime(flavour).probe()
    assert answer == Reason(flavour.name, said, installed=False)


def test_bindings_without_their_libraries_are_installed_in_part():
    env = environment("11")
    env["LD_LIBRARY_PATH"] = ""
    code = """
from dicomnode.engine.runtimes.tensorrt import TENSORRT, bindings
print(bindings(TENSORRT).text)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert "TensorRT is installed in part: libnvonnxparser.so.11: cannot open" in done.stdout
    assert INSTALL in done.stdout


@pytest.mark.parametrize("folder", ["10", "11"])
def test_the_bindings_of_each_major_are_taken(folder):
    code = """
from dicomnode.engine.runtimes.tensorrt import TENSORRT, bindings
trt = bindings(TENSORRT)
print(trt.__name__, trt.__version__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(folder)
    )
    assert done.stdout.startswith(f"tensorrt_bindings {folder}.")


@pytest.mark.parametrize(
    ("flavour", "version", "known"),
    [
        (TENSORRT, "10.15.1.29", False),
        (TENSORRT, "10.16.0.72", True),
        (TENSORRT, "11.4.0.106", True),
        (TENSORRT, "12.0.0", False),
        (TENSORRT_RTX, "1.6.0.1", False),
        (TENSORRT_RTX, "1.7.1.116", True),
        (TENSORRT_RTX, "1.8.0.1", False),
    ],
)
def test_versions_whose_api_is_known_are_taken(monkeypatch, flavour, version, known):
    module = SimpleNamespace(__version__=version)
    monkeypatch.setattr(flavours, "installed", lambda flavour: True)
    monkeypatch.setattr(flavours.importlib, "import_module", lambda name: module)
    found = bindings(flavour)
    assert (found is module) is known
    if not known:
        assert isinstance(found, Reason)
        assert f"{flavour.title} {version} is installed, " in found.text


def test_a_name_that_is_no_flavour_is_a_mistake():
    assert flavours.flavour_named("tensorrt-rtx") is TENSORRT_RTX
    with pytest.raises(ValueError):
        flavours.flavour_named("tensorrt-lean")


@pytest.mark.parametrize(
    ("flavour", "names", "major"),
    [
        (TENSORRT, ["numpy", "tensorrt_cu13_bindings"], 13),
        (TENSORRT, ["tensorrt-cu12", "tensorrt-cu12-libs"], 12),
        (TENSORRT, ["tensorrt_rtx_cu13_libs"], None),
        (TENSORRT_RTX, ["tensorrt_rtx_cu13_libs", "tensorrt_cu12"], 13),
        (TENSORRT, [], None),
    ],
)
def test_the_wheels_say_which_cuda_they_are_for(flavour, names, major):
    assert flavours.cuda_major(flavour, names) == major


@pytest.mark.parametrize(
    ("device", "flavour", "wheels", "said"),
    [
        (GPU, TENSORRT, 13, ""),
        (GPU, TENSORRT, None, ""),
        (replace(GPU, driver="550.54.15 (CUDA 12.4)"), TENSORRT, 12, ""),
        (replace(GPU, driver="550.54.15 (CUDA 12.4)"), TENSORRT, 13, "update it to release 580 or later, or"),
        (replace(GPU, driver="550.54.15 (CUDA 12.4)"), TENSORRT, 13, "'dicomnode[gpu-cu12]'"),
        (
            replace(GPU, driver="CUDA 12.4"),
            TENSORRT_RTX,
            13,
            "for CUDA 13: update it to release 580 or later",
        ),
        (replace(GPU, driver="470.1 (CUDA 11.4)"), TENSORRT, 12, "update it to release 535 or later"),
        (
            replace(GPU, compute_capability=(7, 0)),
            TENSORRT,
            13,
            "has compute capability 7.0, TensorRT needs 7.5",
        ),
        (replace(GPU, compute_capability=None), TENSORRT, 13, "has compute capability unknown"),
    ],
)
def test_a_driver_or_a_gpu_that_is_too_old_is_told_with_what_to_do(device, flavour, wheels, said):
    found = unfit_for(flavour, device, wheels)
    assert said in found
    assert bool(found) == bool(said)
    assert "gpu-cu12" not in found or flavour is TENSORRT


@pytest.mark.parametrize(
    ("level", "has", "lacks"),
    [
        ((7, 5), {"fp32", "fp16", "int8"}, {"bf16", "fp8"}),
        ((8, 6), {"fp32", "fp16", "int8", "bf16"}, {"fp8"}),
        ((9, 0), {"fp32", "fp16", "int8", "bf16", "fp8"}, set()),
    ],
)
def test_precisions_are_those_that_the_gpu_computes_in(level, has, lacks):
    found = set(precisions_of(replace(GPU, compute_capability=level)))
    assert has <= found
    assert not lacks & found


def test_it_is_a_runtime_and_is_tried_in_a_child_until_that_has_gone_well(monkeypatch):
    asked = []

    def ask(name, command, limit_s):
        asked.append(command)
        if len(asked) == 1:
            return Reason(name, "it did not answer within 60 s when it was tried")
        return Capability(name, "11.4.0.106", GPU, ("fp32",))

    monkeypatch.setattr(runtime_module, "installed", lambda flavour: True)
    monkeypatch.setattr(runtime_module, "ask_child", ask)
    runtime: Runtime = TensorRtRuntime()
    assert isinstance(runtime.probe(4), Reason)
    answer = runtime.probe(4)
    assert isinstance(answer, Capability)
    assert answer.title == "tensorrt 11.4.0.106 CUDA"
    assert runtime.probe() is answer
    assert [command[1:] for command in asked] == [
        ["-m", "dicomnode.engine.runtimes.tensorrt.probing", "tensorrt"]
    ] * 2


def test_without_plans_it_says_how_to_get_one_and_touches_no_gpu():
    network = Network(engine="lung-ct 1.0.0", file="nodules.onnx", content=b"")
    with pytest.raises(NodeError) as caught:
        TensorRtRuntime().load(network, Capability("tensorrt", "11.4.0.106", GPU, ("fp32",)))
    assert caught.value.fault is PLAN_MISSING
    assert "nodules.onnx of engine lung-ct 1.0.0 for Test GPU: no plans are kept here" in str(caught.value)
    assert caught.value.remedy == "Run `dicomnode engine build lung-ct` on this machine."


def test_no_heavy_library_is_loaded_before_it_is_used():
    code = """
import sys
from dicomnode.engine.runtimes.tensorrt import TENSORRT, TensorRtRuntime
TensorRtRuntime(TENSORRT).probe()
loaded = {"tensorrt", "tensorrt_bindings", "tensorrt_rtx", "pycuda", "onnx", "onnxruntime"} & set(sys.modules)
print(sorted(loaded))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout == "[]\n"
