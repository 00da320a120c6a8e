"""Slices are as thick as they say, and truth goes into them by halves."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.phantom import Protocol, draw_protocol
from dicomnode.phantom.protocol import into_slices, take


@pytest.mark.parametrize(("thickness", "per_slice"), [(1.25, 1), (2.5, 1), (2.5, 2), (5.0, 1), (5.0, 4)])
def test_a_thin_sheet_is_seen_as_wide_as_the_slices_are_thick(thickness: float, per_slice: int) -> None:
    hu = np.full((96, 4, 4), -850.0, dtype=np.float32)
    hu[47:49] = 0.0
    protocol = Protocol(thickness_mm=thickness, increment_mm=min(1.25 * per_slice, thickness), noise_hu=0.0)
    seen = take(hu, (1.25, 0.8, 0.8), per_slice, protocol, 1)[:, 2, 2] + 850.0
    assert len(seen) == 96 // per_slice
    at = (np.arange(len(seen)) * per_slice + (per_slice - 1) / 2) * 1.25
    middle = (seen * at).sum() / seen.sum()
    spread = np.sqrt((seen * (at - middle) ** 2).sum() / seen.sum())
    assert middle == pytest.approx(47.5 * 1.25, abs=0.4)
    # Two planes at half a plane from the middle; a plane is an average over its own height.
    wide = (0.5 * 1.25) ** 2 + (thickness / 2.355) ** 2 - 1.25**2 / 12
    assert spread == pytest.approx(wide**0.5, rel=0.2)
    assert seen.sum() * per_slice == pytest.approx(1700.0, rel=0.05)


def test_noise_is_that_of_the_protocol_and_the_same_for_the_same_seed() -> None:
    hu = np.zeros((6, 96, 96), dtype=np.float32)
    quiet, loud = (Protocol(noise_hu=noise) for noise in (10.0, 40.0))
    one, two = (take(hu.copy(), (1.25, 0.8, 0.8), 1, protocol, 3) for protocol in (quiet, loud))
    assert two.std() == pytest.approx(4 * one.std(), rel=0.05)
    assert np.array_equal(one, take(hu.copy(), (1.25, 0.8, 0.8), 1, quiet, 3))
    assert not np.array_equal(one, take(hu.copy(), (1.25, 0.8, 0.8), 1, quiet, 4))


def test_a_sharp_kernel_raises_edges_that_a_soft_one_blurs() -> None:
    hu = np.full((1, 64, 64), -850.0, dtype=np.float32)
    hu[:, :, 32:] = 50.0
    rows = {}
    for kernel in ("soft", "standard", "sharp"):
        protocol = Protocol(kernel=kernel, noise_hu=0.0)
        rows[kernel] = take(hu.copy(), (1.25, 0.8, 0.8), 1, protocol, 1)[0, 32].astype(float)
    assert rows["sharp"].max() > 70.0 > 51.0 >= rows["soft"].max()
    steep = {kernel: np.diff(row).max() for kernel, row in rows.items()}
    assert steep["sharp"] > steep["standard"] > steep["soft"]


@pytest.mark.parametrize(
    ("planes", "first", "per_slice", "expected_first", "expected"),
    [
        ([1, 1, 1], 4, 1, 4, [1, 1, 1]),
        ([1, 1, 1, 1], 4, 2, 2, [1, 1]),
        ([1, 1, 1], 5, 2, 2, [1, 1]),  # of two, the upper one decides
        ([1, 1], 4, 4, 1, [1]),
        ([1, 0, 0, 0, 1, 1], 0, 3, 0, [0, 1]),
        ([1], 5, 4, 1, [1]),  # nowhere half a voxel: where most of it is
        ([1, 1, 1], 7, 4, 1, [0, 1]),
    ],
)
def test_a_voxel_is_true_when_most_of_it_is(
    planes: list[int], first: int, per_slice: int, expected_first: int, expected: list[int]
) -> None:
    inside = np.array(planes, dtype=bool)[:, None, None] * np.ones((1, 2, 2), dtype=bool)
    at, held = into_slices(inside, first, per_slice)
    assert at == expected_first
    assert held[:, 0, 0].astype(int).tolist() == expected


def test_slices_keep_the_volume_of_their_planes_on_average() -> None:
    z, y, x = np.indices((60, 40, 40)) - 20.3
    ball = z**2 + y**2 + x**2 < 12.0**2
    for per_slice in (2, 3, 4):
        volumes = [into_slices(ball, first, per_slice)[1].sum() * per_slice for first in range(12)]
        assert np.mean(volumes) == pytest.approx(ball.sum(), rel=0.02)


def test_nothing_stays_nothing() -> None:
    assert not into_slices(np.zeros((4, 3, 3), dtype=bool), 0, 2)[1].any()


@pytest.mark.parametrize(
    "given",
    [
        {"thickness_mm": 1.0, "increment_mm": 2.0},
        {"thickness_mm": 12.0},
        {"increment_mm": 0.1},
        {"noise_hu": -1.0},
        {"noise_hu": float("nan")},
    ],
)
def test_a_protocol_that_no_scanner_has_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Protocol"):
        Protocol(**given)


def test_protocols_are_drawn_thin_and_thick_soft_and_sharp() -> None:
    rng = np.random.default_rng(1)
    drawn = [draw_protocol(rng) for _ in range(400)]
    assert {one.kernel for one in drawn} == {"soft", "standard", "sharp"}
    assert {one.thickness_mm for one in drawn} == {1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0}
    assert any(one.increment_mm < one.thickness_mm for one in drawn)
    noise = {
        kernel: np.mean([p.noise_hu for p in drawn if p.kernel == kernel]) for kernel in ("soft", "sharp")
    }
    assert noise["sharp"] > 2 * noise["soft"]
