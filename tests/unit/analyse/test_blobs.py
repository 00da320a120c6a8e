"""Blobs: what is short along every line is found where it lies, as large as it is; a vessel is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.algorithms import LESION_ALGORITHMS, ROW_ALGORITHMS
from dicomnode.analyse.algorithms.blobs_lines import short_everywhere
from dicomnode.analyse.algorithms.blobs_profile import NAMES, profile_of
from dicomnode.analyse.radiomics import around_lesion
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid, Mask, no_progress

BLOBS = LESION_ALGORITHMS["blobs"]
PROFILE = ROW_ALGORITHMS["blob_profile"]
SHAPE = (48, 56, 64)
MM = 1.25


def grid_of(shape=SHAPE, mm=(MM, MM, MM)) -> Grid:
    return Grid(shape, np.diag((mm[2], mm[1], mm[0], 1.0)), "2.25.7")


def distance(at, shape=SHAPE, mm=(MM, MM, MM)) -> np.ndarray:
    k, j, i = np.ogrid[0 : shape[0], 0 : shape[1], 0 : shape[2]]
    return np.sqrt(((k - at[0]) * mm[0]) ** 2 + ((j - at[1]) * mm[1]) ** 2 + ((i - at[2]) * mm[2]) ** 2)


def lung(noise_hu: float = 15.0, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(3).normal(-850.0, noise_hu, shape).astype(np.float32)


def with_ball(hu: np.ndarray, at, diameter_mm: float, density: float = 30.0, mm=(MM, MM, MM)) -> np.ndarray:
    cover = np.clip((diameter_mm / 2.0 - distance(at, hu.shape, mm)) / mm[1] + 0.5, 0.0, 1.0)
    return (hu + (density - hu) * cover).astype(np.float32)


def found_in(hu: np.ndarray, within=None, **parameters):
    image = Prepared(hu, grid_of(hu.shape))
    inside = np.ones(hu.shape, dtype=bool) if within is None else within
    return BLOBS.run(image, inside, {**BLOBS.parameters, **parameters}, no_progress)


@pytest.mark.parametrize("diameter_mm", [4.0, 6.0, 9.0, 14.0, 22.0])
@pytest.mark.parametrize("density", [30.0, -600.0])
def test_a_ball_is_the_first_of_all_blobs_in_its_place_and_of_its_size(diameter_mm, density) -> None:
    at = (24.0, 27.0, 33.0)
    first = found_in(with_ball(lung(), at, diameter_mm, density))[0]
    assert np.linalg.norm(np.subtract(first.centre_kji, at)) * MM < 1.5
    assert first.diameter_mm == pytest.approx(diameter_mm, rel=0.25)


def test_the_mask_of_a_blob_lies_where_it_says_and_is_the_ball() -> None:
    at = (24.0, 27.0, 33.0)
    first = found_in(with_ball(lung(), at, 10.0))[0]
    ours = np.zeros(SHAPE, dtype=bool)
    ours[tuple(slice(a, a + n) for a, n in zip(first.start_kji, first.mask.shape, strict=True))] = first.mask
    true = distance(at) <= 5.0
    assert 2.0 * (ours & true).sum() / (ours.sum() + true.sum()) > 0.9


def test_a_vessel_is_less_of_a_blob_than_a_ball_of_its_width_and_the_ball_on_it_is_seen() -> None:
    j, i = np.ogrid[0 : SHAPE[1], 0 : SHAPE[2]]
    hu = lung()
    hu[:, np.hypot(j - 20, i - 20) * MM <= 2.5] = 40.0
    at = (30.0, 20.0, 24.0)
    first, *others = found_in(with_ball(hu, at, 8.0))
    assert np.linalg.norm(np.subtract(first.centre_kji, at)) * MM < 4.0
    assert all(one.response < 0.5 * first.response for one in others)


def test_a_wall_is_no_blob_and_what_lies_beyond_it_is_not_seen() -> None:
    hu = lung()
    within = np.ones(SHAPE, dtype=bool)
    within[:, :, 40:] = False
    hu[:, :, 40:] = 40.0
    hu = with_ball(hu, (24.0, 28.0, 52.0), 8.0, 900.0)
    assert all(one.centre_kji[2] < 40 for one in found_in(hu, within))
    assert max((one.response for one in found_in(hu, within)), default=0.0) < 60.0


@pytest.mark.parametrize("slices", [16, 22, 28])
def test_a_mass_in_a_slab_that_is_little_thicker_is_the_first_of_all_blobs(slices) -> None:
    at = (slices / 2.0, 30.0, 33.0)
    hu = with_ball(lung(shape=(slices, 64, 64)), at, 0.7 * slices * MM)
    first = found_in(hu)[0]
    assert np.linalg.norm(np.subtract(first.centre_kji, at)) * MM < 4.0
    assert first.diameter_mm == pytest.approx(0.7 * slices * MM, rel=0.3)


@pytest.mark.parametrize("slice_", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("diameter_mm", [6.0, 10.0])
def test_a_ball_that_the_first_slice_cuts_is_found_as_one_within_the_images(diameter_mm, slice_) -> None:
    whole = found_in(with_ball(lung(), (24.0, 27.0, 33.0), diameter_mm))[0]
    first = found_in(with_ball(lung(), (slice_, 27.0, 33.0), diameter_mm))[0]
    assert np.allclose(first.centre_kji[1:], (27.0, 33.0), atol=0.5)
    assert slice_ - 0.5 < first.centre_kji[0] < slice_ + 1.5, "the middle of what is seen of it"
    assert first.response > 0.9 * whole.response


def test_lime_is_no_surer_than_soft_tissue_and_ground_glass_is_not_lost_behind_it() -> None:
    hu = with_ball(with_ball(lung(), (24.0, 14.0, 16.0), 9.0, 900.0), (24.0, 40.0, 48.0), 9.0, -600.0)
    first, second, *rest = found_in(hu)
    assert {round(first.centre_kji[1] / 26), round(second.centre_kji[1] / 26)} == {1, 2}
    assert all(one.response < 0.5 * second.response for one in rest)


def test_at_most_so_many_are_given_the_surest_first_and_none_lies_in_another() -> None:
    hu = lung(60.0)
    for n in range(4):
        hu = with_ball(hu, (24.0, 28.0, 8.0 + 15.0 * n), 7.0)
    found = found_in(hu, at_most=6.0)
    assert len(found) == 6
    assert [one.response for one in found] == sorted((one.response for one in found), reverse=True)
    assert {round(one.centre_kji[2]) // 15 for one in found[:4]} == {0, 1, 2, 3}


@pytest.mark.parametrize("hu", [np.full(SHAPE, -850.0), np.full(SHAPE, 40.0), np.full((3, 4, 5), -850.0)])
def test_where_everything_is_alike_there_is_nothing(hu) -> None:
    assert found_in(hu.astype(np.float32)) == ()


def test_where_nothing_is_to_be_looked_at_there_is_nothing() -> None:
    assert found_in(lung(), np.zeros(SHAPE, dtype=bool)) == ()


def test_equal_images_give_equal_blobs() -> None:
    hu = with_ball(lung(60.0), (24.0, 27.0, 33.0), 7.0)
    for one, other in zip(found_in(hu), found_in(hu.copy()), strict=True):
        assert (one.centre_kji, one.response) == (other.centre_kji, other.response)
        assert np.array_equal(one.mask, other.mask)


@pytest.mark.parametrize("turned", [(0, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_an_image_that_is_stored_along_other_axes_has_the_same_blobs(turned) -> None:
    hu = with_ball(with_ball(lung(0.0), (20.0, 20.0, 20.0), 8.0), (30.0, 40.0, 48.0), 12.0)
    straight = sorted(tuple(np.take(one.centre_kji, turned)) for one in found_in(hu)[:2])
    other = sorted(one.centre_kji for one in found_in(np.ascontiguousarray(hu.transpose(turned)))[:2])
    assert np.allclose(straight, other, atol=0.5)


def test_openings_by_lines_leave_a_point_and_take_lines_of_all_directions() -> None:
    image = np.zeros((15, 15, 15), dtype=np.float32)
    image[7, 7, 7] = 100.0
    assert short_everywhere(image, 7)[7, 7, 7] == 100.0
    for way in ((1, 0, 0), (0, 1, 1), (1, -1, 1)):
        line = np.zeros((15, 15, 15), dtype=np.float32)
        for step in range(-7, 8):
            line[tuple(7 + step * part for part in way)] = 100.0
        assert short_everywhere(line, 7).max() == 0.0


def row_of(hu: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    image = Prepared(hu, grid_of(hu.shape))
    return dict(zip(NAMES, profile_of(image, mask).tolist(), strict=True))


def test_the_row_of_a_ball_says_that_it_is_one_and_where_it_ends() -> None:
    at = (24.0, 28.0, 32.0)
    row = row_of(with_ball(lung(0.0), at, 10.0), distance(at) <= 5.0)
    assert row["radius"] == pytest.approx(5.0, rel=0.03)
    assert row["flatness"] > 0.97
    assert row["compactness"] > 0.6  # of its radius half a voxel is that of voxels
    assert row["hu_middle"] == pytest.approx(30.0, abs=1.0)
    assert row["shell_12_mean"] == pytest.approx(-850.0, abs=1.0)
    assert row["ray_2.25_count"] == 0.0
    assert row["convergence"] > 0.95
    assert row["curvature_third"] > 0.9


def test_the_row_tells_a_vessel_by_the_two_directions_in_which_it_goes_on() -> None:
    j, i = np.ogrid[0 : SHAPE[1], 0 : SHAPE[2]]
    hu = lung(0.0)
    hu[:, np.hypot(j - 28, i - 32) * MM <= 3.0] = 40.0
    row = row_of(hu, (hu > -300) & (distance((24.0, 28.0, 32.0)) <= 5.0))
    assert row["ray_2.25_count"] == pytest.approx(2 / 26)
    assert row["ray_2.25_1"] > 0.9 > 0.1 > row["ray_2.25_2"]
    assert row["short_maximum"] == 0.0
    assert row["curvature_third"] < 0.1


def test_the_row_tells_how_near_the_wall_is() -> None:
    at = (24.0, 28.0, 32.0)
    free = with_ball(lung(0.0), at, 6.0)
    beside = free.copy()
    beside[:, :, 38:] = 40.0
    mask = distance(at) <= 3.0
    assert row_of(free, mask)["shell_12_dense"] == 0.0
    assert row_of(beside, mask)["shell_12_dense"] > 0.1


@settings(max_examples=25, deadline=None)
@given(
    corner=st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(0, 11)),
    sides=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    spacing=st.tuples(st.floats(0.5, 5.0), st.floats(0.5, 2.0), st.floats(0.5, 2.0)),
)
def test_every_region_has_a_row_also_one_voxel_at_the_edge(corner, sides, spacing) -> None:
    shape = (12, 12, 12)
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, a + n) for a, n in zip(corner, sides, strict=True))] = True
    row = profile_of(Prepared(lung(30.0, shape), grid_of(shape, spacing)), mask)
    assert row.shape == (len(NAMES),)
    assert np.isfinite(row).all()


@pytest.mark.parametrize(("at", "diameter_mm"), [((24.0, 28.0, 32.0), 4.0), ((10.0, 50.0, 60.0), 20.0)])
def test_a_lesion_has_the_same_row_with_as_much_around_it_as_a_step_cuts_out(at, diameter_mm) -> None:
    image = Prepared(with_ball(lung(40.0), at, diameter_mm), grid_of())
    mask = distance(at) <= diameter_mm / 2.0
    small, inside = around_lesion(image, Mask.from_array(mask), image.grid, PROFILE.around_mm)
    assert np.allclose(profile_of(small, inside), profile_of(image, mask))


def test_a_step_gives_the_names_that_it_is_asked_for_and_an_empty_region_says_so() -> None:
    at = (24.0, 28.0, 32.0)
    image = Prepared(with_ball(lung(), at, 6.0), grid_of())
    mask = distance(at) <= 3.0
    whole = PROFILE.run(image, mask, PROFILE.parameters, PROFILE.names)
    some = PROFILE.run(image, mask, PROFILE.parameters, ("short_mean", "radius"))
    assert some.tolist() == [whole[NAMES.index("short_mean")], whole[NAMES.index("radius")]]
    assert PROFILE.run(image, mask & False, PROFILE.parameters, PROFILE.names) == "the region is empty"
    assert PROFILE.needs(()) is None
