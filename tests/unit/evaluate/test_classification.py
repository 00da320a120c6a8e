"""Matrices and their figures: by hand, by plain counting case by case, and as scikit-learn has them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from dicomnode.evaluate import (
    ClassificationReport,
    ConfusionMatrix,
    Figure,
    ScoredCases,
    classification_report,
    matrix_at,
    matrix_of_labels,
    matrix_of_probabilities,
)

LABELS = ("a", "b", "c")
called = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), max_size=30)


def _report(counts: list[list[int]], labels: tuple[str, ...], positive: str | None = None):
    matrix = ConfusionMatrix(labels=labels, counts=np.array(counts), positive=positive)
    return classification_report(matrix)


def _of_pairs(pairs: list[tuple[str, str]], labels: tuple[str, ...] = LABELS) -> ClassificationReport:
    return classification_report(matrix_of_labels([t for t, _ in pairs], [c for _, c in pairs], labels))


def test_figures_of_a_small_matrix_by_hand() -> None:
    report = _report([[50, 10], [5, 35]], ("healthy", "sick"), "sick")
    sick = report.of("sick")
    assert sick.support == 40
    assert sick.recall.value == 35 / 40
    assert sick.recall.text == "0.875 (35 of 40)"
    assert sick.precision.value == 35 / 45
    assert sick.specificity.value == 50 / 60
    assert sick.prevalence.value == 0.4
    assert sick.f1.value == pytest.approx(2 * (35 / 40) * (35 / 45) / (35 / 40 + 35 / 45))
    assert report.accuracy.value == 0.85
    assert report.balanced_accuracy.value == pytest.approx((35 / 40 + 50 / 60) / 2)
    assert report.accuracy_without_looking.value == 0.6
    assert report.of("healthy").recall.value == sick.specificity.value


def _plainly(pairs: list[tuple[str, str]], label: str) -> dict[str, Fraction | None]:
    """Figures of a class, case by case, as exact fractions."""

    def part(of: list[bool]) -> Fraction | None:
        return Fraction(sum(of), len(of)) if of else None

    precision = part([t == label for t, c in pairs if c == label])
    recall = part([c == label for t, c in pairs if t == label])
    # F1 is the harmonic mean; with no case called so, or none that is so, its limit by counts
    touched = [t == c for t, c in pairs if label in (t, c) for _ in range((t == label) + (c == label))]
    return {
        "precision": precision,
        "recall": recall,
        "specificity": part([c != label for t, c in pairs if t != label]),
        "prevalence": part([t == label for t, _ in pairs]),
        "f1": part(touched),
    }


@given(called)
def test_figures_of_classes_are_what_counting_says(pairs: list[tuple[str, str]]) -> None:
    report = _of_pairs(pairs)
    for one in report.classes:
        plain = _plainly(pairs, one.label)
        assert {figure.name for figure in one.figures()} == set(plain)
        for figure in one.figures():
            expected = plain[figure.name]
            assert (figure.value is None) == (expected is None), figure
            assert figure.value == (None if expected is None else pytest.approx(float(expected)))


@given(called)
def test_figures_of_all_classes_are_what_counting_says(pairs: list[tuple[str, str]]) -> None:
    report = _of_pairs(pairs)
    right = [t == c for t, c in pairs]
    recalls = [_plainly(pairs, label)["recall"] for label in LABELS]
    assert report.accuracy.value == (sum(right) / len(right) if right else None)
    if None in recalls:
        assert report.balanced_accuracy.value is None
        assert "recall of" in report.balanced_accuracy.reason
    else:
        assert report.balanced_accuracy.value == pytest.approx(float(sum(recalls) / 3))


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, guess = (generator.choice(LABELS, 60, p=(0.6, 0.3, 0.1)) for _ in range(2))
    report = classification_report(matrix_of_labels(list(truth), list(guess), LABELS))
    assert np.array_equal(report.matrix.counts, metrics.confusion_matrix(truth, guess, labels=LABELS))
    rows = metrics.precision_recall_fscore_support(truth, guess, labels=LABELS, zero_division=np.nan)
    for n, one in enumerate(report.classes):
        ours = [one.precision.value, one.recall.value, one.f1.value, one.support]
        assert [math.nan if x is None else x for x in ours] == pytest.approx(
            [x[n] for x in rows], nan_ok=True
        )
    assert report.accuracy.value == pytest.approx(metrics.accuracy_score(truth, guess))
    assert report.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(truth, guess))
    assert report.macro_f1.value == pytest.approx(metrics.f1_score(truth, guess, average="macro"))


@given(called, st.randoms(use_true_random=False))
def test_the_order_of_cases_does_not_matter(pairs: list[tuple[str, str]], random) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert list(_of_pairs(pairs).figures()) == list(_of_pairs(shuffled).figures())


@given(called, st.permutations(LABELS))
def test_the_order_of_labels_does_not_matter(pairs: list[tuple[str, str]], labels: list[str]) -> None:
    one, other = _of_pairs(pairs), _of_pairs(pairs, tuple(labels))
    for label in LABELS:
        assert one.of(label) == other.of(label)
    assert one.accuracy == other.accuracy
    assert one.macro_f1.value == pytest.approx(other.macro_f1.value)


@pytest.mark.parametrize(
    ("counts", "undefined"),
    [
        ([[0, 0], [0, 0]], {"accuracy", "balanced_accuracy", "macro_f1", "accuracy_without_looking"}),
        ([[5, 0], [0, 0]], {"recall of b", "precision of b", "f1 of b", "specificity of a"}),
        ([[5, 0], [3, 0]], {"precision of b"}),
        ([[5, 3], [0, 0]], {"recall of b", "specificity of a"}),
    ],
    ids=["no case", "one class", "never called", "none is so"],
)
def test_nothing_divided_by_nothing_is_no_number_and_says_why(counts, undefined: set[str]) -> None:
    report = _report(counts, ("a", "b"))
    none = [figure for figure in report.figures() if figure.value is None]
    named = {f"{figure.name} of {figure.label}" if figure.label else figure.name for figure in none}
    assert undefined <= named
    assert all(figure.reason and figure.reason in figure.text for figure in none)
    assert not any(figure.reason for figure in report.figures() if figure.value is not None)


def test_a_class_that_is_called_but_never_right_has_an_f1_of_zero() -> None:
    assert _report([[4, 1], [2, 0]], ("a", "b")).of("b").f1.value == 0.0


@pytest.mark.parametrize(
    ("labels", "counts", "positive", "says"),
    [
        (("a",), [[1]], None, "two and more"),
        (("a", "a"), [[1, 0], [0, 1]], None, "different labels"),
        (("a", "b"), [[1, 0]], None, "rows and columns"),
        (("a", "b"), [[1, -1], [0, 1]], None, "from 0 up"),
        (("a", "b"), [[1, 0.5], [0, 1]], None, "whole numbers"),
        (("a", "b"), [[1, 0], [0, 1]], "c", "none of"),
    ],
)
def test_what_is_no_matrix_is_refused(labels, counts, positive, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ConfusionMatrix(labels=labels, counts=np.array(counts), positive=positive)


def test_a_label_that_nobody_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="none of"):
        matrix_of_labels(["a"], ["d"], LABELS)
    with pytest.raises(ValueError, match="a case"):
        matrix_of_labels(["a"], ["b", "c"], LABELS)


def test_a_case_is_positive_where_its_score_reaches_the_threshold() -> None:
    cases = ScoredCases(truth=[0, 1, 1, 0], scores=[0.5, 0.5, 0.49, 0.2])
    matrix = matrix_at(cases, 0.5)
    assert matrix.counts.tolist() == [[1, 1], [1, 1]]
    assert matrix.positive == "present"


def test_many_classes_are_called_by_the_highest_probability_and_of_equal_ones_the_first() -> None:
    probabilities = [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]]
    matrix = matrix_of_probabilities([1, 1, 2], probabilities, LABELS)
    assert matrix.counts.tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("probabilities", [[[0.5, math.nan, 0.5]], [[0.5, 0.5]]])
def test_probabilities_that_are_none_are_refused(probabilities: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="probabilit"):
        matrix_of_probabilities([0], probabilities, LABELS)


@pytest.mark.parametrize("truth", [[3], [-1]])
def test_a_class_outside_the_labels_is_refused(truth: list[int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        matrix_of_probabilities(truth, [[0.2, 0.3, 0.5]], LABELS)


@pytest.mark.parametrize(
    "wrong",
    [{"value": math.nan}, {"value": None}, {"value": 0.5, "reason": "why"}, {"value": 1.0, "part": 1}],
)
def test_a_figure_is_a_finite_number_or_says_why_not(wrong: dict) -> None:
    with pytest.raises(ValueError, match="'recall'"):
        Figure(name="recall", **wrong)


def test_classes_that_are_no_index_and_a_threshold_that_is_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="index"):
        matrix_of_probabilities([0.5], [[0.2, 0.3, 0.5]], LABELS)
    with pytest.raises(ValueError, match="threshold"):
        matrix_at(ScoredCases(truth=[1], scores=[0.5]), math.nan)


def test_a_matrix_cannot_be_changed() -> None:
    matrix = matrix_of_labels(["a"], ["a"], LABELS)
    with pytest.raises(ValueError, match="read-only"):
        matrix.counts[0, 0] = 2
