"""Masks of one grid laid on another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.evaluate import dice
from dicomnode.evaluate.feedback.placed import is_near, is_same_grid, on_grid, overlap
from dicomnode.values import Grid, Mask

SHAPE = (4, 5, 6)
SPACE = "1.2"


def grid(affine: np.ndarray) -> Grid:
    return Grid(SHAPE, affine, SPACE)


def masks() -> st.SearchStrategy[Mask]:
    bits = st.lists(st.booleans(), min_size=120, max_size=120)
    return bits.map(lambda some: Mask.from_array(np.array(some).reshape(SHAPE)))


@given(masks(), masks())
def test_overlap_is_dice_of_the_whole_arrays(one, other):
    assert overlap(one, other) == pytest.approx(dice(one, other))


def test_masks_of_other_shapes_do_not_overlap():
    other = Mask.from_array(np.ones((2, 2, 2), bool))
    with pytest.raises(ValueError, match="different grids"):
        overlap(Mask.from_array(np.ones(SHAPE, bool)), other)


@given(masks(), st.permutations(range(3)), st.tuples(*[st.sampled_from([-1, 1])] * 3), st.floats(0.3, 3.0))
def test_a_mask_on_turned_axes_and_back_is_the_same(mask, order, signs, spacing):
    here = np.eye(4)
    here[:3, :3] = np.diag([spacing, 1.0, 2.0])
    turned = np.eye(4)
    sizes_ijk = SHAPE[::-1]
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        turned[:3, column] = here[:3, axis] * sign
        if sign < 0:
            turned[:3, 3] += here[:3, axis] * (sizes_ijk[axis] - 1)
    shape_kji = tuple(sizes_ijk[axis] for axis in order)[::-1]
    there = Grid(shape_kji, turned, SPACE)
    moved = on_grid(mask, grid(here), there)
    assert moved.count == mask.count
    assert on_grid(moved, there, grid(here)) == mask


def test_what_lies_outside_of_a_grid_is_not_in_its_mask():
    far = np.eye(4)
    far[:3, 3] = 100.0
    assert on_grid(Mask.from_array(np.ones(SHAPE, bool)), grid(np.eye(4)), grid(far)).is_empty


def test_grids_are_the_same_within_the_rounding_of_decimals_and_not_beyond():
    a = np.eye(4)
    b = a.copy()
    b[0, 3] = 1e-6
    assert is_same_grid(grid(a), grid(b))
    b[0, 3] = 0.2
    assert not is_same_grid(grid(a), grid(b))


@pytest.mark.parametrize(
    ("at", "near"), [((1, 1, 1), True), ((1, 1, 3), True), ((1, 1, 4), False), ((3, 4, 5), False)]
)
def test_a_place_is_near_a_mask_within_so_many_voxels(at, near):
    array = np.zeros(SHAPE, bool)
    array[1, 1, 1] = True
    assert is_near(Mask.from_array(array), at, 2) is near
