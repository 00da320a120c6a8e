"""Reports with regions, annotations, classes and numbers before every judge, and cornerstone's own reader."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings, Mask, Outcome
from tests.fixtures.pictures import cine
from tests.judges import tools
from tests.unit.report.kinds import KINDS
from tests.unit.report.pages.paged import on_pictures, read_pictures
from tests.unit.report.real import enhanced_source
from tests.unit.report.sources import NODULE, PLANES, SALT, Series, findings
from tests.unit.report.sr.test_report import at, items, with_regions

pytestmark = pytest.mark.judge

_ADAPTERS = Path(__file__).parents[2] / "build" / "cornerstone"
FORMS = {
    "on images": {},
    "in patient space": {"spatial": "3d"},
    "for cornerstone": {"viewer": "cornerstone"},
}


def _report(folder: Path, found: Findings, **profile: object) -> Path:
    path = folder / "SR.dcm"
    for one in make_objects(found, ReportProfile(**profile), SALT):  # type: ignore[arg-type]
        if one.kind == "SR":
            path.write_bytes(one.content)
    return path


def _held(path: Path, groups: int) -> None:
    """Three judges that share no code take the report, and one finds all of its groups."""
    told = path.with_suffix(".json")
    assert tools.dciodvfy(path) == []
    assert tools.dsrdump(path) == []
    assert tools.run("tid1500reader", "--inputDICOM", path, "--outputMetadata", told).status == 0
    assert len(json.loads(told.read_text(encoding="utf-8"))["Measurements"]) == groups


@pytest.mark.parametrize(("form", "groups"), list(zip(FORMS, (5, 5, 8), strict=True)))
def test_the_judges_find_nothing_in_a_report_with_regions(form: str, groups: int, tmp_path: Path) -> None:
    _held(_report(tmp_path, with_regions(), **FORMS[form]), groups)


@pytest.mark.slow
@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("form", FORMS)
def test_the_judges_find_nothing_in_regions_of_any_plane(form: str, plane: str, tmp_path: Path) -> None:
    path = _report(tmp_path, with_regions(Series(plane=plane)), **FORMS[form])
    assert tools.dciodvfy(path) == []
    assert tools.dsrdump(path) == []


@pytest.mark.parametrize(
    ("kind", "groups"),
    [("a class", 1), ("one of several classes", 1), ("a sequence of slices", 2), ("a regression", 2)],
)
def test_the_judges_find_nothing_in_a_report_on_the_whole_study(
    kind: str, groups: int, tmp_path: Path
) -> None:
    _held(_report(tmp_path, KINDS[kind][0]), groups)


def test_the_judges_find_nothing_in_a_report_on_what_became_of_lesions(tmp_path: Path) -> None:
    _held(_report(tmp_path, KINDS["lesions, and what became of them since an earlier study"][0]), 3)


def test_the_judges_find_nothing_in_a_report_on_lesions_with_classes(tmp_path: Path) -> None:
    _held(_report(tmp_path, KINDS["lesions with classes of their own"][0]), 3)


def test_every_judge_takes_an_attribute_of_a_lesion_and_one_that_is_undetermined(tmp_path: Path) -> None:
    _held(_report(tmp_path, KINDS["lesions with an attribute, which of one is not sure"][0]), 3)


def _of_nodules(found: Findings) -> Findings:
    """The same of a code whose answer PixelMed is known not to have in its templates."""
    return replace(
        found,
        classifications=tuple(replace(one, type=NODULE) for one in found.classifications),
        frame_scores=tuple(replace(one, type=NODULE) for one in found.frame_scores),
    )


@pytest.mark.slow
@pytest.mark.pixelmed
def test_pixelmed_finds_the_template_kept_in_regions_classes_and_numbers(tmp_path: Path) -> None:
    # Without segments: PixelMed takes all groups of a report for the template of the first
    reports = {
        "regions": (replace(with_regions(), segments=()), {}),
        "in-space": (replace(with_regions(), segments=()), {"spatial": "3d"}),
        "slices": (_of_nodules(KINDS["a sequence of slices"][0]), {}),
        "regression": (KINDS["a regression"][0], {}),
    }
    paths = []
    for name, (found, profile) in reports.items():
        (tmp_path / name).mkdir()
        paths.append(_report(tmp_path / name, found, **profile))
    assert tools.pixelmed(paths, tmp_path) == {path: [] for path in paths}


# ── Where the coordinates lie, by the headers of the source alone ────────────────────────────────
def _in_patient(series: Series, scoord: Dataset) -> np.ndarray:
    reference = scoord.ContentSequence[0].ReferencedSOPSequence[0]
    (image,) = [one for one in series.datasets() if one.SOPInstanceUID == reference.ReferencedSOPInstanceUID]
    cosines = np.array([float(v) for v in image.ImageOrientationPatient]).reshape(2, 3)
    between_rows, between_columns = (float(v) for v in image.PixelSpacing)
    corners = np.array(scoord.GraphicData, float).reshape(-1, 2) - 0.5
    position = np.array([float(v) for v in image.ImagePositionPatient])
    return position + (corners * [between_columns, between_rows]) @ cosines


@pytest.mark.parametrize("plane", PLANES)
def test_points_and_boxes_lie_where_they_were_found(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    found = with_regions(series)
    drawn = [one for one in items(dcmread(_report(tmp_path, found))) if one.ValueType == "SCOORD"]
    point, box = (_in_patient(series, one) for one in drawn)
    assert point == pytest.approx(np.array(found.regions[0].points_lps_mm), abs=1e-3)
    low, high = np.array(found.regions[1].points_lps_mm)
    assert ((box > low - 1e-3) & (box < high + 1e-3)).all()
    assert ((np.abs(box - low) < 1e-3) | (np.abs(box - high) < 1e-3)).any(axis=1).all()


def test_a_region_on_a_frame_of_a_real_object_names_the_frame(real_data, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    source = enhanced_source(real_data("odd-pydicom-data/eCT_Supplemental.dcm"))
    plain = findings(sources=(source,), segments=())
    point = replace(with_regions().regions[0], points_lps_mm=(at(plain, 1, 100, 120),))
    path = _report(tmp_path, replace(plain, regions=(point,)))
    _held(path, 1)
    (scoord,) = [one for one in items(dcmread(path)) if one.ValueType == "SCOORD"]
    assert list(scoord.GraphicData) == pytest.approx([120.5, 100.5])
    reference = scoord.ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedFrameNumber == source.frames[1].frame_number


# ── cornerstone's own reader ──────────────────────────────────────────────────────────────────────
def _annotations(series: Series, report: Path) -> list[dict[str, object]]:
    """What the adapters that OHIF reads reports with make of one."""
    if shutil.which("node") is None or not (_ADAPTERS / "node_modules").is_dir():
        pytest.skip("Node and cornerstone's adapters are not installed (scripts/tools.sh judges)")
    planes = {}
    for ds in series.datasets():
        cosines = [float(v) for v in ds.ImageOrientationPatient]
        between_rows, between_columns = (float(v) for v in ds.PixelSpacing)
        planes[f"image:{ds.InstanceNumber}"] = {
            "sopInstanceUID": ds.SOPInstanceUID,
            "frame": 1,
            "frameOfReferenceUID": ds.FrameOfReferenceUID,
            "rows": ds.Rows,
            "columns": ds.Columns,
            "imageOrientationPatient": cosines,
            "rowCosines": cosines[:3],
            "columnCosines": cosines[3:],
            "imagePositionPatient": [float(v) for v in ds.ImagePositionPatient],
            # cornerstone 5.14 goes along a row by the spacing that it calls the row's
            "rowPixelSpacing": between_columns,
            "columnPixelSpacing": between_rows,
        }
    described = report.with_name("planes.json")
    described.write_text(json.dumps(planes), encoding="utf-8")
    script = Path(__file__).with_name("cornerstone.mjs")
    verdict = tools.run("node", script, _ADAPTERS, report, described)
    (line,) = verdict.starting("==== ")
    annotations: list[dict[str, object]] = json.loads(line.removeprefix("==== "))
    return annotations


@pytest.mark.cornerstone
@pytest.mark.parametrize("plane", ["axial", "sagittal", "tilted"])
def test_cornerstone_makes_a_length_a_probe_and_a_rectangle_of_a_report(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    found = with_regions(series)
    one, two, three = _annotations(series, _report(tmp_path, found, viewer="cornerstone"))
    assert [one["tool"], two["tool"], three["tool"]] == ["Length", "Probe", "RectangleROI"]
    assert [one["label"], two["label"], three["label"]] == ["Nodule 1", "Nodule 2", "Nodule 3"]
    assert {one["finding"], two["finding"], three["finding"]} == {"Nodule"}
    tracked = (found.segments[2].tracking_uid, *(region.tracking_uid for region in found.regions))
    assert (one["tracking_uid"], two["tracking_uid"], three["tracking_uid"]) == tracked
    assert [one["image"], two["image"]] == ["image:7", "image:6"]
    assert one["stats"] == {"length": 3.4, "unit": "mm"}
    assert np.array(one["points"]) == pytest.approx(np.array(found.segments[2].long_axis_lps_mm), abs=1e-3)
    assert np.array(two["points"]) == pytest.approx(np.array(found.regions[0].points_lps_mm), abs=1e-3)
    low, high = np.array(found.regions[1].points_lps_mm)
    corners = np.array(three["points"])
    assert len(corners) == 4
    assert ((np.abs(corners - low) < 1e-2) | (np.abs(corners - high) < 1e-2)).any(axis=1).all()


@pytest.mark.cornerstone
def test_cornerstone_sees_nothing_of_a_report_that_was_not_made_for_it(tmp_path: Path) -> None:
    """Why the option is there; when it sees them without, the option can go."""
    series = Series()
    assert _annotations(series, _report(tmp_path, with_regions(series))) == []


def test_the_judges_take_a_side_without_a_site(tmp_path: Path) -> None:
    found = findings()
    nodule = replace(found.segments[2], site=None)
    path = _report(tmp_path, replace(found, segments=(nodule,)))
    _held(path, 1)
    assert tools.pixelmed([path], tmp_path) == {path: []}


def test_the_judges_take_a_region_on_several_frames_of_a_clip(tmp_path: Path) -> None:
    (clip,) = read_pictures(tmp_path / "clip", cine())
    mask = np.zeros(clip.grid.shape_kji, dtype=bool)
    mask[2:6, 4:8, 5:9] = True
    facts = {"centre_lps_mm": (6.5, 5.5, 3.5), "long_axis_lps_mm": None, "measurements": ()}
    segment = replace(findings().segments[2], mask=Mask.from_array(mask), **facts)
    path = _report(tmp_path, on_pictures((clip,), outcome=Outcome.FINDINGS, segments=(segment,)))
    _held(path, 1)
    assert tools.pixelmed([path], tmp_path) == {path: []}
