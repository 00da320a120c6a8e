"""Steps that change values: the numbers of numpy, MONAI and nnU-Net, and the grid untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.preparations.measured import HostMeasured, mask_over
from dicomnode.analyse.resample import Prepared
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_values import (
    Invert,
    Landmarks,
    Percentile,
    Rescale,
    ScaleMinmax,
    ScaleRange,
    WindowLevel,
    ZScore,
)
from dicomnode.values import no_progress
from tests.unit.analyse.foreign import foreign
from tests.unit.analyse.test_grids import grid_of


def image_of(voxels: np.ndarray) -> Prepared:
    return Prepared(voxels, grid_of(voxels.shape, (2.0, 0.7, 0.9)))


def done(voxels: np.ndarray, **entry) -> np.ndarray:
    one = Preparation(**entry)
    before = voxels.copy()
    image = image_of(voxels)
    after = PREPARATIONS[one.name].run(image, one.declared, no_progress)
    assert after.grid is image.grid
    assert np.array_equal(voxels, before)
    return after.voxels


def head(dtype=np.float32) -> np.ndarray:
    """A head in air that is 0, with a hole in it that is 0 too."""
    rng = np.random.default_rng(11)
    voxels = np.zeros((12, 20, 18))
    voxels[2:10, 3:17, 4:15] = rng.gamma(4.0, 90.0, (8, 14, 11)) + 1.0
    voxels[5:7, 8:11, 8:10] = 0.0
    return voxels.astype(dtype)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_window_is_the_function_linear_exact_of_dicom(dtype):
    hu = np.array([[[-1000, -160, -100, 40, 100, 240, 3000]]], dtype=dtype)
    found = done(hu, window=WindowLevel(centre=40.0, width=400.0))
    expected = np.clip((hu.astype(np.float64) - 40.0) / 400.0 + 0.5, 0.0, 1.0)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-7)
    found = done(hu, window=WindowLevel(centre=40.0, width=400.0, low=-1.0, high=255.0))
    assert np.allclose(found, expected * 256.0 - 1.0, atol=1e-4)


@pytest.mark.parametrize("clip", [True, False])
def test_a_range_is_scaled_as_monai_does(clip):
    voxels = head()
    theirs = foreign("monai.transforms").ScaleIntensityRange(20.0, 600.0, -1.0, 2.0, clip=clip)(voxels)
    found = done(voxels, scale_range=ScaleRange(a_min=20.0, a_max=600.0, b_min=-1.0, b_max=2.0, clip=clip))
    assert np.allclose(found, theirs, atol=1e-5)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_percentiles_are_scaled_as_monai_does(clip, dtype):
    voxels = head(dtype)
    theirs = foreign("monai.transforms").ScaleIntensityRangePercentiles(1, 99, 0.0, 1.0, clip=clip)(
        voxels.astype(np.float32)  # MONAI has no percentiles of whole numbers
    )
    found = done(voxels, percentile=Percentile(lower=1.0, upper=99.0, clip=clip))
    assert np.allclose(found, theirs, atol=1e-5)


def test_the_whole_range_is_scaled_as_monai_and_nnunet_do():
    voxels = head()
    found = done(voxels, scale_minmax=ScaleMinmax(b_min=-1.0, b_max=1.0))
    assert np.allclose(found, foreign("monai.transforms").ScaleIntensity(-1.0, 1.0)(voxels), atol=1e-6)
    theirs = foreign("nnunetv2.preprocessing.normalization.default_normalization_schemes")
    expected = theirs.RescaleTo01Normalization(intensityproperties={}).run(voxels.copy())
    assert np.allclose(done(voxels, scale_minmax=ScaleMinmax()), expected, atol=1e-6)


@pytest.mark.parametrize("nonzero", [True, False])
@pytest.mark.parametrize("given_numbers", [True, False])
def test_the_z_score_is_that_of_monai(nonzero, given_numbers):
    voxels = head()
    numbers = (310.0, 150.0) if given_numbers else (None, None)
    theirs = foreign("monai.transforms").NormalizeIntensity(*numbers, nonzero=nonzero)(voxels.copy())
    how = ZScore(mean=numbers[0], std=numbers[1], over="nonzero" if nonzero else "all")
    assert np.allclose(done(voxels, z_score=how), theirs, atol=1e-5)


@pytest.mark.parametrize("masked", [True, False])
def test_the_z_score_is_that_of_nnunet(masked):
    schemes = foreign("nnunetv2.preprocessing.normalization.default_normalization_schemes")
    cropping = foreign("nnunetv2.preprocessing.cropping.cropping")
    voxels = head()
    outside = np.where(cropping.create_nonzero_mask(voxels[None]), 0, -1)
    theirs = schemes.ZScoreNormalization(use_mask_for_norm=masked, intensityproperties={})
    found = done(voxels, z_score=ZScore(over="nonzero_filled" if masked else "all"))
    assert np.allclose(found, theirs.run(voxels.copy(), outside), atol=1e-5)


def test_ct_is_normalised_as_nnunet_does():
    schemes = foreign("nnunetv2.preprocessing.normalization.default_normalization_schemes")
    numbers = {"mean": 55.0, "std": 210.0, "percentile_00_5": -900.0, "percentile_99_5": 1200.0}
    hu = np.random.default_rng(2).integers(-1024, 3000, (5, 6, 7)).astype(np.int16)
    theirs = schemes.CTNormalization(intensityproperties=numbers).run(hu.astype(np.float32))
    clipped = done(hu, clip=(-900.0, 1200.0))
    assert clipped.dtype == np.int16
    assert np.allclose(done(clipped, z_score=ZScore(mean=55.0, std=210.0)), theirs, atol=1e-5)


@pytest.mark.parametrize("step", ["scale_minmax", "percentile", "z_score"])
def test_voxels_that_do_not_count_keep_their_value(step):
    voxels = head()
    over = {"over": "nonzero"}
    entry = {
        "scale_minmax": ScaleMinmax(b_min=5.0, b_max=6.0, **over),
        "percentile": Percentile(lower=1.0, upper=99.0, b_min=5.0, b_max=6.0, **over),
        "z_score": ZScore(**over),
    }[step]
    found = done(voxels, **{step: entry})
    assert (found[voxels == 0] == 0).all()
    inside = voxels[voxels != 0].astype(np.float64)
    expected = {
        "scale_minmax": 5.0 + (inside - inside.min()) / np.ptp(inside),
        "percentile": 5.0
        + (inside - np.percentile(inside, 1)) / (np.percentile(inside, 99) - np.percentile(inside, 1)),
        "z_score": (inside - inside.mean()) / inside.std(),
    }[step]
    assert np.allclose(found[voxels != 0], expected, atol=1e-5)


def test_holes_within_count_when_they_are_to_be_filled():
    voxels = head()
    image = Prepared(voxels, grid_of(voxels.shape, (1.0, 1.0, 1.0)))
    filled = mask_over(image, "nonzero_filled")
    assert filled[5, 9, 9]
    assert filled.sum() == 8 * 14 * 11
    assert mask_over(image, "nonzero").sum() == (voxels != 0).sum()
    assert mask_over(image, "all") is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"scale_minmax": ScaleMinmax(b_min=-1.0)}, -1.0),
        ({"percentile": Percentile(lower=5.0, upper=95.0, b_min=-1.0)}, -1.0),
        ({"z_score": ZScore()}, 0.0),
        ({"invert": Invert()}, 7.0),
        ({"landmarks": Landmarks(percentiles=(0.0, 100.0), values=(0.0, 9.0))}, 9.0),
    ],
    ids=["scale_minmax", "percentile", "z_score", "invert", "landmarks"],
)
def test_a_volume_of_one_value_has_an_answer(entry, expected):
    assert (done(np.full((3, 4, 5), 7, np.int16), **entry) == expected).all()


@pytest.mark.parametrize("over", ["nonzero", "nonzero_filled"])
def test_a_volume_of_background_alone_stays_as_it_is(over):
    voxels = np.zeros((3, 4, 5), np.int16)
    assert (done(voxels, z_score=ZScore(over=over)) == 0).all()
    assert (done(voxels, scale_minmax=ScaleMinmax(b_min=3.0, b_max=4.0, over=over)) == 0).all()


def test_a_slope_and_an_intercept():
    found = done(np.array([[[-2, 0, 3]]], np.int16), rescale=Rescale(slope=0.226, intercept=0.449))
    assert found.ravel() == pytest.approx([-0.003, 0.449, 1.127], abs=1e-7)


def test_dark_becomes_bright():
    voxels = np.array([[[10, 20, 90]]], np.int16)
    assert done(voxels, invert=Invert()).ravel().tolist() == [90, 80, 10]
    assert done(voxels, invert=Invert(low=0.0, high=255.0)).ravel().tolist() == [245, 235, 165]


def test_a_histogram_is_taken_to_the_landmarks():
    voxels = head()
    percents, values = (1.0, 30.0, 70.0, 99.0), (0.0, 0.2, 0.5, 1.0)
    found = done(voxels, landmarks=Landmarks(percentiles=percents, values=values, over="nonzero"))
    inside = found[voxels != 0].astype(np.float64)
    assert np.allclose(np.percentile(inside, percents), values, atol=2e-3)
    assert inside.min() == 0.0
    assert inside.max() == 1.0
    assert (found[voxels == 0] == 0.0).all()
    # Two scanners whose values differ by a line come out alike
    other = np.where(voxels == 0, 0, voxels * 3.0 + 40.0).astype(np.float32)
    again = done(other, landmarks=Landmarks(percentiles=percents, values=values, over="nonzero"))
    assert np.abs(again - found).max() < 1e-5


volumes = st.one_of(
    arrays.arrays(np.int16, st.tuples(*[st.integers(1, 5)] * 3)),
    arrays.arrays(np.float32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.floats(-1e4, 1e4, width=32)),
)


@given(volumes, st.lists(st.floats(0, 100), min_size=1, max_size=4), st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_is_measured_is_what_numpy_says(voxels, percents, masked):
    mask = voxels > 0 if masked else None
    measured = HostMeasured(voxels, mask)
    wide = (voxels[mask] if masked and mask.any() else voxels).astype(np.float64).ravel()
    assert measured.extremes() == (wide.min(), wide.max())
    scale = 1.0 + np.abs(wide).max()
    mean, std = measured.moments()
    assert abs(mean - wide.mean()) < 1e-12 * scale * wide.size
    assert abs(std - wide.std()) < 1e-9 * scale
    assert (
        np.abs(np.array(measured.percentiles(percents)) - np.percentile(wide, percents)).max() < 1e-9 * scale
    )


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_what_is_measured_does_not_depend_on_the_order_in_memory(dtype):
    voxels = head(dtype)
    turned = np.ascontiguousarray(voxels.transpose(2, 1, 0)).transpose(2, 1, 0)
    one, two = HostMeasured(voxels), HostMeasured(turned)
    assert one.moments() == pytest.approx(two.moments(), rel=1e-14)
    assert one.percentiles((0.5, 37.0, 99.5)) == two.percentiles((0.5, 37.0, 99.5))


def test_a_far_window_of_large_values_loses_nothing():
    """Counts of PET: the difference is taken before the factor, so that no digit is lost in float32."""
    voxels = np.float32(8_000_000) + np.arange(8, dtype=np.float32).reshape(1, 1, 8)
    found = done(voxels, scale_range=ScaleRange(a_min=8_000_000.0, a_max=8_000_007.0))
    assert np.abs(found.ravel() - np.arange(8) / 7.0).max() < 1e-6
