"""Noise, bias field and contrast: what they take away, what they leave, and that they are the known ones."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import ndimage

from dicomnode.analyse import Analyst, preparations
from dicomnode.analyse.preparations import PREPARATIONS, check_packages
from dicomnode.analyse.preparations.filters import noise_of
from dicomnode.analyse.resample import Prepared
from dicomnode.engine import Preparation
from dicomnode.engine.manifest.preparation_values import (
    BiasField,
    Clahe,
    CurvatureFlow,
    Gaussian,
    Median,
    NonlocalMeans,
)
from dicomnode.faults import PREPARATION_FAILED, PREPARATION_NEEDS, NodeError
from dicomnode.values import no_progress
from tests.unit.analyse.engines import tissue_engine
from tests.unit.analyse.test_grids import grid_of

SPACING = (2.0, 0.8, 1.0)
NOISE = 12.0


def done(voxels: np.ndarray, spacing=SPACING, **entry) -> np.ndarray:
    one = Preparation(**entry)
    before = voxels.copy()
    image = Prepared(voxels, grid_of(voxels.shape, spacing))
    after = PREPARATIONS[one.name].run(image, one.declared, no_progress)
    assert after.grid is image.grid
    assert after.voxels.shape == voxels.shape
    assert np.array_equal(voxels, before)
    return after.voxels


def clean(shape=(16, 40, 36)) -> np.ndarray:
    """A bright ellipsoid, off the middle, in an even surrounding of 100."""
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    inside = ((k - 7) / 5) ** 2 + ((j - 18) / 12) ** 2 + ((i - 20) / 9) ** 2 < 1
    return np.where(inside, 300.0, 100.0).astype(np.float32)


def noisy(shape=(16, 40, 36)) -> np.ndarray:
    noise = np.random.default_rng(8).standard_normal(shape) * NOISE
    return (clean(shape) + noise).astype(np.float32)


def error(voxels: np.ndarray) -> float:
    return float(np.sqrt(np.square(voxels - clean(voxels.shape)).mean()))


def test_a_gaussian_is_as_wide_in_mm_along_every_axis():
    point = np.zeros((21, 51, 41), np.float32)
    point[10, 25, 20] = 1.0
    found = done(point, gaussian=Gaussian(sigma_mm=2.4))
    assert found.sum() == pytest.approx(1.0, abs=1e-5)
    for axis, mm in enumerate(SPACING):
        profile = found.sum(axis=tuple(a for a in range(3) if a != axis))
        at = (np.arange(len(profile)) - len(profile) // 2) * mm
        # Sampling at whole voxels: the variance of the discrete filter is that of the continuous one
        assert np.sqrt((profile * at**2).sum()) == pytest.approx(2.4, rel=0.01)


def test_a_gaussian_of_whole_numbers_gives_fractions():
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    found = done(voxels, gaussian=Gaussian(sigma_mm=1.0))
    sigma = [1.0 / mm for mm in SPACING]
    assert found.dtype == np.float32
    assert np.allclose(found, ndimage.gaussian_filter(voxels.astype(float), sigma, mode="nearest"), atol=1e-4)


def test_a_median_takes_outliers_away_and_keeps_the_type():
    voxels = clean().astype(np.int16)
    spoiled = voxels.copy()
    spoiled[4::5, 3::6, 2::7] = 3000
    found = done(spoiled, median=Median())
    assert found.dtype == np.int16
    assert (found != voxels).mean() < 0.02
    assert (spoiled != voxels).mean() > 0.004
    assert found.max() == 300
    plane = done(spoiled, median=Median(radius_kji=(0, 1, 2)))
    assert plane[5, 10, 10] == np.median(spoiled[5, 9:12, 8:13])


def test_noise_is_measured_to_a_tenth():
    assert noise_of(noisy((16, 80, 80))) == pytest.approx(NOISE, rel=0.1)
    assert noise_of(np.zeros((3, 8, 8), np.float32)) == 0.0
    assert noise_of(np.ones((3, 1, 8), np.float32)) == 0.0


@pytest.mark.parametrize("sd", [None, NOISE], ids=["noise measured", "noise given"])
def test_nonlocal_means_takes_most_noise_away_and_keeps_the_edge(sd):
    found = done(noisy(), nonlocal_means=NonlocalMeans(noise_sd=sd))
    assert found.dtype == np.float32
    assert error(found) < 0.5 * error(noisy())
    assert error(found) < error(done(noisy(), gaussian=Gaussian(sigma_mm=1.0)))


def test_nonlocal_means_is_scikit_images():
    from skimage.restoration import denoise_nl_means

    expected = denoise_nl_means(
        noisy(),
        patch_size=3,
        patch_distance=2,
        h=0.5 * NOISE,
        sigma=NOISE,
        fast_mode=True,
        preserve_range=True,
    )
    how = NonlocalMeans(noise_sd=NOISE, strength=0.5, distance_voxels=2)
    assert np.allclose(done(noisy(), nonlocal_means=how), expected, atol=1e-4)


def test_nonlocal_means_leaves_what_has_no_noise():
    assert np.array_equal(
        done(np.full((4, 8, 8), 5.0, np.float32), nonlocal_means=NonlocalMeans()), np.full((4, 8, 8), 5.0)
    )


def test_curvature_flow_takes_noise_away_and_keeps_the_edge():
    found = done(noisy(), curvature_flow=CurvatureFlow(iterations=10))
    assert found[:, :, :8].std() < 0.6 * noisy()[:, :, :8].std()
    step_before = 200.0
    step_after = found[7, 18, 20] - found[7, 18, 33]
    assert step_after == pytest.approx(step_before, rel=0.1)


def test_curvature_flow_is_itks():
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(noisy())
    image.SetSpacing([1.0, 0.8, 2.0])
    image.SetSpacing([mm / 0.8 for mm in image.GetSpacing()])
    expected = sitk.GetArrayFromImage(sitk.CurvatureFlow(image, 0.05, 4))
    found = done(noisy(), curvature_flow=CurvatureFlow(iterations=4, time_step=0.05))
    assert np.allclose(found, expected, atol=1e-3)


def shaded() -> tuple[np.ndarray, np.ndarray]:
    """A head of two tissues in air, and the same under the smooth shading of a coil: 0.65 to 1.5."""
    shape = (24, 48, 44)
    k, j, i = (
        np.linspace(-1, 1, n).reshape([-1 if a == b else 1 for b in range(3)]) for a, n in enumerate(shape)
    )
    inside = k**2 / 0.7 + j**2 / 0.8 + i**2 / 0.75 < 1
    white = (k / 0.5) ** 2 + (j / 0.55) ** 2 + (i / 0.5) ** 2 < 1
    noise = np.random.default_rng(4).standard_normal(shape) * 3
    head = np.where(inside, np.where(white, 240.0, 160.0) + noise, 2.0)
    field = np.exp(0.4 * j + 0.15 * k * i - 0.1 * i)
    return head.astype(np.float32), (head * field).astype(np.float32)


def test_n4_takes_most_of_a_coils_shading_away():
    head, uneven = shaded()
    found = done(uneven, bias_field=BiasField(shrink=2))
    for tissue in ((head > 200), (head > 120) & (head < 200)):
        spread = [float(one[tissue].std() / one[tissue].mean()) for one in (uneven, found)]
        assert spread[1] < 0.4 * spread[0]


def test_n4_gives_the_same_numbers_each_time():
    _, uneven = shaded()
    how = BiasField(shrink=4, iterations=(10, 10))
    assert np.array_equal(done(uneven, bias_field=how), done(uneven, bias_field=how))


def test_what_itk_refuses_is_said_with_the_steps_name():
    with pytest.raises(NodeError) as caught:
        done(np.zeros((1, 1, 1), np.float32), bias_field=BiasField())
    assert caught.value.fault is PREPARATION_FAILED
    assert "bias_field" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_clahe_is_scikit_images_and_brings_out_what_is_faint():
    from skimage.exposure import equalize_adapthist

    voxels = noisy()
    voxels[6:9, 30:34, 5:9] += 40.0  # a faint spot in the dark half
    found = done(voxels, clahe=Clahe(kernel_kji=(8, 10, 9), clip_limit=0.02))
    expected = equalize_adapthist(
        (voxels.astype(float) - voxels.min()) / np.ptp(voxels.astype(float)),
        kernel_size=(8, 10, 9),
        clip_limit=0.02,
        nbins=256,
    )
    assert np.allclose(found, expected, atol=1e-6)
    assert found.min() >= 0.0
    assert found.max() <= 1.0

    def contrast(one: np.ndarray) -> float:
        return float(one[7, 31:33, 6:8].mean() - one[7, 31:33, 12:14].mean()) / float(np.ptp(one))

    assert contrast(found) > 1.5 * contrast(voxels)


@pytest.mark.parametrize("step", ["clahe", "nonlocal_means", "median", "gaussian"])
def test_a_single_plane_is_a_volume_too(step):
    plane = noisy((1, 40, 36))
    entry = {
        "clahe": Clahe(),
        "nonlocal_means": NonlocalMeans(),
        "median": Median(),
        "gaussian": Gaussian(sigma_mm=1.0),
    }
    assert np.isfinite(done(plane, **{step: entry[step]})).all()


def test_a_volume_of_one_value_has_no_contrast():
    assert (done(np.full((3, 8, 8), 7, np.int16), clahe=Clahe()) == 0.0).all()


FILTERS = (
    Preparation(bias_field=BiasField()),
    Preparation(clahe=Clahe()),
    Preparation(median=Median()),
)


def test_what_is_not_installed_is_named_with_the_steps_that_need_it(monkeypatch):
    monkeypatch.setattr(preparations, "find_spec", lambda name: None)
    with pytest.raises(NodeError) as caught:
        check_packages("head", FILTERS)
    assert caught.value.fault is PREPARATION_NEEDS
    text = str(caught.value)
    assert "bias_field, clahe" in text
    assert "SimpleITK, scikit-image" in text
    assert "median" not in text
    assert "pip install 'dicomnode[imaging]'" in caught.value.remedy


def test_an_engine_that_cannot_be_prepared_for_is_refused_when_it_is_loaded(monkeypatch, tmp_path):
    package = tissue_engine(tmp_path / "tissue", prepare="{ bias_field = {} }")
    Analyst(package, threads=1, node_version="9.9").close()
    monkeypatch.setattr(preparations, "find_spec", lambda name: None)
    with pytest.raises(NodeError) as caught:
        Analyst(package, threads=1, node_version="9.9")
    assert caught.value.fault is PREPARATION_NEEDS


def test_asking_what_is_installed_imports_nothing():
    loaded = set(sys.modules)
    check_packages("head", FILTERS)
    assert not {name for name in set(sys.modules) - loaded if name.startswith(("SimpleITK", "skimage"))}
