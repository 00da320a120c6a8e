"""Pictures show the patient as radiologists expect, in every plane of acquisition."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from dicomnode.report import overlay_png
from dicomnode.report.drawing.colours import coloured
from dicomnode.report.drawing.legend import HINT, draw_legend, entries_of, shortened
from dicomnode.report.drawing.panels import Extract, Panel, font, round_length_mm
from dicomnode.report.drawing.patient_views import View, views_of
from dicomnode.report.drawing.pictures import _said, _wrapped
from dicomnode.report.drawing.scene import scene_of
from dicomnode.values import FindingKind, Grid, Mask, Remark, RemarkKind, Segment, Volume
from dicomnode.values.codes import NO_UNIT
from tests.unit.report.kinds import KINDS
from tests.unit.report.pages.paged import volume_of
from tests.unit.report.sources import PLANES, Series, findings, nothing_found


def _volume(series: Series, **changes: object) -> Volume:
    return replace(volume_of(series), **changes)


def _picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize("plane", PLANES)
def test_the_patients_right_is_left_on_the_picture_and_the_head_is_up(plane: str) -> None:
    series = Series(plane=plane)
    views = {view.name: view for view in views_of(_volume(series).grid)}
    # on an oblique volume each direction is the nearest one: the first letter says it
    assert [letter[0] for letter in views["axial"].letters] == ["R", "L", "A", "P"]
    assert [letter[0] for letter in views["coronal"].letters] == ["R", "L", "H", "F"]
    assert [letter[0] for letter in views["sagittal"].letters] == ["A", "P", "H", "F"]
    slanted = any(len(letter) > 1 for view in views.values() for letter in view.letters)
    assert slanted == (plane == "oblique")


@pytest.mark.parametrize("plane", [name for name in PLANES if name not in {"oblique", "tilted"}])
def test_a_step_towards_a_letter_is_a_step_towards_that_edge(plane: str) -> None:
    grid = _volume(Series(plane=plane)).grid
    middle = grid.to_lps_mm(np.array(grid.shape_kji) / 2)
    for view in views_of(grid):
        left, right, top, bottom = view.letters
        for letter, axis, sign in ((left, 1, -1), (right, 1, 1), (top, 0, -1), (bottom, 0, 1)):
            direction = np.zeros(3)
            direction["RL".find(letter) // 2 if letter in "RL" else 1 if letter in "AP" else 2] = (
                1.0 if letter in "LPH" else -1.0
            )
            here = view.locate(grid.to_index_kji(middle))
            there = view.locate(grid.to_index_kji(middle + direction))
            assert np.sign(there[axis] - here[axis]) == sign
            assert there[1 - axis] == pytest.approx(here[1 - axis], abs=1e-6)


@given(st.sampled_from(sorted(PLANES)), st.randoms(use_true_random=False))
def test_a_voxel_is_shown_where_it_is_located(plane: str, chance) -> None:
    shape = (5, 6, 7)
    grid = Grid(shape, Series(plane=plane, shape_kji=shape).affine, "1.2")
    index = tuple(chance.randrange(n) for n in shape)
    array = np.zeros(shape, dtype=np.int16)
    array[index] = 1
    for view in views_of(grid):
        shown = view.plane(array, index[view.axes[2]])
        assert shown.shape == view.shape
        row, column = view.locate(index)
        assert shown[round(row), round(column)] == 1


def test_proportions_are_in_millimetres() -> None:
    series = Series(spacing_kji_mm=(5.0, 1.0, 0.5), shape_kji=(10, 40, 60))
    grid = _volume(series).grid
    coronal = views_of(grid)[1]
    extract = Extract((4.5, 29.5), 4.0, (200, 220))
    (x0, y0), (x1, y1) = (extract.to_pixels(coronal, at) for at in ((0, 0), (9, 59)))
    assert (x1 - x0, y1 - y0) == pytest.approx((59 * 0.5 * 4, 9 * 5.0 * 4))
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((100, 110))


def test_a_bright_voxel_is_drawn_at_the_place_that_pixels_are_computed_for() -> None:
    grid = _volume(Series()).grid
    view: View = views_of(grid)[0]
    array = np.zeros(grid.shape_kji, dtype=np.int16)
    array[6, 4, 22] = 1000
    panel = Panel(view, Extract((9.5, 13.5), 10.0, (240, 180)))
    panel.draw_plane(array, 6, (0.0, 1000.0))
    shown = np.asarray(panel.finished().convert("L")).astype(float)
    rows, columns = np.indices(shown.shape)
    seen = ((columns + 0.5) * shown).sum() / shown.sum(), ((rows + 0.5) * shown).sum() / shown.sum()
    assert seen == pytest.approx(panel.extract.to_pixels(view, view.locate((6, 4, 22))), abs=0.6)


def _nodule(label: str, voxels: tuple[slice, slice, slice], volume: Volume, **more: object) -> Segment:
    mask = np.zeros(volume.voxels.shape, dtype=bool)
    mask[voxels] = True
    x, y, z = volume.grid.to_lps_mm(np.argwhere(mask)).mean(axis=0)
    old = findings().segments[2]
    place = (float(x), float(y), float(z))
    return replace(
        old, label=label, mask=Mask.from_array(mask), centre_lps_mm=place, long_axis_lps_mm=None, **more
    )


def test_contours_are_outlines_in_the_colour_of_the_segment_and_never_filled() -> None:
    series = Series(shape_kji=(12, 40, 40), spacing_kji_mm=(2.0, 1.0, 1.0))
    volume = _volume(series)
    colour = (255, 0, 255)
    nodule = _nodule("n", (slice(4, 8), slice(10, 30), slice(10, 30)), volume, colour_rgb=colour)
    picture = _picture(overlay_png(volume, findings(series, segments=(nodule,)), None)).astype(int)
    ours = np.abs(picture - np.array(colour)).sum(axis=-1) < 60
    lower = ours[480:860, 14:474]  # the magnified axial view
    rows, columns = np.nonzero(lower)
    assert rows.size > 200
    inside = lower[rows.min() + 12 : rows.max() - 12, columns.min() + 12 : columns.max() - 12]
    assert inside.size > 10_000
    assert not inside.any()


def test_the_long_axis_is_drawn_where_it_was_measured() -> None:
    series = Series(shape_kji=(12, 40, 40))
    volume = _volume(series)
    nodule = _nodule("n", (slice(4, 6), slice(10, 30), slice(10, 30)), volume)
    on_slice, beside = (
        tuple(tuple(map(float, volume.grid.to_lps_mm((k, j, j)))) for j in (12, 27)) for k in (4, 9)
    )
    plain, measured, elsewhere = (
        overlay_png(volume, findings(series, segments=(replace(nodule, long_axis_lps_mm=ends),)), None)
        for ends in (None, on_slice, beside)
    )
    magnified = [_picture(one)[480:850] for one in (plain, measured, elsewhere)]
    assert not np.array_equal(magnified[0], magnified[1])
    assert np.array_equal(magnified[0], magnified[2])


def test_the_lesion_with_the_highest_score_is_shown_and_any_other_by_its_label() -> None:
    series = Series(shape_kji=(12, 40, 40))
    volume = _volume(series)
    weak = _nodule("weak", (slice(2, 4), slice(5, 9), slice(5, 9)), volume, score=0.2)
    strong = _nodule("strong", (slice(8, 10), slice(25, 33), slice(25, 33)), volume, score=0.9)
    found = findings(series, segments=(weak, strong))
    assert overlay_png(volume, found, None) == overlay_png(volume, found, "strong")
    assert overlay_png(volume, found, None) != overlay_png(volume, found, "weak")
    with pytest.raises(KeyError):
        overlay_png(volume, found, "absent")


def test_without_a_lesion_there_is_one_row_of_the_whole_volume() -> None:
    series = Series()
    whole = _picture(overlay_png(_volume(series), nothing_found(series), None))
    with_lesion = _picture(overlay_png(_volume(series), findings(series), None))
    assert whole.shape[1] == with_lesion.shape[1]
    assert whole.shape[0] < with_lesion.shape[0] - 300


def test_what_was_not_found_is_said_first_and_in_lines_that_the_picture_holds() -> None:
    found = nothing_found(Series())
    noise = tuple(
        Remark(kind=RemarkKind.LIMIT, text="A sentence that is always said. " * 9) for _ in range(9)
    )
    said = _said(replace(found, remarks=(*noise, *found.remarks)))
    assert said.startswith(f"No nodule marked (lung). {found.remarks[0].text}")
    lines = _wrapped(said, 15)
    assert 1 < len(lines) <= 4
    assert all(font(15).getlength(line) < 3 * 460 + 20 for line in lines)
    assert lines[-1].endswith("…")
    assert _wrapped("Short.", 15) == ["Short."]


def test_the_same_picture_is_the_same_bytes_and_holds_no_text_but_the_pixels() -> None:
    series = Series()
    first, second = (overlay_png(_volume(series), findings(series), None) for _ in range(2))
    assert first == second
    picture = Image.open(BytesIO(first))
    assert isinstance(picture, PngImageFile)
    assert picture.text == {}
    assert picture.size[0] > 1200


def test_the_picture_does_not_depend_on_who_the_patient_is() -> None:
    one, other = (
        Series(),
        Series(extra={"PatientName": "Else^Someone", "PatientID": "9", "AccessionNumber": "1"}),
    )
    pictures = [overlay_png(_volume(s), findings(s), None) for s in (one, other)]
    assert pictures[0] == pictures[1]


def test_a_volume_of_another_unit_is_shown_by_its_own_range() -> None:
    series = Series()
    small = (series.voxels().astype(np.float32) - series.voxels().min()) / 1e6
    volume = _volume(series, voxels=small, unit=NO_UNIT)
    picture = _picture(overlay_png(volume, nothing_found(series), None))
    assert picture.max() > 200
    flat = _volume(series, voxels=np.zeros(series.shape_kji, dtype=np.float32), unit=NO_UNIT)
    assert overlay_png(flat, nothing_found(series), None)


def test_findings_of_another_volume_are_refused() -> None:
    with pytest.raises(ValueError, match="volume"):
        overlay_png(_volume(Series(plane="sagittal")), findings(), None)


def test_findings_of_another_phase_of_the_same_grid_are_refused() -> None:
    volume = _volume(Series())
    others = tuple(replace(frame, frame_number=k + 1) for k, frame in enumerate(volume.frames))
    with pytest.raises(ValueError, match="volume"):
        overlay_png(replace(volume, frames=others), findings(), None)


def test_an_organ_can_be_shown_by_its_label() -> None:
    series = Series()
    found = findings(series)
    assert found.segments[0].kind is FindingKind.ANATOMY
    assert overlay_png(_volume(series), found, "lung-right")


@pytest.mark.parametrize("kind", [kind for kind, (found, _) in KINDS.items() if found.sources[0].grid])
def test_every_kind_of_finding_can_be_shown_and_says_what_the_report_says(kind: str) -> None:
    found, said = KINDS[kind]
    assert _picture(overlay_png(_volume(Series()), found, None)).max() > 200
    first = said[0]
    assert _said(found).startswith(first.replace("on image", "on slice"))


# ── The legend ────────────────────────────────────────────────────────────────────────────────────
def test_the_legend_names_each_finding_with_its_colour_and_size_and_those_that_are_seen_first() -> None:
    volume, found = _volume(Series()), findings()
    entries = entries_of(scene_of(volume, found, None))
    # the sagittal plane through the nodule misses the left lung, the other two meet it
    assert [(one.name, one.value, one.shown) for one in entries] == [
        ("lung-right", "1.79 ml", True),
        ("lung-left", "1.39 ml", True),
        ("nodule-1", "35 mm3", True),
    ]
    assert [one.colour for one in entries] == [one.colour_rgb for one in coloured(found.segments)]
    beside = _nodule("nodule-2", (slice(1, 2), slice(0, 2), slice(20, 22)), volume, score=0.1)
    entries = entries_of(scene_of(volume, replace(found, segments=(beside, *found.segments)), None))
    assert [(one.name, one.shown) for one in entries][-1] == ("nodule-2", False)


def test_a_label_that_does_not_say_what_it_is_stands_with_its_type() -> None:
    spot = replace(findings().segments[2], label="finding-1")
    (entry,) = entries_of(scene_of(_volume(Series()), findings(segments=(spot,)), None))
    assert entry.name == "finding-1 (Nodule, right lung)"


def test_the_legend_shows_the_colour_filled_where_a_plane_cuts_it_and_hollow_elsewhere() -> None:
    volume, organ = _volume(Series()), findings().segments[0]
    entries = entries_of(scene_of(volume, findings(segments=(organ,)), None))
    middles = [
        np.asarray(legend)[10, 6].tolist()
        for shown in (True, False)
        if (legend := draw_legend([replace(entries[0], shown=shown)], 1000)) is not None
    ]
    assert middles[0] == list(organ.colour_rgb)
    assert middles[1] != list(organ.colour_rgb)
    assert HINT


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (4, 1), (5, 2), (32, 8), (104, 9)])
def test_the_legend_is_as_high_as_its_entries_need_and_no_higher(count: int, rows: int) -> None:
    (entry, *_) = entries_of(scene_of(_volume(Series()), findings(), None))
    legend = draw_legend([entry] * count, 1400)
    assert legend is not None
    assert legend.height == rows * 20 + 4
    assert draw_legend([], 1400) is None


def test_a_long_name_is_cut_to_the_room_that_it_has() -> None:
    short = shortened("a name that is far longer than its column", 120)
    assert short.endswith("…")
    assert 90 < font(14).getlength(short) <= 120
    assert shortened("short", 120) == "short"


def test_a_picture_of_several_organs_shows_them_in_different_colours() -> None:
    series = Series(shape_kji=(12, 40, 40), spacing_kji_mm=(2.0, 1.0, 1.0))
    volume = _volume(series)
    organs = tuple(
        _nodule(
            f"organ {n}",
            (slice(2, 10), slice(5, 30), slice(5 + 15 * n, 15 + 15 * n)),
            volume,
            kind=FindingKind.ANATOMY,
            colour_rgb=(255, 160, 0),
        )
        for n in range(2)
    )
    found = findings(series, segments=organs)
    picture = _picture(overlay_png(volume, found, None)).astype(int)
    for one in coloured(organs):
        seen = (np.abs(picture[14:474] - np.array(one.colour_rgb)).sum(axis=-1) < 60).sum()
        assert seen > 200


# ── The scale ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("at_most", "length"), [(0.7, 0.5), (1.0, 1.0), (4.9, 2.0), (5.0, 5.0), (19.0, 10.0), (750.0, 500.0)]
)
def test_a_scale_has_a_round_length(at_most: float, length: float) -> None:
    assert round_length_mm(at_most) == pytest.approx(length)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.05, 500.0))
def test_a_scale_bar_stays_on_its_panel_and_is_long_enough_to_read(pixels_per_mm: float) -> None:
    panel = Panel(views_of(_volume(Series()).grid)[0], Extract((9.5, 13.5), pixels_per_mm, (460, 120)))
    panel.draw_scale()
    columns = np.flatnonzero(np.asarray(panel.finished().convert("L"))[100:].max(axis=0) > 60)
    assert columns.min() >= 300
    assert columns.max() <= 450
    assert np.ptp(columns) > 50


# ── What has no outline ───────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("plane", ["axial", "oblique"])
def test_the_box_of_a_region_is_drawn_where_it_lies(plane: str) -> None:
    series = Series(plane=plane)
    volume, (found, _) = _volume(series), KINDS["points and boxes"]
    middle = volume.grid.to_lps_mm(np.array(volume.grid.shape_kji) / 2)
    low, high = (tuple(map(float, middle + off)) for off in (-2.0, 2.0))
    box = replace(found.regions[1], points_lps_mm=(low, high))
    shown = findings(series, segments=(), regions=(box,))
    scene = scene_of(volume, shown, None)
    assert scene.target is box
    assert all(scene.cuts(box, view) for view in scene.views)
    assert overlay_png(volume, shown, None) != overlay_png(volume, replace(shown, regions=()), None)
    assert overlay_png(volume, shown, None) == overlay_png(volume, shown, box.label)


def test_the_slice_with_the_highest_score_is_shown_of_a_sequence() -> None:
    found, _ = KINDS["a sequence of slices"]
    assert scene_of(_volume(Series()), found, None).centre_kji[0] == 4


def test_planes_meet_a_small_organ_that_lies_far_from_the_middle() -> None:
    series = Series(shape_kji=(12, 40, 40))
    volume = _volume(series)
    organ = _nodule("o", (slice(0, 2), slice(1, 4), slice(35, 38)), volume, kind=FindingKind.ANATOMY)
    scene = scene_of(volume, findings(series, segments=(organ,)), None)
    assert scene.target is None
    assert all(scene.cuts(organ, view) for view in scene.views)


def test_what_is_enlarged_is_no_brighter_and_no_darker_than_it_is() -> None:
    """Rims around a lesion, bright within and dark without, would be taken for its own."""
    pixels = np.full((12, 12), 60, dtype=np.uint8)
    pixels[4:8, 4:8] = 180
    view = View(
        name="axial",
        axes=(1, 2, 0),
        flips=(False, False, False),
        shape=(12, 12),
        spacing_mm=(1.0, 1.0),
        letters=("", "", "", ""),
    )
    panel = Panel(view, Extract((5.5, 5.5), 10.0, (100, 100)))
    panel.draw_pixels(pixels)
    shown = np.asarray(panel.finished())
    assert (int(shown.min()), int(shown.max())) == (60, 180)
