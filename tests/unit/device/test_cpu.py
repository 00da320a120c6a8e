"""The CPU as a device."""

from __future__ import annotations

import os
import platform

import pytest

from dicomnode.device import Device, cpu_device


def test_no_number_of_threads_means_all_that_the_process_may_use():
    assert cpu_device().threads == len(os.sched_getaffinity(0))


def test_more_threads_than_the_process_may_use_are_cut():
    assert cpu_device(10_000).threads == len(os.sched_getaffinity(0))
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
