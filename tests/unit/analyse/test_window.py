"""Windows over a box: where they begin, how they blend, and that they equal one pass where they must."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.window import OutputShapeError, infer_windows, starts_of, weights_of
from dicomnode.engine import Window


@given(st.integers(1, 40), st.integers(0, 60), st.floats(0.0, 0.9), st.sampled_from([1, 2, 4, 8]))
def test_windows_cover_an_axis_from_end_to_end(window, rest, overlap, multiple):
    window, rest = window * multiple, rest * multiple
    starts = starts_of(window + rest, window, overlap, multiple)
    assert starts[0] == 0
    assert starts[-1] == rest
    assert all(start % multiple == 0 for start in starts)
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (steps <= max(multiple, window * (1 - overlap) + multiple)).all()
    assert (steps <= window).all()


@pytest.mark.parametrize(("length", "window", "multiple"), [(10, 12, 1), (21, 16, 8)])
def test_windows_that_do_not_fit_are_a_bug(length, window, multiple):
    with pytest.raises(ValueError, match="do not fit"):
        starts_of(length, window, 0.5, multiple)


def test_the_middle_of_a_window_weighs_most():
    weights = weights_of(16, gaussian=True)
    assert weights.argmax() in (7, 8)
    assert np.array_equal(weights, weights[::-1])
    assert weights.min() > 0


windows = st.builds(
    Window,
    size_kji=st.tuples(*[st.sampled_from([8, 12, 16])] * 3),
    overlap=st.floats(0.0, 0.8),
    blend=st.sampled_from(["gaussian", "constant"]),
)
boxes = st.tuples(*[st.sampled_from([16, 20, 24])] * 3)


@given(boxes, windows, st.floats(-1000, 1000))
@settings(max_examples=30, deadline=None)
def test_a_constant_network_gives_the_constant(shape, window, value):
    def network(tensor):
        return {"out": np.full((1, 3, *tensor.shape[2:]), value, np.float32)}

    found = infer_windows(network, np.zeros(shape, np.float32), window, multiple=4)
    assert found["out"].shape == (3, *shape)
    assert np.abs(found["out"] - np.float32(value)).max() <= 1e-6 * abs(value)


@given(boxes, windows)
@settings(max_examples=30, deadline=None)
def test_a_network_that_changes_nothing_gives_its_input(shape, window):
    box = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    found = infer_windows(lambda tensor: {"out": tensor.copy()}, box, window, multiple=4)
    assert np.abs(found["out"][0] - box).max() < 2e-6


@given(boxes, windows)
@settings(max_examples=20, deadline=None)
def test_a_network_that_looks_at_one_cell_only_gives_what_one_pass_gives(shape, window):
    """Two outputs on grids of their own: the mean and the largest of 2 × 2 × 2 voxels, and a square."""

    def network(tensor):
        _, _, k, j, i = tensor.shape
        cells = tensor.reshape(1, 1, k // 2, 2, j // 2, 2, i // 2, 2)
        return {
            "coarse": np.concatenate([cells.mean(axis=(3, 5, 7)), cells.max(axis=(3, 5, 7))], axis=1),
            "fine": tensor**2,
        }

    box = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    whole = infer_windows(network, box, Window())
    parts = infer_windows(network, box, window, multiple=4)
    for name, expected in whole.items():
        assert parts[name].shape == expected.shape
        assert np.abs(parts[name] - expected).max() < 1e-5


def test_whole_is_one_pass_and_copies_nothing_of_the_result():
    calls = []

    def network(tensor):
        calls.append(tensor.shape)
        return {"out": tensor * 2}

    found = infer_windows(network, np.ones((6, 7, 8), np.float32), Window())
    assert calls == [(1, 1, 6, 7, 8)]
    assert (found["out"] == 2).all()


def test_progress_counts_the_windows():
    seen = []
    box = np.zeros((16, 16, 24), np.float32)
    window = Window(size_kji=(16, 16, 8), overlap=0.5)
    infer_windows(lambda t: {"out": t}, box, window, multiple=4, progress=lambda *call: seen.append(call))
    assert seen == [("inference window", done, 5) for done in range(6)]


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 1, 8, 8), "not"), ((1, 1, 3, 8, 8), "3 cells for 8"), ((2, 1, 8, 8, 8), "not")],
    ids=["axes", "cells", "batch"],
)
def test_an_output_that_does_not_go_with_the_input_is_named(shape, message):
    with pytest.raises(OutputShapeError, match=message):
        infer_windows(
            lambda _: {"out": np.zeros(shape, np.float32)},
            np.zeros((16, 8, 8), np.float32),
            Window(size_kji=(8, 8, 8)),
        )


def test_windows_must_begin_on_the_cells_of_a_coarse_output():
    with pytest.raises(OutputShapeError, match="one cell for 4 voxels"):
        infer_windows(
            lambda _: {"out": np.zeros((1, 1, 2, 2, 2), np.float32)},
            np.zeros((10, 8, 8), np.float32),
            Window(size_kji=(8, 8, 8)),
            multiple=2,
        )
