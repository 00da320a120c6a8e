"""Bits of a segmentation, frame after frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.report.segmentation.bits import occupied, overlap, pack_frames
from dicomnode.values import Mask

_SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))


def _of(*where: tuple[int, int, int]) -> Mask:
    array = np.zeros((3, 6, 7), dtype=bool)
    for one in where:
        array[one] = True
    return Mask.from_array(array)


@given(_SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))))
def test_packed_frames_are_one_stream_of_bits_lowest_first(pair: tuple[np.ndarray, np.ndarray]) -> None:
    masks = [Mask.from_array(one) for one in pair]
    wanted = [(n, k) for n in (1, 0) for k in reversed(range(len(pair[0])))]
    packed = pack_frames([(masks[n], k) for n, k in wanted])
    frames = np.stack([pair[n][k] for n, k in wanted])
    assert packed.size % 2 == 0
    bits = np.unpackbits(packed, bitorder="little")
    assert np.array_equal(bits[: frames.size].astype(bool), frames.ravel())
    assert not bits[frames.size :].any()


@given(_SHAPES.flatmap(lambda shape: arrays(bool, shape)))
def test_slices_of_a_mask_are_those_of_the_array(array: np.ndarray) -> None:
    mask = Mask.from_array(array)
    assert occupied(mask) == [k for k in range(len(array)) if array[k].any()]
    for k in range(-1, len(array) + 1):
        plane = mask.plane(k)
        inside = array[k][mask.slices_kji[1:]] if 0 <= k < len(array) else np.zeros_like(plane)
        assert plane.dtype == bool
        assert np.array_equal(plane, inside)


@given(
    st.lists(st.integers(0, 2**20), min_size=1, max_size=4).flatmap(
        lambda seeds: st.tuples(st.just(seeds), st.floats(0.01, 0.4))
    )
)
def test_masks_overlap_where_two_of_them_share_a_voxel(drawn: tuple[list[int], float]) -> None:
    seeds, density = drawn
    arrays_ = [np.random.default_rng(seed).random((3, 5, 6)) < density for seed in seeds]
    shared = (np.sum(arrays_, axis=0) > 1).any()
    assert overlap([Mask.from_array(one) for one in arrays_]) == bool(shared)


def test_masks_whose_boxes_meet_need_not_overlap() -> None:
    corners = _of((0, 0, 0), (2, 5, 6))
    assert not overlap([corners, _of((1, 3, 3)), _of((0, 5, 6))])
    assert overlap([corners, _of((1, 3, 3)), _of((2, 5, 6))])
    assert not overlap([corners])
    assert not overlap([])


@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_no_frames_take_no_bytes_and_one_takes_whole_bytes(count: int) -> None:
    assert pack_frames([]).size == 0
    mask = Mask.from_array(np.ones((1, 1, count), dtype=bool))
    packed = pack_frames([(mask, 0)])
    assert packed.size == 2
    assert packed[0] == 2 ** min(count, 8) - 1
