"""Types of nodules: trees become probabilities that the graph says, and figures of what was said."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

needed("torch")
needed("sklearn")
needed("skl2onnx")

from dicomnode.learn.convert.sklearn_child import run_onnx  # noqa: E402
from dicomnode.learn.types.chests import KINDS, USUAL  # noqa: E402
from dicomnode.learn.types.figures import NOT_SURE, Judged, called, table_of  # noqa: E402
from dicomnode.learn.types.forest import (  # noqa: E402
    Lessons,
    Softmax,
    exported_forest,
    fit_softmax,
    said_of,
    train_forest,
    usual_weights,
)
from dicomnode.learn.types.found import PROFILE  # noqa: E402


# ── Trees and probabilities ───────────────────────────────────────────────────────────────────────
def drawn_lessons(seed: int, count: int = 300) -> Lessons:
    """Rows of which three numbers tell the type, not without doubt."""
    rng = np.random.default_rng(seed)
    types = np.arange(count) % len(KINDS)
    rows = rng.normal(size=(count, len(PROFILE.names))).astype(np.float32)
    rows[:, 3:6] += np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2], [2, 2, 0]], np.float32)[types]
    return Lessons(
        rows=rows,
        types=types.astype(np.intp),
        seeds=tuple(int(n) for n in np.arange(count) // 10),
        diameters_mm=(7.0,) * count,
    )


def test_weights_make_types_as_frequent_as_they_usually_are() -> None:
    types = np.array([0, 0, 0, 1, 2, 3, 4, 4])
    weights = usual_weights(types)
    shares = np.bincount(types, weights=weights) / weights.sum()
    assert shares == pytest.approx([USUAL[kind] for kind in KINDS])
    assert weights.mean() == pytest.approx(1.0)


def test_fitted_probabilities_mean_what_they_say_where_types_are_as_frequent_as_usual() -> None:
    forest = train_forest(drawn_lessons(0), 50, 0, 1)
    calibrated, fresh = drawn_lessons(1, 600), drawn_lessons(2, 2000)
    softmax = fit_softmax(said_of(forest, calibrated.rows), calibrated.types)
    assert softmax.fitted
    said = said_of(forest, fresh.rows)
    weights = usual_weights(fresh.types)

    def off(probabilities) -> float:
        right = probabilities.argmax(axis=1) == fresh.types
        return abs(float((weights * (probabilities.max(axis=1) - right)).sum() / weights.sum()))

    assert off(softmax.of(said)) < 0.05
    assert off(softmax.of(said)) < 0.5 * off(said)


def test_a_type_is_said_as_the_engine_says_it_whose_numbers_are_float32() -> None:
    said = np.zeros((2, len(KINDS)))
    said[:, 1] = np.float32(0.7), 0.6999  # the first is a little less than 0.7, and what 0.7 is in float32
    assert called(said, 0.7).tolist() == [1, NOT_SURE]


def test_too_few_of_a_type_fit_nothing_and_change_nothing() -> None:
    said = np.full((8, len(KINDS)), 0.2)
    softmax = fit_softmax(said, np.array([0, 0, 0, 0, 1, 2, 3, 4]))
    assert not softmax.fitted
    assert softmax.of(said) == pytest.approx(said)


def test_the_graph_says_what_the_trees_say_made_into_probabilities() -> None:
    lessons = drawn_lessons(0)
    forest = train_forest(lessons, 10, 1, 1)
    softmax = Softmax(slope=1.7, offsets=(0.5, -0.3, 0.0, -1.0, 0.2), fitted=True)
    found = run_onnx(exported_forest(forest, softmax, lessons.rows), lessons.rows, "forest")
    assert np.allclose(found, softmax.of(said_of(forest, lessons.rows)), atol=1e-5)
    assert np.allclose(found.sum(axis=1), 1.0, atol=1e-6)


def test_equal_seeds_give_equal_trees() -> None:
    lessons = drawn_lessons(0)
    one, two = (said_of(train_forest(lessons, 10, 3, 1), lessons.rows) for _ in range(2))
    assert np.array_equal(one, two)


# ── Figures ───────────────────────────────────────────────────────────────────────────────────────
def test_what_no_type_is_sure_of_is_not_sure() -> None:
    probabilities = np.array([[0.7, 0.3, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0.1, 0.1, 0.1, 0.1, 0.6]])
    assert called(probabilities, 0.6).tolist() == [0, NOT_SURE, 4]
    assert called(np.zeros((0, 5)), 0.6).tolist() == []


def test_the_table_counts_what_was_said_of_each_true_type_and_of_false_candidates() -> None:
    lessons = Lessons(
        rows=np.zeros((4, len(PROFILE.names)), dtype=np.float32),
        types=np.array([0, 0, 1, 2]),
        seeds=(1, 2, 2, 3),
        diameters_mm=(5.0, 7.0, 9.0, 20.0),
    )
    probabilities = np.eye(5)[[0, 1, 1, 2]] * 0.9 + 0.02
    probabilities[3] = 0.2
    judged = Judged(
        patients=4,
        lessons=lessons,
        probabilities=probabilities,
        of_alarms=np.array([[0.9, 0.1, 0, 0, 0], [0.3, 0.3, 0.2, 0.1, 0.1]]),
        planted=(3, 1, 1, 0, 0),
    )
    table = table_of(judged, 0.6, 0)
    assert table.answers[0].tolist() == [1, 1, 0, 0, 0, 0]
    assert table.answers[2].tolist() == [0, 0, 0, 0, 0, 1]
    assert (table.alarms, table.alarms_typed, table.patients) == (2, 1, 4)
    values = {one.name: one.interval.figure for one in table.lines}
    assert (values["right, of all that were found"].part, values["given a type"].part) == (2, 3)
    assert values["right, of those given a type"].value == pytest.approx(2 / 3)
    assert values["solid: called so"].value == pytest.approx(0.5)
    assert values["called part-solid: is so"].value == pytest.approx(0.5)
    assert values["right, under 6 mm"].whole == 1
    assert values["right, from 15 mm"].value == 0.0
    assert values["calcified: called so"].value is None
