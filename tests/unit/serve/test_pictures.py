"""Pictures from files to Findings, SR and JSON: one engine of each kind."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO

import pydicom
import pytest

from dicomnode.cli.documents import study_walk_document
from dicomnode.cli.findings import print_study
from dicomnode.report import ReportProfile
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.once.trial import WalkPlan, walk
from dicomnode.values import Outcome
from tests.fixtures.pictures import (
    breast,
    capture,
    cine,
    four_views,
    mammogram,
    photograph,
    radiograph,
    written,
)
from tests.unit.serve.picture_engines import asymmetry, effusion, masses, moles, opacities


def walked(package, folder, *datasets):
    plan = WalkPlan(
        packages=[package],
        threads=1,
        profile=ReportProfile(),
        occasion=Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32),
        all_volumes=True,
    )
    (study,) = walk([written(folder, *datasets)], plan).studies
    return study


def items(ds, value_type):
    """All content items of a kind, wherever they stand."""
    found = []
    for item in ds.get("ContentSequence", ()):
        found += [item] if item.ValueType == value_type else []
        found += items(item, value_type)
    return found


def report_of(result, *beside):
    """The report of a result, read by pydicom. beside: kinds of its other objects."""
    made = result.objects[-1]
    assert [one.kind for one in result.objects] == [*beside, "SR"]
    return pydicom.dcmread(BytesIO(made.content))


def test_each_view_of_a_mammogram_gets_its_box_on_its_own_pixels(tmp_path):
    study = walked(masses(tmp_path / "masses"), tmp_path / "in", *four_views())
    assert len(study.results) == 4
    for result, ds in zip(study.results, four_views(), strict=True):
        assert result.findings.outcome == Outcome.FINDINGS
        (region,) = result.findings.regions
        report = report_of(result)
        (scoord,) = items(report, "SCOORD")
        assert scoord.GraphicType == "POLYLINE"
        columns, rows = scoord.GraphicData[0::2], scoord.GraphicData[1::2]
        mass = breast(ds.PatientOrientation[0]) == 3000
        inside = mass.nonzero()
        assert (min(rows), max(rows)) == (inside[0].min(), inside[0].max() + 1)
        assert (min(columns), max(columns)) == (inside[1].min(), inside[1].max() + 1)
        (image,) = items(scoord, "IMAGE")
        assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == ds.SOPInstanceUID
        assert "ReferencedFrameNumber" not in image.ReferencedSOPSequence[0]
        assert region.points_lps_mm[0][0] == pytest.approx((min(columns) - 0.5) * 0.08)


def test_what_was_found_on_a_radiograph_is_boxed_measured_and_said(tmp_path):
    study = walked(opacities(tmp_path / "opacities"), tmp_path / "in", radiograph())
    (result,) = study.results
    assert result.findings.segments[0].mask.count == 5 * 8
    report = report_of(result, "GSPS")
    (scoord,) = items(report, "SCOORD")
    assert list(scoord.GraphicData) == [20, 5, 28, 5, 28, 10, 20, 10, 20, 5]
    texts = [item.TextValue for item in items(report, "TEXT")]
    assert any("column 24.5, row 8.0" in text for text in texts)
    assert any("lesion: 1 marked (8 mm2)" in text.lower() for text in texts)
    assert (
        "No segmentation: the images have no patient space; "
        "the outline of opacity-1 is in the presentation state."
    ) in texts
    assert any("MONOCHROME1" in text for text in texts)


def test_a_photograph_is_classified_and_the_report_names_it(tmp_path):
    study = walked(moles(tmp_path / "moles"), tmp_path / "in", photograph())
    (result,) = study.results
    red = (200 * 40 * 48 - 140 * 60) / (40 * 48) / 255
    assert result.findings.classifications[0].probability == pytest.approx(red, abs=1e-5)
    report = report_of(result)
    images = items(report, "IMAGE")
    assert {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in images} == {
        photograph().SOPInstanceUID
    }


def test_a_clip_is_classified_at_the_rate_that_the_engine_wants(tmp_path):
    study = walked(effusion(tmp_path / "effusion"), tmp_path / "in", cine())
    (result,) = study.results
    # frames at 40 ms, taken every 80 ms: 0, 2, 4, 6, 8, 10
    (one,) = result.findings.classifications
    assert one.probability == pytest.approx(105 / 255, abs=1e-5)
    assert [score.frame.frame_number for score in result.findings.frame_scores] == [1, 3, 5, 7, 9, 11]
    report_of(result)


def test_four_views_of_one_series_are_four_inputs(tmp_path):
    views = four_views()
    views[2].PixelData = bytes(len(views[2].PixelData))
    study = walked(asymmetry(tmp_path / "asymmetry"), tmp_path / "in", *views)
    (result,) = study.results
    mean = float(breast().mean())
    assert [one.value for one in result.findings.measurements] == pytest.approx([mean, mean, 0.0, mean])
    assert [one.name for one in result.findings.sources] == ["lcc", "rcc", "lmlo", "rmlo"]
    report = report_of(result)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert len(evidence.ReferencedSOPSequence) == 4
    told = [verdict.rule for verdict in study.dispatch.verdicts if not verdict.chosen]
    assert sorted(told) == [f"goes with the chosen one as input {name}" for name in ("lmlo", "rcc", "rmlo")]


def test_a_missing_view_is_named(tmp_path):
    study = walked(asymmetry(tmp_path / "asymmetry"), tmp_path / "in", *four_views()[:3])
    (result,) = study.results
    assert result.findings.outcome == Outcome.NOT_ANALYSED
    assert "rmlo" in result.findings.remarks[0].text


def test_for_processing_is_passed_over_where_presentation_is_wanted(tmp_path):
    ds = mammogram("CC", "L", PresentationIntentType="FOR PROCESSING")
    study = walked(masses(tmp_path / "masses"), tmp_path / "in", ds)
    assert study.results == ()
    (verdict,) = study.dispatch.verdicts
    assert (verdict.rule, verdict.found) == (
        "meant for presentation or processing is for presentation",
        "for processing",
    )


def test_a_capture_is_looked_at_only_by_engines_that_ask_for_captures(tmp_path):
    study = walked(moles(tmp_path / "moles"), tmp_path / "in", capture())
    assert study.results == ()
    assert "no captures of a screen" in study.dispatch.verdicts[0].rule
    rule = '{ tag = "SOPClassUID", equals = "1.2.840.10008.5.1.4.1.1.7" }'
    study = walked(moles(tmp_path / "of_captures", rule), tmp_path / "again", capture())
    assert len(study.results) == 1


def test_an_engine_for_pictures_takes_no_clip_and_says_so(tmp_path):
    study = walked(opacities(tmp_path / "opacities"), tmp_path / "in", cine())
    (verdict,) = study.dispatch.verdicts
    assert (verdict.rule, verdict.found) == ("kind of images is picture", "cine")


def test_a_picture_that_cannot_be_decoded_is_a_result_not_a_crash(tmp_path):
    ds = photograph()
    ds.PhotometricInterpretation = "HSV"
    study = walked(moles(tmp_path / "moles", '{ tag = "Modality", equals = "XC" }'), tmp_path / "in", ds)
    (result,) = study.results
    assert result.findings.outcome == Outcome.NOT_ANALYSED
    assert [remark.code for remark in result.findings.remarks] == ["DN-3075"]
    report_of(result)


def test_the_json_and_the_table_say_what_became_of_each(tmp_path, capsys):
    study = walked(effusion(tmp_path / "effusion"), tmp_path / "in", cine(3), mammogram("MLO", "R", number=2))
    document = json.loads(json.dumps(study_walk_document(study, (), {})))
    clip, view = (stack["picture"] for stack in document["series"][0]["stacks"])
    assert clip["shape_tjic"] == [3, 20, 24, 1]
    assert clip["frame_times_ms"] == [0.0, 40.0, 80.0]
    assert (view["shape_tjic"], view["view"], view["laterality"]) == ([1, 40, 24, 1], "MLO", "R")
    assert view["spacing_mm"] == pytest.approx([0.08, 0.08])
    print_study(study, document)
    shown = " ".join(capsys.readouterr().out.split())
    assert "cine of 3 frames" in shown
    assert "MLO" in shown
