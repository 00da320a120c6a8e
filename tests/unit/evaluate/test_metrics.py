"""Overlap, distance and volume against plain loops, and at the ends of their ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.evaluate import dice, hausdorff95_mm, volume_error
from dicomnode.values import Mask

SPACING = (2.0, 1.0, 0.5)
masks = arrays(np.bool_, (3, 4, 5))


def _box(*spans: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((10, 12, 14), dtype=bool)
    mask[tuple(slice(a, b) for a, b in spans)] = True
    return mask


BALL = _box((2, 6), (3, 9), (4, 10))
NOTHING = np.zeros((10, 12, 14), dtype=bool)


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        (BALL, BALL, 1.0),
        (NOTHING, NOTHING, 1.0),
        (NOTHING, BALL, 0.0),
        (BALL, NOTHING, 0.0),
        (_box((2, 4), (3, 9), (4, 10)), BALL, 2 / 3),
        (_box((6, 9), (3, 9), (4, 10)), BALL, 0.0),
    ],
    ids=["same", "both empty", "nothing found", "nothing there", "half of it", "beside it"],
)
def test_dice(found: np.ndarray, truth: np.ndarray, expected: float) -> None:
    assert dice(found, truth) == pytest.approx(expected)
    assert dice(Mask.from_array(found), Mask.from_array(truth)) == pytest.approx(expected)
    assert dice(found, Mask.from_array(truth)) == pytest.approx(expected)


@given(masks, masks)
def test_dice_is_what_a_plain_loop_says(a: np.ndarray, b: np.ndarray) -> None:
    both = sum(x and y for x, y in zip(a.flat, b.flat, strict=True))
    size = sum(a.flat) + sum(b.flat)
    assert dice(a, b) == pytest.approx(2 * both / size if size else 1.0)
    assert dice(a, b) == dice(b, a)


@pytest.mark.parametrize("metric", [dice, lambda a, b: hausdorff95_mm(a, b, SPACING)])
def test_masks_of_different_grids_are_refused(metric) -> None:
    with pytest.raises(ValueError, match="different grids"):
        metric(np.zeros((2, 3, 4), bool), np.zeros((2, 3, 5), bool))


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        (BALL, BALL, 0.0),
        (NOTHING, NOTHING, 0.0),
        (NOTHING, BALL, math.inf),
        (BALL, NOTHING, math.inf),
        (_box((3, 4), (3, 4), (3, 4)), _box((5, 6), (3, 4), (3, 4)), 4.0),
        (_box((3, 4), (3, 4), (3, 4)), _box((3, 4), (6, 7), (3, 4)), 3.0),
        (_box((3, 4), (3, 4), (3, 4)), _box((3, 4), (3, 4), (9, 10)), 3.0),
        (
            _box((0, 1), (0, 1), (0, 1)),
            _box((9, 10), (11, 12), (13, 14)),
            math.dist((18, 11, 6.5), (0, 0, 0)),
        ),
        # The wall of a hole is surface too: its voxels lie up to 1 mm from the outer one.
        (BALL & ~_box((3, 5), (5, 7), (6, 8)), BALL, 1.0),
    ],
    ids=["same", "both empty", "nothing found", "nothing there", "k", "j", "i", "corners", "hole"],
)
def test_hausdorff95(found: np.ndarray, truth: np.ndarray, expected: float) -> None:
    assert hausdorff95_mm(found, truth, SPACING) == pytest.approx(expected)


def test_hausdorff95_forgives_one_stray_voxel_in_a_hundred() -> None:
    wide = _box((1, 9), (1, 11), (1, 9))
    stray = wide.copy()
    stray[5, 5, 13] = True
    assert hausdorff95_mm(stray, wide, (1.0, 1.0, 1.0)) < 1.0


def _surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    faces = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    inside = {tuple(int(n) for n in v) for v in np.argwhere(mask)}
    return sorted(
        v for v in inside if any(tuple(a + b for a, b in zip(v, f, strict=True)) not in inside for f in faces)
    )


@given(masks.filter(np.any), masks.filter(np.any))
def test_hausdorff95_is_what_plain_loops_say(a: np.ndarray, b: np.ndarray) -> None:
    def mm(voxel: tuple[int, ...]) -> tuple[float, ...]:
        return tuple(n * s for n, s in zip(voxel, SPACING, strict=True))

    def way(here: np.ndarray, there: np.ndarray) -> float:
        return float(
            np.percentile([min(math.dist(mm(v), mm(w)) for w in _surface(there)) for v in _surface(here)], 95)
        )

    assert hausdorff95_mm(a, b, SPACING) == pytest.approx(max(way(a, b), way(b, a)), abs=1e-9)


@pytest.mark.parametrize(
    ("found", "truth", "ml", "percent"),
    [
        (BALL, BALL, 0.0, 0.0),
        (NOTHING, BALL, -1.44, -100.0),
        (BALL, NOTHING, 1.44, None),
        (_box((2, 8), (3, 9), (4, 10)), BALL, 0.72, 50.0),
    ],
    ids=["same", "nothing found", "nothing there", "half more"],
)
def test_volume_error(found: np.ndarray, truth: np.ndarray, ml: float, percent: float | None) -> None:
    error = volume_error(found, truth, voxel_mm3=10.0)
    assert error.ml == pytest.approx(ml)
    assert error.percent == pytest.approx(percent)


@given(st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.5, 0.5)]), masks.filter(np.any))
def test_a_mask_agrees_with_itself(spacing: tuple[float, float, float], mask: np.ndarray) -> None:
    assert dice(mask, mask) == 1.0
    assert hausdorff95_mm(mask, mask, spacing) == 0.0
    assert volume_error(mask, mask, 1.0).ml == 0.0
