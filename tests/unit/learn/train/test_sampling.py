"""Patches and orders: drawn from seed, epoch and step alone, at labels as often as they should be."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.learn.train.samples import IGNORED, Sample
from dicomnode.learn.train.sampling import Places, balanced_order, corner_of, cut, order_of

PATCH = (4, 6, 6)


def sample_of(
    shape: tuple[int, int, int], spot: tuple[int, int, int] | None = None, structures: int = 1
) -> Sample:
    target = np.zeros((structures, *shape), dtype=np.uint8)
    if spot is not None:
        target[0][spot] = 1
    inputs = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    return Sample(name="", patient="a", inputs=inputs, target=target, spacing_kji_mm=(1.0, 1.0, 1.0))


def test_every_study_comes_once_before_one_comes_again() -> None:
    order = order_of(5, 1, 0, 12)
    assert sorted(order[:5]) == sorted(order[5:10]) == [0, 1, 2, 3, 4]
    assert order == order_of(5, 1, 0, 12)
    assert order != order_of(5, 1, 1, 12)
    assert order != order_of(5, 2, 0, 12)


def test_balanced_orders_have_each_class_equally_often() -> None:
    classes = [0] * 9 + [1]
    counts = Counter(classes[n] for n in balanced_order(classes, 1, 0, 40))
    assert counts == {0: 20, 1: 20}


def test_half_of_the_balanced_patches_hold_the_label() -> None:
    sample = sample_of((20, 40, 40), (3, 30, 5))
    places = Places.find(sample)
    held = 0
    for n in range(400):
        corner = corner_of(sample, places, PATCH, (1, 0, n))
        held += bool((cut(sample, corner, PATCH, 0.0)[1] == 1).any())
    assert 160 <= held <= 240  # binomial: 200 ± 4 standard deviations of 10


def test_structures_are_drawn_equally_often_whatever_their_size() -> None:
    sample = sample_of((20, 40, 40), structures=2)
    sample.target[0, :, :20] = 1
    sample.target[1, 19, 39, 39] = 1
    places = Places.find(sample)
    small = sum(
        bool((cut(sample, corner_of(sample, places, PATCH, (1, 0, n)), PATCH, 0.0)[1][1] == 1).any())
        for n in range(400)
    )
    assert 60 <= small <= 140


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    number=st.integers(0, 1000),
    balanced=st.booleans(),
)
def test_patches_lie_within_the_study_and_are_padded_where_it_ends(shape, number, balanced) -> None:
    sample = sample_of(shape, tuple(n // 2 for n in shape))
    places = Places.find(sample) if balanced else None
    corner = corner_of(sample, places, PATCH, (1, 2, number))
    inputs, target = cut(sample, corner, PATCH, -7.0)
    assert inputs.shape == (1, *PATCH)
    assert target.shape == (1, *PATCH)
    seen = tuple(min(n, p) for n, p in zip(shape, PATCH, strict=True))
    assert np.count_nonzero(target != IGNORED) == np.prod(seen)
    k, j, i = corner
    part = sample.inputs[:, k : k + PATCH[0], j : j + PATCH[1], i : i + PATCH[2]]
    assert np.array_equal(inputs[:, : seen[0], : seen[1], : seen[2]], part)
    assert np.all(inputs[target == IGNORED] == -7.0)
