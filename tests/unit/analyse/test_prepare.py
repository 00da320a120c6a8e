"""Preparing a volume: every voxel stays where it is in the patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.preparations.scaling import clip
from dicomnode.analyse.prepare import orient, prepare
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation import PREPARATION_NAMES
from dicomnode.engine.manifest.preparation_values import Percentile, WindowLevel, ZScore
from tests.unit.analyse.test_grids import TURNS, angles, grid_of, rotation, shapes, spacings


def numbered(shape) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


@given(shapes, spacings, st.sampled_from(TURNS), angles)
@settings(max_examples=100, deadline=None)
def test_turning_moves_no_voxel_in_the_patient(shape, spacing, turn, tilt):
    grid = grid_of(shape, spacing, (-4.0, 9.0, 2.0), turn, rotation(*tilt))
    before = Prepared(numbered(shape), grid)
    after = orient(before)
    index = np.argwhere(np.ones(after.voxels.shape, dtype=bool))
    back = grid.to_index_kji(after.grid.to_lps_mm(index))
    assert np.abs(back - np.rint(back)).max() < 1e-6
    there = np.rint(back).astype(int)
    assert np.array_equal(after.voxels.ravel(), before.voxels[tuple(there.T)])


@given(shapes, spacings, st.sampled_from(TURNS), st.tuples(*[st.floats(-0.2, 0.2)] * 3))
@settings(max_examples=60, deadline=None)
def test_after_turning_k_runs_to_the_head_j_to_the_back_and_i_to_the_left(shape, spacing, turn, tilt):
    after = orient(Prepared(numbered(shape), grid_of(shape, spacing, turn=turn, tilt=rotation(*tilt))))
    axes = after.grid.affine_lps[:3, :3] / np.linalg.norm(after.grid.affine_lps[:3, :3], axis=0)
    assert (np.diag(axes) > 0.7).all()
    assert np.linalg.det(axes) > 0.99


def test_turning_twice_changes_nothing_more():
    once = orient(Prepared(numbered((3, 4, 5)), grid_of((3, 4, 5), (3, 1, 1), turn=TURNS[29])))
    twice = orient(once)
    assert np.array_equal(once.voxels, twice.voxels)
    assert np.array_equal(once.grid.affine_lps, twice.grid.affine_lps)


@given(shapes, spacings, spacings, st.sampled_from(TURNS), angles)
@settings(max_examples=60, deadline=None)
def test_a_linear_field_stays_linear_where_it_is_made_finer(shape, spacing, finer, turn, tilt):
    grid = grid_of(shape, spacing, (2.0, 3.0, 4.0), turn, rotation(*tilt))
    new = tuple(min(a, b) for a, b in zip(spacing, finer, strict=True))
    slope = np.array([1.0, -0.4, 0.25])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    after = resample(Prepared((grid.to_lps_mm(index) @ slope).astype(np.float32), grid), new)
    at = after.grid.to_lps_mm(
        np.stack(np.meshgrid(*(np.arange(n) for n in after.voxels.shape), indexing="ij"), -1)
    )
    back = grid.to_index_kji(at)
    held = ((back < -1e-6) | (back > np.array(shape) - 1 + 1e-6)).any(axis=-1)
    assert np.allclose(after.grid.spacing_kji_mm, new, rtol=1e-9)
    error = np.where(held, 0.0, after.voxels - at @ slope)
    assert np.abs(error).max() < 1e-3 * max(1.0, float(np.abs(at @ slope).max()))


@pytest.mark.parametrize(("have", "want"), [(0.54, 1.25), (2.0, 1.25), (1.0, 2.0), (5.0, 1.0), (0.7, 2.0)])
def test_the_new_grid_covers_what_the_old_one_covers(have, want):
    after = resample(
        Prepared(np.zeros((37, 41, 43), np.float32), grid_of((37, 41, 43), (have,) * 3)), (want,) * 3
    )
    first_face = after.grid.to_lps_mm([-0.5, -0.5, -0.5])
    last_face = after.grid.to_lps_mm(np.array(after.voxels.shape) - 0.5)
    assert np.allclose(first_face, -0.5 * have)
    assert np.abs(last_face - (np.array([43, 41, 37]) - 0.5) * have).max() <= want / 2 + 1e-9


def test_what_is_constant_stays_so_when_made_coarser():
    image = Prepared(np.full((30, 30, 30), -730.0, np.float32), grid_of((30, 30, 30), (0.6, 0.6, 0.6)))
    assert np.abs(resample(image, (2.0, 1.7, 1.25)).voxels + 730.0).max() < 1e-3


def test_a_ball_keeps_its_centre_when_made_coarser():
    grid = grid_of((40, 40, 40), (0.6, 0.6, 0.6))
    k, j, i = np.ogrid[:40, :40, :40]
    ball = ((k - 17.3) ** 2 + (j - 21.9) ** 2 + (i - 19.1) ** 2 < 64).astype(np.float32)
    after = resample(Prepared(ball, grid), (1.25, 1.25, 1.25))

    def centre(image: Prepared) -> np.ndarray:
        weights = image.voxels / image.voxels.sum()
        index = np.stack(np.meshgrid(*(np.arange(n) for n in image.voxels.shape), indexing="ij"), -1)
        return image.grid.to_lps_mm((index * weights[..., None]).sum(axis=(0, 1, 2)))

    assert np.abs(centre(Prepared(ball, grid)) - centre(after)).max() < 0.02


def test_the_same_spacing_changes_nothing():
    voxels = np.random.default_rng(2).standard_normal((5, 6, 7)).astype(np.float32)
    grid = grid_of((5, 6, 7), (2.0, 0.7, 0.7))
    after = resample(Prepared(voxels, grid), (2.0, 0.7, 0.7))
    assert np.array_equal(after.voxels, voxels)
    assert np.array_equal(after.grid.affine_lps, grid.affine_lps)


def test_an_axis_shorter_than_a_new_voxel_keeps_one():
    after = resample(Prepared(np.ones((2, 4, 4), np.float32), grid_of((2, 4, 4), (0.2, 1, 1))), (5.0, 1, 1))
    assert after.voxels.shape == (1, 4, 4)
    assert np.allclose(after.voxels, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(-1024.0, 3071.0, np.int16), (-1e6, 1e6, np.int16), (-1024.5, 10.0, np.float32)],
    ids=["whole numbers keep int16", "beyond int16", "a fraction needs float32"],
)
def test_clipping_int16_keeps_the_type_where_it_can(low, high, dtype):
    voxels = np.array([[[-32768, -2048, 0, 5000, 32767]]], dtype=np.int16)
    after = clip(Prepared(voxels, grid_of((1, 1, 5), (1, 1, 1))), (low, high))
    assert after.voxels.dtype == dtype
    assert np.array_equal(after.voxels, np.clip(voxels.astype(np.float64), low, high).astype(dtype))


def test_preparations_are_done_in_their_order(make_volume):
    voxels = np.zeros((4, 4, 4), np.int16)
    voxels[:, :, 2:] = -3000
    volume = make_volume(voxels, affine=np.diag([-1.0, 1.0, 1.0, 1.0]))
    steps = (
        Preparation(clip=(-1024.0, 3071.0)),
        Preparation(orient="LPS"),
        Preparation(resample_mm=(1.0, 1.0, 0.5)),
    )
    seen: list[tuple[str, int, int]] = []
    after = prepare(volume, steps, lambda *call: seen.append(call))
    assert after.voxels.shape == (4, 4, 8)
    assert after.voxels.dtype == np.float32
    assert after.voxels.min() == -1024.0  # clipped before, so nothing below it is mixed in
    assert after.voxels[0, 0].tolist() == [-1024, -1024, -1024, -768, -256, 0, 0, 0]
    assert after.grid.to_lps_mm([0, 0, 0])[0] == pytest.approx(-3.25)
    assert seen[-1] == ("preparing", 4, 4)


def test_without_preparations_the_voxels_go_through_as_float32(make_volume):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    after = prepare(make_volume(voxels), ())
    assert after.voxels.dtype == np.float32
    assert np.array_equal(after.voxels, voxels)
    assert not after.voxels.flags.writeable


def test_every_entry_of_a_manifest_has_a_step_that_does_it():
    assert tuple(PREPARATIONS) == PREPARATION_NAMES


def test_an_observer_sees_each_entry_and_the_image_after_it(make_volume):
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    volume = make_volume(voxels, affine=np.diag([-1.0, 1.0, 2.0, 1.0]))
    entries = (
        Preparation(orient="LPS"),
        Preparation(clip=(3.0, 40.0)),
        Preparation(window=WindowLevel(centre=20.0, width=40.0)),
    )
    seen: list[tuple[Preparation, Prepared]] = []
    after = prepare(volume, entries, observe=lambda *call: seen.append(call))
    assert tuple(entry for entry, _ in seen) == entries
    assert [image.voxels.dtype for _, image in seen] == [np.int16, np.int16, np.float32]
    assert np.array_equal(seen[0][1].voxels, voxels[:, :, ::-1])
    assert np.array_equal(seen[-1][1].voxels, after.voxels)


def test_the_same_list_gives_the_same_numbers_each_time(make_volume):
    voxels = np.random.default_rng(1).standard_normal((9, 20, 18)).astype(np.float32)
    volume = make_volume(voxels, spacing=(2.0, 0.7, 0.9))
    entries = (
        Preparation(orient="SAR"),
        Preparation(resample_mm=(1.0, 1.0, 1.0)),
        Preparation(percentile=Percentile(lower=1.0, upper=99.0, clip=True)),
        Preparation(z_score=ZScore()),
    )
    one, two = prepare(volume, entries), prepare(volume, entries)
    assert one.voxels.tobytes() == two.voxels.tobytes()
    assert abs(float(one.voxels.mean(dtype=np.float64))) < 1e-6
    assert float(one.voxels.std(dtype=np.float64)) == pytest.approx(1.0, abs=1e-6)
