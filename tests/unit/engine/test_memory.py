"""Estimates of the memory that a run takes: their parts, and where the parts come from."""

from __future__ import annotations

import pytest

from dicomnode.engine.memory import MemoryEstimate, SessionMemory, estimate, session_memory
from dicomnode.engine.runtimes import TensorSpec

SHAPES = {"x": (2, 1, 8, 8, 8)}


class Sum:
    """A session that tells its memory as one number."""

    outputs = (
        TensorSpec("y", (None, 3, None, None, None), "float32"),
        TensorSpec("z", (None, None, None, None, None), "float32"),
        TensorSpec("score", (1, 7), "float32"),
    )

    def memory(self, shape):
        return 10_000 + 60 * shape[0] * 512


class InParts(Sum):
    """A session that tells it in parts."""

    def memory_parts(self, shapes):
        assert shapes == SHAPES
        return SessionMemory(weights=7_000, context=2_000, io=500)


def test_a_session_that_tells_its_parts_is_believed():
    assert session_memory(InParts(), SHAPES) == SessionMemory(weights=7_000, context=2_000, io=500)


def test_of_one_that_tells_a_sum_what_goes_in_is_known():
    assert session_memory(Sum(), SHAPES) == SessionMemory(
        weights=0, context=10_000 + 60 * 1024 - 4 * 1024, io=4 * 1024
    )


def test_sums_are_those_of_all_channels_of_what_lies_on_a_grid():
    found = estimate(InParts(), SHAPES, sums_kji=(8, 20, 30), volume_bytes=123)
    assert found == MemoryEstimate(
        weights=7_000, context=2_000, io=500, accumulators=(3 + 1) * 4 * 8 * 20 * 30, volume=123
    )
    assert found.to_come == 500 + 16 * 4800 + 123
    assert found.total == found.to_come + 9_000


def test_no_part_is_below_nothing():
    with pytest.raises(ValueError, match="below 0"):
        MemoryEstimate(weights=1, context=-1, io=0, accumulators=0, volume=0)
