"""Kappa and overlap of readers: from their definitions by plain loops, and one handed-down example."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dicomnode.evaluate import (
    Weights,
    cohen_kappa,
    fleiss_kappa,
    intraclass_correlation,
    observed_agreement,
    readers_dice,
)
from dicomnode.values import Mask

LABELS = ("none", "mild", "severe")
both = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=25)
STEPS = {
    Weights.NONE: lambda d: float(d > 0),
    Weights.LINEAR: float,
    Weights.QUADRATIC: lambda d: float(d**2),
}


def _kappa(pairs: list[tuple[str, str]], weights: Weights, labels: tuple[str, ...] = LABELS) -> float | None:
    """1 - observed / expected disagreement; expected: each label of one reader against each of the other."""

    def apart(a: str, b: str) -> float:
        return STEPS[weights](abs(labels.index(a) - labels.index(b)))

    observed = sum(apart(a, b) for a, b in pairs) / len(pairs)
    expected = [apart(a, b) for (a, _), (_, b) in product(pairs, pairs)]
    return 1 - observed / (sum(expected) / len(expected)) if any(expected) else None


@pytest.mark.parametrize("weights", list(Weights))
@settings(deadline=None)  # the first of them loads scikit-learn
@given(pairs=both)
def test_cohen_s_kappa_is_what_its_definition_says(weights: Weights, pairs: list[tuple[str, str]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    figure, plain = cohen_kappa(first, second, LABELS, weights), _kappa(pairs, weights)
    assert figure.value == (None if plain is None else pytest.approx(plain, abs=1e-12))
    assert observed_agreement(first, second).value == sum(a == b for a, b in pairs) / len(pairs)
    turned = cohen_kappa(second, first, LABELS, weights)
    assert turned.value == (None if plain is None else pytest.approx(plain, abs=1e-12))


@settings(deadline=None)
@given(both)
def test_kappa_does_not_know_the_names_of_labels(pairs: list[tuple[str, str]]) -> None:
    other = dict(zip(LABELS, ("x", "y", "z"), strict=True))
    renamed = [(other[a], other[b]) for a, b in pairs]
    for weights in Weights:
        one = cohen_kappa([a for a, _ in pairs], [b for _, b in pairs], LABELS, weights)
        two = cohen_kappa([a for a, _ in renamed], [b for _, b in renamed], ("x", "y", "z"), weights)
        assert one.value == two.value


def test_a_label_that_nobody_used_is_a_step_all_the_same() -> None:
    labels = ("none", "trace", "mild", "severe")
    pairs = [("none", "none"), ("none", "mild"), ("none", "mild"), ("mild", "mild"), ("severe", "severe")]
    with_trace, without = (_kappa(pairs, Weights.LINEAR, of) for of in (labels, LABELS))
    assert with_trace != pytest.approx(without)
    figure = cohen_kappa([a for a, _ in pairs], [b for _, b in pairs], labels, Weights.LINEAR)
    assert figure.value == pytest.approx(with_trace)


def test_two_readers_who_use_one_label_only_have_no_kappa() -> None:
    figure = cohen_kappa(["mild"] * 3, ["mild"] * 3, LABELS)
    assert figure.value is None
    assert figure.reason == "both call every case mild"


def test_two_readers_with_one_label_each_agree_as_chance_would() -> None:
    assert cohen_kappa(["mild"] * 3, ["severe"] * 3, LABELS).value == pytest.approx(0.0)


def test_full_agreement_is_one() -> None:
    assert cohen_kappa(LABELS, LABELS, LABELS, Weights.QUADRATIC).value == 1.0
    assert fleiss_kappa([[label] * 4 for label in LABELS], LABELS).value == pytest.approx(1.0)


# Ten cases, fourteen readers, five labels: the table that is handed down with Fleiss' kappa, 0.210
FLEISS = (
    (0, 0, 0, 0, 14),
    (0, 2, 6, 4, 2),
    (0, 0, 3, 5, 6),
    (0, 3, 9, 2, 0),
    (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0),
    (3, 2, 6, 3, 0),
    (2, 5, 3, 2, 2),
    (6, 5, 2, 1, 0),
    (0, 2, 2, 3, 7),
)


def test_fleiss_kappa_of_the_handed_down_table() -> None:
    readings = [[label for label, n in zip("12345", row, strict=True) for _ in range(n)] for row in FLEISS]
    assert fleiss_kappa(readings, "12345").value == pytest.approx(0.2099, abs=5e-5)


readings_of_three = st.lists(
    st.lists(st.sampled_from(LABELS), min_size=3, max_size=3), min_size=1, max_size=12
)


@given(readings_of_three, st.permutations(LABELS))
def test_fleiss_kappa_is_what_pairs_of_readers_say(readings: list[list[str]], labels: list[str]) -> None:
    agreeing = [a == b for case in readings for a, b in combinations(case, 2)]
    given_labels = [label for case in readings for label in case]
    chance = sum((given_labels.count(label) / len(given_labels)) ** 2 for label in LABELS)
    figure = fleiss_kappa(readings, labels)
    if len(set(given_labels)) == 1:
        assert figure.value is None
        assert figure.reason == f"all call every case {given_labels[0]}"
    else:
        plain = (sum(agreeing) / len(agreeing) - chance) / (1 - chance)
        assert figure.value == pytest.approx(plain, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: cohen_kappa(["none"], [], LABELS), "same cases"),
        (lambda: observed_agreement(["none"], []), "same cases"),
        (lambda: cohen_kappa(["none"], ["nil"], LABELS), "none of"),
        (lambda: fleiss_kappa([["none"]], LABELS), "two or more"),
        (lambda: fleiss_kappa([["none"] * 2, ["none"] * 3], LABELS), "same number"),
        (lambda: fleiss_kappa([["none", "nil"]], LABELS), "none of"),
        (lambda: fleiss_kappa([["none", "mild"]], (*LABELS, "mild")), "twice"),
        (lambda: readers_dice([np.zeros((1, 1, 1), bool)]), "two readers"),
        (lambda: readers_dice([np.zeros((1, 1, 1), bool), np.zeros((1, 1, 2), bool)]), "different grids"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


def test_without_a_case_there_is_no_agreement() -> None:
    for figure in (cohen_kappa([], [], LABELS), fleiss_kappa([], LABELS), observed_agreement([], [])):
        assert figure.value is None
        assert figure.reason == "there is no case"


@given(st.lists(arrays(np.bool_, (1, 2, 3)), min_size=2, max_size=4))
def test_overlap_of_readers_is_that_of_all_pairs(outlines: list[np.ndarray]) -> None:
    found = readers_dice(outlines)
    plain = []
    for a, b in combinations(outlines, 2):
        voxels = int(a.sum() + b.sum())
        plain.append(2 * int((a & b).sum()) / voxels if voxels else 1.0)
    assert [pair.dice for pair in found.pairs] == pytest.approx(plain)
    assert found.mean.value == pytest.approx(np.mean(plain))
    assert found.lowest.value == pytest.approx(min(plain))
    assert found.both_empty == sum(not a.any() and not b.any() for a, b in combinations(outlines, 2))


def test_overlap_of_masks_is_that_of_their_voxels() -> None:
    outlines = [np.zeros((2, 3, 4), bool) for _ in range(2)]
    outlines[0][1, 1, 1:3] = True
    found = readers_dice([Mask.from_array(one) for one in outlines])
    assert (found.mean.value, found.both_empty) == (0.0, 0)


@pytest.mark.parametrize("value", [0.1, 0.3, 7.7, 1e9 + 0.1])
@pytest.mark.parametrize("shape", [(7, 3), (13, 4)])
def test_equal_numbers_have_no_icc_however_they_are_rounded(value: float, shape: tuple[int, int]) -> None:
    figure = intraclass_correlation(np.full(shape, value))
    assert figure.value is None
    assert figure.reason == "all numbers are the same"


@pytest.mark.parametrize("high", [2.0, 2.3, 0.7])
def test_two_readers_who_change_places_have_no_icc_and_are_not_called_equal(high: float) -> None:
    figure = intraclass_correlation([[1.1, high], [high, 1.1]])
    assert figure.value is None
    assert figure.reason == "cases have the same mean, and so have readers"
