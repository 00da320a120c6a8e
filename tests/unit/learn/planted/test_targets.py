"""Targets: where a centre is, and how large what is there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.learn.planted.targets import Centre, cells_of

SHAPE = (24, 24, 24)
INSIDE = st.floats(0.6, 22.4)


@given(at=st.tuples(INSIDE, INSIDE, INSIDE), diameter=st.floats(3.0, 30.0))
def test_the_cell_of_a_centre_is_the_hottest_and_tells_the_size(at, diameter) -> None:
    cells = cells_of(SHAPE, [Centre(at=at, diameter_mm=diameter)])
    [cell] = np.argwhere(cells.heat == 1.0)
    # The centre of cell c is at voxel 2c + 0.5: half a cell away at most
    assert np.abs(2 * cell + 0.5 - np.array(at)).max() <= 1.0 + 1e-9
    assert cells.size[tuple(cell)] == pytest.approx(np.log(diameter), abs=1e-6)
    assert cells.sized[tuple(cell)]
    assert (cells.size[~cells.sized] == 0).all()


def test_a_centre_beyond_the_patch_is_warm_there_and_no_centre() -> None:
    cells = cells_of(SHAPE, [Centre(at=(12.0, 12.0, 25.5), diameter_mm=20.0)])
    assert not (cells.heat == 1.0).any()
    assert cells.heat.max() > 0.3


def test_between_two_the_nearer_tells_the_size() -> None:
    near, far = Centre(at=(8.5, 8.5, 6.5), diameter_mm=12.0), Centre(at=(8.5, 8.5, 14.5), diameter_mm=12.5)
    cells = cells_of(SHAPE, [far, near])
    assert cells.size[4, 4, 3] == pytest.approx(np.log(12.0), abs=1e-6)
    assert cells.size[4, 4, 7] == pytest.approx(np.log(12.5), abs=1e-6)
    assert (cells.heat == 1.0).sum() == 2


def test_without_a_centre_there_is_nothing() -> None:
    cells = cells_of(SHAPE, [])
    assert not cells.heat.any()
    assert not cells.sized.any()
