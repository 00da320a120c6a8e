"""Parametric maps: what their numbers mean, where they lie, and what they name."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.report.fields import limits
from dicomnode.report.fields.left_out import left_out
from dicomnode.report.heading.identity import to_bytes
from dicomnode.report.words.sentences import comments
from dicomnode.values import Code, Findings, Grid, PicturePlane
from dicomnode.values.codes import NO_UNIT
from tests.unit.report.fields.fields import GRIDS, a_map, grid_of, imprint_of, maps_of, values_on, with_map
from tests.unit.report.sources import Series, findings
from tests.unit.report.test_multi_frame import on_frames


def read(found: Findings) -> Dataset:
    (one,) = maps_of(found)
    return dcmread(BytesIO(to_bytes(one)))


def test_numbers_are_stored_as_they_are() -> None:
    grid = grid_of(Series())
    values = values_on(grid) * np.float32(-3.7e5) + np.float32(1e-3)
    made = read(with_map(Series(), values=values))
    assert made.BitsAllocated == 32
    assert "PixelData" not in made
    stored = np.frombuffer(made.FloatPixelData, dtype="<f4").reshape(
        made.NumberOfFrames, made.Rows, made.Columns
    )
    assert np.array_equal(stored, values)


def test_the_mapping_says_what_the_numbers_are_and_in_which_unit() -> None:
    made = read(with_map(Series()))
    (mapping,) = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    first = mapping.DoubleFloatRealWorldValueFirstValueMapped
    assert (first, mapping.DoubleFloatRealWorldValueLastValueMapped) == (0.0, 1.0)
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    (quantity,) = mapping.QuantityDefinitionSequence
    assert quantity.ConceptNameCodeSequence[0].CodeValue == "246205007"
    assert quantity.ConceptCodeSequence[0].CodeMeaning == "Probability"
    assert mapping.LUTLabel == "nodule-heat"


def test_a_map_says_that_software_made_it_and_of_what() -> None:
    made = read(with_map(Series()))
    assert list(made.ImageType) == ["DERIVED", "PRIMARY", "VOLUME", "QUANTITY"]
    assert (made.Modality, made.ContentQualification) == ("OT", "RESEARCH")
    assert made.RecognizableVisualFeatures == "YES"  # nobody has looked
    assert made.BurnedInAnnotation == "NO"
    assert "nodules 1, by lung-ct 1.0.0" in made.DerivationDescription
    assert made.ImageComments.endswith("Not for clinical use.")
    assert made.ContentLabel == "NODULE_HEAT"
    assert made.ContributingEquipmentSequence[1].ManufacturerModelName == "lung-ct"
    assert "PaletteColorLookupTableUID" not in made
    assert made.PixelPresentation == "MONOCHROME"


def test_the_window_of_a_probability_is_all_of_it() -> None:
    (window,) = read(with_map(Series())).SharedFunctionalGroupsSequence[0].FrameVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth, window.VOILUTFunction) == (0.5, 1.0, "LINEAR_EXACT")


@pytest.mark.parametrize(
    ("onto", "named"),
    [
        ("its own", [*range(12)]),
        ("finer", [0, None, 1, None, 2]),
        ("across", [None] * 20),
        ("coarser", [*range(12)]),
    ],
)
def test_frames_on_an_image_name_it_and_others_name_the_series(onto: str, named: list[int | None]) -> None:
    found = with_map(Series(), onto)
    made = read(found)
    frames = found.sources[0].frames
    for frame, k in zip(made.PerFrameFunctionalGroupsSequence, named, strict=False):
        images = frame.DerivationImageSequence[0].SourceImageSequence
        wanted = [] if k is None else [frames[k].sop_instance_uid]
        assert [one.ReferencedSOPInstanceUID for one in images] == wanted
        assert {one.SpatialLocationsPreserved for one in images} <= {"NO" if onto == "coarser" else "YES"}
    (series,) = made.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == found.sources[0].series_instance_uid
    assert len(series.ReferencedInstanceSequence) == 12


def test_frames_of_a_multi_frame_source_name_its_frames() -> None:
    numbers = (5, 2, 9, 12, 1, 7, 3, 11, 4, 10, 6, 8)
    found = on_frames(numbers)
    grid = found.sources[0].grid
    assert grid is not None
    made = read(replace(found, segments=(), maps=(a_map(grid),)))
    named = [
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for frame in made.PerFrameFunctionalGroupsSequence
    ]
    assert named == list(numbers)


def test_each_map_is_an_object_of_the_one_series() -> None:
    grid = grid_of(Series())
    found = findings(segments=(), maps=(a_map(grid), a_map(grid, label="error", values=values_on(grid) * 4)))
    first, second = maps_of(found)
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert [one.InstanceNumber for one in (first, second)] == [1, 2]
    assert [one.ContentLabel for one in (first, second)] == ["NODULE_HEAT", "ERROR"]
    organisations = {one.DimensionOrganizationSequence[0].DimensionOrganizationUID for one in (first, second)}
    assert len(organisations) == 2


def test_no_map_is_no_object() -> None:
    assert maps_of(findings()) == ()


def test_the_same_map_gives_the_same_bytes() -> None:
    first, second = (to_bytes(maps_of(with_map(Series(), "finer"))[0]) for _ in range(2))
    assert first == second


def test_a_source_that_was_compressed_with_loss_is_told_of() -> None:
    assert read(with_map(Series())).LossyImageCompression == "00"
    lossy = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12.5",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    made = read(with_map(Series(extra=lossy)))
    assert (made.LossyImageCompression, made.LossyImageCompressionRatio) == ("01", 12.5)


def test_the_frame_of_reference_is_described_as_in_the_source() -> None:
    assert (
        read(with_map(Series(extra={"PositionReferenceIndicator": "SN"}))).PositionReferenceIndicator == "SN"
    )
    assert read(with_map(Series())).PositionReferenceIndicator == ""


# ── What is left out, and said ────────────────────────────────────────────────────────────────────
def said(found: Findings, reason: str) -> bool:
    assert maps_of(found) == ()
    (sentence,) = left_out(found)
    assert sentence in comments(found, imprint_of(found).heading)
    return reason in sentence and sentence.startswith("Map nodule-heat:")


def test_a_map_on_a_picture_is_left_out_and_the_report_says_so() -> None:
    plane = PicturePlane(spacing_ji_mm=(0.5, 0.4))
    source = Series(shape_kji=(1, 20, 28)).source()
    grid = plane.grid((1, 20, 28))
    picture = replace(source, grid=grid, plane=plane)
    one = a_map(grid, values=np.zeros(grid.shape_kji, dtype=np.float32))
    assert said(findings(None, sources=(picture,), segments=(), maps=(one,)), "its source is a picture")


def test_a_map_that_is_too_large_is_left_out_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_MAP_BYTES", 4 * 12 * 20 * 28 - 1)
    assert said(with_map(Series()), "more than")
    monkeypatch.setattr(limits, "MOST_MAP_BYTES", 4 * 12 * 20 * 28)
    assert len(maps_of(with_map(Series()))) == 1


def test_a_map_on_leaning_rows_is_left_out_and_the_report_says_so() -> None:
    grid = grid_of(Series())
    affine = grid.affine_lps.copy()
    affine[:3, 1] += 0.1 * affine[:3, 0]
    leaning = Grid(grid.shape_kji, affine, grid.frame_of_reference_uid)
    found = findings(segments=(), maps=(a_map(leaning),))
    assert said(found, "perpendicular")


def test_what_has_an_object_is_not_told_of() -> None:
    for onto in GRIDS:
        assert left_out(with_map(Series(), onto)) == []


def test_long_words_are_cut_to_what_their_attributes_hold() -> None:
    long = Code("LONGER", "99DICOMNODE", "Q" * 64)
    made = read(with_map(Series(), label="a-label-of-more-than-sixteen", type=long, unit=NO_UNIT))
    (mapping,) = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert (made.ContentLabel, mapping.LUTLabel) == ("A_LABEL_OF_MORE_", "a-label-of-more-")
    assert len(made.ContentDescription) <= 64
    assert made.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99DICOMNODE"
