"""Segmentations read back by dcmqi and SimpleITK: every voxel where it was found, in patient space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings
from tests.judges import tools
from tests.unit.report.real import findings_of, read_series, reader_mask
from tests.unit.report.sources import SALT, Series, findings, part_10

pytestmark = pytest.mark.judge

sitk = pytest.importorskip("SimpleITK")


def _read_back(found: Findings, folder: Path) -> list:
    """What dcmqi makes of the segmentation: one image a segment, by number."""
    path = folder / "SEG.dcm"
    path.write_bytes(make_objects(found, ReportProfile(kinds=("SEG",)), SALT)[0].content)
    verdict = tools.run("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd")
    assert verdict.status == 0, verdict.lines
    assert not verdict.starting("ERROR", "WARNING", "Failed")
    numbers = range(1, len(found.segments) + 1)
    return [sitk.ReadImage(str(folder / f"{number}.nrrd")) for number in numbers]


def _source_image(series: Series, folder: Path):
    """The source as SimpleITK reads it, sorted by itself."""
    (folder / "ct").mkdir()
    for k, ds in enumerate(series.datasets()):
        (folder / "ct" / f"{(k * 7) % 12:02}.dcm").write_bytes(part_10(ds))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "ct")))
    return reader.Execute()


def _onto(image, reference):
    """Resample by geometry: empty slices are left out of a segmentation, so indices mean nothing."""
    return sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)


def _grid_image(found: Findings):
    """An empty image on the grid of the findings, its geometry written as ITK wants it."""
    grid = found.sources[0].grid
    assert grid is not None
    k, j, i = grid.shape_kji
    image = sitk.Image(i, j, k, sitk.sitkUInt8)
    spacing = grid.spacing_kji_mm[::-1]
    image.SetSpacing(spacing)
    image.SetOrigin(tuple(map(float, grid.affine_lps[:3, 3])))
    image.SetDirection(tuple(map(float, (grid.affine_lps[:3, :3] / spacing).ravel())))
    return image


@pytest.mark.parametrize("plane", ["axial", "oblique", "reversed", "sagittal", "coronal", "feet-first"])
def test_every_voxel_is_where_it_was_found(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    found = findings(series)
    source = _source_image(series, tmp_path)
    for segment, image in zip(found.segments, _read_back(found, tmp_path), strict=True):
        by_grid = sitk.GetArrayFromImage(_onto(image, _grid_image(found))) > 0
        assert np.array_equal(by_grid, segment.mask.to_array()), segment.label
        on_ct = sitk.GetArrayFromImage(_onto(image, source)) > 0
        assert int(on_ct.sum()) == segment.mask.count


@pytest.mark.parametrize("plane", ["axial", "oblique", "reversed", "sagittal"])
def test_spacing_and_axes_are_those_of_the_source_as_simpleitk_reads_it(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    source = _source_image(series, tmp_path)
    for image in _read_back(findings(series), tmp_path):
        assert np.allclose(sorted(image.GetSpacing()), sorted(source.GetSpacing()), atol=1e-3)
        index = source.TransformPhysicalPointToContinuousIndex(image.GetOrigin())
        assert np.allclose(index, np.rint(index), atol=1e-3)
        axes = np.abs(np.reshape(image.GetDirection(), (3, 3)).T @ np.reshape(source.GetDirection(), (3, 3)))
        assert np.allclose(axes, np.eye(3), atol=1e-4)


def test_a_segmentation_of_a_real_ct_is_voxel_exact(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real_data("chest-ct-lidc-0001")
    volume, _ = read_series(folder)
    found = findings_of(volume, reader_mask(folder, volume))
    for segment, image in zip(found.segments, _read_back(found, tmp_path), strict=True):
        back = sitk.GetArrayFromImage(_onto(image, _grid_image(found))) > 0
        assert np.array_equal(back, segment.mask.to_array()), segment.label
