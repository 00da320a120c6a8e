"""A grid maps voxels to patient space and back, whatever its orientation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.values import Grid

IDENTITY = np.eye(4)


def _turn(angles: tuple[float, float, float]) -> np.ndarray:
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (n for n in range(3) if n != axis)
        step = np.eye(3)
        step[a, a] = step[b, b] = math.cos(angle)
        step[a, b], step[b, a] = -math.sin(angle), math.sin(angle)
        turn = turn @ step
    return turn


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Any turned grid with non-square pixels; k may run against the normal; some are sheared (tilted)."""
    affine = np.eye(4)
    spacing = draw(st.tuples(*[st.floats(0.2, 8.0)] * 3))
    affine[:3, :3] = _turn(draw(st.tuples(*[st.floats(-4, 4)] * 3))) * np.array(spacing)
    affine[:3, 2] *= draw(st.sampled_from([1.0, -1.0]))
    affine[:3, 2] += draw(st.floats(-0.4, 0.4)) * affine[:3, 1]
    affine[:3, 3] = draw(st.tuples(*[st.floats(-2000, 2000)] * 3))
    return Grid(draw(st.tuples(*[st.integers(1, 60)] * 3)), affine, "2.25.1")


indices = arrays(np.float64, (7, 3), elements=st.floats(-100, 600))


@given(grids(), indices)
def test_to_patient_space_and_back_is_the_same_index(grid: Grid, index: np.ndarray) -> None:
    assert np.allclose(grid.to_index_kji(grid.to_lps_mm(index)), index, atol=1e-6)


@given(grids(), indices)
def test_a_voxel_is_where_the_standard_says(grid: Grid, index: np.ndarray) -> None:
    # PS3.3 C.7.6.2.1.1, with the slice as third axis: i along the row, j along the column.
    a = grid.affine_lps
    for (k, j, i), point in zip(index, grid.to_lps_mm(index), strict=True):
        assert np.allclose(point, a[:3, 0] * i + a[:3, 1] * j + a[:3, 2] * k + a[:3, 3], atol=1e-6)


@given(grids())
def test_neighbours_are_a_spacing_apart(grid: Grid) -> None:
    steps = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    for step, spacing in zip(steps, grid.spacing_kji_mm, strict=True):
        apart = grid.to_lps_mm(step) - grid.to_lps_mm((0, 0, 0))
        assert np.linalg.norm(apart) == pytest.approx(spacing)


@given(grids())
def test_a_voxel_has_the_volume_that_its_edges_span(grid: Grid) -> None:
    a, b, c = (grid.to_lps_mm(step) - grid.to_lps_mm((0, 0, 0)) for step in np.eye(3))
    assert grid.voxel_mm3 == pytest.approx(abs(np.dot(a, np.cross(b, c))), rel=1e-6)


@given(grids())
def test_slices_lie_one_distance_apart_along_their_normal(grid: Grid) -> None:
    normal = grid.normal_lps
    assert np.allclose([normal @ normal, *(normal @ grid.affine_lps[:3, :2])], [1, 0, 0], atol=1e-9)
    first, second = grid.to_lps_mm([(0, 3, 5), (1, -7, 2)])
    assert (second - first) @ normal == pytest.approx(grid.slice_distance_mm)
    assert grid.slice_distance_mm > 0
    _, row_mm, column_mm = grid.spacing_kji_mm
    assert grid.voxel_mm3 == pytest.approx(grid.slice_distance_mm * row_mm * column_mm)


@given(grids(), st.floats(-0.7, 0.7), st.floats(-0.7, 0.7))
def test_a_tilt_is_the_angle_by_which_slices_lean_in_any_direction(
    grid: Grid, down: float, across: float
) -> None:
    affine = grid.affine_lps.copy()
    along, (column, row) = grid.normal_lps * grid.slice_distance_mm, affine[:3, :2].T
    lean = down * row / np.linalg.norm(row) + across * column / np.linalg.norm(column)
    affine[:3, 2] = along + grid.slice_distance_mm * lean
    tilted = Grid(grid.shape_kji, affine, "2.25.1")
    assert tilted.tilt_degrees == pytest.approx(math.degrees(math.atan(math.hypot(down, across))), abs=1e-6)
    assert tilted.slice_distance_mm == pytest.approx(grid.slice_distance_mm)


