"""Stacks of a tilted gantry: straightened for an engine, and masks back on the slices as scanned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dicomnode.analyse.measure import core_hu, measure
from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.parallel import cores
from dicomnode.analyse.prepare import orient
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.analyse.sheared import straightened, upright_of
from dicomnode.evaluate import dice
from dicomnode.values import Grid, Mask
from tests.unit.analyse.engines import tissue_engine
from tests.unit.analyse.test_analyst import analyse, by_label, value
from tests.unit.analyse.test_grids import TURNS, angles, grid_of, rotation

OUTSIDE = -1024.0
tilts = st.floats(-0.6, 0.6)


def sheared(grid: Grid, down: float, across: float) -> Grid:
    """Shift the slices of a grid against each other: per mm along the normal, along columns and rows."""
    affine = grid.affine_lps.copy()
    column, row, step = affine[:3, :3].T
    mm = np.linalg.norm(step)
    affine[:3, 2] = step + mm * (down * row / np.linalg.norm(row) + across * column / np.linalg.norm(column))
    return Grid(grid.shape_kji, affine, grid.frame_of_reference_uid)


@st.composite
def sheared_grids(draw, shape=(9, 13, 11), spacing=None) -> Grid:
    """Any turn, flip and tilt of non-square pixels, k also against the normal."""
    spacing = spacing or draw(st.tuples(*[st.floats(0.4, 6.0)] * 3))
    turn, tilt = draw(st.sampled_from(TURNS)), draw(angles)
    upright = grid_of(shape, spacing, (3.0, -200.0, 17.0), turn, rotation(*tilt))
    grid = sheared(upright, draw(tilts), draw(tilts))
    assume(grid.is_sheared)
    return grid


def points(grid: Grid) -> np.ndarray:
    return grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))


@given(sheared_grids())
@settings(deadline=None)
def test_the_upright_grid_has_the_planes_of_the_source_and_holds_all_of_it(grid):
    upright = upright_of(grid).grid
    assert not upright.is_sheared
    assert upright.voxel_mm3 == pytest.approx(grid.voxel_mm3)
    assert upright.slice_distance_mm == pytest.approx(grid.slice_distance_mm)
    index = upright.to_index_kji(points(grid))
    assert np.allclose(index[..., 0], np.arange(grid.shape_kji[0])[:, None, None], atol=1e-6)
    assert (index > -1e-3).all()
    assert (index < np.array(upright.shape_kji) - 1 + 1e-3).all()
    # and not more than a pixel more
    assert (np.ptp(index.reshape(-1, 3), axis=0) > np.array(upright.shape_kji) - 3).all()


@given(sheared_grids(), st.tuples(*[st.floats(-2, 2)] * 3))
@settings(deadline=None)
def test_a_linear_field_is_straightened_where_the_patient_is_so_left_stays_left(grid, slope):
    upright = upright_of(grid)
    field = points(grid) @ np.array(slope) + 50.0
    straight = upright.voxels(field.astype(np.float32), OUTSIDE)
    expected = points(upright.grid) @ np.array(slope) + 50.0
    index = grid.to_index_kji(points(upright.grid))
    inside = ((index > 1e-4) & (index < np.array(grid.shape_kji) - 1 - 1e-4) | _on_planes()).all(axis=-1)
    assert inside.sum() > 0.6 * 9 * 12 * 10
    assert np.allclose(straight[inside], expected[inside], atol=0.02)
    beyond = ((index < -1.001) | (index > np.array(grid.shape_kji) + 0.001)).any(axis=-1)
    assert (straight[beyond] == OUTSIDE).all()


def _on_planes() -> np.ndarray:
    """k is not interpolated, so the first and the last plane are inside."""
    return np.array([True, False, False])


@given(sheared_grids(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_mask_goes_to_the_upright_grid_and_back_exactly(grid, seed):
    truth = np.random.default_rng(seed).random(grid.shape_kji) < 0.3
    upright = upright_of(grid)
    there = upright.mask(Mask.from_array(truth))
    assert there.count == truth.sum()
    assert np.array_equal(upright.mask_back(there).to_array(), truth)


@given(sheared_grids(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_no_voxel_of_a_mask_moves_by_more_than_half_a_pixel(grid, seed):
    upright = upright_of(grid)
    index = np.random.default_rng(seed).integers(grid.shape_kji)
    one = np.zeros(grid.shape_kji, dtype=bool)
    one[tuple(index)] = True
    (there,) = np.argwhere(upright.mask(Mask.from_array(one)).to_array())
    off = grid.to_index_kji(upright.grid.to_lps_mm(there)) - index
    assert abs(off[0]) < 1e-6
    assert np.abs(off[1:]).max() < 0.5 + 1e-6


def test_what_lies_beside_the_slices_is_left_out_on_the_way_back():
    grid = sheared(grid_of((6, 5, 4), (2.0, 1.0, 1.0)), 0.5, 0.0)
    upright = upright_of(grid)
    everything = Mask.from_array(np.ones(upright.grid.shape_kji, dtype=bool))
    assert upright.mask_back(everything).count == 6 * 5 * 4
    corner = np.zeros(upright.grid.shape_kji, dtype=bool)
    corner[0, -1, 0] = True  # below the first slice, which lies highest
    assert upright.mask_back(Mask.from_array(corner)).is_empty
    assert upright.mask_back(Mask.from_array(np.zeros(upright.grid.shape_kji))).is_empty


def solid(grid: Grid, centre_mm: np.ndarray) -> np.ndarray:
    """Two balls of other sizes side by side: no turn or flip makes the one the other."""
    away = points(grid) - centre_mm
    large = np.linalg.norm(away, axis=-1) < 25.0
    return large | (np.linalg.norm(away - (24.0, 6.0, 3.0), axis=-1) < 13.0)


@given(sheared_grids(shape=(38, 94, 78), spacing=(2.2, 0.9, 1.1)))
@settings(max_examples=12, deadline=None)
def test_a_mask_drawn_on_tilted_slices_comes_back_from_an_engines_grid(grid):
    upright = upright_of(grid)
    truth = solid(grid, grid.to_lps_mm((np.array(grid.shape_kji) - 1) / 2))
    drawn = upright.mask(Mask.from_array(truth)).to_array()
    engine = resample(orient(Prepared(drawn.astype(np.float32), upright.grid)), (1.5, 1.5, 1.5))
    found = onto_source(engine.voxels > 0.5, engine.grid, upright.grid)
    back = upright.mask_back(found).to_array()
    assert dice(back, truth) >= 0.98
    moved = grid.to_lps_mm(np.argwhere(back).mean(axis=0)) - grid.to_lps_mm(np.argwhere(truth).mean(axis=0))
    assert np.linalg.norm(moved) < 0.3


@pytest.mark.parametrize("threads", [1, 4])
def test_the_fast_way_gives_what_a_general_trilinear_sampling_gives_on_any_number_of_cores(threads):
    grid = sheared(grid_of((12, 30, 24), (3.0, 0.7, 0.9)), np.tan(np.radians(18.5)), -0.05)
    voxels = np.random.default_rng(3).integers(-1000, 2000, grid.shape_kji).astype(np.int16)
    upright = upright_of(grid)
    with cores(threads):
        straight = upright.voxels(voxels, -1000.0)
    index = grid.to_index_kji(points(upright.grid))
    index[..., 0] = np.rint(index[..., 0])
    padded = np.pad(voxels.astype(np.float64), ((0, 0), (2, 2), (2, 2)), constant_values=-1000.0)
    at = np.moveaxis(index, -1, 0) + np.array((0, 2, 2))[:, None, None, None]
    expected = ndimage.map_coordinates(padded, at, order=1, mode="nearest")
    assert np.abs(straight - expected).max() < 0.01


def test_upright_volumes_are_what_they_were(make_volume):
    volume = make_volume(np.zeros((4, 5, 6), np.int16), spacing=(2.0, 0.8, 0.9))
    assert straightened({"ct": volume})["ct"] is volume


def test_around_the_slices_lies_the_lowest_value_and_slices_keep_their_names(make_volume):
    grid = sheared(grid_of((6, 5, 4), (2.0, 1.0, 1.0)), 0.5, 0.0)
    voxels = np.arange(120, dtype=np.int16).reshape(6, 5, 4) - 900
    volume = make_volume(voxels, affine=grid.affine_lps)
    straight = straightened({"ct": volume})["ct"]
    assert straight.voxels.shape == (6, 10, 4)
    assert straight.frames == volume.frames
    assert np.array_equal(np.sort(straight.voxels[straight.voxels > -900]), np.arange(1.0, 120) - 900)
    for k in range(6):
        (rows,) = np.nonzero((straight.voxels[k] > -900).any(axis=1))
        assert straight.grid.to_lps_mm((k, rows[0], 0)) == pytest.approx(grid.to_lps_mm((k, 0, 0)))


@pytest.mark.parametrize("down", [0.5, -0.33], ids=["whole pixels", "parts of pixels"])
def test_an_engine_finds_on_tilted_slices_what_lies_on_them(tmp_path, make_volume, down):
    grid = sheared(grid_of((24, 40, 44), (2.0, 1.0, 0.8), (10.0, 20.0, 30.0)), down, 0.0)
    hu = np.full(grid.shape_kji, -1000, np.int16)
    hu[6:18, 8:30, 10:20] = 40
    hu[8:20, 12:28, 26:36] = 700
    findings = analyse(tissue_engine(tmp_path / "tissue"), make_volume(hu, affine=grid.affine_lps))
    found = by_label(findings)
    assert findings.sources[0].grid.same_as(grid)
    bone = found["bone"]
    truth = hu == 700
    exact = down == 0.5
    assert dice(bone.mask.to_array(), truth) >= (1.0 if exact else 0.93)
    assert value(bone, "volume_ml") == pytest.approx(bone.mask.count * 1.6 / 1000)
    middle = grid.to_lps_mm(np.argwhere(truth).mean(axis=0))
    assert np.linalg.norm(np.subtract(bone.centre_lps_mm, middle)) < (1e-6 if exact else 0.8)


@given(sheared_grids(shape=(15, 31, 29), spacing=(1.6, 0.8, 0.7)))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_measures_of_a_sheared_grid_are_those_of_the_patient(make_volume, grid):
    centre = grid.to_lps_mm((7, 15, 14))
    ball = np.linalg.norm(points(grid) - centre, axis=-1) < 6.5
    assume(not (ball[0].any() or ball[-1].any() or ball[:, 0].any() or ball[:, -1].any()))
    hu = np.where(np.linalg.norm(points(grid) - centre, axis=-1) < 3.6, 100.0, -400.0)
    volume = make_volume(hu, affine=grid.affine_lps)
    mask = Mask.from_array(ball)
    measured = measure(mask, volume, ["volume_mm3", "long_axis_mm"])
    values = {one.name: one.value for one in measured.measurements}
    assert values["volume_mm3"] == pytest.approx(4 / 3 * np.pi * 6.5**3, rel=0.05)
    assert values["long_axis_mm"] == pytest.approx(13.0, abs=1.0)
    assert np.linalg.norm(np.subtract(measured.centre_lps_mm, centre)) < 0.2
    first, last = (np.array(end) for end in measured.axes.long_lps_mm)
    assert np.linalg.norm(last - first) == pytest.approx(values["long_axis_mm"], abs=1e-6)
    assert core_hu(mask, volume) == pytest.approx(100.0, abs=1.0)
