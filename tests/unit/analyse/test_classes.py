"""Maps with a channel a class: one class a voxel, or any of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.interpret import INTERPRETATIONS, Outputs, UnreadableError
from dicomnode.engine import StepSpec
from tests.unit.analyse.test_grids import TURNS, angles, grid_of, rotation

SHAPE = (20, 24, 28)


def read(name, maps, grid, source, wanted):
    outputs = Outputs(maps=maps, grid=grid, source=source, within=None, wanted=wanted)
    return INTERPRETATIONS[name](outputs, StepSpec(network="n.onnx"))


def logits(channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, *SHAPE)).astype(np.float32)


def test_labels_give_each_voxel_the_largest_and_channel_0_is_background():
    grid = grid_of(SHAPE, (1, 1, 1))
    values = logits(3)
    found = read("labels", {"out": values}, grid, grid, wanted=2)
    assert [shape.kind for shape in found.shapes] == [0, 1]
    for shape in found.shapes:
        assert np.array_equal(shape.mask.to_array(), values.argmax(axis=0) == shape.kind + 1)


def test_sigmoid_gives_each_voxel_every_class_above_one_half():
    grid = grid_of(SHAPE, (1, 1, 1))
    values = logits(2)
    found = read("sigmoid", {"out": values}, grid, grid, wanted=2)
    assert [shape.kind for shape in found.shapes] == [0, 1]
    for shape in found.shapes:
        assert np.array_equal(shape.mask.to_array(), values[shape.kind] > 0)
    both = found.shapes[0].mask.to_array() & found.shapes[1].mask.to_array()
    assert both.any()


def test_a_class_without_voxels_has_no_shape():
    grid = grid_of(SHAPE, (1, 1, 1))
    values = np.stack([np.zeros(SHAPE), np.full(SHAPE, -3.0), np.ones(SHAPE)]).astype(np.float32)
    found = read("labels", {"out": values}, grid, grid, wanted=2)
    assert [shape.kind for shape in found.shapes] == [1]
    assert found.region.mask.all()


@given(st.sampled_from(TURNS), angles)
@settings(max_examples=15, deadline=None)
def test_classes_are_decided_in_the_source_after_interpolation(turn, tilt):
    """A plane between two classes lies where the logits cross, to a fraction of a coarse voxel."""
    matrix = rotation(*tilt)
    grid = grid_of(SHAPE, (2, 2, 2), tilt=matrix)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    where = (index[..., 2] - 13.3).astype(np.float32)  # crosses zero at i = 13.3
    source = grid_of((16, 18, 20), (1.1, 0.9, 0.8), turn=turn, tilt=matrix)
    affine = source.affine_lps.copy()
    affine[:3, 3] += grid.to_lps_mm([10, 12, 13.3]) - source.to_lps_mm((np.array(source.shape_kji) - 1) / 2)
    source = type(source)(source.shape_kji, affine, "1.2.3")
    values = np.stack([-where, where])
    found = read("labels", {"out": values}, grid, source, wanted=1)
    there = np.stack(np.meshgrid(*(np.arange(n) for n in source.shape_kji), indexing="ij"), -1)
    expected = grid.to_index_kji(source.to_lps_mm(there))[..., 2] - 13.3
    sure = np.abs(expected) > 1e-4
    assert np.array_equal(found.shapes[0].mask.to_array()[sure], (expected > 0)[sure])


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"a": logits(3), "b": logits(3)}, "not one"),
        ({"a": logits(2)}, "has 2 channels, engine.toml needs 3"),
        ({"a": logits(3)[:, ::2, ::2, ::2]}, "not that of the input"),
    ],
    ids=["two outputs", "too few channels", "a coarse map"],
)
def test_outputs_that_do_not_fit_are_named(maps, message):
    grid = grid_of(SHAPE, (1, 1, 1))
    with pytest.raises(UnreadableError, match=message):
        read("labels", maps, grid, grid, wanted=2)


@pytest.mark.parametrize("name", ["labels", "sigmoid"])
def test_nothing_found_is_no_shape_and_an_empty_region(name):
    grid = grid_of(SHAPE, (1, 1, 1))
    values = np.full((3, *SHAPE), -2.0, np.float32)
    values[0] = 2.0 if name == "labels" else -2.0
    found = read(name, {"out": values}, grid, grid, wanted=2)
    assert found.shapes == ()
    assert not found.region.mask.any()
