"""A packed mask is the array that it was made of, at any size, and never more than its box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dicomnode.values import Mask

shapes = array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)
masks = shapes.flatmap(lambda shape: arrays(np.bool_, shape))
pairs = shapes.flatmap(lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape)))


@given(masks)
def test_what_is_packed_comes_out_again(array: np.ndarray) -> None:
    mask = Mask.from_array(array)
    assert np.array_equal(mask.to_array(), array)
    assert mask.to_array().dtype == np.bool_
    assert mask.count == array.sum()
    assert mask.is_empty == (not array.any())


@given(masks)
def test_the_box_is_the_smallest_that_holds_all(array: np.ndarray) -> None:
    mask = Mask.from_array(array)
    assert mask.crop().sum() == array.sum()
    assert mask.crop().shape == tuple(stop - start for start, stop in mask.box_kji)
    if array.any():
        found = np.argwhere(array)
        assert [start for start, _ in mask.box_kji] == found.min(axis=0).tolist()
        assert [stop for _, stop in mask.box_kji] == (found.max(axis=0) + 1).tolist()
    else:
        assert mask.box_kji == ((0, 0), (0, 0), (0, 0))


@given(masks)
def test_only_the_box_is_held_at_a_bit_a_voxel(array: np.ndarray) -> None:
    mask = Mask.from_array(array)
    assert mask.bits.nbytes == (mask.crop().size + 7) // 8


@given(masks)
def test_the_box_is_an_index_into_the_grid(array: np.ndarray) -> None:
    mask = Mask.from_array(array)
    assert np.array_equal(array[mask.slices_kji], mask.crop())


@given(pairs)
def test_union_holds_the_voxels_of_either(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (Mask.from_array(array) for array in pair)
    assert np.array_equal(a.union(b).to_array(), pair[0] | pair[1])
    assert a.union(b) == b.union(a)


@given(pairs)
def test_equal_masks_are_those_of_equal_voxels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (Mask.from_array(array) for array in pair)
    assert (a == b) == np.array_equal(*pair)


@given(masks, st.tuples(*[st.integers(0, 4)] * 3), st.tuples(*[st.integers(0, 4)] * 3))
def test_a_crop_lands_at_its_origin(
    crop: np.ndarray, origin: tuple[int, int, int], beyond: tuple[int, int, int]
) -> None:
    shape = tuple(o + n + b for o, n, b in zip(origin, crop.shape, beyond, strict=True))
    whole = np.zeros(shape, dtype=bool)
    whole[tuple(slice(o, o + n) for o, n in zip(origin, crop.shape, strict=True))] = crop
    assert Mask.from_crop(crop, shape, origin) == Mask.from_array(whole)


def test_masks_of_numbers_hold_what_is_not_zero() -> None:
    array = np.array([[[0, 1, 2], [-1, 0, 0]]], dtype=np.int16)
    assert np.array_equal(Mask.from_array(array).to_array(), array != 0)


def test_masks_of_different_grids_are_neither_equal_nor_united() -> None:
    a, b = Mask.from_array(np.ones((1, 2, 3))), Mask.from_array(np.ones((1, 2, 4)))
    assert a != b
    with pytest.raises(ValueError, match="different grids"):
        a.union(b)


def test_a_mask_is_not_equal_to_something_else() -> None:
    assert Mask.from_array(np.ones((1, 2, 3))) != "mask"


@pytest.mark.parametrize(
    ("box", "size", "why"),
    [
        (((0, 2), (0, 2), (0, 3)), 2, "within"),
        (((0, 1), (-1, 2), (0, 2)), 1, "within"),
        (((1, 0), (0, 2), (0, 2)), 0, "within"),
        (((0, 2), (0, 2), (0, 2)), 2, "1 bytes"),
        (((0, 1), (0, 1), (0, 1)), 0, "1 bytes"),
    ],
)
def test_what_does_not_fit_is_refused(box: tuple, size: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Mask((2, 2, 2), box, np.zeros(size, dtype=np.uint8))


def test_bits_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes"):
        Mask((2, 2, 2), ((0, 2), (0, 2), (0, 2)), np.zeros(1, dtype=np.int8))  # type: ignore[arg-type]


@pytest.mark.parametrize("axes", [2, 4])
def test_other_than_three_axes_are_refused(axes: int) -> None:
    with pytest.raises(ValueError, match="three axes"):
        Mask.from_array(np.ones((2,) * axes))


def test_a_mask_cannot_be_changed() -> None:
    mask = Mask.from_array(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="read-only"):
        mask.bits[0] = 0


def test_a_hundred_organs_cost_little() -> None:
    whole = (300, 512, 512)
    organ = Mask.from_crop(np.ones((20, 40, 40)), whole, (100, 200, 200))
    assert organ.bits.nbytes == 20 * 40 * 40 / 8
    assert organ.count == 20 * 40 * 40
