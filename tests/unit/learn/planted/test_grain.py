"""A planted nodule has the noise of the scan that it is planted into."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.learn.planted.acquisition import noise_like
from dicomnode.learn.planted.grain import as_scanned, noise_of
from dicomnode.phantom.lumps import LumpPlan, draw_lump

SIGMA = (0.8, 0.45, 0.45)
SHAPE = (48, 64, 64)


@pytest.mark.parametrize("sd_hu", [5.0, 12.0, 25.0])
def test_the_noise_of_a_scan_is_found_in_its_soft_tissue(sd_hu: float) -> None:
    lungs = np.zeros(SHAPE, dtype=bool)
    lungs[:, 10:30, 10:30] = True
    hu = np.where(lungs, -850.0, 45.0).astype(np.float32)
    hu += noise_like(SHAPE, SIGMA, sd_hu, np.random.default_rng(1))
    assert noise_of(hu, lungs, SIGMA) == pytest.approx(sd_hu, rel=0.15)


def test_without_soft_tissue_nothing_is_said_of_the_noise() -> None:
    hu = np.full(SHAPE, -850.0, dtype=np.float32)
    assert noise_of(hu, np.ones(SHAPE, dtype=bool), SIGMA) == 0.0


def test_a_nodule_is_as_noisy_as_its_scan_and_as_blurred() -> None:
    lump = draw_lump(LumpPlan(diameter_mm=20.0), (1.25, 1.25, 1.25), np.random.default_rng(0))
    shown = as_scanned(lump, SIGMA, 15.0, np.random.default_rng(2))
    blurred = lump.blurred(SIGMA)
    assert np.array_equal(shown.cover, blurred.cover)
    assert np.array_equal(shown.inside, lump.inside)
    assert float((shown.hu - blurred.hu).std()) == pytest.approx(15.0, rel=0.01)
