"""How many windows go through a network at a time: as engine.toml says, else as its session likes best."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse.device_path import DevicePath
from dicomnode.analyse.networks import windows_at_a_time
from dicomnode.analyse.tensors import Layout
from dicomnode.analyse.watched import WatchedSession
from dicomnode.engine import StepSpec, Window, load_package
from dicomnode.engine.runtimes import REFERENCE, Network, best_batch_of
from tests.unit.analyse.device_cases import classes, segments, volume
from tests.unit.analyse.devices import CountingKernels, same
from tests.unit.analyse.forms import CT, engine, node, onnx_bytes, step
from tests.unit.analyse.one_input import infer_one

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Liking(WatchedSession):
    """A session that says which batch it likes, and notes those that it is given."""

    def __init__(self, session, best) -> None:
        super().__init__(session)
        self.best_batch = best
        self.given: list[int] = []

    def run(self, inputs):
        self.given.append(next(iter(inputs.values())).shape[0])
        return super().run(inputs)

    def infer(self, inputs):
        self.given.append(next(iter(inputs.values())).shape[0])
        return super().infer(inputs)


def analysed(package, best, kernels=None):
    liking = []

    def watch(_, session):
        liking.append(Liking(session, best))
        return liking[-1]

    analyst = Analyst(package, threads=1, node_version="9.9", watch=watch)
    try:
        if kernels is not None:
            analyst.path = DevicePath(kernels)
        given = Analysis(volumes={"ct": volume()}, salt=b"s" * 32, study_version=1, made_at=WHEN)
        return analyst.analyse(given), liking[0].given
    finally:
        analyst.close()


def windowed(folder, more=""):
    keys = f'window = {{ size_kji = [8, 16, 16]{more} }}\ninterpret = "labels"\n'
    return engine(folder, step(keys=keys) + segments(2), {"net.onnx": classes()})


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize(
    ("more", "best", "at_a_time"),
    [("", 1, 1), ("", 4, 4), (", batch = 3", 4, 3), (", batch = 1", 4, 1), ("", 1000, 48)],
)
def test_windows_go_through_as_the_session_likes_it_unless_the_manifest_says(
    tmp_path, on_device, more, best, at_a_time
):
    package = windowed(tmp_path / "e", more)
    found, batches = analysed(package, best, CountingKernels() if on_device else None)
    expected, ones = analysed(windowed(tmp_path / "one" / "e", ", batch = 1"), 1)
    assert len(ones) == sum(batches) == 48
    assert batches[:-1] == [at_a_time] * (len(batches) - 1)
    assert batches[-1] == (48 % at_a_time or at_a_time)
    for one, other in zip(found.segments, expected.segments, strict=True):
        assert np.array_equal(one.mask.to_array(), other.mask.to_array())


@pytest.mark.parametrize("best", [2, 3, 7])
def test_the_findings_are_those_of_one_window_at_a_time(tmp_path, best):
    package = windowed(tmp_path / "e")
    assert same(analysed(package, best)[0], analysed(package, 1)[0])


def test_a_network_of_slices_counts_each_of_them(tmp_path):
    """Its first axis has the slices of all windows: of windows of 8 slices two make 16 items."""
    content = onnx_bytes(
        [node("Identity", ["x"], ["y"])],
        [("x", ["n", 1, "j", "i"])],
        [("y", ["n", 1, "j", "i"], TensorProto.FLOAT)],
    )
    keys = 'window = { size_kji = [8, 16, 16] }\ninputs = { x = { of = ["ct"], axes = "ncji" } }\n'
    body = step(keys=keys + 'interpret = "sigmoid"\n', gate="shape = [2, 1, 8, 8]") + segments(1)
    package = engine(tmp_path / "e", body, {"net.onnx": content}, CT)
    assert set(analysed(package, 16)[1]) == {16}
    assert set(analysed(package, 7)[1]) == {8}


def test_runtimes_of_the_cpu_like_one_at_a_time(tmp_path):
    content = classes()
    network = Network(engine="small 1.0.0", file="net.onnx", content=content)
    session = REFERENCE.load(network, REFERENCE.probe(1))
    assert best_batch_of(session) == 1
    assert windows_at_a_time(StepSpec(network="net.onnx"), session, [Layout("nckji")]) == 1
    session.close()


@given(
    st.sampled_from(["even", "monai", "nnunet"]),
    st.integers(1, 40),
    st.tuples(st.integers(8, 21), st.integers(8, 21), st.integers(8, 21)),
    st.sampled_from([(), ("k",), ("j", "i")]),
)
@settings(max_examples=40, deadline=None)
def test_windows_in_batches_of_any_size_sum_to_the_same_bits(rule, batch, shape, mirror):
    box = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    kernel = np.array([1.0, -2.0, 0.5], np.float32)

    def network(tensor):
        """Look at neighbours along i, as a convolution does."""
        wide = np.pad(tensor, [(0, 0)] * 4 + [(1, 1)])
        size = tensor.shape[-1]
        return {"y": sum(weight * wide[..., n : n + size] for n, weight in enumerate(kernel))}

    one, many, left_out = (
        infer_one(network, box, Window(size_kji=(8, 8, 8), rule=rule, mirror=mirror, batch=size))["y"]
        for size in (1, batch, None)
    )
    assert np.array_equal(one, many)
    assert np.array_equal(one, left_out)


def test_a_manifest_that_leaves_the_batch_out_says_nothing_of_it(tmp_path):
    (left,) = windowed(tmp_path / "e").manifest.networks
    assert left.window.batch is None
    (said,) = load_package(windowed(tmp_path / "f", ", batch = 2").folder).manifest.networks
    assert said.window.batch == 2
