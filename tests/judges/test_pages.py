"""Pages and documents before dicom3tools and DCMTK, which draw the ones and take out the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.pages import SourcePixels
from dicomnode.values import Findings, Grid, Outcome, Region
from tests.fixtures.pictures import cine, four_views, photograph, radiograph
from tests.judges import tools
from tests.judges.test_report_iod import ASCII, CONTENTS, HEADERS
from tests.unit.report.kinds import KINDS
from tests.unit.report.pages.paged import captures, document, of_volume, on_pictures, read_pictures
from tests.unit.report.real import findings_of, read_series, reader_mask
from tests.unit.report.sources import PLANES, SALT, Series, findings, not_analysed, part_10, provenance
from tests.unit.report.test_multi_frame import ORDERS, on_frames

pytestmark = pytest.mark.judge


def _write(folder: Path, found: Findings, pixels: SourcePixels | None) -> list[Path]:
    """The captures, and last the document, as files."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number, content in enumerate(captures(found, pixels), start=1):
        paths.append(folder / f"sc-{number}.dcm")
        paths[-1].write_bytes(content)
    paths.append(folder / "pdf.dcm")
    paths[-1].write_bytes(document(found, pixels))
    return paths


def _held(paths: Sequence[Path]) -> dict[str, list[str]]:
    """What dciodvfy holds against objects, by the names of their files."""
    held = {}
    for path in paths:
        lines = tools.dciodvfy(path)
        if lines:
            held[path.name] = lines
    return held


def _source(folder: Path, series: Series) -> list[Path]:
    paths = []
    for k, ds in enumerate(series.datasets()):
        paths.append(folder / f"ct-{k:02}.dcm")
        paths[-1].write_bytes(part_10(ds))
    return paths


# ── One of each ───────────────────────────────────────────────────────────────────────────────────
def test_dciodvfy_finds_nothing_in_pages_and_document(tmp_path: Path) -> None:
    paths = _write(tmp_path, findings(), of_volume())
    assert len(paths) == 4
    assert _held(paths) == {}


def test_dciodvfy_finds_nothing_in_those_without_pixels(tmp_path: Path) -> None:
    failed = not_analysed(outcome=Outcome.FAILED)
    for name, found in {"found": findings(), "not analysed": not_analysed(), "failed": failed}.items():
        assert _held(_write(tmp_path / name, found, None)) == {}


def test_dcentvfy_takes_them_and_the_whole_source_for_one_study(tmp_path: Path) -> None:
    series = Series(extra=ASCII)
    found = findings(series)
    results = _write(tmp_path, found, of_volume(series))
    for one in make_objects(found, ReportProfile(), SALT):
        results.append(tmp_path / f"{one.kind}.dcm")
        results[-1].write_bytes(one.content)
    assert tools.dcentvfy([*_source(tmp_path, series), *results]) == []


def test_dcentvfy_takes_a_document_and_the_report_that_it_names_for_one_study(tmp_path: Path) -> None:
    series = Series(extra=ASCII)
    found = findings(series)
    (made,) = make_objects(found, ReportProfile(kinds=("SR",)), SALT)
    report, path = tmp_path / "sr.dcm", tmp_path / "pdf.dcm"
    report.write_bytes(made.content)
    path.write_bytes(document(found, of_volume(series), (dcmread(report),)))
    assert _held([path]) == {}
    assert tools.dcentvfy([*_source(tmp_path, series), report, path]) == []


@pytest.mark.parametrize("tool", ["dcm2pnm", "dcmj2pnm"])
def test_dcmtk_draws_the_pages_pixel_by_pixel(tool: str, tmp_path: Path) -> None:
    *pages, _ = _write(tmp_path, findings(), of_volume())
    for page in pages:
        drawn = tmp_path / f"{page.stem}.ppm"
        verdict = tools.run(tool, page, drawn)
        assert (verdict.status, verdict.starting("E:", "F:", "W:")) == (0, [])
        assert np.array_equal(np.asarray(Image.open(drawn)), dcmread(page).pixel_array)


