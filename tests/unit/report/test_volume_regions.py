"""Where a region of a volume lies on the slice that shows it: each plane, pixels that are not square."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.report.volume_regions import OnSlice, line_on_slice, on_slice
from dicomnode.values import Grid, PointLps, Region, RegionKind
from tests.unit.report.sources import NODULE, PLANES, Series

AXIS_PARALLEL = ["axial", "reversed", "sagittal", "coronal", "feet-first"]


def grid_of(plane: str) -> Grid:
    grid = Series(plane=plane).source().grid
    assert grid is not None
    return grid


def region(kind: RegionKind, *points: np.ndarray | PointLps) -> Region:
    return Region(
        label="spot-1",
        kind=kind,
        points_lps_mm=tuple(tuple(float(v) for v in point) for point in points),
        type=NODULE,
        tracking_uid="1.2.3",
        tracking_id="Spot 1",
        algorithm="spots 1",
    )


def box(one: np.ndarray, other: np.ndarray) -> Region:
    return region(RegionKind.BOX, np.minimum(one, other), np.maximum(one, other))


def by_formula(plane: str, found: OnSlice) -> np.ndarray:
    """The points of the corners in the patient, from the header of the slice (PS3.3 C.7.6.2.1.1)."""
    series = Series(plane=plane)
    header = series.datasets()[found.k]
    position = np.array([float(v) for v in header.ImagePositionPatient])
    cosines = np.array([float(v) for v in header.ImageOrientationPatient]).reshape(2, 3)
    between_rows, between_columns = (float(v) for v in header.PixelSpacing)
    away = (found.corners - 0.5) * [between_columns, between_rows]
    return position + away @ cosines


def turn(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Above 0 where `other` goes off to one side of `one`, below 0 where to the other."""
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


@pytest.mark.parametrize("plane", PLANES)
def test_a_point_goes_straight_onto_its_slice(plane: str) -> None:
    grid = grid_of(plane)
    point = grid.to_lps_mm((4, 7, 9)) + 0.4 * grid.slice_distance_mm * grid.normal_lps
    found = on_slice(region(RegionKind.POINT, point), grid)
    assert found is not None
    assert (found.k, found.graphic) == (4, "POINT")
    assert found.corners == pytest.approx(np.array([[9.5, 7.5]]))
    assert by_formula(plane, found) == pytest.approx(grid.to_lps_mm((4, 7, 9))[None], abs=1e-3)


@pytest.mark.parametrize("plane", AXIS_PARALLEL)
def test_a_box_along_the_slices_is_a_closed_rectangle_on_its_middle_slice(plane: str) -> None:
    grid = grid_of(plane)
    found = on_slice(box(grid.to_lps_mm((3, 4.5, 5.5)), grid.to_lps_mm((7, 9.5, 15.5))), grid)
    assert found is not None
    assert (found.k, found.graphic) == (5, "POLYLINE")
    assert found.corners == pytest.approx(np.array([[6, 5], [16, 5], [16, 10], [6, 10], [6, 5]]))


@pytest.mark.parametrize("plane", PLANES)
def test_every_corner_of_a_box_lies_on_its_slice_and_on_two_of_its_sides(plane: str) -> None:
    grid = grid_of(plane)
    low, high = (grid.to_lps_mm((6, 10, 14)) + sign * np.array([3.0, 2.6, 4.0]) for sign in (-1, 1))
    found = on_slice(box(low, high), grid)
    assert found is not None
    points = by_formula(plane, found)
    assert points == pytest.approx(found.points_lps_mm, abs=1e-3)
    on_side = (np.abs(points - low) < 1e-3) | (np.abs(points - high) < 1e-3)
    assert (on_side.sum(axis=1) >= 2).all()
    assert ((points > low - 1e-3) & (points < high + 1e-3)).all()
    assert (found.corners[0] == found.corners[-1]).all()
    sides = np.diff(found.corners, axis=0)
    turns = turn(sides, np.roll(sides, -1, axis=0))
    assert (turns > 0).all() or (turns < 0).all(), "the corners stand in their order around it"


@pytest.mark.parametrize("plane", ["oblique", "tilted"])
def test_the_cut_of_a_box_holds_just_the_pixels_whose_centres_lie_in_the_box(plane: str) -> None:
    grid = grid_of(plane)
    low, high = (grid.to_lps_mm((6, 10, 14)) + sign * np.array([3.1, 2.7, 6.0]) for sign in (-1, 1))
    found = on_slice(box(low, high), grid)
    assert found is not None
    rows, columns = np.indices(grid.shape_kji[1:])
    points = grid.to_lps_mm(np.stack((np.full(rows.shape, found.k), rows, columns), axis=-1))
    within = ((points > low) & (points < high)).all(axis=-1)
    sides = np.diff(found.corners, axis=0)
    away = np.stack((columns + 0.5, rows + 0.5), axis=-1)[..., None, :] - found.corners[:-1]
    turns = turn(sides, away)
    assert within.sum() > 20
    assert ((turns >= 0).all(axis=-1) | (turns <= 0).all(axis=-1)).tolist() == within.tolist()


