"""Asking the driver: whatever it does, the answer is devices or a sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dicomnode.device import Device
from dicomnode.device.cuda import probe, probe_cuda
from dicomnode.device.cuda.driver import driver_title
from tests.fixtures.cuda_driver.child import counted, on_test_driver

_UUID = "7e570000-0000-4000-8000-00000000000"


@on_test_driver(DEVICES=2, NAME="NVIDIA H200", MEMORY=1 << 37, CAPABILITY=90)
def test_devices_come_with_all_that_a_plan_is_bound_to():
    first, second = probe_cuda()
    assert first == Device(
        name="NVIDIA H200",
        kind="cuda",
        threads=1,
        index=0,
        uuid=f"GPU-{_UUID}0",
        memory_bytes=1 << 37,
        compute_capability=(9, 0),
        driver=driver_title(),
        multiprocessors=4,
    )
    assert (second.index, second.uuid) == (1, f"GPU-{_UUID}1")
    assert counted("retained") == 0, "the asking was done elsewhere"


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        ("1", ["1"]),
        ("2,0", ["2", "0"]),
        (f"GPU-{_UUID}2", ["2"]),
        ("0,7,1", ["0"]),
    ],
)
@on_test_driver(DEVICES=3)
def test_devices_that_are_hidden_are_not_seen(visible, uuids):
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
    seen = probe_cuda()
    assert not isinstance(seen, str)
    assert [device.uuid[-1] for device in seen] == uuids
    assert [device.index for device in seen] == list(range(len(uuids)))


@on_test_driver(NAME="NVIDIA H100 80GB HBM3 MIG 1g.10gb", MEMORY=10 << 30)
def test_a_slice_of_a_gpu_is_a_device_with_the_uuid_of_a_slice():
    os.environ["CUDA_VISIBLE_DEVICES"] = f"MIG-{_UUID}0"
    (device,) = probe_cuda()
    assert isinstance(device, Device)
    assert (device.uuid, device.memory_bytes) == (f"MIG-{_UUID}0", 10 << 30)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            100,
            "the NVIDIA driver does not start (cuInit: no CUDA-capable device is detected (error 100)): see",
        ),
        (803, "the NVIDIA driver does not start (cuInit: system has unsupported display driver"),
        (-11, "asking the NVIDIA driver killed the process that asked (SIGSEGV)"),
        (-6, "asking the NVIDIA driver killed the process that asked (SIGABRT)"),
    ],
)
@on_test_driver()
def test_a_driver_that_fails_is_a_sentence(code, sentence):
    os.environ["TEST_CUDA_INIT"] = str(code)
    assert str(probe_cuda()).startswith(sentence)


@on_test_driver(INIT=-1)
def test_a_driver_that_hangs_is_a_sentence():
    assert probe_cuda(1.5) == "the NVIDIA driver did not answer within 1.5 s: see whether nvidia-smi does"


@on_test_driver()
def test_all_devices_hidden_is_a_sentence():
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    assert "CUDA_VISIBLE_DEVICES, if set, names a device" in str(probe_cuda())


@on_test_driver()
def test_without_pycuda_the_sentence_says_how_to_have_it(tmp_path):
    _hide_pycuda(tmp_path, "raise ModuleNotFoundError('no')")
    assert probe_cuda() == (
        "PyCUDA is not installed (pip install 'dicomnode[gpu]', or scripts/pycuda.sh where it must be built)"
    )


@on_test_driver()
def test_a_pycuda_that_does_not_load_says_why(tmp_path):
    _hide_pycuda(tmp_path, "raise ImportError('undefined symbol: cuCtxCreate_v4')")
    assert probe_cuda() == "PyCUDA cannot be loaded (undefined symbol: cuCtxCreate_v4)"


def test_without_a_driver_the_process_lives_and_says_so(tmp_path):
    # An empty file for libcuda.so.1: there is no driver, also on a machine that has one
    (tmp_path / "libcuda.so.1").touch()
    code = "from dicomnode.device.cuda import probe_cuda; print(probe_cuda())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("there is no NVIDIA driver (")
    told = "install release 580 or later (535 or later with dicomnode[gpu-cu12])"
    assert done.stdout.strip().endswith(told)


@pytest.mark.parametrize(
    "said", ["", "Segmentation fault", "[]", '{"devices": 3}', '{"devices": [{"name": "x"}]}']
)
def test_an_answer_that_is_none_is_a_sentence(said):
    assert str(probe._devices(said)).startswith(
        "the process that asked the NVIDIA driver said something else"
    )


def test_no_device_at_all_is_a_sentence():
    assert probe._devices('{"devices": []}') == "the NVIDIA driver sees no device"


@on_test_driver(DRIVER=12_080)
def test_the_driver_is_named_by_its_release_where_the_system_tells(tmp_path):
    release = tmp_path / "version"
    release.write_text("570.86.15\n")
    assert driver_title(release) == "570.86.15 (CUDA 12.8)"
    assert driver_title(tmp_path / "absent") == "CUDA 12.8"


def _hide_pycuda(folder, statement):
    package = folder / "pycuda"
    package.mkdir()
    (package / "__init__.py").write_text(statement)
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{os.environ['PYTHONPATH']}"
