"""Presentation states: outlines on the pixels that they are around, and how the images are shown."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from dicomnode.report.heading.identity import mark_of
from dicomnode.report.outlines.layer_words import code_string
from dicomnode.values import Findings, PicturePlane, RegionKind, SourceHeaders
from tests.unit.report.on_pictures import PLANE, at, on_picture, spot
from tests.unit.report.outlines.finished import read, written
from tests.unit.report.outlines.rasterising import filled
from tests.unit.report.outlines.reading import lines_of
from tests.unit.report.sources import (
    PLANES,
    Series,
    findings,
    header_bytes,
    not_analysed,
    nothing_found,
)
from tests.unit.report.test_multi_frame import ORDERS, on_frames

LAYERS = ["LUNG RIGHT", "LUNG LEFT", "NODULE 1"]
region = partial(spot, score=0.5)


def texts(ds: Dataset, layer: str) -> list[tuple[str | None, str]]:
    """Texts of a layer with the image that they stand on, None of all."""
    said = []
    for annotation in ds.GraphicAnnotationSequence:
        if annotation.GraphicLayer == layer:
            images = annotation.get("ReferencedImageSequence")
            uid = None if images is None else str(images[0].ReferencedSOPInstanceUID)
            said += [(uid, one.UnformattedTextValue) for one in annotation.get("TextObjectSequence", ())]
    return said


def inside(found: Findings, k: float, row: float, column: float) -> tuple[float, float, float]:
    grid = found.sources[0].grid
    assert grid is not None
    x, y, z = grid.to_lps_mm((k, row, column))
    return float(x), float(y), float(z)


# ── Outlines ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("plane", PLANES)
def test_the_outlines_of_a_layer_filled_again_are_the_mask_on_every_image(plane: str) -> None:
    found = findings(Series(plane=plane))
    ds = read("GSPS", found)
    for layer, segment in zip(LAYERS, found.segments, strict=True):
        mask = segment.mask.to_array()
        lines = lines_of(ds, layer)
        for k, frame in enumerate(found.sources[0].frames):
            rings = lines.get((frame.sop_instance_uid, None), [])
            assert np.array_equal(filled(rings, mask.shape[1:]), mask[k]), (layer, k)


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_outlines_on_frames_name_the_frame(numbers: tuple[int, ...]) -> None:
    found = on_frames(numbers)
    uid = found.sources[0].frames[0].sop_instance_uid
    mask, lines = found.segments[0].mask.to_array(), lines_of(read("GSPS", found), LAYERS[0])
    assert {key[1] for key in lines} == {numbers[int(k)] for k in np.flatnonzero(mask.any(axis=(1, 2)))}
    for k, number in enumerate(numbers):
        assert np.array_equal(filled(lines.get((uid, number), []), mask.shape[1:]), mask[k])


def test_outlines_and_texts_stay_within_the_image() -> None:
    ds = read("GSPS", findings())
    for annotation in ds.GraphicAnnotationSequence:
        for one in annotation.get("GraphicObjectSequence", ()):
            points = np.array(one.GraphicData).reshape(-1, 2)
            assert points.min() >= 0
            assert (points <= [28, 20]).all()
        for one in annotation.get("TextObjectSequence", ()):
            corners = (*one.BoundingBoxTopLeftHandCorner, *one.BoundingBoxBottomRightHandCorner)
            limit = (28, 20, 28, 20) if one.BoundingBoxAnnotationUnits == "PIXEL" else (1, 1, 1, 1)
            assert all(0 <= value <= most for value, most in zip(corners, limit, strict=True))


def test_the_text_stands_on_the_slice_with_most_of_it_and_the_notice_on_all() -> None:
    found = findings()
    ds, frames = read("GSPS", found), found.sources[0].frames
    key = frames[6].sop_instance_uid  # 13 pixels, 12 on the next
    assert texts(ds, "NODULE 1") == [
        (key, "nodule-1: Nodule, right lung\r\n35 mm3, long axis 3.7 mm\r\nscore 87.1 %")
    ]
    assert texts(ds, "LUNG LEFT") == [(frames[0].sop_instance_uid, "lung-left: Lung, left\r\n1.39 ml")]
    ((where, notice),) = texts(ds, "NOTICE")
    assert where is None
    assert notice.split() == f"lung-ct 1.0.0: {mark_of(found)}".split()
    (looked,) = texts(read("GSPS", findings(), for_a_look=True), "NOTICE")
    assert "not delivered" in " ".join(looked[1].split())
    assert mark_of(found) in " ".join(looked[1].split())


def test_a_long_axis_is_a_line_on_its_slice() -> None:
    found = findings()
    nodule = replace(found.segments[2], long_axis_lps_mm=(inside(found, 6, 10, 2), inside(found, 6, 13, 4.5)))
    ds = read("GSPS", replace(found, segments=(nodule,)))
    lines = [
        list(one.GraphicData)
        for annotation in ds.GraphicAnnotationSequence
        for one in annotation.get("GraphicObjectSequence", ())
        if one.NumberOfGraphicPoints == 2
    ]
    assert lines == [pytest.approx([2.5, 10.5, 5.0, 13.5])]


def test_each_layer_has_a_name_of_its_own_and_its_colour() -> None:
    found = findings()
    same = [replace(one, label=f"lesion of the liver {n}") for n, one in enumerate(found.segments)]
    ds = read("GSPS", replace(found, segments=tuple(same)))
    names = [layer.GraphicLayer for layer in ds.GraphicLayerSequence]
    assert names == ["LESION OF THE LI", "LESION OF THE 2", "LESION OF THE 3", "NOTICE"]
    assert [layer.GraphicLayerOrder for layer in ds.GraphicLayerSequence] == [1, 2, 3, 4]
    colours = [tuple(layer.GraphicLayerRecommendedDisplayCIELabValue) for layer in ds.GraphicLayerSequence]
    assert len(set(colours)) == 4
    assert ds.GraphicLayerSequence[0].GraphicLayerRecommendedDisplayGrayscaleValue == 65535


@pytest.mark.parametrize(
    ("text", "name"),
    [("lung-left", "LUNG LEFT"), ("Ödem", "DEM"), ("4th rib", "LAYER 4TH RIB"), ("肺", "LAYER")],
)
def test_a_code_string_begins_with_a_letter(text: str, name: str) -> None:
    assert code_string(text, "LAYER") == name


# ── Regions ───────────────────────────────────────────────────────────────────────────────────────
def drawn(found: Findings) -> dict[int, list[np.ndarray]]:
    """Points of the lines of "spot-1" by slice."""
    ds = read("GSPS", found)
    place = {frame.sop_instance_uid: k for k, frame in enumerate(found.sources[0].frames)}
    lines: dict[int, list[np.ndarray]] = {}
    for annotation in ds.GraphicAnnotationSequence:
        if annotation.GraphicLayer == "SPOT 1":
            k = place[annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID]
            for one in annotation.get("GraphicObjectSequence", ()):
                lines.setdefault(k, []).append(np.array(one.GraphicData).reshape(-1, 2))
    return lines


def test_a_box_is_drawn_on_every_slice_that_it_cuts_and_on_no_other() -> None:
    plain = findings(segments=())
    box = region(RegionKind.BOX, inside(plain, 2.7, 4, 3), inside(plain, 5.2, 9, 13))
    lines = drawn(replace(plain, regions=(box,)))
    assert sorted(lines) == [3, 4, 5]
    for (line,) in lines.values():
        assert np.array_equal(line[0], line[-1])
        assert sorted(map(tuple, np.round(line[:-1], 3))) == [
            (3.5, 4.5),
            (3.5, 9.5),
            (13.5, 4.5),
            (13.5, 9.5),
        ]


def test_a_box_between_two_slices_is_drawn_on_the_nearer_one() -> None:
    plain = findings(segments=())
    box = region(RegionKind.BOX, inside(plain, 2.6, 4, 3), inside(plain, 2.8, 9, 13))
    assert sorted(drawn(replace(plain, regions=(box,)))) == [3]


@pytest.mark.parametrize("plane", ["oblique", "sagittal", "tilted"])
def test_a_box_on_any_slices_has_its_corners_on_its_faces(plane: str) -> None:
    plain = findings(Series(plane=plane), segments=())
    grid = plain.sources[0].grid
    assert grid is not None
    centre = grid.to_lps_mm((5.0, 9.5, 13.5))
    half_mm = np.array([3.0, 2.5, 4.0])
    low, high = centre - half_mm, centre + half_mm
    box = region(RegionKind.BOX, tuple(low), tuple(high))
    lines = drawn(replace(plain, regions=(box,)))
    assert 5 in lines
    for k, (line,) in lines.items():
        rows_columns = line[:, ::-1] - 0.5
        points = grid.to_lps_mm(np.column_stack([np.full(len(line), k), rows_columns]))
        # on a face, and beyond none
        on_face = np.minimum(np.abs(points - low), np.abs(points - high)).min(axis=1)
        assert on_face.max() < 2e-3
        assert (points > low - 2e-3).all()
        assert (points < high + 2e-3).all()


def test_a_point_is_four_lines_that_leave_it_free() -> None:
    plain = findings(Series(shape_kji=(12, 60, 60)), segments=())
    lines = drawn(replace(plain, regions=(region(RegionKind.POINT, inside(plain, 4.3, 30, 30)),)))
    assert sorted(lines) == [4]
    around = np.array(lines[4]).reshape(-1, 2) - 30.5
    assert len(around) == 8
    assert np.abs(around).max(axis=1).min() == pytest.approx(3.0 / 0.8)  # rows are 0.8 mm apart
    assert np.abs(around).max() == pytest.approx(9.0 / 0.7)


def test_what_lies_beyond_the_images_is_not_drawn() -> None:
    plain = findings(segments=())
    far = region(RegionKind.POINT, inside(plain, 40, 4, 4))
    beside = region(RegionKind.BOX, inside(plain, 2, 40, 40), inside(plain, 3, 50, 50))
    assert drawn(replace(plain, regions=(far, beside))) == {}


def test_an_ellipse_in_a_slice_is_one_and_one_that_leans_is_the_box_around_it() -> None:
    plain = findings(segments=())
    flat = [(6, 4, 10), (6, 14, 10), (6, 9, 8), (6, 9, 12)]
    steep = [(4, 4, 10), (8, 14, 10), (6, 9, 8), (6, 9, 12)]
    for index, slices in ((flat, [6]), (steep, [4, 5, 6, 7, 8])):
        ellipse = region(RegionKind.ELLIPSE, *(inside(plain, *one) for one in index))
        assert sorted(drawn(replace(plain, regions=(ellipse,)))) == slices


# ── Grey values ───────────────────────────────────────────────────────────────────────────────────
def test_ct_is_shown_in_the_window_of_what_was_found_after_its_own_rescale() -> None:
    ds = read("GSPS", findings())
    (window,) = ds.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (-600, 1500)
    assert window.WindowCenterWidthExplanation == "lung window"
    assert "ReferencedImageSequence" not in window
    assert (ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType) == (1, 0, "HU")
    assert ds.PresentationLUTShape == "IDENTITY"


def test_other_images_are_shown_in_their_own_windows_each_in_its_own() -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.Modality = "MR"
        ds.WindowCenter, ds.WindowWidth = [str(100 + k // 6), "7"], ["50", "9"]
        del ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType

    found = findings(Series(edit=edit))
    ds = read("GSPS", found)
    assert "RescaleSlope" not in ds
    uids = [frame.sop_instance_uid for frame in found.sources[0].frames]
    assert [
        (
            float(one.WindowCenter),
            float(one.WindowWidth),
            [i.ReferencedSOPInstanceUID for i in one.ReferencedImageSequence],
        )
        for one in ds.SoftcopyVOILUTSequence
    ] == [(100, 50, uids[:6]), (101, 50, uids[6:])]


def test_of_images_with_different_rescales_windows_are_in_stored_values() -> None:
    """As of PET: a presentation state has one rescale for all of its images, or none."""

    def edit(ds: Dataset, k: int) -> None:
        ds.Modality, ds.RescaleType = "PT", "BQML"
        ds.RescaleSlope = "2" if k % 2 else "4"
        ds.WindowCenter, ds.WindowWidth = "400.5", "801"

    ds = read("GSPS", findings(Series(edit=edit)))
    assert "RescaleSlope" not in ds
    found = {
        len(one.ReferencedImageSequence): (float(one.WindowCenter), float(one.WindowWidth))
        for one in ds.SoftcopyVOILUTSequence
    }
    # From 0 to 800: 0 to 200 where one is 4, 0 to 400 where one is 2
    wanted = [(100.5, 201.0), (200.5, 401.0)]
    assert [(float(o.WindowCenter), float(o.WindowWidth)) for o in ds.SoftcopyVOILUTSequence] == wanted
    assert set(found) == {6}


@pytest.mark.parametrize(
    ("centre", "width"), [("", "400"), ("40", "0"), ("40", "0.5"), (None, None)], ids=str
)
def test_a_window_that_makes_no_sense_is_left_to_the_viewer(centre: str | None, width: str | None) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.Modality = "MR"
        if centre is not None:
            ds.WindowCenter, ds.WindowWidth = centre, width

    assert "SoftcopyVOILUTSequence" not in read("GSPS", findings(Series(edit=edit)))


def test_whole_images_are_displayed_in_true_proportions() -> None:
    (area,) = read("GSPS", findings()).DisplayedAreaSelectionSequence
    assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [28, 20]
    assert [float(mm) for mm in area.PresentationPixelSpacing] == [0.8, 0.7]
    assert "PresentationPixelAspectRatio" not in area


# ── Pictures ──────────────────────────────────────────────────────────────────────────────────────
def picture(found: Findings, plane: PicturePlane = PLANE, **tags: object) -> Findings:
    """The same on a picture whose header has these tags."""

    def edit(ds: Dataset, k: int) -> None:
        for keyword, value in {"Modality": "DX", **tags}.items():
            setattr(ds, keyword, value)

    (source,) = found.sources
    assert source.grid is not None
    ds = Series(shape_kji=(3, 20, 28), edit=edit).datasets()[0]
    grid = plane.grid(source.grid.shape_kji)
    headers = SourceHeaders((header_bytes(ds),))
    return replace(found, sources=(replace(source, grid=grid, headers=headers, plane=plane),))


def spots(frames: int = 1) -> Findings:
    return on_picture(RegionKind.BOX, at(0, 9.5, 5.5), at(0, 13.5, 10.5), frames=frames)


def test_a_box_of_a_picture_goes_around_its_pixels() -> None:
    (line,) = drawn(picture(spots()))[0]
    assert sorted(map(tuple, line[:-1])) == [(6, 10), (6, 14), (11, 10), (11, 14)]


def test_a_region_of_a_clip_names_its_frame() -> None:
    found = picture(on_picture(RegionKind.BOX, at(2, 9.5, 5.5), at(2, 13.5, 10.5)))
    references = [
        annotation.ReferencedImageSequence[0].ReferencedFrameNumber
        for annotation in read("GSPS", found).GraphicAnnotationSequence
        if "ReferencedImageSequence" in annotation
    ]
    assert references == [3]


def test_where_dark_is_more_the_image_is_turned_over() -> None:
    ds = read("GSPS", picture(spots(), PhotometricInterpretation="MONOCHROME1"))
    assert ds.PresentationLUTShape == "INVERSE"


def test_a_picture_without_spacing_is_shown_by_its_aspect() -> None:
    found = picture(spots(), PicturePlane(), PixelAspectRatio=["4", "3"])
    (area,) = read("GSPS", found).DisplayedAreaSelectionSequence
    assert list(area.PresentationPixelAspectRatio) == [4, 3]
    (area,) = read("GSPS", picture(spots(), PicturePlane())).DisplayedAreaSelectionSequence
    assert list(area.PresentationPixelAspectRatio) == [1, 1]


def test_tables_of_a_picture_are_taken_along_where_it_has_no_window() -> None:
    table = Dataset()
    table.add_new(0x00283002, "US", [4, 0, 8])
    table.add_new(0x00283006, "OW", bytes([0, 0, 1, 0, 9, 0, 255, 0]))
    tables = {"VOILUTSequence": [table]}
    (item,) = read("GSPS", picture(spots(), **tables)).SoftcopyVOILUTSequence
    assert list(item.VOILUTSequence[0].LUTDescriptor) == [4, 0, 8]
    windowed = read("GSPS", picture(spots(), **tables, WindowCenter="9", WindowWidth="5"))
    assert float(windowed.SoftcopyVOILUTSequence[0].WindowCenter) == 9


def test_there_is_none_of_colour_pictures() -> None:
    assert written("GSPS", picture(spots(), SamplesPerPixel=3, PhotometricInterpretation="RGB")) == []


# ── The object ────────────────────────────────────────────────────────────────────────────────────
def test_it_refers_to_every_image_of_the_source_by_its_class() -> None:
    found = on_frames(ORDERS["in no order"])
    ds = read("GSPS", found)
    assert ds.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage
    (series,) = ds.ReferencedSeriesSequence
    (image,) = series.ReferencedImageSequence
    assert image.ReferencedSOPClassUID.name == "Enhanced CT Image Storage"
    assert {
        one.ReferencedSOPClassUID
        for annotation in ds.GraphicAnnotationSequence
        for one in annotation.get("ReferencedImageSequence", ())
    } == {image.ReferencedSOPClassUID}


def test_the_part_of_the_body_stands_there_or_an_empty_side() -> None:
    assert read("GSPS", findings()).BodyPartExamined == "CHEST"

    def edit(ds: Dataset, k: int) -> None:
        del ds.BodyPartExamined

    ds = read("GSPS", findings(Series(edit=edit)))
    assert ("BodyPartExamined" in ds, ds.Laterality) == (False, "")


@pytest.mark.parametrize("found", [nothing_found(), not_analysed()], ids=["nothing found", "not analysed"])
def test_there_is_none_where_nothing_has_a_place(found: Findings) -> None:
    assert written("GSPS", found) == []


def test_the_same_findings_give_the_same_bytes() -> None:
    assert written("GSPS", findings()) == written("GSPS", findings())
