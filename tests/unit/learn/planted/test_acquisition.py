"""What a scanner does to a patch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.learn.planted.acquisition import Exposure, draw_exposure, rescanned, scanned

PLAIN = Exposure(
    blur=0.3,
    thickness=0.4,
    step=1.0,
    phase=0.0,
    noise_hu=0.0,
    grain=0.5,
    sharpen=0.0,
    gain=1.0,
    offset_hu=0.0,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def ball(side: int = 32) -> np.ndarray:
    k, j, i = np.ogrid[0:side, 0:side, 0:side]
    inside = (k - 16) ** 2 + (j - 16) ** 2 + (i - 16) ** 2 < 9
    return np.where(inside, 0.0, -850.0).astype(np.float32)


def test_what_is_even_stays_even_without_noise() -> None:
    flat = np.full((20, 24, 28), -850.0, dtype=np.float32)
    for one in (PLAIN, replace(PLAIN, step=2.4, phase=0.7, thickness=1.2, sharpen=0.8)):
        assert np.allclose(scanned(flat, one, rng()), flat, atol=0.01)


@pytest.mark.parametrize("wanted", [5.0, 40.0])
def test_noise_is_as_loud_as_was_drawn(wanted: float) -> None:
    flat = np.full((24, 40, 40), -850.0, dtype=np.float32)
    shown = scanned(flat, replace(PLAIN, noise_hu=wanted), rng())
    assert float(shown.std()) == pytest.approx(wanted, rel=0.05)


def test_thick_slices_smear_along_k_alone() -> None:
    thin, thick = (scanned(ball(), replace(PLAIN, thickness=sigma), rng()) for sigma in (0.4, 1.7))
    assert thick[16, 16, 16] < thin[16, 16, 16] - 50
    assert thick[20, 16, 16] > thin[20, 16, 16] + 50
    assert abs(thick[16, 16, 20] - thin[16, 16, 20]) < 60


def test_between_slices_is_what_lies_between_them() -> None:
    shown = scanned(ball(), replace(PLAIN, step=3.0, phase=1.0), rng())
    for k in (13, 16):  # slices at 1, 4 … 16 …
        third = (shown[k + 3] - shown[k]) / 3.0
        assert np.allclose(shown[k + 1], shown[k] + third, atol=0.01)
        assert np.allclose(shown[k + 2], shown[k] + 2 * third, atol=0.01)


def test_a_sharp_kernel_raises_edges() -> None:
    soft, sharp = (scanned(ball(), replace(PLAIN, sharpen=raised), rng()) for raised in (0.0, 0.9))
    assert sharp.max() > soft.max() + 30
    assert sharp.min() < soft.min() - 20


def test_the_scale_is_around_air() -> None:
    air = np.full((8, 8, 8), -1000.0, dtype=np.float32)
    shown = scanned(air, replace(PLAIN, gain=1.04, offset_hu=7.0), rng())
    assert np.allclose(shown, -993.0, atol=0.01)


def test_protocols_are_within_what_the_margin_holds() -> None:
    drawn = [draw_exposure(np.random.default_rng(seed)) for seed in range(300)]
    assert all(1.0 <= one.step <= 4.0 and 0.0 <= one.phase <= one.step for one in drawn)
    assert max(one.thickness for one in drawn) * 2.5 < 6
    assert max(one.noise_hu for one in drawn) <= 80.0
    assert any(one.step > 1.0 for one in drawn)


def test_equal_streams_scan_equally() -> None:
    for one in (scanned(ball(), draw_exposure(rng()), rng()), rescanned(ball(), rng())):
        assert one.dtype == np.float32
    assert np.array_equal(rescanned(ball(), rng()), rescanned(ball(), rng()))
