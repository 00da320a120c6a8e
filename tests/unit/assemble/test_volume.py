"""From files to voxels in the patient: the grid and the values that the slices were made from."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.assemble import load_volume, read_studies
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT
from tests.unit.assemble.series import MR, PLANES, Series, affine_of, phantom, write_all
from tests.unit.assemble.test_placing import rotation, rotations, spacings


def stack_of(folder: Path):
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    return stack


def volume_of(folder: Path):
    return load_volume(stack_of(folder))


def kinds(volume):
    return [repair.kind for repair in volume.repairs]


@pytest.mark.parametrize("plane", list(PLANES))
@pytest.mark.parametrize("order", ["as made", "reversed", "shuffled"])
def test_a_series_in_any_plane_and_order_is_the_grid_that_it_was_cut_from(tmp_path, plane, order):
    series = Series(affine=affine_of(*PLANES[plane]))
    names = list(range(6))
    if order == "reversed":
        names.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(names)
    series.write(tmp_path, names)
    volume = volume_of(tmp_path)
    assert np.array_equal(volume.voxels, series.stored - 24)
    assert volume.voxels.dtype == np.int16
    assert np.allclose(volume.affine_lps, series.affine, atol=1e-6)
    assert [frame.sop_instance_uid for frame in volume.frames] == [series.uid(k) for k in range(6)]
    assert volume.unit == HOUNSFIELD
    assert volume.repairs == ()


def test_a_series_cut_against_its_normal_is_turned_so_that_k_follows_the_normal(tmp_path):
    affine = affine_of(*PLANES["axial"])
    affine[:3, 2] *= -1
    series = Series(affine=affine)
    series.write(tmp_path)
    volume = volume_of(tmp_path)
    assert np.array_equal(volume.voxels, series.stored[::-1] - 24)
    expected = affine.copy()
    expected[:3, 2] *= -1
    expected[:3, 3] += affine[:3, 2] * 5
    assert np.allclose(volume.affine_lps, expected, atol=1e-6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rotations,
    st.tuples(spacings, spacings, spacings),
    st.tuples(*[st.floats(-900, 900)] * 3),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_every_corner_is_where_it_was_for_any_rotation_spacing_and_order(
    tmp_path_factory, quaternion, spacing_kji, origin, rng, backwards
):
    folder = tmp_path_factory.mktemp("series")
    turn = rotation(quaternion)
    affine = affine_of(turn[:, 0], turn[:, 1], spacing_kji, origin)
    if backwards:
        affine[:3, 2] *= -1
    series = Series(affine=affine, stored=phantom((4, 5, 3)))
    names = list(range(4))
    rng.shuffle(names)
    series.write(folder, names)
    volume = volume_of(folder)
    for k in (0, 3):
        for j in (0, 4):
            for i in (0, 2):
                point = (affine @ (i, j, k, 1))[:3]
                index = volume.grid.to_index_kji(point)
                assert np.allclose(index, np.round(index), atol=1e-4)
                found = tuple(np.round(index).astype(int))
                assert volume.voxels[found] == series.stored[k, j, i] - 24
                assert np.allclose(volume.grid.to_lps_mm(found), point, atol=1e-5)


def test_slices_are_rescaled_each_by_its_own_slope(tmp_path):
    datasets = Series(sop_class=MR).datasets()
    for k, ds in enumerate(datasets):
        ds.RescaleSlope, ds.RescaleIntercept = str(1 + k / 2), str(10 * k)
    write_all(datasets, tmp_path)
    volume = volume_of(tmp_path)
    assert volume.voxels.dtype == np.float32
    k = np.arange(6)[:, None, None]
    assert np.array_equal(volume.voxels, (phantom() * (1 + k / 2) + 10 * k).astype(np.float32))
    assert kinds(volume) == ["rescale"]
    assert "1 to 3.5" in volume.repairs[0].text


def test_one_slice_that_does_not_fit_int16_makes_all_voxels_float(tmp_path):
    datasets = Series().datasets()
    datasets[4].RescaleIntercept = "-1024.5"
    write_all(datasets, tmp_path)
    volume = volume_of(tmp_path)
    assert volume.voxels.dtype == np.float32
    expected = phantom().astype(np.float32) - 24
    expected[4] = phantom()[4] - 1024.5
    assert np.array_equal(volume.voxels, expected)


def test_mr_without_rescale_keeps_its_values_and_has_no_unit(tmp_path):
    series = Series(sop_class=MR)
    series.write(tmp_path)
    volume = volume_of(tmp_path)
    assert np.array_equal(volume.voxels, series.stored)
    assert (volume.voxels.dtype, volume.unit) == (np.int16, NO_UNIT)


def test_ct_of_another_rescale_type_is_not_in_hounsfield_units_and_not_cut_at_air(tmp_path):
    series = Series(intercept=-3000.0, tags={"RescaleType": "Z_EFF"})
    series.write(tmp_path)
    volume = volume_of(tmp_path)
    assert volume.unit == NO_UNIT
    assert volume.voxels.min() == -3500


def test_padding_of_ct_becomes_minus_1024_and_is_told(tmp_path):
    stored = phantom() - 1000
    stored[:, 0] = -2000
    series = Series(stored=stored.astype(np.int16), intercept=-1024.0, tags={"PixelPaddingValue": -2000})
    series.write(tmp_path)
    volume = volume_of(tmp_path)
    assert (volume.voxels[:, 0] == -1024).all()
    assert kinds(volume) == ["padding"]
    assert "42 voxels" in volume.repairs[0].text or "-3024" in volume.repairs[0].text


def test_padding_of_mr_becomes_no_signal(tmp_path):
    stored = phantom()
    stored[:, 0] = -2000
    Series(sop_class=MR, stored=stored, tags={"PixelPaddingValue": -2000}).write(tmp_path)
    volume = volume_of(tmp_path)
    assert (volume.voxels[:, 0] == 0).all()
    assert np.array_equal(volume.voxels[:, 1:], phantom()[:, 1:])
    assert volume.repairs[0].text.startswith("42 voxels (11.1%)")


def test_double_files_give_the_same_volume_and_are_told(tmp_path):
    series = Series()
    series.write(tmp_path / "a")
    once = volume_of(tmp_path)
    series.write(tmp_path / "b", order=[4, 2])
    reading = read_studies([tmp_path])
    twice = load_volume(reading.studies[0].series[0].stacks[0])
    assert np.array_equal(once.voxels, twice.voxels)
    assert np.array_equal(once.affine_lps, twice.affine_lps)
    assert kinds(twice) == ["duplicate"]
    assert [aside.code for aside in reading.set_aside] == ["DN-3014"] * 2
    assert reading.studies[0].series[0].instances == 8


def test_one_instance_uid_with_two_contents_is_refused(tmp_path):
    series = Series()
    series.write(tmp_path / "a")
    datasets = series.datasets()
    datasets[2].PixelData = bytes(len(datasets[2].PixelData))
    write_all(datasets[2:3], tmp_path / "b")
    refusal = stack_of(tmp_path).facts.refusal
    assert refusal.code == "DN-3008"
    assert "differ in PixelData" in refusal.text


def test_progress_counts_slices_to_their_number(tmp_path):
    Series().write(tmp_path)
    told = []
    stack = stack_of(tmp_path)
    load_volume(stack, lambda stage, done, total: told.append((stage, done, total)))
    assert told == [("decoding", k, 6) for k in range(7)]


def test_a_refused_stack_has_no_volume(tmp_path):
    write_all(Series().datasets()[:2], tmp_path)
    with pytest.raises(ValueError, match="refused"):
        volume_of(tmp_path)
