"""Presentation states before dicom3tools and DCMTK, which also renders the images as they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from dicomnode.report import SourcePixels
from dicomnode.values import Findings, Grid, Mask, PicturePlane, Source, SourceFrame, SourceHeaders
from dicomnode.values.codes import BECQUEREL_PER_ML
from tests.fixtures.pictures import cine, computed_radiograph, mammogram, radiograph
from tests.judges import tools
from tests.judges.test_report_iod import ASCII, CONTENTS, HEADERS
from tests.unit.report.kinds import KINDS
from tests.unit.report.outlines.finished import written
from tests.unit.report.outlines.rasterising import filled
from tests.unit.report.outlines.reading import lines_of
from tests.unit.report.outlines.test_pixel_window import of_mr, of_pet, of_values, spot_on
from tests.unit.report.pages.paged import read_pictures
from tests.unit.report.real import enhanced_source, findings_of, read_series, reader_mask
from tests.unit.report.sources import PLANES, Series, findings, header_bytes, part_10

pytestmark = pytest.mark.judge


def held(path: Path) -> list[str]:
    """What dciodvfy holds against an object."""
    return tools.dciodvfy(path)


def checked(path: Path) -> list[str]:
    """The attributes that DCMTK's checker of presentation states holds to be wrong."""
    return tools.dcmpschk(path)


def state(folder: Path, found: Findings, pixels: SourcePixels | None = None) -> Path:
    (content,) = written("GSPS", found, pixels=pixels)
    path = folder / "gsps.dcm"
    path.write_bytes(content)
    return path


def images(folder: Path, datasets: Sequence[Dataset]) -> list[Path]:
    paths = []
    for number, ds in enumerate(datasets):
        paths.append(folder / f"image-{number:02}.dcm")
        paths[-1].write_bytes(part_10(ds))
    return paths


def rendered(image: Path, by: Path, frame: int = 1) -> np.ndarray:
    """Grey values (rows, columns) 0 to 255 that DCMTK shows of an image with a presentation state."""
    shown = image.with_suffix(".pgm")
    verdict = tools.run("dcmp2pgm", "-p", by, "-f", str(frame), image, shown)
    assert verdict.status == 0, verdict.lines
    with Image.open(shown) as picture:
        return np.asarray(picture).astype(int)


