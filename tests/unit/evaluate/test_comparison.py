"""Two engines on the same cases: the same patients for both, and discordant cases by exact sums."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.evaluate import (
    Figure,
    Resampling,
    ScoredCases,
    compare_areas,
    compare_figures,
    mcnemar_test,
    roc_auc,
)

QUICK = Resampling(resamples=200)


def _mean_of(values: np.ndarray):
    return lambda rows: Figure(name="mean", value=float(values[rows].mean()), label="all")


def test_the_interval_is_that_of_the_differences_of_the_same_draws() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.normal(size=90), generator.normal(0.1, 1, size=90)
    whose = [f"{n // 3:02d}" for n in range(90)]
    found = compare_figures(whose, _mean_of(first), _mean_of(second), QUICK)
    draws, plain = np.random.default_rng(0), []
    for _ in range(200):
        rows = np.concatenate([np.arange(3 * n, 3 * n + 3) for n in draws.integers(0, 30, size=30)])
        plain.append(second[rows].mean() - first[rows].mean())
    assert (found.interval.low, found.interval.high) == pytest.approx(
        tuple(np.percentile(plain, [2.5, 97.5]))
    )
    assert found.interval.figure.value == pytest.approx(second.mean() - first.mean())
    assert (found.first.value, found.second.value) == (
        pytest.approx(first.mean()),
        pytest.approx(second.mean()),
    )


def test_what_both_have_in_common_does_not_hide_the_difference() -> None:
    generator = np.random.default_rng(0)
    shared = generator.normal(0, 10, size=60)
    second = shared + 0.5 + 0.1 * generator.normal(size=60)
    found = compare_figures([str(n) for n in range(60)], _mean_of(shared), _mean_of(second), QUICK)
    assert found.tells is True
    assert found.text.endswith("they differ")
    assert found.interval.low == pytest.approx(0.5, abs=0.1)


def test_an_engine_does_not_differ_from_itself() -> None:
    values = np.random.default_rng(0).normal(size=40)
    found = compare_figures([str(n) for n in range(40)], _mean_of(values), _mean_of(values), QUICK)
    assert (found.interval.low, found.interval.high, found.tells) == (0.0, 0.0, False)
    assert found.text.endswith("it may be chance")


def test_turned_round_the_difference_changes_its_sign() -> None:
    generator = np.random.default_rng(5)
    first, second = generator.normal(size=40), generator.normal(size=40)
    whose = [str(n) for n in range(40)]
    one = compare_figures(whose, _mean_of(first), _mean_of(second), QUICK)
    other = compare_figures(whose, _mean_of(second), _mean_of(first), QUICK)
    assert (one.interval.low, one.interval.high) == pytest.approx((-other.interval.high, -other.interval.low))


def test_where_one_has_no_figure_there_is_no_difference_and_it_says_why() -> None:
    def nothing(_rows: np.ndarray) -> Figure:
        return Figure(name="mean", value=None, reason="no case was called sick")

    found = compare_figures(["a", "b", "c"], _mean_of(np.arange(3.0)), nothing, QUICK)
    assert found.tells is None
    assert "no case was called sick" in found.interval.remarks[0]
    assert found.text.endswith("nothing can be said")


def _two_engines(seed: int, better: float) -> tuple[ScoredCases, ScoredCases]:
    generator = np.random.default_rng(seed)
    truth = generator.random(120) < 0.4
    seen = truth + generator.normal(0, 1.0, 120)
    first, second = (seen + weight * truth + 0.5 * generator.normal(size=120) for weight in (0.0, better))
    return ScoredCases(truth=truth, scores=first), ScoredCases(truth=truth, scores=second)


def _delong(first: ScoredCases, second: ScoredCases) -> float:
    """Standard error of the difference of areas of independent cases (DeLong et al. 1988)."""
    of_yes, of_no = [], []
    for cases in (first, second):
        yes, no = cases.scores[cases.truth], cases.scores[~cases.truth]
        order = (yes[:, None] > no) + 0.5 * (yes[:, None] == no)
        of_yes.append(order.mean(axis=1))
        of_no.append(order.mean(axis=0))
    spread = np.cov(of_yes) / len(of_yes[0]) + np.cov(of_no) / len(of_no[0])
    return math.sqrt(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1])


@pytest.mark.parametrize(("better", "tells"), [(0.0, False), (1.5, True)])
def test_areas_of_independent_cases_spread_as_delong_says(better: float, tells: bool) -> None:
    first, second = _two_engines(8, better)
    roc, precision = compare_areas([str(n) for n in range(120)], first, second, QUICK)
    assert roc.interval.figure.value == pytest.approx(roc_auc(second).value - roc_auc(first).value)
    assert roc.interval.standard_error == pytest.approx(_delong(first, second), rel=0.2)
    assert roc.tells is tells
    assert precision.first.name == "average_precision"


def test_other_cases_are_not_compared() -> None:
    first, second = _two_engines(8, 0.0)
    turned = ScoredCases(truth=~second.truth, scores=second.scores)
    for patients, other in ((120, turned), (119, second)):
        with pytest.raises(ValueError, match="same cases"):
            compare_areas([str(n) for n in range(patients)], first, other)


def _two_sided(only_first: int, only_second: int) -> float:
    """Sum of all splits of the discordant cases that are no likelier than this one."""
    many = only_first + only_second
    chances = [Fraction(math.comb(many, k), 2**many) for k in range(many + 1)]
    return float(sum(chance for chance in chances if chance <= chances[only_first]))


rights = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


@settings(deadline=None)  # the first of them loads SciPy's statistics
@given(rights)
def test_mcnemar_is_the_exact_sum_over_splits(pairs: list[tuple[bool, bool]]) -> None:
    found = mcnemar_test([a for a, _ in pairs], [b for _, b in pairs])
    assert found.only_first == sum(a and not b for a, b in pairs)
    assert found.only_second == sum(b and not a for a, b in pairs)
    assert found.both == sum(a and b for a, b in pairs)
    assert found.only_first + found.only_second + found.both + found.neither == len(pairs)
    if found.only_first + found.only_second:
        assert found.p_value.value == pytest.approx(_two_sided(found.only_first, found.only_second))
    else:
        assert found.p_value.value is None
        assert found.p_value.reason == "no case was called right by one engine alone"


@settings(deadline=None)
@given(rights, st.randoms(use_true_random=False))
def test_neither_order_nor_which_engine_is_first_changes_p(pairs: list[tuple[bool, bool]], random) -> None:
    turned = [(b, a) for a, b in pairs]
    random.shuffle(turned)
    one, other = (mcnemar_test([a for a, _ in of], [b for _, b in of]) for of in (pairs, turned))
    assert one.p_value == other.p_value


def test_several_cases_of_a_patient_are_remarked() -> None:
    assert mcnemar_test([True, True], [False, True], ["p", "q"]).remarks == ()
    (remark,) = mcnemar_test([True, True], [False, True], ["p", "p"]).remarks
    assert "not independent" in remark


@pytest.mark.parametrize(
    ("first", "second", "patients"),
    [([True], [], None), ([True], [True], ["p", "q"]), ([[True]], [[True]], None)],
)
def test_rights_that_do_not_fit_are_refused(first: list, second: list, patients: list | None) -> None:
    with pytest.raises(ValueError, match="same cases"):
        mcnemar_test(first, second, patients)
