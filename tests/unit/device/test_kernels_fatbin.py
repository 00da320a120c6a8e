"""The compiled kernels: made for every GPU, complete, and refused where they are not what was built."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from dicomnode.device.fatbins import fatbin
from dicomnode.device.launches import LAUNCHES
from dicomnode.faults import KERNELS_ALTERED, KERNELS_MISSING, KERNELS_UNFIT, NodeError
from tests.unit.device.looped import DEVICE, tool

_ROOT = DEVICE.parents[1]
_SOURCE = DEVICE / "kernels.cu"
_ARCHITECTURES = [75, 80, 86, 89, 90, 100, 120]
_PTX, _CUBIN = 1, 2


def script(*arguments, **environment):
    return subprocess.run(
        ["bash", str(_ROOT / "scripts" / "kernels.sh"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env={**os.environ, "PYTHON": sys.executable, **environment},
    )


def made(folder: Path, name: str) -> bytes:
    for program in ("bash", "nvcc", "fatbinary"):
        tool(program)
    done = script("--into", folder, name)
    assert done.returncode == 0, done.stderr + done.stdout
    return (folder / f"kernels-{name}.fatbin").read_bytes()


@pytest.fixture(scope="session")
def of_cuda_13(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cu13")
    return made(folder, "cu13"), folder


@pytest.fixture(scope="session")
def of_cuda_12(tmp_path_factory):
    if not list(_ROOT.glob("build/nvrtc-cu12/**/libnvrtc.so.12")):
        missing = "NVRTC of CUDA 12 is not in build/nvrtc-cu12: run scripts/kernels.sh cu12"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    return made(tmp_path_factory.mktemp("cu12"), "cu12")


def images(content: bytes):
    """Kind and architecture of each image in a fatbin: its header, then header and bytes of each image."""
    _, _, header, size = struct.unpack_from("<IHHQ", content)
    at, found = header, []
    while at < header + size:
        kind, _, length, payload = struct.unpack_from("<HHIQ", content, at)
        found.append((kind, struct.unpack_from("<I", content, at + 28)[0]))
        at += length + payload
    assert at == len(content)
    return sorted(found)


def test_there_is_code_for_every_gpu_and_for_those_to_come(of_cuda_13):
    assert images(of_cuda_13[0]) == [(_PTX, 75), *((_CUBIN, arch) for arch in _ARCHITECTURES)]


@pytest.mark.long
def test_cuda_12_has_the_same(of_cuda_12):
    assert images(of_cuda_12) == [(_PTX, 75), *((_CUBIN, arch) for arch in _ARCHITECTURES)]


def test_every_kernel_of_the_table_is_in_every_image(of_cuda_12):
    # Not compressed: names stand in the symbol tables of the cubins and in the text of the PTX
    for name in LAUNCHES:
        assert of_cuda_12.count(f"\0{name}\0".encode()) >= len(_ARCHITECTURES), name
        assert len(re.findall(rf"\.entry {name}\(".encode(), of_cuda_12)) == 1, name


def test_nvcc_sees_every_kernel_and_spills_none(tmp_path):
    command = [tool("nvcc"), "-O3", "-std=c++17", "-fmad=false", "-cubin", "-arch=sm_75", "-Xptxas", "-v"]
    command += ["-Werror", "all-warnings", "-o", str(tmp_path / "kernels.cubin"), str(_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    told = done.stderr + done.stdout
    assert done.returncode == 0, told
    assert set(re.findall(r"Compiling entry function '(\w+)'", told)) == set(LAUNCHES)
    assert set(re.findall(r"(\d+) bytes spill", told)) == {"0"}
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", told)]
    assert len(registers) == len(LAUNCHES)
    assert max(registers) <= 64  # four blocks of 256 threads on a multiprocessor, on any GPU


def test_nothing_is_fused_that_does_not_say_so(of_cuda_12):
    ptx = of_cuda_12[of_cuda_12.index(b".version") :].decode("latin-1")
    bodies = dict(re.findall(r"\.entry (\w+)\((.*?)(?=\.visible \.entry|\Z)", ptx, re.DOTALL))
    fused = {name for name, body in bodies.items() if re.search(r"\bfma\.rn\.f", body)}
    exponential = {"dn_softmax", "dn_sigmoid"}  # inside of the library's function
    assert fused == {"dn_trilinear", "dn_nearest"} | exponential


def test_what_is_up_to_date_is_not_made_again(of_cuda_13):
    path = of_cuda_13[1] / "kernels-cu13.fatbin"
    before = path.stat().st_mtime_ns
    done = script("--into", of_cuda_13[1], "cu13", PATH="/usr/bin:/bin")  # also where there is no nvcc
    assert "up to date" in done.stdout
    assert path.stat().st_mtime_ns == before


def test_without_nvcc_the_script_says_what_is_missing(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("bash", "dirname", "mktemp", "mkdir", "rm", "sha256sum", "cut", "basename"):
        (folder / program).symlink_to(shutil.which(program))
    done = script("--into", tmp_path / "out", "cu13", PATH=str(folder))
    assert done.returncode == 1
    assert "nvcc of the CUDA 13 toolkit is not on PATH" in done.stderr


def test_a_fatbin_that_was_made_is_taken(of_cuda_13):
    content, folder = of_cuda_13
    assert fatbin(13000, folder=folder) == content


# What follows needs no compiler: any bytes with the magic number and their digests stand for kernels.


@pytest.fixture
def put(tmp_path):
    (tmp_path / "kernels.cu").write_text("source", encoding="utf-8")

    def put(name: str, source: bytes = b"source") -> bytes:
        content = b"\x50\xed\x55\xba" + name.encode()
        (tmp_path / f"kernels-{name}.fatbin").write_bytes(content)
        lines = [
            f"{sha256(content).hexdigest()}  kernels-{name}.fatbin",
            f"{sha256(source).hexdigest()}  kernels.cu",
        ]
        (tmp_path / f"kernels-{name}.fatbin.sha256").write_text("\n".join(lines) + "\n", encoding="ascii")
        return content

    return put


def load(folder: Path, driver: int) -> bytes:
    return fatbin(driver, folder=folder, source=folder / "kernels.cu")


@pytest.mark.parametrize(
    ("driver", "built", "taken"),
    [
        (13000, ["cu12", "cu13"], "cu13"),
        (13020, ["cu12", "cu13"], "cu13"),
        (14010, ["cu12", "cu13"], "cu13"),
        (12020, ["cu12", "cu13"], "cu12"),
        (12090, ["cu12", "cu13"], "cu12"),
        (13000, ["cu12"], "cu12"),
    ],
)
def test_a_driver_takes_what_its_version_of_cuda_can_run(put, tmp_path, driver, built, taken):
    contents = {name: put(name) for name in built}
    assert load(tmp_path, driver) == contents[taken]


@pytest.mark.parametrize(("driver", "built"), [(13000, []), (12040, ["cu13"])])
def test_kernels_that_are_not_there_are_missing(put, tmp_path, driver, built):
    for name in built:
        put(name)
    with pytest.raises(NodeError) as raised:
        load(tmp_path, driver)
    assert raised.value.fault is KERNELS_MISSING
    assert "make kernels" in str(raised.value) + raised.value.fault.remedy


def test_a_driver_older_than_cuda_12_is_refused(put, tmp_path):
    put("cu12")
    with pytest.raises(NodeError, match=r"CUDA 11\.8") as raised:
        load(tmp_path, 11080)
    assert raised.value.fault is KERNELS_UNFIT


def altered(folder: Path) -> None:
    path = folder / "kernels-cu13.fatbin"
    path.write_bytes(path.read_bytes() + b"\0")


def without_digest(folder: Path) -> None:
    (folder / "kernels-cu13.fatbin.sha256").unlink()


def of_another_source(folder: Path) -> None:
    (folder / "kernels.cu").write_text("newer source", encoding="utf-8")


def no_fatbin(folder: Path) -> None:
    content = b"#!/bin/sh"
    (folder / "kernels-cu13.fatbin").write_bytes(content)
    sums = folder / "kernels-cu13.fatbin.sha256"
    sums.write_text(f"{sha256(content).hexdigest()}  kernels-cu13.fatbin\n", encoding="ascii")


@pytest.mark.parametrize("change", [altered, without_digest, of_another_source, no_fatbin])
def test_kernels_that_are_not_what_was_built_are_refused(put, tmp_path, change):
    put("cu13")
    put("cu12")
    change(tmp_path)
    with pytest.raises(NodeError) as raised:
        load(tmp_path, 13000)
    assert raised.value.fault is KERNELS_ALTERED
