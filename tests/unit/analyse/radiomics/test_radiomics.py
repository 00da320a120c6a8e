"""Features of a region: the IBSI's phantom, shapes and textures known by hand, and plain recounting."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.radiomics import NAMES, TooLittleError, row_of_region, units_of
from dicomnode.analyse.radiomics.runs import run_lengths
from dicomnode.analyse.radiomics.sampled import directions
from dicomnode.analyse.radiomics.texture import neighbours
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid
from tests.unit.analyse.radiomics.ibsi_phantom import MASK, REFERENCE, VOXELS, image


def features(voxels, mask, affine=None, bin_width=1.0):
    affine = np.eye(4) if affine is None else affine
    prepared = Prepared(np.asarray(voxels, np.float32), Grid(mask.shape, affine, "1.2.3"))
    return dict(zip(NAMES, row_of_region(prepared, mask, bin_width), strict=True))


def ball(radius, size=21):
    away = np.indices((size, size, size)) - size // 2
    return np.linalg.norm(away, axis=0) <= radius


PHANTOM = dict(zip(NAMES, row_of_region(image(), MASK, 1.0), strict=True))


@pytest.mark.parametrize("name", REFERENCE)
def test_of_the_phantom_of_the_ibsi_each_feature_is_what_its_teams_agree_on(name):
    value, tolerance = REFERENCE[name]
    assert PHANTOM[name] == pytest.approx(value, abs=tolerance + 1e-12)


def test_all_features_but_our_own_edges_have_a_reference_value():
    assert [name for name in NAMES if name not in REFERENCE] == [n for n in NAMES if n.startswith("edge_")]


def test_the_matrix_of_neighbours_is_what_counting_pair_by_pair_gives():
    levels = np.where(MASK, VOXELS, 0).astype(np.int64)
    counted = np.zeros((6, 6))
    places = list(zip(*np.nonzero(MASK), strict=True))
    for a, b in product(places, places):
        if max(abs(x - y) for x, y in zip(a, b, strict=True)) == 1:
            counted[levels[a] - 1, levels[b] - 1] += 1
    assert neighbours(levels) == pytest.approx(counted / counted.sum())


def test_runs_are_what_walking_along_every_line_gives():
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 4, (4, 5, 6))
    levels[0, 0, 0] = 3
    counted = np.zeros((3, 6), dtype=int)
    for step in directions():
        for place in np.ndindex(levels.shape):
            grey = levels[place]
            before = tuple(np.subtract(place, step))
            inside = all(0 <= p < n for p, n in zip(before, levels.shape, strict=True))
            if not grey or (inside and levels[before] == grey):
                continue
            length, at = 0, place
            while all(0 <= p < n for p, n in zip(at, levels.shape, strict=True)) and levels[at] == grey:
                length, at = length + 1, tuple(np.add(at, step))
            counted[grey - 1, length - 1] += 1
    assert np.array_equal(run_lengths(levels), counted)


def test_a_ball_is_round_and_as_large_as_its_radius_says():
    mask = ball(8)
    found = features(np.zeros(mask.shape), mask)
    assert found["shape_volume"] == pytest.approx(4 / 3 * math.pi * 8**3, rel=0.03)  # cut corners
    assert found["shape_sphericity"] == pytest.approx(1.0, abs=0.09)  # a staircase has a larger surface
    assert found["shape_elongation"] == pytest.approx(1.0, abs=1e-6)
    assert found["shape_flatness"] == pytest.approx(1.0, abs=1e-6)
    assert found["shape_maximum_diameter"] == pytest.approx(17.0, abs=0.1)
    # of a solid ball the variance along an axis is r²/5
    assert found["shape_major_axis"] == pytest.approx(4 * 8 / math.sqrt(5), rel=0.02)


def test_a_box_has_the_axes_that_its_sides_give_in_mm():
    mask = np.zeros((8, 12, 16), dtype=bool)
    mask[2:6, 2:8, 2:12] = True  # 4 × 6 × 10 voxels of 3 × 2 × 1 mm along k, j, i
    found = features(np.zeros(mask.shape), mask, np.diag([1.0, 2.0, 3.0, 1.0]))

    def axis(voxels, mm):
        return 4 * mm * math.sqrt((voxels**2 - 1) / 12 * 240 / 239)  # of a sample

    lengths = sorted([axis(10, 1), axis(6, 2), axis(4, 3)])
    names = ("shape_least_axis", "shape_minor_axis", "shape_major_axis")
    assert [found[name] for name in names] == pytest.approx(lengths)
    assert found["shape_voxel_volume"] == pytest.approx(4 * 6 * 10 * 6.0)


@given(
    turn=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500), st.floats(-500, 500)),
)
@settings(max_examples=20, deadline=None)
def test_features_do_not_hang_on_how_a_grid_lies_in_the_patient(turn, shift):
    from scipy.spatial.transform import Rotation

    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(turn).as_matrix() @ np.diag([2.0, 2.0, 2.0])
    affine[:3, 3] = shift
    turned = row_of_region(Prepared(VOXELS, Grid(VOXELS.shape, affine, "1.2.3")), MASK, 1.0)
    assert turned == pytest.approx(row_of_region(image(), MASK, 1.0), rel=1e-6, abs=1e-6)


def test_an_image_that_is_flipped_or_turned_by_quarters_has_the_same_features():
    mask = ball(4, 11)
    voxels = np.random.default_rng(1).normal(0, 5, mask.shape)
    mask[:, :3] = False
    given_ = features(voxels, mask)
    for change in (lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.transpose(2, 0, 1)):
        changed = features(change(voxels).copy(), change(mask).copy())
        for name, value in given_.items():
            assert changed[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


def test_a_step_at_the_outline_is_a_gradient_and_a_contrast():
    mask = np.zeros((9, 9, 20), dtype=bool)
    mask[:, :, 10:] = True  # an edge across i, and elsewhere the edge of the image
    found = features(np.where(mask, 100.0, 20.0), mask, np.diag([0.5, 1.0, 1.0, 1.0]))
    assert found["edge_contrast"] == pytest.approx(np.mean([100.0]) - 20.0), "inside minus outside"
    inner = mask.copy()
    inner[1:-1, 1:-1, 11:-1] = False
    at_step = np.zeros_like(mask)
    at_step[:, :, 10] = True
    expected = np.where(at_step, 40.0 / 0.5, 0.0)[inner]
    assert found["edge_gradient_mean"] == pytest.approx(expected.mean())
    assert found["edge_gradient_deviation"] == pytest.approx(expected.std())


def test_a_region_of_one_value_has_features_all_the_same():
    mask = ball(3, 9)
    found = features(np.full(mask.shape, 7.1), mask)
    assert all(math.isfinite(value) for value in found.values())
    assert (found["intensity_skewness"], found["glcm_correlation"], found["glcm_joint_entropy"]) == (0, 1, 0)


def test_bins_begin_at_multiples_of_their_width_so_that_one_value_is_one_level_everywhere():
    mask = np.ones((2, 2, 4), dtype=bool)
    voxels = np.array([26.0, 49.0, 51.0, 74.0] * 4).reshape(2, 2, 4)
    found = features(voxels, mask, bin_width=25.0)
    assert found["histogram_uniformity"] == pytest.approx(0.5)  # 25 to 50, and 50 to 75
    assert features(voxels + 25.0, mask, bin_width=25.0)["glcm_contrast"] == found["glcm_contrast"]


@pytest.mark.parametrize(
    ("voxels", "mask", "why"),
    [
        (np.zeros((4, 4, 4)), np.arange(64).reshape(4, 4, 4) < 7, "7 voxels, and 8 are needed"),
        (np.zeros((4, 4, 4)), np.zeros((4, 4, 4), dtype=bool), "0 voxels"),
        (np.linspace(0, 1e6, 64).reshape(4, 4, 4), np.ones((4, 4, 4), dtype=bool), "1024 grey levels"),
        (np.full((4, 4, 4), np.nan), np.ones((4, 4, 4), dtype=bool), "no number"),
        (np.zeros((8, 8, 8)), (np.indices((8, 8, 8)) % 2 == 0).all(axis=0), "touch"),
    ],
    ids=["too few", "empty", "too many levels", "no number", "apart"],
)
def test_a_region_without_features_says_why(voxels, mask, why):
    with pytest.raises(TooLittleError, match=why):
        features(voxels, mask)


def test_only_the_families_that_are_wanted_are_computed(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "skimage.measure", None)  # as where scikit-image is not installed
    assert row_of_region(image(), MASK, 1.0, ["glcm_contrast"]) == pytest.approx([5.12], abs=0.005)
    with pytest.raises(ImportError):
        row_of_region(image(), MASK, 1.0, ["shape_volume"])


def test_units_are_those_of_the_image():
    assert units_of(["intensity_variance", "edge_gradient_p90", "shape_volume"], "HU") == (
        "HU2",
        "HU/mm",
        "mm3",
    )
