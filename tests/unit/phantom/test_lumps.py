"""Shapes of nodules: as large as they are said to be, of their kind, and truth that is exact."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.phantom import KINDS, LumpPlan, draw_lump, draw_plan, plant_lump
from dicomnode.phantom.lumps import LEAST_MM

ISO = (1.0, 1.0, 1.0)


def _rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def _air(size: int = 41) -> tuple[np.ndarray, np.ndarray]:
    """Lung of -850 HU everywhere."""
    return np.full((size,) * 3, -850.0, dtype=np.float32), np.ones((size,) * 3, dtype=bool)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(6.0, 25.0),
    st.tuples(*[st.floats(0.6, 1.3)] * 3),
    st.sampled_from(["smooth", "lobulated", "spiculated"]),
    st.integers(0, 1000),
)
def test_a_nodule_has_about_the_volume_of_the_ball_that_was_planned(
    diameter: float, spacing: tuple[float, float, float], margin: str, seed: int
) -> None:
    lump = draw_lump(LumpPlan(diameter_mm=diameter, margin=margin), spacing, _rng(seed))
    volume = lump.inside.sum() * np.prod(spacing)
    assert (6 * volume / np.pi) ** (1 / 3) == pytest.approx(diameter, rel=0.07)


@settings(max_examples=30, deadline=None)
@given(st.floats(3.0, 20.0), st.sampled_from(sorted(KINDS)), st.integers(0, 1000))
def test_its_truth_is_what_is_at_least_half_covered(diameter: float, kind: str, seed: int) -> None:
    lump = draw_lump(LumpPlan(diameter_mm=diameter, kind=kind), ISO, _rng(seed))
    assert np.array_equal(lump.inside, lump.cover > 0.5) or np.abs(lump.cover[lump.inside]).min() >= 0.5
    assert lump.cover[~lump.inside].max() <= 0.5
    assert lump.inside.any()


def test_its_box_holds_all_of_it() -> None:
    for seed in range(20):
        plan = LumpPlan(diameter_mm=14.0, margin=("smooth", "lobulated", "spiculated")[seed % 3])
        cover = draw_lump(plan, ISO, _rng(seed)).cover.copy()
        cover[1:-1, 1:-1, 1:-1] = 0.0
        assert cover.max() < 0.5


def test_spicules_are_painted_but_are_no_part_of_the_truth() -> None:
    plain, spiky = (
        draw_lump(LumpPlan(diameter_mm=12.0, margin=margin), ISO, _rng(3))
        for margin in ("smooth", "spiculated")
    )
    assert plain.cover[~plain.inside].sum() * 1.15 < spiky.cover[~spiky.inside].sum()
    assert spiky.inside.sum() == pytest.approx(plain.inside.sum(), rel=0.1)
    far = np.linalg.norm(np.indices(spiky.cover.shape).T - np.array(spiky.cover.shape) // 2, axis=-1).T > 8.0
    assert spiky.cover[far].max() > 0.2


def test_a_lobulated_surface_is_rougher_than_a_smooth_one() -> None:
    def roughness(margin: str) -> float:
        rough = []
        for seed in range(12):
            lump = draw_lump(LumpPlan(diameter_mm=20.0, margin=margin), ISO, _rng(seed))
            edge = np.abs(np.diff(lump.inside.astype(int), axis=0)).sum()
            rough.append(edge / lump.inside.sum() ** (2 / 3))
        return float(np.mean(rough))

    assert roughness("lobulated") > roughness("smooth")


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("solid", -30.0, 95.0), ("ground glass", -850.0, -400.0), ("calcified", 150.0, 1200.0)],
)
def test_each_kind_has_its_density(kind: str, low: float, high: float) -> None:
    for seed in range(10):
        hu, lungs = _air()
        lump = draw_lump(LumpPlan(diameter_mm=7.0, kind=kind), ISO, _rng(seed))
        plant_lump(hu, lungs, lump, (20, 20, 20))
        middle = hu[19:22, 19:22, 19:22]
        assert low < middle.mean() < high


def test_a_part_solid_one_has_a_core_within_ground_glass() -> None:
    for seed in range(10):
        hu, lungs = _air()
        lump = draw_lump(LumpPlan(diameter_mm=14.0, kind="part-solid"), ISO, _rng(seed))
        inside = plant_lump(hu, lungs, lump, (20, 20, 20))
        values = hu[inside.at][inside.inside]
        assert 0.03 < (values > -200).mean() < 0.6
        assert (values < -400).mean() > 0.3


def test_a_cavity_is_air_within_a_wall_and_belongs_to_the_nodule() -> None:
    for seed in range(10):
        hu, lungs = _air()
        lump = draw_lump(LumpPlan(diameter_mm=16.0, kind="cavity"), ISO, _rng(seed))
        planted = plant_lump(hu, lungs, lump, (20, 20, 20))
        values = hu[planted.at][planted.inside]
        assert (values < -880).any()
        assert (values > -50).mean() > 0.3
        assert planted.kept > 0.8


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_grows_on_the_side_of_the_lung_and_never_thins_a_wall(kind: str) -> None:
    hu, lungs = _air()
    wall = np.arange(41)[:, None, None] * np.ones((41, 41, 41)) < 17
    hu[wall], hu[17] = 50.0, -400.0  # half of the voxels at the border is wall
    lungs &= ~wall
    lungs[17] = False
    before = hu.copy()
    lump = draw_lump(LumpPlan(diameter_mm=12.0, kind=kind), ISO, _rng(5))
    planted = plant_lump(hu, lungs, lump, (20, 20, 20))
    inside = np.zeros(hu.shape, dtype=bool)
    inside[planted.at] = planted.inside
    assert not (inside & ~lungs).any()
    assert (hu[wall] == before[wall]).all()
    assert 0.4 < planted.kept < 0.95
    if kind in ("solid", "calcified"):  # no seam of air between wall and nodule
        assert hu[17, 20, 20] > -50


def test_a_nodule_within_a_wall_keeps_nothing() -> None:
    hu, lungs = _air()
    hu[:], lungs[:] = 50.0, False
    planted = plant_lump(hu, lungs, draw_lump(LumpPlan(diameter_mm=8.0), ISO, _rng()), (20, 20, 20))
    assert planted.kept == 0.0
    assert (hu == 50.0).all()


def test_a_nodule_in_a_vessel_shows_nothing() -> None:
    hu, lungs = _air()
    hu[:] = 60.0
    planted = plant_lump(hu, lungs, draw_lump(LumpPlan(diameter_mm=8.0), ISO, _rng()), (20, 20, 20))
    assert planted.inside.any()
    assert planted.kept < 0.25


@pytest.mark.parametrize("at", [(0, 20, 20), (40, 40, 40), (20, -3, 20), (20, 20, 60)])
def test_what_lies_outside_the_volume_is_cut_off(at: tuple[int, int, int]) -> None:
    hu, lungs = _air()
    planted = plant_lump(hu, lungs, draw_lump(LumpPlan(diameter_mm=10.0), ISO, _rng()), at)
    assert planted.kept < 0.75
    assert planted.inside.sum() == 0 or planted.inside.shape == hu[planted.at].shape


def test_the_same_numbers_give_the_same_nodule() -> None:
    one, two = (draw_lump(LumpPlan(diameter_mm=9.0, margin="spiculated"), ISO, _rng(8)) for _ in range(2))
    assert np.array_equal(one.cover, two.cover)
    assert np.array_equal(one.hu, two.hu)
    other = draw_lump(LumpPlan(diameter_mm=9.0, margin="spiculated"), ISO, _rng(9))
    assert one.cover.shape != other.cover.shape or not np.array_equal(one.cover, other.cover)


def test_blurred_it_keeps_its_mass_and_its_truth() -> None:
    lump = draw_lump(LumpPlan(diameter_mm=8.0), ISO, _rng())
    blurred = lump.blurred((0.8, 0.45, 0.45))
    assert blurred.cover.sum() == pytest.approx(lump.cover.sum(), rel=1e-3)
    assert np.abs(blurred.cover - lump.cover).max() > 0.1
    assert np.array_equal(blurred.inside, lump.inside)


@pytest.mark.parametrize("diameter", [1.9, 46.0, float("nan")])
def test_a_diameter_beyond_reason_is_refused(diameter: float) -> None:
    with pytest.raises(ValueError, match="diameter_mm"):
        LumpPlan(diameter_mm=diameter)


def test_kinds_are_drawn_as_often_as_said_and_never_too_small() -> None:
    rng = _rng()
    plans = [draw_plan(rng) for _ in range(3000)]
    assert all(3.0 <= plan.diameter_mm <= 30.0 for plan in plans)
    assert all(plan.diameter_mm >= LEAST_MM[plan.kind] for plan in plans)
    large = Counter(plan.kind for plan in plans if plan.diameter_mm > 8)
    for kind, weight in KINDS.items():
        assert large[kind] / large.total() == pytest.approx(weight, abs=0.04)
    assert np.median([plan.diameter_mm for plan in plans]) == pytest.approx(9.5, rel=0.1)


def test_own_weights_and_diameters_are_taken() -> None:
    rng = _rng()
    plans = [draw_plan(rng, 5.0, {"ground glass": 1.0, "cavity": 1.0}) for _ in range(20)]
    assert {plan.kind for plan in plans} == {"ground glass"}
    assert {plan.diameter_mm for plan in plans} == {5.0}
    assert draw_plan(rng, 3.0, {"cavity": 1.0}).kind == "solid"
