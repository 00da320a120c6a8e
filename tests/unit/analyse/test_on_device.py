"""The device path with the host's arithmetic gives what the CPU path gives, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse.device_path import DevicePath, device_path
from dicomnode.analyse.device_path import path as path_module
from dicomnode.analyse.device_path import step as step_module
from dicomnode.analyse.device_path.ladder import Rung
from dicomnode.engine import load_package
from dicomnode.faults import DEVICE_FULL, KERNELS_MISSING, NETWORK_FAILED, NodeError
from tests.unit.analyse.device_cases import CASES, volume
from tests.unit.analyse.devices import WHEN, CountingKernels, analysed, same
from tests.unit.analyse.engines import tissue_engine


@pytest.mark.parametrize("name", CASES)
def test_findings_are_those_of_the_cpu_path(tmp_path, name):
    package, volumes = CASES[name](tmp_path / "engine")
    expected = analysed(package, volumes)
    assert expected.segments
    found = analysed(package, volumes, CountingKernels())
    assert same(found, expected)
    assert "network" in found.provenance.details["on the device"]


WINDOWED = [name for name in CASES if "whole" not in name and name != "slices"]


@pytest.mark.parametrize("name", [name for name in WINDOWED if name != "slices of two series"])
def test_so_they_are_a_few_planes_at_a_time(tmp_path, name, monkeypatch):
    package, volumes = CASES[name](tmp_path / "engine")
    expected = analysed(package, volumes)
    monkeypatch.setattr(
        step_module, "rungs", lambda batch, slabs: (Rung(1, by_slabs=True, piece_bytes=20_000),)
    )
    assert same(analysed(package, volumes, CountingKernels()), expected)


def test_a_volume_goes_up_once_as_it_is_and_little_else(tmp_path):
    package, volumes = CASES["labels, even, batch of 3"](tmp_path / "engine")
    kernels = CountingKernels()
    analysed(package, volumes, kernels)
    assert kernels.bytes_up == [
        volumes["ct"].voxels.nbytes
    ]  # of int16; weights of windows go along with calls


@pytest.mark.parametrize(
    ("name", "most_bytes"),
    [
        ("labels, even, batch of 3", 60_000),
        ("labels, nnunet, mirrored", 60_000),
        ("two heads", 60_000),
        ("chained", 90_000),
    ],
)
def test_where_sums_of_all_planes_have_no_room_those_of_a_few_do(tmp_path, name, most_bytes):
    package, volumes = CASES[name](tmp_path / "engine")
    expected = analysed(package, volumes)
    kernels = CountingKernels(most_bytes)
    assert same(analysed(package, volumes, kernels), expected)
    assert kernels.refused >= 2


def test_a_device_that_stays_full_ends_the_study_for_now(tmp_path):
    package, volumes = CASES["labels, even"](tmp_path / "engine")
    with pytest.raises(NodeError) as caught:
        analysed(package, volumes, CountingKernels(most_bytes=100))
    assert caught.value.fault is DEVICE_FULL
    assert "while running net" in str(caught.value)


@pytest.mark.parametrize("interpret", ["labels", "sigmoid"])
@pytest.mark.parametrize("window", ['"whole"', "{ size_kji = [16, 16, 16] }"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("kernels", [None, CountingKernels], ids=["host", "device"])
def test_what_is_not_a_number_is_no_result(tmp_path, interpret, window, wrong, kernels):
    package = tissue_engine(tmp_path / "tissue", interpret=interpret, window=window)
    ct = volume()
    voxels = ct.voxels.astype(np.float32)
    voxels[4, 5, 6] = wrong
    with pytest.raises(NodeError, match="its output logits holds what is not a number") as caught:
        analysed(package, {"ct": replace(ct, voxels=voxels)}, kernels and kernels())
    assert caught.value.fault is NETWORK_FAILED


def test_what_was_done_where_is_told_and_nothing_of_it_on_the_cpu(tmp_path):
    package, volumes = CASES["two heads"](tmp_path / "engine")
    told = analysed(package, volumes, CountingKernels()).provenance.details
    assert told["on the device"] == "prepare, net: network, sigmoid, net: network"
    assert told["on the host"] == "net: map (it has no form on a device)"
    assert not {"on the device", "on the host"} & set(analysed(package, volumes).provenance.details)


@pytest.mark.parametrize(
    ("prepare", "there", "here"),
    [
        (
            '{ percentile = { lower = 1.0, upper = 99.0, b_max = 400.0 } }, { orient = "LPS" }',
            "prepare from orient",
            "prepare up to percentile",
        ),
        (
            '{ orient = "LPS" }, { percentile = { lower = 1.0, upper = 99.0, b_max = 400.0 } }',
            "",
            "prepare up to percentile",
        ),
        ('{ orient = "LPS" }', "prepare", ""),
    ],
)
def test_what_no_device_does_is_prepared_before_the_volume_goes_up(tmp_path, prepare, there, here):
    package = tissue_engine(tmp_path / "tissue", prepare=prepare)
    volumes = {"ct": volume()}
    found = analysed(package, volumes, CountingKernels())
    assert same(found, analysed(package, volumes))
    assert found.provenance.details["on the device"].startswith(there)
    assert here in found.provenance.details.get("on the host", "")


def test_a_step_without_a_form_there_runs_on_the_host_and_says_why(tmp_path):
    package, volumes = CASES["labels, whole"](tmp_path / "engine")
    text = (package.folder / "engine.toml").read_text()
    turned = text.replace(
        'interpret = "labels"', 'inputs = { x = { of = "ct", axes = "ncijk" } }\ninterpret = "labels"'
    )
    (package.folder / "engine.toml").write_text(turned)
    package = load_package(package.folder)
    found = analysed(package, volumes, CountingKernels())
    assert same(found, analysed(package, volumes))
    assert found.provenance.details["on the host"] == "net (its axes are ncijk)"


def test_networks_that_run_elsewhere_than_the_volume_are_run_on_the_host(tmp_path, monkeypatch):
    package, volumes = CASES["labels, even"](tmp_path / "engine")
    monkeypatch.setattr(DevicePath, "serves", lambda self, session: False)
    found = analysed(package, volumes, CountingKernels())
    assert same(found, analysed(package, volumes))
    assert "net (its network runs on " in found.provenance.details["on the host"]


def test_an_installation_without_the_nodes_kernels_stays_on_the_host_and_tells(tmp_path, monkeypatch):
    def missing(context):
        raise NodeError(KERNELS_MISSING, file="kernels-cu13.fatbin", problem="no such file")

    class OnCuda:
        cuda = object()

    monkeypatch.setattr(path_module, "kernels_of", missing)
    reason = device_path([OnCuda()])
    assert "kernels-cu13.fatbin: no such file" in reason
    assert device_path([]) == ""
    package, volumes = CASES["labels, even"](tmp_path / "engine")
    analyst = Analyst(package, threads=1, node_version="9.9")
    analyst.path = reason
    found = analyst.analyse(Analysis(volumes=volumes, salt=b"s" * 32, study_version=1, made_at=WHEN))
    assert found.provenance.details["why not on the device"] == reason
