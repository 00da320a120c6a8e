"""Structure sets of others, and our own, filled on the slices that they were drawn on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.values import Annotation, AnnotationKind, Grid, MadeBy, RegionKind
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.assemble.annotations.objects import (
    change,
    refused,
    stacks_in,
    the_annotation,
    write_images,
    write_results,
)
from tests.unit.report.sources import LUNG, NODULE, PLANES, Series, findings, masks

SMALL = Series(shape_kji=(8, 12, 14))
GRID = Grid(SMALL.shape_kji, SMALL.affine, SMALL.uid("frame of reference"))


def structure_set(folder: Path, *regions: list[np.ndarray], kind: str = "CLOSED_PLANAR") -> Path:
    """Write images and a structure set; regions: contours (n, 3) of k, j, i of the grid of `SMALL`."""
    write_images(SMALL, folder)
    (path,) = write_results(findings(SMALL), folder, "RTSTRUCT")

    def edit(ds: Dataset) -> None:
        count = len(regions)
        for sequence in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
            setattr(ds, sequence, list(ds[sequence].value)[:count])
        for item, contours in zip(ds.ROIContourSequence, regions, strict=True):
            item.ContourSequence = [_contour(one, kind) for one in contours]

    change(path, edit)
    return path


def _contour(index_kji: np.ndarray, kind: str) -> Dataset:
    item = Dataset()
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(index_kji)
    item.ContourData = [f"{value:.6f}" for value in GRID.to_lps_mm(index_kji).ravel()]
    return item


def square(k: float, low: float, high: float) -> np.ndarray:
    return np.array([(k, low, low), (k, low, high), (k, high, high), (k, high, low)])


def the_mask(annotation: Annotation) -> np.ndarray:
    (segment,) = annotation.segments
    return segment.mask.to_array()


@pytest.mark.parametrize("plane", list(PLANES))
def test_what_the_node_drew_is_filled_again_voxel_for_voxel(plane: str, tmp_path: Path) -> None:
    series = Series(plane=plane)
    found = findings(series)
    write_images(series, tmp_path)
    write_results(found, tmp_path, "RTSTRUCT")
    annotation = the_annotation(tmp_path)
    assert annotation.kind is AnnotationKind.RTSTRUCT
    assert annotation.of_series == series.uid("series")
    wanted = masks(series.shape_kji)
    for segment in annotation.segments:
        mask = segment.mask.to_array()
        both = np.count_nonzero(mask & wanted[segment.label])
        assert 2 * both / (mask.sum() + wanted[segment.label].sum()) >= 0.98


def test_a_region_says_what_it_is_and_who_drew_it(tmp_path: Path) -> None:
    write_images(Series(), tmp_path)
    (path,) = write_results(findings(), tmp_path, "RTSTRUCT")
    annotation = the_annotation(tmp_path)
    right, left, nodule = annotation.segments
    assert (right.type, right.laterality, left.laterality) == (LUNG, RIGHT, LEFT)
    assert (nodule.label, nodule.type, nodule.site, nodule.laterality) == ("nodule-1", NODULE, LUNG, RIGHT)
    assert nodule.tracking_uid == findings().segments[2].tracking_uid
    assert (annotation.made_by, annotation.verified) == (MadeBy.MACHINE, False)
    change(path, lambda ds: setattr(ds, "ApprovalStatus", "APPROVED"))
    annotation = the_annotation(tmp_path)
    assert (annotation.made_by, annotation.verified) == (MadeBy.PERSON, True)


def test_a_hole_is_a_contour_within_or_a_channel_to_it(tmp_path: Path) -> None:
    outer, inner = square(3, 1.5, 9.5), square(3, 3.5, 6.5)
    wanted = np.zeros(SMALL.shape_kji, dtype=bool)
    wanted[3, 2:10, 2:10] = True
    wanted[3, 4:7, 4:7] = False
    keyhole = np.concatenate([outer, outer[:1], inner, inner[:1]])
    for contours in ([outer, inner], [keyhole]):
        structure_set(tmp_path, contours)
        assert np.array_equal(the_mask(the_annotation(tmp_path)), wanted)


def test_contours_apart_on_one_slice_are_one_region(tmp_path: Path) -> None:
    structure_set(tmp_path, [square(3, 0.5, 2.5), square(3, 5.5, 8.5), square(5, 0.5, 2.5)])
    mask = the_mask(the_annotation(tmp_path))
    assert [int(plane.sum()) for plane in mask] == [0, 0, 0, 4 + 9, 0, 4, 0, 0]


@pytest.mark.parametrize("off", [-0.45, -0.2, 0.3, 0.45])
def test_a_contour_beside_a_slice_goes_to_the_nearest(off: float, tmp_path: Path) -> None:
    structure_set(tmp_path, [square(4 + off, 1.5, 6.5)])
    mask = the_mask(the_annotation(tmp_path))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [4]


def test_contours_of_coarser_images_stand_for_the_slices_between(tmp_path: Path) -> None:
    path = structure_set(tmp_path, [square(k, 1.5, 6.5) for k in (1, 3, 5)])
    mask = the_mask(the_annotation(tmp_path))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [1, 3, 5]  # drawn on these images
    change(path, lambda ds: ds.ReferencedFrameOfReferenceSequence[0].pop("RTReferencedStudySequence"))
    mask = the_mask(the_annotation(tmp_path))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_contours_of_finer_images_are_not_added_up(tmp_path: Path) -> None:
    structure_set(tmp_path, [square(k, 1.5, 6.5) for k in np.arange(2.0, 5.01, 0.25)])
    mask = the_mask(the_annotation(tmp_path))
    assert [int(plane.sum()) for plane in mask] == [0, 0, 25, 25, 25, 25, 0, 0]


def test_points_and_open_lines_are_regions(tmp_path: Path) -> None:
    at = np.array([(2.0, 3.0, 4.0)])
    structure_set(tmp_path, [at], kind="POINT")
    (region,) = the_annotation(tmp_path).regions
    assert region.kind is RegionKind.POINT
    assert np.allclose(region.points_lps_mm, GRID.to_lps_mm(at), atol=1e-4)
    structure_set(tmp_path, [np.array([(2.0, 3.0, 4.0), (2.0, 5.0, 8.0)])], kind="OPEN_PLANAR")
    (region,) = the_annotation(tmp_path).regions
    assert (region.kind, len(region.points_lps_mm)) == (RegionKind.POLYLINE, 2)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    across = np.array([(1, 2, 2), (5, 2, 6), (3, 6, 4)], dtype=float)
    structure_set(tmp_path, [square(3, 0.5, 2.5), square(20, 0.5, 2.5)], [across], [])
    annotation = the_annotation(tmp_path)
    assert [one.number for one in annotation.segments] == [1]
    assert len(annotation.notes) == 3
    assert "across the slices" in annotation.notes[0]
    assert "no contours" in annotation.notes[1]
    assert "beside the images" in annotation.notes[2]


def _first_contour(edit):
    return lambda ds: edit(ds.ROIContourSequence[0].ContourSequence[0])


def _everywhere(uid: str):
    def edit(ds: Dataset) -> None:
        ds.FrameOfReferenceUID = uid
        ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = uid
        for roi in ds.StructureSetROISequence:
            roi.ReferencedFrameOfReferenceUID = uid

    return edit


def _a_second_of_its_number(ds: Dataset) -> None:
    ds.StructureSetROISequence[1].ROINumber = 1


DAMAGE = {
    "no regions": (lambda ds: ds.pop("StructureSetROISequence"), "DN-7000"),
    "two regions of one number": (_a_second_of_its_number, "DN-7000"),
    "no contours": (lambda ds: ds.pop("ROIContourSequence"), "DN-7007"),
    "contours of nothing": (
        lambda ds: setattr(ds.ROIContourSequence[0], "ReferencedROINumber", 99),
        "DN-7000",
    ),
    "fewer points than it says": (
        _first_contour(lambda one: setattr(one, "NumberOfContourPoints", 1000)),
        "DN-7000",
    ),
    "half a point": (
        _first_contour(lambda one: setattr(one, "ContourData", one.ContourData[:-1])),
        "DN-7000",
    ),
    "points nowhere": (
        _first_contour(lambda one: setattr(one, "ContourData", ["1e30"] * len(one.ContourData))),
        "DN-7000",
    ),
    "another frame of reference": (_everywhere("1.2.3"), "DN-7002"),
}


@pytest.mark.parametrize(("edit", "code"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_structure_set_is_set_aside_with_a_row(edit, code: str, tmp_path: Path) -> None:
    write_images(SMALL, tmp_path)
    (path,) = write_results(findings(SMALL), tmp_path, "RTSTRUCT")
    change(path, edit)
    assert refused(tmp_path) == code


def test_contours_beside_all_images_are_set_aside(tmp_path: Path) -> None:
    structure_set(tmp_path, [square(40, 0.5, 2.5)])
    assert refused(tmp_path) == "DN-7005"


@pytest.mark.real_data
def test_a_structure_set_of_a_planning_system_lies_within_the_patient(real_data, tmp_path: Path) -> None:
    """There are two slices; a third one is made of the second, so that there is a volume."""
    folder = real_data("rtstruct-rt-utils")
    images = [dcmread(folder / name) for name in ("ct_1.dcm", "ct_2.dcm")]
    images.sort(key=lambda ds: ds.ImagePositionPatient[2])
    step = images[1].ImagePositionPatient[2] - images[0].ImagePositionPatient[2]
    third = dcmread(folder / "ct_1.dcm")
    third.SOPInstanceUID = third.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    third.ImagePositionPatient[2] = images[1].ImagePositionPatient[2] + step
    (tmp_path / "images").mkdir()
    for n, ds in enumerate((*images, third)):
        ds.save_as(tmp_path / "images" / f"{n}.dcm")
    (tmp_path / "rt.dcm").write_bytes((folder / "invalid_reference_rt.dcm").read_bytes())
    annotation = the_annotation(tmp_path, stacks_in(tmp_path / "images"))
    assert [one.label for one in annotation.segments] == ["ROI-1", "ROI-2", "ROI-3", "ROI-4"]
    assert annotation.made_by is MadeBy.PERSON
    assert all(one.mask.count > 50 for one in annotation.segments)
    # Of another Frame of Reference: refused
    (tmp_path / "rt.dcm").write_bytes((folder / "rt.dcm").read_bytes())
    assert refused(tmp_path, stacks_in(tmp_path / "images")) == "DN-7002"


def test_a_region_of_which_no_voxel_is_left_is_left_out_and_not_empty(tmp_path: Path) -> None:
    thin = square(3, 2.2, 2.6)  # between the centres of pixels
    structure_set(tmp_path, [square(3, 0.5, 2.5)], [thin], [square(40, 0.5, 2.5)])
    annotation = the_annotation(tmp_path)
    assert [one.number for one in annotation.segments] == [1]
    assert sum("holds no voxel" in note for note in annotation.notes) == 2
