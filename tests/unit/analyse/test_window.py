"""Windows over a box: where they begin, how they blend, and that they equal one pass where they must."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.parallel import cores
from dicomnode.analyse.tiling import starts_along, starts_of, weights_along, weights_within
from dicomnode.analyse.window import (
    OutputShapeError,
    infer_windows,
    mirrored,
    with_neighbours,
)
from dicomnode.engine import Window
from tests.unit.analyse.one_input import infer_one


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
    weights = weights_along(16, Window())
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

    found = infer_one(network, np.zeros(shape, np.float32), window, multiple=4)
    assert found["out"].shape == (3, *shape)
    # Below the smallest normal number the weights' sum cannot give it back to the last bit
    assert np.abs(found["out"] - np.float32(value)).max() <= max(1e-6 * abs(value), np.finfo(np.float32).tiny)


@given(boxes, windows)
@settings(max_examples=30, deadline=None)
def test_a_network_that_changes_nothing_gives_its_input(shape, window):
    box = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    found = infer_one(lambda tensor: {"out": tensor.copy()}, box, window, multiple=4)
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
    whole = infer_one(network, box, Window())
    parts = infer_one(network, box, window, multiple=4)
    for name, expected in whole.items():
        assert parts[name].shape == expected.shape
        assert np.abs(parts[name] - expected).max() < 1e-5


def test_whole_is_one_pass_and_copies_nothing_of_the_result():
    calls = []

    def network(tensor):
        calls.append(tensor.shape)
        return {"out": tensor * 2}

    found = infer_one(network, np.ones((6, 7, 8), np.float32), Window())
    assert calls == [(1, 1, 6, 7, 8)]
    assert (found["out"] == 2).all()


def test_progress_counts_the_windows():
    seen = []
    box = np.zeros((16, 16, 24), np.float32)
    window = Window(size_kji=(16, 16, 8), overlap=0.5)
    infer_one(lambda t: {"out": t}, box, window, multiple=4, progress=lambda *call: seen.append(call))
    assert seen == [("inference window", done, 5) for done in range(6)]


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 1, 8, 8), "not"), ((1, 1, 3, 8, 8), "3 cells for 8"), ((2, 1, 8, 8, 8), "not")],
    ids=["axes", "cells", "batch"],
)
def test_an_output_that_does_not_go_with_the_input_is_named(shape, message):
    with pytest.raises(OutputShapeError, match=message):
        infer_one(
            lambda _: {"out": np.zeros(shape, np.float32)},
            np.zeros((16, 8, 8), np.float32),
            Window(size_kji=(8, 8, 8)),
        )


def test_windows_must_begin_on_the_cells_of_a_coarse_output():
    with pytest.raises(OutputShapeError, match="one cell for 4 voxels"):
        infer_one(
            lambda _: {"out": np.zeros((1, 1, 2, 2, 2), np.float32)},
            np.zeros((10, 8, 8), np.float32),
            Window(size_kji=(8, 8, 8)),
            multiple=2,
        )


def test_channels_go_through_together():
    box = np.random.default_rng(5).standard_normal((2, 16, 16, 24)).astype(np.float32)
    seen = set()

    def network(tensor):
        seen.add(tensor.shape)
        return {"out": tensor.sum(axis=1, keepdims=True)}

    found = infer_one(network, box, Window(size_kji=(16, 16, 16)), multiple=8)
    assert seen == {(1, 2, 16, 16, 16)}
    assert np.abs(found["out"][0] - box.sum(axis=0)).max() < 2e-6


def test_several_inputs_are_cut_at_the_same_place():
    rng = np.random.default_rng(6)
    boxes = {"ct": rng.random((1, 12, 12, 20), np.float32), "pet": rng.random((3, 12, 12, 20), np.float32)}
    found = infer_windows(
        lambda tensors: {"out": tensors["ct"] * tensors["pet"]}, boxes, Window(size_kji=(12, 8, 8))
    )
    assert np.abs(found["out"] - boxes["ct"] * boxes["pet"]).max() < 1e-6


def test_several_inputs_of_different_sizes_are_a_bug():
    boxes = {"a": np.zeros((1, 4, 4, 4), np.float32), "b": np.zeros((1, 4, 4, 5), np.float32)}
    with pytest.raises(ValueError, match="of one size"):
        infer_windows(lambda tensors: tensors, boxes, Window())


@pytest.mark.parametrize("rule", ["even", "monai", "nnunet"])
def test_windows_in_batches_give_the_same_bits(rule):
    box = np.random.default_rng(7).standard_normal((20, 21, 22)).astype(np.float32)
    sizes = []

    def network(tensor):
        sizes.append(len(tensor))
        return {"out": np.tanh(tensor)}

    one = infer_one(network, box, Window(size_kji=(8, 8, 8), rule=rule))
    assert set(sizes) == {1}
    five = infer_one(network, box, Window(size_kji=(8, 8, 8), rule=rule, batch=5))
    assert max(sizes) == 5
    assert np.array_equal(one["out"], five["out"])


@pytest.mark.parametrize("rule", ["even", "monai"])
def test_one_core_and_two_give_the_same_bits(rule):
    rng = np.random.default_rng(8)
    box, mixed = rng.standard_normal((40, 30, 30)).astype(np.float32), rng.random((4, 1, 1, 1), np.float32)
    window = Window(size_kji=(24, 16, 16), rule=rule)

    def run(threads):
        with cores(threads):
            return infer_one(lambda tensor: {"out": tensor * mixed}, box, window)["out"]

    assert np.array_equal(run(1), run(2))


def test_neighbours_are_channels_and_the_ends_are_held():
    box = (
        np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
        + np.array([0, 10], np.float32)[:, None, None, None]
    )
    found = with_neighbours(box, 3)[:, :, 0, 0]
    assert found[:, 0].tolist() == [0, 10, 0, 10, 1, 11]
    assert found[:, 3].tolist() == [2, 12, 3, 13, 3, 13]
    with pytest.raises(ValueError, match="either side"):
        with_neighbours(box, 4)


def test_mirroring_is_the_mean_over_all_flips():
    rng = np.random.default_rng(10)
    tensor, uneven = rng.random((1, 1, 4, 4, 4), np.float32), rng.random((4, 4, 4), np.float32)
    found = mirrored(lambda tensors: {"out": tensors["x"] * uneven}, ("k", "i"))({"x": tensor})["out"]
    turns = [(), (0,), (2,), (0, 2)]
    assert np.allclose(found[0, 0], tensor[0, 0] * np.mean([np.flip(uneven, turn) for turn in turns], axis=0))


def test_a_network_without_a_preferred_side_is_not_changed_by_mirroring():
    box = np.random.default_rng(11).standard_normal((10, 12, 14)).astype(np.float32)
    window = Window(size_kji=(10, 8, 8), mirror=("k", "j", "i"))
    calls = []

    def network(tensor):
        calls.append(1)
        return {"out": tensor**2}

    found = infer_one(network, box, window)["out"][0]
    assert len(calls) == 8 * 2 * 3
    assert np.abs(found - box**2).max() < 1e-5


@pytest.mark.parametrize("pad", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("rule", ["monai", "nnunet"])
def test_a_box_smaller_than_a_window_is_padded_on_both_sides_and_cut_back(rule, pad):
    box = np.random.default_rng(12).random((5, 9, 20), np.float32)
    seen = []

    def network(tensor):
        seen.append(tensor[0, 0])
        return {"out": tensor}

    found = infer_one(network, box, Window(size_kji=(8, 9, 8), rule=rule, pad=pad, pad_value=-7.0))
    assert np.abs(found["out"][0] - box).max() < 1e-6
    assert np.array_equal(seen[0][1:6], box[:, :, :8])
    if pad == "constant":
        assert (seen[0][[0, 6, 7]] == -7.0).all()


@given(st.integers(1, 40), st.integers(0, 90), st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.75, 0.9]))
@settings(deadline=None)
def test_windows_begin_where_monai_s_do(size, rest, overlap):
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    length = size + rest
    step = _get_scan_interval((length,), (size,), 1, (overlap,))
    theirs = [part[0].start for part in dense_patch_slices((length,), (size,), step)]
    assert starts_along(length, size, Window(rule="monai", overlap=overlap)) == tuple(theirs)


@given(st.integers(2, 90), st.integers(0, 200), st.sampled_from([1.0, 0.75, 0.5, 0.3, 0.25]))
@settings(deadline=None)
def test_windows_begin_where_nnunet_s_do(size, rest, step):
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    theirs = compute_steps_for_sliding_window((size + rest,), (size,), step)[0]
    assert starts_along(size + rest, size, Window(rule="nnunet", overlap=1.0 - step)) == tuple(theirs)


@pytest.mark.parametrize("size", [(16, 16, 16), (9, 32, 48), (1, 64, 40)], ids=str)
def test_windows_weigh_as_in_the_frameworks(size):
    import torch
    from monai.data.utils import compute_importance_map
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

    nnunet = compute_gaussian(size, 1 / 8, 10, torch.float16, torch.device("cpu")).float().numpy()
    assert np.array_equal(weights_within(size, Window(rule="nnunet")), nnunet)
    for mode in ("gaussian", "constant"):
        monai = compute_importance_map(size, mode, 0.2).numpy()
        assert np.abs(weights_within(size, Window(rule="monai", blend=mode, sigma=0.2)) - monai).max() < 1e-6


@pytest.mark.parametrize(
    ("shape", "size", "overlap", "blend", "pad"),
    [
        ((20, 33, 41), (16, 16, 16), 0.25, "gaussian", "constant"),
        ((20, 33, 41), (16, 12, 20), 0.5, "constant", "constant"),
        ((11, 33, 13), (16, 16, 16), 0.6, "gaussian", "edge"),
        ((9, 17, 30), (16, 16, 16), 0.25, "gaussian", "reflect"),
        ((24, 40, 16), (16, 16, 16), 0.5, "gaussian", "constant"),
    ],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_outcome_is_that_of_monai_s_sliding_window(shape, size, overlap, blend, pad, stride):
    import torch
    from monai.inferers import sliding_window_inference

    torch.manual_seed(1)
    network = torch.nn.Conv3d(2, 3, 3, padding=1) if stride == 1 else torch.nn.Conv3d(2, 3, 2, stride=2)
    image = torch.randn(1, 2, *shape)

    def infer(tensor):
        with torch.no_grad():
            return {"out": network(torch.from_numpy(tensor)).numpy()}

    window = Window(
        size_kji=size,
        overlap=overlap,
        rule="monai",
        blend=blend,
        pad=pad,
        pad_value=0.5 * (pad == "constant"),
    )
    starts = [starts_along(max(n, m), m, window) for n, m in zip(shape, size, strict=True)]
    if any(start % stride for axis in starts for start in axis):
        with pytest.raises(OutputShapeError, match="windows begin"):
            infer_one(infer, image[0].numpy(), window)
        return
    padding = {"edge": "replicate"}.get(pad, pad)
    with torch.no_grad():
        theirs = sliding_window_inference(
            image, size, 1, network, overlap, blend, padding_mode=padding, cval=window.pad_value
        )[0].numpy()
    found = infer_one(infer, image[0].numpy(), window)["out"]
    assert found.shape == theirs.shape
    assert np.abs(found - theirs).max() < 1e-5
