"""Structure sets: contours in patient space that give back the masks, and what stands around them."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from dicomnode.report.outlines import structure_set
from dicomnode.report.outlines.placed import decimal_strings
from dicomnode.values import Findings, Mask, RegionKind
from tests.unit.report.on_pictures import at, on_picture
from tests.unit.report.outlines.finished import read, written
from tests.unit.report.outlines.reading import masks_of_structure_set
from tests.unit.report.sources import MADE_AT, PLANES, Series, findings, not_analysed, nothing_found, part_10
from tests.unit.report.test_multi_frame import ORDERS, on_frames


def with_holes(found: Findings) -> Findings:
    """The right lung with two holes on each slice, one of them with something in it."""
    right = found.segments[0]
    mask = right.mask.to_array()
    mask[:, 9:14, 3:7] = False
    mask[:, 11, 5] = True
    mask[:, 15, 2] = False
    return replace(found, segments=(replace(right, mask=Mask.from_array(mask)), *found.segments[1:]))


def images(series: Series) -> list[Dataset]:
    return [dcmread(BytesIO(part_10(ds))) for ds in series.datasets()]


@pytest.mark.parametrize("rule", ["even-odd", "winding"])
@pytest.mark.parametrize("plane", PLANES)
def test_contours_filled_on_their_images_give_back_every_mask(plane: str, rule: str) -> None:
    series = Series(plane=plane)
    found = with_holes(findings(series))
    masks = masks_of_structure_set(read("RTSTRUCT", found), images(series), rule)
    for segment, mask in zip(found.segments, masks, strict=True):
        assert np.array_equal(mask, segment.mask.to_array()), segment.label


def test_slices_that_jitter_have_their_contours_where_they_lie_themselves() -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient[2] = f"{float(ds.ImagePositionPatient[2]) + (0.3 if k % 2 else 0.0):.4f}"

    series = Series(edit=edit)
    found = findings(series)
    masks = masks_of_structure_set(read("RTSTRUCT", found), images(series))
    assert np.array_equal(masks[0], found.segments[0].mask.to_array())


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_contours_of_a_multi_frame_object_name_their_frames_and_lie_on_them(numbers: tuple[int, ...]) -> None:
    found = on_frames(numbers)
    ds, grid = read("RTSTRUCT", found), found.sources[0].grid
    assert grid is not None
    for segment, region in zip(found.segments, ds.ROIContourSequence, strict=True):
        occupied = set()
        for contour in region.ContourSequence:
            (image,) = contour.ContourImageSequence
            k = numbers.index(int(image.ReferencedFrameNumber))
            index = grid.to_index_kji(np.array(contour.ContourData, float).reshape(-1, 3))
            assert np.abs(index[:, 0] - k).max() < 1e-3
            occupied.add(k)
        wanted = np.flatnonzero(segment.mask.to_array().any(axis=(1, 2)))
        assert occupied == {int(k) for k in wanted}


def test_every_coordinate_fits_its_value_representation() -> None:
    far = Series(plane="oblique", origin_lps_mm=(-1234.56789, 9876.54321, -100000.123456))
    ds = read("RTSTRUCT", findings(far))
    texts = [
        one.original_string if hasattr(one, "original_string") else str(one)
        for region in ds.ROIContourSequence
        for contour in region.ContourSequence
        for one in contour.ContourData
    ]
    assert max(map(len, texts)) <= 16
    assert not any("e" in text.lower() for text in texts)


def test_a_number_that_needs_more_room_is_refused_and_none_is_minus_nothing() -> None:
    assert decimal_strings(np.array([[-0.00001, 12.5, -3.0]]), 4) == ["0", "12.5", "-3"]
    assert decimal_strings(np.array([[100.0, 1e5, 0.0]]), 0) == ["100", "100000", "0"]
    with pytest.raises(ValueError, match="16 characters"):
        decimal_strings(np.array([[1e13 / 3, 0, 0]]), 5)


def test_a_region_says_what_it_is_who_made_it_and_how_large_it_is() -> None:
    found = findings()
    ds = read("RTSTRUCT", found)
    assert [one.ROIName for one in ds.StructureSetROISequence] == ["lung-right", "lung-left", "nodule-1"]
    assert {one.ROIGenerationAlgorithm for one in ds.StructureSetROISequence} == {"AUTOMATIC"}
    nodule, seen = ds.StructureSetROISequence[2], ds.RTROIObservationsSequence[2]
    grid = found.sources[0].grid
    assert grid is not None
    assert float(nodule.ROIVolume) == pytest.approx(found.segments[2].mask.count * grid.voxel_mm3 / 1000)
    assert found.segments[2].tracking_uid in nodule.ROIDescription
    assert [one.RTROIInterpretedType for one in ds.RTROIObservationsSequence] == ["ORGAN", "ORGAN", ""]
    kind = seen.RTROIIdentificationCodeSequence[0]
    assert (kind.CodeValue, seen.AnatomicRegionSequence[0].CodeValue) == ("27925004", "39607008")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert list(ds.ROIContourSequence[0].ROIDisplayColor) == [102, 170, 255]


def test_the_set_is_unapproved_dated_as_its_findings_and_refers_to_every_image() -> None:
    found = findings()
    ds = read("RTSTRUCT", found)
    assert (ds.SOPClassUID, ds.Modality, ds.ApprovalStatus) == (
        RTStructureSetStorage,
        "RTSTRUCT",
        "UNAPPROVED",
    )
    assert ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert (ds.StructureSetDate, ds.StructureSetTime) == (MADE_AT.strftime("%Y%m%d"), "233015.123456")
    (study,) = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    uids = [one.ReferencedSOPInstanceUID for one in series.ContourImageSequence]
    assert uids == [frame.sop_instance_uid for frame in found.sources[0].frames]
    assert "Not for clinical use" in ds.StructureSetDescription
    looked = read("RTSTRUCT", findings(), for_a_look=True)
    assert looked.StructureSetDescription.count("Not for clinical use") == 2


def test_what_has_too_many_points_is_left_without_contours_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ds = read("RTSTRUCT", findings())
    points = [sum(c.NumberOfContourPoints for c in one.ContourSequence) for one in ds.ROIContourSequence]
    largest = int(np.argmax(points))
    monkeypatch.setattr(structure_set, "MOST_POINTS", sum(points) - 1)
    cut = read("RTSTRUCT", findings())
    assert ["ContourSequence" in one for one in cut.ROIContourSequence] == [n != largest for n in range(3)]
    assert f"No contours: they would have {points[largest]} points" in (
        cut.StructureSetROISequence[largest].ROIDescription
    )
    assert "1 region has too many points and no contours." in cut.StructureSetDescription


def test_a_contour_longer_than_a_short_length_field_can_say_is_written_whole() -> None:
    """A plate of 60 × 120 pixels with 1,600 holes: 65,534 bytes are not enough for its outline."""
    series = Series(shape_kji=(4, 60, 120))
    found = findings(series)
    plate = np.zeros(series.shape_kji, dtype=bool)
    plate[0, 1:-1, 1:-1] = True
    plate[0, 2:-2:2, 2:-2:2] = False
    one = replace(found.segments[0], mask=Mask.from_array(plate))
    ds = read("RTSTRUCT", replace(found, segments=(one,)))
    (contour,) = ds.ROIContourSequence[0].ContourSequence
    assert len(contour.ContourData) == 3 * contour.NumberOfContourPoints > 20_000


@pytest.mark.parametrize(
    "found",
    [nothing_found(), not_analysed(), on_picture(RegionKind.POINT, at(0, 4, 7))],
    ids=["nothing found", "not analysed", "a picture"],
)
def test_there_is_none_where_nothing_was_outlined_in_the_patient(found: Findings) -> None:
    assert written("RTSTRUCT", found) == []


def test_the_same_findings_give_the_same_bytes() -> None:
    assert written("RTSTRUCT", findings()) == written("RTSTRUCT", findings())
