"""Body composition of a drawn trunk: how much of each tissue, where it is not told, and what is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.algorithms import ALGORITHMS, Anatomy
from dicomnode.analyse.algorithms.composition_ribs import outside_ribs
from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.parallel import cores
from dicomnode.analyse.prepare import orient
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid, RemarkKind, no_progress
from tests.unit.analyse import trunk as drawn
from tests.unit.analyse.trunk import Trunk

COMPOSITION = ALGORITHMS["body_composition"]
SPACING = (5.0, 1.5, 1.5)


def find(hu: np.ndarray, affine: np.ndarray) -> Anatomy:
    grid = Grid(hu.shape, affine, "1.2.3")
    return COMPOSITION.run(Prepared(hu, grid), COMPOSITION.parameters, no_progress)


def of(trunk: Trunk, spacing: tuple[float, float, float] = SPACING) -> Anatomy:
    hu = drawn.draw(spacing, trunk)
    return find(hu, drawn.affine_of(hu, spacing))


def ml(anatomy: Anatomy) -> dict[str, float]:
    return {str(part.name): float(part.mask.sum()) * anatomy.grid.voxel_mm3 / 1000 for part in anatomy.parts}


def said(anatomy: Anatomy, kind: RemarkKind = RemarkKind.QUALITY) -> list[str]:
    return [one.text for one in anatomy.remarks if one.kind == kind]


@pytest.fixture(scope="module")
def plain() -> Anatomy:
    return of(Trunk())


@pytest.mark.parametrize(
    ("tissue", "part"),
    [
        ("body", 0.01),
        ("fat", 0.03),
        ("subcutaneous-fat", 0.04),
        ("visceral-fat", 0.06),
        ("muscle", 0.05),
        ("soft-tissue", 0.08),
        ("bone", 0.10),
    ],
)
def test_each_tissue_has_the_volume_that_was_drawn(plain, tissue, part):
    assert ml(plain)[tissue] == pytest.approx(drawn.truth_ml(SPACING, Trunk())[tissue], rel=part)


def test_a_plain_trunk_leaves_nothing_to_be_doubted(plain):
    assert said(plain) == []
    assert any("rim may be counted as muscle" in text for text in said(plain, RemarkKind.LIMIT))


def test_the_two_kinds_of_fat_are_part_of_all_fat_and_share_nothing(plain):
    parts = {part.name: part.mask for part in plain.parts}
    assert not (parts["subcutaneous-fat"] & parts["visceral-fat"]).any()
    assert not ((parts["subcutaneous-fat"] | parts["visceral-fat"]) & ~parts["fat"]).any()
    tissues = [parts[name] for name in ("fat", "muscle", "bone")]
    assert max(np.sum(tissues, axis=0).ravel()) == 1


@pytest.mark.parametrize("gap_mm", [6.0, 12.0])
def test_a_narrow_gap_in_the_ring_is_closed(gap_mm, plain):
    found = of(Trunk(gap_mm=gap_mm))
    assert said(found) == []
    assert ml(found)["visceral-fat"] == pytest.approx(ml(plain)["visceral-fat"], rel=0.03)


def test_behind_a_wide_gap_fat_is_neither_subcutaneous_nor_visceral_and_that_is_said(plain):
    found = of(Trunk(gap_mm=60.0))
    assert "subcutaneous-fat" not in ml(found)
    assert "visceral-fat" not in ml(found)
    assert ml(found)["fat"] > ml(plain)["fat"]
    (text,) = said(found)
    assert text.startswith("Over 60 of 60 mm of the trunk the ring of muscle and bone has a gap")


@pytest.mark.parametrize("vessel_hu", [220.0, 320.0, 450.0])
def test_a_vessel_with_contrast_medium_is_no_bone(plain, vessel_hu):
    found = of(Trunk(vessel_hu=vessel_hu))
    assert ml(found)["bone"] == pytest.approx(ml(plain)["bone"], rel=0.06)
    assert any("taken for contrast medium" in text for text in said(found, RemarkKind.LIMIT))


def test_a_vertebra_is_no_contrast_medium_however_even_its_marrow(plain):
    assert not any("contrast" in text for text in said(plain, RemarkKind.LIMIT))


def test_the_couch_is_no_body(plain):
    assert ml(of(Trunk(couch=True)))["body"] == pytest.approx(ml(plain)["body"], rel=0.02)


def test_an_arm_beside_the_trunk_counts_and_is_told():
    found = of(Trunk(arm=True, body=(150.0, 110.0)))
    truth = drawn.truth_ml(SPACING, Trunk(arm=True, body=(150.0, 110.0)))
    assert ml(found)["body"] == pytest.approx(truth["body"], rel=0.02)
    assert any("several pieces" in text for text in said(found))


def test_a_body_that_goes_on_beyond_the_images_is_told():
    found = of(Trunk(shift_mm=80.0))
    assert any("goes on beyond the field of view over 60 of 60 mm" in text for text in said(found))


def test_lungs_are_air_and_their_edge_is_no_fat():
    trunk = Trunk(lungs=True)
    found, truth = ml(of(trunk)), drawn.truth_ml(SPACING, trunk)
    assert found["air"] == pytest.approx(truth["air"], rel=0.03)
    assert found["fat"] == pytest.approx(truth["fat"], rel=0.05)


def test_a_child_is_measured_as_an_adult_is():
    trunk = Trunk(scale=0.6)
    found, truth = ml(of(trunk, (3.0, 0.9, 0.9))), drawn.truth_ml((3.0, 0.9, 0.9), trunk)
    for tissue in ("body", "fat", "subcutaneous-fat"):
        assert found[tissue] == pytest.approx(truth[tissue], rel=0.05)


def test_noise_of_thin_slices_makes_no_muscle_of_fat():
    """70 HU of noise, as at 0.6 mm with a sharp kernel: voxel by voxel a fifth of the fat would be no fat."""
    trunk = Trunk(noise_hu=70.0, extent_mm=(15.0, 270.0, 400.0))
    found, truth = ml(of(trunk, (0.625, 1.5, 1.5))), drawn.truth_ml((0.625, 1.5, 1.5), trunk)
    raw = drawn.draw((0.625, 1.5, 1.5), trunk)
    voxels = ((raw > -190) & (raw < -30)).sum() * 0.625 * 1.5 * 1.5 / 1000
    assert abs(voxels / truth["fat"] - 1) > 0.15
    for tissue in ("fat", "muscle"):
        assert found[tissue] == pytest.approx(truth[tissue], rel=0.06)


@given(st.sampled_from([2.0, 3.0, 5.0, 7.5]), st.floats(1.0, 2.2), st.floats(1.0, 2.2))
@settings(max_examples=4, deadline=None)
def test_the_spacing_of_the_images_changes_no_volume(k_mm, j_mm, i_mm):
    trunk = Trunk(extent_mm=(15.0, 270.0, 400.0))
    spacing = (k_mm, j_mm, i_mm)
    found, truth = ml(of(trunk, spacing)), drawn.truth_ml(spacing, trunk)
    for tissue, part in (("body", 0.02), ("fat", 0.05), ("muscle", 0.08), ("bone", 0.15)):
        assert found[tissue] == pytest.approx(truth[tissue], rel=part)


@given(st.sampled_from(["RPS", "LAI", "PSL", "SRA", "IPR", "ASR"]))
@settings(max_examples=5, deadline=None)
def test_however_the_array_lies_the_tissues_lie_in_the_patient(code):
    trunk = Trunk(extent_mm=(20.0, 270.0, 400.0))
    hu = drawn.draw(SPACING, trunk)
    affine = drawn.affine_of(hu, SPACING)
    usual = find(hu, affine)
    turned = orient(Prepared(hu, Grid(hu.shape, affine, "1.2.3")), code)
    found = find(np.ascontiguousarray(turned.voxels), turned.grid.affine_lps)
    assert np.allclose(found.grid.affine_lps, usual.grid.affine_lps)
    for one, same in zip(found.parts, usual.parts, strict=True):
        assert one.name == same.name
        assert np.array_equal(one.mask, same.mask)


def test_any_number_of_threads_gives_the_same_bits(plain):
    with cores(4):
        again = of(Trunk())
    for one, same in zip(again.parts, plain.parts, strict=True):
        assert np.array_equal(one.mask, same.mask)


def test_thin_slices_come_back_as_whole_slices_of_the_source():
    trunk = Trunk(extent_mm=(10.0, 270.0, 400.0))
    spacing = (1.0, 1.5, 1.5)
    hu = drawn.draw(spacing, trunk)
    source = Grid(hu.shape, drawn.affine_of(hu, spacing), "1.2.3")
    found = find(hu, source.affine_lps)
    assert found.grid.shape_kji == (5, *hu.shape[1:])
    for part in found.parts:
        mask = onto_source(part.mask, found.grid, source, whole=True).to_array()
        assert np.array_equal(mask, np.repeat(part.mask, 2, axis=0))


@pytest.mark.parametrize("hu", [-1000.0, -700.0])
def test_images_without_a_body_have_none(hu):
    nothing = find(np.full((6, 40, 40), hu, dtype=np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    assert nothing.parts == ()
    assert nothing.nothing == "nothing in the images is as large and as dense as a body"


def test_two_legs_hold_no_visceral_fat():
    _, y, x = drawn.axes_mm(SPACING, Trunk())
    plane = np.full(np.broadcast_shapes(y.shape, x.shape), drawn.AIR)
    for at in (-90.0, 90.0):
        for radius, value in (
            (78.0, 30.0),
            (75.0, drawn.FAT),
            (60.0, drawn.MUSCLE),
            (16.0, 900.0),
            (8.0, drawn.FAT),
        ):
            plane[((x - at) / radius) ** 2 + (y / radius) ** 2 < 1] = value
    hu = np.repeat(plane, 8, axis=0).astype(np.float32)
    found = find(hu, drawn.affine_of(hu, SPACING))
    assert "visceral-fat" not in ml(found)
    assert "soft-tissue" not in ml(found)
    area = 2 * np.pi / 1000 * 8 * SPACING[0]
    assert ml(found)["muscle"] == pytest.approx(area * (60.0**2 - 16.0**2), rel=0.04)
    assert ml(found)["subcutaneous-fat"] == pytest.approx(area * (75.0**2 - 60.0**2), rel=0.06)
    assert ml(found)["bone"] == pytest.approx(area * 16.0**2, rel=0.08)
    assert any("No trunk was recognised" in text for text in said(found, RemarkKind.LIMIT))


def head_plane() -> np.ndarray:
    """A slice of a head: skin, fat, scalp, skull and brain."""
    _, y, x = drawn.axes_mm(SPACING, Trunk())
    plane = np.full(np.broadcast_shapes(y.shape, x.shape), drawn.AIR)
    for wide, value in ((82.0, 30.0), (80.0, drawn.FAT), (74.0, 50.0), (68.0, 1000.0), (60.0, 35.0)):
        plane[(x / wide) ** 2 + (y / (wide + 15)) ** 2 < 1] = value
    return plane


def test_a_head_has_bone_and_brain_and_no_muscle_and_that_is_said():
    hu = np.repeat(head_plane(), 8, axis=0).astype(np.float32)
    anatomy = find(hu, drawn.affine_of(hu, SPACING))
    found = ml(anatomy)
    area = np.pi / 1000 * 8 * SPACING[0]
    assert found["soft-tissue"] == pytest.approx(area * 60 * 75, rel=0.04)
    assert found["bone"] == pytest.approx(area * (68 * 83 - 60 * 75), rel=0.10)
    assert not {"muscle", "visceral-fat"} & found.keys()
    (text,) = said(anatomy)
    assert text.startswith(
        "Over 40 mm the slices show a head: soft tissue there is told within the skull alone"
    )
    limits = said(anatomy, RemarkKind.LIMIT)
    assert "No trunk was recognised: no fat is called visceral." in limits
    assert not any("counted as muscle" in one for one in limits)


def test_between_a_head_and_a_belly_are_lungs_so_that_what_hangs_on_a_head_without_them_is_no_trunk():
    below = drawn.draw(SPACING, Trunk(extent_mm=(140.0, 270.0, 400.0)))
    hu = np.concatenate([below, np.repeat(head_plane(), 6, axis=0).astype(np.float32)])
    anatomy = find(hu, drawn.affine_of(hu, SPACING))
    assert "visceral-fat" not in ml(anatomy)
    assert any("outside of the head is counted as muscle" in text for text in said(anatomy, RemarkKind.LIMIT))
    muscle = next(part.mask for part in anatomy.parts if part.name == "muscle").any(axis=(1, 2))
    face = round(120.0 / SPACING[0])  # from the skull to below the chin soft tissue has no name
    assert list(np.flatnonzero(muscle)) == list(range(len(below) - face))


def test_fat_between_the_muscles_of_the_wall_is_not_that_of_the_cavity(plain):
    hu = drawn.draw(SPACING, Trunk())
    _, y, x = drawn.axes_mm(SPACING, Trunk())
    between = (np.abs(y) < 30) & (np.abs(x) > 127) & (np.abs(x) < 132)
    hu[:, between[0]] = drawn.FAT
    found = ml(find(hu, drawn.affine_of(hu, SPACING)))
    assert found["fat"] > ml(plain)["fat"] + 20.0
    assert found["visceral-fat"] == pytest.approx(ml(plain)["visceral-fat"], rel=0.01)


def test_gas_of_the_bowel_before_a_gap_in_the_ring_shuts_it():
    hu = drawn.draw(SPACING, Trunk(gap_mm=40.0))
    _, y, x = drawn.axes_mm(SPACING, Trunk())
    assert said(find(hu, drawn.affine_of(hu, SPACING))) != []
    gas = (np.abs(x) < 40) & (y > -80) & (y < -50)
    hu[:, gas[0]] = drawn.AIR
    assert said(find(hu, drawn.affine_of(hu, SPACING))) == []


def test_behind_the_spine_is_no_cavity_though_lungs_reach_farther_back():
    hu = drawn.draw(SPACING, Trunk())
    _, y, x = drawn.axes_mm(SPACING, Trunk())
    lungs = ((np.abs(x) - 66) / 48) ** 2 + ((y - 14) / 66) ** 2 < 1
    hu[:, lungs[0]] = drawn.LUNG
    before = ml(find(hu, drawn.affine_of(hu, SPACING)))
    hu[:, ((np.abs(x) < 15) & (y > 72) & (y < 79))[0]] = drawn.FAT
    after = ml(find(hu, drawn.affine_of(hu, SPACING)))
    assert after["fat"] > before["fat"] + 8.0
    assert after["visceral-fat"] == pytest.approx(before["visceral-fat"], rel=0.01)


def ribs_at(degrees: np.ndarray, radius_mm: np.ndarray, from_deg: float, to_deg: float) -> np.ndarray:
    """Where a rib stands 100 mm from the spine; 0 degrees is straight before it, 180 behind it."""
    return (np.abs(radius_mm - 100.0) < 6.0) & (np.abs(degrees) > from_deg) & (np.abs(degrees) < to_deg)


@pytest.mark.parametrize(
    ("second_from", "at", "outside"),
    [(90.0, 75.0, True), (90.0, 100.0, True), (90.0, 20.0, False), (120.0, 85.0, False)],
    ids=["between near ribs", "beside a rib", "before the belly", "between ribs far apart"],
)
def test_what_is_farther_from_the_spine_than_ribs_is_outside_them(second_from, at, outside):
    mm = (2.0, 2.0)
    j, i = np.ogrid[:140, :140]
    down, left = (j - 70) * 2.0, (i - 70) * 2.0
    away, degrees = np.hypot(down, left), np.rad2deg(np.arctan2(left, -down))
    bone = ribs_at(degrees, away, 50.0, 65.0) | ribs_at(degrees, away, second_from, 135.0)
    found = outside_ribs(bone, np.full(bone.shape, 20.0), (70.0, 70.0), mm)
    for sign in (-1, 1):
        row, column = (70 - 55 * np.cos(np.deg2rad(at)), 70 + sign * 55 * np.sin(np.deg2rad(at)))
        assert found[round(row), round(column)] == outside
        nearer = (70 - 40 * np.cos(np.deg2rad(at)), 70 + sign * 40 * np.sin(np.deg2rad(at)))
        assert not found[round(nearer[0]), round(nearer[1])]
