"""What a report says in groups and in words beside its segments: regions, lines, classes, slices, numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.faults import UNDECIDED
from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.sr import segment_regions
from dicomnode.report.sr.measured import measured_of, rounded
from dicomnode.report.sr.report import Beside, build_report
from dicomnode.report.uids import ResultUids
from dicomnode.values import (
    Code,
    Findings,
    FrameScore,
    Mask,
    Measurement,
    Outcome,
    PointLps,
    Region,
    RegionKind,
    Remark,
    SourceFrame,
)
from dicomnode.values.codes import HOUNSFIELD, MILLILITRE, MILLIMETRE, NO_UNIT, PERCENT
from tests.unit.report.kinds import ABSENT, BONE_AGE, KINDS, MONTHS, PNEUMONIA, UNSEEN
from tests.unit.report.outlines.rasterising import filled
from tests.unit.report.sources import ATTENUATION, LONG_AXIS, LUNG, NODULE, SALT, VOLUME, Series, findings

ENHANCED, COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.34"


def report_of(found: Findings, **profile: object) -> Dataset:
    made = make_objects(found, ReportProfile(**profile), SALT)  # type: ignore[arg-type]
    (report,) = [one for one in made if one.kind == "SR"]
    return dcmread(BytesIO(report.content))


def items(ds: Dataset) -> Iterator[Dataset]:
    for item in ds.get("ContentSequence", []):
        yield item
        yield from items(item)


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def groups(report: Dataset) -> list[Dataset]:
    return [item for item in items(report) if name(item) == "Measurement Group"]


def texts(report: Dataset) -> list[str]:
    return [
        str(item.TextValue)
        for item in items(report)
        if name(item) in {"Finding", "Comment"} and "TextValue" in item
    ]


def numbers(group: Dataset) -> dict[str, float]:
    return {
        name(item): float(item.MeasuredValueSequence[0].NumericValue)
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def fact(group: Dataset, of: str) -> str:
    (item,) = [one for one in group.ContentSequence if name(one) == of]
    return str(item.get("TextValue") or item.get("UID") or item.ConceptCodeSequence[0].CodeValue)


def at(found: Findings, *index_kji: float) -> PointLps:
    grid = found.sources[0].grid
    assert grid is not None
    x, y, z = grid.to_lps_mm(index_kji)
    return float(x), float(y), float(z)


def with_regions(series: Series | None = None, **facts: object) -> Findings:
    """A nodule with its long axis on one slice, a point and a box."""
    found = findings(series)
    ends = (at(found, 6, 9.5, 2), at(found, 6, 13.5, 3.5))
    nodule = replace(found.segments[2], long_axis_lps_mm=ends)
    point = replace(KINDS["points and boxes"][0].regions[0], points_lps_mm=(at(found, 5, 7, 9),), score=0.5)
    corners = np.sort([at(found, 4, 4.5, 5.5), at(found, 6, 9.5, 15.5)], axis=0).tolist()
    box = replace(
        point,
        label="nodule-3",
        kind=RegionKind.BOX,
        points_lps_mm=(tuple(corners[0]), tuple(corners[1])),
        tracking_uid="1.2.4",
        tracking_id="Nodule 3",
        score=0.7,
    )
    return replace(found, segments=(*found.segments[:2], nodule), regions=(point, box), **facts)


# ── Regions of volumes ────────────────────────────────────────────────────────────────────────────
def test_a_region_of_a_volume_lies_on_the_image_of_its_slice_in_an_enhanced_sr() -> None:
    found = with_regions()
    report = report_of(found)
    assert report.SOPClassUID == ENHANCED
    planar = [one for one in groups(report) if one.ContentTemplateSequence[0].TemplateIdentifier == "1410"]
    drawn = [next(one for one in group.ContentSequence if one.ValueType == "SCOORD") for group in planar]
    assert [one.GraphicType for one in drawn] == ["POINT", "POLYLINE"]
    assert list(drawn[0].GraphicData) == pytest.approx([9.5, 7.5])
    assert list(drawn[1].GraphicData) == pytest.approx([6, 5, 16, 5, 16, 10, 6, 10, 6, 5], abs=1e-5)
    for one in drawn:
        (image,) = one.ContentSequence
        reference = image.ReferencedSOPSequence[0]
        assert image.RelationshipType == "SELECTED FROM"
        assert reference.ReferencedSOPInstanceUID == found.sources[0].frames[5].sop_instance_uid
        assert reference.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
        assert "ReferencedFrameNumber" not in reference
    assert [numbers(group) for group in planar] == [
        {"Certainty of Finding": 50.0},
        {"Certainty of Finding": 70.0},
    ]


@pytest.mark.parametrize("plane", ["axial", "oblique", "tilted"])
def test_a_destination_may_have_the_regions_in_patient_space(plane: str) -> None:
    found = with_regions(Series(plane=plane))
    report = report_of(found, spatial="3d")
    assert report.SOPClassUID == COMPREHENSIVE_3D
    assert not [one for one in items(report) if one.ValueType == "SCOORD"]
    point, box = [one for one in items(report) if one.ValueType == "SCOORD3D"]
    assert (point.GraphicType, box.GraphicType) == ("POINT", "POLYGON")
    assert list(point.GraphicData) == pytest.approx(found.regions[0].points_lps_mm[0])
    assert box.ReferencedFrameOfReferenceUID == Series(plane=plane).uid("frame of reference")
    corners = np.array(box.GraphicData).reshape(-1, 3)
    grid = found.sources[0].grid
    assert grid is not None
    assert np.abs(grid.to_index_kji(corners)[:, 0] - 5).max() < 1e-4
    assert report.SOPInstanceUID != report_of(found).SOPInstanceUID


def test_without_regions_a_report_in_patient_space_is_what_most_viewers_take() -> None:
    assert report_of(findings(), spatial="3d").SOPClassUID == ENHANCED


def test_a_region_beyond_the_images_stands_in_words() -> None:
    found = with_regions()
    far = replace(found.regions[0], points_lps_mm=((500.0, 0.0, 0.0),))
    report = report_of(replace(found, segments=(), regions=(far,)))
    (group,) = groups(report)
    assert group.ContentTemplateSequence[0].TemplateIdentifier == "1501"
    assert "nodule-2: Nodule, left lung, score 50.0 %, point at 500.0 mm L, 0.0 mm P, 0.0 mm H." in texts(
        report
    )


# ── Annotations for viewers built on cornerstone ──────────────────────────────────────────────────
def test_only_a_destination_that_asks_gets_groups_for_the_tools_of_a_viewer() -> None:
    found = with_regions()
    assert "Cornerstone" not in str(report_of(found))
    added = groups(report_of(found, viewer="cornerstone"))[5:]
    assert [fact(one, "Tracking Identifier") for one in added] == [
        "Cornerstone3DTools@^0.1.0:Length",
        "Cornerstone3DTools@^0.1.0:Probe",
        "Cornerstone3DTools@^0.1.0:RectangleROI",
    ]
    tracked = [found.segments[2].tracking_uid, "1.2.3", "1.2.4"]
    assert [fact(one, "Tracking Unique Identifier") for one in added] == tracked
    assert [fact(one, "Comment") for one in added] == ["Nodule 1", "Nodule 2", "Nodule 3"]
    assert [fact(one, "Finding") for one in added] == [NODULE.value] * 3
    (length,) = [one for one in added[0].ContentSequence if one.ValueType == "NUM"]
    line = next(one for one in length.ContentSequence if one.ValueType == "SCOORD")
    assert (line.GraphicType, line.RelationshipType) == ("POLYLINE", "INFERRED FROM")
    assert list(line.GraphicData) == pytest.approx([2.5, 10.0, 4.0, 14.0])
    assert numbers(added[0]) == {"Length": 3.4}


def test_a_line_that_lies_on_no_single_slice_is_no_annotation() -> None:
    assert "Cornerstone" not in str(report_of(findings(), viewer="cornerstone"))


def test_a_box_across_the_axes_of_the_image_is_no_rectangle() -> None:
    added = groups(report_of(with_regions(Series(plane="oblique")), viewer="cornerstone"))[5:]
    assert [fact(one, "Tracking Identifier").rpartition(":")[2] for one in added] == ["Length", "Probe"]


# ── Numbers ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (123.456789, MILLIMETRE, 123.5),
        (0.04321, MILLIMETRE, 0.043),
        (-812.3456, HOUNSFIELD, -812.3),
        (87.12, PERCENT, 87.1),
        (4321.98765, MILLILITRE, 4321.988),
        (3.24e-6, NO_UNIT, 3.2e-6),
        (-1234567.891234, NO_UNIT, -1234567.89),
        (0.0, NO_UNIT, 0.0),
    ],
)
def test_a_number_keeps_what_its_unit_can_carry_and_two_digits(
    value: float, unit: object, written: float
) -> None:
    assert rounded(value, unit) == written  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.0 / 3e9, -1.0 / 3e-9, 1e300 / 3, 2.0**60, -7.0 / 3])
def test_any_number_fits_into_a_ds(value: float) -> None:
    age = Measurement(name="age", concept=BONE_AGE, value=value, unit=MONTHS)
    report = report_of(findings(segments=(), measurements=(age,)))
    (item,) = [one for one in items(report) if one.ValueType == "NUM"]
    assert len(str(item.MeasuredValueSequence[0].NumericValue)) <= 16
    assert float(item.MeasuredValueSequence[0].NumericValue) == pytest.approx(value, rel=0.1)


def test_volume_and_axes_that_nobody_measured_follow_from_the_segment() -> None:
    found = with_regions()
    nodule = replace(
        found.segments[2],
        measurements=(Measurement(name="mean_hu", concept=ATTENUATION, value=12.0, unit=HOUNSFIELD),),
        short_axis_lps_mm=(at(found, 6, 10, 2), at(found, 6, 10, 4)),
    )
    assert [(one.name, round(one.value, 2)) for one in measured_of(nodule, found)] == [
        ("mean_hu", 12.0),
        ("volume_mm3", round(nodule.mask.count * 2.5 * 0.8 * 0.7, 2)),
        ("long_axis_mm", 3.37),
        ("short_axis_mm", 1.4),
    ]
    group = groups(report_of(replace(found, segments=(nodule,), regions=())))[0]
    assert list(numbers(group)) == [
        "Attenuation Coefficient",
        "Volume",
        "Long axis",
        "Short axis",
        "Certainty of Finding",
    ]


def test_what_was_measured_is_not_measured_again() -> None:
    found = with_regions()
    assert [one.concept for one in measured_of(found.segments[2], found)] == [VOLUME, LONG_AXIS]


def test_a_number_with_an_interval_has_a_group_with_its_ends() -> None:
    report = report_of(KINDS["a regression"][0])
    plain, age = groups(report)
    assert numbers(plain) == {"Attenuation": -8.2}
    assert (fact(plain, "Tracking Identifier"), fact(age, "Tracking Identifier")) == (
        "study",
        "study, bone_age",
    )
    assert numbers(age) == {
        "Bone age": 123.4,
        "Lower end of interval": 110.0,
        "Upper end of interval": 137.0,
        "Part of cases within interval": 95.0,
    }
    units = [
        one.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        for one in items(age)
        if one.ValueType == "NUM"
    ]
    assert units == ["mo", "mo", "mo", "%"]


# ── Classes and slices ────────────────────────────────────────────────────────────────────────────
def test_a_class_says_its_probability_and_where_present_begins() -> None:
    one = replace(KINDS["a class"][0].classifications[0], algorithm="classes 2")
    (group,) = groups(report_of(replace(KINDS["a class"][0], classifications=(one,))))
    assert numbers(group) == {"Probability": 87.0, "Decision threshold": 50.0}
    algorithm = next(item for item in items(group) if name(item) == "Algorithm Name")
    assert algorithm.TextValue == "lung-ct: classes 2"


def test_a_report_says_whether_a_probability_is_calibrated() -> None:
    found = KINDS["a class"][0]
    (one,) = found.classifications
    score = "Not calibrated: the probability of pneumonia is a score of the network."
    plain, calibrated = (
        report_of(replace(found, classifications=(replace(one, calibrated=word),))) for word in (False, True)
    )
    assert [score in texts(report) for report in (plain, calibrated)] == [True, False]
    assert "Pneumonia: present, score 87.0 %, threshold 50.0 %." in texts(plain)
    assert "Pneumonia: present, calibrated probability 87.0 %, threshold 50.0 %." in texts(calibrated)


def test_the_score_of_a_finding_is_a_probability_where_it_is_calibrated() -> None:
    found = findings()
    lesions = [replace(one, calibrated=one.score is not None) for one in found.segments]
    report = report_of(replace(found, segments=tuple(lesions)))
    named = [name for group in groups(report) for name in numbers(group)]
    assert "Probability" in named
    assert "Certainty of Finding" not in named
    assert any(", calibrated probability 87.1 %, " in text for text in texts(report))


def images(group: Dataset) -> list[tuple[str, object]]:
    references = [one.ReferencedSOPSequence[0] for one in group.ContentSequence if one.ValueType == "IMAGE"]
    return [(one.ReferencedSOPInstanceUID, one.get("ReferencedFrameNumber")) for one in references]


def test_slices_that_reach_the_threshold_are_pointed_to() -> None:
    found = KINDS["a sequence of slices"][0]
    _, slices = groups(report_of(found))
    frames = found.sources[0].frames
    assert images(slices) == [(frames[k].sop_instance_uid, None) for k in (4, 5, 10, 11)]
    assert numbers(slices) == {"Probability": 90.0}
    assert fact(slices, "Pneumonia") == "52101004"


def test_where_no_slice_reaches_it_the_highest_is_pointed_to_and_nothing_is_present() -> None:
    found = KINDS["a sequence of slices"][0]
    low = tuple(replace(one, score=one.score / 10) for one in found.frame_scores)
    _, slices = groups(report_of(replace(found, frame_scores=low)))
    assert [uid for uid, _ in images(slices)] == [found.sources[0].frames[4].sop_instance_uid]
    assert "Pneumonia" not in {name(one) for one in slices.ContentSequence}


def test_a_reader_is_pointed_to_twenty_slices_and_told_of_the_others() -> None:
    found = findings(
        Series(shape_kji=(30, 10, 12)), segments=(), classifications=KINDS["a class"][0].classifications
    )
    scores = tuple(
        FrameScore(label="pneumonia", type=PNEUMONIA, frame=frame, k=k, score=0.6 + k / 100)
        for k, frame in enumerate(found.sources[0].frames)
    )
    report = report_of(replace(found, frame_scores=scores))
    _, slices = groups(report)
    wanted = [frame.sop_instance_uid for frame in found.sources[0].frames[10:]]
    assert [uid for uid, _ in images(slices)] == wanted
    assert any(
        "30 reach 50.0 %, of which the report points to the 20 highest." in text for text in texts(report)
    )


def test_frames_of_one_object_are_one_reference() -> None:
    from dicomnode.report.frame_references import reference_to, references_to

    found = KINDS["a sequence of slices"][0]
    source = found.sources[0]
    uid = source.frames[0].sop_instance_uid
    frames = tuple(SourceFrame(uid, 12 - k) for k in range(12))
    imprint = Imprint(replace(found, sources=(replace(source, frames=frames),)), read_heading(found), SALT)
    assert references_to(imprint, [7, 2]) == [("1.2.840.10008.5.1.4.1.1.2", uid, [5, 10])]
    assert reference_to(imprint, 99) == ("1.2.840.10008.5.1.4.1.1.2", uid, [1])


# ── The root of the results ───────────────────────────────────────────────────────────────────────
def test_the_objects_made_with_a_report_are_its_evidence_and_are_named() -> None:
    found = findings()
    imprint = Imprint(found, read_heading(found), SALT)
    companions = []
    for sop_class, number in (
        ("1.2.840.10008.5.1.4.1.1.11.1", 1),
        ("1.2.840.10008.5.1.4.1.1.7", 2),
        ("1.2.840.10008.5.1.4.1.1.7", 3),
    ):
        one = Dataset()
        one.StudyInstanceUID = found.sources[0].study_instance_uid
        one.SOPClassUID, one.SOPInstanceUID, one.SeriesInstanceUID = sop_class, f"1.2.{number}", "1.2"
        companions.append(one)
    report = build_report(
        imprint,
        ResultUids.of(found, SALT, "SR", "test"),
        9001,
        ReportProfile(),
        Beside(companions=companions),
    )
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {"1.2.1", "1.2.2", "1.2.3"} < named
    assert len(named) == 3 + len(found.sources[0].frames)
    assert "Made with this report: 1 presentation state and 2 secondary captures." in texts(report)


def test_every_finding_has_a_sentence_with_its_numbers() -> None:
    found = with_regions()
    said = texts(report_of(found))
    for one in (*found.segments, *found.regions):
        (sentence,) = [text for text in said if text.startswith(f"{one.label}: ")]
        for measurement in one.measurements:
            if measurement.concept != VOLUME:
                assert f"{rounded(measurement.value, measurement.unit):.4g}" in sentence
    assert any(text.startswith("lung-right: Right lung, 1.79 ml, mean -812.3 HU.") for text in said)


@pytest.mark.parametrize("profile", [{"spatial": "3d"}, {"viewer": "cornerstone"}, {}])
def test_a_report_is_always_the_same_bytes(profile: dict[str, object]) -> None:
    found = with_regions(Series(plane="tilted"))
    one, other = (make_objects(found, ReportProfile(**profile), SALT) for _ in range(2))  # type: ignore[arg-type]
    assert [made.content for made in one] == [made.content for made in other]


def test_a_region_of_every_kind_has_a_group() -> None:
    found = with_regions()
    ends = tuple(at(found, *index) for index in ((5, 5, 4), (5, 5, 12), (5, 3, 8), (5, 7, 8)))
    shapes = {RegionKind.ELLIPSE: ends, RegionKind.POLYLINE: ends[:3]}
    regions = tuple(
        Region(
            label=kind,
            kind=kind,
            points_lps_mm=points,
            type=NODULE,
            tracking_uid=f"1.2.{n}",
            tracking_id=kind,
            algorithm="a",
        )
        for n, (kind, points) in enumerate(shapes.items())
    )
    for spatial, value_type in (("2d", "SCOORD"), ("3d", "SCOORD3D")):
        report = report_of(replace(found, segments=(), regions=regions), spatial=spatial)
        assert [one.GraphicType for one in items(report) if one.ValueType == value_type] == [
            "ELLIPSE",
            "POLYLINE",
        ]


# ── Without a segmentation ────────────────────────────────────────────────────────────────────────
def where(group: Dataset) -> tuple[str, np.ndarray, str]:
    """Graphic type, column and row, and the image of the region of a planar group."""
    (scoord,) = [one for one in group.ContentSequence if one.ValueType == "SCOORD"]
    assert (name(scoord), scoord.RelationshipType) == ("Image Region", "CONTAINS")
    (image,) = scoord.ContentSequence
    assert (image.ValueType, image.RelationshipType) == ("IMAGE", "SELECTED FROM")
    corners = np.array(scoord.GraphicData, dtype=np.float64).reshape(-1, 2)
    return scoord.GraphicType, corners, image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID


@pytest.mark.parametrize("kinds", [("SR",), ("GSPS", "SR"), ("RTSTRUCT", "SR")])
def test_without_a_segmentation_every_segment_has_its_outline_on_the_slice_with_most_of_it(
    kinds: tuple[str, ...],
) -> None:
    found = findings()
    written = groups(report_of(found, kinds=kinds))
    assert len(written) == len(found.segments)
    for segment, group in zip(found.segments, written, strict=True):
        graphic, corners, image = where(group)
        mask = segment.mask.to_array()
        key = int(np.argmax(mask.sum(axis=(1, 2))))
        assert image == found.sources[0].frames[key].sop_instance_uid
        assert graphic == "POLYLINE"
        assert np.array_equal(corners[0], corners[-1])
        drawn = filled([corners[:-1] - 0.5], mask.shape[1:])
        assert np.array_equal(drawn, mask[key])
        assert numbers(group)  # the measurements stay


def test_with_a_segmentation_the_groups_refer_to_it_and_have_no_coordinates() -> None:
    assert not [one for one in items(report_of(findings())) if one.ValueType == "SCOORD"]


def test_of_several_pieces_on_a_slice_the_largest_stands_for_the_segment() -> None:
    lung = findings().segments[0]
    mask = np.zeros(lung.mask.shape_kji, dtype=bool)
    mask[4, 2:4, 3:5] = mask[4, 8:14, 9:20] = True
    found = findings(segments=(replace(lung, mask=Mask.from_array(mask)),))
    (group,) = groups(report_of(found, kinds=("SR",)))
    _, corners, _ = where(group)
    assert (corners.min(axis=0).tolist(), corners.max(axis=0).tolist()) == ([9.0, 8.0], [20.0, 14.0])


def test_an_outline_too_long_for_one_value_is_its_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_regions, "_MOST_POINTS", 12)
    lung = findings().segments[0]
    mask = np.zeros(lung.mask.shape_kji, dtype=bool)
    for n, row in enumerate((1, 2, 3, 2, 5, 1, 4)):
        mask[4, 7 + n, 9 : 9 + row] = True
    (group,) = groups(
        report_of(findings(segments=(replace(lung, mask=Mask.from_array(mask)),)), kinds=("SR",))
    )
    graphic, corners, _ = where(group)
    assert graphic == "POLYLINE"
    assert corners.tolist() == [[9, 7], [14, 7], [14, 14], [9, 14], [9, 7]]


@pytest.mark.parametrize("plane", ["axial", "oblique", "tilted"])
def test_the_outline_may_stand_in_patient_space(plane: str) -> None:
    found = findings(Series(plane=plane))
    report = report_of(found, kinds=("SR",), spatial="3d")
    assert report.SOPClassUID == COMPREHENSIVE_3D
    grid = found.sources[0].grid
    assert grid is not None
    for segment, group in zip(found.segments, groups(report), strict=True):
        (scoord,) = [one for one in group.ContentSequence if one.ValueType == "SCOORD3D"]
        assert (scoord.GraphicType, scoord.ReferencedFrameOfReferenceUID) == (
            "POLYGON",
            grid.frame_of_reference_uid,
        )
        kji = grid.to_index_kji(np.array(scoord.GraphicData, dtype=np.float64).reshape(-1, 3))
        mask = segment.mask.to_array()
        key = int(np.argmax(mask.sum(axis=(1, 2))))
        assert np.abs(kji[:, 0] - key).max() < 1e-4
        assert np.array_equal(filled([kji[:-1, :0:-1]], mask.shape[1:]), mask[key])


def test_the_report_says_where_the_outlines_of_a_volume_are() -> None:
    alone = texts(report_of(findings(), kinds=("SR",)))
    assert any("this report has that of each on the slice with most of it." in text for text in alone)
    beside = texts(report_of(findings(), kinds=("GSPS", "SR")))
    assert any("are in the presentation state." in text for text in beside)
    assert not [text for text in texts(report_of(findings())) if "outline" in text]


# ── What is not there ─────────────────────────────────────────────────────────────────────────────
LIVER = Code("10200004", "SCT", "Liver")


@pytest.mark.parametrize(
    ("remark", "status"), [(UNSEEN, "111225"), (replace(UNSEEN, code=UNDECIDED.code), "111223")]
)
def test_what_was_looked_for_and_not_determined_is_not_called_not_attempted(
    remark: Remark, status: str
) -> None:
    (group,) = groups(report_of(findings(segments=(), remarks=(remark,), outcome=Outcome.NOT_ANALYSED)))
    assert fact(group, "Summary of Detections") == status


@pytest.mark.parametrize("remark", [ABSENT, UNSEEN])
def test_the_same_at_two_places_is_two_findings_and_twice_at_one_place_is_one(remark: Remark) -> None:
    twice = (replace(remark, site=LUNG), replace(remark, site=LIVER), replace(remark, site=LUNG))
    written = groups(report_of(findings(segments=(), remarks=twice, outcome=Outcome.NO_FINDINGS)))
    tracked = [
        str(one.UID) for group in written for one in group.ContentSequence if one.ValueType == "UIDREF"
    ]
    sites = [
        str(one.ConceptCodeSequence[0].CodeMeaning)
        for group in written
        for one in group.ContentSequence
        if name(one) == "Finding Site"
    ]
    assert len(tracked) == len(set(tracked))
    assert sites == ["Lung", "Liver"]
