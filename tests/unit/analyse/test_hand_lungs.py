"""Lungs drawn by hand on slices of real scans: what is stored is whole, and the drawing can be repeated."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.evaluate import dice
from tests.fixtures.hand_lungs import Outline, hand_slices

SLICES = hand_slices()
SHAPE = (512, 512)


def test_pixels_whose_centre_lies_within_a_polygon_are_inside_and_holes_are_not():
    square = [(1.5, 0.5), (5.5, 0.5), (5.5, 4.5), (1.5, 4.5)]
    hole = [(2.5, 1.5), (3.5, 1.5), (3.5, 2.5), (2.5, 2.5)]
    wanted = np.zeros((6, 8), dtype=bool)
    wanted[1:5, 2:6] = True
    assert np.array_equal(Outline([square], []).mask((6, 8)), wanted)
    wanted[2, 3] = False
    assert np.array_equal(Outline([square], [hole]).mask((6, 8)), wanted)


def test_four_scans_and_the_levels_from_apex_to_diaphragm_are_there():
    assert len(SLICES) == 12
    assert len({one.folder for one in SLICES}) == 4
    assert len({one.sop_instance_uid for one in SLICES}) == 12
    for level in ("apex", "arch", "hilum", "heart", "domes", "lesion"):
        assert any(level in one.level for one in SLICES)


@pytest.mark.parametrize("drawn", SLICES, ids=[one.name for one in SLICES])
def test_both_lungs_are_drawn_apart_and_the_right_one_on_the_left_of_the_image(drawn):
    right, left = (drawn.lungs[side].mask(SHAPE) for side in ("right", "left"))
    assert not (right & left).any()
    assert min(right.sum(), left.sum()) > 3000
    assert np.argwhere(right)[:, 1].mean() + 50 < np.argwhere(left)[:, 1].mean()


def test_lungs_drawn_twice_agree_better_than_is_asked_of_the_algorithm():
    pairs = [(one.lungs[side], again) for one in SLICES for side, again in one.again.items()]
    assert len(pairs) == 4
    assert min(dice(first.mask(SHAPE)[None], second.mask(SHAPE)[None]) for first, second in pairs) > 0.98