def windowed(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, to 0 … 255."""
    return np.clip(((values - (centre - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)


# ── Validators ────────────────────────────────────────────────────────────────────────────────────
def test_dciodvfy_and_dcmtk_find_nothing_and_it_is_of_the_same_study_as_its_images(tmp_path: Path) -> None:
    series = Series(extra=ASCII)
    path = state(tmp_path, findings(series))
    assert held(path) == []
    assert checked(path) == []
    assert tools.dcentvfy([*images(tmp_path, series.datasets()), path]) == []
    xml = tmp_path / "gsps.xml"
    assert tools.run("dcm2xml", path, xml).status == 0
    assert len(ET.parse(xml).findall(".//sequence[@name='GraphicObjectSequence']")) > 10


@pytest.mark.slow
@pytest.mark.parametrize("header", HEADERS)
def test_dciodvfy_and_dcmtk_find_nothing_whatever_the_source_header_holds(
    header: str, tmp_path: Path
) -> None:
    path = state(tmp_path, findings(HEADERS[header]))
    assert held(path) == []
    # DCMTK wants the whole header of a patient, which not every source has
    assert [line for line in checked(path) if "Patient" not in line and "Study" not in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("content", CONTENTS)
def test_dciodvfy_and_dcmtk_find_nothing_whatever_was_found(content: str, tmp_path: Path) -> None:
    path = state(tmp_path, CONTENTS[content]())
    assert held(path) == []
    assert checked(path) == []


def test_dciodvfy_and_dcmtk_find_nothing_in_points_and_boxes(tmp_path: Path) -> None:
    path = state(tmp_path, KINDS["points and boxes"][0])
    assert held(path) == []
    assert checked(path) == []


# ── As DCMTK shows the images ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("plane", PLANES)
def test_dcmtk_shows_ct_in_the_lung_window(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    path = state(tmp_path, findings(series))
    for k, image in enumerate(images(tmp_path, series.datasets())):
        wanted = windowed(series.voxels()[k], -600, 1500)
        assert np.abs(rendered(image, path) - wanted).max() <= 1.01


def test_dcmtk_shows_images_with_rescales_and_windows_of_their_own_as_these_say(tmp_path: Path) -> None:
    def values(k: int) -> np.ndarray:
        return Series().voxels()[k] * (2.5 if k % 2 else 0.5) + (0 if k % 2 else 10)

    def edit(ds: Dataset, k: int) -> None:
        ds.Modality, ds.RescaleType = "PT", "BQML"
        ds.RescaleSlope, ds.RescaleIntercept = ("2.5", "0") if k % 2 else ("0.5", "10")
        ds.WindowCenter, ds.WindowWidth = f"{values(k).mean():.1f}", "90"

    series = Series(edit=edit)
    path = state(tmp_path, findings(series))
    for k, image in enumerate(images(tmp_path, series.datasets())):
        wanted = windowed(values(k), round(float(values(k).mean()), 1), 90)
        assert np.ptp(wanted) > 100
        assert np.abs(rendered(image, path) - wanted).max() <= 1.01


def on(ds: Dataset, mask: np.ndarray) -> Findings:
    """A segment found on a picture; mask: bool (frames, rows, columns)."""
    plane = PicturePlane(spacing_ji_mm=(0.5, 0.4))
    uid, frames = str(ds.SOPInstanceUID), len(mask)
    header = Dataset()
    header.update(ds)
    source = Source(
        name="picture",
        study_instance_uid=str(ds.StudyInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        grid=plane.grid((frames, *mask.shape[1:])),
        frames=tuple(SourceFrame(uid, n + 1 if frames > 1 else None) for n in range(frames)),
        headers=SourceHeaders((header_bytes(header),)),
        plane=plane,
    )
    segment = replace(findings().segments[0], mask=Mask.from_array(mask), laterality=None)
    return findings(None, sources=(source,), segments=(segment,))


PICTURES: dict[str, Callable[[], Dataset]] = {
    "radiograph": lambda: radiograph(WindowCenter="2000", WindowWidth="4000"),
    "mammogram": lambda: mammogram("MLO", "R"),
    "cine": lambda: cine(WindowCenter="60", WindowWidth="121", FrameIncrementPointer=0x00181063),
}


@pytest.mark.parametrize("name", PICTURES)
def test_outlines_on_pictures_are_valid_and_around_their_pixels(name: str, tmp_path: Path) -> None:
    ds = PICTURES[name]()
    frames = int(ds.get("NumberOfFrames", 1))
    mask = np.zeros((frames, ds.Rows, ds.Columns), dtype=bool)
    mask[frames // 2, 5:10, 20:23] = True
    path = state(tmp_path, on(ds, mask))
    assert held(path) == []
    assert checked(path) == []
    number = frames // 2 + 1 if frames > 1 else None
    lines = lines_of(dcmread(path), "LUNG RIGHT")
    assert list(lines) == [(ds.SOPInstanceUID, number)]
    (rings,) = lines.values()
    assert np.array_equal(filled(rings, mask.shape[1:]), mask[frames // 2])


def test_dcmtk_shows_a_film_where_dark_is_more_with_bone_white(tmp_path: Path) -> None:
    ds = PICTURES["radiograph"]()
    mask = np.zeros((1, ds.Rows, ds.Columns), dtype=bool)
    mask[0, 5:10, 20:28] = True
    path = state(tmp_path, on(ds, mask))
    image = tmp_path / "film.dcm"
    ds.save_as(image, enforce_file_format=True)
    shown = rendered(image, path)
    assert np.abs(shown - (255 - windowed(ds.pixel_array, 2000, 4000))).max() <= 1.01
    assert shown[mask[0]].min() > 200 > 50 > shown[~mask[0]].max()


def test_dcmtk_shows_a_clip_in_its_own_window_on_each_frame(tmp_path: Path) -> None:
    ds = PICTURES["cine"]()
    mask = np.zeros((12, ds.Rows, ds.Columns), dtype=bool)
    mask[3, 2:9, 4:7] = True
    path = state(tmp_path, on(ds, mask))
    image = tmp_path / "clip.dcm"
    ds.save_as(image, enforce_file_format=True)
    for frame in (1, 4, 12):
        wanted = windowed(ds.pixel_array[frame - 1].astype(float), 60, 121)
        assert np.abs(rendered(image, path, frame) - wanted).max() <= 1.01


# ── Without a window of their own ─────────────────────────────────────────────────────────────────
_CONTRAST = 40  # standard deviation of 256 greys; of a ramp from black to white it is 74
_FLAT = 5

VOLUMES: dict[str, tuple[Series, float, dict[str, object]]] = {
    "MR": (of_mr(), 1.0, {}),
    "MR with a rescale": (of_mr(RescaleSlope="0.5", RescaleIntercept="100", RescaleType="US"), 0.5, {}),
    "PET with rescales of their own": (of_pet("BQML", "2", "3"), 2.0, {"unit": BECQUEREL_PER_ML}),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_dcmtk_shows_volumes_without_a_window_in_that_of_their_voxels(name: str, tmp_path: Path) -> None:
    series, slope, changes = VOLUMES[name]
    slopes = [float(ds.get("RescaleSlope", 1)) for ds in series.datasets()]
    values = np.stack([one * by for one, by in zip(series.voxels() + 900.0, slopes, strict=True)])
    assert slopes[0] == slope

    def stored(ds: Dataset, k: int) -> None:
        assert series.edit is not None
        series.edit(ds, k)
        ds.PixelData = (series.voxels()[k] + 900).astype(np.int16).tobytes()

    shown = replace(series, edit=stored)
    pixels = of_values(shown, values + float(series.datasets()[0].get("RescaleIntercept", 0)), **changes)
    path = state(tmp_path, findings(shown), pixels)
    assert held(path) == []
    assert checked(path) == []
    files = images(tmp_path, shown.datasets())
    assert np.std([rendered(image, path) for image in files]) > _CONTRAST
    (tmp_path / "without").mkdir()
    without = state(tmp_path / "without", findings(shown))
    assert np.std([rendered(image, without) for image in files]) < _FLAT, "so it would be without a window"


@pytest.mark.parametrize("tags", [{}, {"WindowCenter": "40", "WindowWidth": "80"}], ids=["none", "its own"])
def test_dcmtk_shows_a_radiograph_with_and_without_a_window(tags: dict[str, str], tmp_path: Path) -> None:
    ds = computed_radiograph(**tags)
    pixels = SourcePixels(read_pictures(tmp_path / "read", ds))
    path = state(tmp_path, spot_on(pixels), pixels)
    assert held(path) == []
    image = tmp_path / "radiograph.dcm"
    ds.save_as(image, enforce_file_format=True)
    assert np.std(rendered(image, path)) > _CONTRAST


def test_dcmtk_shows_a_film_without_a_window_with_bone_white(tmp_path: Path) -> None:
    ds = radiograph()
    ds.PixelData = (ds.pixel_array + np.arange(30, dtype=np.uint16)[:, None]).clip(0, 4095).tobytes()
    pixels = SourcePixels(read_pictures(tmp_path / "read", ds))
    path = state(tmp_path, spot_on(pixels), pixels)
    image = tmp_path / "film.dcm"
    ds.save_as(image, enforce_file_format=True)
    shown = rendered(image, path)
    assert shown[5:10, 20:28].min() > 200 > 50 > np.median(shown)


# ── Real series ───────────────────────────────────────────────────────────────────────────────────
def test_outlines_on_a_real_ct_are_valid_and_enclose_what_readers_marked(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("chest-ct-lidc-0001")
    volume, _ = read_series(folder)
    found = findings_of(volume, reader_mask(folder, volume))
    path = state(tmp_path, found)
    assert held(path) == []
    assert path.stat().st_size < 10**6
    mask, lines = found.segments[2].mask.to_array(), lines_of(dcmread(path), "NODULE 1")
    for k, frame in enumerate(volume.frames):
        rings = lines.get((frame.sop_instance_uid, None), [])
        assert np.array_equal(filled(rings, mask.shape[1:]), mask[k])


def test_outlines_on_frames_of_a_real_object_are_valid_and_shown_by_dcmtk(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    image = real_data("odd-pydicom-data/eCT_Supplemental.dcm")
    source = enhanced_source(image)
    grid: Grid | None = source.grid
    assert grid is not None
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[0, 100:140, 50:80], mask[1, 110:120, 60:64] = True, True
    segment = replace(findings().segments[2], mask=Mask.from_array(mask), long_axis_lps_mm=None)
    path = state(tmp_path, findings(sources=(source,), segments=(segment,)))
    assert held(path) == []
    lines = lines_of(dcmread(path), "NODULE 1")
    assert {key[1] for key in lines} == {1, 2}
    copy = tmp_path / "ct.dcm"
    copy.write_bytes(image.read_bytes())
    for k, frame in enumerate(source.frames):
        (rings,) = [found for (_, number), found in lines.items() if number == frame.frame_number]
        assert np.array_equal(filled(rings, mask.shape[1:]), mask[k])
        assert rendered(copy, path, frame.frame_number or 1).shape == mask.shape[1:]
