"""What a lung encloses in a slice: vessels and lesions are filled, the dome of the diaphragm is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomnode.analyse.algorithms.domes import filled_but_domes

MM = 2.0
SHAPE = (40, 50, 50)
UP, BACK, LEFT = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]


def lung_around(dense: NDArray[np.bool_]) -> NDArray[np.bool_]:
    whole = np.broadcast_to((BACK - 25) ** 2 + (LEFT - 25) ** 2 < 22**2, SHAPE)
    return whole & (UP > 2) & ~dense


def test_a_lesion_with_lung_below_it_is_filled():
    lesion = np.broadcast_to((UP - 20) ** 2 + (BACK - 25) ** 2 + (LEFT - 25) ** 2 < 8**2, SHAPE)
    assert filled_but_domes(lung_around(lesion), MM)[lesion].all()


def test_a_dome_with_no_lung_below_it_stays_out():
    dome = np.broadcast_to((UP - 2) ** 2 + (BACK - 25) ** 2 + (LEFT - 25) ** 2 < 14**2, SHAPE)
    found = filled_but_domes(lung_around(dome), MM)
    assert not found[dome].any()
    assert np.array_equal(found, lung_around(dome))


def test_both_at_once_are_told_apart():
    lesion = np.broadcast_to((UP - 30) ** 2 + (BACK - 25) ** 2 + (LEFT - 25) ** 2 < 6**2, SHAPE)
    dome = np.broadcast_to((UP - 2) ** 2 + (BACK - 25) ** 2 + (LEFT - 25) ** 2 < 14**2, SHAPE)
    found = filled_but_domes(lung_around(lesion | dome), MM)
    assert found[lesion].all()
    assert not found[dome].any()


def test_a_speck_at_the_base_is_filled():
    speck = np.broadcast_to((UP - 3) ** 2 + (BACK - 25) ** 2 + (LEFT - 25) ** 2 < 3**2, SHAPE)
    assert filled_but_domes(lung_around(speck), MM)[speck & (UP > 2)].all()


@pytest.mark.parametrize("filled", [False, True])
def test_where_nothing_is_enclosed_nothing_changes(filled):
    lung = np.full(SHAPE, filled)
    assert np.array_equal(filled_but_domes(lung, MM), lung)
