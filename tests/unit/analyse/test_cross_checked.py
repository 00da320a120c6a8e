"""Lungs that were found twice: what the network alone sees may come in, and what differs is said."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.analyse.algorithms import CROSS_CHECKS, Anatomy, Part, Second
from dicomnode.analyse.algorithms.cross_checked import Difference, plausible_of, said_of
from dicomnode.analyse.resample import Prepared
from dicomnode.values import Grid, RemarkKind, no_progress

CHECK = CROSS_CHECKS["lungs_checked"]
SHAPE = (80, 70, 90)  # of 2 mm: what classical code works on
FINE, COARSE = 2.0, 4.0
AIR, SOFT = -850.0, 40.0


def grid_of(spacing_mm: float) -> Grid:
    """A grid of this spacing that covers the same, face to face."""
    shape = [round(size * FINE / spacing_mm) for size in SHAPE]
    affine = np.diag((spacing_mm, spacing_mm, spacing_mm, 1.0))
    affine[:3, 3] = (spacing_mm - FINE) / 2.0
    return Grid((shape[0], shape[1], shape[2]), affine, "1.2.3")


def ball(middle_mm: tuple[float, float, float], radius_mm: float, spacing_mm: float = FINE) -> np.ndarray:
    """A ball, its middle (z, y, x)."""
    grid = grid_of(spacing_mm)
    axes = np.ogrid[tuple(slice(0, size) for size in grid.shape_kji)]
    starts = grid.affine_lps[:3, 3][::-1]
    far = sum(
        (axis * spacing_mm + start - at) ** 2 for axis, start, at in zip(axes, starts, middle_mm, strict=True)
    )
    return far < radius_mm**2


RIGHT, LEFT = ((80.0, 70.0, 45.0), 34.0), ((80.0, 70.0, 135.0), 34.0)
BESIDE = ((80.0, 70.0, 45.0), 20.0)  # the core of the right lung
FAR = ((20.0, 20.0, 90.0), 17.0)


def checked(
    *,
    dense=None,
    found=(RIGHT, LEFT),
    seen=(RIGHT, LEFT),
    dense_seen: str | None = "right",
    left_too=None,
    check=CHECK,
    certainty=1.0,
) -> Anatomy:
    """Compare two lungs of classical code with what a network sees; dense: a ball of soft tissue.

    Classical code does not see the dense ball, the network takes it for lung of the side that is said.
    """
    hu = np.full(SHAPE, SOFT, np.float32)
    for one in (*found, *seen):
        hu[ball(*one)] = AIR
    if dense is not None:
        hu[ball(*dense)] = SOFT
    sides = np.zeros(grid_of(COARSE).shape_kji, dtype=int)
    for number, one in enumerate(seen, 1):
        sides[ball(*one, COARSE)] = number
    if left_too is not None:
        sides[ball(*left_too, COARSE)] = 2
    if dense is not None:
        sides[ball(*dense, COARSE)] = {"right": 1, "left": 2, None: 0}[dense_seen]
    values = np.stack([(sides == number) for number in range(3)]).astype(np.float32)
    values = certainty * values + (1.0 - certainty) / 3.0
    parts = [Part(side, ball(*one) & (hu == AIR)) for side, one in zip(("right", "left"), found, strict=True)]
    lungs = Anatomy(grid=grid_of(FINE), parts=tuple(parts))
    image = Prepared(hu, grid_of(FINE))
    return check.run(image, lungs, Second(values, grid_of(COARSE)), check.parameters, no_progress)


def mask_of(anatomy: Anatomy, side: str) -> np.ndarray:
    (mask,) = [part.mask for part in anatomy.parts if part.side == side]
    return mask


def texts(anatomy: Anatomy) -> str:
    assert all(one.kind is RemarkKind.QUALITY for one in anatomy.remarks)
    return " ".join(one.text for one in anatomy.remarks)


def test_where_both_agree_nothing_is_said_and_no_voxel_changes():
    anatomy = checked()
    assert anatomy.remarks == ()
    for side, one in (("right", RIGHT), ("left", LEFT)):
        assert np.array_equal(mask_of(anatomy, side), ball(*one))


def test_dense_lung_that_the_network_sees_comes_in_and_is_told_in_millilitres():
    anatomy = checked(dense=BESIDE)
    truth = ball(*RIGHT)
    found = mask_of(anatomy, "right")
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.97
    assert np.array_equal(mask_of(anatomy, "left"), ball(*LEFT))
    said = texts(anatomy)
    (ml,) = [int(word) for word in said.split() if word.isdigit()]
    assert ml == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.1)
    assert "at the right lung" in said
    assert "consolidation, collapse, a mass, or fluid" in said


def test_where_both_are_only_compared_dense_lung_is_told_and_no_voxel_changes():
    anatomy = checked(dense=BESIDE, check=CROSS_CHECKS["lungs_compared"])
    assert np.array_equal(mask_of(anatomy, "right"), ball(*RIGHT) & ~ball(*BESIDE))
    said = texts(anatomy)
    (ml,) = [int(word) for word in said.split() if word.isdigit()]
    assert ml == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.15)
    assert "not part of its outline" in said


def slab(middle: int, size: int, shape=(6, 40, 40)) -> np.ndarray:
    """A square of this half size in each slice, its middle on the diagonal."""
    mask = np.zeros(shape, dtype=bool)
    mask[:, middle - size : middle + size + 1, middle - size : middle + size + 1] = True
    return mask


EVERYWHERE = np.ones((6, 40, 40), dtype=bool)


def test_the_foam_of_a_table_is_no_lung_that_was_missed():
    seen = np.where(slab(12, 6), 1, 0) + np.where(slab(34, 3), 2, 0)
    first = np.where(slab(12, 6), 1, 0)
    assert np.array_equal(plausible_of(seen, first, EVERYWHERE, slab(12, 10)), first)


def test_a_lung_that_lies_open_to_the_edge_of_the_images_needs_no_body_around_it():
    seen = first = np.where(slab(12, 6), 2, 0)
    assert np.array_equal(plausible_of(seen, first, EVERYWHERE, ~EVERYWHERE), first)


def test_a_hole_within_a_lung_of_the_network_is_filled_only_where_classical_code_sees_lung():
    body, first = slab(20, 18), np.where(slab(20, 12), 1, 0)
    hole = slab(20, 3)
    seen = np.where(hole, 0, first)
    assert np.array_equal(plausible_of(seen, first, EVERYWHERE, body), first)
    solid = np.where(hole, 0, first)  # both say that the middle is none: a mass, a vessel
    assert np.array_equal(plausible_of(seen, solid, EVERYWHERE, body), seen)


def test_what_the_network_takes_for_no_lung_counts_where_it_is_sure():
    body, first = slab(20, 18), np.where(slab(20, 12), 1, 0)
    bitten = np.where(slab(8, 4), 0, first)  # open at the border: no hole
    assert np.array_equal(plausible_of(bitten, first, EVERYWHERE, body), bitten)
    assert np.array_equal(plausible_of(bitten, first, ~EVERYWHERE, body), first)


def test_what_comes_in_never_takes_a_voxel_from_the_other_lung():
    wide = ((80.0, 70.0, 90.0), 22.0)  # between both, into both
    anatomy = checked(dense=wide)
    right, left = mask_of(anatomy, "right"), mask_of(anatomy, "left")
    assert not (right & left).any()
    assert (left & ~ball(*LEFT)).sum() == 0
    assert (ball(*LEFT) & ~ball(*wide) & ~left).sum() == 0


def test_dense_tissue_far_from_any_lung_stays_out_and_is_told():
    anatomy = checked(dense=FAR)
    assert np.array_equal(mask_of(anatomy, "right"), ball(*RIGHT))
    assert "beside no aerated lung" in texts(anatomy)


def test_what_is_as_thin_as_a_border_is_no_difference():
    wider = ((80.0, 70.0, 45.0), 37.5)
    assert checked(seen=(wider, LEFT)).remarks == ()
    narrower = ((80.0, 70.0, 45.0), 31.0)
    assert checked(seen=(narrower, LEFT)).remarks == ()


def test_air_that_the_network_takes_for_no_lung_is_told_and_stays():
    pocket = ((80.0, 70.0, 45.0), 28.0)
    seen = checked(dense=pocket, dense_seen=None)
    assert seen.remarks == ()  # both say that it is no lung
    shrunk = checked(seen=(((80.0, 70.0, 38.0), 24.0), LEFT))
    assert "of the right lung's outline are no lung by the network" in texts(shrunk)
    assert np.array_equal(mask_of(shrunk, "right"), ball(*RIGHT))


def test_a_network_that_hesitates_contradicts_nobody():
    bitten = (((80.0, 70.0, 38.0), 24.0), LEFT)
    assert "are no lung by the network" in texts(checked(seen=bitten, certainty=0.95))
    assert checked(seen=bitten, certainty=0.7).remarks == ()


def test_air_that_the_network_alone_takes_for_lung_is_told_and_left_out():
    small = ((80.0, 70.0, 38.0), 24.0)
    anatomy = checked(found=(small, LEFT))
    assert "hold air were taken for right lung by the network only" in texts(anatomy)
    assert np.array_equal(mask_of(anatomy, "right"), ball(*small))


def test_a_part_that_is_of_the_other_side_by_the_network_is_told_and_stays():
    anatomy = checked(left_too=((80.0, 70.0, 60.0), 27.0))
    assert "of the right lung belong to the left one by the network" in texts(anatomy)
    assert np.array_equal(mask_of(anatomy, "right"), ball(*RIGHT))


def test_where_both_agree_too_little_nothing_is_taken_from_the_network():
    for seen in ((LEFT, RIGHT), (((80.0, 70.0, 45.0), 34.0), ((20.0, 70.0, 135.0), 34.0))):
        anatomy = checked(seen=seen, dense=BESIDE)
        (remark,) = anatomy.remarks
        assert "agree too little" in remark.text
        assert np.array_equal(mask_of(anatomy, "right"), ball(*RIGHT) & ~ball(*BESIDE))


def test_where_the_network_sees_no_lung_at_all_that_is_what_is_said():
    anatomy = checked(seen=(((80.0, 70.0, 45.0), 9.0), ((80.0, 70.0, 135.0), 9.0)))
    (remark,) = anatomy.remarks
    assert "sees no lung" in remark.text
    assert "gas" in remark.text
    assert np.array_equal(mask_of(anatomy, "left"), ball(*LEFT))


def test_a_lung_without_any_air_beside_the_other_one_is_a_lung_that_was_missed():
    beside = ((80.0, 70.0, 72.0), 30.0)
    hu = np.full(SHAPE, SOFT, np.float32)
    hu[ball(*LEFT)] = AIR
    sides = np.zeros(grid_of(COARSE).shape_kji, dtype=int)
    sides[ball(*beside, COARSE)] = 1
    sides[ball(*LEFT, COARSE)] = 2
    values = np.stack([(sides == number) for number in range(3)]).astype(np.float32)
    lungs = Anatomy(grid=grid_of(FINE), parts=(Part("left", ball(*LEFT)),))
    second = Second(values, grid_of(COARSE))
    anatomy = CHECK.run(Prepared(hu, grid_of(FINE)), lungs, second, CHECK.parameters, no_progress)
    assert [part.side for part in anatomy.parts] == ["right", "left"]
    assert mask_of(anatomy, "right").sum() == pytest.approx(ball(*beside).sum(), rel=0.1)


LIMITS = CHECK.parameters
TABLE = [
    (Difference("right", 2000.0), []),
    (Difference("right", 2000.0, unseen_ml=190.0), []),
    (Difference("right", 2000.0, unseen_ml=210.0), ["no lung by the network"]),
    (Difference("right", 300.0, unseen_ml=40.0), []),
    (Difference("right", 300.0, unseen_ml=60.0), ["no lung by the network"]),
    (Difference("left", 2000.0, airy_ml=201.0), ["hold air"]),
    (Difference("left", 2000.0, swapped_ml=201.0), ["belong to the right one"]),
    (Difference("left", 2000.0, dense_ml=16.0), ["About 16 ml of dense tissue at the left lung"]),
    (Difference("left", 2000.0, doubtful_ml=16.0), ["left out. Look for a lung without air"]),
    (
        Difference("right", 100.0, 20.0, 30.0, 60.0, 70.0, 80.0),
        ["20 ml", "30 ml", "60 ml", "70 ml", "80 ml"],
    ),
]


@pytest.mark.parametrize(("difference", "said"), TABLE)
def test_only_what_is_above_the_limits_is_said_and_it_is_said_in_words(difference, said):
    found = said_of(difference, LIMITS)
    assert len(found) == len(said)
    for text, part in zip(found, said, strict=True):
        assert part in text
