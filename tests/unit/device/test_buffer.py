"""Buffers: no copy where none is needed, and nobody writes through them."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.device import HostBuffer


def test_a_contiguous_array_is_not_copied():
    array = np.zeros((2, 3), np.float32)
    assert np.shares_memory(HostBuffer(array).host(), array)


def test_nobody_writes_through_a_buffer_and_the_owner_still_may():
    array = np.zeros(3, np.float32)
    view = HostBuffer(array).host()
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1.0
    array[0] = 2.0
    assert view[0] == 2.0


def test_a_turned_array_comes_out_contiguous_with_the_same_numbers():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4).T
    buffer = HostBuffer(array)
    assert buffer.host().flags["C_CONTIGUOUS"]
    assert np.array_equal(buffer.host(), array)
    assert (buffer.shape, buffer.dtype, buffer.nbytes) == ((4, 3, 2), np.dtype(np.int16), 48)


def test_a_read_only_array_is_taken_as_it_is():
    array = np.zeros(3, np.float32)
    array.setflags(write=False)
    assert np.shares_memory(HostBuffer(array).host(), array)


def test_it_says_where_it_lies_and_closing_it_leaves_the_owner_his_array():
    array = np.ones(3, np.float32)
    buffer = HostBuffer(array)
    assert (buffer.place, repr(buffer)) == ("host", "HostBuffer(float32 (3,))")
    buffer.close()
    buffer.close()
    assert array.sum() == 3.0
