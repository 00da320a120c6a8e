"""Interpolation between grids with parallel axes: exact where they agree, right where the answer is known."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.grids import align, box_of, box_onto, cropped, interpolation, mapped, sample
from dicomnode.analyse.parallel import cores
from dicomnode.values import Grid

TURNS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def grid_of(shape, spacing, origin=(0.0, 0.0, 0.0), turn=((0, 1, 2), (1, 1, 1)), tilt=None) -> Grid:
    """A grid whose index axes i, j, k run along ± the patient axes that `turn` names, then tilted."""
    order, signs = turn
    affine = np.eye(4)
    for column in range(3):
        affine[:3, column] = 0.0
        affine[order[column], column] = signs[column] * spacing[2 - column]
    if tilt is not None:
        affine[:3, :3] = tilt @ affine[:3, :3]
    affine[:3, 3] = origin
    return Grid(shape, affine, "1.2.3")


def rotation(a: float, b: float, c: float) -> np.ndarray:
    def turn(angle, x, y):
        matrix = np.eye(3)
        matrix[[x, x, y, y], [x, y, x, y]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        return matrix

    return turn(a, 0, 1) @ turn(b, 0, 2) @ turn(c, 1, 2)


spacings = st.tuples(*[st.floats(0.4, 5.0)] * 3)
shapes = st.tuples(*[st.integers(2, 9)] * 3)
angles = st.tuples(*[st.floats(-0.7, 0.7)] * 3)


@given(shapes, spacings, spacings, shapes, st.sampled_from(TURNS), angles)
@settings(max_examples=60, deadline=None)
def test_a_linear_field_is_sampled_where_the_patient_is_and_not_where_the_array_is(
    shape, spacing, other_spacing, other_shape, turn, tilt
):
    matrix = rotation(*tilt)
    source = grid_of(shape, spacing, (3.0, -7.0, 11.0), turn, matrix)
    # The target lies within the source, so that no edge is held
    middle = source.to_lps_mm((np.array(shape) - 1) / 2.0)
    small = tuple(0.2 * s * (n - 1) / m for s, n, m in zip(spacing, shape, other_shape, strict=True))
    target = grid_of(other_shape, small, middle, ((0, 1, 2), (1, 1, 1)), matrix)
    slope = np.array([0.3, -1.1, 0.7])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    field = (source.to_lps_mm(index) @ slope).astype(np.float32)
    box = tuple(slice(0, n) for n in other_shape)
    there = np.stack(np.meshgrid(*(np.arange(n) for n in other_shape), indexing="ij"), -1)
    inside = source.to_index_kji(target.to_lps_mm(there))
    held = ((inside < 0) | (inside > np.array(shape) - 1)).any(axis=-1)
    expected = target.to_lps_mm(there) @ slope
    found = sample(field, source, target, box)
    assert found.dtype == np.float32
    assert np.abs(np.where(held, 0.0, found - expected)).max() < 1e-3 * max(1.0, np.abs(field).max())


@given(shapes, st.sampled_from(TURNS), angles)
@settings(max_examples=40, deadline=None)
def test_a_turned_grid_gives_the_same_values_exactly(shape, turn, tilt):
    matrix = rotation(*tilt)
    source = grid_of(shape, (1.5, 0.7, 0.7), (5.0, 5.0, 5.0), tilt=matrix)
    order, signs = turn
    rng = np.random.default_rng(1)
    field = rng.standard_normal(shape).astype(np.float32)
    # array axis of the target ← axis of the source, and the flip that goes with it
    axes = tuple(2 - order[2 - axis] for axis in range(3))
    turned = np.transpose(field, axes)
    affine = np.eye(4)
    affine[:3, :3] = np.stack(
        [source.affine_lps[:3, order[column]] * signs[column] for column in range(3)], axis=1
    )
    first = np.zeros(3)
    for column in range(3):
        if signs[column] < 0:
            turned = np.flip(turned, 2 - column)
            first[2 - order[column]] = shape[2 - order[column]] - 1
    affine[:3, 3] = source.to_lps_mm(first)
    target = Grid(turned.shape, affine, "1.2.3")
    box = tuple(slice(0, n) for n in turned.shape)
    assert np.array_equal(sample(field, source, target, box), turned)


def test_outside_the_field_the_value_at_the_edge_is_held():
    source, target = grid_of((2, 2, 2), (1, 1, 1)), grid_of((6, 1, 1), (1, 1, 1), (0, 0, -2))
    field = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    found = sample(field, source, target, (slice(0, 6), slice(0, 1), slice(0, 1)))
    assert found.ravel().tolist() == [0, 0, 0, 4, 4, 4]


def test_only_the_box_that_is_asked_for_is_returned():
    grid = grid_of((4, 5, 6), (1, 1, 1))
    field = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    box = (slice(1, 3), slice(0, 5), slice(2, 4))
    assert np.array_equal(sample(field, grid, grid, box), field[box])


def test_grids_that_are_turned_against_each_other_are_a_bug():
    with pytest.raises(ValueError, match="not parallel"):
        align(grid_of((9, 9, 9), (1, 1, 1)), grid_of((9, 9, 9), (1, 1, 1), tilt=rotation(0.1, 0, 0)))


def test_a_crop_lies_where_it_was_cut_out():
    grid = grid_of((8, 8, 8), (2.0, 0.5, 0.7), (1, 2, 3), TURNS[17], rotation(0.2, 0.1, -0.3))
    part = cropped(grid, (slice(2, 5), slice(1, 9), slice(3, 4)))
    assert part.shape_kji == (3, 8, 1)
    assert np.allclose(part.to_lps_mm([0, 0, 0]), grid.to_lps_mm([2, 1, 3]))
    assert np.allclose(part.to_lps_mm([2, 7, 0]), grid.to_lps_mm([4, 8, 3]))


@given(shapes, spacings, spacings, st.sampled_from(TURNS), st.data())
@settings(max_examples=60, deadline=None)
def test_a_box_holds_all_that_it_covers_in_the_other_grid(shape, spacing, other, turn, data):
    source = grid_of(shape, spacing, (1, 1, 1), turn)
    target = grid_of((40, 40, 40), other, (-30.0, -30.0, -30.0))
    starts = [data.draw(st.integers(0, n - 1)) for n in shape]
    stops = [data.draw(st.integers(a + 1, n)) for a, n in zip(starts, shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    found = box_onto(box, source, target)
    all_of_it = np.stack(np.meshgrid(*(np.arange(n) for n in target.shape_kji), indexing="ij"), -1)
    back = source.to_index_kji(target.to_lps_mm(all_of_it))
    covered = ((back > np.array(starts) - 0.499) & (back < np.array(stops) - 0.501)).all(axis=-1)
    outside = covered.copy()
    outside[found] = False
    assert not outside.any()


def test_a_margin_is_in_mm_on_each_side():
    grid = grid_of((50, 50, 50), (2.0, 1.0, 0.5))
    box = box_onto((slice(20, 22), slice(20, 22), slice(20, 22)), grid, grid, margin_mm=4.0)
    assert box == (slice(18, 24), slice(16, 26), slice(12, 30))


def test_the_box_of_nothing_is_none():
    assert box_of(np.zeros((3, 3, 3), dtype=bool)) is None


def test_the_box_of_a_mask_stays_within_the_array():
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[0, 2, 4] = True
    assert box_of(mask, margin=1) == (slice(0, 2), slice(1, 4), slice(3, 5))


def test_a_map_that_changes_nothing_knows_it():
    assert interpolation(np.arange(5.0), 5).is_identity
    assert not interpolation(np.arange(5.0) + 0.5, 5).is_identity
    assert not interpolation(np.arange(4.0), 5).is_identity


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_three_maps_are_three_sums_along_the_axes(dtype):
    rng = np.random.default_rng(4)
    field = (rng.standard_normal((20, 33, 40)) * 500).astype(dtype)
    at = [np.linspace(-1.0, size, count) for size, count in zip(field.shape, (9, 50, 23), strict=True)]
    maps = [interpolation(where, size) for where, size in zip(at, field.shape, strict=True)]
    whole = [
        np.stack([row.along_first(np.eye(n, dtype=np.float32))])
        for row, n in zip(maps, field.shape, strict=True)
    ]
    expected = np.einsum("ka,jb,ic,abc->kji", whole[0][0], whole[1][0], whole[2][0], field.astype(np.float64))
    # Also of a view that is turned and flipped, as orient gives it
    turned = np.transpose(np.flip(field.transpose(2, 0, 1), 0), (1, 2, 0))[:, :, ::-1]
    for one in (field, turned):
        assert np.abs(mapped(one, *maps) - expected).max() < 1e-3


def test_one_core_and_two_give_the_same_bits():
    rng = np.random.default_rng(4)
    field = rng.standard_normal((40, 64, 50)).astype(np.float32)
    maps = [interpolation(np.linspace(2.0, size - 2.5, 37), size) for size in field.shape]
    with cores(1):
        one = mapped(field, *maps)
    with cores(2):
        two = mapped(field, *maps)
    assert np.array_equal(one, two)


def test_how_far_it_is_is_said_plane_by_plane():
    seen: list[tuple[int, int]] = []
    same = interpolation(np.arange(20.0), 20)
    mapped(np.zeros((20, 20, 20), np.int16), same, same, same, lambda *call: seen.append(call))
    assert seen == [(8, 20), (16, 20), (20, 20)]


def test_nothing_asked_for_is_nothing_given():
    grid = grid_of((4, 5, 6), (1, 1, 1))
    box = (slice(1, 3), slice(2, 2), slice(0, 6))
    assert sample(np.zeros((4, 5, 6), np.float32), grid, grid, box).shape == (2, 0, 6)
