"""Label maps, segmentations in parts and with empty frames before dicom3tools, dcmqi and SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings
from tests.judges import tools
from tests.judges.test_report_geometry import _grid_image, _onto
from tests.judges.test_report_iod import ASCII, _write_source
from tests.unit.report.segmentation.test_labelmap import _many, apart, content_of
from tests.unit.report.sources import PLANES, SALT, Series, findings
from tests.unit.report.test_multi_frame import ORDERS, on_frames

pytestmark = pytest.mark.judge

sitk = pytest.importorskip("SimpleITK")


def _label_map(found: Findings, folder: Path, *, empty_frames: bool = False) -> Path:
    path = folder / "LABELMAP.dcm"
    path.write_bytes(content_of(found, empty_frames=empty_frames))
    return path


def _parts(found: Findings, folder: Path, **profile: object) -> dict[str, Path]:
    paths = {}
    for n, one in enumerate(make_objects(found, ReportProfile(**profile), SALT)):  # type: ignore[arg-type]
        paths[f"{one.kind} {n}"] = folder / f"{one.kind}-{n}.dcm"
        paths[f"{one.kind} {n}"].write_bytes(one.content)
    return paths


def _images(path: Path, folder: Path) -> list:
    """What dcmqi makes of it: one image of labels, or one of each segment."""
    folder.mkdir()
    verdict = tools.run("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd")
    assert verdict.status == 0, verdict.lines
    assert not verdict.starting("ERROR", "WARNING", "Failed")
    return [sitk.ReadImage(str(one)) for one in sorted(folder.glob("*.nrrd"), key=lambda one: one.stem)]


@pytest.mark.parametrize("plane", PLANES)
def test_dciodvfy_finds_nothing_in_a_label_map(plane: str, tmp_path: Path) -> None:
    assert tools.dciodvfy(_label_map(apart(findings(Series(plane=plane))), tmp_path)) == []


def test_dciodvfy_finds_nothing_in_other_label_maps(tmp_path: Path) -> None:
    found = apart(findings())
    assert tools.dciodvfy(_label_map(found, tmp_path, empty_frames=True)) == []
    assert tools.dciodvfy(_label_map(_many(300), tmp_path)) == []
    assert tools.dciodvfy(_label_map(apart(on_frames(ORDERS["in no order"])), tmp_path)) == []


@pytest.mark.parametrize("empty_frames", [False, True], ids=["", "with empty frames"])
@pytest.mark.parametrize("plane", ["axial", "oblique", "reversed", "sagittal"])
def test_dcmqi_reads_the_number_of_each_voxel(plane: str, empty_frames: bool, tmp_path: Path) -> None:
    found = apart(findings(Series(plane=plane)))
    (image,) = _images(_label_map(found, tmp_path, empty_frames=empty_frames), tmp_path / "nrrd")
    labels = sitk.GetArrayFromImage(_onto(image, _grid_image(found)))
    for number, segment in enumerate(found.segments, start=1):
        assert np.array_equal(labels == number, segment.mask.to_array()), segment.label
    assert set(np.unique(labels)) == {0, 1, 2}


def test_dcmqi_reads_label_maps_of_two_bytes(tmp_path: Path) -> None:
    found = _many(300)
    (image,) = _images(_label_map(found, tmp_path), tmp_path / "nrrd")
    onto = sitk.Resample(
        image, _grid_image(found), sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt16
    )
    labels = sitk.GetArrayFromImage(onto)
    for number, segment in enumerate(found.segments, start=1):
        assert np.array_equal(np.argwhere(labels == number), np.argwhere(segment.mask.to_array()))


def test_a_label_map_is_of_the_same_study_as_its_source(tmp_path: Path) -> None:
    series = Series(extra=ASCII)
    label_map = _label_map(apart(findings(series)), tmp_path)
    assert tools.dcentvfy([*_write_source(tmp_path, series), label_map]) == []


def test_the_judges_take_a_segmentation_in_parts_and_the_report_on_them(tmp_path: Path) -> None:
    series = Series(extra=ASCII)
    paths = _parts(findings(series), tmp_path, frames_max=12)
    assert list(paths) == ["SEG 0", "SEG 1", "SR 2"]
    assert {name: tools.dciodvfy(path) for name, path in paths.items()} == {name: [] for name in paths}
    assert tools.dsrdump(paths["SR 2"]) == []
    assert tools.dcentvfy([*_write_source(tmp_path, series), *paths.values()]) == []


@pytest.mark.parametrize("profile", [{"frames_max": 12}, {"empty_frames": True}], ids=str)
@pytest.mark.parametrize("plane", ["axial", "oblique"])
def test_dcmqi_finds_every_voxel_in_parts_and_among_empty_frames(
    plane: str, profile: dict[str, object], tmp_path: Path
) -> None:
    found = findings(Series(plane=plane))
    paths = _parts(found, tmp_path, kinds=("SEG",), **profile)
    assert {name: tools.dciodvfy(path) for name, path in paths.items()} == {name: [] for name in paths}
    images = [one for name, path in paths.items() for one in _images(path, tmp_path / name)]
    for segment, image in zip(found.segments, images, strict=True):
        back = sitk.GetArrayFromImage(_onto(image, _grid_image(found))) > 0
        assert np.array_equal(back, segment.mask.to_array()), segment.label
