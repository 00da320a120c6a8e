"""Rings filled again give the mask that they were drawn of, and no ring beside it does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.report.guard.rings import compare_rings
from dicomnode.report.outlines.outlines import slices_of
from dicomnode.values import Mask

PLANES = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 14))).filter(lambda plane: plane.any())
WAYS = ("with holes", "joined")


def drawn(plane: np.ndarray, way: str) -> tuple[list[np.ndarray], Mask]:
    """Rings of row, column, and the mask on slice 1 of 3 that they are of."""
    mask = Mask.from_crop(plane[None], (3, 20, 28), (1, 4, 5))
    (one,) = slices_of(mask)
    pieces = one.keyholed() if way == "joined" else [ring for piece in one.polygons() for ring in piece.rings]
    return [ring[:, ::-1] for ring in pieces], mask


@pytest.mark.parametrize("way", WAYS)
@given(plane=PLANES)
def test_the_rings_of_any_mask_hold_its_voxels(way: str, plane: np.ndarray) -> None:
    rings, mask = drawn(plane, way)
    assert compare_rings(rings, mask, 1) == (int(plane.sum()), True)


@pytest.mark.parametrize("way", WAYS)
@given(
    plane=PLANES,
    off=st.tuples(*[st.sampled_from((-1.0, -0.5, 0.0, 0.5, 1.0))] * 2).filter(any),
)
def test_no_rings_half_a_pixel_or_a_pixel_off_are_taken_for_those_of_the_mask(
    way: str, plane: np.ndarray, off: tuple[float, float]
) -> None:
    rings, mask = drawn(plane, way)
    _, same = compare_rings([ring + off for ring in rings], mask, 1)
    assert not same


@given(plane=PLANES)
def test_without_rings_a_mask_is_not_there(plane: np.ndarray) -> None:
    _, mask = drawn(plane, "joined")
    assert compare_rings([], mask, 1) == (0, False)


def test_rings_on_a_slice_without_voxels_are_other_voxels() -> None:
    rings, mask = drawn(np.ones((2, 3), dtype=bool), "joined")
    assert compare_rings(rings, mask, 2) == (6, False)
    assert compare_rings([], mask, 2) == (0, True)
