"""The true outline: of one reader or several, of another grid, empty, or not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.evaluate.truth import true_outline
from dicomnode.evaluate.truth.outlines import majority, onto
from dicomnode.evaluate.truth.wanted import By
from dicomnode.values import Grid, Mask
from tests.unit.evaluate.truth.values import LUNG, SHAPE, box, grid, labels, lesion, organ, seg, segment

A = box((1, 4), (1, 5), (1, 6))
B = box((1, 4), (1, 5), (3, 8))


def test_a_segment_of_the_code_is_the_truth():
    found = true_outline(organ(), labels(seg(segment("x", A, type=LUNG), segment("y", B))))
    assert np.array_equal(found.mask.to_array(), A)
    assert found.by is By.CODE
    assert found.source == "segments of type (39607008, SCT, 'Lung')"


def test_segments_by_code_leave_out_those_by_label_only():
    found = true_outline(organ(), labels(seg(segment("lung", B), segment("x", A, type=LUNG))))
    assert np.array_equal(found.mask.to_array(), A)


def test_both_sides_are_one_outline_where_the_output_has_no_side():
    found = true_outline(organ(), labels(seg(segment("x", A, type=LUNG), segment("y", B, type=LUNG))))
    assert np.array_equal(found.mask.to_array(), A | B)
    assert len(found.readers) == 1


def test_no_label_is_no_truth_and_not_an_empty_one():
    assert true_outline(organ(), labels()) is None
    assert true_outline(organ(), labels(seg(segment("liver", A)))) is None
    assert true_outline(organ(), labels(row={"lung": "1"})) is None  # there is one, but where?


@pytest.mark.parametrize("label", ["0", "no", "absent", "False"])
def test_a_table_may_say_that_there_is_none(label):
    found = true_outline(organ(), labels(row={"Lung": label}))
    assert found.mask.is_empty
    assert found.mask.shape_kji == grid().shape_kji
    assert found.source == "column Lung"


def test_an_empty_segment_says_that_there_is_none():
    found = true_outline(organ(), labels(seg(segment("lung", np.zeros_like(A)))))
    assert found.mask.is_empty


def test_of_several_readers_the_majority_is_the_truth_and_of_lesions_all_that_any_outlined():
    readers = [seg(segment("lung", one), uid=f"1.5.{n}") for n, one in enumerate((A, A, B))]
    found = true_outline(organ(), labels(*readers))
    assert np.array_equal(found.mask.to_array(), A)
    assert len(found.readers) == 3
    marked = [seg(segment("nodule", one), uid=f"1.5.{n}") for n, one in enumerate((A, B))]
    assert np.array_equal(true_outline(lesion(), labels(*marked)).mask.to_array(), A | B)


def test_two_readers_that_differ_outline_what_either_does():
    assert np.array_equal(majority([Mask.from_array(A), Mask.from_array(B)]).to_array(), A | B)


def test_another_stack_s_outline_does_not_count_unless_there_is_none_on_this_one():
    elsewhere = seg(segment("lung", B), uid="1.5.2", of_series="1.2.4")
    here = seg(segment("lung", A))
    assert np.array_equal(true_outline(organ(), labels(here, elsewhere)).mask.to_array(), A)
    assert np.array_equal(true_outline(organ(), labels(elsewhere)).mask.to_array(), B)
    far = replace(elsewhere, grid=grid(space="1.8"))
    assert true_outline(organ(), labels(far)) is None


def test_another_stack_of_the_series_is_another_stack():
    other = seg(segment("lung", A), of_stack=1, on=grid(space="1.8"))
    assert true_outline(organ(), labels(other)) is None
    assert true_outline(organ(), labels(replace(other, of_stack=None))) is not None


def test_on_a_finer_grid_a_mask_keeps_its_place_and_volume():
    coarse, fine = grid(2.0), grid(1.0, (12, 16, 20))
    fine = Grid(fine.shape_kji, fine.affine_lps - _half(0.5), "1.9")
    taken = onto(Mask.from_array(A), coarse, fine)
    assert np.array_equal(taken.to_array(), A.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def _half(step: float) -> np.ndarray:
    move = np.zeros((4, 4))
    move[:3, 3] = step
    return move


@given(st.permutations([0, 1, 2]), st.lists(st.booleans(), min_size=3, max_size=3), st.integers(0, 5))
def test_on_turned_and_mirrored_grids_the_same_voxels_are_meant(order, mirrored, seed):
    voxels = np.random.default_rng(seed).random((4, 5, 6)) > 0.6
    source = Grid((4, 5, 6), np.diag([1.0, 2.0, 3.0, 1.0]), "1.9")
    turned = voxels.transpose(order)
    affine = np.eye(4)
    columns = source.affine_lps[:3, :3].T[::-1][order]  # steps along k, j, i of the turned grid
    affine[:3, :3] = columns[::-1].T
    affine[:3, 3] = source.affine_lps[:3, 3]
    for axis, flip in enumerate(mirrored):
        if flip:
            turned = np.flip(turned, axis)
            affine[:3, 3] += affine[:3, 2 - axis] * (turned.shape[axis] - 1)
            affine[:3, 2 - axis] *= -1
    taken = onto(Mask.from_array(voxels), source, Grid(turned.shape, affine, "1.9"))
    assert np.array_equal(taken.to_array(), turned)


def test_what_lies_beside_the_grid_is_cut_off():
    near, far = grid(), Grid((6, 8, 10), grid().affine_lps + _half(1000.0), "1.9")
    assert onto(Mask.from_array(A), near, far).is_empty


def test_outlines_that_lie_beside_this_stack_say_nothing_of_it():
    far = Grid(SHAPE, np.array([[2.0, 0, 0, 500], [0, 2.0, 0, 500], [0, 0, 2.0, 500], [0, 0, 0, 1]]), "1.9")
    other = seg(segment("lung", box((1, 2), (1, 2), (1, 2)), type=LUNG), on=far, of_series="1.2.4")
    assert true_outline(organ(), labels(other)) is None
    empty = seg(segment("lung", box((0, 0), (0, 0), (0, 0)), type=LUNG), on=far, of_series="1.2.4")
    assert true_outline(organ(), labels(empty)).mask.is_empty
