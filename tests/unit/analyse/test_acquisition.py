"""Kernel and slice thickness of a header that holds something else than the dictionary says."""

from __future__ import annotations

import pytest

from dicomnode.analyse.acquisition import Acquisition, acquisition_of
from tests.unit.analyse.test_tag_numbers import element, headers

KERNEL = element(0x18, 0x1210, b"SH", b"B30f")
THICK = element(0x18, 0x50, b"DS", b"1.25")


def test_the_kernel_and_the_thickness_are_read():
    assert acquisition_of(headers(THICK, KERNEL)) == Acquisition("B30f", 1.25)


@pytest.mark.parametrize("vr", [b"US", b"OB", b"FD", b"SQ"])
def test_a_kernel_that_is_no_text_is_none(vr):
    value = {b"SQ": b"\xfe\xff\x00\xe0"}.get(vr, b"\3\0")
    made = acquisition_of(headers(THICK, element(0x18, 0x1210, vr, value)))
    assert made.slice_thickness_mm == 1.25
    assert made.kernel in {None, "3"}


@pytest.mark.parametrize("vr", [b"US", b"IS", b"OB"])
def test_a_thickness_that_is_no_length_is_none(vr):
    value = {b"IS": b"1e400 "}.get(vr, b"\0\0")
    assert acquisition_of(headers(element(0x18, 0x50, vr, value), KERNEL)) == Acquisition("B30f", None)


@pytest.mark.parametrize("vr", [b"US", b"OB"])
def test_a_character_set_that_is_no_text_costs_no_analysis(vr):
    assert acquisition_of(headers(element(8, 5, vr, b"\3\0"), THICK, KERNEL)) == Acquisition()
