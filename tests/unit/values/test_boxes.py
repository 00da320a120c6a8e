"""A box of voxels in patient space: it holds what it should, and no more than it must."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.values import Grid, outer_box_lps_mm


def test_a_box_reaches_half_a_voxel_beyond_its_outermost_centres() -> None:
    affine = np.diag((0.5, 0.75, 2.0, 1.0))
    affine[:3, 3] = (-10.0, 20.0, 30.0)
    low, high = outer_box_lps_mm(Grid((9, 9, 9), affine, "1.2"), ((1, 3), (2, 3), (4, 8)))
    assert low == (-10.0 + 3.5 * 0.5, 20.0 + 1.5 * 0.75, 30.0 + 0.5 * 2.0)
    assert high == (-10.0 + 7.5 * 0.5, 20.0 + 2.5 * 0.75, 30.0 + 2.5 * 2.0)


starts = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
sizes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@given(starts, sizes, st.integers(0, 10_000))
def test_of_any_grid_it_holds_the_corners_of_all_voxels_and_touches_some_on_each_side(
    start: tuple[int, int, int], size: tuple[int, int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.standard_normal((3, 3)))[0] * rng.uniform(0.5, 3.0, 3)
    affine[:3, 3] = rng.uniform(-200.0, 200.0, 3)
    grid = Grid((8, 8, 8), affine, "1.2")
    box = tuple((a, a + n) for a, n in zip(start, size, strict=True))
    low, high = (np.array(end) for end in outer_box_lps_mm(grid, (box[0], box[1], box[2])))
    centres = np.argwhere(np.ones(size)) + start
    corners = (centres[:, None] + np.array(list(np.ndindex(2, 2, 2))) - 0.5).reshape(-1, 3)
    points = grid.to_lps_mm(corners)
    assert (points >= low - 1e-9).all()
    assert (points <= high + 1e-9).all()
    assert np.allclose(points.min(axis=0), low)
    assert np.allclose(points.max(axis=0), high)
