"""Errors of the driver: each has a row, and those that a process does not survive are known."""

from __future__ import annotations

import pytest

from dicomnode.device.cuda.errors import code_of, ends_process, is_sticky, row_of
from dicomnode.faults import (
    CUDA_BROKEN,
    CUDA_FAILED,
    CUDA_MEMORY,
    CUDA_MISSING,
    CUDA_UNFIT,
    NodeError,
    Retry,
)
from tests.fixtures.cuda_driver.child import on_test_driver

# cuda.h: "the process must be terminated and relaunched", a broken device, or no word at all
_FOR_GOOD = [214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911, 999]


@pytest.mark.parametrize("code", _FOR_GOOD)
def test_what_is_for_good_ends_the_process(code):
    assert is_sticky(code)
    assert row_of(code) is CUDA_BROKEN


@pytest.mark.parametrize(
    ("code", "row"),
    [
        (1, CUDA_FAILED),  # invalid value
        (2, CUDA_MEMORY),
        (3, CUDA_MISSING),  # not initialised
        (100, CUDA_MISSING),
        (803, CUDA_MISSING),  # driver and kernel module do not fit
        (201, CUDA_FAILED),  # invalid context
        (209, CUDA_UNFIT),
        (222, CUDA_UNFIT),
        (400, CUDA_FAILED),  # invalid handle
        (701, CUDA_FAILED),  # too many resources for a launch
        (None, CUDA_FAILED),
    ],
)
def test_everything_else_has_a_row_that_does_not(code, row):
    assert row_of(code) is row
    assert row is not CUDA_BROKEN


def test_memory_and_broken_devices_are_tried_again_what_is_missing_waits_for_a_person():
    assert {row.retry for row in (CUDA_MEMORY, CUDA_BROKEN, CUDA_FAILED)} == {Retry.BACKOFF}
    assert {row.retry for row in (CUDA_MISSING, CUDA_UNFIT)} == {Retry.NEEDS_PERSON}


def test_only_a_broken_device_ends_the_process():
    assert ends_process(NodeError(CUDA_BROKEN, device="d", doing="x", error="e"))
    assert not ends_process(NodeError(CUDA_FAILED, device="d", doing="x", error="e"))
    assert not ends_process(MemoryError())


@on_test_driver()
def test_codes_are_found_by_the_drivers_own_words():
    for text, code in {
        "cuMemAlloc failed: out of memory": 2,
        "memory_pool::allocate failed: out of memory - failed to free memory for allocation": 2,
        "cuStreamSynchronize failed: an illegal memory access was encountered": 700,
        "cuInit failed: no CUDA-capable device is detected": 100,
        "something else": None,
        "cuThis failed: in words that no driver has": None,
    }.items():
        assert code_of(Exception(text)) == code, text
