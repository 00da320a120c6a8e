"""From stored values to units: what type the voxels have, and what padding becomes."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.assemble.rescale import (
    Padded,
    declared_padding,
    mend_ct,
    mend_mr,
    padding_repair,
    rescaled,
)


@pytest.mark.parametrize(
    ("dtype", "stored", "slope", "intercept", "out"),
    [
        (np.int16, [-1024, 0, 3071], 1.0, -1024.0, np.int16),
        (np.uint16, [0, 4095], 1.0, -1024.0, np.int16),
        (np.uint16, [0, 33791], 1.0, -1024.0, np.int16),
        (np.uint16, [0, 33792], 1.0, -1024.0, np.float32),  # 32768 does not fit
        (np.int16, [-32768, 5], 1.0, -1.0, np.float32),
        (np.uint16, [0, 4095], 1.0, -1024.5, np.float32),
        (np.uint16, [0, 4095], 2.0002442, -4047.0, np.float32),
        (np.uint8, [0, 255], 1.0, 0.0, np.int16),
        (np.uint32, [2**32 - 900, 2**32 - 1], 1.0, 0.0, np.float32),  # as int32 it would be -900 HU
    ],
)
def test_voxels_are_int16_only_where_nothing_is_lost(dtype, stored, slope, intercept, out):
    values = rescaled(np.array([stored], dtype=dtype), slope, intercept)
    assert values.dtype == out
    exact = np.array([stored], dtype=np.float64) * slope + intercept
    assert np.allclose(values, exact, rtol=1e-7)
    if out == np.int16:
        assert np.array_equal(values, exact)


@pytest.mark.parametrize(
    ("dtype", "padding", "hits"),
    [
        (np.int16, (-2000, -2000), [True, False, False, False]),
        (np.int16, (63536, 63536), [True, False, False, False]),  # −2000 written as unsigned
        (np.int16, (-2000, -1024), [True, True, False, False]),
        (np.int16, (64512, 63536), [True, True, False, False]),  # limit below value, both unsigned
        (np.int16, (5000, 5000), None),
        (np.uint16, (0, 0), [False, False, True, False]),
        (np.uint16, (-65536, -65536), [False, False, True, False]),
    ],
)
def test_declared_padding_is_compared_modulo_the_width_of_a_pixel(dtype, padding, hits):
    stored = np.array([[-2000, -1024, 0, 700]]).astype(dtype)
    found = declared_padding(stored, padding)
    if hits is None:
        assert found is None
    else:
        assert found.tolist() == [hits]


def test_no_declared_padding_hits_nothing():
    assert declared_padding(np.zeros((2, 2), np.int16), None) is None


def test_ct_below_any_real_value_becomes_minus_1024_declared_or_not():
    values = np.array([[-3024, -2048, -1500, -1100, -1000, 40]], dtype=np.int16)
    assert mend_ct(values, None) == Padded(2, -3024.0, -2048.0)
    assert values.tolist() == [[-1024, -1024, -1500, -1100, -1000, 40]]


def test_declared_padding_of_ct_that_is_tissue_is_not_believed():
    values = np.array([[-1000, 0, 40, 0]], dtype=np.int16)
    declared = np.array([[False, True, False, True]])
    assert mend_ct(values, declared) is None
    assert values.tolist() == [[-1000, 0, 40, 0]]


@pytest.mark.parametrize("value", [-1200, 32767])
def test_declared_padding_of_ct_outside_of_tissue_is_believed(value):
    values = np.array([[value, 0]], dtype=np.int16)
    assert mend_ct(values, np.array([[True, False]])).count == 1
    assert values.tolist() == [[-1024, 0]]


def test_mr_padding_becomes_no_signal_and_other_low_values_stay():
    values = np.array([[-2000, -5, 300]], dtype=np.float32)
    assert mend_mr(values, None) is None
    assert mend_mr(values, np.array([[True, False, False]])) == Padded(1, -2000.0, -2000.0)
    assert values.tolist() == [[0.0, -5.0, 300.0]]


def test_one_repair_tells_count_share_and_values_of_all_slices():
    (repair,) = padding_repair([Padded(10, -3024, -3024), Padded(15, -2048, -1600)], 100, -1024.0, " HU")
    assert repair.kind == "padding"
    assert "25 voxels (25.0%)" in repair.text
    assert "-3024 to -1600 HU" in repair.text
    assert "became -1024 HU" in repair.text
    assert padding_repair([], 100, -1024.0, " HU") == ()
