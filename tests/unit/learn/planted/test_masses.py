"""Large nodules are as irregular as cancers; small ones stay as they are."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.learn.planted import masses
from dicomnode.learn.planted.masses import FROM_MM, draw_mass
from dicomnode.phantom.lumps import Kind, Lump, LumpPlan, draw_lump

SPACING = (1.25, 1.25, 1.25)


def lump_of(diameter_mm: float, kind: Kind = "solid", seed: int = 0) -> Lump:
    return draw_lump(LumpPlan(diameter_mm=diameter_mm, kind=kind), SPACING, np.random.default_rng(seed))


def of_only(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every nodule becomes one of this part, and of no other."""
    for name in ("_KNOTTED", "_BUBBLED", "_ENHANCED"):
        monkeypatch.setattr(masses, name, 1.0 if name == part else 0.0)


def test_a_small_nodule_stays_as_it_is() -> None:
    small = lump_of(FROM_MM - 0.5)
    assert all(draw_mass(small, np.random.default_rng(seed)) is small for seed in range(20))


@pytest.mark.parametrize("kind", ["solid", "ground glass", "part-solid", "calcified"])
def test_knots_make_a_nodule_larger_and_all_of_them_belong_to_it(kind: Kind, monkeypatch) -> None:
    of_only("_KNOTTED", monkeypatch)
    for seed in range(8):
        lump = lump_of(18.0, kind, seed)
        mass = draw_mass(lump, np.random.default_rng(seed))
        assert mass.cover.shape == mass.hu.shape == mass.inside.shape == mass.air.shape
        assert int(mass.inside.sum()) > int(lump.inside.sum())
        assert (mass.cover[mass.inside] >= 0.49).all()
        # Its middle voxel is still its middle: what was there lies where it lay.
        more = [(a - b) // 2 for a, b in zip(mass.cover.shape, lump.cover.shape, strict=True)]
        own = tuple(slice(n, n + size) for n, size in zip(more, lump.cover.shape, strict=True))
        assert (mass.inside[own] >= lump.inside).all()


def test_bubbles_are_air_and_belong_to_the_nodule(monkeypatch) -> None:
    of_only("_BUBBLED", monkeypatch)
    lump = lump_of(20.0)
    mass = draw_mass(lump, np.random.default_rng(3))
    assert np.array_equal(mass.inside, lump.inside)
    assert mass.air.any()
    assert (mass.hu[mass.air] < -400.0).all()
    assert (mass.air <= mass.inside).all()
    assert np.array_equal(mass.hu[~mass.inside], lump.hu[~lump.inside])


def test_what_takes_up_contrast_medium_is_denser_and_its_air_is_not(monkeypatch) -> None:
    of_only("_ENHANCED", monkeypatch)
    lump = lump_of(20.0, "cavity")
    mass = draw_mass(lump, np.random.default_rng(0))
    tissue = lump.hu > -150.0
    assert (mass.hu[tissue] >= lump.hu[tissue] + 9.9).all()
    assert np.array_equal(mass.hu[~tissue], lump.hu[~tissue])


def test_the_same_stream_gives_the_same_mass() -> None:
    one, two = (draw_mass(lump_of(25.0), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.hu, two.hu)
    assert np.array_equal(one.inside, two.inside)
