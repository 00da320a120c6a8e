"""Lungs of a drawn chest in which lung without air, or a dome of the diaphragm, lies."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse.algorithms import ALGORITHMS, Anatomy
from dicomnode.analyse.algorithms.shapes import dilated
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid, RemarkKind, no_progress
from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest

LUNGS = ALGORITHMS["lungs"]


def find(hu: np.ndarray) -> Anatomy:
    return LUNGS.run(Prepared(hu, Grid(hu.shape, drawn.affine(), "1.2.3")), LUNGS.parameters, no_progress)


def reasons(anatomy: Anatomy) -> list[str]:
    return [remark.text for remark in anatomy.remarks if remark.kind == RemarkKind.QUALITY]


def with_ribs(hu: np.ndarray) -> np.ndarray:
    """A rib every 24 mm, 6 to 9 mm outside of the lungs."""
    z, y, _ = drawn.axes_mm()
    lungs = drawn.lung("right", Chest()) | drawn.lung("left", Chest())
    wall = dilated(lungs, 4) & ~dilated(lungs, 2)
    return np.where(wall & (np.mod(z, 24.0) < 9.0) & (y > -30.0), np.float32(drawn.BONE), hu)


def test_lungs_at_their_ribs_are_not_doubted():
    assert reasons(find(with_ribs(drawn.draw(Chest())))) == []


@pytest.mark.parametrize(("side", "x"), [("right", -66.0), ("left", 64.0)])
def test_fluid_behind_a_lung_is_said(side, x):
    hu = with_ribs(drawn.draw(Chest(noise=0.0)))
    _, y, across = drawn.axes_mm()
    hu[np.broadcast_to((y > 30.0) & (np.abs(across - x) < 50.0), hu.shape) & (hu == drawn.LUNG)] = 10.0
    (text,) = (one for one in reasons(find(hu)) if one.startswith("The lungs do not reach the ribs"))
    right, left = (int(word) for word in text.replace("(", "").split() if word.isdigit())
    assert (right > 15, left > 15) == (side == "right", side == "left")


def test_a_dome_of_the_diaphragm_that_a_lung_surrounds_is_no_lung():
    hu = drawn.draw(Chest(noise=0.0))
    z, y, x = drawn.axes_mm()
    dome = (x - 64.0) ** 2 + y**2 + (z + 72.0) ** 2 < 30.0**2
    hu[np.broadcast_to(dome | ((x - 64.0) ** 2 + y**2 < 30.0**2) & (z < -72.0), hu.shape)] = drawn.SOFT
    found = find(hu)
    (left,) = [part.mask for part in found.parts if part.side == "left"]
    k, j, i = np.rint(found.grid.to_index_kji([64.0, 0.0, -55.0])).astype(int)
    assert not left[k, j, i]
    assert left[k].any()
