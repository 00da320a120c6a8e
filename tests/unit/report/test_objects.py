"""What stands in the objects: identity, provenance, links, and what the analysis says."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from highdicom import sr
from pydicom import Dataset, dcmread

from dicomnode.report import ReportProfile, ResultObject, make_objects
from dicomnode.report.heading.identity import mark_of
from dicomnode.report.heading.shared_modules import SHARED
from dicomnode.values import (
    Classification,
    Code,
    Findings,
    Measurement,
    Outcome,
    Region,
    RegionKind,
    Remark,
    RemarkKind,
    Repair,
)
from dicomnode.values.codes import LEFT, MILLILITRE, MILLIMETRE, RIGHT
from tests.unit.report.kinds import KINDS
from tests.unit.report.sources import (
    EARLIER,
    LUNG,
    NODULE,
    SALT,
    VOLUME,
    Series,
    findings,
    not_analysed,
    nothing_found,
    provenance,
)

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def _made(found: Findings, *kinds: str) -> dict[str, ResultObject]:
    profile = ReportProfile(kinds=kinds or ("SEG", "SR"))  # type: ignore[arg-type]
    return {one.kind: one for one in make_objects(found, profile, SALT)}


def _read(one: ResultObject) -> Dataset:
    return dcmread(BytesIO(one.content))


def _items(ds: Dataset) -> Iterator[Dataset]:
    """All content items below one, depth first."""
    for item in ds.get("ContentSequence", []):
        yield item
        yield from _items(item)


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def _value(item: Dataset) -> object:
    if item.ValueType == "CODE":
        return item.ConceptCodeSequence[0].CodeValue
    if item.ValueType == "NUM":
        return float(item.MeasuredValueSequence[0].NumericValue)
    return item.get("TextValue") or item.get("UID")


def _groups(report: Dataset) -> list[Dataset]:
    return [item for item in _items(report) if _name(item) == "Measurement Group"]


def _texts(report: Dataset) -> list[str]:
    (container,) = [item for item in report.ContentSequence if _name(item) == "Qualitative Evaluations"]
    return [str(item.TextValue) for item in container.ContentSequence if item.ValueType == "TEXT"]


def _summary(report: Dataset) -> str:
    return next(str(_value(i)) for i in _items(report) if _name(i) == "CAD Processing and Findings Summary")


@pytest.fixture(scope="module")
def made() -> dict[str, ResultObject]:
    return _made(findings())


@pytest.fixture(scope="module")
def seg(made: dict[str, ResultObject]) -> Dataset:
    return _read(made["SEG"])


@pytest.fixture(scope="module")
def report(made: dict[str, ResultObject]) -> Dataset:
    return _read(made["SR"])


# ── Identity ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", ["SEG", "SR"])
@pytest.mark.parametrize(
    ("name", "character_set"),
    [
        ("Müller^Jörg", "ISO_IR 100"),
        ("Müller^Jörg", "ISO_IR 192"),
        (JAPANESE, ["", "ISO 2022 IR 87"]),
        ("王^小东", "GB18030"),
        ("Smith^John", "ISO_IR 100"),
        ("Bono", "ISO_IR 100"),
    ],
)
def test_every_attribute_of_patient_and_study_is_the_sources(
    kind: str, name: str, character_set: str | list[str]
) -> None:
    extra = {
        "SpecificCharacterSet": character_set,
        "PatientName": name,
        "ReferringPhysicianName": "",
        "InstitutionName": "",
        "PatientComments": "",
    }
    series = Series(extra=extra)
    result = _read(_made(findings(series))[kind])
    source = series.datasets()[0]
    for keyword in SHARED:
        assert (keyword in result) == (keyword in source), keyword
        if keyword in source:
            assert str(result[keyword].value or "") == str(source[keyword].value or ""), keyword


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_results_beyond_ascii_are_utf_8_and_others_name_no_character_set(kind: str) -> None:
    assert _read(_made(findings())[kind]).SpecificCharacterSet == "ISO_IR 192"
    plain = Series(extra={"PatientName": "A^B", "ReferringPhysicianName": "", "InstitutionName": "H"})
    assert "SpecificCharacterSet" not in _read(_made(findings(plain))[kind])


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_issuers_and_other_ids_are_carried(kind: str) -> None:
    other, issuer = Dataset(), Dataset()
    other.PatientID, other.IssuerOfPatientID = "OLD-1", "ELSEWHERE"
    issuer.LocalNamespaceEntityID = "RIS"
    extra = {"OtherPatientIDsSequence": [other], "IssuerOfAccessionNumberSequence": [issuer]}
    result = _read(_made(findings(Series(extra=extra)))[kind])
    assert result.IssuerOfPatientID == "KLINIKUM"
    assert result.OtherPatientIDsSequence[0].PatientID == "OLD-1"
    assert result.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "RIS"


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_dates_are_those_of_the_findings_in_the_zone_of_the_source(kind: str) -> None:
    tokyo = _read(_made(findings(Series(extra={"TimezoneOffsetFromUTC": "+0900"})))[kind])
    assert tokyo.TimezoneOffsetFromUTC == "+0900"
    assert (tokyo.ContentDate, tokyo.ContentTime) == ("20250305", "083015.123456")
    nowhere = _read(_made(findings())[kind])
    assert "TimezoneOffsetFromUTC" not in nowhere
    for what in ("Content", "Series", "InstanceCreation"):
        assert nowhere[f"{what}Date"].value == "20250304"
        assert nowhere[f"{what}Time"].value == "233015.123456"


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_provenance_stands_in_every_object(kind: str, made: dict[str, ResultObject]) -> None:
    result = _read(made[kind])
    assert (result.Manufacturer, result.ManufacturerModelName) == ("dicomnode", "lung-ct")
    assert list(result.SoftwareVersions) == ["lung-ct 1.0.0", "0123456789abcdef" * 4, "dicomnode 0.1.0"]
    assert result.SeriesDescription == f"lung-ct 1.0.0 {kind}"
    assert result.SeriesNumber == {"SEG": 9000, "SR": 9001}[kind]
    purposes = [
        (item.PurposeOfReferenceCodeSequence[0].CodeValue, item.ManufacturerModelName)
        for item in result.ContributingEquipmentSequence
    ]
    assert purposes == [("109101", "Scanner 1"), ("109102", "lung-ct"), ("109102", "highdicom")]
    node = result.ContributingEquipmentSequence[1]
    assert node.ContributionDateTime == "20250304233015.123456+0000"
    assert "Not for clinical use" in node.ContributionDescription
    assert "onnxruntime" in node.ContributionDescription


def test_series_are_their_own_and_never_the_sources(made: dict[str, ResultObject]) -> None:
    series = {one.series_instance_uid for one in made.values()} | {findings().sources[0].series_instance_uid}
    assert len(series) == 3


# ── Segmentation ──────────────────────────────────────────────────────────────────────────────────
def test_a_segmentation_is_binary_explicit_little_endian_and_says_that_segments_overlap(seg: Dataset) -> None:
    assert seg.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (seg.SegmentationType, seg.SegmentsOverlap) == ("BINARY", "YES")
    two = findings(segments=findings().segments[:2])
    assert _read(_made(two)["SEG"]).SegmentsOverlap == "NO"


def test_frames_are_there_only_where_something_is(seg: Dataset) -> None:
    wanted = sum(int(s.mask.crop().any(axis=(1, 2)).sum()) for s in findings().segments)
    assert seg.NumberOfFrames == wanted < 3 * 12


def test_each_frame_names_the_source_image_that_it_lies_on(seg: Dataset) -> None:
    positions = {ds.SOPInstanceUID: [float(v) for v in ds.ImagePositionPatient] for ds in Series().datasets()}
    for group in seg.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        position = [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
        assert position == positions[image.ReferencedSOPInstanceUID]


def test_the_segmentation_names_the_whole_source_series(seg: Dataset) -> None:
    (series,) = seg.ReferencedSeriesSequence
    named = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    assert series.SeriesInstanceUID == findings().sources[0].series_instance_uid
    assert named == {frame.sop_instance_uid for frame in findings().sources[0].frames}


def test_segments_carry_codes_side_site_colour_tracking_and_algorithm(seg: Dataset) -> None:
    lung, _, nodule = seg.SegmentSequence
    kind = lung.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue) == (
        LUNG.value,
        RIGHT.value,
    )
    assert "SegmentedPropertyTypeModifierCodeSequence" not in lung
    assert nodule.AnatomicRegionSequence[0].CodeValue == LUNG.value
    assert nodule.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeValue == RIGHT.value
    assert nodule.SegmentLabel == "nodule-1"
    assert (nodule.TrackingID, nodule.TrackingUID) == ("Nodule 1", findings().segments[2].tracking_uid)
    assert len(nodule.RecommendedDisplayCIELabValue) == 3
    assert lung.RecommendedDisplayCIELabValue != nodule.RecommendedDisplayCIELabValue
    algorithm = nodule.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("lung-ct: nodules 1", "1.0.0")
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert "0123456789abcdef" in algorithm.AlgorithmParameters


def test_the_geometry_is_the_sources(seg: Dataset) -> None:
    shared = seg.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    assert [float(v) for v in measures.PixelSpacing] == [0.8, 0.7]
    assert float(measures.SliceThickness) == float(measures.SpacingBetweenSlices) == 2.5
    assert (seg.Rows, seg.Columns) == (20, 28)
    assert seg.BodyPartExamined == "CHEST"


# ── Report ────────────────────────────────────────────────────────────────────────────────────────
def test_a_report_refers_to_the_segments_by_number_and_tracking(seg: Dataset, report: Dataset) -> None:
    described = {item.SegmentNumber: item for item in seg.SegmentSequence}
    for number, group in enumerate(_groups(report), start=1):
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1411"
        facts = {_name(item): item for item in group.ContentSequence}
        reference = facts["Referenced Segment"].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == number
        assert described[number].TrackingUID == facts["Tracking Unique Identifier"].UID
        assert facts["Tracking Identifier"].TextValue == described[number].TrackingID
        series = facts["Source series for segmentation"]
        assert findings().sources[0].series_instance_uid == series.UID
    assert len(described) == 3


def test_numbers_are_rounded_coded_and_say_which_algorithm_made_them(report: Dataset) -> None:
    lung, _, nodule = _groups(report)
    numbers = {_name(item): item for item in nodule.ContentSequence if item.ValueType == "NUM"}
    assert {name: _value(item) for name, item in numbers.items()} == {
        "Volume": 123.5,
        "Long axis": 12.3,
        "Certainty of Finding": 87.1,
    }
    assert (
        numbers["Certainty of Finding"].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        == "%"
    )
    assert [_value(item) for item in numbers["Volume"].ContentSequence] == ["lung-ct: nodules 1", "1.0.0"]
    mean = next(item for item in lung.ContentSequence if _name(item) == "Attenuation Coefficient")
    assert (_value(mean), _value(mean.ContentSequence[0])) == (-812.3, "373098007")


def test_sites_and_sides_stand_in_the_report(report: Dataset) -> None:
    sides = []
    for group in _groups(report):
        site = next(item for item in group.ContentSequence if _name(item) == "Finding Site")
        assert _value(site) == LUNG.value
        sides.append(_value(site.ContentSequence[0]))
    assert sides == [RIGHT.value, LEFT.value, RIGHT.value]


def test_the_evidence_is_complete(seg: Dataset, report: Dataset) -> None:
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID: item.ReferencedSOPClassUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    frames = {frame.sop_instance_uid for frame in findings().sources[0].frames}
    assert set(named) == frames | {seg.SOPInstanceUID}
    assert named[seg.SOPInstanceUID] == seg.SOPClassUID


def test_a_report_is_complete_preliminary_and_unverified(report: Dataset) -> None:
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.22"
    flags = (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag)
    assert flags == ("COMPLETE", "PRELIMINARY", "UNVERIFIED")


def test_a_report_names_those_that_it_takes_the_place_of_and_says_so() -> None:
    (series,) = {one.series_instance_uid for one in EARLIER[:2]}
    made = {one.kind: one for one in make_objects(findings(), ReportProfile(), SALT, replaces=EARLIER)}
    (study,) = _read(made["SR"]).PredecessorDocumentsSequence
    assert study.StudyInstanceUID == findings().sources[0].study_instance_uid
    named = {
        (of_series.SeriesInstanceUID, one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID)
        for of_series in study.ReferencedSeriesSequence
        for one in of_series.ReferencedSOPSequence
    }
    assert named == {(one.series_instance_uid, one.sop_class_uid, one.sop_instance_uid) for one in EARLIER}
    assert [of.SeriesInstanceUID for of in study.ReferencedSeriesSequence].count(series) == 1
    purposes = [e.value for e in study.iterall() if e.keyword in ("CodeValue", "CodeMeaning")]
    assert purposes == ["121360", "Replaced report"] * 3
    assert "This report takes the place of 3 earlier reports on this study." in _texts(_read(made["SR"]))
    assert "PredecessorDocumentsSequence" not in _read(made["SEG"])


def test_a_report_that_names_others_is_another_object_and_its_segmentation_is_the_same() -> None:
    without = _made(findings())
    named = [
        {one.kind: one for one in make_objects(findings(), ReportProfile(), SALT, replaces=EARLIER[:count])}
        for count in (1, 2)
    ]
    assert "PredecessorDocumentsSequence" not in _read(without["SR"])
    assert len({one["SR"].sop_instance_uid for one in (without, *named)}) == 3
    assert len({one["SEG"].content for one in (without, *named)}) == 1


def test_highdicom_reads_a_report_that_names_others() -> None:
    made = {one.kind: one for one in make_objects(findings(), ReportProfile(), SALT, replaces=EARLIER)}
    read = sr.EnhancedSR.from_dataset(_read(made["SR"]))
    assert len(read.content.get_volumetric_roi_measurement_groups()) == 3
    evidence = {uid for _, _, uid, _ in read.get_evidence()}
    assert not evidence & {one.sop_instance_uid for one in EARLIER}, "they are no evidence"


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_what_is_made_for_a_look_says_so_and_is_another_object(
    kind: str, made: dict[str, ResultObject]
) -> None:
    profile = ReportProfile(for_a_look=True)
    one = next(one for one in make_objects(findings(), profile, SALT) if one.kind == kind)
    look, delivered = _read(one), _read(made[kind])
    assert look.SeriesDescription == f"Not for clinical use: lung-ct 1.0.0 {kind}"
    assert look.ContentQualification == "RESEARCH"
    assert delivered.SeriesDescription == f"lung-ct 1.0.0 {kind}"
    assert "ContentQualification" not in delivered
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert look[keyword].value != delivered[keyword].value
    if kind == "SR":
        first = "Made for a look at findings that the node kept, and not delivered. Not for clinical use."
        assert _texts(look)[0] == first
        assert first not in _texts(delivered)


def test_the_observer_is_a_device_that_is_the_same_for_all_reports(report: Dataset) -> None:
    other = _read(_made(nothing_found(Series(study="another")))["SR"])
    devices = []
    for one in (report, other):
        facts = {_name(item): _value(item) for item in one.ContentSequence if item.ValueType != "CONTAINER"}
        assert facts["Observer Type"] == "121007"
        assert facts["Procedure reported"] == "25045-6"
        devices.append((facts["Device Observer UID"], facts["Device Observer Serial Number"]))
    assert devices[0] == devices[1]


def test_the_report_says_in_words_what_it_is_and_where_to_look(report: Dataset) -> None:
    texts = _texts(report)
    assert mark_of(findings()) in texts
    assert "The lungs are cut at the top." in texts
    assert "1 of 3 candidates is reported." in texts
    provenance = next(text for text in texts if text.startswith("Made by"))
    for word in ("lung-ct 1.0.0", "0123456789abcdef" * 4, "onnxruntime 1.31.1", "fp32", "dicomnode 0.1.0"):
        assert word in provenance
    place = next(text for text in texts if text.startswith("nodule-1"))
    assert "right lung" in place
    assert "score 87.1 %" in place
    assert "largest on image 7" in place
    assert _summary(report) == "111242"


def test_repairs_and_dropped_headers_are_told() -> None:
    found = findings(Series(extra={"PatientSex": "U"}))
    source = replace(found.sources[0], repairs=(Repair(kind="duplicate", text="Slice 3 came twice."),))
    texts = _texts(_read(_made(replace(found, sources=(source,)))["SR"]))
    assert "Source series: Slice 3 came twice." in texts
    assert any("(0010,0040)" in text for text in texts)


@pytest.mark.parametrize("engine", ["lung-ct", "lung-ct2", "e" * 64, "e" * 63])
def test_the_digest_fills_its_value_to_the_last_character_whatever_stands_beside_it(engine: str) -> None:
    found = findings(provenance=provenance(engine=engine))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for one in _made(found).values():
            read = _read(one)
            list(read.iterall())  # values are checked when they are first looked at
            assert read.SoftwareVersions[1] == "0123456789abcdef" * 4
    assert [str(one.message) for one in caught] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_finding_has_a_report_that_says_its_sentences_first(kind: str) -> None:
    found, said = KINDS[kind]
    texts = _texts(_read(_made(found)["SR"]))
    assert texts[: len(said)] == said
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    ("kind", "summary"),
    [
        ("organs and a lesion", "111242"),
        ("organs, and nothing of what was looked for", "111241"),
        ("one lesion found, another not looked for", "111244"),
        ("organs, and a lesion not looked for", "111243"),
        ("not analysed", "111245"),
        ("failed", "111245"),
        ("failed after the organs", "111243"),
    ],
)
def test_the_summary_says_whether_all_was_looked_for(kind: str, summary: str) -> None:
    assert _summary(_read(_made(KINDS[kind][0])["SR"])) == summary


@pytest.mark.parametrize(
    "kind", ["organs, and a lesion not looked for", "one lesion found, another not looked for"]
)
def test_what_was_not_looked_for_is_not_attempted_and_never_absent(kind: str) -> None:
    found = KINDS[kind][0]
    report = _read(_made(found)["SR"])
    *_, last = [{_name(item): _value(item) for item in group.ContentSequence} for group in _groups(report)]
    assert last["Summary of Detections"] == "111225"
    assert last["Finding"] == found.remarks[0].type.value
    assert "272519000" not in {_value(item) for item in _items(report)}
    assert len(_groups(report)) == len(found.segments) + 1


def test_a_region_without_a_number_names_its_algorithm_and_its_place() -> None:
    report = _read(_made(KINDS["points and boxes"][0])["SR"])
    _, box = [{_name(item): _value(item) for item in group.ContentSequence} for group in _groups(report)]
    assert (box["Algorithm Name"], box["Algorithm Version"]) == ("lung-ct: nodules 1", "1.0.0")
    assert any(
        text.startswith("nodule-3: Nodule, left lung, on image 5, box of 6.0 × 7.0 × 13.0 mm around 2.0 mm R")
        for text in _texts(report)
    )


# ── What is not a finding ─────────────────────────────────────────────────────────────────────────
def test_nothing_found_is_absent_of_what_was_looked_for() -> None:
    made = _made(nothing_found())
    assert set(made) == {"SR"}
    report = _read(made["SR"])
    (group,) = _groups(report)
    assert group.ContentTemplateSequence[0].TemplateIdentifier == "1501"
    facts = {_name(item): _value(item) for item in group.ContentSequence}
    assert facts["Finding"] == NODULE.value
    assert facts["Finding Site"] == LUNG.value
    assert facts["Nodule"] == "272519000"
    assert facts["Algorithm Name"] == "lung-ct"
    assert _summary(report) == "111241"
    assert "No nodule candidate was found." in _texts(report)


def test_lungs_without_a_nodule_are_segmented_and_the_nodule_is_absent() -> None:
    found = replace(nothing_found(), segments=findings().segments[:2])
    made = _made(found)
    assert set(made) == {"SEG", "SR"}
    templates = [g.ContentTemplateSequence[0].TemplateIdentifier for g in _groups(_read(made["SR"]))]
    assert templates == ["1411", "1411", "1501"]


def test_nothing_found_by_an_engine_that_says_no_more_is_an_absent_lesion() -> None:
    report = _read(_made(replace(nothing_found(), remarks=()))["SR"])
    (group,) = _groups(report)
    assert {_name(item): _value(item) for item in group.ContentSequence}["Lesion"] == "272519000"


@pytest.mark.parametrize(
    ("outcome", "status"), [(Outcome.NOT_ANALYSED, "111225"), (Outcome.FAILED, "111224")]
)
def test_not_analysed_and_failed_never_say_absent_and_give_the_reason(outcome: Outcome, status: str) -> None:
    made = _made(not_analysed(outcome=outcome))
    assert set(made) == {"SR"}
    report = _read(made["SR"])
    (group,) = _groups(report)
    assert {_name(item): _value(item) for item in group.ContentSequence}["Summary of Detections"] == status
    assert "272519000" not in {_value(item) for item in _items(report)}
    assert _summary(report) == "111245"
    texts = _texts(report)
    assert any("one is missing" in text and "DN-3005" in text for text in texts)
    assert any("not a statement that nothing is there" in text for text in texts)


def test_without_segmentation_a_report_has_the_outlines_itself() -> None:
    made = _made(findings(), "SR")
    assert set(made) == {"SR"}
    groups = _groups(_read(made["SR"]))
    assert [g.ContentTemplateSequence[0].TemplateIdentifier for g in groups] == ["1410"] * 3
    assert made["SR"].sop_instance_uid != _made(findings())["SR"].sop_instance_uid


def test_a_segmentation_is_the_same_object_with_and_without_its_report() -> None:
    assert _made(findings(), "SEG")["SEG"] == _made(findings())["SEG"]


def test_a_destination_of_segmentations_gets_nothing_where_there_is_none() -> None:
    assert _made(nothing_found(), "SEG") == {}


def test_classes_regions_and_numbers_of_the_study_have_groups() -> None:
    found = findings(
        segments=(),
        classifications=(
            Classification(label="nodule", type=NODULE, probability=0.9, threshold=0.5),
            Classification(label="lung", type=LUNG, probability=0.1, threshold=0.5),
        ),
        regions=(
            Region(
                label="nodule-2",
                kind=RegionKind.POINT,
                points_lps_mm=((-31.5, 12.0, -105.25),),
                type=NODULE,
                tracking_uid="1.2.3",
                tracking_id="Nodule 2",
                algorithm="nodules 1",
                site=LUNG,
                laterality=LEFT,
                score=0.5,
            ),
        ),
        measurements=(Measurement(name="volume_ml", concept=VOLUME, value=4321.98765, unit=MILLILITRE),),
    )
    report = _read(_made(found)["SR"])
    groups = [{_name(item): _value(item) for item in group.ContentSequence} for group in _groups(report)]
    assert [group.get("Nodule") for group in groups] == [None, "52101004", None, None]
    assert [group.get("Lung") for group in groups] == [None, None, "272519000", None]
    assert [group.get("Certainty of Finding") for group in groups] == [50.0, None, None, None]
    assert [group.get("Probability") for group in groups] == [None, 90.0, 10.0, None]
    assert groups[3]["Volume"] == 4321.988
    assert "nodule-2: Nodule, left lung, score 50.0 %, point at 31.5 mm R, 12.0 mm P, 105.2 mm F." in _texts(
        report
    )


def test_a_segment_without_numbers_is_given_its_volume() -> None:
    nodule = replace(findings().segments[2], measurements=(), score=None)
    (group,) = _groups(_read(_made(findings(segments=(nodule,)))["SR"]))
    volume = next(item for item in group.ContentSequence if _name(item) == "Volume")
    grid = findings().sources[0].grid
    assert grid is not None
    assert _value(volume) == pytest.approx(nodule.mask.count * grid.voxel_mm3, abs=0.05)


def test_coding_schemes_of_our_own_are_identified() -> None:
    own = Code("EQDIAM", "99DICOMNODE", "Diameter of sphere of equal volume")
    number = Measurement(name="equivalent_diameter_mm", concept=own, value=7.0, unit=MILLIMETRE)
    nodule = replace(findings().segments[2], measurements=(number,))
    report = _read(_made(findings(segments=(nodule,)))["SR"])
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99DICOMNODE"
    assert "CodingSchemeIdentificationSequence" not in _read(_made(findings())["SR"])


def test_a_remark_of_quality_is_no_absent_finding() -> None:
    remarks = (Remark(kind=RemarkKind.QUALITY, text="The lungs are cut at the top."),)
    report = _read(_made(findings(remarks=remarks))["SR"])
    assert len(_groups(report)) == 3


def test_a_report_of_another_modality_names_its_procedure() -> None:
    report = _read(_made(nothing_found(Series(extra={"Modality": "MR"})))["SR"])
    facts = {_name(item): _value(item) for item in report.ContentSequence if item.ValueType == "CODE"}
    assert facts["Procedure reported"] == "25056-3"


def test_masks_come_back_from_the_bits(seg: Dataset) -> None:
    bits = np.unpackbits(np.frombuffer(seg.PixelData, dtype=np.uint8), bitorder="little")
    assert bits[: seg.NumberOfFrames * 560].sum() == sum(s.mask.count for s in findings().segments)
