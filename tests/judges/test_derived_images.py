"""Derived images before dicom3tools and DCMTK, and read by SimpleITK as the series that they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.assemble import load_volume, read_studies
from dicomnode.report.heading.identity import to_bytes
from dicomnode.values import DerivedImage, Findings, Volume
from tests.judges import tools
from tests.judges.test_multi_frame_sources import enhanced, read
from tests.judges.test_report_iod import ASCII, HEADERS
from tests.unit.report.fields.fields import SOURCES, an_image, grid_of, images_of, with_image
from tests.unit.report.real import read_series, source_of
from tests.unit.report.sources import PLANES, Series, findings, part_10

pytestmark = pytest.mark.judge

sitk = pytest.importorskip("SimpleITK")


def write(found: Findings, folder: Path) -> list[Path]:
    """The images; their names are in another order than their planes."""
    paths = []
    for k, one in enumerate(images_of(found)):
        paths.append(folder / f"image-{(k * 7) % 23:03}-{k:03}.dcm")
        paths[-1].write_bytes(to_bytes(one))
    return paths


def held(paths: list[Path]) -> list[str]:
    """What dciodvfy and DCMTK hold against the first, a middle and the last image."""
    found = []
    for path in (paths[0], paths[len(paths) // 2], paths[-1]):
        dump = tools.run("dcm2xml", path, path.with_suffix(".xml"))
        found += tools.dciodvfy(path) + dump.starting("E:", "F:", "W:")
    return found


def read_by_simpleitk(folder: Path):
    """The one series of a folder, sorted by the reader itself."""
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    return reader.Execute()


def onto_grid(image, one: DerivedImage):
    """What was read, by geometry alone, on the grid of the image."""
    reference = sitk.GetImageFromArray(one.values)
    spacing = one.grid.spacing_kji_mm[::-1]
    reference.SetSpacing(spacing)
    reference.SetOrigin(tuple(map(float, one.grid.affine_lps[:3, 3])))
    reference.SetDirection(tuple(map(float, (one.grid.affine_lps[:3, :3] / spacing).ravel())))
    moved = sitk.Resample(
        image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, -1e6, sitk.sitkFloat64
    )
    return sitk.GetArrayFromImage(moved)


@pytest.mark.parametrize("plane", sorted(PLANES))
@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_the_judges_find_nothing_in_images_of_any_kind_and_plane(
    kind: str, plane: str, tmp_path: Path
) -> None:
    assert held(write(with_image(kind, plane), tmp_path)) == []


@pytest.mark.parametrize("onto", ["coarser", "finer", "across"])
def test_the_judges_find_nothing_in_images_on_another_grid(onto: str, tmp_path: Path) -> None:
    assert held(write(with_image("CT", "oblique", onto), tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("header", HEADERS)
def test_the_judges_find_nothing_whatever_the_source_header_holds(header: str, tmp_path: Path) -> None:
    series = HEADERS[header]
    found = findings(series, segments=(), images=(an_image(grid_of(series)),))
    assert held(write(found, tmp_path)) == []


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_dcentvfy_takes_the_images_and_the_whole_source_for_one_study(kind: str, tmp_path: Path) -> None:
    paths = write(with_image(kind, **ASCII), tmp_path)
    for k, ds in enumerate(Series(extra={**SOURCES[kind][0], **ASCII}).datasets()):
        paths.append(tmp_path / f"source-{k:02}.dcm")
        paths[-1].write_bytes(part_10(ds))
    assert tools.dcentvfy(paths) == []


@pytest.mark.parametrize("onto", ["its own", "coarser", "finer", "across"])
@pytest.mark.parametrize("plane", sorted(set(PLANES) - {"tilted"}))
def test_simpleitk_reads_the_values_where_they_were_made(plane: str, onto: str, tmp_path: Path) -> None:
    found = with_image("CT", plane, onto)
    write(found, tmp_path)
    image, one = read_by_simpleitk(tmp_path), found.images[0]
    assert np.allclose(image.GetSpacing(), one.grid.spacing_kji_mm[::-1], atol=1e-3)
    columns = np.reshape(image.GetDirection(), (3, 3))[:, :2] * image.GetSpacing()[:2]
    assert np.allclose(columns, one.grid.affine_lps[:3, :2], atol=1e-5)
    assert np.abs(onto_grid(image, one) - one.values).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_simpleitk_reads_the_values_of_any_kind(kind: str, tmp_path: Path) -> None:
    found = with_image(kind, "sagittal")
    write(found, tmp_path)
    one = found.images[0]
    off = np.abs(onto_grid(read_by_simpleitk(tmp_path), one) - one.values).max()
    assert off <= {"CT": 0.5, "MR": 0.5, "PT": 0.5 * 17.5 / 32767}[kind] * (1 + 1e-3)


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_images_of_a_tilted_gantry_lie_where_the_images_lie_that_they_name(kind: str, tmp_path: Path) -> None:
    sources = {str(ds.SOPInstanceUID): ds for ds in Series(plane="tilted").datasets()}
    found = with_image(kind, "tilted")
    for path in write(found, tmp_path):
        ds = dcmread(path)
        own = sources[ds.SourceImageSequence[0].ReferencedSOPInstanceUID]
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert np.allclose(ds[keyword].value, own[keyword].value, atol=1e-6)
        slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
        wanted = found.images[0].values[int(ds.InstanceNumber) - 1]
        assert np.abs(ds.pixel_array * slope + intercept - wanted).max() <= 0.5 * slope * (1 + 1e-3)


def test_images_of_a_real_ct_have_its_geometry_as_simpleitk_reads_both(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("chest-ct-lidc-0001")
    volume, images = read_series(folder)
    found = smoothed(volume)
    one = found.images[0]
    made = write(found, tmp_path)
    assert held(made) == []
    (tmp_path / "source").mkdir()
    for k, ds in enumerate(images):
        ds.save_as(tmp_path / "source" / f"{k:03}.dcm")
    source, image = read_by_simpleitk(tmp_path / "source"), read_by_simpleitk(tmp_path)
    assert image.GetSize() == source.GetSize()
    for of in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(image, of)(), getattr(source, of)(), atol=1e-3), of
    assert np.abs(onto_grid(image, one) - one.values).max() <= 0.5 + 1e-3


def smoothed(volume: Volume) -> Findings:
    """The findings of an engine that smooths along the columns."""
    values = volume.voxels.astype(np.float32)
    values[:, 1:-1] = (values[:, :-2] + values[:, 1:-1] + values[:, 2:]) / 3
    one = DerivedImage(
        label="smooth",
        description="Smoothed along the columns",
        unit=volume.unit,
        values=values,
        grid=volume.grid,
        algorithm="smooth 1",
    )
    return replace(findings(segments=()), sources=(source_of(volume),), images=(one,))


def by_formula(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values of an image, and where its first pixel lies."""
    ds = dcmread(path)
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    if "RescaleSlope" not in ds and "RealWorldValueMappingSequence" in ds:
        mapping = ds.RealWorldValueMappingSequence[0]
        slope, intercept = mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept
    return ds.pixel_array * slope + intercept, np.array(ds.ImagePositionPatient, float)


