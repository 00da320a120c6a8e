"""Numbers of whole lungs: what each of them tells, and what it does not hang on."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse.algorithms import ROW_ALGORITHMS
from dicomnode.analyse.algorithms.lung_profile import NAMES
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid

PROFILE = ROW_ALGORITHMS["lung_profile"]
MM = 3.0
SHAPE = (60, 70, 96)  # to head, back and left


def grid(flipped: bool = False) -> Grid:
    affine = np.diag((MM, MM, MM, 1.0))
    if flipped:  # columns run to the right
        affine[0, 0], affine[0, 3] = -MM, MM * (SHAPE[2] - 1)
    return Grid(SHAPE, affine, "1.2.3")


def ball(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    axes = np.indices(SHAPE)
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) <= 1.0


RIGHT = ball((30, 35, 27), (26, 24, 15))
LEFT = ball((30, 35, 69), (26, 24, 15))
BODY = ball((30, 35, 48), (400, 33, 46))
RING = ball((30, 35, 48), (400, 31, 43)) & ~ball((30, 35, 48), (400, 29.5, 41))


def chest(lungs: np.ndarray, noise: float = 15.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    hu = np.where(BODY, 40.0, -1000.0)
    hu[RING] = 500.0
    hu[lungs] = -860.0
    return (hu + noise * rng.standard_normal(SHAPE)).astype(np.float32)


def row_of(hu: np.ndarray, lungs: np.ndarray, on: Grid | None = None) -> dict[str, float]:
    row = PROFILE.run(Prepared(hu, on or grid()), lungs, PROFILE.parameters, NAMES)
    assert not isinstance(row, str)
    return dict(zip(NAMES, row.tolist(), strict=True))


@pytest.fixture(scope="module")
def usual() -> dict[str, float]:
    lungs = RIGHT | LEFT
    return row_of(chest(lungs), lungs)


def test_a_row_has_each_name_once_and_all_numbers_are_finite(usual) -> None:
    assert len(set(NAMES)) == len(NAMES) == len(usual)
    assert np.isfinite(list(usual.values())).all()
    assert usual["total_ml"] == pytest.approx((RIGHT | LEFT).sum() * MM**3 / 1000.0, rel=0.05)
    assert usual["right_part"] == pytest.approx(0.5, abs=0.02)
    assert usual["soft_p50"] == pytest.approx(-860.0, abs=5.0)


def test_names_that_are_wanted_come_in_their_order(usual) -> None:
    lungs = RIGHT | LEFT
    some = PROFILE.run(Prepared(chest(lungs), grid()), lungs, {}, ("total_ml", "noise"))
    assert list(some) == [usual["total_ml"], usual["noise"]]


def test_the_same_patient_stored_the_other_way_round_has_the_same_row() -> None:
    lungs = LEFT | ball((30, 35, 27), (26, 20, 12))
    hu = chest(lungs)
    other = row_of(hu[:, :, ::-1].copy(), lungs[:, :, ::-1].copy(), grid(flipped=True))
    for name, value in row_of(hu, lungs).items():
        assert other[name] == pytest.approx(value, rel=1e-4, abs=1e-3), name


def test_lungs_that_are_emptier_above_say_so_above(usual) -> None:
    lungs = RIGHT | LEFT
    hu = chest(lungs)
    hu[38:][lungs[38:]] -= 95.0
    row = row_of(hu, lungs)
    assert row["soft_below-930_upper"] > 0.7 > 0.05 > row["soft_below-930_lower"]
    assert row["below-950"] > usual["below-950"] + 0.1
    assert row["soft_p15_upper"] < usual["soft_p15_upper"] - 80.0


def test_small_holes_are_seen_where_the_mean_hardly_moves(usual) -> None:
    lungs = RIGHT | LEFT
    hu = chest(lungs)
    inside = np.argwhere(lungs)
    for k, j, i in inside[np.random.default_rng(2).choice(len(inside), 250, replace=False)]:
        hu[k : k + 2, j : j + 2, i : i + 2] = np.minimum(hu[k : k + 2, j : j + 2, i : i + 2], -1000.0)
    row = row_of(hu, lungs)
    assert row["hole_0_p99"] > 1.5 * usual["hole_0_p99"]
    assert abs(row["soft_p50"] - usual["soft_p50"]) < 10.0


def test_a_lung_that_is_smaller_and_higher_shows_in_the_sides(usual) -> None:
    small = ball((36, 35, 27), (20, 24, 12))
    lungs = small | LEFT
    row = row_of(chest(lungs), lungs)
    assert row["right_part"] < usual["right_part"] - 0.1
    assert row["base_apart_mm"] > usual["base_apart_mm"] + 9.0
    assert row["lowest_apart_mm"] > 12.0
    assert row["uneven_2"] < -0.05


def test_fluid_behind_a_lung_keeps_it_from_the_ribs_and_of_both_sides_the_worse_is_told(usual) -> None:
    rows = np.arange(SHAPE[1])[None, :, None]
    told = []
    for lung, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        lungs = other | (lung & (rows < 46))
        told.append(row_of(chest(lungs), lungs))
    for row in told:
        assert row["wall_more_ml"] > usual["wall_more_ml"] + 50.0
        assert row["back_less_middle_mm"] < usual["back_less_middle_mm"] - 20.0
        assert row["back_more_middle_mm"] == pytest.approx(usual["back_more_middle_mm"], abs=2.0)
    assert told[0]["wall_more_ml"] == pytest.approx(told[1]["wall_more_ml"], rel=0.1)


def test_what_is_dense_within_the_outline_is_a_patch_and_in_a_dent_of_it_too(usual) -> None:
    lungs = RIGHT | LEFT
    lump = ball((30, 35, 27), (6, 6, 6))
    hu = chest(lungs)
    hu[lump] = 30.0
    row = row_of(hu, lungs)
    assert row["patch_largest_ml"] > 10.0 > 1.0 > usual["patch_largest_ml"]
    dented = lungs & ~ball((30, 35, 15), (9, 9, 9))
    row = row_of(chest(dented), dented)
    assert row["dent_right_middle"] > usual["dent_right_middle"] + 0.05
    assert row["dent_dense_more_middle_ml"] > usual["dent_dense_more_middle_ml"] + 10.0


@pytest.mark.parametrize(
    ("lungs", "why"),
    [
        (ball((30, 35, 27), (5, 5, 5)), "less than 150 ml"),
        (RIGHT | ball((30, 35, 69), (2, 2, 2)), "only one lung"),
        (RIGHT, "only one lung"),
        (LEFT, "only one lung"),
    ],
    ids=["little", "one and a sliver of the other", "right", "left"],
)
def test_what_is_no_pair_of_lungs_has_no_row_and_says_why(lungs, why: str) -> None:
    found = PROFILE.run(Prepared(chest(lungs), grid()), lungs, {}, NAMES)
    assert isinstance(found, str)
    assert why in found


def test_lungs_that_touch_in_front_of_the_heart_are_two() -> None:
    bridge = np.zeros(SHAPE, dtype=bool)
    bridge[20:45, 18:26, 30:66] = True
    lungs = RIGHT | LEFT | bridge
    assert row_of(chest(lungs), lungs)["right_part"] == pytest.approx(0.5, abs=0.02)
