"""The script itself: that it tells what it could not run, and that its steps do run, on the test driver.

What the test driver says of speed and memory is nothing that a GPU said.
"""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.fixtures.cuda_driver.build import environment
from tests.fixtures.cuda_driver.child import _needed
from tests.gpu.carry import cut, pack
from tests.gpu.machine import BROUGHT as ARCHIVE
from tests.gpu.machine import TARGET
from tests.gpu.roofline import Work, floor_ms, peak_of, works_of
from tests.gpu.run_all import BROUGHT, STEPS, run_step
from tests.gpu.steps import Step
from tests.unit.engine.networks import NETWORKS, item_shape

_REPOSITORY = Path(__file__).resolve().parents[2]
# The double of TensorRT stands where its module would be found
_TENSORRT = "import sys\nfrom tests.fixtures.tensorrt import double\nsys.modules[__name__] = double\n"


def run_all(variables: dict[str, str], *arguments: str) -> tuple[int, dict]:
    command = [sys.executable, "-m", "tests.gpu.run_all", *arguments]
    done = subprocess.run(
        command, env=variables, cwd=_REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def on_driver(tmp_path):
    """The environment of a machine with the test driver and the double of TensorRT."""
    _needed()
    (tmp_path / "tensorrt.py").write_text(_TENSORRT)

    def variables(**settings: object) -> dict[str, str]:
        made = environment(**{"NAME": "NVIDIA H200", "CAPABILITY": 90, "MEMORY": 1 << 30, **settings})
        return made | {"PYTHONPATH": f"{made['PYTHONPATH']}{os.pathsep}{tmp_path}"}

    return variables


def test_without_a_driver_every_step_says_that_it_was_not_run(tmp_path):
    # An empty file for libcuda.so.1: there is no driver, also on a machine that has one
    (tmp_path / "libcuda.so.1").touch()
    status, found = run_all(os.environ | {"LD_LIBRARY_PATH": str(tmp_path)})
    assert status == 3
    assert found["counts"] == {"passed": 0, "failed": 0, "not run": len(STEPS)}
    assert [row["step"] for row in found["steps"]] == [step.number for step in STEPS]
    for row in found["steps"]:
        assert row["because"].startswith("there is no NVIDIA driver")
        assert "figures" not in row


@pytest.mark.long
def test_on_the_test_driver_all_steps_run_and_the_report_says_what_it_is(on_driver):
    status, found = run_all(on_driver())
    wrong = [row for row in found["steps"] if row["result"] != "passed"]
    assert not wrong
    assert status == 0
    assert found["test_driver"]
    assert found["note"] == "On the test driver: no figure of this is one of a GPU."
    figures = {row["name"]: row["figures"] for row in found["steps"]}
    assert figures["device"]["devices"][0]["name"] == "NVIDIA H200"
    assert figures["kernels"]["contract"].endswith("passed")
    assert set(figures["plans"]["tensorrt"]) == {"version", "fp32", "fp16", "norm_at_300"}
    assert len(figures["bandwidth"]["kernels"]) >= 12
    assert set(figures["rivals"]["ways"]) >= {"tensorrt fp16", "tensorrt fp32"}
    assert figures["engine"]["tensorrt"]["runtime"].startswith("tensorrt ")


@pytest.mark.parametrize(
    ("settings", "because"),
    [
        ({"CAPABILITY": 70}, "compute capability 7.5 or later: found (7, 0)"),
        ({"INIT": -11}, "its process ended with -11"),
    ],
)
def test_what_is_wrong_or_crashes_is_a_failure(on_driver, settings, because):
    status, found = run_all(on_driver(**settings), "--only", "device")
    assert status == 1
    (row,) = found["steps"]
    assert row["result"] == "failed"
    assert row["because"].startswith(because)


def test_what_was_brought_along_is_there_for_all_steps(on_driver, tmp_path):
    with zipfile.ZipFile(tmp_path / "of.whl", "w") as wheel:
        wheel.writestr("tensorrt.py", (tmp_path / "tensorrt.py").read_text())
    (tmp_path / "tensorrt.py").unlink()
    without = run_all(on_driver(), "--only", "cache")[1]["steps"]
    assert without[0]["because"].startswith("tensorrt: TensorRT is not installed")
    pack([tmp_path / "of.whl"], tmp_path / "brought.tar.xz", [{"id": lzma.FILTER_LZMA2, "preset": 1}])
    parts = cut(tmp_path / "brought.tar.xz", 150)
    assert len(parts) > 1
    found = run_all(on_driver(), "--only", "cache", "--brought", *map(str, parts))[1]["steps"]
    assert [(row["name"], row["result"]) for row in found] == [("brought", "passed"), ("cache", "passed")]


def test_what_is_not_there_cannot_be_unpacked(tmp_path):
    row = run_step(BROUGHT, 60.0, os.environ | {TARGET: str(tmp_path), ARCHIVE: str(tmp_path / "none")})
    assert row["result"] == "failed"
    assert row["because"] == f"the files that --brought names: found ['{tmp_path / 'none'}'] missing"


def test_who_ends_it_early_finds_what_it_had_found(on_driver, tmp_path):
    kept = tmp_path / "report.json"
    _, found = run_all(on_driver(), "--only", "device", "--report", str(kept))
    assert json.loads(kept.read_text())["steps"] == found["steps"]


def test_the_steps_and_their_time_boxes_are_listed_and_none_is_run():
    command = [sys.executable, "-m", "tests.gpu.run_all", "--list", "--only", "device", "plans"]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [" 1 device: at most 20 s", " 6 plans: at most 110 s"]


def test_a_driver_that_does_not_start_leaves_all_not_run(on_driver):
    status, found = run_all(on_driver(INIT=100), "--only", "device", "plans")
    assert status == 3
    assert {row["result"] for row in found["steps"]} == {"not run"}
    assert all("the NVIDIA driver does not start" in row["because"] for row in found["steps"])


def test_a_step_that_hangs_is_ended(on_driver):
    row = run_step(Step(1, "device", STEPS[0].run, 2.0), 600.0, on_driver(INIT=-1))
    assert (row["result"], row["because"]) == ("failed", "it took more than 2 s")


def test_when_the_time_is_over_the_rest_is_not_run():
    row = run_step(STEPS[0], 0.0, dict(os.environ))
    assert (row["result"], row["because"]) == ("not run", "the 570 s for all steps were over")


# ── the floor of a network ──


def one_conv(groups: int = 1) -> bytes:
    weight = numpy_helper.from_array(np.zeros((8, 4 // groups, 3, 3, 3), np.float32), "w")
    shapes = [["n", 4, 6, 6, 6], [None] * 5]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip("xy", shapes, strict=True)
    )
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3] * 3, pads=[1] * 6, group=groups)
    graph = helper.make_graph([node], "one", [x], [y], [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return made.SerializeToString()


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_counted_as_by_hand(groups):
    (work,) = works_of(one_conv(groups), {"x": (2, 4, 6, 6, 6)})
    voxels = 2 * 6**3
    assert work.flops == 2 * voxels * 8 * (4 // groups) * 27
    assert work.elements == voxels * 4 + voxels * 8 + 8 * (4 // groups) * 27


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network_has_a_floor(name):
    model = NETWORKS[name]()
    shape = (2, *item_shape(model))
    works = works_of(model.SerializeToString(), {"x": shape})
    kinds = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
    assert len(works) == sum(node.op_type in kinds for node in model.graph.node)
    assert all(work.flops > 0 and work.elements > 0 for work in works)


def test_the_floor_is_the_longer_of_arithmetic_and_movement():
    works = [Work("a", flops=1e9, elements=1e6), Work("b", flops=1e6, elements=1e9)]
    assert floor_ms(works, 1e12, 1e12, 2) == pytest.approx(1.0 + 2.0)
    assert floor_ms(works, None, 1e12, 2) == pytest.approx(0.002 + 2.0)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", None),
        ("Some GPU", None),
    ],
)
def test_the_peak_of_a_gpu_is_that_of_its_own_name(name, peak):
    assert peak_of(name) == peak