def test_dcmtk_takes_the_document_out_byte_by_byte(tmp_path: Path) -> None:
    padded = set()
    for title in ("A", "AB", "ABC", "ABCD"):
        path, taken = tmp_path / f"{title}.dcm", tmp_path / f"{title}.pdf"
        path.write_bytes(document(findings(provenance=provenance(title=title)), None))
        verdict = tools.run("dcm2pdf", path, taken)
        assert (verdict.status, verdict.starting("E:", "F:", "W:")) == (0, [])
        ds = dcmread(path)
        length = ds.EncapsulatedDocumentLength
        padded.add(length % 2)
        assert taken.read_bytes() == ds.EncapsulatedDocument[:length]
        assert taken.read_bytes().rstrip().endswith(b"%%EOF")
    assert padded == {0, 1}


def test_dciodvfy_and_dcentvfy_find_nothing_in_those_of_a_real_ct(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("chest-ct-lidc-0001")
    volume, images = read_series(folder)
    paths = _write(tmp_path, findings_of(volume, reader_mask(folder, volume)), SourcePixels((volume,)))
    assert _held(paths) == {}
    source = [tmp_path / f"ct-{k:02}.dcm" for k in range(len(images))]
    for path, ds in zip(source, images, strict=True):
        # the source refers to objects of its own that are not here
        for keyword in ("ReferencedSOPInstanceUID", "ReferencedSOPClassUID", "UID"):
            ds.pop(keyword, None)
        ds.save_as(path)
    assert tools.dcentvfy([*source, *paths]) == []


PICTURES: dict[str, Callable[[], list[Dataset]]] = {
    "radiograph": lambda: [radiograph(BurnedInAnnotation="NO")],
    "four views": four_views,
    "clip": lambda: [cine()],
    "photograph": lambda: [photograph()],
}


@pytest.mark.parametrize("name", PICTURES)
def test_dciodvfy_finds_nothing_in_those_of_pictures(name: str, tmp_path: Path) -> None:
    pictures = read_pictures(tmp_path / "in", *PICTURES[name]())
    spot = KINDS["points and boxes"][0].regions[0]
    found = on_pictures(pictures, outcome=Outcome.FINDINGS, regions=(_at_middle(spot, pictures[0].grid),))
    paths = _write(tmp_path / "out", found, SourcePixels(pictures))
    assert len(paths) == 3
    assert _held(paths) == {}


def _at_middle(spot: Region, grid: Grid) -> Region:
    x, y, z = (float(one) for one in grid.to_lps_mm((0, grid.shape_kji[1] / 2, grid.shape_kji[2] / 2)))
    return replace(spot, points_lps_mm=((x, y, z),))


# ── The wider matrix ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.slow
@pytest.mark.parametrize("plane", PLANES)
def test_dciodvfy_finds_nothing_whatever_the_plane(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    assert _held(_write(tmp_path, findings(series), of_volume(series))) == {}


@pytest.mark.slow
@pytest.mark.parametrize("header", HEADERS)
def test_dciodvfy_finds_nothing_whatever_the_source_header_holds(header: str, tmp_path: Path) -> None:
    series = HEADERS[header]
    assert _held(_write(tmp_path, findings(series), of_volume(series))) == {}


@pytest.mark.slow
@pytest.mark.parametrize("content", CONTENTS)
def test_dciodvfy_finds_nothing_whatever_was_found(content: str, tmp_path: Path) -> None:
    assert _held(_write(tmp_path, CONTENTS[content](), None)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_nothing_in_pages_on_any_kind_of_finding(kind: str, tmp_path: Path) -> None:
    found, _ = KINDS[kind]
    pixels = of_volume() if found.sources[0].grid is not None else None
    assert _held(_write(tmp_path, found, pixels)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_dciodvfy_finds_nothing_in_pages_on_frames_of_one_object(order: str, tmp_path: Path) -> None:
    assert _held(_write(tmp_path, on_frames(ORDERS[order]), None)) == {}
