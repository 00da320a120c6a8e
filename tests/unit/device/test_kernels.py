"""The arithmetic on voxels: numpy and scipy on the CPU, and the kernels compiled for the host."""

from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.device import launched
from dicomnode.device.buffer import HostBuffer
from dicomnode.device.host_kernels import HostKernels
from dicomnode.device.kernels import AxisWeights, View, WindowWeights
from dicomnode.device.launched import LaunchedKernels
from dicomnode.device.launches import LAUNCHES, Launch, parts_of
from tests.unit.device.kernels_contract import (
    KernelsContract,
    a_matrix,
    blobs,
    interpolating,
    noise,
    seeds,
    shapes,
    some,
)
from tests.unit.device.looped import DEVICE, ORDERS, LoopedMachine, compiled

_SOURCE = (DEVICE / "kernels.cu").read_text(encoding="utf-8")
_CODE = re.sub(r"//[^\n]*", "", _SOURCE)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="session")
def looped(library):
    return LaunchedKernels(LoopedMachine(library))


class TestOnTheHost(KernelsContract):
    @pytest.fixture(scope="class")
    @classmethod
    def kernels(cls):
        return HostKernels()


class TestCompiledForTheHost(KernelsContract):
    @pytest.fixture(scope="class")
    @classmethod
    def kernels(cls, looped):
        return looped


class TestRunBackwards(KernelsContract):
    """No kernel leans on the order in which threads run."""

    @pytest.fixture(scope="class")
    @classmethod
    def kernels(cls, library):
        return LaunchedKernels(LoopedMachine(library, "backwards"))


class TestRunAtOnce(KernelsContract):
    """On four host threads at a time: the atomics, and plain writes of one value, are put to the test."""

    @pytest.fixture(scope="class")
    @classmethod
    def kernels(cls, library):
        return LaunchedKernels(LoopedMachine(library, "at once"))


@pytest.mark.parametrize("order", list(ORDERS))
@some
@given(shape=shapes, seed=seeds, density=st.sampled_from([0.3, 0.5, 0.9]))
def test_components_do_not_depend_on_the_order_of_threads(library, looped, order, shape, seed, density):
    mask = blobs(shape, seed, density)
    kernels = LaunchedKernels(LoopedMachine(library, order, seed))
    labels, count = kernels.components(kernels.upload(mask))
    expected, expected_count = looped.components(looped.upload(mask))
    assert count == expected_count
    np.testing.assert_array_equal(labels.host(), expected.host())


@pytest.mark.parametrize("density", [0.4, 0.6, 0.9])
def test_components_are_right_when_threads_break_off_amid_a_joining(library, density):
    for seed in range(30):
        mask = blobs((9, 9, 9), seed, density)
        kernels = LaunchedKernels(LoopedMachine(library, "breaking off", seed))
        labels, count = kernels.components(kernels.upload(mask))
        expected, expected_count = HostKernels().components(HostBuffer(mask))
        assert count == expected_count
        np.testing.assert_array_equal(labels.host(), expected.host())


def both(looped, operation):
    """Do it with the kernels and with numpy and scipy; return both results."""
    return [operation(kernels) for kernels in (looped, HostKernels())]


@some
@given(shape=shapes, seed=seeds)
def test_kernels_and_numpy_round_alike(looped, shape, seed):
    values = noise(shape, seed)
    for operation in (
        lambda k: k.scale_clip(k.upload(values), slope=0.1, intercept=-3.3, low=-1024.5, high=900.1),
        lambda k: k.z_score(k.upload(values), mean=13.7, std=311.3, only_nonzero=True),
        lambda k: k.axis_map(k.upload(values), interpolating(np.linspace(-1, shape[1], 17), shape[1]), 1),
        lambda k: k.threshold(k.upload(values), 0.1),
    ):
        ours, numpys = both(looped, operation)
        np.testing.assert_array_equal(ours.host(), numpys.host())


def test_a_volume_of_the_size_of_a_chest_is_off_by_no_more_than_its_indices(looped):
    values, target = noise((60, 70, 80), scale=1.0), (91, 75, 101)
    matrix = a_matrix(values.shape, target, 5)
    ours, scipys = both(looped, lambda k: k.trilinear(k.upload(values), matrix, target, outside=-1.0))
    largest_step = max(float(np.abs(np.diff(values, axis=axis)).max()) for axis in range(3))
    assert np.abs(ours.host() - scipys.host()).max() < 2e-5 * largest_step


def test_statistics_are_the_same_in_any_order_of_threads(library):
    values = noise(50_021)
    known = {
        LaunchedKernels(LoopedMachine(library, order)).statistics(LoopedMachine(library).upload(values))
        for order in ORDERS
    }
    assert len(known) == 1


@pytest.mark.parametrize("planes", [1, 5, 6, 64])
def test_more_windows_than_a_grid_has_planes_take_several_launches(looped, monkeypatch, planes):
    monkeypatch.setattr(launched, "MOST_BLOCKS", (2**31 - 1, 65_535, planes))
    values, starts = noise((4, 5, 6)), np.array([[n % 3, n % 2, n % 4] for n in range(11)], np.int32)
    patches, expected = both(looped, lambda k: k.gather(k.upload(values), starts, (2, 3, 3)))
    np.testing.assert_array_equal(patches.host(), expected.host())


