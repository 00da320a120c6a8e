"""SimpleITK reads the same series: the same voxels at the same places."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.assemble import load_volume, read_studies
from dicomnode.phantom import write_enhanced
from dicomnode.values import Grid, Volume
from tests.unit.assemble.series import MR, PLANES, Series, affine_of, phantom

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed (pip install SimpleITK)")

pytestmark = pytest.mark.judge


def volume_of(folder):
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    return stack, load_volume(stack)


def read_by_judge(stack):
    """Voxels (k, j, i) and affine, as ITK sees the files in our order."""
    names = [str(path) for path in stack.files]
    # Of several files each is a slice; one file is read with all its frames
    image = sitk.ReadImage(names if len(names) > 1 else names[0])
    directions = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine


def order_by_judge(folder):
    """The file names of a series in ITK's own order."""
    return list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))


def corners(volume: Volume, affine) -> float:
    """How far the corners of two grids lie apart at most, mm."""
    shape = np.array(volume.voxels.shape)
    index = np.array([[k, j, i] for k in (0, 1) for j in (0, 1) for i in (0, 1)]) * (shape - 1)
    ours = volume.grid.to_lps_mm(index)
    theirs = index[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    return float(np.linalg.norm(ours - theirs, axis=1).max())


def mended(voxels, lowest_hu=-1024):
    """What the judge reads, with what we call padding in CT mended."""
    return np.where(voxels < -1500, lowest_hu, voxels)


@pytest.mark.parametrize("plane", list(PLANES))
def test_generated_series_in_every_plane(tmp_path, plane):
    series = Series(affine=affine_of(*PLANES[plane]))
    series.write(tmp_path, order=[5, 2, 0, 4, 1, 3])
    stack, volume = volume_of(tmp_path)
    assert [str(path) for path in stack.files] == order_by_judge(tmp_path)
    voxels, affine = read_by_judge(stack)
    assert np.array_equal(volume.voxels, voxels)
    assert corners(volume, affine) < 1e-3
    assert np.allclose(volume.affine_lps, series.affine, atol=1e-5)


def test_generated_mr_with_slopes(tmp_path):
    Series(sop_class=MR, slope=0.5, intercept=3.25).write(tmp_path)
    stack, volume = volume_of(tmp_path)
    voxels, affine = read_by_judge(stack)
    assert np.allclose(volume.voxels, voxels)
    assert corners(volume, affine) < 1e-3


def test_phases_of_one_series_are_each_what_the_judge_reads_of_their_files(tmp_path):
    affine = affine_of(*PLANES["oblique"])
    for number, echo in enumerate((2.3, 4.6)):
        stored = (phantom() + 1000 * number).astype(np.int16)
        series = Series(affine=affine, stored=stored, sop_class=MR, tags={"EchoTime": echo})
        for k, ds in enumerate(series.datasets()):
            ds.SOPInstanceUID = f"{series.uid(k)}.{number}"
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.save_as(tmp_path / f"{(k * 5) % 6}{number}.dcm", enforce_file_format=True)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    assert [stack.facts.facts["phase"] for stack in series.stacks] == [
        "EchoTime 2.3, 1 of 2",
        "EchoTime 4.6, 2 of 2",
    ]
    for number, stack in enumerate(series.stacks):
        volume = load_volume(stack)
        voxels, of_judge = read_by_judge(stack)
        assert np.array_equal(volume.voxels, voxels)
        assert np.array_equal(volume.voxels, phantom() + 1000 * number)
        assert corners(volume, of_judge) < 1e-3


@pytest.mark.real_data
def test_the_blocks_of_the_tilted_head_lie_file_by_file_where_the_judge_puts_them(real_data):
    ((series,),) = (study.series for study in read_studies([real_data("head-ct-ge-tilt")]).studies)
    assert len(series.stacks) == 2
    for stack in series.stacks:
        volume = load_volume(stack)
        for k, path in enumerate(stack.files):
            one = sitk.ReadImage(str(path))  # ITK holds no sheared image, but each slice
            # Padding of -1500 became air
            assert np.array_equal(volume.voxels[k], np.maximum(sitk.GetArrayFromImage(one)[0], -1024))
            for j, i in ((0, 0), (0, 511), (511, 0), (511, 511)):
                theirs = one.TransformIndexToPhysicalPoint((i, j, 0))
                assert volume.grid.to_lps_mm((k, j, i)) == pytest.approx(theirs, abs=1e-2)


@pytest.mark.parametrize("legacy", [False, True], ids=["enhanced", "legacy converted"])
@pytest.mark.parametrize("plane", list(PLANES))
def test_generated_multi_frame_objects_in_every_plane(tmp_path, plane, legacy):
    affine = affine_of(*PLANES[plane])
    hounsfield = (np.arange(6 * 9 * 7).reshape(6, 9, 7) ** 2 % 1999 - 999).astype(np.int16)
    grid = Grid(hounsfield.shape, affine, "1.2.826.0.1.3680043.10.1.5")
    write_enhanced(hounsfield, grid, tmp_path / "x.dcm", seed=1, legacy=legacy)
    stack, volume = volume_of(tmp_path)
    voxels, affine_of_judge = read_by_judge(stack)
    assert len(stack.headers) == 6
    assert np.array_equal(volume.voxels, voxels)
    assert np.array_equal(volume.voxels, hounsfield)
    assert corners(volume, affine_of_judge) < 1e-3
    assert corners(volume, affine) < 1e-3


@pytest.mark.real_data
def test_a_legacy_converted_object_of_others(real_data):
    folder = real_data("seg-sr-pm-dcmqi/24x38x3/multiframe")
    stack, volume = volume_of(folder)
    voxels, affine = read_by_judge(stack)
    order = [frame.frame_number - 1 for frame in volume.frames]
    assert np.array_equal(volume.voxels, voxels[order])
    assert corners(volume, affine) < 1e-3


@pytest.mark.real_data
def test_the_pet_has_the_judges_activity_times_one_factor(real_data, tmp_path):
    for path in real_data("pet-qin-headneck/pet").iterdir():
        (tmp_path / path.name).symlink_to(path)
    stack, volume = volume_of(tmp_path)
    voxels, affine = read_by_judge(stack)
    factor = 66.2 * 1000 / (381470000 * 2 ** (-5024.678 / 6586.2))  # weight, dose, times of the header
    assert np.allclose(volume.voxels, voxels * factor, rtol=1e-5)
    assert corners(volume, affine) < 1e-3


REAL = {
    # folder: how far corners may lie apart, mm
    "chest-ct-lidc-0001": 1e-3,
    "chest-ct-lidc-0003": 1e-3,
    "chest-ct-nlst-101287/ct": 1e-3,
    "chest-ct-acrin-042/ct": 1e-3,
    "seg-sr-pm-dcmqi/ct-3slice": 1e-3,
    "seg-sr-pm-dcmqi/24x38x3/image": 1e-3,
    # ITK takes the slice direction from the orientation, so it does not see that the positions of this
    # series lean by 0.024 degrees
    "brain-mr-ge-oblique": 0.1,
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", list(REAL))
def test_real_series(real_data, tmp_path, name):
    # Only the images: ITK would stop at other files
    for path in real_data(name).iterdir():
        if path.suffix != ".json":
            (tmp_path / path.name).symlink_to(path)
    stack, volume = volume_of(tmp_path)
    voxels, affine = read_by_judge(stack)
    is_ct = stack.facts.tags["Modality"] == "CT"
    assert np.array_equal(volume.voxels, mended(voxels) if is_ct else voxels)
    assert corners(volume, affine) < REAL[name]
    assert [str(path) for path in stack.files] == order_by_judge(tmp_path)
