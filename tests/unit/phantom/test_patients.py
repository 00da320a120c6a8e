"""Chests of patients: what is said of them is what is painted, whatever else they have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from dicomnode.phantom import (
    DISEASES,
    BareChest,
    ChestScan,
    Protocol,
    Wish,
    World,
    bare_chest,
    chest,
    load_truth,
    save_truth,
    write_series,
)
from dicomnode.phantom.body import Body
from dicomnode.phantom.patient import draw_patient

SEED = 21
PROTOCOL = Protocol(thickness_mm=2.0, increment_mm=2.0, noise_hu=0.0)
WISHES = (
    Wish(diameter_mm=12.0, place="free"),
    Wish(diameter_mm=10.0, kind="calcified", place="pleura"),
    Wish(diameter_mm=9.0, kind="ground glass", place="vessel", margin="lobulated"),
    Wish(diameter_mm=14.0, kind="part-solid", place="hilum"),
    Wish(diameter_mm=16.0, kind="cavity", place="free", margin="lobulated"),
    Wish(diameter_mm=5.0, place="pleura"),
)
WELL = World(diseases=(), nodules=WISHES, protocol=PROTOCOL, enhanced=False)


@pytest.fixture(scope="module")
def well() -> ChestScan:
    return chest(SEED, "small", world=WELL)


@pytest.fixture(scope="module")
def bare() -> BareChest:
    return bare_chest(SEED, spacing_mm=2.5, world=World(diseases=(), enhanced=False))


def _ill(*diseases: str, enhanced: bool = False) -> BareChest:
    return bare_chest(SEED, spacing_mm=2.5, world=World(diseases=diseases, enhanced=enhanced))


def _ml(chest_: BareChest, where: np.ndarray) -> float:
    return float(where.sum()) * chest_.grid.voxel_mm3 / 1000.0


def _near(one: BareChest | ChestScan, point: tuple[float, float, float], voxels: np.ndarray) -> np.ndarray:
    k, j, i = np.rint(one.grid.to_index_kji(point)).astype(int)
    return voxels[max(k - 1, 0) : k + 2, max(j - 1, 0) : j + 2, max(i - 1, 0) : i + 2]


def test_every_nodule_that_was_wished_for_is_there_as_it_was_wished(well: ChestScan) -> None:
    assert len(well.nodules) == len(WISHES)
    for nodule, wish in zip(well.nodules, WISHES, strict=True):
        assert nodule.diameter_mm == pytest.approx(wish.diameter_mm, rel=0.06)
        assert (nodule.kind, nodule.place, nodule.margin) == (wish.kind, wish.place, wish.margin)
        assert nodule.volume_mm3 == pytest.approx(np.pi / 6 * nodule.diameter_mm**3)
        assert not nodule.ignore


def test_nodules_have_the_density_of_their_kind(well: ChestScan) -> None:
    ranges = {
        "solid": (-150, 120),
        "calcified": (150, 1200),
        "ground glass": (-800, -350),
        "part-solid": (-700, 0),
        "cavity": (-500, 60),
    }
    for nodule in well.nodules:
        inner = (
            ndimage.binary_erosion(nodule.mask.to_array())
            if nodule.diameter_mm > 8
            else nodule.mask.to_array()
        )
        low, high = ranges[nodule.kind]
        if nodule.diameter_mm > 8:
            assert low < np.median(well.voxels[inner]) < high


def test_nodules_lie_where_their_place_says(well: ChestScan) -> None:
    lungs = well.lung_right.to_array() | well.lung_left.to_array()
    depth = ndimage.distance_transform_edt(lungs, sampling=well.grid.spacing_kji_mm)
    for nodule in well.nodules:
        inside = nodule.mask.to_array()
        least = depth[inside].min()
        if nodule.place == "pleura":
            assert least <= 2.5
        elif nodule.place == "free":
            assert least > 3.0
        side = well.lung_right if nodule.side == "right" else well.lung_left
        assert side.to_array()[inside].mean() > 0.95


def test_the_truth_of_a_nodule_is_the_volume_of_its_mask_where_slices_are_thin(well: ChestScan) -> None:
    for nodule in well.nodules:
        assert nodule.mask.count * well.grid.voxel_mm3 == pytest.approx(nodule.volume_mm3, rel=1e-6)
        middle = well.grid.to_lps_mm(np.argwhere(nodule.mask.to_array())).mean(axis=0)
        assert np.allclose(middle, nodule.centre_lps_mm, atol=1e-6)


def test_nodules_lie_apart(well: ChestScan) -> None:
    for n, one in enumerate(well.nodules):
        for two in well.nodules[:n]:
            away = np.linalg.norm(np.subtract(one.centre_lps_mm, two.centre_lps_mm))
            assert away > (one.diameter_mm + two.diameter_mm) / 2 + 3.0


def test_without_nodules_nothing_else_changes(well: ChestScan) -> None:
    free = chest(SEED, "small", world=replace(WELL, nodules=()))
    assert free.nodules == ()
    assert free.lung_left == well.lung_left
    near = np.zeros(well.voxels.shape, dtype=bool)
    for nodule in well.nodules:
        near |= nodule.mask.to_array()
    changed = np.abs(free.voxels.astype(int) - well.voxels) > 30
    assert changed[near].mean() > 0.8
    assert not (changed & ~ndimage.binary_dilation(near, iterations=4)).any()


def test_the_same_seed_gives_the_same_patient_again(well: ChestScan) -> None:
    again = chest(SEED, "small", world=WELL)
    assert np.array_equal(again.voxels, well.voxels)
    assert [one.mask for one in again.nodules] == [one.mask for one in well.nodules]
    assert again.grid.frame_of_reference_uid == well.grid.frame_of_reference_uid


def test_thick_slices_show_the_same_patient_with_truth_of_their_own(well: ChestScan) -> None:
    thick = chest(
        SEED,
        "small",
        world=replace(WELL, protocol=Protocol(thickness_mm=4.0, increment_mm=4.0, noise_hu=0.0)),
    )
    assert len(thick.voxels) == pytest.approx(len(well.voxels) / 2, abs=1)
    assert thick.grid.spacing_kji_mm[0] == 4.0
    for seen, fine in zip(thick.nodules, well.nodules, strict=True):
        assert seen.volume_mm3 == pytest.approx(fine.volume_mm3, rel=0.1)
        rough = seen.mask.count * thick.grid.voxel_mm3
        assert rough == pytest.approx(seen.volume_mm3, rel=0.25 if seen.diameter_mm > 8 else 0.8)
    ml, thick_ml = (one.lung_right.count * one.grid.voxel_mm3 / 1000 for one in (well, thick))
    assert thick_ml == pytest.approx(ml, rel=0.02)


def test_a_scan_and_the_bare_chest_are_the_same_patient(well: ChestScan, bare: BareChest) -> None:
    for number, mask in ((1, well.lung_right), (2, well.lung_left)):
        assert _ml(bare, bare.lungs == number) == pytest.approx(
            mask.count * well.grid.voxel_mm3 / 1000, rel=0.02
        )
    points = np.argwhere(bare.lungs > 0)[::997]
    index = np.rint(well.grid.to_index_kji(bare.grid.to_lps_mm(points))).astype(int)
    lungs = well.lung_right.to_array() | well.lung_left.to_array()
    assert lungs[tuple(index.T)].mean() > 0.95


def test_a_bare_chest_is_without_noise_and_holds_the_lungs_and_what_is_around(bare: BareChest) -> None:
    assert bare.hu.dtype == np.float32
    assert bare.hu.shape == bare.lungs.shape == bare.grid.shape_kji
    assert bare.grid.spacing_kji_mm == pytest.approx((2.5, 2.5, 2.5))
    assert (bare.hu[0, :3, :3] == -1000.0).all()
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        there = np.flatnonzero((bare.lungs > 0).any(axis=others))
        assert there[0] * 2.5 > 15.0
        assert (bare.lungs.shape[axis] - 1 - there[-1]) * 2.5 > 15.0
    assert set(np.unique(bare.lungs)) == {0, 1, 2}
    right, left = (bare.grid.to_lps_mm(np.argwhere(bare.lungs == n)).mean(axis=0)[0] for n in (1, 2))
    assert right < -40 < 40 < left
    # Mostly air, and almost no air of the body outside of the lungs but that of the airways
    assert np.median(bare.hu[bare.lungs > 0]) < -780
    body = ndimage.binary_fill_holes(bare.hu[40] > -300)
    outside = body & (bare.hu[40] < -600) & (bare.lungs[40] == 0)
    assert outside.sum() < 0.08 * (bare.lungs[40] > 0).sum()


def test_consolidated_lung_stays_lung(bare: BareChest) -> None:
    ill = _ill("consolidation")
    assert np.array_equal(ill.lungs, bare.lungs)
    dense = (ill.hu > -100) & (bare.hu < -600) & (bare.lungs > 0)
    assert _ml(bare, dense) > 5.0
    mark = next(one for one in ill.distractors if one.kind == "consolidation")
    places = bare.grid.to_lps_mm(np.argwhere(dense))
    away = np.linalg.norm(places - np.array(mark.centre_lps_mm), axis=1)
    assert np.median(away) < mark.radius_mm + 15.0
    # Bronchi keep their air within it
    assert (ill.hu[ndimage.binary_closing(dense, iterations=2)] < -500).any()


def test_fluid_is_no_lung_and_the_lung_that_it_presses_is() -> None:
    healthy, ill = _ill(enhanced=True), _ill("effusion", enhanced=True)
    taken = (healthy.lungs > 0) & (ill.lungs == 0)
    assert _ml(ill, taken) > 30.0
    assert _ml(ill, (healthy.lungs == 0) & (ill.lungs > 0)) < 5.0  # other airways
    inner = ndimage.binary_erosion(taken)
    assert -10 < np.median(ill.hu[inner]) < 30
    y = ill.grid.to_lps_mm(np.argwhere(taken))[:, 1]
    assert np.median(y) > 25.0  # it lies behind: the patient is on his back
    pressed = (ill.lungs > 0) & (ill.hu > 0) & (healthy.hu < -600)
    assert _ml(ill, pressed & ndimage.binary_dilation(taken, iterations=8)) > 3.0


def test_a_collapsed_lobe_is_dense_stays_lung_and_raises_the_diaphragm(bare: BareChest) -> None:
    ill = _ill("collapse")
    dense = (ill.lungs > 0) & (ill.hu > -50)
    healthy = (bare.lungs > 0) & (bare.hu > -50)
    assert _ml(ill, dense) > _ml(bare, healthy) + 20.0
    mark = next(one for one in ill.distractors if one.kind.startswith("collapse"))
    number = 1 if "right" in mark.kind else 2
    assert (mark.centre_lps_mm[0] < 2.0) == (number == 1)
    assert _ml(ill, ill.lungs == number) < _ml(bare, bare.lungs == number)
    assert _ml(ill, ill.lungs == 3 - number) == pytest.approx(_ml(bare, bare.lungs == 3 - number), rel=0.03)


@pytest.mark.parametrize(
    "disease", ["apical caps", "pleural plaques", "pleural lumps", "osteophytes", "rib ends"]
)
def test_what_belongs_to_the_pleura_is_no_lung(bare: BareChest, disease: str) -> None:
    ill = _ill(disease)
    taken = (bare.lungs > 0) & (ill.lungs == 0)
    solid = taken & (ill.hu > -200) & (bare.hu < -600)
    assert _ml(ill, solid) > 0.05
    # No lung is won but by airways that run elsewhere
    won = (bare.lungs == 0) & (ill.lungs > 0)
    assert _ml(ill, won) < 5.0
    for mark in ill.distractors:
        assert _near(ill, mark.centre_lps_mm, ill.hu).max() > -50
        assert mark.ignore == (disease == "pleural lumps")


def test_emphysema_is_holes_most_of_them_high_up(bare: BareChest) -> None:
    ill = _ill("emphysema", "paraseptal emphysema")
    holes, usual = ((one.lungs > 0) & (one.hu < -950) for one in (ill, bare))
    assert holes.sum() > 20 * max(int(usual.sum()), 1)
    z = ill.grid.to_lps_mm(np.argwhere(holes & ~usual))[:, 2]
    middle = np.median(ill.grid.to_lps_mm(np.argwhere(ill.lungs > 0))[:, 2])
    assert (z > middle).mean() > 0.55
    assert np.array_equal(ill.lungs, bare.lungs)


def test_calcified_distractors_are_calcified_where_they_are_marked(bare: BareChest) -> None:
    ill = _ill("granulomas", "osteophytes", "calcified aorta", "nodes")
    kinds = {mark.kind for mark in ill.distractors}
    assert {"granuloma", "osteophyte", "calcified aorta"} <= kinds
    for mark in ill.distractors:
        if mark.kind in ("osteophyte", "calcified aorta"):
            usual, seen = (_near(one, mark.centre_lps_mm, one.hu).max() for one in (bare, ill))
            assert seen > usual + 15
        if mark.kind == "granuloma":
            assert mark.ignore
            assert mark.radius_mm < 1.5


def test_contrast_medium_changes_blood_and_nothing_of_the_shape(bare: BareChest) -> None:
    given = _ill(enhanced=True)
    assert np.array_equal(given.lungs, bare.lungs)
    more = (given.hu - bare.hu) > 60
    assert 400 < _ml(given, more) < 2000
    bone = bare.hu > 400
    assert np.abs(given.hu - bare.hu)[bone].mean() < 5


@pytest.fixture(scope="module")
def healthy() -> Body:
    return Body.of(SEED, (), enhanced=False)


@pytest.mark.parametrize("disease", DISEASES)
def test_every_disease_is_marked_and_paints_something(disease: str, healthy: Body) -> None:
    body = Body.of(SEED, (disease,), enhanced=False)
    change = body.change
    assert change.marks
    for mark in change.marks:
        assert mark.radius_mm > 0.5
        assert np.isfinite(mark.centre_mm).all()
    painted = change.taken + change.under + change.tissue + change.over + change.outside + change.airways
    assert painted or not np.array_equal(body.site.tissue, healthy.site.tissue)
    if disease != "collapse":
        assert body.patient == healthy.patient


def test_patients_differ_as_people_do() -> None:
    drawn = [draw_patient(seed) for seed in range(200)]
    women = [one for one in drawn if one.sex == "female"]
    assert 70 < len(women) < 130
    assert all((one.breast > 0) == (one.sex == "female") for one in drawn)
    assert np.mean([one.stretch for one in women]) < np.mean([one.stretch for one in drawn])
    assert 50 < sum(one.enhanced for one in drawn) < 110
    assert all((one.figure.blood_hu > 100) == one.enhanced for one in drawn)
    fat = [one.figure.fat_mm for one in drawn]
    assert min(fat) < 6 < 20 < max(fat)


def test_a_drawn_world_is_drawn_from_the_seed_alone() -> None:
    one, two = chest(5, "small"), chest(6, "small")
    assert one.diseases != two.diseases
    assert one.protocol.thickness_mm >= 2.0
    assert not np.array_equal(one.voxels[:50, :50, :50], two.voxels[:50, :50, :50])
    assert all(3.0 <= nodule.diameter_mm <= 26.0 or nodule.ignore for nodule in one.nodules)


def test_its_truth_is_kept_beside_its_files(well: ChestScan, tmp_path: Path) -> None:
    marked = replace(well, distractors=_ill("pleural lumps").distractors)
    files = write_series(well.voxels, well.grid, tmp_path / "dicom", seed=SEED)
    save_truth(marked, files, tmp_path)
    truth = load_truth(tmp_path)
    assert truth.distractors == marked.distractors
    assert [(n.place, n.margin, n.ignore, n.kind) for n in truth.nodules] == [
        (n.place, n.margin, n.ignore, n.kind) for n in well.nodules
    ]
    assert [n.mask for n in truth.nodules] == [n.mask for n in well.nodules]
    assert truth.lung_right == well.lung_right
