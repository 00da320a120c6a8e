"""Measurement reports of others, and our own: findings, places, numbers and answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes

from dicomnode.values import AnnotationKind, Code, Grid, MadeBy, RegionKind
from dicomnode.values.codes import HOUNSFIELD, LEFT, MILLILITRE, MILLIMETRE, RIGHT
from tests.fixtures.pictures import cine, mammogram, written
from tests.unit.assemble.annotations.objects import (
    blob,
    by_highdicom,
    change,
    read_in,
    the_annotation,
    write_images,
    write_results,
)
from tests.unit.assemble.annotations.reporting import GRID, SMALL, group_of, on, planar, report
from tests.unit.report.kinds import KINDS, PNEUMONIA
from tests.unit.report.sources import EARLIER, LUNG, NODULE, PLANES, Series, findings

PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")


# ── Our own ──


@pytest.mark.parametrize("plane", list(PLANES))
@pytest.mark.parametrize("spatial", ["2d", "3d"])
def test_points_and_boxes_of_the_node_come_back_where_they_were(
    plane: str, spatial: str, tmp_path: Path
) -> None:
    series = Series(plane=plane)
    found = findings(series)
    grid = found.sources[0].grid
    point = tuple(float(v) for v in grid.to_lps_mm((5, 7, 11)))
    spot = replace(KINDS["points and boxes"][0].regions[0], points_lps_mm=(point,))
    write_images(series, tmp_path)
    write_results(replace(found, segments=(), regions=(spot,)), tmp_path, "SR", spatial=spatial)
    annotation = the_annotation(tmp_path)
    assert annotation.kind is AnnotationKind.SR
    assert annotation.of_series == series.uid("series")
    (region,) = annotation.regions
    assert region.kind is RegionKind.POINT
    assert np.allclose(region.points_lps_mm, point, atol=1e-3)
    assert (region.type, region.site, region.laterality) == (NODULE, LUNG, LEFT)
    assert (region.tracking_uid, region.tracking_id) == ("1.2.3", "Nodule 2")
    assert (region.image is None) == (spatial == "3d")


def test_a_segment_of_the_node_is_named_with_its_numbers(tmp_path: Path) -> None:
    found = findings()
    write_images(Series(), tmp_path)
    write_results(found, tmp_path, "SEG", "SR")
    reading = read_in(tmp_path)
    assert not reading.set_aside
    seg, report_read = sorted(reading.annotations, key=lambda one: one.kind != AnnotationKind.SEG)
    right, _, nodule = report_read.regions
    assert [one.segment for one in report_read.regions] == [(seg.sop_instance_uid, n) for n in (1, 2, 3)]
    assert [one.tracking_uid for one in report_read.regions] == [one.tracking_uid for one in seg.segments]
    assert (right.type, right.laterality) == (LUNG, RIGHT)
    volume, mean = right.measurements
    assert (volume.unit, mean.unit, mean.value) == (MILLILITRE, HOUNSFIELD, -812.3)
    assert mean.derivation == Code("373098007", "SCT", "Mean")
    assert {one.name for one in nodule.measurements} >= {"volume", "long_axis"}
    assert seg.sop_instance_uid in report_read.references
    assert (report_read.made_by, report_read.verified) == (MadeBy.MACHINE, False)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("a class", (PNEUMONIA, PRESENT)),
        ("a class that is not there", (PNEUMONIA, ABSENT)),
        ("nothing found", (NODULE, ABSENT)),
    ],
)
def test_answers_on_the_whole_study_are_those_of_the_annotation(kind: str, answer, tmp_path: Path) -> None:
    write_images(Series(), tmp_path)
    write_results(KINDS[kind][0], tmp_path, "SR")
    annotation = the_annotation(tmp_path)
    assert answer in annotation.answers
    (region,) = (one for one in annotation.regions if answer in one.answers)
    assert (region.kind, region.points_lps_mm) == (None, ())
    assert region.type == answer[0]
    assert region.tracking_uid


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_report_of_the_node_is_read(kind: str, tmp_path: Path) -> None:
    write_images(Series(), tmp_path)
    write_results(KINDS[kind][0], tmp_path, "SR")
    annotation = the_annotation(tmp_path)
    assert annotation.title == "Imaging Measurement Report"
    assert not annotation.notes


def test_numbers_of_the_whole_study_are_those_of_the_annotation(tmp_path: Path) -> None:
    write_images(Series(), tmp_path)
    write_results(KINDS["a regression"][0], tmp_path, "SR")
    annotation = the_annotation(tmp_path)
    assert (123.4, "mo") in [(one.value, one.unit.value) for one in annotation.measurements]


def test_a_report_names_what_it_takes_the_place_of(tmp_path: Path) -> None:
    from dicomnode.report import ReportProfile, make_objects
    from tests.unit.report.sources import SALT

    write_images(Series(), tmp_path)
    (one,) = make_objects(findings(segments=()), ReportProfile(kinds=("SR",)), SALT, replaces=EARLIER)
    (tmp_path / "sr.dcm").write_bytes(one.content)
    annotation = the_annotation(tmp_path)
    assert annotation.predecessors == tuple(other.sop_instance_uid for other in EARLIER)


# ── highdicom's ──


@pytest.mark.parametrize("plane", ["axial", "oblique", "sagittal", "reversed"])
def test_pixels_are_placed_by_the_plane_of_their_image(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane, shape_kji=SMALL.shape_kji)
    grid = Grid(series.shape_kji, series.affine, series.uid("frame of reference"))
    images = write_images(series, tmp_path)
    line = [(2.5, 3.5), (6.5, 3.5), (6.5, 7.5)]  # column and row: the centre of the first pixel is 0.5, 0.5
    report(images, [planar(on(images[3], "POLYLINE", *line))], tmp_path)
    (region,) = the_annotation(tmp_path).regions
    assert region.kind is RegionKind.POLYLINE
    assert np.allclose(region.points_lps_mm, grid.to_lps_mm([(3, 3, 2), (3, 3, 6), (3, 7, 6)]), atol=1e-3)
    assert region.image is not None
    assert region.image.sop_instance_uid == images[3].SOPInstanceUID


def test_a_circle_is_an_ellipse_that_is_round_in_the_patient(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    report(images, [planar(on(images[3], "CIRCLE", (5.5, 6.5), (8.5, 6.5)))], tmp_path)
    (region,) = the_annotation(tmp_path).regions
    assert region.kind is RegionKind.ELLIPSE
    centre, points = GRID.to_lps_mm((3, 6, 5)), np.array(region.points_lps_mm)
    assert np.allclose(np.linalg.norm(points - centre, axis=1), 3 * 0.7, atol=1e-4)
    assert np.allclose(points.mean(axis=0), centre, atol=1e-4)


def test_coordinates_in_space_are_taken_as_they_are(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    points = GRID.to_lps_mm([(3, 2, 2), (3, 2, 6), (3, 6, 6)])
    region = sr.ImageRegion3D("POLYGON", np.vstack((points, points[:1])), GRID.frame_of_reference_uid)
    other = sr.ImageRegion3D("POINT", points[:1], "1.2.3")
    report(images, [planar(region), planar(other, "2")], tmp_path)
    annotation = the_annotation(tmp_path)
    (found,) = annotation.regions
    assert np.allclose(found.points_lps_mm[:3], points, atol=1e-4)
    assert any("were left out" in note for note in annotation.notes)


def test_an_outline_on_each_slice_is_one_finding_with_its_box(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    corners = [(2.5, 3.5), (6.5, 3.5), (6.5, 7.5), (2.5, 7.5), (2.5, 3.5)]
    outlines = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(uid=hd.UID(), identifier="1"),
        referenced_regions=[on(images[k], "POLYLINE", *corners) for k in (2, 3, 4)],
    )
    report(images, [outlines], tmp_path)
    (region,) = the_annotation(tmp_path).regions
    assert (region.kind, len(region.parts), region.image) == (RegionKind.BOX, 3, None)
    assert np.allclose(region.points_lps_mm, GRID.to_lps_mm([(2, 3, 2), (4, 7, 6)]), atol=1e-3)


def test_a_segment_of_another_object_is_named(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    seg = by_highdicom(images, blob(SMALL.shape_kji).astype(np.uint8))
    measured = sr.Measurement(codes.SCT.Volume, 12.5, sr.CodedConcept("ml", "UCUM", "ml"))
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(uid=hd.UID(), identifier="1"),
        referenced_segment=sr.ReferencedSegment(
            seg.SOPClassUID,
            seg.SOPInstanceUID,
            1,
            source_series=sr.SourceSeriesForSegmentation(SMALL.uid("series")),
        ),
        finding_type=codes.SCT.Nodule,
        finding_sites=[sr.FindingSite(codes.SCT.Lung, laterality=codes.SCT.Left)],
        measurements=[measured],
    )
    report([*images, seg], [group], tmp_path)
    (region,) = the_annotation(tmp_path).regions
    assert region.segment == (seg.SOPInstanceUID, 1)
    assert (region.kind, region.site, region.laterality) == (None, LUNG, LEFT)
    assert [(one.value, one.unit) for one in region.measurements] == [(12.5, MILLILITRE)]


@pytest.mark.parametrize(
    ("person", "verified", "made_by"),
    [(True, False, MadeBy.PERSON), (False, False, MadeBy.MACHINE), (False, True, MadeBy.PERSON)],
)
def test_who_made_a_report_is_its_observer_or_who_verified_it(
    person: bool, verified: bool, made_by: MadeBy, tmp_path: Path
) -> None:
    images = write_images(SMALL, tmp_path)
    more = {"is_verified": True, "verifying_observer_name": "Müller^B", "verifying_organization": "X"}
    path = report(
        images,
        [planar(on(images[3], "POINT", (5.5, 6.5)))],
        tmp_path,
        person=person,
        **(more if verified else {}),
    )
    change(path, lambda ds: setattr(ds, "TimezoneOffsetFromUTC", "+0200"))
    annotation = the_annotation(tmp_path)
    assert (annotation.made_by, annotation.verified) == (made_by, verified)
    assert annotation.made_at is not None
    assert annotation.made_at.utcoffset() is not None
    assert "Müller" not in repr(annotation)


# ── Others' forms ──


def _as_a_viewer_writes_a_line(ds: Dataset) -> None:
    """A length as OHIF writes it: the line below its number, and a free text for a finding."""
    group = group_of(ds)
    region = next(one for one in group.ContentSequence if one.ValueType == "SCOORD")
    number = next(one for one in group.ContentSequence if one.ValueType == "NUM")
    region.RelationshipType = "INFERRED FROM"
    del region.ConceptNameCodeSequence
    number.ContentSequence = [region]
    finding = next(
        one
        for one in group.ContentSequence
        if one.ValueType == "CODE" and one.ConceptNameCodeSequence[0].CodeValue == "121071"
    )
    value = finding.ConceptCodeSequence[0]
    del value.CodeValue
    value.LongCodeValue, value.CodingSchemeDesignator = "CORNERSTONEFREETEXT", "CORNERSTONEJS"
    value.CodeMeaning = "my lesion"
    group.ContentSequence = [one for one in group.ContentSequence if one is not region]


def test_a_line_below_its_number_is_the_region_and_free_text_its_label(tmp_path: Path) -> None:
    images = write_images(SMALL, tmp_path)
    length = sr.Measurement(codes.SCT.Length, 2.8, codes.UCUM.Millimeter)
    group = planar(on(images[3], "POLYLINE", (2.5, 3.5), (6.5, 3.5)), measurements=[length])
    change(report(images, [group], tmp_path), _as_a_viewer_writes_a_line)
    (region,) = the_annotation(tmp_path).regions
    assert (region.label, region.type) == ("my lesion", None)
    assert np.allclose(region.points_lps_mm, GRID.to_lps_mm([(3, 3, 2), (3, 3, 6)]), atol=1e-3)
    assert [(one.value, one.unit) for one in region.measurements] == [(2.8, MILLIMETRE)]


@pytest.mark.real_data
def test_the_boxes_of_a_real_report_lie_on_their_slices(real_data) -> None:
    from dicomnode.assemble import read_studies
    from dicomnode.assemble.annotations import read_annotations

    folder = real_data("chest-ct-nlst-101287")
    ((series,),) = (study.series for study in read_studies([folder / "ct"]).studies)
    reading = read_annotations([folder / "sr"], series.stacks)
    assert not reading.set_aside
    (annotation,) = reading.annotations
    assert (len(annotation.regions), annotation.made_by) == (8, MadeBy.PERSON)
    grid = series.stacks[0].placement.grid
    for region in annotation.regions:
        index = grid.to_index_kji(region.points_lps_mm)
        assert np.ptp(index[:, 0]) < 1e-3
        assert np.abs(index[:, 0] - np.round(index[:, 0])).max() < 0.05
        assert 10 < np.ptp(np.array(region.points_lps_mm)[:, 0]) < 25


# ── Pictures ──


def test_each_picture_that_a_report_speaks_of_has_its_own_annotation(tmp_path: Path) -> None:
    views = [mammogram("CC", "L", number=1), mammogram("MLO", "L", number=2)]
    written(tmp_path / "images", *views)
    groups = [planar(on(view, "POINT", (10.5, 20.5)), str(n)) for n, view in enumerate(views)]
    report(views, groups, tmp_path)
    reading = read_in(tmp_path)
    assert not reading.set_aside
    assert [one.of_stack for one in reading.annotations] == [0, 1]
    for annotation, view in zip(reading.annotations, views, strict=True):
        (region,) = annotation.regions
        row_mm, column_mm = (float(one) for one in view.ImagerPixelSpacing)
        assert region.image is not None
        assert region.image.sop_instance_uid == view.SOPInstanceUID
        x, y, z = region.points_lps_mm[0]
        assert (x / y, z) == (pytest.approx(10 * column_mm / (20 * row_mm)), 0.0)


def test_a_region_of_a_clip_lies_on_its_frames(tmp_path: Path) -> None:
    clip = cine()
    written(tmp_path / "images", clip)
    report([clip], [planar(on(clip, "POINT", (4.5, 5.5), frames=[2, 3]))], tmp_path)
    annotation = the_annotation(tmp_path)
    (region,) = annotation.regions
    assert [points[0][2] for points in region.parts] == [1.0, 2.0]
