"""What rays go through: ways in mm, enlargement by distance, sides, and no couch."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.phantom.patients import BareChest
from dicomnode.phantom.projection import PIXEL_MM, SIDE, Pose, shadow_of
from dicomnode.values import Grid

SPACING = 4.0
SHAPE = (40, 40, 60)  # k, j, i: 160 mm high, 160 deep, 240 wide
MIDDLE = (SIDE - 1) / 2


def chest_of(hu: np.ndarray, lungs: np.ndarray | None = None) -> BareChest:
    if lungs is None:
        lungs = np.zeros(hu.shape, dtype=np.uint8)
        lungs[10:30, 10:30, 10:50] = 1
    return BareChest(
        seed=1,
        hu=hu.astype(np.float32),
        grid=Grid(hu.shape, np.diag([SPACING, SPACING, SPACING, 1.0]), ""),
        lungs=lungs,
        distractors=(),
        diseases=(),
        enhanced=False,
    )


def block(low: tuple[int, int, int], high: tuple[int, int, int], hu: float = 0.0) -> np.ndarray:
    made = np.full(SHAPE, -1000.0)
    made[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = hu
    return made


def extent_mm(picture: np.ndarray, axis: int) -> float:
    line = picture.max(axis=axis)
    return float((line > line.max() / 2).sum()) * PIXEL_MM


@pytest.mark.parametrize(("detector", "way_mm"), [("front", 80.0), ("back", 80.0), ("left", 160.0)])
def test_the_way_through_a_block_of_water_is_its_thickness_along_the_rays(detector, way_mm) -> None:
    shadow = shadow_of(chest_of(block((0, 10, 10), (40, 30, 50))), Pose(detector=detector, focus_mm=1e7))
    assert shadow.soft_mm[SIDE // 2, SIDE // 2] == pytest.approx(way_mm, rel=0.01)
    assert shadow.bone_mm.max() == 0.0


def test_what_is_denser_than_water_is_counted_apart() -> None:
    shadow = shadow_of(chest_of(block((0, 10, 10), (40, 30, 50), 1120.0)), Pose(detector="front"))
    assert shadow.bone_mm[SIDE // 2, SIDE // 2] == pytest.approx(80.0, rel=0.05)
    assert shadow.soft_mm[SIDE // 2, SIDE // 2] == pytest.approx(80.0 * 1.12, rel=0.05)


def test_what_is_far_from_the_detector_is_enlarged_and_what_touches_it_is_not() -> None:
    near_front = chest_of(block((10, 0, 20), (30, 4, 40)))
    at_front = extent_mm(shadow_of(near_front, Pose(detector="front", focus_mm=800.0)).soft_mm, 0)
    at_back = extent_mm(shadow_of(near_front, Pose(detector="back", focus_mm=800.0)).soft_mm, 0)
    assert at_front == pytest.approx(80.0, abs=2 * PIXEL_MM)
    # Its middle lies 152 mm of 800 away
    assert at_back == pytest.approx(80.0 / (1.0 - 152.0 / 800.0), abs=2 * PIXEL_MM)


def test_the_patients_right_lies_left_and_his_head_up_and_of_a_lateral_view_his_front_left() -> None:
    corner = chest_of(block((30, 0, 2), (40, 10, 12)))  # high, in front, on the right (small x in LPS)
    frontal = shadow_of(corner, Pose(detector="front")).soft_mm
    lateral = shadow_of(corner, Pose(detector="left")).soft_mm
    for picture in (frontal, lateral):
        j, i = np.argwhere(picture > picture.max() / 2).mean(axis=0)
        assert j < MIDDLE
        assert i < MIDDLE


def test_a_couch_behind_the_back_is_not_in_the_way() -> None:
    hu = block((0, 5, 10), (40, 32, 50))
    with_couch = hu.copy()
    with_couch[:, 37:39, 30:32] = -190.0
    pose = Pose(detector="front")
    bare, laid = shadow_of(chest_of(hu), pose), shadow_of(chest_of(with_couch), pose)
    np.testing.assert_array_equal(bare.soft_mm, laid.soft_mm)


def test_lung_is_seen_where_rays_go_through_it() -> None:
    lungs = np.zeros(SHAPE, dtype=np.uint8)
    lungs[10:30, 10:30, 40:50] = 2
    seen = shadow_of(chest_of(block((0, 5, 5), (40, 35, 55)), lungs), Pose(detector="front")).lungs
    rows, columns = np.nonzero(seen)
    assert columns.min() > MIDDLE  # the patient's left lies right
    assert np.ptp(rows) * PIXEL_MM == pytest.approx(80.0, rel=0.15)


def test_a_turned_patient_is_broader_where_he_was_deep() -> None:
    slab = chest_of(block((0, 18, 10), (40, 22, 50)))
    straight = extent_mm(shadow_of(slab, Pose(detector="front", focus_mm=1e7)).soft_mm, 0)
    turned = extent_mm(shadow_of(slab, Pose(detector="front", turned_deg=40.0, focus_mm=1e7)).soft_mm, 0)
    assert turned < 0.85 * straight
