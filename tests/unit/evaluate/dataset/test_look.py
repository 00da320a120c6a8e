"""What a data set looks like: planted groups, outliers and twins are found, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.evaluate.dataset import FeatureTable, look_at, near_duplicates, table_of
from dicomnode.evaluate.dataset.neighbours import difference_hashes
from tests.unit.evaluate.evaluations import case_name


def _table(values, thumbnails=None) -> FeatureTable:
    values = np.asarray(values, dtype=np.float64)
    return FeatureTable(
        cases=tuple(case_name(n) for n in range(len(values))),
        names=tuple(f"feature {n}" for n in range(values.shape[1])),
        values=values,
        thumbnails=thumbnails,
    )


def _noise(seed: int, cases: int, features: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(cases, features))


def test_two_clouds_are_two_groups_the_larger_one_first() -> None:
    values = _noise(0, 50)
    values[30:] += 8.0
    look = look_at(_table(values))
    assert list(look.groups) == [0] * 30 + [1] * 20
    assert look.silhouette > 0.6
    assert look.explained[0] > 0.8


def test_the_map_is_that_of_a_singular_value_decomposition() -> None:
    table = _table(_noise(1, 30) * (5.0, 3.0, 1.0, 1.0, 1.0, 1.0))
    look = look_at(table)
    features = table.standardised()
    left, sizes, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    wanted = left[:, :2] * sizes[:2]
    assert np.abs(look.places) == pytest.approx(np.abs(wanted), abs=1e-9)
    assert look.explained == pytest.approx((sizes**2 / (sizes**2).sum())[:2])


def test_one_cloud_is_one_group_without_outliers() -> None:
    look = look_at(_table(_noise(2, 60)))
    assert set(look.groups) == {0}
    assert look.silhouette is None
    assert look.outliers == ()
    assert look.duplicates == ()
    assert "No groups: no division has a silhouette of 0.25." in look.remarks


def test_a_case_that_lies_apart_is_an_outlier() -> None:
    values = _noise(3, 60)
    values[17] += 9.0
    (one,) = look_at(_table(values)).outliers
    assert one.case == 17
    assert one.local_outlier_factor > 3.0
    assert one.isolation > 0.6


def test_equal_cases_are_near_duplicates_and_others_are_not() -> None:
    values = _noise(4, 40)
    values[31] = values[8]
    (one,) = near_duplicates(_table(values))
    assert (one.first, one.second) == (8, 31)
    assert one.cosine == pytest.approx(1.0)
    assert not one.same_patient


def test_twins_of_one_patient_stand_after_those_of_two() -> None:
    values = _noise(5, 40)
    values[2] = values[1]  # cases 1 and 2 are of one patient
    values[31] = values[8]
    found = near_duplicates(_table(values))
    assert [(one.first, one.second, one.same_patient) for one in found] == [(8, 31, False), (1, 2, True)]


def test_where_the_pictures_differ_features_alone_make_no_twin() -> None:
    values = _noise(6, 20)
    values[9] = values[3]
    pictures = np.random.default_rng(6).integers(0, 255, (20, 16, 16)).astype(np.uint8)
    assert near_duplicates(_table(values, pictures)) == ()
    pictures[9] = pictures[3]
    (one,) = near_duplicates(_table(values, pictures))
    assert one.bits_apart == 0.0


def test_the_hash_does_not_care_for_brightness_and_contrast() -> None:
    picture = np.random.default_rng(7).integers(20, 100, (16, 16)).astype(np.uint8)
    one, other = difference_hashes(np.stack([picture, picture * 2 + 10]))
    assert np.array_equal(one, other)
    turned = difference_hashes(picture.T[None])[0]
    assert np.mean(one != turned) > 0.3


def test_features_that_never_vary_are_left_out_and_told() -> None:
    values = np.column_stack([_noise(8, 20, 3), np.full(20, 0.1), np.full(20, 1e9)])
    look = look_at(_table(values))
    assert look.features == 3
    assert "2 of 5 features never vary and were left out." in look.remarks


@pytest.mark.parametrize("cases", [1, 2, 3, 9])
def test_of_few_cases_the_look_says_that_it_does_not_look(cases: int) -> None:
    look = look_at(_table(_noise(9, cases)))
    assert look.places.shape == (cases, 2)
    assert any(f"there are {cases}" in text for text in look.remarks)


def test_cases_that_are_all_the_same_break_nothing() -> None:
    look = look_at(_table(np.ones((12, 4))))
    assert look.features == 0
    assert not look.outliers
    assert "No feature varies: nothing tells the cases apart." in look.remarks
    many = look_at(_table(np.repeat(_noise(10, 2), 10, axis=0)))
    assert len(many.duplicates) == 2 * 45


def test_equal_seeds_look_alike() -> None:
    values = _noise(11, 40)
    values[20:] += 5.0
    labels = ["a", "b"] * 20
    first, second = (look_at(_table(values), labels, seed=3) for _ in range(2))
    assert np.array_equal(first.places, second.places)
    assert np.array_equal(first.groups, second.groups)
    assert (first.outliers, first.suspects) == (second.outliers, second.suspects)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"names": ("a",)}, "features"), ({"values": np.full((2, 2), np.nan)}, "finite")],
)
def test_a_table_that_does_not_fit_is_refused(change: dict, says: str) -> None:
    given = {"cases": (case_name(0), case_name(1)), "names": ("a", "b"), "values": np.ones((2, 2))}
    with pytest.raises(ValueError, match=says):
        FeatureTable(**(given | change))


def test_rows_of_other_features_make_no_table() -> None:
    rows = [(("a",), np.ones(1)), (("b",), np.ones(1))]
    with pytest.raises(ValueError, match="same features"):
        table_of([case_name(0), case_name(1)], rows)
