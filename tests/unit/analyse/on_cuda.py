"""From volume to Findings over CUDA: the node's kernels and buffers, TensorRT's session and plans.

`test_on_device_cuda.py` runs this file in a process that finds the test driver; a double of TensorRT's module
runs the networks on that driver's memory. On a machine with a GPU: pytest tests/unit/analyse/on_cuda.py
"""

from __future__ import annotations

import gc
from unittest.mock import patch

import numpy as np
import onnx
import pytest
from structlog.testing import capture_logs

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse import analyst as analyst_module
from dicomnode.analyse.device_path import ladder
from dicomnode.device.cuda import CudaContext, ends_process
from dicomnode.device.cuda import kernels as cuda_kernels
from dicomnode.engine import find_engine
from dicomnode.engine.runtimes.tensorrt import BuildOptions, InputRange, ReadyPlan, build_plan
from dicomnode.engine.runtimes.tensorrt import runtime as runtime_module
from dicomnode.engine.runtimes.tensorrt.session import TensorRtSession
from dicomnode.faults import DEVICE_FULL, NETWORK_FAILED, NodeError, Retry
from tests.fixtures.cuda_driver.child import compiled_kernels, counted, set_driver
from tests.fixtures.tensorrt import double
from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest
from tests.unit.analyse.device_cases import CASES, classes, segments, volume
from tests.unit.analyse.devices import WHEN, analysed, dice, same
from tests.unit.analyse.forms import CT, engine, node, onnx_bytes, step
from tests.unit.engine.tensorrt_session import Here, capability_of, given

LARGEST = 512


@pytest.fixture
def cuda():
    with CudaContext() as context:
        yield context
    gc.collect()


@pytest.fixture(autouse=True)
def on_the_device(cuda, monkeypatch):
    """Networks are loaded as plans, warm; and what of TensorRT was used wrongly is nothing."""
    compiled = compiled_kernels()
    if compiled is not None:
        monkeypatch.setattr(cuda_kernels, "fatbin", lambda version: compiled)
    monkeypatch.setattr(runtime_module, "bindings", lambda flavour: double)
    monkeypatch.setattr(TensorRtSession, "warm_up", lambda self: 0)
    double.misuse.clear()
    yield
    assert double.misuse == []


def plans(network, capability):
    """Build at once, for any lengths of the axes that are free."""
    ranges = []
    for one in onnx.load_model_from_string(network.content).graph.input:
        lengths = [axis.dim_value for axis in one.type.tensor_type.shape.dim]
        low, high = ([length or free for length in lengths] for free in (1, LARGEST))
        ranges.append(InputRange(name=one.name, smallest=tuple(low), best=tuple(low), largest=tuple(high)))
    built = build_plan(double, network, BuildOptions(profiles=(tuple(ranges),)))
    return ReadyPlan(content=built, key="f" * 64, precision="fp32", tf32=False)


def opened(cuda, package, **wishes) -> Analyst:
    """Load an engine whose networks run on the device."""

    def open_session(package, step, threads, wish, **_):
        content = package.network_bytes(package.step(step))
        return Here(cuda, plans).load(given(content), capability_of(cuda))

    with patch.object(analyst_module, "open_session", open_session):
        return Analyst(package, threads=1, node_version="9.9", **wishes)


def analyse(analyst, volumes):
    return analyst.analyse(Analysis(volumes=volumes, salt=b"s" * 32, study_version=1, made_at=WHEN))


