"""The geometry guard of reports finds groups and coordinates that are not of what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.guard.reports import check_report
from dicomnode.report.guard.rings import surrounds_piece
from dicomnode.report.mismatch.error import MismatchError
from dicomnode.report.objects import Kind
from dicomnode.report.sr import segment_regions
from dicomnode.values import Findings, Grid, Mask, Region, RegionKind
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.report.guard.lies import (
    Change,
    Lies,
    changed,
    expect_found,
    of_another,
    points_changed,
    shrunk,
)
from tests.unit.report.kinds import KINDS
from tests.unit.report.on_pictures import at, on_picture, outlined
from tests.unit.report.sources import PLANES, SALT, Series, findings
from tests.unit.report.test_multi_frame import ORDERS, on_frames


def report(found: Findings, **profile: object) -> bytes:
    kinds: tuple[Kind, ...] = ("SR",)
    made = make_objects(found, ReportProfile(kinds=kinds, **profile), SALT)  # type: ignore[arg-type]
    return made[0].content


def with_regions(found: Findings) -> Findings:
    """The findings of `sources`, with a region of every kind within the volume."""
    grid = found.sources[0].grid
    assert grid is not None

    def points(*places: tuple[float, float, float]) -> tuple[tuple[float, float, float], ...]:
        return tuple(tuple(float(one) for one in grid.to_lps_mm(place)) for place in places)  # type: ignore[misc]

    (spot, _) = KINDS["points and boxes"][0].regions
    corners = np.array(points((4, 4.5, 5.5), (6, 9.5, 15.5)))
    box = (
        tuple(float(one) for one in corners.min(axis=0)),
        tuple(float(one) for one in corners.max(axis=0)),
    )
    of_kind = {
        RegionKind.POINT: points((5.2, 7, 9)),
        RegionKind.BOX: box,
        RegionKind.POLYLINE: points((3, 2, 4), (3, 9, 4), (3, 9, 14)),
        RegionKind.ELLIPSE: points((7, 8, 5), (7, 8, 15), (7, 5, 10), (7, 11, 10)),
    }
    regions = [
        replace(spot, label=f"spot-{n}", kind=kind, points_lps_mm=where, tracking_uid=f"1.2.{n}")
        for n, (kind, where) in enumerate(of_kind.items())
    ]
    return replace(found, regions=tuple(regions))


@pytest.fixture(scope="module")
def found() -> Findings:
    return with_regions(findings())


@pytest.fixture(scope="module")
def content(found: Findings) -> bytes:
    return report(found)


def items(read: Dataset) -> Iterator[Dataset]:
    for one in read.get("ContentSequence", ()):
        yield one
        yield from items(one)


def group_of(read: Dataset, uid: str) -> Dataset:
    groups = (one for one in items(read) if one.ValueType == "CONTAINER")
    return next(g for g in groups if any(one.get("UID") == uid for one in g.get("ContentSequence", ())))


def _coordinates(read: Dataset) -> list[Dataset]:
    return [one for one in items(read) if one.ValueType == "SCOORD"]


_each = partial(points_changed, _coordinates)


def _mirrored(points: np.ndarray) -> np.ndarray:
    return np.column_stack((28 - points[:, 0], points[:, 1]))


def _another_image(read: Dataset) -> None:
    _coordinates(read)[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _next_image(read: Dataset) -> None:
    """The outline of the nodule, on the first of the images that coordinates are on."""
    first, _, nodule, *_ = _coordinates(read)
    nodule.ContentSequence = first.ContentSequence


def _code(concept: str, value: str) -> Change:
    def change(read: Dataset) -> None:
        for one in items(read):
            if one.ValueType == "CODE" and one.ConceptNameCodeSequence[0].CodeValue == concept:
                one.ConceptCodeSequence[0].CodeValue = value

    return change


def _exchange_sides(read: Dataset) -> None:
    for one in items(read):
        if one.ValueType == "CODE" and one.ConceptNameCodeSequence[0].CodeValue == "272741003":
            code = one.ConceptCodeSequence[0]
            code.CodeValue = LEFT.value if code.CodeValue == RIGHT.value else RIGHT.value


def _untracked(read: Dataset) -> None:
    next(one for one in items(read) if one.get("UID") == "1.2.0").UID = "1.2.3.4"


LIES: Lies = {
    "outlines mirrored": (_each(_mirrored), "does not surround"),
    "the outline of the nodule mirrored": (_each(_mirrored, 2), "does not surround"),
    "an outline half as large": (_each(shrunk(0.5), 0), "does not surround"),
    "an outline one column on": (_each(lambda points: points + np.array([1, 0]), 1), "does not surround"),
    "an outline half a pixel on": (_each(lambda points: points + 0.5, 0), "does not surround"),
    "an outline on another slice": (_next_image, "does not surround"),
    "a point one pixel on": (_each(lambda points: points + 1, 3), "'spot-0' has points"),
    "a box that is smaller": (_each(shrunk(0.5), 4), "'spot-1' has points"),
    "a box mirrored": (_each(_mirrored, 4), "'spot-1' has points"),
    "a line one row down": (_each(lambda points: points + np.array([0, 1]), 5), "'spot-2' has points"),
    "an ellipse that is smaller": (_each(shrunk(0.5), 6), "'spot-3' has points"),
    "an image of no slice": (_another_image, "not looked at"),
    "another type": (_code("121071", "4147007"), "type of"),
    "the other side": (_exchange_sides, "side of"),
    "a finding missing": (_untracked, "'spot-0' is not in the report"),
    **of_another("1.2.840.10008.5.1.4.1.1.88.11"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_of_a_report_is_found(lie: str, found: Findings, content: bytes) -> None:
    expect_found(lambda lying: check_report(lying, found), content, LIES[lie])


def test_a_side_that_is_missing_is_found(found: Findings, content: bytes) -> None:
    def lose(read: Dataset) -> None:
        group = group_of(read, found.segments[0].tracking_uid)
        sites = [one for one in group.ContentSequence if one.ValueType == "CODE" and "ContentSequence" in one]
        for site in sites:
            del site.ContentSequence

    with pytest.raises(MismatchError, match="side of 'lung-right'"):
        check_report(changed(content, lose), found)


# ── What is true passes ──


@pytest.mark.parametrize("spatial", ["2d", "3d"])
@pytest.mark.parametrize("plane", PLANES)
def test_true_coordinates_pass_in_every_plane(plane: str, spatial: str) -> None:
    some = with_regions(findings(Series(plane=plane)))
    check_report(report(some, spatial=spatial, viewer="cornerstone"), some)


@pytest.mark.parametrize("name", KINDS)
def test_findings_of_every_kind_pass(name: str) -> None:
    some, _ = KINDS[name]
    check_report(report(some), some)


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_coordinates_on_frames_in_any_order_pass(numbers: tuple[int, ...]) -> None:
    some = on_frames(numbers)
    check_report(report(some), some)


def test_a_frayed_outline_that_is_told_by_its_box_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_regions, "_MOST_POINTS", 5)
    some = findings()
    mask = np.zeros((12, 20, 28), dtype=bool)
    mask[5, 3:12, 4:9], mask[5, 3:5, 9:14], mask[4, 4:6, 4:6] = True, True, True
    grid = some.sources[0].grid
    assert grid is not None
    x, y, z = (float(one) for one in grid.to_lps_mm(np.argwhere(mask)).mean(axis=0))
    segment = replace(some.segments[2], mask=Mask.from_array(mask), centre_lps_mm=(x, y, z))
    some = replace(some, segments=(segment,))
    check_report(report(some), some)


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        (RegionKind.POINT, (at(0, 9.5, 5.5),)),
        (RegionKind.BOX, (at(0, 9.5, 5.5), at(0, 13.5, 10.5))),
        (RegionKind.BOX, (at(0, -3, -3), at(2, 13.5, 10.5))),
    ],
)
def test_coordinates_on_pictures_pass_and_elsewhere_do_not(kind: RegionKind, points: tuple) -> None:
    some = on_picture(kind, *points)
    content = report(some)
    check_report(content, some)
    with pytest.raises(MismatchError, match="pixels off"):
        check_report(changed(content, _each(lambda of: of + np.array([0, 1]))), some)


def test_outlines_on_a_clip_pass_and_on_other_frames_do_not() -> None:
    some = outlined((2, slice(3, 9), slice(4, 7)), (5, slice(3, 9), slice(4, 9)))
    content = report(some)
    check_report(content, some)

    def move(read: Dataset) -> None:
        for one in _coordinates(read):
            one.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber = [2, 6]

    with pytest.raises(MismatchError, match="frames of"):
        check_report(changed(content, move), some)


# ── The grid of the images ──


def _moved(found: Findings, by_kji: tuple[float, float, float]) -> Findings:
    """The same findings on a grid that lies elsewhere, with all that has a place in the patient."""
    source = found.sources[0]
    grid = source.grid
    assert grid is not None
    affine = grid.affine_lps.copy()
    affine[:3, 3] = grid.to_lps_mm(by_kji)
    away = affine[:3, 3] - grid.affine_lps[:3, 3]

    def there(point: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = (float(one) for one in np.array(point) + away)
        return x, y, z

    segments = tuple(
        replace(one, centre_lps_mm=there(one.centre_lps_mm), long_axis_lps_mm=None) for one in found.segments
    )
    regions: tuple[Region, ...] = tuple(
        replace(one, points_lps_mm=tuple(there(point) for point in one.points_lps_mm))
        for one in found.regions
    )
    moved = Grid(grid.shape_kji, affine, grid.frame_of_reference_uid)
    return replace(found, sources=(replace(source, grid=moved),), segments=segments, regions=regions)


@pytest.mark.parametrize("kind", ["SR", "GSPS"])
@pytest.mark.parametrize(
    ("by_kji", "words"),
    [
        ((1.0, 0.0, 0.0), "slice 0 lies -1.00, 0.00, 0.00 voxels"),
        ((0.4, 0.0, 0.0), "slice 0 lies -0.40"),
        ((0.0, 3.0, 0.0), "-3.00, 0.00 voxels"),
        ((0.0, 0.0, -1.0), "1.00 voxels"),
        ((200.0, 0.0, 0.0), "-200.00"),
    ],
    ids=str,
)
def test_objects_on_a_grid_that_is_not_that_of_the_images_are_stopped(
    kind: Kind, by_kji: tuple[float, float, float], words: str, found: Findings
) -> None:
    with pytest.raises(MismatchError, match=words):
        make_objects(_moved(found, by_kji), ReportProfile(kinds=(kind,)), SALT)


@pytest.mark.parametrize("kind", ["SR", "GSPS"])
def test_objects_on_a_grid_that_runs_the_other_way_are_stopped(kind: Kind) -> None:
    some = findings(segments=())
    source = some.sources[0]
    turned = replace(source, frames=source.frames[::-1])
    some = replace(findings(), sources=(turned,))
    with pytest.raises(MismatchError, match=r"the image of slice 0 lies 11\.00"):
        make_objects(some, ReportProfile(kinds=(kind,)), SALT)


# ── The piece that an outline runs around ──

RING = np.array([(1.5, 1.5), (1.5, 5.5), (4.5, 5.5), (4.5, 1.5)])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("nothing", True),
        ("a hole", True),
        ("another piece", True),
        ("a pixel more", False),
        ("a pixel less", False),
        ("nothing there", False),
    ],
)
def test_an_outline_surrounds_one_piece_with_its_holes(change: str, expected: bool) -> None:
    mask = np.zeros((1, 8, 12), dtype=bool)
    mask[0, 2:5, 2:6] = True
    mask[0, 3, 3] = change != "a hole"
    mask[0, 2, 9] = change == "another piece"
    mask[0, 5, 3] = change == "a pixel more"
    mask[0, 4, 5] = change != "a pixel less"
    if change == "nothing there":
        mask[:] = False
        mask[0, 7, 11] = True
    assert surrounds_piece(RING, Mask.from_array(mask), 0) is expected


@pytest.mark.parametrize("lie", ["another value", "undetermined", "left out"])
def test_an_attribute_that_is_told_otherwise_than_it_was_found_is_seen(lie: str) -> None:
    found = KINDS["lesions with an attribute, which of one is not sure"][0]
    told = found.segments[0]
    first, second = told.classes
    classes = {
        "another value": (replace(first, probability=0.1), replace(second, probability=0.9)),
        "undetermined": (replace(first, probability=0.1), second),
        "left out": (),
    }[lie]
    written = report(replace(found, segments=(replace(told, classes=classes),)))
    check_report(report(found), found)
    with pytest.raises(MismatchError, match="classes of 'nodule-1'"):
        check_report(written, found)


@pytest.mark.parametrize("order", [1, -1])
def test_of_values_that_are_equally_sure_the_report_tells_one_and_is_believed(order: int) -> None:
    found = KINDS["lesions with an attribute, which of one is not sure"][0]
    told = found.segments[0]
    alike = tuple(replace(one, probability=0.7) for one in told.classes)[::order]
    tied = replace(found, segments=(replace(told, classes=alike),))
    check_report(report(tied), tied)


@pytest.mark.parametrize("lie", ["value", "class"])
def test_a_code_of_another_scheme_is_another_class(lie: str) -> None:
    found = KINDS["lesions with an attribute, which of one is not sure"][0]
    told = found.regions[1]  # a plain class, and the values of an attribute
    number = 0 if lie == "class" else 1
    classes = list(told.classes)
    other = replace(classes[number].type, scheme="99OTHER")
    classes[number] = replace(classes[number], type=other)
    written = report(replace(found, regions=(found.regions[0], replace(told, classes=tuple(classes)))))
    check_report(report(found), found)
    with pytest.raises(MismatchError, match="classes of 'nodule-3'"):
        check_report(written, found)


@pytest.mark.parametrize("lie", ["turned round", "left out", "of another"])
def test_a_class_that_is_not_the_one_that_was_found_is_seen(lie: str) -> None:
    found = KINDS["lesions with classes of their own"][0]
    told = found.segments[0]
    first, second = told.classes
    classes = {
        "turned round": (replace(first, probability=0.1), second),
        "left out": (second,),
        "of another": (first, replace(second, type=first.type, label="solid, too")),
    }[lie]
    written = report(replace(found, segments=(replace(told, classes=classes),)))
    check_report(report(found), found)
    with pytest.raises(MismatchError, match="classes of 'nodule-1'"):
        check_report(written, found)
