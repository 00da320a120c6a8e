"""Bits of a segmentation, frame after frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.report.segment_bits import MaskSlices, frames_of, overlap, pack_frames
from dicomnode.values import Mask

_SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))


@given(_SHAPES.flatmap(lambda shape: arrays(bool, shape)))
def test_packed_frames_are_one_stream_of_bits_lowest_first(frames: np.ndarray) -> None:
    packed = pack_frames(frames)
    assert len(packed) % 2 == 0
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little")
    assert np.array_equal(bits[: frames.size].astype(bool), frames.ravel())
    assert not bits[frames.size :].any()


@given(_SHAPES.flatmap(lambda shape: arrays(bool, shape)))
def test_slices_of_a_mask_are_those_of_the_array(array: np.ndarray) -> None:
    slices = MaskSlices(Mask.from_array(array))
    assert slices.occupied() == [k for k in range(len(array)) if array[k].any()]
    for k in range(len(array)):
        assert np.array_equal(slices.frame(k), array[k])


@given(_SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))))
def test_masks_overlap_where_they_share_a_voxel(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    assert overlap([Mask.from_array(first), Mask.from_array(second)]) == bool((first & second).any())


def test_frames_come_in_the_order_wanted() -> None:
    array = np.random.default_rng(1).random((2, 3, 4, 5)) > 0.5
    masks = [Mask.from_array(one) for one in array]
    wanted = [(0, 2), (0, 0), (1, 1), (0, 1)]
    for (index, k), frame in zip(wanted, frames_of(masks, wanted), strict=True):
        assert np.array_equal(frame, array[index, k])


@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_no_frames_take_no_bytes_and_one_takes_whole_bytes(count: int) -> None:
    assert pack_frames([]) == b""
    assert pack_frames([np.ones((1, count), dtype=bool)])[0] == 2 ** min(count, 8) - 1
