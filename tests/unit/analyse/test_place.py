"""Where a lesion lies in the organ: its side, and its distance from the border."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.algorithms import Part
from dicomnode.analyse.algorithms.shapes import inner_distance
from dicomnode.analyse.interpret import Region
from dicomnode.analyse.place import Organ, _least_distance
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


@given(
    shape=st.tuples(*[st.integers(1, 45)] * 3),
    holes=st.integers(0, 4),
    count=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=80, deadline=None)
def test_the_least_distance_is_that_of_a_transform_of_the_whole_organ(shape, holes, count, seed):
    random = np.random.default_rng(seed)
    organ = np.ones(shape, dtype=bool)
    organ[tuple(random.integers(0, shape, (holes, 3)).T)] = False
    at = random.integers(0, shape, (count, 3))
    assert _least_distance(organ, at) == inner_distance(organ)[tuple(at.T)].min()


@given(
    at=st.tuples(*[st.floats(-6.0, 26.0) | st.integers(-12, 52).map(lambda n: n / 2)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=80, deadline=None)
def test_the_side_is_that_of_the_nearest_voxel_and_of_equal_ones_the_first_by_name(at, seed):
    grid = grid_of((8, 9, 10), (2.5, 2.0, 2.0))
    labels = np.random.default_rng(seed).integers(0, 8, grid.shape_kji)
    parts = [Part(side, labels == label) for side, label in (("right", 1), ("left", 2))]
    index = grid.to_index_kji(at)
    apart = []
    for part in parts:
        away = (np.argwhere(part.mask) - index) * np.array(grid.spacing_kji_mm)
        apart.append((float((away**2).sum(axis=1).min()), part.side))
    assert Organ(Region(labels > 0, grid), parts).side_of(at) == min(apart)[1]
