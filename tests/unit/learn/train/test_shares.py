"""Shares of held-out cases: who is always right on few patients is not said to be so for certain."""

from __future__ import annotations

import pytest

from tests.fixtures.frameworks import needed

needed("torch")
needed("monai")

from dicomnode.learn.train import held_out  # noqa: E402
from dicomnode.learn.train.classify import binary_figures  # noqa: E402
from dicomnode.learn.train.segment import outline_figures  # noqa: E402


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch) -> None:
    monkeypatch.setattr(held_out, "_RESAMPLES", 200)


def rows(truth: list[bool], present: list[bool]) -> list[tuple[str, bool, float, bool]]:
    pairs = enumerate(zip(truth, present, strict=True))
    return [(f"patient {n}", yes, 0.5 + 0.1 * said, said) for n, (yes, said) in pairs]


def test_a_class_that_is_always_told_has_the_exact_interval_of_its_patients() -> None:
    figures = binary_figures(rows([True] * 6 + [False] * 4, [True] * 6 + [False] * 4), 0)
    for name, count in (("sensitivity", 6), ("specificity", 4)):
        one = figures[name]
        assert (one.figure.value, one.figure.part, one.figure.whole, one.high) == (1.0, count, count, 1.0)
        assert one.low == pytest.approx(0.025 ** (1 / count))  # Clopper and Pearson, where all are right


def test_shares_are_counted_of_those_who_were_asked_and_a_class_that_is_nowhere_has_none() -> None:
    some = binary_figures(rows([True, True, True, False], [True, True, False, True]), 0)
    assert (some["sensitivity"].figure.part, some["sensitivity"].figure.whole) == (2, 3)
    assert (some["specificity"].figure.part, some["specificity"].figure.whole) == (0, 1)
    nowhere = binary_figures(rows([False, False], [False, True]), 0)
    assert nowhere["sensitivity"].figure.value is None
    assert nowhere["specificity"].figure.value == 0.5


def test_where_there_is_nothing_to_outline_cases_without_a_false_one_are_counted() -> None:
    found = {"without false cyst": [(f"p{n}", 1.0) for n in range(5)], "Dice liver": [("a", 0.5), ("b", 0.7)]}
    liver, cyst = outline_figures(found, 0)
    assert liver.interval.figure.value == pytest.approx(0.6)
    assert (cyst.interval.figure.part, cyst.interval.figure.whole) == (5, 5)
    assert cyst.interval.low == pytest.approx(0.025 ** (1 / 5))
