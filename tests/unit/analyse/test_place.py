"""Where a lesion lies in the organ: its side, and its distance from the border."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse.algorithms import Part
from dicomnode.analyse.interpret import Region
from dicomnode.analyse.place import Organ
from dicomnode.values import Mask
from tests.unit.analyse.test_grids import grid_of

GRID = grid_of((20, 20, 40), (2.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def organ() -> Organ:
    """Right from x = 2 to 32 mm, left from 44 to 76 mm; both go on beyond the first slice."""
    right, left = (np.zeros(GRID.shape_kji, dtype=bool) for _ in range(2))
    right[0:18, 2:18, 2:16] = True
    left[0:18, 2:18, 22:38] = True
    return Organ(Region(right | left, GRID), (Part("right", right), Part("left", left)))


@pytest.mark.parametrize(
    ("x", "side"), [(10.0, "right"), (60.0, "left"), (33.0, "right"), (41.0, "left"), (-5.0, "right")]
)
def test_the_side_is_that_of_the_part_that_holds_the_point_or_is_nearest(organ, x, side):
    assert organ.side_of((x, 20.0, 20.0)) == side


def test_without_sides_there_is_none():
    mask = np.ones((3, 3, 3), dtype=bool)
    assert Organ(Region(mask, GRID), (Part(None, mask),)).side_of((0.0, 0.0, 0.0)) is None


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((slice(16, 18), slice(18, 22), slice(58, 62)), 14.0),
        ((slice(0, 2), slice(18, 22), slice(58, 62)), 14.0),
        ((slice(16, 18), slice(4, 8), slice(58, 62)), 0.5),
        ((slice(16, 18), slice(0, 8), slice(58, 62)), 0.0),
    ],
    ids=["in the middle", "at the first slice, which is no border", "near the front", "beyond the border"],
)
def test_the_distance_is_from_the_nearest_voxel_to_the_border(organ, box, expected):
    source = grid_of((40, 40, 80), (1.0, 1.0, 1.0))
    mask = np.zeros(source.shape_kji, dtype=bool)
    mask[box] = True
    assert organ.to_border_mm(Mask.from_array(mask), source) == pytest.approx(expected, abs=1.1)


def test_what_lies_outside_the_images_of_the_organ_has_no_distance(organ):
    source = grid_of((4, 4, 4), (1.0, 1.0, 1.0), (500.0, 0.0, 0.0))
    assert organ.to_border_mm(Mask.from_array(np.ones((4, 4, 4))), source) == 0.0