@pytest.mark.parametrize(
    ("name", "step"), [("brain-mr-ge-oblique", 1.0), ("pet-qin-headneck/pet", 2e-3), ("head-ct-ge-tilt", 1.0)]
)
def test_images_of_real_series_hold_the_values_at_their_places(
    name: str, step: float, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    (study,) = read_studies([real_data(name)]).studies
    volume = load_volume(
        max((stack for one in study.series for stack in one.stacks), key=lambda s: len(s.headers))
    )
    found = smoothed(volume)
    paths = write(found, tmp_path)
    # What the source says of itself stays: UIDs that are none (root 0.0.0.0), codes of SNOMED's old scheme
    own = ("Illegal root for UID", "CodingSchemeDesignator is deprecated = <SNM3>")
    assert [line for line in held(paths) if not any(one in line for one in own)] == []
    headers = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, real_data(name).iterdir())}
    for k, path in enumerate(paths):
        values, place = by_formula(path)
        assert np.abs(values - found.images[0].values[k]).max() <= 0.5 * step * (1 + 1e-3)
        named = dcmread(path, stop_before_pixels=True).SourceImageSequence[0].ReferencedSOPInstanceUID
        assert np.array_equal(place, headers[named].ImagePositionPatient)


@pytest.mark.parametrize("legacy", [False, True], ids=["enhanced", "legacy"])
def test_images_of_a_multi_frame_ct_name_its_frames(legacy: bool, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    enhanced(tmp_path / "source", "oblique", legacy=legacy)
    found = smoothed(read(tmp_path / "source"))
    paths = write(found, tmp_path)
    assert held(paths) == []
    assert (
        np.abs(onto_grid(read_by_simpleitk(tmp_path), found.images[0]) - found.images[0].values).max()
        <= 0.501
    )
    named = [dcmread(path).SourceImageSequence[0].ReferencedFrameNumber for path in paths]
    assert named == [frame.frame_number for frame in found.sources[0].frames]
