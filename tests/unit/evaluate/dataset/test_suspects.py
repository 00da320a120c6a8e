"""Labels that the data speak against are found; where nothing can be told, it is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.evaluate.dataset import FeatureTable, answer_suspects, confident_suspects, feature_suspects
from tests.unit.evaluate.evaluations import case_name, classification


def _table(values) -> FeatureTable:
    return FeatureTable(
        cases=tuple(case_name(n) for n in range(len(values))),
        names=tuple(str(n) for n in range(values.shape[1])),
        values=values,
    )


def _clouds(cases: int = 60) -> tuple[FeatureTable, list[str]]:
    values = np.random.default_rng(1).normal(size=(cases, 4))
    values[::2] += 4.0
    return _table(values), ["sick" if n % 2 == 0 else "healthy" for n in range(cases)]


def test_the_rule_is_that_of_confident_learning_worked_out_by_hand() -> None:
    labels = ("a", "b")
    given = ["a", "a", "a", "b", "b"]
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.95, 0.05]])
    # Thresholds: mean of a over its cases 0.6; of b over its cases (0.7 + 0.05) / 2 = 0.375
    first, second = confident_suspects(given, scores, labels)
    assert (first.case, first.given, first.likelier, first.probability) == (4, "b", "a", 0.05)
    assert (second.case, second.given, second.likelier, second.probability) == (2, "a", "b", 0.1)


def test_a_case_that_no_class_is_sure_of_is_no_suspect() -> None:
    scores = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9], [0.45, 0.55]])
    assert confident_suspects(["a", "a", "b", "b"], scores, ("a", "b")) == ()


def test_planted_wrong_labels_are_found_and_no_others() -> None:
    table, labels = _clouds()
    labels[10], labels[31] = "healthy", "sick"
    found = feature_suspects(table, labels)
    assert {one.case for one in found.found} == {10, 31}
    assert found.asked == 60
    assert all(one.likelier_probability > one.probability for one in found.found)


def test_right_labels_are_not_doubted() -> None:
    table, labels = _clouds()
    assert feature_suspects(table, labels).found == ()


def test_cases_without_a_label_are_not_judged_and_indices_stay_those_of_the_table() -> None:
    table, labels = _clouds()
    labels[31] = "sick"
    partly = [None if n < 20 else label for n, label in enumerate(labels)]
    found = feature_suspects(table, partly)
    assert found.asked == 40
    assert [one.case for one in found.found] == [31]


def test_no_model_has_seen_the_patient_that_it_judges() -> None:
    # Nothing but noise, each patient twice: who has seen the twin takes any label for right
    values = np.random.default_rng(0).normal(size=(80, 60))
    values[1::2] = values[::2]
    labels = ["a" if n // 2 % 2 == 0 else "b" for n in range(80)]

    def doubted(patients) -> int:
        cases = tuple(replace(case_name(n), patient=patient) for n, patient in enumerate(patients))
        table = FeatureTable(cases=cases, names=tuple(str(n) for n in range(60)), values=values)
        return len(feature_suspects(table, labels).found)

    twins_together, twins_apart = doubted(f"{n // 2}" for n in range(80)), doubted(f"{n}" for n in range(80))
    assert twins_together > 3 * twins_apart


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["a"] * 60, "two and more classes"),
        ([None] * 60, "two and more"),
        (["a"] * 59 + ["b"], "one patient only"),
    ],
)
def test_where_nothing_can_be_told_the_reason_is(labels: list, says: str) -> None:
    table, _ = _clouds()
    found = feature_suspects(table, labels)
    assert found.found == ()
    assert says in found.reason


def test_features_that_never_vary_tell_nothing_of_labels() -> None:
    found = feature_suspects(_table(np.ones((10, 2))), ["a", "b"] * 5)
    assert "no feature varies" in found.reason


def test_an_engine_s_own_answers_can_speak_against_a_label() -> None:
    judged = classification(sharp=4.0)
    cases = list(judged.cases)
    cases[3] = replace(cases[3], truth="no malignant", scores=(0.001, 0.999))
    found = answer_suspects(replace(judged, cases=tuple(cases)))
    assert found.found[0].case == 3
    assert found.found[0].likelier == "malignant"


def test_without_scores_answers_say_nothing_of_labels() -> None:
    assert "no score" in answer_suspects(replace(classification(), cases=())).reason


@pytest.mark.parametrize(
    ("given", "scores", "says"),
    [(["a"], np.ones((2, 2)), "cases of"), (["x"], np.ones((1, 2)), "none of")],
)
def test_what_does_not_fit_is_refused(given: list, scores: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        confident_suspects(given, scores, ("a", "b"))
