"""Centres in pictures: planes apart, sizes in pixels, bars beside the picture, and what is not reported."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.analyse.interpret import INTERPRETATIONS, Outputs, Reading, UnreadableError
from dicomnode.engine import CentreHeat, StepSpec
from dicomnode.values import Grid

SIDE = 48
HOW = {"size_in": "voxels", "suppress_mm": 0.01, "mask_reach_diameters": 1.0, "mask_reach_mm": 0.0}

Found = tuple[float, float, float, float]  # row and column of the centre, diameter in pixels, heat


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def maps_of(*frames: tuple[Found, ...], side: int = SIDE) -> dict[str, np.ndarray]:
    """Maps as a perfect network of two dimensions gives them, a plane a frame."""
    heat = np.full((len(frames), side // 2, side // 2), -9.0, np.float32)
    size = np.ones_like(heat)
    mask = np.full((len(frames), side, side), -12.0, np.float32)
    row, column = np.ogrid[:side, :side]
    cell_j, cell_i = np.ogrid[: side // 2, : side // 2]
    for k, lesions in enumerate(frames):
        for j, i, diameter, peak in lesions:
            apart = np.hypot(row - j, column - i)
            mask[k] = np.maximum(mask[k], ((diameter / 2 - apart) * 4.0).clip(-12, 12))
            near = np.hypot(2 * cell_j + 0.5 - j, 2 * cell_i + 0.5 - i)
            bump = (logit(peak) - (near / 2.0) ** 2).astype(np.float32)
            size[k] = np.where(bump > heat[k], np.float32(np.log(diameter)), size[k])
            heat[k] = np.maximum(heat[k], bump)
    return {"heat": heat[None], "logd": size[None], "mask": mask[None]}


def plane(frames: int, side: int, mm: float, at: tuple[float, float] = (0.0, 0.0)) -> Grid:
    """The grid of a picture: x along a row, y down a column, k counts frames."""
    affine = np.diag([mm, mm, 1.0, 1.0])
    affine[:2, 3] = at
    return Grid((frames, side, side), affine, "")


def read(maps, grid: Grid, source: Grid | None = None, unreported: bool = False, **how) -> Reading:
    outputs = Outputs(
        maps=maps, grid=grid, source=source or grid, within=None, wanted=1, unreported=unreported
    )
    step = StepSpec(network="n.onnx", centre_heat=CentreHeat(**{**HOW, **how}))
    return INTERPRETATIONS["centre_heat"](outputs, step)


def middles(reading: Reading, source: Grid) -> np.ndarray:
    places = [np.argwhere(one.mask.to_array()).mean(axis=0) for one in reading.shapes]
    return np.array([source.to_lps_mm(place) for place in places])


def test_a_lesion_of_a_picture_is_found_where_it_is_with_its_area():
    grid = plane(1, SIDE, 0.2)
    found = read(maps_of(((20.0, 30.5, 10.0, 0.9),)), grid)
    (shape,) = found.shapes
    assert middles(found, grid)[0] == pytest.approx([30.5 * 0.2, 20.0 * 0.2, 0.0], abs=0.02)
    assert shape.mask.count == pytest.approx(np.pi / 4 * 10.0**2, rel=0.06)
    assert shape.score == pytest.approx(0.9, abs=0.02)


@given(
    st.floats(0.05, 4.0),
    st.floats(0.4, 3.0),
    st.tuples(st.floats(12, 36), st.floats(12, 36)),
    st.floats(6.0, 14.0),
)
@settings(max_examples=25, deadline=None)
def test_pictures_of_any_spacing_and_size_give_the_lesion_on_their_own_pixels(mm, scale, at, diameter):
    """The network saw the picture made larger or smaller, as a letterbox does."""
    j, i = at
    seen = plane(1, SIDE, mm * scale, ((scale - 1) * mm / 2,) * 2)
    source = plane(1, round(SIDE * scale), mm)
    found = read(maps_of(((j, i, diameter, 0.9),)), seen, source)
    (shape,) = found.shapes
    assert shape.mask.shape_kji == source.shape_kji
    apart = middles(found, source)[0] - seen.to_lps_mm([0.0, j, i])
    assert np.abs(apart).max() < 0.6 * mm * max(scale, 1.0)
    # Pixels of the source whose centre lies inside: of a small lesion they are no area, and known exactly
    row, column = np.ogrid[: source.shape_kji[1], : source.shape_kji[2]]
    middle_i, middle_j = seen.to_lps_mm([0.0, j, i])[:2] / mm
    apart = np.hypot(row - middle_j, column - middle_i) * 2.0 / (diameter * scale)
    assert not shape.mask.to_array()[0][apart > 1.2].any()
    assert shape.mask.to_array()[0][apart < 0.8].all()
    assert shape.mask.count == pytest.approx(np.count_nonzero(apart < 1.0), rel=0.2, abs=2)


@given(st.floats(0.05, 4.0), st.floats(3.0, 40.0))
@settings(max_examples=20, deadline=None)
def test_a_point_has_the_diameter_that_its_pixels_have(mm, diameter):
    maps = maps_of(((24.5, 20.5, diameter, 0.9),))
    maps["mask"][:] = -12.0
    (point,) = read(maps, plane(1, SIDE, mm)).points
    assert point.centre_lps_mm == pytest.approx((20.5 * mm, 24.5 * mm, 0.0))
    assert point.diameter_mm == pytest.approx(diameter * mm, rel=1e-4)


def test_frames_share_no_candidate_however_near_they_are_counted():
    grid = plane(3, SIDE, 0.1)
    here, there = (20.0, 20.0, 12.0, 0.9), (20.0, 21.0, 12.0, 0.8)
    found = read(maps_of((here,), (), (there,)), grid)
    assert [one.mask.box_kji[0] for one in found.shapes] == [(0, 1), (2, 3)]
    neighbours = read(maps_of((here,), (there,), ()), grid)
    assert [one.mask.box_kji[0] for one in neighbours.shapes] == [(0, 1), (1, 2)]


def test_what_lies_in_the_bars_beside_a_picture_is_no_candidate():
    """The picture is half as wide as what the network saw; a cell at its rim still counts."""
    seen = plane(1, SIDE, 1.0)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 12.0
    source = Grid((1, SIDE, SIDE // 2), affine, "")
    maps = maps_of(((20.0, 4.0, 6.0, 0.9), (30.5, 11.5, 6.0, 0.8), (10.0, 24.0, 6.0, 0.7)))
    found = read(maps, seen, source)
    assert sorted(one.score for one in found.shapes) == pytest.approx([0.7, 0.8], abs=0.05)
    maps["mask"][:] = -12.0
    points = read(maps, seen, source).points
    assert all(12.0 <= one.centre_lps_mm[0] <= 35.0 for one in points)
    assert len(points) == 2


def test_a_size_in_mm_is_not_that_of_the_pixels():
    maps = maps_of(((24.5, 20.5, 8.0, 0.9),))
    maps["mask"][:] = -12.0
    grid = plane(1, SIDE, 0.5)
    (in_mm,) = read(maps, grid, size_in="mm").points
    (in_pixels,) = read(maps, grid).points
    assert in_mm.diameter_mm == pytest.approx(8.0, rel=1e-4)
    assert in_pixels.diameter_mm == pytest.approx(4.0, rel=1e-4)


def test_maps_that_are_coarse_along_nothing_that_goes_together_are_refused():
    maps = maps_of(((24.5, 20.5, 8.0, 0.9),))
    maps["heat"] = maps["heat"][:, :, ::2]
    with pytest.raises(UnreadableError, match="do not go together with a stride of 2"):
        read(maps, plane(1, SIDE, 0.5))


LESIONS = (
    (8.5, 8.5, 6.0, 0.95),
    (8.5, 36.5, 6.0, 0.9),
    (24.5, 24.5, 6.0, 0.7),
    (38.5, 8.5, 6.0, 0.4),
    (38.5, 36.5, 6.0, 0.2),
    (24.5, 8.5, 6.0, 0.04),
)


@pytest.mark.parametrize(("at_most", "reported"), [(10, 3), (2, 2)])
def test_what_is_not_reported_is_told_to_who_asks_and_changes_nothing(at_most, reported):
    how = {"threshold": 0.5, "heat_at_least": 0.1, "at_most": at_most}
    grid = plane(1, SIDE, 0.5)
    plain = read(maps_of(LESIONS), grid, **how)
    asked = read(maps_of(LESIONS), grid, unreported=True, **how)
    assert plain.below is None
    assert [one.score for one in plain.shapes] == [one.score for one in asked.shapes]
    assert plain.remarks == asked.remarks
    assert len(asked.shapes) == reported
    assert asked.below.down_to == 0.1
    expected = [one for one in LESIONS if one[3] > 0.1][reported:]
    assert [score for _, _, score in asked.below.places] == pytest.approx(
        [one[3] for one in expected], abs=0.02
    )
    for (_, centre, _), (j, i, _, _) in zip(asked.below.places, expected, strict=True):
        assert centre == pytest.approx((i * 0.5, j * 0.5, 0.0), abs=0.05)


@given(st.lists(st.floats(0.02, 0.98), min_size=0, max_size=9, unique=True), st.floats(0.1, 0.9))
@settings(max_examples=30, deadline=None)
def test_reported_and_not_reported_together_are_what_an_engine_without_a_threshold_reports(heats, threshold):
    places = [(8.5 + 14 * (n // 3), 8.5 + 14 * (n % 3)) for n in range(9)]
    maps = maps_of(tuple((j, i, 6.0, heat) for (j, i), heat in zip(places, heats, strict=False)))
    grid = plane(1, SIDE, 0.5)
    asked = read(maps, grid, unreported=True, threshold=threshold, heat_at_least=0.05, at_most=3)
    free = read(maps, grid, threshold=0.0, heat_at_least=0.05, at_most=100)
    together = [one.score for one in asked.shapes] + [score for _, _, score in asked.below.places]
    assert together == [one.score for one in free.shapes]
    assert all(one.score >= threshold for one in asked.shapes)
