"""SimpleITK reads the same series: the same voxels at the same places."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.assemble import load_volume, read_studies
from dicomnode.values import Volume
from tests.unit.assemble.series import MR, PLANES, Series, affine_of

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed (pip install SimpleITK)")

pytestmark = pytest.mark.judge


def volume_of(folder):
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    return stack, load_volume(stack)


def read_by_judge(stack):
    """Voxels (k, j, i) and affine, as ITK sees the files in our order."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in stack.files])
    image = reader.Execute()
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
