"""Shapes in voxels against scipy's own transforms, which are slower and sure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from dicomnode.analyse.algorithms.shapes import (
    closed,
    components,
    components_of_slices,
    deeper,
    dilated,
    eroded,
    filled_slices,
    inner_distance,
    inner_squares,
    thick,
    within,
)
from dicomnode.analyse.parallel import cores

sizes = st.tuples(*[st.integers(1, 9)] * 3)
masks = sizes.flatmap(lambda shape: arrays(bool, shape))
radii = st.sampled_from([1.0, 8.0 / 3.0, np.sqrt(5.0), 3.25, 4.0, 12.0])


@given(masks, radii)
@settings(deadline=None)
def test_squares_are_those_of_the_distance_as_far_as_the_radius(mask, radius):
    exact = inner_distance(mask) if not mask.all() else np.full(mask.shape, np.inf)
    found = inner_squares(mask, radius)
    near = exact <= radius
    assert np.array_equal(found[near], np.rint(exact[near] ** 2))
    assert (found[~near] > radius * radius).all()


@given(masks, radii)
@settings(deadline=None)
def test_a_ball_reaches_as_far_as_its_radius(mask, radius):
    inner = inner_distance(mask) if not mask.all() else np.full(mask.shape, np.inf)
    outer = inner_distance(~mask) if mask.any() else np.full(mask.shape, np.inf)
    assert np.array_equal(within(mask, radius), outer <= radius)
    assert np.array_equal(deeper(mask, radius), mask & (inner > radius))
    assert np.array_equal(thick(mask, radius), mask & (inner >= radius))


@given(masks, radii)
@settings(deadline=None)
def test_closing_is_that_of_the_full_transform(mask, radius):
    wide = np.pad(mask, 14)
    grown = (ndimage.distance_transform_edt(~wide) <= radius) & mask.any()
    shut = (ndimage.distance_transform_edt(grown) > radius) | wide
    assert np.array_equal(closed(mask, radius), shut[14:-14, 14:-14, 14:-14])


@given(masks, st.integers(1, 3))
@settings(deadline=None)
def test_layers_are_put_on_and_taken_off_as_scipy_does(mask, steps):
    assert np.array_equal(dilated(mask, steps), ndimage.binary_dilation(mask, iterations=steps))
    off = ndimage.binary_erosion(mask, iterations=steps, border_value=1)
    assert np.array_equal(eroded(mask, steps), off)


@given(masks)
@settings(deadline=None)
def test_each_slice_is_filled_by_itself(mask):
    expected = np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
    assert np.array_equal(filled_slices(mask), expected)


@given(masks)
@settings(deadline=None)
def test_pieces_are_counted_in_the_volume_and_in_each_slice(mask):
    labels, counts = components(mask)
    assert counts[0] == 0
    assert counts.sum() == mask.sum()
    assert all(counts[n] == (labels == n).sum() for n in range(1, len(counts)))
    assert components_of_slices(mask)[1].tolist() == [ndimage.label(plane)[1] for plane in mask]


@pytest.mark.parametrize("radius", [2.0, 4.0, 14.0])
def test_one_core_and_two_give_the_same_bits(radius):
    mask = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((50, 60, 40)), 3) > 0
    with cores(1):
        one = inner_squares(mask, radius)
    with cores(2):
        two = inner_squares(mask, radius)
    assert np.array_equal(one, two)
