"""Judging: what is right is 1, what is not seen is counted, and a box is padded as in service."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.learn.lungs.judging import DENSE_HU, answer, judged, table_of

from .coarse_worlds import SHAPE, coarse_world, sides_of


def knows(hu: np.ndarray, *, blind: bool = False) -> np.ndarray:
    """A run that knows where lungs are; blind: only where there is air in them."""
    sides = np.zeros(hu.shape[2:], dtype=int)
    k, j, i = SHAPE
    if hu.shape[2] >= k and hu.shape[4] >= i:
        sides[:k, :j, :i] = sides_of()
    if blind:
        sides[hu[0, 0] > DENSE_HU] = 0
    return np.stack([(sides == number) for number in range(3)])[None].astype(np.float32)


def test_what_is_padded_is_no_part_of_the_answer():
    seen = []

    def run(hu):
        seen.append(hu)
        return knows(hu)

    found = answer(run, coarse_world(1).hu.astype(np.float32))
    assert seen[0].shape == (1, 1, 48, 48, 64)
    assert (seen[0][0, 0, :, 44:] == -1000.0).all()
    assert np.array_equal(found, sides_of())


def test_who_knows_all_has_all_of_the_dense_lung_and_who_sees_air_alone_has_none_of_it():
    world = coarse_world(1)
    all_, air = judged(knows, world, 0), judged(lambda hu: knows(hu, blind=True), world, 0)
    assert (all_.right, all_.left, all_.beyond_ml) == (1.0, 1.0, 0.0)
    assert all_.dense_seen_ml == all_.dense_ml > 10.0
    assert air.dense_seen_ml < 0.05 * air.dense_ml
    assert air.left == pytest.approx(1.0, abs=0.01)
    assert air.right < 0.95


def test_the_table_has_each_figure_with_its_interval_and_what_is_seen_where_nothing_is():
    table = table_of(knows, [coarse_world(seed) for seed in (1, 2)], 0)
    lines = dict(table.lines)
    assert lines["Dice, right lung"].figure.value == 1.0
    assert lines["share of dense lung that is seen"].figure.value == 1.0
    assert lines["ml taken for lung that are none"].figure.value == 0.0
    assert len(table.nothing_ml) == 2
    assert min(table.nothing_ml) > 100.0  # this run sees its lungs everywhere


def test_where_no_patient_has_dense_lung_its_share_is_undefined_and_says_why():
    world = coarse_world(1)
    world.hu[world.sides > 0] = -850
    lines = dict(table_of(knows, [world], 0).lines)
    figure = lines["share of dense lung that is seen"].figure
    assert figure.value is None
    assert "none of them has dense lung" in figure.reason
