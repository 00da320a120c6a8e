"""Outlines give back the mask that they were drawn around, whoever fills them, and however it looks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.report.outlines.outlines import (
    area_of,
    keyholed_of,
    polygons_of,
    slices_of,
    without_straight_points,
)
from dicomnode.values import Mask
from tests.unit.report.outlines.rasterising import filled

RULES = ["even-odd", "winding"]
MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def mask(*rows: str) -> np.ndarray:
    return np.array([[letter == "x" for letter in row] for row in rows])


SHAPES = {
    "a pixel": mask("x"),
    "a pixel in a corner": mask("x..", "..."),
    "all of the image": mask("xxx", "xxx"),
    "two that touch at a corner": mask("x.", ".x"),
    "… the other way": mask(".x", "x."),
    "a ring": mask("xxx", "x.x", "xxx"),
    "a pixel in a ring": mask("xxxxx", "x...x", "x.x.x", "x...x", "xxxxx"),
    "holes that touch at a corner": mask("xxxx", "x.xx", "xx.x", "xxxx"),
    "a hole that touches the outside at a corner": mask(".xxx", "x.xx", "xxxx"),
    "holes beside each other": mask("xxxxxxx", "x.x.x.x", "xxxxxxx"),
    "a hole left of a higher one": mask("xxxxxx", "xxxx.x", "x.xx.x", "xxxx.x", "xxxxxx"),
    "a comb": mask("xxxxx", "x.x.x", "x.x.x"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
def test_filled_again_an_outline_gives_back_the_mask(shape: str, rule: str) -> None:
    pixels = SHAPES[shape]
    rings = [ring for polygon in polygons_of(pixels) for ring in polygon.rings]
    assert np.array_equal(filled(rings, pixels.shape, rule), pixels)
    assert np.array_equal(filled(keyholed_of(pixels), pixels.shape, rule), pixels)


@settings(max_examples=150, deadline=None)
@given(pixels=MASKS)
def test_any_mask_comes_back_of_its_outlines(pixels: np.ndarray) -> None:
    rings = [ring for polygon in polygons_of(pixels) for ring in polygon.rings]
    assert np.array_equal(filled(rings, pixels.shape), pixels)


@settings(max_examples=150, deadline=None)
@given(pixels=MASKS, rule=st.sampled_from(RULES))
def test_any_mask_comes_back_of_outlines_without_holes(pixels: np.ndarray, rule: str) -> None:
    assert np.array_equal(filled(keyholed_of(pixels), pixels.shape, rule), pixels)


@settings(max_examples=60, deadline=None)
@given(pixels=MASKS)
def test_a_reader_that_takes_each_outline_for_itself_sees_no_pixel_twice(pixels: np.ndarray) -> None:
    """Some fill one contour after the other and join what they get; others take them off each other."""
    times = np.zeros(pixels.shape, dtype=int)
    for ring in keyholed_of(pixels):
        times += filled([ring], pixels.shape)
    assert np.array_equal(times, pixels.astype(int))


@settings(max_examples=60, deadline=None)
@given(pixels=MASKS)
def test_no_outline_passes_the_centre_of_a_pixel_and_none_has_straight_points(pixels: np.ndarray) -> None:
    rings = [ring for polygon in polygons_of(pixels) for ring in polygon.rings]
    for ring in [*rings, *keyholed_of(pixels)]:
        assert np.array_equal(without_straight_points(ring), ring)
        for start, stop in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            low, high = np.minimum(start, stop), np.maximum(start, stop)
            centres = np.argwhere(np.ones(np.array(pixels.shape)))[:, ::-1]
            near = centres[((centres >= low) & (centres <= high)).all(axis=1)]
            along = stop - start
            beside = (near - start) @ np.array([-along[1], along[0]]) / np.linalg.norm(along)
            assert np.all(np.abs(beside) > 0.3)


@settings(max_examples=60, deadline=None)
@given(pixels=MASKS)
def test_outer_outlines_and_holes_run_in_opposite_ways_and_cut_half_a_pixel(pixels: np.ndarray) -> None:
    polygons = polygons_of(pixels)
    assert all(area_of(polygon.outer) > 0 for polygon in polygons)
    assert all(area_of(hole) < 0 for polygon in polygons for hole in polygon.holes)
    holes = sum(len(polygon.holes) for polygon in polygons)
    area = sum(area_of(ring) for polygon in polygons for ring in polygon.rings)
    assert area == pixels.sum() - 0.5 * (len(polygons) - holes)


def test_a_ring_has_one_hole_and_what_is_in_it_is_a_piece_of_its_own() -> None:
    polygons = polygons_of(SHAPES["a pixel in a ring"])
    assert sorted(len(polygon.holes) for polygon in polygons) == [0, 1]


def test_coordinates_are_column_before_row_and_count_from_the_whole_image() -> None:
    pixels = mask("xxx", "xxx")
    (polygon,) = polygons_of(pixels, (10, 20))
    assert polygon.outer.min(axis=0).tolist() == [19.5, 9.5]
    assert polygon.outer.max(axis=0).tolist() == [22.5, 11.5]
    assert len(polygon.outer) == 8


def test_slices_of_a_mask_are_those_with_pixels_and_each_is_cut_to_them() -> None:
    whole = np.zeros((5, 6, 7), dtype=bool)
    whole[1, 2:4, 3], whole[3, 5, 0] = True, True
    found = list(slices_of(Mask.from_array(whole)))
    assert [(one.k, one.origin_ji, one.pixels.shape, one.count) for one in found] == [
        (1, (2, 3), (2, 1), 2),
        (3, (5, 0), (1, 1), 1),
    ]


def test_a_mask_full_of_holes_is_joined_without_waiting() -> None:
    """2,500 holes in one piece: what an undecided network gives."""
    pixels = np.ones((101, 101), dtype=bool)
    pixels[1::2, 1::2] = False
    (ring,) = keyholed_of(pixels)
    assert area_of(ring) == pixels.sum() - 0.5 + 0.5 * 50 * 50
