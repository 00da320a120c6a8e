"""Lung without air: told by what is missing between lung and ribs, beside the mediastinum, and within."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomnode.analyse.algorithms.airless import Airless, airless_of

MM = 3.0
SHAPE = (70, 80, 110)  # k to the head, j to the back, i to the left
Z, Y, X = (
    (axis - (size - 1) / 2) * MM
    for axis, size in zip(np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]], SHAPE, strict=True)
)
Bool = NDArray[np.bool_]
BOX = (slice(4, 66), slice(5, 75), slice(10, 100))


def bones() -> Bool:
    """A rib every 24 mm, 8 mm high, on an ellipse around the lungs; between them there is none."""
    on_wall = np.abs(np.sqrt((X / 140.0) ** 2 + (Y / 100.0) ** 2) - 1.0) < 0.04
    return np.broadcast_to(on_wall & (np.mod(Z, 24.0) < 8.0), SHAPE)


def lung(side: int, back_mm: float = 0.0, medial_mm: float = 30.0) -> Bool:
    """Right (-1) or left (1) lung: within the ribs, `back_mm` short of them at the back."""
    inside = (X / 132.0) ** 2 + (Y / 92.0) ** 2 < 1.0
    inside = inside & ((X / 132.0) ** 2 + ((Y + back_mm) / 92.0) ** 2 < 1.0)
    return np.broadcast_to(inside & (side * X > medial_mm) & (np.abs(Z) < 90.0), SHAPE)


def measured(right: Bool, left: Bool) -> Airless:
    hu = np.where(bones(), 500.0, 40.0).astype(np.float32)
    hu[right | left] = -850.0
    lungs = {"right": right[BOX], "left": left[BOX]}
    return airless_of(hu, BOX, lungs, (SHAPE[2] - 1) / 2 - BOX[2].start, MM)


def test_nothing_is_missing_of_lungs_that_reach_the_ribs():
    found = measured(lung(-1), lung(1))
    assert (found.wall_right_ml, found.wall_left_ml, found.within_ml) == (0.0, 0.0, 0.0)
    assert abs(found.uneven_ml) < 3.0


@pytest.mark.parametrize("side", ["right", "left"])
def test_fluid_at_the_back_is_measured_on_its_side(side):
    wet = lung(-1 if side == "right" else 1, back_mm=24.0)
    found = measured(wet, lung(1)) if side == "right" else measured(lung(-1), wet)
    truth = lung(-1 if side == "right" else 1) & ~wet
    ml = {"right": found.wall_right_ml, "left": found.wall_left_ml}
    assert ml.pop(side) == pytest.approx(
        truth.sum() * MM**3 / 1000.0, rel=0.2
    )  # and the wall as far as the ribs
    assert list(ml.values()) == [0.0]


def test_a_layer_as_thin_as_muscle_and_fat_is_nothing():
    assert measured(lung(-1, back_mm=3.0), lung(1, back_mm=3.0)).wall_right_ml == 0.0


def test_lungs_without_ribs_around_them_are_not_said_to_be_away_from_them():
    lungs = {"right": lung(-1, back_mm=24.0)[BOX]}
    hu = np.where(lung(-1, back_mm=24.0), -850.0, 40.0).astype(np.float32)
    assert airless_of(hu, BOX, lungs, 45.0, MM).wall_right_ml == 0.0


@pytest.mark.parametrize(("side", "sign"), [("right", 1), ("left", -1)])
def test_a_mediastinum_wide_on_one_side_is_measured_with_its_side(side, sign):
    wide = lung(-1 if side == "right" else 1, medial_mm=60.0)
    found = measured(wide, lung(1)) if side == "right" else measured(lung(-1), wide)
    upper = 0.25 * 180.0  # mm: from 70 to 95 % of the height
    missing = (lung(-1 if side == "right" else 1) & ~wide)[SHAPE[0] // 2].sum() * MM**2 * upper / 1000.0
    assert sign * found.uneven_ml == pytest.approx(missing, rel=0.1)


def ball(x: float, radius: float) -> Bool:
    return np.broadcast_to((X - x) ** 2 + Y**2 + Z**2 < radius**2, SHAPE)


def test_a_dense_piece_with_lung_around_it_is_measured():
    solid = ball(80.0, 27.0)
    found = measured(lung(-1), lung(1) & ~solid)
    assert found.within_ml == pytest.approx(solid.sum() * MM**3 / 1000.0, rel=0.25)


@pytest.mark.parametrize(
    ("x", "radius"), [(80.0, 9.0), (30.0, 27.0)], ids=["a vessel", "what bulges from the mediastinum"]
)
def test_what_is_thin_or_has_lung_on_five_sides_only_is_not(x, radius):
    assert measured(lung(-1), lung(1) & ~ball(x, radius)).within_ml == 0.0


def test_one_lung_alone_has_no_other_side_to_be_compared_with():
    hu = np.where(bones(), 500.0, 40.0).astype(np.float32)
    found = airless_of(hu, BOX, {"left": lung(1)[BOX]}, (SHAPE[2] - 1) / 2 - BOX[2].start, MM)
    assert found == Airless(wall_right_ml=0.0, wall_left_ml=0.0, uneven_ml=0.0, within_ml=0.0)
