"""Patches: drawn from their number alone, with a truth that is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.learn.planted import masses, patches
from dicomnode.learn.planted.patches import KINDS, SIDE, SIZES_MM, Ground, draw_diameter_mm, draw_patch

from .small_worlds import small_world


@pytest.fixture(scope="module")
def grounds() -> list[Ground]:
    return [Ground(world=small_world(1)), Ground(world=small_world(2))]


def test_a_number_gives_one_patch_whatever_was_drawn_before(grounds: list[Ground]) -> None:
    once = draw_patch(grounds, 5, 11)
    draw_patch(grounds, 5, 3)
    again = draw_patch(grounds, 5, 11)
    for name in ("hu", "mask", "ignore"):
        assert np.array_equal(getattr(once, name), getattr(again, name))
    assert np.array_equal(once.cells.heat, again.cells.heat)
    for seed, number in ((5, 12), (6, 11)):
        assert not np.array_equal(draw_patch(grounds, seed, number).hu, once.hu)


def test_a_patch_has_the_form_that_a_network_learns_from(grounds: list[Ground]) -> None:
    patch = draw_patch(grounds, 0, 0)
    assert patch.hu.shape == patch.mask.shape == patch.ignore.shape == (SIDE,) * 3
    assert patch.cells.heat.shape == patch.cells.size.shape == patch.cells.sized.shape == (SIDE // 2,) * 3
    assert (patch.hu.dtype, patch.mask.dtype) == (np.float32, np.uint8)


def test_centres_lie_in_their_masks_however_the_patch_was_turned(grounds: list[Ground]) -> None:
    seen = 0
    for number in range(40):
        patch = draw_patch(grounds, 1, number)
        for cell in np.argwhere(patch.cells.heat == 1.0):
            seen += 1
            around = tuple(slice(max(2 * c - 1, 0), 2 * c + 3) for c in cell)
            assert patch.mask[around].any()
            size = float(np.exp(patch.cells.size[tuple(cell)]))
            assert 2.0 < size < 60.0
    assert seen > 20


def test_a_nodule_shows_where_its_mask_is(grounds: list[Ground]) -> None:
    inside, beside = [], []
    for number in range(30):
        patch = draw_patch(grounds, 2, number)
        lung = (patch.hu < -500) & (patch.mask == 0)
        if patch.mask.sum() > 200 and lung.any():
            inside.append(float(patch.hu[patch.mask == 1].mean()))
            beside.append(float(patch.hu[lung].mean()))
    assert len(inside) > 5
    assert np.mean(inside) > np.mean(beside) + 250


def test_what_is_hidden_is_ignored_and_no_nodule(grounds: list[Ground], monkeypatch) -> None:
    monkeypatch.setattr(patches, "HIDDEN", 2.0)
    drawn = [draw_patch(grounds, 1, number) for number in range(12)]
    assert not any(one.mask.any() or one.cells.heat.any() for one in drawn)
    assert any(one.ignore.any() for one in drawn)


def test_nothing_is_planted_where_nobody_knows() -> None:
    ground = Ground(world=small_world(1, balls=[(28, 30, 42, 200)]))
    for number in range(8):
        patch = draw_patch([ground], 0, number)
        assert patch.ignore.all()
        assert not patch.mask.any()


def test_patches_come_more_often_where_it_was_wrong(monkeypatch) -> None:
    monkeypatch.setattr(patches, "_MINED", 1.0)
    monkeypatch.setattr(patches, "SIDE", 16)
    world = small_world(1)
    spot = np.array([[28, 30, 62]], dtype=np.float32)
    corners = [
        patches._corner(Ground(world=world, wrong=spot), 28, np.random.default_rng(seed))
        for seed in range(20)
    ]
    assert all((np.abs(corner + 14 - spot[0]) <= 4).all() for corner in corners)


def test_the_more_real_worlds_there_are_the_more_often_they_come() -> None:
    drawn = [Ground(world=small_world(seed)) for seed in (1, 2, 3)]
    for count, expected in ((1, 0.25), (3, 0.375)):
        real = [Ground(world=small_world(seed, sigma=(0.6, 0.45, 0.45))) for seed in range(4, 4 + count)]
        rng = np.random.default_rng(0)
        came = [patches._one_of([*drawn, *real], rng).world.is_real for _ in range(800)]
        assert np.mean(came) == pytest.approx(expected, abs=0.05)


def test_small_nodules_and_ground_glass_are_drawn_more_often_than_they_occur() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([draw_diameter_mm(rng) for _ in range(2000)])
    assert drawn.min() >= 3.0
    assert drawn.max() <= 40.0
    small = sum(
        part * np.clip(np.log(8.0 / low) / np.log(high / low), 0.0, 1.0) for part, low, high in SIZES_MM
    )
    assert small > 0.5
    assert np.mean(drawn < 8.0) == pytest.approx(small, abs=0.03)
    assert sum(part for part, _, _ in SIZES_MM) == pytest.approx(1.0)
    assert sum(KINDS.values()) == pytest.approx(1.0)
    assert KINDS["ground glass"] > 0.12


def test_nodules_in_a_real_scan_have_its_noise(monkeypatch) -> None:
    monkeypatch.setattr(patches, "OFTEN", 0.0)
    still = small_world(4, sigma=(0.6, 0.45, 0.45))
    noisy = replace(still, noise_hu=40.0)
    seen = 0
    for number in range(12):
        one, two = (draw_patch([Ground(world=world)], 0, number) for world in (still, noisy))
        assert np.array_equal(one.mask, two.mask)
        if one.mask.any():
            seen += 1
            assert float((two.hu - one.hu)[one.mask == 1].std()) > 5.0
    assert seen > 4


def test_some_large_nodules_are_masses(monkeypatch) -> None:
    monkeypatch.setattr(patches, "SIZES_MM", ((1.0, 18.0, 24.0),))
    monkeypatch.setattr(patches, "OFTEN", 0.0)
    voxels = {}
    for often in (0.0, 1.0):
        monkeypatch.setattr(masses, "_KNOTTED", often)
        drawn = (draw_patch([Ground(world=small_world(1))], 0, number) for number in range(12))
        voxels[often] = sum(int(one.mask.sum()) for one in drawn)
    assert voxels[1.0] > 1.05 * voxels[0.0] > 0


def test_some_patches_end_as_a_slab_does(monkeypatch, grounds: list[Ground]) -> None:
    for often in (0.0, 1.0):
        monkeypatch.setattr(patches, "OFTEN", often)
        ends = [
            any(
                (np.moveaxis(draw_patch(grounds, 0, number).hu, axis, 0) == -1000.0).all(axis=(1, 2)).any()
                for axis in range(3)
            )
            for number in range(10)
        ]
        assert all(ends) if often else not any(ends)
