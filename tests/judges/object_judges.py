"""What each judge holds against an object: one function for every cell of `table` that is no dash.

A function gives what it holds against the objects of one kind, as sentences; nothing is held: an empty list.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread

from dicomnode.report.objects import Kind
from dicomnode.values import Grid
from tests.judges import allowed, cornerstone_judges, tools
from tests.judges.cases import Case
from tests.judges.comparing import as_found, differ
from tests.judges.planes import planes_of
from tests.unit.report.outlines.rasterising import filled
from tests.unit.report.outlines.reading import lines_of, masks_of_structure_set

OfKind = Callable[[Case, Kind], list[str]]


def _each(judge: Callable[[Path], list[str]]) -> OfKind:
    """Ask of the first, a middle and the last instance of the kind."""

    def ask(case: Case, kind: Kind) -> list[str]:
        paths = case.results[kind]
        chosen = sorted({paths[0], paths[len(paths) // 2], paths[-1]})
        return [f"{path.name}: {line}" for path in chosen for line in judge(path)]

    return ask


def _said(verdict: tools.Verdict) -> list[str]:
    """A program of DCMTK: its complaints, and a status that is not 0."""
    held = verdict.starting("E:", "F:", "W:")
    return held + ([f"exit status {verdict.status}"] if verdict.status else [])


# ── DCMTK ─────────────────────────────────────────────────────────────────────────────────────────
def _dcm2xml(path: Path) -> list[str]:
    return _said(tools.run("dcm2xml", path, path.with_suffix(".xml")))


def _drtdump(path: Path) -> list[str]:
    held = allowed.held(_said(tools.run("drtdump", path)), allowed.DRTDUMP) + _dcm2xml(path)
    contours = sum(len(one.get("ContourSequence", ())) for one in dcmread(path).ROIContourSequence)
    read = ET.parse(path.with_suffix(".xml")).findall(".//element[@name='ContourData']")
    return held + ([] if len(read) == contours > 0 else [f"{len(read)} of {contours} contours read"])


def _dcm2pnm(path: Path) -> list[str]:
    drawn = path.with_suffix(".ppm")
    held = _said(tools.run("dcm2pnm", path, drawn))
    if held or dcmread(path, specific_tags=["Modality"]).Modality != "OT":
        return held
    with Image.open(drawn) as picture:
        return differ("the pixels of the page", np.asarray(picture), dcmread(path).pixel_array)


def _dcm2pdf(path: Path) -> list[str]:
    taken = path.with_suffix(".pdf")
    held = _said(tools.run("dcm2pdf", path, taken))
    ds = dcmread(path)
    whole = ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
    return held or ([] if taken.read_bytes() == whole else ["the document differs"])


def _dcmp2pgm(case: Case, kind: Kind) -> list[str]:
    (state,) = case.results[kind]
    held = tools.dcmpschk(state)
    if case.fixture.bare:
        # DCMTK wants values that may be empty (type 2), and opens no state of a patient without a name
        return [line for line in held if "Patient" not in line and "Study" not in line]
    for n, image in enumerate(case.source):
        frames = int(dcmread(image, stop_before_pixels=True).get("NumberOfFrames", 1))
        for frame in sorted({1, frames}):
            shown = case.folder / f"{n}.pgm"
            verdict = tools.run("dcmp2pgm", "-p", state, "-f", str(frame), image, shown)
            held += [f"{image.name}: exit status {verdict.status}"] if verdict.status else []
            with Image.open(shown) as picture:
                held += [] if np.ptp(np.asarray(picture)) else [f"{image.name}: nothing is drawn"]
    return held


# ── dcmqi and SimpleITK ───────────────────────────────────────────────────────────────────────────
def _images(case: Case, kind: Kind, program: str) -> tuple[list, list[str]]:
    """What dcmqi makes of an object, read by SimpleITK; and what went wrong. It knows no sheared grid."""
    import SimpleITK as sitk  # noqa: N813  its own name for itself

    (path,) = case.results[kind]
    folder = case.folder / kind
    folder.mkdir(exist_ok=True)
    verdict = tools.run(program, "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd")
    held = verdict.starting("ERROR", "WARNING", "Failed")
    held += [f"exit status {verdict.status}"] if verdict.status else []
    return [sitk.ReadImage(str(one)) for one in sorted(folder.glob("*.nrrd"))], held


def _grid_image(grid: Grid):
    """An empty image on a grid, its geometry written as ITK wants it."""
    import SimpleITK as sitk  # noqa: N813

    k, j, i = grid.shape_kji
    image = sitk.Image(i, j, k, sitk.sitkFloat32)
    spacing = grid.spacing_kji_mm[::-1]
    image.SetSpacing(spacing)
    image.SetOrigin(tuple(map(float, grid.affine_lps[:3, 3])))
    image.SetDirection(tuple(map(float, (grid.affine_lps[:3, :3] / spacing).ravel())))
    return image


def _onto(image, grid: Grid) -> np.ndarray:
    """What was read, by geometry alone: empty slices are left out of objects, so indices mean nothing."""
    import SimpleITK as sitk  # noqa: N813

    moved = sitk.Resample(
        image, _grid_image(grid), sitk.Transform(), sitk.sitkNearestNeighbor, 0.0, sitk.sitkFloat32
    )
    return sitk.GetArrayFromImage(moved)


def _segments(case: Case, kind: Kind) -> list[str]:
    if case.fixture.sheared:
        return []
    images, held = _images(case, kind, "segimage2itkimage")
    count = 1 if kind == "LABELMAP" else len(case.findings.segments)
    return held + ([] if len(images) == count else [f"{len(images)} images instead of {count}"])


def _map_of_dcmqi(case: Case, kind: Kind) -> list[str]:
    if case.fixture.sheared:
        return []
    images, held = _images(case, kind, "paramap2itkimage")
    one = case.findings.maps[0]
    return held + differ("the values", _onto(images[0], one.grid), one.values)


def _report_of_dcmqi(case: Case, kind: Kind) -> list[str]:
    (path,) = case.results[kind]
    told = path.with_suffix(".json")
    verdict = tools.run("tid1500reader", "--inputDICOM", path, "--outputMetadata", told)
    if verdict.status:
        return [f"exit status {verdict.status}"]
    groups = json.loads(told.read_text(encoding="utf-8")).get("Measurements", [])
    found = case.findings
    wanted = {one.tracking_uid for one in (*found.segments, *found.regions)}
    missing = wanted - {group.get("TrackingUniqueIdentifier") for group in groups}
    return [f"no group of {uid}" for uid in sorted(missing)]


def _voxels_by_geometry(case: Case, kind: Kind) -> list[str]:
    grid = case.grid
    if case.fixture.sheared:
        return _voxels_by_formula(case, kind)
    images, _ = _images(case, kind, "segimage2itkimage")
    if kind == "LABELMAP":
        labels = _onto(images[0], grid)
        return as_found(case, [labels == n for n, _ in enumerate(case.findings.segments, start=1)])
    return as_found(case, [_onto(image, grid) > 0 for image in images])


def _voxels_by_formula(case: Case, kind: Kind) -> list[str]:
    read = [np.zeros(case.grid.shape_kji, dtype=bool) for _ in case.findings.segments]
    for plane in planes_of(case.results[kind][0]):
        for n, mask in enumerate(read, start=1):
            points = plane.points(n) if kind == "LABELMAP" else plane.points()
            if not len(points) or plane.segment not in {0, n}:
                continue
            index = np.rint(case.grid.to_index_kji(points)).astype(int)
            if np.abs(case.grid.to_lps_mm(index) - points).max() > 1e-2:
                return [f"segment {n} lies between the voxels"]
            mask[tuple(index.T)] = True
    return as_found(case, read)


def _outlines(case: Case, kind: Kind) -> list[str]:
    ds = dcmread(case.results[kind][0])
    held = []
    frames = case.findings.sources[0].frames
    for segment in case.findings.segments:
        mask = segment.mask.to_array()
        lines = lines_of(ds, segment.label.replace("-", " ").upper())
        read = np.zeros_like(mask)
        for k, frame in enumerate(frames):
            rings = lines.get((frame.sop_instance_uid, frame.frame_number), [])
            read[k] = filled(rings, mask.shape[1:])
        held += differ(f"outlines of {segment.label}", read, mask)
    return held


def _contours(case: Case, kind: Kind) -> list[str]:
    ds = dcmread(case.results[kind][0])
    if case.frames == 1:
        read = masks_of_structure_set(ds, case.images)
    else:
        read = [_contours_on_grid(region, case.grid) for region in ds.ROIContourSequence]
    return as_found(case, read, "contours")


def _contours_on_grid(region: Dataset, grid: Grid) -> np.ndarray:
    mask = np.zeros(grid.shape_kji, dtype=bool)
    for contour in region.get("ContourSequence", ()):
        index = grid.to_index_kji(np.array(contour.ContourData, float).reshape(-1, 3))
        k = round(float(index[:, 0].mean()))
        mask[k] ^= filled([index[:, :0:-1]], mask.shape[1:])
    return mask


def _map_by_formula(case: Case, kind: Kind) -> list[str]:
    from tests.judges.test_parametric_maps import read_by_formula

    one = case.findings.maps[0]
    values, places = read_by_formula(case.results[kind][0])
    k, j, i = np.indices(one.grid.shape_kji)
    apart_mm = np.abs(places - one.grid.to_lps_mm(np.stack((k, j, i), axis=-1))).max()
    return differ("the values", values, one.values) + (
        [] if apart_mm < 1e-3 else [f"they lie {apart_mm} mm apart"]
    )


def _derived(case: Case, kind: Kind) -> list[str]:
    one = case.findings.images[0]
    if case.fixture.sheared:
        return _derived_by_formula(case, kind)
    import SimpleITK as sitk  # noqa: N813

    folder = case.folder / "derived"
    folder.mkdir()
    for n, path in enumerate(case.results[kind]):
        shutil.copy(path, folder / f"{(n * 7) % 23:02}-{n:02}.dcm")
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    image = reader.Execute()
    off = np.abs(_onto(image, one.grid) - one.values).max()
    return [] if off <= 0.5 + 1e-3 else [f"values are off by {off}"]


def _derived_by_formula(case: Case, kind: Kind) -> list[str]:
    one = case.findings.images[0]
    held = []
    for path in case.results[kind]:
        ds = dcmread(path)
        k, j, i = (float(v) for v in one.grid.to_index_kji(np.array(ds.ImagePositionPatient, float)))
        off_mm = np.abs(one.grid.to_lps_mm((round(k), 0, 0)) - np.array(ds.ImagePositionPatient, float)).max()
        held += [] if off_mm < 1e-2 and abs(j) + abs(i) < 1e-2 else [f"{path.name} lies elsewhere"]
        values = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        off = np.abs(values - one.values[round(k)]).max()
        held += [] if off <= 0.5 + 1e-3 else [f"{path.name}: values are off by {off}"]
    return held


JUDGED: Final[Mapping[str, Mapping[Kind, OfKind]]] = MappingProxyType(
    {
        "dciodvfy": dict.fromkeys(
            ("SEG", "LABELMAP", "SR", "GSPS", "SC", "PM", "RTSTRUCT", "PDF", "KOS", "IMAGES"),
            _each(tools.dciodvfy),
        ),
        "DCMTK": {
            "SEG": _each(_dcm2xml),
            "LABELMAP": _each(_dcm2xml),
            "SR": _each(tools.dsrdump),
            "GSPS": _dcmp2pgm,
            "SC": _each(_dcm2pnm),
            "PM": _each(_dcm2xml),
            "RTSTRUCT": _each(_drtdump),
            "PDF": _each(_dcm2pdf),
            "KOS": _each(tools.dsrdump),
            "IMAGES": _each(lambda path: _dcm2pnm(path) + _dcm2xml(path)),
        },
        "dcmqi": {"SEG": _segments, "LABELMAP": _segments, "SR": _report_of_dcmqi, "PM": _map_of_dcmqi},
        "geometry": {
            "SEG": _voxels_by_geometry,
            "LABELMAP": _voxels_by_geometry,
            "GSPS": _outlines,
            "PM": _map_by_formula,
            "RTSTRUCT": _contours,
            "IMAGES": _derived,
        },
        "cornerstone": {
            "SEG": cornerstone_judges.voxels,
            "LABELMAP": cornerstone_judges.voxels,
            "SR": cornerstone_judges.annotations,
            "PM": cornerstone_judges.values,
        },
    }
)