def close_to(found, expected):
    assert found.outcome == expected.outcome
    assert min(dice(found, expected), default=1.0) >= 0.9999
    assert len(found.regions) == len(expected.regions)
    assert [one.text for one in found.remarks] == [one.text for one in expected.remarks]
    for one, other in zip(found.segments, expected.segments, strict=True):
        values = [[number.value for number in segment.measurements] for segment in (one, other)]
        np.testing.assert_allclose(*values, rtol=1e-4)
    for one, other in zip(found.maps, expected.maps, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_findings_are_those_of_the_cpu_path_and_memory_comes_back(cuda, tmp_path, name):
    package, volumes = CASES[name](tmp_path / "engine")
    expected = analysed(package, volumes)
    before = cuda.pool.used
    analyst = opened(cuda, package)
    close_to(analyse(analyst, volumes), expected)
    warm = cuda.pool.used
    found = analyse(analyst, volumes)
    assert cuda.pool.used == warm  # what the sessions work in
    close_to(found, expected)
    assert "network" in found.provenance.details["on the device"]
    analyst.close()
    assert cuda.pool.used == before


def a_large_engine(folder, window="{ size_kji = [16, 32, 32], overlap = 0.25, batch = 8 }", channels=4):
    prepare = (
        'prepare = [ { orient = "LPS" }, { resample_mm = [2.0, 1.0, 1.0] }, { clip = [-500.0, 900.0] } ]\n'
    )
    body = step(keys=f'window = {window}\ninterpret = "labels"') + segments(2)
    return engine(folder, body, {"net.onnx": classes(channels)}, CT + prepare)


def test_a_volume_goes_up_once_and_a_mask_comes_down_once(cuda, tmp_path):
    ct = volume(shape=(48, 90, 100), spots=30)
    analyst = opened(cuda, a_large_engine(tmp_path / "e"))
    analyse(analyst, {"ct": ct})
    before, launches = cuda.traffic, counted("launches") if compiled_kernels() else 0
    found = analyse(analyst, {"ct": ct})
    moved = cuda.traffic - before
    bits = sum(segment.mask.bits.nbytes for segment in found.segments)
    assert len(found.segments) == 2
    # Beside the volume: where windows begin, their weights, and the rows of the maps along each axis
    assert ct.voxels.nbytes <= moved.bytes_up < 1.1 * ct.voxels.nbytes
    # Beside the bits: 256 rows of statistics, and a flag for each plane, row and column of each mask's box
    assert bits <= moved.bytes_down < bits + 256 * 5 * 8 + 4 * 3 * 200
    assert moved.arrays_down == 1 + 4 + 2  # statistics, boxes in both grids, bits
    if compiled_kernels():
        windows = 5 * 4 * 4
        assert counted("launches") - launches < 60 + 2 * windows / 8


def test_what_a_later_step_is_cropped_to_comes_down_as_bits(cuda, tmp_path):
    package, volumes = CASES["chained"](tmp_path / "e")
    analyst = opened(cuda, package)
    before = cuda.traffic
    found = analyse(analyst, volumes)
    statistics = 3 * 256 * 5 * 8  # for z_score, and of each network's map
    assert (cuda.traffic - before).bytes_down < statistics + 15_000  # the maps have a hundred thousand each
    assert "first as a channel" in found.provenance.details["on the host"]


@pytest.mark.parametrize("window", ['"whole"', "{ size_kji = [8, 12, 12] }"])
def test_what_is_not_a_number_is_no_result(cuda, tmp_path, window):
    network = onnx_bytes(
        [node("Log", ["x"], ["l"]), node("Concat", ["l", "x"], ["y"], axis=1)],
        [("x", [1, 1, "k", "j", "i"])],
        [("y", [1, 2, "k", "j", "i"], 1)],
    )
    body = step(keys=f'window = {window}\ninterpret = "labels"') + segments(1)
    analyst = opened(cuda, engine(tmp_path / "e", body, {"net.onnx": network}))
    used = cuda.pool.used
    with pytest.raises(NodeError, match="its output y holds what is not a number") as caught:
        analyse(analyst, {"ct": volume()})
    assert caught.value.fault is NETWORK_FAILED
    del caught
    gc.collect()
    cuda.pool.free_held()
    assert cuda.pool.used - used < 2 * double.WORK_BYTES


def short_of_memory():
    return pytest.mark.skipif(
        compiled_kernels() is None, reason="the memory of a real GPU is not ours to set"
    )


ONE_LESS = ["batch 64", "batch 64", "batch 32", "batch 1"]  # the first again, when kept memory was given back


@short_of_memory()
@pytest.mark.parametrize(
    ("room_mb", "failed"), [(90, []), (48, ONE_LESS[:2]), (30, ONE_LESS[:3]), (14, ONE_LESS)]
)
def test_a_device_that_is_too_small_is_given_smaller_work_and_the_same_is_found(
    cuda, tmp_path, monkeypatch, room_mb, failed
):
    """The sums of all planes are 20 MB, a batch of 64 windows 27 MB, with what is made of it 30."""
    monkeypatch.setattr(ladder, "PIECE_BYTES", 1_000_000)
    monkeypatch.setattr(ladder, "SMALL_PIECE_BYTES", 100_000)
    ct = {"ct": volume(shape=(96, 70, 80), spots=30)}
    window = "{ size_kji = [8, 32, 32], overlap = 0.25, batch = 64 }"
    analyst = opened(cuda, a_large_engine(tmp_path / "e", window, channels=12))
    expected = analyse(analyst, ct)
    cuda.pool.free_held()
    set_driver("OOM_AFTER", cuda.pool.used + room_mb * 1_000_000)
    with capture_logs() as said:
        found = analyse(analyst, ct)
    assert [one["way"] for one in said if one["event"] == "device.memory_short"] == failed
    assert same(found, expected)
    cuda.pool.free_held()
    assert cuda.pool.used < 2_000_000  # what the session works in; the sums and batches are gone


@short_of_memory()
def test_when_nothing_helps_others_are_asked_to_go_and_the_study_is_tried_again_later(cuda, tmp_path):
    ct = {"ct": volume(shape=(96, 70, 80))}
    asked = []

    def make_room(wanted):
        asked.append(wanted)
        return True

    analyst = opened(cuda, a_large_engine(tmp_path / "e"), make_room=make_room)
    expected = analyse(analyst, ct)
    cuda.pool.free_held()
    used = cuda.pool.used
    set_driver("OOM_AFTER", used + 100_000)
    with pytest.raises(NodeError) as caught:
        analyse(analyst, ct)
    assert caught.value.fault is DEVICE_FULL
    assert caught.value.fault.retry is Retry.BACKOFF
    assert "has too little memory while preparing" in str(caught.value)
    assert len(asked) == 1
    del caught
    set_driver("OOM_AFTER", -1)
    gc.collect()
    cuda.pool.free_held()
    assert cuda.pool.used == used
    assert same(analyse(analyst, ct), expected)


@pytest.mark.slow
def test_the_shipped_engine_goes_over_the_device_and_what_has_no_form_there_comes_down_once(cuda):
    package = find_engine("lung-ct")
    ct = {"ct": chest_volume()}
    expected = analysed(package, ct)
    analyst = opened(cuda, package)
    before = cuda.traffic
    found = analyse(analyst, ct)
    moved = cuda.traffic - before
    close_to(found, expected)
    assert [one.label for one in found.segments][:2] == ["lung-right", "lung-left"]
    assert len(found.segments) > 2
    told = found.provenance.details
    assert told["on the device"] == "prepare, nodules: network"
    assert "lungs (it is an algorithm of the node)" in told["on the host"]
    assert "nodules: centre_heat (it has no form on a device)" in told["on the host"]
    prepared = 4 * 240 * 182 * 250
    coarse = 4 * 80 * 64 * 80  # of 4 mm, for the network that has a spacing of its own
    assert moved.bytes_up < 1.1 * (ct["ct"].voxels.nbytes + coarse)
    assert moved.bytes_down < 2.5 * prepared  # the volume for the lungs, once, and the maps of its box


def chest_volume():
    ball = (-70.0, 10.0, 30.0, 8.0, 60.0)
    hu = np.rint(drawn.draw(Chest(balls=(ball,)))).astype(np.int16)
    return volume_of(hu, drawn.affine())


def volume_of(voxels, affine):
    made = volume(shape=voxels.shape, spots=0)
    return type(made)(
        voxels=voxels,
        affine_lps=affine,
        unit=made.unit,
        frame_of_reference_uid=made.frame_of_reference_uid,
        study_instance_uid=made.study_instance_uid,
        series_instance_uid=made.series_instance_uid,
        frames=made.frames,
        headers=made.headers,
    )


@short_of_memory()
def test_a_device_that_breaks_ends_the_study_at_once_and_the_process_must_end(cuda, tmp_path):
    """The last test of this file: after it this process cannot use the device."""
    asked = []
    analyst = opened(
        cuda, a_large_engine(tmp_path / "e"), make_room=lambda wanted: bool(asked.append(wanted))
    )
    analyse(analyst, {"ct": volume()})
    set_driver("FAULT", 700)
    set_driver("FAULT_AT", counted("launches") + 12)
    with pytest.raises(NodeError) as caught:
        analyse(analyst, {"ct": volume()})
    assert ends_process(caught.value)
    assert cuda.broken
    assert not asked
