"""align = "monai": where MONAI's Spacing puts the new grid, of straight images and of oblique ones."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse.spacing import monai_plans
from dicomnode.values import Grid


def turned_grid(angle: float) -> Grid:
    """A grid whose axes are turned about two axes of the patient."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3] = turn * np.array([0.7, 0.8, 2.5])
    return Grid((20, 31, 44), affine, "1.2.3")


def test_monais_spacing_keeps_the_first_voxel_of_a_straight_image():
    for plan, size in zip(monai_plans(turned_grid(0.0), (2.0, 1.0, 1.0)), (20, 31, 44), strict=True):
        assert (plan.first, plan.size) == (0.0, size)


def test_monais_spacing_keeps_the_middle_index_of_an_oblique_image():
    plans = monai_plans(turned_grid(0.3), (2.0, 1.0, 1.0))
    for plan in plans:
        assert plan.first + plan.step * plan.count / 2.0 == pytest.approx(plan.size / 2.0)
    assert [plan.count for plan in plans] == [25, 25, 31]


def test_monais_spacing_leaves_a_spacing_that_is_nearly_the_one_wanted():
    assert all(plan.unchanged for plan in monai_plans(turned_grid(0.3), (2.5009, 0.7995, 0.7)))