def test_a_buffer_of_another_device_is_refused(looped):
    with pytest.raises(TypeError, match="another device"):
        looped.threshold(HostBuffer(noise((2, 2, 2))), 0.0)


def test_the_table_and_the_source_name_the_same_kernels():
    assert set(re.findall(r"DN_KERNEL (dn_\w+)\(", _CODE)) == set(LAUNCHES)


@pytest.mark.parametrize("name", list(LAUNCHES))
def test_the_table_has_the_arguments_of_the_source(library, name):
    assert library.host_codes(name.encode()).decode() == LAUNCHES[name].codes
    signature = re.search(rf"DN_KERNEL {name}\((.*?)\)", _CODE, re.DOTALL)[1]
    names = [argument.split()[-1].lstrip("*") for argument in signature.split(",")]
    short = {f"matrix_{row}{column}": f"{row}{column}" for row in "kji" for column in "kji1"}
    assert [short.get(argument, argument) for argument, _ in LAUNCHES[name].arguments] == names


@pytest.mark.parametrize("word", ["__shared__", "__syncthreads", "__shfl", "__ballot", "atomicMin", "asm"])
def test_no_kernel_does_what_a_looped_run_cannot_follow(word):
    assert word not in _CODE


def test_atomics_are_on_integers_only():
    kernels = _CODE[_CODE.index("#endif", _CODE.index("atomicCAS")) :]
    uses = re.findall(r"atomic\w+\(&(\w+)", kernels)
    assert len(uses) == len(re.findall(r"atomic", kernels))
    assert set(uses) == {"parents", "firsts", "sizes"}
    for array in set(uses):
        assert re.search(rf"(float|double)\s*\*\s*(__restrict__\s*)?{array}\b", kernels) is None


def test_a_grid_covers_all_threads_and_no_block_more():
    launch = LAUNCHES["dn_gather"]
    values = dict.fromkeys((name for name, _ in launch.arguments), 1)
    values |= {"window_i": 33, "window_j": 8, "window_k": 5, "windows": 3}
    assert launch.grid(values) == (2, 1, 15)


def test_a_flat_grid_counts_what_a_thread_does():
    launch = LAUNCHES["dn_threshold"]
    values = dict.fromkeys((name for name, _ in launch.arguments), 0)
    assert launch.grid(values | {"count": 1024}) == (1, 1, 1)
    assert launch.grid(values | {"count": 2**33 + 1}) == (2**23 + 1, 1, 1)


@pytest.mark.parametrize(("sizes", "says"), [((0, 1, 1), "nothing to do"), ((70_000, 1, 1), "blocks")])
def test_a_grid_that_cuda_refuses_is_refused_before(sizes, says):
    launch = LAUNCHES["dn_components_merge"]
    with pytest.raises(ValueError, match=says):
        launch.grid(dict(zip(("size_k", "size_j", "size_i"), sizes, strict=True)))


@pytest.mark.parametrize("given_names", [{"count"}, {"values", "mask", "count", "above", "below"}])
def test_arguments_are_complete_and_known(given_names):
    with pytest.raises(ValueError, match="dn_threshold takes"):
        LAUNCHES["dn_threshold"].in_order(dict.fromkeys(given_names, 0))


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": (("count", "q"), ("count", "q"))},
        {"arguments": (("count", "d"),)},
        {"threads": (("voxels",), (), ())},
        {"block": (2048, 1, 1)},
        {"each": 0},
    ],
)
def test_a_launch_that_cannot_be_is_refused(change):
    plain = {field.name: getattr(LAUNCHES["dn_components_relabel"], field.name) for field in fields(Launch)}
    with pytest.raises(ValueError, match="Launch"):
        Launch(**(plain | change))


def test_partial_sums_cost_less_than_a_sixth_of_what_is_read():
    assert [parts_of(count) for count in (1, 10**6, 10**9)] == [256, 15_625, 262_144]
    assert all(6 * 5 * 8 * parts_of(count) < 4 * count for count in (2**14, 10**5, 10**6, 10**9))


@pytest.mark.parametrize(
    "change",
    [
        {"row_starts": np.array([0, 3], np.int32)},
        {"row_starts": np.array([1, 2], np.int32)},
        {"row_starts": np.array([0, 2, 1], np.int32)},
        {"columns": np.array([0, 5], np.int32)},
        {"columns": np.array([-1, 0], np.int32)},
        {"columns": np.array([0, 1])},
        {"weights": np.array([1.0], np.float32)},
    ],
)
def test_weights_that_reach_beyond_an_axis_are_refused(change):
    right = {
        "row_starts": np.array([0, 2], np.int32),
        "columns": np.array([0, 4], np.int32),
        "weights": np.array([0.5, 0.5], np.float32),
        "length": 5,
    }
    assert AxisWeights(**right).rows == 1
    with pytest.raises(ValueError, match="AxisWeights"):
        AxisWeights(**(right | change))


def test_weights_of_unequally_many_windows_are_refused():
    with pytest.raises(ValueError, match="equally many"):
        WindowWeights(
            along_k=np.ones((2, 3), np.float32),
            along_j=np.ones((1, 3), np.float32),
            along_i=np.ones((2, 3), np.float32),
        )


def test_axes_that_are_no_order_are_refused():
    with pytest.raises(ValueError, match="axes"):
        View.turned((2, 3, 4), (0, 0, 2), (False, False, False))
