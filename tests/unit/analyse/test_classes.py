"""Maps with a channel a class: one class a voxel, or any of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from dicomnode.analyse.grids import box_of, box_onto, inside_box, sample
from dicomnode.analyse.interpret import INTERPRETATIONS, Outputs, UnreadableError
from dicomnode.analyse.interpret.classes import largest_parts
from dicomnode.engine import Labels, Sigmoid, StepSpec
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


def doubled(values: np.ndarray, name: str, **how) -> np.ndarray:
    """Read a map of 2 mm voxels onto a grid of 1 mm along i, whose voxels lie a quarter to either side."""
    grid = grid_of((2, 2, values.shape[-1]), (1, 1, 2))
    fine = grid_of((2, 2, 2 * values.shape[-1]), (1, 1, 1))
    affine = fine.affine_lps.copy()
    affine[:3, 3] += grid.to_lps_mm([0, 0, -0.25]) - fine.to_lps_mm([0, 0, 0])
    source = type(fine)(fine.shape_kji, affine, "1.2.3")
    maps = {"out": np.broadcast_to(values[:, None, None, :], (len(values), 2, 2, values.shape[-1])).copy()}
    wanted = len(values) - (name == "labels")
    outputs = Outputs(maps=maps, grid=grid, source=source, within=None, wanted=wanted)
    parameters = {"labels": Labels, "sigmoid": Sigmoid}[name](**how)
    found = INTERPRETATIONS[name](outputs, StepSpec(network="n.onnx", **{name: parameters}))
    return np.array([shape.mask.to_array()[0, 0] for shape in found.shapes])


LOGITS = np.array([[0.0, 0.0, 0.0], [-0.2, 9.0, -1.0]], np.float32)


def between(values: np.ndarray) -> np.ndarray:
    """Interpolate linearly a quarter of a voxel to either side, edges held."""
    at = np.arange(2 * values.shape[-1]) / 2 - 0.25
    return np.array([np.interp(at, np.arange(values.shape[-1]), row) for row in values])


@pytest.mark.parametrize(
    ("interpolate", "expected"),
    [
        ("numbers", between(LOGITS)[1] > 0),
        ("probabilities", between(softmax(LOGITS, axis=0))[1] > 0.5),
        ("classes", np.repeat(LOGITS[1] > 0, 2)),
    ],
)
def test_labels_are_decided_before_or_after_interpolation_as_engine_toml_says(interpolate, expected):
    assert np.array_equal(doubled(LOGITS, "labels", interpolate=interpolate)[0], expected)


def test_the_three_ways_differ_so_the_test_above_can_fail():
    ways = [between(LOGITS)[1] > 0, between(softmax(LOGITS, axis=0))[1] > 0.5, np.repeat(LOGITS[1] > 0, 2)]
    assert [way.sum() for way in ways] == [4, 3, 2]
    flat = np.array([[-1.0, 0.5, -0.1]], np.float32)
    assert [(between(flat) > 0).sum(), np.repeat(flat > 0, 2).sum()] == [3, 2]


@pytest.mark.parametrize(
    ("interpolate", "expected"),
    [
        ("numbers", lambda v: between(v)[0] > 0),
        ("probabilities", lambda v: between(expit(v))[0] > 0.5),
        ("classes", lambda v: np.repeat(v[0] > 0, 2)),
    ],
)
def test_so_is_a_sigmoid(interpolate, expected):
    values = np.array([[-1.0, 0.5, -0.1]], np.float32)
    assert np.array_equal(doubled(values, "sigmoid", interpolate=interpolate)[0], expected(values))


def test_classes_taken_over_end_where_the_box_does():
    grid = grid_of((2, 2, 2), (1, 1, 1))
    affine = grid.affine_lps.copy()
    wide = type(grid)((2, 2, 6), affine, "1.2.3")  # three voxels beyond the box along i
    maps = {"out": np.ones((1, 2, 2, 2), np.float32)}
    outputs = Outputs(maps=maps, grid=grid, source=wide, within=None, wanted=1)
    step = StepSpec(network="n.onnx", sigmoid=Sigmoid(interpolate="classes"))
    (shape,) = INTERPRETATIONS["sigmoid"](outputs, step).shapes
    assert shape.mask.to_array()[0, 0].tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("thick_slices", ["same", "nearest"])
def test_across_thick_slices_the_nearest_plane_is_taken(thick_slices):
    """A slice of 8 mm half way between two planes of 4 mm, whose pixels are of 1 mm."""
    grid = grid_of((4, 8, 8), (4, 1, 1))
    source = grid_of((4, 8, 8), (8, 1, 1))
    affine = source.affine_lps.copy()
    affine[:3, 3] += grid.to_lps_mm([0.5, 0, 0]) - source.to_lps_mm([0, 0, 0])  # between two planes
    source = type(source)((1, 8, 8), affine, "1.2.3")
    values = np.zeros((1, 4, 8, 8), np.float32)
    values[0, 0], values[0, 1] = -1.0, np.where(np.arange(8) < 4, 0.5, -1.0)
    values[0, 0, :, 4] = 3.0
    outputs = Outputs(maps={"out": values}, grid=grid, source=source, within=None, wanted=1)
    step = StepSpec(network="n.onnx", sigmoid=Sigmoid(thick_slices=thick_slices))
    (shape,) = INTERPRETATIONS["sigmoid"](outputs, step).shapes
    row = shape.mask.to_array()[0, 0]
    nearest = np.arange(8) < 4  # of two planes equally near the later one
    linear = (values[0, 0, 0] + values[0, 1, 0]) / 2 > 0
    assert np.array_equal(row, nearest if thick_slices == "nearest" else linear)
    assert not np.array_equal(nearest, linear)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_many_classes_are_read_as_one_would_with_room_for_all_of_them(data):
    """Each voxel of the source has the values of all channels, and is decided by argmax or threshold."""
    channels = data.draw(st.integers(2, 7))
    shape = tuple(data.draw(st.integers(2, 9)) for _ in range(3))
    grid = grid_of(shape, (2.0, 1.5, 1.5))
    source = grid_of(tuple(data.draw(st.integers(3, 20)) for _ in range(3)), (1.2, 0.9, 1.1))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = np.round(random.normal(0, 1, (channels, *shape)), 1).astype(np.float32)  # some are equal
    wanted = data.draw(st.lists(st.integers(0, channels - 1), min_size=1, unique=True))
    k, j, i = source.shape_kji
    box = (slice(0, k), slice(0, j), slice(0, i))
    name = data.draw(st.sampled_from(["labels", "sigmoid", "exclusive"]))
    between = data.draw(st.sampled_from(["numbers", "probabilities"]))
    head = {
        "labels": StepSpec(network="n.onnx", labels=Labels(interpolate=between)),
        "sigmoid": StepSpec(network="n.onnx", sigmoid=Sigmoid(interpolate=between)),
        "exclusive": StepSpec(network="n.onnx", sigmoid=Sigmoid(interpolate=between, exclusive=True)),
    }[name]
    outputs = Outputs(
        maps={"y": values}, grid=grid, source=source, within=None, wanted=len(wanted), channels=tuple(wanted)
    )
    found = INTERPRETATIONS["labels" if name == "labels" else "sigmoid"](outputs, head)
    if between == "probabilities":
        values = (
            softmax(values.astype(float), axis=0) if name == "labels" else expit(values.astype(float))
        ).astype(np.float32)
    there = np.stack([sample(one, grid, source, box) for one in values])
    least = 0.0 if between == "numbers" else 0.5
    masks = {shape.kind: shape.mask.to_array() for shape in found.shapes}
    reached = inside_box(grid, source, box)  # further out an edge is held no further than a mask is cut
    if name == "labels":  # between two classes a third one may be the largest, where no voxel of it is near
        near = box_of(np.isin(values.argmax(axis=0), wanted), margin=1)
        around = np.zeros_like(reached)
        if near is not None:
            around[box_onto(near, grid, source)] = True
        reached &= around
    for kind, channel in enumerate(wanted):
        expected = there.argmax(axis=0) == channel if name == "labels" else there[channel] > least
        if name == "exclusive":
            expected = expected & ~(there[channel + 1 :] > least).any(axis=0)
        mask = masks.get(kind, np.zeros(source.shape_kji, bool))
        assert np.array_equal(mask[reached], expected[reached])


def test_the_largest_parts_are_kept_and_of_equal_ones_the_first():
    voxels = np.zeros((3, 5, 12), bool)
    voxels[0, 0, 0:2] = voxels[1, 1, 2] = True  # three, that touch by a corner
    voxels[2, 4, 5:7] = voxels[0, 4, 9:11] = True  # two and two
    assert largest_parts(voxels, None) is voxels
    assert np.array_equal(largest_parts(voxels, 3), voxels)
    first = largest_parts(voxels, 1)
    assert first.sum() == 3
    assert first[1, 1, 2]
    second = largest_parts(voxels, 2)
    assert second.sum() == 5
    assert second[0, 4, 9]
