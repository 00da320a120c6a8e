"""What a network is shown: drawn from the generator alone, never mirrored, lungs where they are known."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.learn.lungs import nothing, scans
from dicomnode.learn.lungs.nothing import belly, draw_nothing, empty, head
from dicomnode.learn.lungs.scans import BOX, as_scanned, shown
from dicomnode.learn.lungs.worlds import LEFT, RIGHT, SPACING_MM

from .coarse_worlds import coarse_world


def drawn(number: int, *, is_real: bool = False) -> scans.Scan:
    return shown(coarse_world(1, is_real=is_real), np.random.default_rng(number))


@pytest.fixture(scope="module")
def many() -> list[scans.Scan]:
    return [drawn(number) for number in range(30)]


def test_equal_generators_give_equal_scans_and_others_others(many):
    again = drawn(0)
    assert np.array_equal(many[0].hu, again.hu)
    assert np.array_equal(many[0].sides, again.sides)
    assert not np.array_equal(many[0].hu, many[1].hu)


def test_scans_are_as_large_as_a_box_and_finite(many):
    for one in many:
        assert one.hu.shape == one.sides.shape == BOX
        assert one.hu.dtype == np.float32
        assert np.isfinite(one.hu).all()


def test_right_stays_right(many):
    for one in many:
        right, left = (np.argwhere(one.sides == side) for side in (RIGHT, LEFT))
        if len(right) > 200 and len(left) > 200:
            assert right[:, 2].mean() < left[:, 2].mean()


def test_a_slab_lies_at_the_front_and_what_is_behind_it_is_padding(many):
    depths = []
    for one in many:
        padded = (one.hu == -1000.0).all(axis=(1, 2))
        if padded.any() and not padded.all():
            depth = int(padded.argmax())
            depths.append(depth)
            assert padded[depth:].all()
            assert not one.sides[depth:].any()
    assert len(depths) > 3
    assert min(depths) * SPACING_MM >= 20.0


def test_some_have_no_lungs_and_most_have(many):
    without = sum(not one.sides.any() for one in many)
    assert 0 < without < 12


def test_lung_that_is_filled_stays_lung_and_nothing_else_changes():
    world = coarse_world(2)
    filled = 0
    for number in range(8):
        hu, sides = world.hu.astype(np.float32), world.sides.copy()
        scans._fill(hu, sides, np.random.default_rng(number))
        changed = np.abs(hu - world.hu) > 1.0
        assert np.array_equal(sides, world.sides)
        assert not (changed & (sides == 0)).any()
        assert len(set(sides[changed].tolist())) <= 1  # one lung
        filled += int(((hu > -400.0) & (world.hu < -400)).sum() > 100)
    assert filled >= 4


def test_in_a_real_scan_nothing_is_filled(monkeypatch):
    monkeypatch.setattr(scans, "_FILLED", 1.0)
    monkeypatch.setattr(scans, "_fill", lambda *given: pytest.fail("a real scan was filled"))
    monkeypatch.setattr(scans, "_NOTHING", 0.0)
    assert drawn(1, is_real=True).sides.any()


@pytest.mark.parametrize("draw", [belly, head, empty])
def test_what_has_no_lungs_is_drawn_in_hounsfield_units(draw):
    for number in range(3):
        hu = draw((40, 50, 60), SPACING_MM, np.random.default_rng(number))
        assert hu.shape == (40, 50, 60)
        assert -1024.0 <= hu.min() < -900.0
        assert hu.max() <= 2000.0


def test_bellies_hold_gas_that_looks_like_lung_by_its_size():
    gas = []
    for number in range(12):
        hu = belly((48, 64, 96), SPACING_MM, np.random.default_rng(number))
        inside = np.zeros(hu.shape, dtype=bool)
        inside[:, 20:44, 30:66] = True
        gas.append(float((inside & (hu < -900.0)).sum()) * 0.064)
    assert max(gas) > 100.0  # ml


def test_each_of_them_is_drawn_at_times(monkeypatch):
    kinds = tuple(lambda *given, number=number: np.full((2, 2, 2), float(number)) for number in range(3))
    monkeypatch.setattr(nothing, "_DRAWN", kinds)
    rng = np.random.default_rng(1)
    assert {float(draw_nothing((2, 2, 2), SPACING_MM, rng)[0, 0, 0]) for _ in range(60)} == {0.0, 1.0, 2.0}


def test_a_real_world_is_judged_as_it_is_and_one_of_nobody_through_a_scanner():
    real, own = coarse_world(3, is_real=True), coarse_world(3)
    assert np.array_equal(as_scanned(real, np.random.default_rng(1)), real.hu)
    scanned = as_scanned(own, np.random.default_rng(1))
    assert scanned.shape == own.hu.shape
    assert 0.0 < np.abs(scanned - own.hu).mean() < 80.0