@pytest.mark.parametrize(
    ("slices", "degrees", "sheared"),
    [
        (40, 0.0, False),
        (40, 0.09, False),
        (3, 0.5, False),
        (40, 0.5, True),
        (40, -20.0, True),
        (1, 20.0, False),
    ],
    ids=["upright", "rounding", "no fifth of a pixel", "tilted", "tilted back", "one slice"],
)
def test_slices_that_lean_less_than_what_is_rounded_are_upright(
    slices: int, degrees: float, sheared: bool
) -> None:
    affine = np.diag((0.7, 0.9, 5.0, 1.0))
    affine[1, 2] = 5.0 * math.tan(math.radians(degrees))
    assert Grid((slices, 9, 9), affine, "1").is_sheared is sheared


@given(grids())
def test_a_grid_is_the_same_as_itself(grid: Grid) -> None:
    assert grid.same_as(grid, tolerance_mm=0.0)
    assert grid.same_as(Grid(grid.shape_kji, grid.affine_lps.copy(), "another"))


@given(grids(), st.floats(0.1, 5.0))
def test_a_moved_grid_is_another_one_beyond_the_tolerance(grid: Grid, by: float) -> None:
    affine = grid.affine_lps.copy()
    affine[0, 3] += by
    moved = Grid(grid.shape_kji, affine, "2.25.1")
    assert not grid.same_as(moved, tolerance_mm=by * 0.99)
    assert grid.same_as(moved, tolerance_mm=by * 1.01)


@given(grids())
def test_a_mirrored_or_stretched_grid_is_another_one(grid: Grid) -> None:
    assume(min(grid.shape_kji) > 1)
    for axis in range(3):
        for factor in (-1.0, 1.5):
            affine = grid.affine_lps.copy()
            affine[:3, axis] *= factor
            assert not grid.same_as(Grid(grid.shape_kji, affine, "2.25.1"), tolerance_mm=0.05)


def test_a_grid_of_another_size_is_another_one() -> None:
    assert not Grid((2, 3, 4), IDENTITY, "1").same_as(Grid((2, 3, 5), IDENTITY, "1"), tolerance_mm=1e9)


def test_one_point_and_many_are_mapped_alike() -> None:
    grid = Grid((2, 3, 4), np.diag((1.0, 2.0, 3.0, 1.0)), "1")
    assert grid.to_lps_mm((1, 1, 1)).tolist() == [1.0, 2.0, 3.0]
    assert grid.to_lps_mm([[(1, 1, 1)] * 2] * 5).shape == (5, 2, 3)


def _with(row: int, column: int, value: float) -> np.ndarray:
    affine = np.eye(4)
    affine[row, column] = value
    return affine


@pytest.mark.parametrize(
    ("shape", "affine", "why"),
    [
        ((0, 3, 4), IDENTITY, "shape_kji"),
        ((2, -3, 4), IDENTITY, "shape_kji"),
        ((2, 3, 4), np.eye(3), r"\(4, 4\)"),
        ((2, 3, 4), _with(0, 0, math.nan), "finite"),
        ((2, 3, 4), _with(2, 3, math.inf), "finite"),
        ((2, 3, 4), _with(1, 1, 0.0), "invertible"),
        ((2, 3, 4), _with(3, 0, 1.0), "0 0 0 1"),
        ((2, 3, 4), _with(3, 3, 2.0), "0 0 0 1"),
    ],
)
def test_what_is_no_grid_is_refused(shape: tuple[int, int, int], affine: np.ndarray, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Grid(shape, affine, "1")


def test_a_grid_cannot_be_changed_through_its_affine() -> None:
    affine = np.eye(4)
    grid = Grid((2, 3, 4), affine, "1")
    affine[0, 3] = 99.0
    assert grid.affine_lps[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine_lps[0, 3] = 1.0


def test_shape_is_kept_as_plain_integers() -> None:
    grid = Grid(tuple(np.array((2, 3, 4))), IDENTITY, "1")  # type: ignore[arg-type]
    assert [type(n) for n in grid.shape_kji] == [int, int, int]