def test_a_box_that_reaches_beyond_the_image_ends_at_its_edge() -> None:
    grid = grid_of("axial")
    found = on_slice(box(grid.to_lps_mm((-4, -6, 20.5)), grid.to_lps_mm((1, 4.5, 40))), grid)
    assert found is not None
    assert found.k == 0
    assert found.corners == pytest.approx(np.array([[21, 0], [28, 0], [28, 5], [21, 5], [21, 0]]))


def test_a_flat_box_between_two_slices_goes_onto_the_nearer_one() -> None:
    grid = grid_of("axial")
    found = on_slice(box(grid.to_lps_mm((5.4, 4.5, 5.5)), grid.to_lps_mm((5.4, 9.5, 15.5))), grid)
    assert found is not None
    assert found.k == 5
    assert len(found.corners) == 5


@pytest.mark.parametrize(
    "index_kji", [(-1, 7, 9), (12, 7, 9), (4, -1, 9), (4, 20, 9), (4, 7, -2), (4, 7, 28)]
)
@pytest.mark.parametrize("plane", ["axial", "tilted"])
def test_what_lies_beyond_the_images_is_on_none(plane: str, index_kji: tuple[int, int, int]) -> None:
    grid = grid_of(plane)
    centre = grid.to_lps_mm(index_kji)
    assert on_slice(region(RegionKind.POINT, centre), grid) is None
    assert on_slice(box(centre - 0.2, centre + 0.2), grid) is None


def test_an_ellipse_on_a_slice_keeps_its_axes() -> None:
    grid = grid_of("oblique")
    ends = [grid.to_lps_mm((4.2, j, i)) for j, i in ((5, 4), (5, 12), (3, 8), (7, 8))]
    found = on_slice(region(RegionKind.ELLIPSE, *ends), grid)
    assert found is not None
    assert (found.k, found.graphic) == (4, "ELLIPSE")
    assert found.corners == pytest.approx(np.array([[4.5, 5.5], [12.5, 5.5], [8.5, 3.5], [8.5, 7.5]]))


def test_an_ellipse_across_the_slices_is_the_line_in_which_it_meets_the_middle_one() -> None:
    grid = grid_of("axial")
    ends = [grid.to_lps_mm(index) for index in ((4, 6, 3), (4, 6, 13), (1, 6, 8), (7, 6, 8))]
    found = on_slice(region(RegionKind.ELLIPSE, *ends), grid)
    assert found is not None
    assert (found.k, found.graphic) == (4, "POLYLINE")
    assert sorted(found.corners.tolist()) == [pytest.approx([3.5, 6.5]), pytest.approx([13.5, 6.5])]


def test_a_path_across_the_slices_is_the_point_in_which_it_meets_the_middle_one() -> None:
    grid = grid_of("axial")
    found = on_slice(region(RegionKind.POLYLINE, grid.to_lps_mm((2, 4, 6)), grid.to_lps_mm((6, 8, 10))), grid)
    assert found is not None
    assert (found.k, found.graphic) == (4, "POINT")
    assert found.corners == pytest.approx(np.array([[8.5, 6.5]]))


def test_a_measured_line_lies_on_one_slice_or_on_none() -> None:
    grid = grid_of("tilted")
    on_it = [tuple(grid.to_lps_mm((6, 9.5, 2))), tuple(grid.to_lps_mm((6, 13.5, 3.5)))]
    found = line_on_slice(on_it, grid)
    assert found is not None
    assert found.k == 6
    assert found.corners == pytest.approx(np.array([[2.5, 10.0], [4.0, 14.0]]))
    assert line_on_slice([on_it[0], tuple(grid.to_lps_mm((8, 9, 2)))], grid) is None


@settings(max_examples=60, deadline=None)
@given(
    plane=st.sampled_from(sorted(PLANES)),
    centre=st.tuples(*(st.floats(-4, 30) for _ in range(3))),
    size=st.tuples(*(st.floats(0, 12) for _ in range(3))),
)
def test_a_box_anywhere_is_a_shape_within_the_image_and_the_box_or_nothing(
    plane: str, centre: tuple[float, float, float], size: tuple[float, float, float]
) -> None:
    grid = grid_of(plane)
    middle = grid.to_lps_mm(centre)
    low, high = middle - np.array(size) / 2, middle + np.array(size) / 2
    found = on_slice(box(low, high), grid)
    if found is None:
        return
    _, rows, columns = grid.shape_kji
    assert (found.corners >= -1e-9).all()
    assert (found.corners <= np.array([columns, rows]) + 1e-9).all()
    half_mm = 0.51 * grid.slice_distance_mm
    assert ((found.points_lps_mm > low - half_mm) & (found.points_lps_mm < high + half_mm)).all()
