"""The geometry guard of structure sets finds contours that lie somewhere else than what was found."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.report.guard.structure_sets import check_structure_set
from dicomnode.report.mismatch.error import MismatchError
from dicomnode.report.outlines import outlines, structure_set
from dicomnode.values import Findings
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.report.guard.lies import Change, Lies, expect_found, of_another
from tests.unit.report.outlines.finished import written
from tests.unit.report.sources import PLANES, Series, findings
from tests.unit.report.test_multi_frame import ORDERS, on_frames


@pytest.fixture(scope="module")
def found() -> Findings:
    return findings()


@pytest.fixture(scope="module")
def content(found: Findings) -> bytes:
    return written("RTSTRUCT", found)[0]


def _contours(read: Dataset) -> list[Dataset]:
    return [one for item in read.ROIContourSequence for one in item.ContourSequence]


def _moved(by_mm: tuple[float, float, float]) -> Change:
    def change(read: Dataset) -> None:
        for contour in _contours(read):
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3) + by_mm
            contour.ContourData = [f"{value:.4f}" for value in points.ravel()]

    return change


def _mirrored(read: Dataset) -> None:
    for contour in _contours(read):
        points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        points[:, 0] = 2 * -9.5 + 27 * 0.7 - points[:, 0]
        contour.ContourData = [f"{value:.4f}" for value in points.ravel()]


def _exchange_sides(read: Dataset) -> None:
    for item in read.RTROIObservationsSequence[:2]:
        side = item.RTROIIdentificationCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
        side.CodeValue = RIGHT.value if side.CodeValue == LEFT.value else LEFT.value


def _exchange_contours(read: Dataset) -> None:
    first, second, *_ = read.ROIContourSequence
    first.ContourSequence, second.ContourSequence = second.ContourSequence, first.ContourSequence


def _lose_a_contour(read: Dataset) -> None:
    del read.ROIContourSequence[0].ContourSequence[0]


def _lose_all_contours(read: Dataset) -> None:
    del read.ROIContourSequence[0].ContourSequence


def _lose_a_region(read: Dataset) -> None:
    del read.StructureSetROISequence[-1]


def _next_image(read: Dataset) -> None:
    first, second = _contours(read)[0], _contours(read)[-1]
    first.ContourImageSequence = second.ContourImageSequence


def _widen(read: Dataset) -> None:
    contour = _contours(read)[0]
    points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
    points[points[:, 0] == points[:, 0].max(), 0] += 0.7
    contour.ContourData = [f"{value:.4f}" for value in points.ravel()]


def _other_space(read: Dataset) -> None:
    read.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"


def _no_numbers(read: Dataset) -> None:
    _contours(read)[0].ContourData = ["1", "2"]


LIES: Lies = {
    "one column off": (_moved((0.7, 0.0, 0.0)), "voxels on slice"),
    "half a slice off": (_moved((0.0, 0.0, 1.2)), "beside slice"),
    "one slice off": (_moved((0.0, 0.0, 2.5)), "image"),
    "outside": (_moved((0.0, 0.0, 250.0)), "beside slice"),
    "mirrored": (_mirrored, "voxels on slice"),
    "one contour wider": (_widen, "voxels on slice"),
    "sides exchanged": (_exchange_sides, "side"),
    "regions exchanged": (_exchange_contours, "voxels on slice"),
    "a contour missing": (_lose_a_contour, "voxels on slice"),
    "all contours of a region missing": (_lose_all_contours, "voxels on slice"),
    "a region missing": (_lose_a_region, "number of regions"),
    "another image": (_next_image, "image"),
    "another frame of reference": (_other_space, "frame of reference"),
    "half a pixel off": (_moved((0.35, 0.4, 0.0)), "voxels on slice"),
    **of_another("1.2.840.10008.5.1.4.1.1.66.4"),
    "numbers missing": (_no_numbers, "cannot be read"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_of_a_structure_set_is_found(lie: str, found: Findings, content: bytes) -> None:
    expect_found(lambda lying: check_structure_set(lying, found), content, LIES[lie])


@pytest.mark.parametrize("plane", PLANES)
def test_true_contours_pass_in_every_plane(plane: str) -> None:
    found = findings(Series(plane=plane))
    check_structure_set(written("RTSTRUCT", found)[0], found)


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_contours_on_frames_in_any_order_pass(numbers: tuple[int, ...]) -> None:
    found = on_frames(numbers)
    check_structure_set(written("RTSTRUCT", found)[0], found)


def test_slices_that_jitter_pass() -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.ImagePositionPatient[2] = f"{float(ds.ImagePositionPatient[2]) + (0.4 if k == 5 else 0):.4f}"
        ds.ImagePositionPatient[0] = f"{float(ds.ImagePositionPatient[0]) + (0.1 if k == 4 else 0):.4f}"

    found = findings(Series(edit=edit))
    check_structure_set(written("RTSTRUCT", found)[0], found)


def test_a_region_that_is_too_large_to_be_outlined_is_no_lie(found: Findings, monkeypatch) -> None:
    monkeypatch.setattr(structure_set, "MOST_POINTS", 30)
    check_structure_set(written("RTSTRUCT", found)[0], found)


# ── writers that are broken on purpose ──


def _shift_columns(ring: np.ndarray) -> np.ndarray:
    return ring + np.array([1.0, 0.0])


def _flip_rows(ring: np.ndarray) -> np.ndarray:
    return (ring - (0.0, 19.0)) * (1.0, -1.0)


def _transpose(ring: np.ndarray) -> np.ndarray:
    return ring[:, ::-1]


@pytest.mark.parametrize("broken", [_shift_columns, _flip_rows, _transpose])
def test_outlines_of_a_broken_writer_do_not_pass(broken, found: Findings, monkeypatch) -> None:
    real = outlines.without_straight_points
    monkeypatch.setattr(outlines, "without_straight_points", lambda ring: broken(real(ring)))
    with pytest.raises(MismatchError, match="voxels on slice"):
        check_structure_set(written("RTSTRUCT", found)[0], found)
