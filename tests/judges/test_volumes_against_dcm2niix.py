"""dcm2niix converts the same series: the same voxels at the same places, however it turns its rows."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from dicomnode.assemble import load_volume, read_studies
from dicomnode.phantom import write_enhanced
from dicomnode.values import Grid
from tests.judges.tools import find
from tests.unit.assemble.series import MR, PLANES, Series, affine_of

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed (pip install SimpleITK)")

pytestmark = pytest.mark.judge

_LIMIT_S = 120


def by_judge(folder, out):
    """Voxels (k, j, i) and affine (LPS mm) of each NIfTI file that dcm2niix makes of a folder."""
    out.mkdir()
    command = [find("dcm2niix"), "-b", "n", "-z", "n", "-f", "%s_%p_%t", "-o", str(out), str(folder)]
    subprocess.run(command, check=False, capture_output=True, timeout=_LIMIT_S)
    made = []
    for path in sorted(out.glob("*.nii")):
        image = sitk.ReadImage(str(path))  # ITK turns NIfTI's RAS into LPS
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        affine[:3, 3] = image.GetOrigin()
        made.append((sitk.GetArrayFromImage(image), affine))
    return made


def in_our_order(voxels, affine, grid: Grid):
    """The judge's voxels in our order of axes; how far its voxels lie from ours, in parts of a voxel."""
    there = np.linalg.inv(affine) @ grid.affine_lps  # our (i, j, k) -> the judge's
    turn = np.rint(there[:3, :3]).astype(int)
    assert sorted(map(int, np.abs(turn).sum(axis=0))) == [1, 1, 1]
    k, j, i = grid.shape_kji
    corners = np.array([[x, y, z, 1] for x in (0, i - 1) for y in (0, j - 1) for z in (0, k - 1)], float)
    off = float(np.abs(corners @ there.T - np.rint(corners @ there.T)).max())
    n = np.indices((k, j, i))[::-1].reshape(3, -1)
    index = turn @ n + np.rint(there[:3, 3]).astype(int)[:, None]
    assert index.min() >= 0
    return voxels[index[2], index[1], index[0]].reshape(k, j, i), off


def only_stack(folder):
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    return load_volume(stack)


@pytest.mark.parametrize("plane", list(PLANES))
def test_generated_mr_in_every_plane(tmp_path, plane):
    folder = tmp_path / "dicom"
    folder.mkdir()
    Series(affine=affine_of(*PLANES[plane]), sop_class=MR).write(folder, order=[5, 2, 0, 4, 1, 3])
    volume = only_stack(folder)
    ((voxels, affine),) = by_judge(folder, tmp_path / "nifti")
    theirs, off = in_our_order(voxels, affine, volume.grid)
    assert np.array_equal(volume.voxels, theirs)
    assert off < 1e-2


@pytest.mark.parametrize("plane", ["axial", "oblique"])
def test_a_generated_enhanced_ct(tmp_path, plane):
    folder = tmp_path / "dicom"
    folder.mkdir()
    hounsfield = (np.arange(6 * 9 * 7).reshape(6, 9, 7) ** 2 % 1999 - 999).astype(np.int16)
    grid = Grid(hounsfield.shape, affine_of(*PLANES[plane]), "1.2.826.0.1.3680043.10.1.5")
    write_enhanced(hounsfield, grid, folder / "x.dcm", seed=1)
    volume = only_stack(folder)
    ((voxels, affine),) = by_judge(folder, tmp_path / "nifti")
    theirs, off = in_our_order(voxels, affine, volume.grid)
    assert np.array_equal(volume.voxels, theirs)
    assert off < 1e-2


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "apart"),
    [
        # Distances of 6.958 to 7.071 mm: ours is the mean from first to last slice, the judge's another
        ("brain-mr-ge-oblique", 0.2),
        ("chest-ct-lidc-0001", 0.01),
        ("chest-ct-lidc-0003", 0.01),
        pytest.param("chest-ct-nlst-101287/ct", 0.01, marks=pytest.mark.long),
        pytest.param("chest-ct-acrin-042/ct", 0.01, marks=pytest.mark.long),
        ("seg-sr-pm-dcmqi/ct-3slice", 0.01),
    ],
)
def test_real_series(real_data, tmp_path, name, apart):
    folder = real_data(name)
    volume = only_stack(folder)
    ((voxels, affine),) = by_judge(folder, tmp_path / "nifti")
    theirs, off = in_our_order(voxels, affine, volume.grid)
    # What is padding or no real value in CT became air
    wanted = np.where(theirs < -1500, -1024, theirs) if name.count("ct") else theirs
    assert np.array_equal(volume.voxels, wanted)
    assert off < apart
