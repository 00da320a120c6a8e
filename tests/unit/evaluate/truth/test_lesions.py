"""The true places: connected parts, shapes of reports, and studies that say that there is none."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.evaluate.truth import drawn_lesions, true_lesions
from dicomnode.evaluate.truth.lesions import lesion_of, parts_of
from dicomnode.values import AnnotatedRegion, Code, Mask, Measurement, RegionKind
from dicomnode.values.codes import MILLIMETRE
from tests.unit.evaluate.truth.values import NODULE, SHAPE, box, grid, labels, lesion, seg, segment, sr

NO = Code("373067005", "SCT", "No")
ABSENT = Code("272519000", "SCT", "Absent")  # PS3.16 CID 240
TWO = box((0, 2), (0, 2), (0, 2)) | box((4, 6), (5, 8), (6, 9))


def _region(kind: RegionKind | None, *points, **more) -> AnnotatedRegion:
    return AnnotatedRegion(label="Nodule", kind=kind, points_lps_mm=points, type=NODULE, **more)


def _closed(*points) -> AnnotatedRegion:
    return _region(RegionKind.POLYLINE, *points, points[0])


def test_each_connected_part_is_a_lesion_with_centroid_and_diameter():
    first, second = parts_of(Mask.from_array(TWO), grid())
    assert first.centre_lps_mm == pytest.approx((1.0, 1.0, 1.0))
    assert second.centre_lps_mm == pytest.approx((14.0, 12.0, 9.0))
    assert first.diameter_mm == pytest.approx((6 * 8 * 8.0 / np.pi) ** (1 / 3))
    assert second.diameter_mm == pytest.approx((6 * 18 * 8.0 / np.pi) ** (1 / 3))


def test_of_a_picture_the_diameter_is_that_of_a_disc():
    (found,) = parts_of(Mask.from_array(box((0, 1), (0, 4), (0, 5))), grid(space=""))
    assert found.diameter_mm == pytest.approx(2 * np.sqrt(20 * 4.0 / np.pi))


def test_voxels_touch_by_corners():
    diagonal = box((0, 1), (0, 1), (0, 1)) | box((1, 2), (1, 2), (1, 2))
    assert len(parts_of(Mask.from_array(diagonal), grid())) == 1


def test_segments_of_one_object_stay_apart_and_those_of_several_that_touch_are_one():
    a, b = box((0, 2), (0, 2), (0, 2)), box((0, 2), (0, 2), (2, 4))
    one_object = seg(segment("nodule-1", a, type=NODULE), segment("nodule-2", b, type=NODULE))
    assert len(true_lesions(lesion(), labels(one_object)).lesions) == 2
    two_readers = [seg(segment("nodule", one, type=NODULE), uid=f"1.5.{n}") for n, one in enumerate((a, b))]
    assert len(true_lesions(lesion(), labels(*two_readers)).lesions) == 1


@pytest.mark.parametrize(
    ("region", "centre", "diameter"),
    [
        (_region(RegionKind.POINT, (1.0, 2.0, 3.0)), (1.0, 2.0, 3.0), 0.0),
        (
            _region(
                RegionKind.POINT,
                (1.0, 2.0, 3.0),
                measurements=(
                    Measurement(name="d", concept=Code("1", "99T", "Diameter"), value=7.0, unit=MILLIMETRE),
                ),
            ),
            (1.0, 2.0, 3.0),
            7.0,
        ),
        (_region(RegionKind.BOX, (0.0, 0.0, 0.0), (4.0, 6.0, 8.0)), (2.0, 3.0, 4.0), 6.0),
        (_region(RegionKind.BOX, (0.0, 0.0, 5.0), (4.0, 8.0, 5.0)), (2.0, 4.0, 5.0), 6.0),
        (
            _region(RegionKind.ELLIPSE, (0.0, 0.0, 0.0), (8.0, 0.0, 0.0), (4.0, -2.0, 0.0), (4.0, 2.0, 0.0)),
            (4.0, 0.0, 0.0),
            6.0,
        ),
        (
            _region(RegionKind.POLYLINE, (0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (3.0, 4.0, 0.0), (0.0, 4.0, 0.0)),
            (1.5, 2.0, 0.0),
            5.0,
        ),
        (_closed((0.0, 0.0, 0.0), (6.0, 0.0, 0.0), (6.0, 4.0, 0.0), (0.0, 4.0, 0.0)), (3.0, 2.0, 0.0), 5.0),
        (_closed((0.0, 0.0, 0.0), (6.0, 0.0, 0.0), (0.0, 3.0, 0.0)), (2.0, 1.0, 0.0), np.sqrt(45.0)),
    ],
    ids=["point", "measured point", "box", "flat box", "ellipse", "polyline", "drawn box", "closed line"],
)
def test_shapes_of_reports_have_a_place_and_a_size(region, centre, diameter):
    found = lesion_of(region)
    assert found.centre_lps_mm == pytest.approx(centre)
    assert found.diameter_mm == pytest.approx(diameter)


def test_a_shape_without_points_has_no_place():
    assert lesion_of(_region(None)) is None


def test_a_report_on_a_segment_is_no_second_lesion():
    outlined = seg(segment("nodule-1", box((0, 2), (0, 2), (0, 2)), type=NODULE))
    named = sr(regions=(_region(RegionKind.POINT, (90.0, 90.0, 90.0), segment=("1.5.1", 1)),))
    inside = sr(uid="1.6.2", regions=(_region(RegionKind.POINT, (1.2, 1.0, 1.0)),))
    elsewhere = sr(uid="1.6.3", regions=(_region(RegionKind.POINT, (15.0, 12.0, 9.0)),))
    assert len(true_lesions(lesion(), labels(outlined, named, inside)).lesions) == 1
    assert len(true_lesions(lesion(), labels(outlined, named, inside, elsewhere)).lesions) == 2


def test_what_is_only_pointed_at_is_told_apart_from_what_is_outlined():
    outlined = seg(segment("nodule-1", box((0, 2), (0, 2), (0, 2)), type=NODULE))
    inside = sr(uid="1.6.2", regions=(_region(RegionKind.POINT, (1.2, 1.0, 1.0)),))
    elsewhere = sr(uid="1.6.3", regions=(_region(RegionKind.POINT, (15.0, 12.0, 9.0)),))
    (found,) = drawn_lesions(lesion(), labels(outlined, inside, elsewhere))
    assert found.centre_lps_mm == (15.0, 12.0, 9.0)
    assert drawn_lesions(lesion(), labels(outlined, inside)) is None
    assert drawn_lesions(lesion(), labels()) is None
    assert drawn_lesions(lesion(), labels(sr(answers=((NODULE, ABSENT),)))) == ()


def test_a_report_on_another_series_says_nothing_here():
    other = sr(regions=(_region(RegionKind.POINT, (1.0, 1.0, 1.0)),), of_series="1.2.4")
    assert true_lesions(lesion(), labels(other)) is None


def test_none_is_known_to_be_there_only_where_labels_say_so():
    assert true_lesions(lesion(), labels()) is None
    assert true_lesions(lesion(), labels(row={"nodule": "1"})) is None  # one, but where?
    by_table = true_lesions(lesion(), labels(row={"nodule": "0"}))
    by_segment = true_lesions(lesion(), labels(seg(segment("nodule", np.zeros(SHAPE, bool)))))
    by_answer = true_lesions(lesion(), labels(sr(answers=((NODULE, NO),))))
    by_absence = true_lesions(lesion(), labels(sr(answers=((NODULE, ABSENT),))))
    for told in (by_table, by_segment, by_answer, by_absence):
        assert told.lesions == ()


@pytest.mark.parametrize(
    "concept", ["Perimeter", "Distance to pleura", "Path length", "Skin to lesion length"]
)
def test_a_length_that_is_not_of_the_lesion_makes_it_no_larger_target(concept):
    far = Measurement(name="d", concept=Code("1", "99T", concept), value=80.0, unit=MILLIMETRE)
    assert lesion_of(_region(RegionKind.POINT, (1.0, 2.0, 3.0), measurements=(far,))).diameter_mm == 0.0


def test_of_a_line_its_own_extent_counts_and_not_what_was_measured():
    perimeter = Measurement(name="d", concept=Code("1", "99T", "Perimeter"), value=80.0, unit=MILLIMETRE)
    line = _region(RegionKind.POLYLINE, (0.0, 0.0, 0.0), (6.0, 8.0, 0.0), measurements=(perimeter,))
    assert lesion_of(line).diameter_mm == pytest.approx(10.0)


def test_a_lesion_that_a_reader_drew_on_each_slice_is_one_and_another_one_is_another():
    def square(x: float, z: float) -> AnnotatedRegion:
        corners = [(x + a, b, z) for a, b in ((-8, -8), (8, -8), (8, 8), (-8, 8), (-8, -8))]
        return _region(RegionKind.POLYLINE, *corners)

    slices = [square(0.0, 4.0 * k) for k in (0, 1, 2, 5, 4, 3, 6, 7)]
    found = true_lesions(lesion(), labels(sr(regions=(*slices, square(60.0, 0.0))))).lesions
    assert len(found) == 2
    assert found[0].centre_lps_mm[2] == pytest.approx(14.0)
    assert found[0].diameter_mm == pytest.approx(16.0)  # a closed square is a box
