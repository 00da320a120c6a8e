"""Numbers as 16-bit integers: how far they are off, what is clipped, and the window they are shown in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.report.fields.stored import Scale, scale_of, window_of, window_text
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT, PERCENT, SUV_BODY_WEIGHT


def field(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(1, 1, -1)


def restored(scale: Scale, values: np.ndarray) -> np.ndarray:
    """As a reader makes values of what is stored."""
    return scale.stored(values).astype(np.float64) * float(scale.slope) + float(scale.intercept)


@pytest.mark.parametrize(
    ("low", "high", "intercept"),
    [(-1024.0, 3071.0, "0"), (-32768.0, 32767.0, "0"), (-33000.0, 100.0, "-1024"), (-1.0, 40000.0, "0")],
)
def test_hounsfield_units_keep_steps_of_one(low: float, high: float, intercept: str) -> None:
    assert scale_of(field(low, high), HOUNSFIELD, 0.1) == Scale("1", intercept)


def test_what_is_beyond_sixteen_bits_is_clipped_and_counted() -> None:
    values = field(-40000.0, -5.4, 32767.4, 32768.0, 90000.0)
    scale = scale_of(values, HOUNSFIELD, 1.0)
    assert scale.stored(values).ravel().tolist() == [-32768, -5, 32767, 32767, 32767]
    assert scale.beyond(values) == 3
    assert scale.reach(HOUNSFIELD) == "-32768 to 32767 HU"
    assert scale.beyond(field(-1024.0, 3071.0)) == 0


@pytest.mark.parametrize(("step", "slope"), [(1.0, 1.0), (0.5, 0.5), (2.0, 2.0)])
def test_the_step_of_the_source_is_kept_where_it_uses_ten_bits(step: float, slope: float) -> None:
    assert float(scale_of(field(-3.0, 4000.0), NO_UNIT, step).slope) == slope


@pytest.mark.parametrize("largest", [0.7, 100.0, 50000.0, 1e-20, 3e38])
def test_other_ranges_use_all_sixteen_bits(largest: float) -> None:
    scale = scale_of(field(-0.2 * largest, largest), SUV_BODY_WEIGHT, 1.0)
    assert scale.intercept == "0"
    assert scale.stored(field(largest)).item() == 32767
    assert len(scale.slope) <= 16


def test_an_image_of_nothing_has_a_scale() -> None:
    assert float(scale_of(field(0.0, 0.0), SUV_BODY_WEIGHT, 0.25).slope) == 0.25


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    st.sampled_from([HOUNSFIELD, NO_UNIT]),
    st.sampled_from([1.0, 0.1, 3.7]),
)
def test_no_value_within_reach_is_off_by_more_than_half_a_step(
    numbers: list[float], unit: object, step: float
) -> None:
    values = field(*numbers)
    scale = scale_of(values, unit, step)  # type: ignore[arg-type]
    off = np.abs(restored(scale, values) - values)
    within = np.sort(off.ravel())[: values.size - scale.beyond(values)]
    assert (within <= scale.step * (0.5 + 1e-4)).all()
    largest = float(np.abs(values).max())
    if unit == NO_UNIT and largest <= 32767 * step:  # sixteen bits can hold steps as fine as the source's
        assert scale.step <= step * (1 + 1e-9)


@pytest.mark.parametrize(
    ("values", "unit", "shown"),
    [
        ((0.0, 0.2), NO_UNIT, (0.0, 1.0)),
        ((3.0, 20.0), PERCENT, (0.0, 100.0)),
        ((-1000.0, 3000.0), HOUNSFIELD, (-160.0, 240.0)),
        ((7.0, 7.0), NO_UNIT, (7.0, 8.0)),
    ],
)
def test_the_window_follows_the_unit(
    values: tuple[float, ...], unit: object, shown: tuple[float, float]
) -> None:
    assert window_of(field(*values), unit) == shown  # type: ignore[arg-type]


def test_values_without_a_scale_of_their_own_are_shown_between_percentiles() -> None:
    values = np.linspace(0.0, 50.0, 8000, dtype=np.float32).reshape(20, 20, 20)
    low, high = window_of(values, SUV_BODY_WEIGHT)
    assert 0.0 < low < 1.0
    assert 49.0 < high < 50.0


def test_a_few_hot_voxels_among_nothing_are_shown_from_end_to_end() -> None:
    values = np.zeros((8, 20, 20), dtype=np.float32)
    values[3, 5, 5] = 9.0
    assert window_of(values, SUV_BODY_WEIGHT) == (0.0, 9.0)


def test_a_window_is_written_by_its_centre_and_width() -> None:
    assert window_text(-160.0, 240.0) == ("40", "400")
    assert window_text(0.0, 0.03) == ("0.015", "0.03")
