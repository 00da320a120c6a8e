"""Outlines that were found on a coarse grid, put down on the grid of the source."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.prepare import orient
from dicomnode.analyse.resample import Prepared, resample
from tests.unit.analyse.test_grids import TURNS, angles, grid_of, rotation


def ball(grid, centre, radius) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape_kji), indexing="ij"), -1)
    return np.linalg.norm(grid.to_lps_mm(index) - centre, axis=-1) < radius


@given(st.sampled_from(TURNS), angles, st.floats(-4, 4), st.floats(-4, 4), st.floats(-4, 4))
@settings(max_examples=15, deadline=None)
def test_a_ball_keeps_its_place_and_volume_on_any_grid(turn, tilt, x, y, z):
    matrix = rotation(*tilt)
    source = grid_of((30, 60, 60), (2.5, 0.9, 0.9), (3.0, 2.0, 1.0), turn, matrix)
    middle = source.to_lps_mm((np.array(source.shape_kji) - 1) / 2) + np.array([x, y, z])
    oriented = orient(Prepared(np.empty(source.shape_kji, np.int8), source)).grid
    extent = np.array(oriented.shape_kji) * oriented.spacing_kji_mm
    affine = oriented.affine_lps.copy()
    affine[:3, :3] *= 2.0 / np.array(oriented.spacing_kji_mm)[::-1]
    coarse = type(source)(tuple(int(n) for n in extent / 2.0), affine, "1.2.3")
    found = onto_source(ball(coarse, middle, 18.0), coarse, source)
    volume = found.count * source.voxel_mm3
    assert volume == pytest.approx(4 / 3 * np.pi * 18.0**3, rel=0.045)
    centroid = source.to_lps_mm(np.argwhere(found.to_array())).mean(axis=0)
    assert np.abs(centroid - middle).max() < 0.15
    truth = ball(source, middle, 18.0)
    shared = (found.to_array() & truth).sum()
    assert 2 * shared / (found.count + truth.sum()) > 0.97


@given(st.sampled_from(TURNS), angles, st.floats(1.0, 3.0), st.floats(0.7, 1.3), st.floats(0.7, 1.3))
@settings(max_examples=12, deadline=None)
def test_a_mask_drawn_on_any_source_comes_back_from_an_engines_grid(turn, tilt, k_mm, j_mm, i_mm):
    shape = tuple(int(84 / mm) for mm in (k_mm, j_mm, i_mm))
    source = grid_of(shape, (k_mm, j_mm, i_mm), (3.0, -200.0, 17.0), turn, rotation(*tilt))
    middle = source.to_lps_mm((np.array(shape) - 1) / 2)
    truth = ball(source, middle, 25.0) | ball(source, np.add(middle, (24.0, 6.0, 3.0)), 13.0)
    engine = resample(orient(Prepared(truth.astype(np.float32), source)), (1.5, 1.5, 1.5))
    found = onto_source(engine.voxels > 0.5, engine.grid, source).to_array()
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) >= 0.98
    moved = source.to_lps_mm(np.argwhere(found).mean(axis=0)) - source.to_lps_mm(
        np.argwhere(truth).mean(axis=0)
    )
    assert np.linalg.norm(moved) < 0.2


@given(st.sampled_from(TURNS), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_where_the_grids_agree_the_mask_is_itself(turn, seed):
    source = grid_of((5, 6, 7), (2.0, 0.7, 0.7), (1.0, 1.0, 1.0), turn)
    mask = np.random.default_rng(seed).random(source.shape_kji) < 0.3
    turned = orient(Prepared(mask, source))
    found = onto_source(np.asarray(turned.voxels, dtype=bool), turned.grid, source)
    assert np.array_equal(found.to_array(), mask)


def test_what_lies_beyond_the_source_is_left_out():
    coarse, source = grid_of((4, 4, 4), (2, 2, 2)), grid_of((4, 4, 4), (1, 1, 1), (30, 30, 30))
    assert onto_source(np.ones((4, 4, 4), dtype=bool), coarse, source).is_empty


def test_nothing_stays_nothing():
    grid = grid_of((4, 4, 4), (2, 2, 2))
    found = onto_source(np.zeros((4, 4, 4), dtype=bool), grid, grid)
    assert found.is_empty
    assert found.shape_kji == (4, 4, 4)


def test_a_mask_that_is_cut_by_the_images_reaches_their_edge():
    coarse, source = grid_of((8, 8, 8), (2, 2, 2), (0.5, 0.5, 0.5)), grid_of((16, 16, 16), (1, 1, 1))
    found = onto_source(np.ones((8, 8, 8), dtype=bool), coarse, source)
    assert found.count == 16**3


@given(st.sampled_from(TURNS), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_mask_of_whole_voxels_is_repeated_and_nothing_else(turn, slices, pixels, seed):
    source = grid_of((7, 9, 8), (1.0, 0.7, 0.7), (1.0, 2.0, 3.0), turn)
    fine = orient(Prepared(np.zeros(source.shape_kji, dtype=bool), source)).grid
    steps = (slices, pixels, pixels)
    affine = fine.affine_lps.copy()
    for column, step in zip((2, 1, 0), steps, strict=True):
        affine[:3, 3] += fine.affine_lps[:3, column] * (step - 1) / 2
        affine[:3, column] *= step
    shape = tuple(-(-size // step) for size, step in zip(fine.shape_kji, steps, strict=True))
    blocks = np.random.default_rng(seed).random(shape) < 0.4
    found = onto_source(blocks, type(source)(shape, affine, "1.2.3"), source, whole=True)
    wide = blocks
    for axis, (step, size) in enumerate(zip(steps, fine.shape_kji, strict=True)):
        wide = np.repeat(wide, step, axis=axis).take(range(size), axis=axis)
    turned = orient(Prepared(found.to_array(), source))
    assert np.array_equal(np.asarray(turned.voxels), wide)


def test_a_voxel_that_lies_in_two_is_interpolated_although_whole_ones_are_asked_for():
    source = grid_of((12, 12, 12), (1.0, 1.0, 1.0))
    coarse = grid_of((8, 8, 8), (1.5, 1.5, 1.5), (0.25, 0.25, 0.25))
    middle = source.to_lps_mm((5.5, 5.5, 5.5))
    mask = ball(coarse, middle, 4.0)
    assert onto_source(mask, coarse, source, whole=True) == onto_source(mask, coarse, source)
