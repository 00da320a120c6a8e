"""Structure sets before dicom3tools and DCMTK, filled by foreign code in the geometry of SimpleITK."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.values import Findings, Mask
from tests.judges import tools
from tests.judges.test_report_iod import ASCII, CONTENTS, HEADERS
from tests.unit.report.outlines.finished import written
from tests.unit.report.outlines.test_structure_set import with_holes
from tests.unit.report.real import enhanced_source, findings_of, read_series, reader_mask
from tests.unit.report.sources import Series, findings, part_10

pytestmark = pytest.mark.judge

sitk = pytest.importorskip("SimpleITK")
draw = pytest.importorskip("skimage.draw")

# Set on every result, and no attribute of this IOD


def held(path: Path) -> list[str]:
    """What dciodvfy holds against an object."""
    return tools.dciodvfy(path)


def structure_set(folder: Path, found: Findings) -> Path:
    (content,) = written("RTSTRUCT", found)
    path = folder / "rtstruct.dcm"
    path.write_bytes(content)
    return path


def read_by_dcmtk(path: Path) -> None:
    """DCMTK's own reader of structure sets takes it, and its XML has every contour."""
    verdict = tools.run("drtdump", path)
    assert verdict.status == 0, verdict.lines
    assert not verdict.starting("E:", "F:")
    xml = path.with_suffix(".xml")
    assert tools.run("dcm2xml", path, xml).status == 0
    contours = sum(len(one.get("ContourSequence", ())) for one in dcmread(path).ROIContourSequence)
    assert len(ET.parse(xml).findall(".//element[@name='ContourData']")) == contours > 0


def source_image(series: Series, folder: Path):
    """The source as SimpleITK reads it, sorted by itself."""
    folder.mkdir()
    for k, ds in enumerate(series.datasets()):
        (folder / f"{(k * 7) % 12:02}.dcm").write_bytes(part_10(ds))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def masks_in(image, ds: Dataset) -> list[np.ndarray]:
    """Each region filled by scikit-image on the slices that SimpleITK says its contours lie on: (k, j, i)."""
    columns, rows, slices = image.GetSize()
    found = []
    for region in ds.ROIContourSequence:
        mask = np.zeros((slices, rows, columns), dtype=bool)
        for contour in region.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            index = np.array([image.TransformPhysicalPointToContinuousIndex(p) for p in points.tolist()])
            k = round(float(index[:, 2].mean()))
            assert np.abs(index[:, 2] - k).max() < 1e-3
            row, column = draw.polygon(index[:, 1], index[:, 0], (rows, columns))
            assert not mask[k, row, column].any()  # no two contours of a region lie over each other
            mask[k, row, column] = True
        found.append(mask)
    return found


@pytest.mark.parametrize("plane", ["axial", "oblique", "reversed", "sagittal", "coronal", "feet-first"])
def test_foreign_code_fills_the_contours_to_the_mask(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    found = with_holes(findings(series))
    image = source_image(series, tmp_path / "ct")
    grid = found.sources[0].grid
    assert grid is not None
    masks = masks_in(image, dcmread(structure_set(tmp_path, found)))
    for segment, mask in zip(found.segments, masks, strict=True):
        # SimpleITK may have sorted the slices the other way round: compared by where voxels lie
        there = [
            image.TransformIndexToPhysicalPoint([int(n) for n in one[::-1]]) for one in np.argwhere(mask)
        ]
        back = np.zeros(grid.shape_kji, dtype=bool)
        index = np.rint(grid.to_index_kji(np.array(there))).astype(int)
        back[tuple(index.T)] = True
        assert np.array_equal(back, segment.mask.to_array()), segment.label


def test_dciodvfy_and_dcmtk_find_nothing_and_it_is_of_the_same_study_as_its_images(tmp_path: Path) -> None:
    series = Series(extra=ASCII)
    path = structure_set(tmp_path, findings(series))
    assert held(path) == []
    read_by_dcmtk(path)
    images = []
    for k, ds in enumerate(series.datasets()):
        images.append(tmp_path / f"ct-{k:02}.dcm")
        images[-1].write_bytes(part_10(ds))
    # The study stands there as an object of its own (C.8.8.5), of a class that is long retired
    missing = f"Missing SOPInstanceUID that was referenced - {series.uid('study')} "
    assert [line for line in tools.dcentvfy([*images, path]) if missing not in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("header", HEADERS)
def test_dciodvfy_finds_nothing_whatever_the_source_header_holds(header: str, tmp_path: Path) -> None:
    assert held(structure_set(tmp_path, findings(HEADERS[header]))) == []


@pytest.mark.slow
@pytest.mark.parametrize("content", CONTENTS)
def test_dciodvfy_and_dcmtk_find_nothing_whatever_was_found(content: str, tmp_path: Path) -> None:
    path = structure_set(tmp_path, CONTENTS[content]())
    assert held(path) == []
    read_by_dcmtk(path)


def test_a_structure_set_of_a_real_ct_is_valid_and_every_coordinate_fits(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("chest-ct-lidc-0001")
    volume, _ = read_series(folder)
    found = findings_of(volume, reader_mask(folder, volume))
    path = structure_set(tmp_path, found)
    assert held(path) == []
    read_by_dcmtk(path)
    for region, segment in zip(dcmread(path).ROIContourSequence, found.segments, strict=True):
        filled = np.zeros(volume.voxels.shape, dtype=bool)
        for contour in region.ContourSequence:
            assert all(len(str(one.original_string)) <= 16 for one in contour.ContourData)
            index = volume.grid.to_index_kji(np.array(contour.ContourData, float).reshape(-1, 3))
            k = round(float(index[:, 0].mean()))
            row, column = draw.polygon(index[:, 1], index[:, 2], filled.shape[1:])
            filled[k, row, column] = True
        assert np.array_equal(filled, segment.mask.to_array()), segment.label


def test_contours_on_frames_of_a_real_object_are_valid(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    source = enhanced_source(real_data("odd-pydicom-data/eCT_Supplemental.dcm"))
    assert source.grid is not None
    mask = np.zeros(source.grid.shape_kji, dtype=bool)
    mask[0, 100:140, 50:80], mask[1, 110:120, 60:64] = True, True
    segment = replace(findings().segments[2], mask=Mask.from_array(mask), long_axis_lps_mm=None)
    path = structure_set(tmp_path, findings(sources=(source,), segments=(segment,)))
    assert held(path) == []
    (region,) = dcmread(path).ROIContourSequence
    numbers = [one.ContourImageSequence[0].ReferencedFrameNumber for one in region.ContourSequence]
    assert numbers == [frame.frame_number for frame in source.frames]
