"""The CPU as a device."""

from __future__ import annotations

import os
import platform

import pytest

from dicomnode.device import Device, cpu_device, usable_cores


def test_no_number_of_threads_means_all_that_the_process_may_use():
    assert cpu_device().threads == usable_cores()


def test_more_threads_than_the_process_may_use_are_cut():
    assert cpu_device(10_000).threads == usable_cores() <= len(os.sched_getaffinity(0))
    assert cpu_device(1).threads == 1


def test_the_name_is_the_model_that_the_system_tells(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some   CPU @ 2.50GHz\nmodel name\t: Other\n")
    assert cpu_device(1, cpuinfo).name == "Some CPU @ 2.50GHz"


@pytest.mark.parametrize("content", ["", "processor : 0\nmodel name :\n", None])
def test_where_the_system_tells_no_model_the_name_is_the_architecture(tmp_path, content):
    cpuinfo = tmp_path / "cpuinfo"
    if content is not None:
        cpuinfo.write_text(content)
    assert cpu_device(1, cpuinfo).name == platform.machine()


def test_a_device_without_threads_is_a_bug():
    with pytest.raises(ValueError, match="threads"):
        Device(name="x", kind="cpu", threads=0)


@pytest.fixture
def cores_with(tmp_path, monkeypatch):
    """Cores of a process on a machine of eight, in a cgroup whose levels have these quotas."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))

    def count(own: str, **quotas: str) -> int:
        for name, quota in quotas.items():
            folder = tmp_path / "cgroup" / name.replace("__", "/") if name != "root" else tmp_path / "cgroup"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cpu.max").write_text(quota)
        (tmp_path / "own").write_text(own)
        return usable_cores(tmp_path / "own", tmp_path / "cgroup")

    return count


@pytest.mark.parametrize(
    ("own", "quotas", "cores"),
    [
        ("0::/\n", {"root": "max 100000\n"}, 8),
        ("0::/\n", {"root": "200000 100000\n"}, 2),
        ("0::/\n", {"root": "150000 100000\n"}, 2),
        ("0::/\n", {"root": "10000 100000\n"}, 1),
        ("0::/\n", {"root": "1600000 100000\n"}, 8),
        ("0::/a/b\n", {"a": "300000 100000\n", "a__b": "max 100000\n"}, 3),
        ("0::/a/b\n", {"a": "300000 100000\n", "a__b": "100000 100000\n"}, 1),
        ("1:cpu:/old\n0::/a\n", {"a": "400000 100000\n"}, 4),
        ("0::/a\n", {"a": "what is this\n"}, 8),
        ("1:cpu:/old\n", {}, 8),
        ("0::/not/there\n", {}, 8),
    ],
)
def test_threads_are_as_many_as_the_quota_of_the_cgroup_leaves(cores_with, own, quotas, cores):
    assert cores_with(own, **quotas) == cores


def test_a_system_that_tells_no_cgroup_leaves_all_cores(tmp_path):
    assert usable_cores(tmp_path / "absent", tmp_path) == len(os.sched_getaffinity(0))
