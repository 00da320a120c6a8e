"""Maps on images: the colour lies where the numbers are, whatever grid they have, and says what it means."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicomnode.report.drawing.heat import heat_on, heated, hottest_kji, range_of
from dicomnode.report.drawing.patient_views import views_of
from dicomnode.report.pages.heat_views import heat_png, heat_views, heat_words
from dicomnode.values import Code, Grid, Outcome, ScalarMap
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT
from tests.fixtures.pictures import cine
from tests.unit.report.pages.paged import captures, of_volume, on_pictures, read, read_pictures, volume_of
from tests.unit.report.sources import Series, findings

ACTIVATION = Code("130402", "DCM", "Class activation")


def map_on(grid: Grid, values: np.ndarray, **changes: object) -> ScalarMap:
    one = ScalarMap(
        label="heat",
        type=ACTIVATION,
        unit=NO_UNIT,
        values=values.astype(np.float32),
        grid=grid,
        algorithm="a",
    )
    return replace(one, **changes)


def coarse(grid: Grid, cells: tuple[int, int, int]) -> Grid:
    """The grid of so many cells over the same extent, made here from its corners."""
    first = grid.to_lps_mm([-0.5] * 3)
    affine = np.eye(4)
    ends = [np.full(3, -0.5) for _ in range(3)]
    for axis in range(3):
        ends[axis][axis] = grid.shape_kji[axis] - 0.5
        affine[:3, 2 - axis] = (grid.to_lps_mm(ends[axis]) - first) / cells[axis]
    affine[:3, 3] = first + affine[:3, :3].sum(axis=1) / 2
    return Grid(cells, affine, grid.frame_of_reference_uid)


@pytest.mark.parametrize("axis", range(3), ids=["axial", "coronal", "sagittal"])
def test_a_map_on_a_coarse_grid_is_laid_where_it_lies_in_the_patient(axis: int) -> None:
    """Against the weights of linear interpolation, voxel by voxel, in each view."""
    volume = volume_of(Series())
    cells = (2, 4, 4)
    grid = coarse(volume.grid, cells)
    values = np.random.default_rng(1).random(cells)
    view = views_of(volume.grid)[axis]
    across = volume.grid.shape_kji[view.axes[2]] // 2
    shown = range_of(map_on(grid, values))
    found = heat_on(map_on(grid, values), volume.grid, view, across, shown)
    wanted = np.empty(volume.grid.shape_kji)
    for place in np.ndindex(*volume.grid.shape_kji):
        at = [
            (n + 0.5) * c / whole - 0.5
            for n, c, whole in zip(place, cells, volume.grid.shape_kji, strict=True)
        ]
        at = [min(max(one, 0.0), c - 1.0) for one, c in zip(at, cells, strict=True)]
        total = 0.0
        for corner in np.ndindex(2, 2, 2):
            index = [min(int(one) + step, c - 1) for one, step, c in zip(at, corner, cells, strict=True)]
            parts = [one % 1 if step else 1 - one % 1 for one, step in zip(at, corner, strict=True)]
            total += float(np.prod(parts)) * values[tuple(index)]
        wanted[place] = total
    scaled = np.clip((wanted - shown.low) / (shown.high - shown.low), 0.0, 1.0)
    np.testing.assert_allclose(found, view.plane(scaled, across), atol=1e-5)


def test_outside_of_the_map_images_stay_grey() -> None:
    volume = volume_of(Series())
    part = Grid((2, 3, 3), volume.grid.affine_lps, volume.grid.frame_of_reference_uid)
    one = map_on(part, np.ones((2, 3, 3)))
    view = views_of(volume.grid)[0]
    heat = heat_on(one, volume.grid, view, 0, range_of(one))
    pixels = np.full(heat.shape, 100, dtype=np.uint8)
    assert np.count_nonzero(heat) == 9
    coloured = heated(pixels, heat)
    grey = (coloured == 100).all(axis=-1)
    np.testing.assert_array_equal(grey, heat == 0.0)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([-2.0, -1.0, 4.0, 4.0], 0.0, 4.0),  # what speaks against is not shown
        ([0.0, 1.0, 3.0, 3.0], 0.0, 3.0),
        ([-4.0, -3.0, -2.0, -2.0], -4.0, -2.0),
        ([0.0, 0.0, 0.0, 0.0], 0.0, 1.0),
    ],
)
def test_the_scale_begins_at_nothing(values: list[float], low: float, high: float) -> None:
    grid = Grid((1, 2, 2), np.eye(4), "1.2")
    shown = range_of(map_on(grid, np.array(values).reshape(1, 2, 2)))
    assert (shown.low, shown.high) == pytest.approx((low, high), abs=0.01)


def test_planes_go_through_the_maximum() -> None:
    volume = volume_of(Series())
    values = np.zeros(volume.grid.shape_kji)
    values[7, 3, 20] = 1.0
    assert hottest_kji(map_on(volume.grid, values), volume.grid) == (7, 3, 20)
    views = heat_views(volume, findings(Series()), map_on(volume.grid, values), (900, 600))
    assert views.shown.frame == 7
    bare, hot = (np.asarray(row[0].convert("RGB")).astype(int) for row in views.rows)
    apart = np.abs(hot - bare).max(axis=-1)
    rows, columns = np.nonzero(apart > 30)
    height, width = apart.shape
    assert rows.mean() / height == pytest.approx(3.5 / 20, abs=0.03)
    assert columns.mean() / width == pytest.approx(20.5 / 28, abs=0.03)


def test_a_frame_of_a_picture_stands_beside_itself(tmp_path: Path) -> None:
    (clip,) = read_pictures(tmp_path, cine())
    values = np.zeros(clip.grid.shape_kji)
    values[3, 5, 6] = 2.0
    one = map_on(clip.grid, values)
    found = on_pictures([clip], outcome=Outcome.NO_FINDINGS, maps=(one,))
    assert heat_views(clip, found, one, (900, 500)).shown.frame == 3
    drawn = Image.open(BytesIO(heat_png(clip, found, one)))
    assert drawn.width > drawn.height


def test_a_picture_of_other_images_is_refused() -> None:
    volume = volume_of(Series())
    other = replace(volume, affine_lps=volume.affine_lps + np.eye(4, k=3) * 9.0)
    one = map_on(volume.grid, np.zeros(volume.grid.shape_kji))
    with pytest.raises(ValueError, match="not those"):
        heat_png(other, findings(Series()), one)


def test_an_explanation_says_what_it_is_not_and_a_number_its_unit() -> None:
    grid = Grid((1, 1, 2), np.eye(4), "1.2")
    one = map_on(grid, np.array([[[0.0, 250.0]]]))
    assert "not the extent of a disease" in heat_words(one)
    error = replace(one, type=Code("E", "99SITE", "Reconstruction error"), unit=HOUNSFIELD)
    assert "not the extent" not in heat_words(error)
    assert "yellow at 250" in heat_words(error)


def test_each_of_the_first_maps_has_a_page() -> None:
    series = Series()
    volume = volume_of(series)
    values = np.random.default_rng(0).random(volume.grid.shape_kji)
    bare = len(captures(findings(series), of_volume(series)))
    for count, shown in ((1, 1), (2, 2), (6, 4)):
        maps = tuple(map_on(volume.grid, values, label=f"heat {n}") for n in range(count))
        made = [read(one) for one in captures(findings(series, maps=maps), of_volume(series))]
        assert len(made) == bare + shown
        assert sum("map of an automatic" in one.DerivationDescription for one in made) == shown
