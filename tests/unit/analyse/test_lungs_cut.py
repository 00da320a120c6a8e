"""A field of view that ends within a lung, or just beside it: it is said where, and called nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest
from tests.unit.analyse.test_lungs import find, reasons

MIDDLE = (drawn.SHAPE[2] - 1) / 2
OUTLINE = "part of them is missing from the outline, and volumes are those of what was outlined."


def within(right_mm: float, left_mm: float, chest: Chest | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw a chest and cut it off so far to the right and to the left of its middle."""
    hu, affine = drawn.draw(chest), drawn.affine()
    start, stop = round(MIDDLE - right_mm / drawn.MM), round(MIDDLE + left_mm / drawn.MM) + 1
    affine[0, 3] += start * drawn.MM
    return np.ascontiguousarray(hu[:, :, start:stop]), affine


@pytest.mark.parametrize(
    ("right_mm", "left_mm", "where"),
    [(114, 150, "right"), (150, 108, "left"), (114, 111, "right and the left")],
)
def test_lungs_that_the_edge_of_the_images_cuts_off_are_said_to_be_cut(right_mm, left_mm, where):
    found = find(*within(right_mm, left_mm), work_mm=3.0)
    assert f"The lungs reach the edge of the images on the {where}: {OUTLINE}" in reasons(found)


def test_a_wall_of_one_voxel_that_no_longer_closes_the_chest_is_told_too():
    """The lung is seen whole; but what is left of the wall is as thin as a couch."""
    whole, found = find(drawn.draw(), work_mm=3.0), find(*within(115.5, 150), work_mm=3.0)
    right, cut = (next(one.mask.sum() for one in of.parts if one.side == "right") for of in (whole, found))
    assert cut < 0.8 * right
    assert f"The lungs reach the edge of the images on the right: {OUTLINE}" in reasons(found)


@pytest.mark.parametrize("mm", [150, 135, 126])
def test_a_field_of_view_that_cuts_only_the_wall_of_the_chest_cuts_no_lung(mm):
    assert not [text for text in reasons(find(*within(mm, mm), work_mm=3.0)) if "edge of the images" in text]


@pytest.mark.parametrize("mm", [80, 100, 105])
def test_where_too_little_is_left_the_reason_is_the_field_of_view(mm):
    found = find(*within(mm, mm), work_mm=3.0)
    assert found.nothing is not None
    assert "lungs reach the edge of the images on the right and the left" in found.nothing
    assert "the field of view is too narrow" in found.nothing
    assert "seen whole" not in found.nothing
    assert "no air" not in found.nothing


def test_where_there_is_no_lung_the_field_of_view_is_not_blamed():
    solid = np.full(drawn.SHAPE, drawn.SOFT, np.float32)
    assert find(solid).nothing == "no air inside a body"


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_trachea_that_the_edge_cuts_is_no_lung_that_is_cut_at_the_top(side):
    """It cannot be told from the lung that it opens into; that is what is said."""
    found = find(*(within(150, 3) if side == "right" else within(3, 150)), work_mm=3.0)
    assert [part.side for part in found.parts] == [side]
    assert not [text for text in reasons(found) if "at the top" in text]
    assert "The trachea was not found: airways may be counted as lung." in reasons(found)


@pytest.mark.parametrize("side", ["right", "left"])
def test_nothing_is_measured_between_the_ribs_and_a_lung_that_is_not_in_the_images(side):
    found = find(*(within(150, 30) if side == "right" else within(30, 150)), work_mm=3.0)
    assert [part.side for part in found.parts] == [side]
    assert not [text for text in reasons(found) if "do not reach the ribs" in text]
