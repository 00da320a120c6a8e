"""Parametric maps before dicom3tools, DCMTK and dcmqi; and read by the standard's formulas alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.report.heading.identity import to_bytes
from dicomnode.values import Findings, Grid
from tests.judges import tools
from tests.judges.test_report_iod import ASCII, HEADERS
from tests.unit.report.fields.fields import MR, PET, a_map, grid_of, maps_of, values_on, with_map
from tests.unit.report.sources import PLANES, Series, part_10
from tests.unit.report.test_multi_frame import ORDERS, on_frames

pytestmark = pytest.mark.judge

sitk = pytest.importorskip("SimpleITK")


def write(found: Findings, folder: Path) -> Path:
    (one,) = maps_of(found)
    path = folder / "PM.dcm"
    path.write_bytes(to_bytes(one))
    return path


def held(path: Path) -> list[str]:
    """What dciodvfy and DCMTK hold against a map."""
    dump = tools.run("dcm2xml", path, path.with_suffix(".xml"))
    return tools.dciodvfy(path) + dump.starting("E:", "F:", "W:")


def read_by_formula(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values in their unit (n, rows, columns), and where each lies, LPS mm (n, rows, columns, 3)."""
    ds = dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    stored = np.frombuffer(ds.FloatPixelData, dtype="<f4").reshape(ds.NumberOfFrames, ds.Rows, ds.Columns)
    (mapping,) = shared.RealWorldValueMappingSequence
    values = stored * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    j, i = np.indices((ds.Rows, ds.Columns), dtype=float)
    within = i[..., None] * column_mm * cosines[0] + j[..., None] * row_mm * cosines[1]  # PS3.3 C.7.6.2.1.1
    origins = [
        np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for group in ds.PerFrameFunctionalGroupsSequence
    ]
    return values, np.array(origins)[:, None, None] + within


def itk_image(values: np.ndarray, grid: Grid):
    image = sitk.GetImageFromArray(values)
    spacing = grid.spacing_kji_mm[::-1]
    image.SetSpacing(spacing)
    image.SetOrigin(tuple(map(float, grid.affine_lps[:3, 3])))
    image.SetDirection(tuple(map(float, (grid.affine_lps[:3, :3] / spacing).ravel())))
    return image


@pytest.mark.parametrize("plane", sorted(PLANES))
def test_the_judges_find_nothing_in_a_map_in_any_plane(plane: str, tmp_path: Path) -> None:
    assert held(write(with_map(Series(plane=plane)), tmp_path)) == []


@pytest.mark.parametrize("onto", ["coarser", "finer", "across"])
@pytest.mark.parametrize("plane", ["axial", "tilted"])
def test_the_judges_find_nothing_in_a_map_on_another_grid(plane: str, onto: str, tmp_path: Path) -> None:
    assert held(write(with_map(Series(plane=plane), onto), tmp_path)) == []


@pytest.mark.parametrize("extra", [MR, PET], ids=["MR", "PT"])
def test_the_judges_find_nothing_in_a_map_of_another_modality(
    extra: dict[str, object], tmp_path: Path
) -> None:
    assert held(write(with_map(Series(extra=extra)), tmp_path)) == []


def test_the_judges_find_nothing_in_a_map_on_frames_of_one_object(tmp_path: Path) -> None:
    found = on_frames(ORDERS["in no order"])
    grid = found.sources[0].grid
    assert grid is not None
    path = write(replace(found, segments=(), maps=(a_map(grid),)), tmp_path)
    assert held(path) == []
    values, places = read_by_formula(path)
    assert np.array_equal(values, values_on(grid))
    assert np.abs(places[:, 2, 3] - grid.to_lps_mm([(k, 2, 3) for k in range(12)])).max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("header", HEADERS)
def test_the_judges_find_nothing_whatever_the_source_header_holds(header: str, tmp_path: Path) -> None:
    assert held(write(with_map(HEADERS[header]), tmp_path)) == []


def test_dcentvfy_takes_a_map_and_the_whole_source_for_one_study(tmp_path: Path) -> None:
    series = Series(extra=ASCII)
    paths = [write(with_map(series), tmp_path)]
    for k, ds in enumerate(series.datasets()):
        paths.append(tmp_path / f"ct-{k:02}.dcm")
        paths[-1].write_bytes(part_10(ds))
    assert tools.dcentvfy(paths) == []


@pytest.mark.parametrize("onto", ["its own", "coarser", "finer", "across"])
@pytest.mark.parametrize("plane", sorted(PLANES))
def test_every_number_is_where_it_was_found(plane: str, onto: str, tmp_path: Path) -> None:
    found = with_map(Series(plane=plane), onto)
    grid = found.maps[0].grid
    values, places = read_by_formula(write(found, tmp_path))
    k, j, i = np.indices(grid.shape_kji)
    assert np.abs(places - grid.to_lps_mm(np.stack((k, j, i), axis=-1))).max() < 1e-3
    assert np.array_equal(values, found.maps[0].values)


@pytest.mark.parametrize("onto", ["its own", "coarser", "finer"])
@pytest.mark.parametrize("plane", sorted(set(PLANES) - {"tilted"}))
def test_dcmqi_reads_the_same_map_as_was_found(plane: str, onto: str, tmp_path: Path) -> None:
    """dcmqi knows no sheared grid: tilted ones are read by formula above."""
    found = with_map(Series(plane=plane), onto)
    path = write(found, tmp_path)
    verdict = tools.run("paramap2itkimage", "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nrrd")
    assert verdict.status == 0, verdict.lines
    (written,) = tmp_path.glob("*.nrrd")
    image = sitk.ReadImage(str(written))
    wanted = itk_image(found.maps[0].values, found.maps[0].grid)
    assert np.allclose(sorted(image.GetSpacing()), sorted(wanted.GetSpacing()), atol=1e-3)
    there = sitk.Resample(image, wanted, sitk.Transform(), sitk.sitkNearestNeighbor, -1.0, sitk.sitkFloat32)
    assert np.array_equal(sitk.GetArrayFromImage(there), found.maps[0].values)


def test_the_library_that_reads_maps_gives_numbers_in_their_unit(tmp_path: Path) -> None:
    from highdicom.pm.sop import pmread

    found = with_map(Series(plane="oblique"))
    frames = pmread(str(write(found, tmp_path))).get_frames(apply_real_world_transform=True)
    assert np.allclose(frames, found.maps[0].values, atol=1e-7)
    assert grid_of(Series(plane="oblique")).shape_kji == frames.shape


def test_pydicom_reads_the_floats(tmp_path: Path) -> None:
    ds: Dataset = dcmread(write(with_map(Series()), tmp_path))
    assert np.array_equal(ds.pixel_array, with_map(Series()).maps[0].values)
