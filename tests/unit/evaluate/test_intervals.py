"""Intervals: every draw and both ends by plain numpy, and how often they hold the truth."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binomtest

from dicomnode.evaluate import (
    Figure,
    Interval,
    Method,
    Resampling,
    ScoredCases,
    bootstrap_interval,
    classification_report,
    matrix_at,
    roc_auc,
)
from dicomnode.evaluate.figures import share

QUICK = Resampling(resamples=200)
NORMAL = NormalDist()


def _mean_of(values: np.ndarray):
    return lambda rows: Figure(name="mean", value=float(values[rows].mean()))


def _several_each(patients: int, seed: int = 1) -> tuple[list[str], np.ndarray]:
    """Patients with one to four cases each, which resemble one another."""
    generator = np.random.default_rng(seed)
    many = generator.integers(1, 5, patients)
    whose = [f"p{n:03d}" for n, of in enumerate(many) for _ in range(of)]
    own = np.repeat(generator.exponential(1.0, patients), many)
    return whose, own + 0.1 * generator.normal(size=len(whose))


def _draws(whose: list[str], values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means of the drawn patients' cases, drawn one resample after the other."""
    keys, generator = sorted(set(whose)), np.random.default_rng(seed)
    of = {key: [v for w, v in zip(whose, values, strict=True) if w == key] for key in keys}
    means = []
    for _ in range(resamples):
        drawn = [keys[n] for n in generator.integers(0, len(keys), size=len(keys))]
        means.append(np.mean([v for key in drawn for v in of[key]]))
    return np.array(means)


@pytest.mark.parametrize("seed", [0, 7])
def test_percentiles_are_those_of_whole_patients_drawn(seed: int) -> None:
    whose, values = _several_each(35)
    found = bootstrap_interval(whose, _mean_of(values), Resampling(resamples=200, seed=seed))
    drawn = _draws(whose, values, 200, seed)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    assert found.standard_error == pytest.approx(drawn.std(ddof=1))
    assert found.figure.value == pytest.approx(values.mean())
    assert (found.patients, found.undefined, found.remarks) == (35, 0, ())


def test_bca_is_what_its_definition_says() -> None:
    whose, values = _several_each(40)
    how = Resampling(method=Method.BCA, resamples=500, level=0.9)
    found = bootstrap_interval(whose, _mean_of(values), how)
    drawn, whole = _draws(whose, values, 500, 0), values.mean()
    bias = NORMAL.inv_cdf((np.mean(drawn < whole) + np.mean(drawn <= whole)) / 2)
    without = np.array([values[[w != key for w in whose]].mean() for key in sorted(set(whose))])
    off = without.mean() - without
    acceleration = np.sum(off**3) / (6 * np.sum(off**2) ** 1.5)
    ends = []
    for tail in (0.05, 0.95):
        moved = bias + NORMAL.inv_cdf(tail)
        ends.append(np.quantile(drawn, NORMAL.cdf(bias + moved / (1 - acceleration * moved))))
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert found.method is found.asked is Method.BCA
    assert abs(acceleration) > 0.01  # else it would be the percentiles


@pytest.mark.parametrize("method", list(Method))
def test_the_order_of_cases_does_not_matter(method: Method) -> None:
    whose, values = _several_each(12)
    order = np.random.default_rng(3).permutation(len(whose))
    how = Resampling(method=method, resamples=150)
    one = bootstrap_interval(whose, _mean_of(values), how)
    other = bootstrap_interval([whose[n] for n in order], _mean_of(values[order]), how)
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    whose, values = _several_each(12)
    one, same, other = (
        bootstrap_interval(whose, _mean_of(values), Resampling(resamples=150, seed=seed))
        for seed in (4, 4, 5)
    )
    assert one == same
    assert one.low != other.low


def test_cases_of_few_patients_make_a_wide_interval() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=40), 10)  # ten equal cases each
    by_patient = bootstrap_interval([str(n // 10) for n in range(400)], _mean_of(values), QUICK)
    one_by_one = bootstrap_interval([str(n) for n in range(400)], _mean_of(values), QUICK)
    # Ten equal cases tell no more than one: the spread is sqrt(10) times as large
    assert by_patient.standard_error == pytest.approx(math.sqrt(10) * one_by_one.standard_error, rel=0.2)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(11)
    held = 0
    for _ in range(150):
        values = np.repeat(generator.normal(size=40), 2)
        found = bootstrap_interval(
            [str(n // 2) for n in range(80)], _mean_of(values), Resampling(resamples=150, level=0.8)
        )
        held += found.low <= 0.0 <= found.high
    assert 0.8 - 0.1 < held / 150 < 0.8 + 0.1  # three standard errors of 150 trials


def _sick_found(truth: np.ndarray, scores: np.ndarray):
    cases = ScoredCases(truth=truth, scores=scores)
    return lambda rows: classification_report(matrix_at(cases.take(rows), 0.5)).of("present").recall


def test_resamples_without_the_figure_are_counted_and_left_out() -> None:
    truth = np.array([1, 1] + [0] * 38)
    found = bootstrap_interval([str(n) for n in range(40)], _sick_found(truth, truth * 0.9), QUICK)
    generator = np.random.default_rng(0)
    none = sum(not truth[generator.integers(0, 40, size=40)].any() for _ in range(200))
    # Keys are sorted as text: the two sick ones are "0" and "1", which stay in front
    assert found.undefined == none > 10
    assert f"{none} of 200 resamples do not have this figure" in found.remarks[0]


def test_a_figure_that_is_itself_undefined_has_no_interval_and_says_why() -> None:
    found = bootstrap_interval([str(n) for n in range(40)], _sick_found(np.zeros(40), np.zeros(40)), QUICK)
    assert (found.low, found.high, found.resamples) == (None, None, 0)
    assert found.remarks == ("the figure itself is undefined: no case is present",)
    assert "no interval" in found.text


@pytest.mark.parametrize(("patients", "says"), [(1, "one only"), (2, "Only 2"), (29, "Only 29"), (30, None)])
def test_too_few_patients_are_told(patients: int, says: str | None) -> None:
    whose, values = _several_each(patients)
    found = bootstrap_interval(whose, _mean_of(values), QUICK)
    assert (found.low is None) == (patients == 1)
    assert any(says in remark for remark in found.remarks) if says else not found.remarks


def test_no_remark_names_a_patient() -> None:
    whose, values = _several_each(3)
    found = bootstrap_interval([f"SECRET{key}" for key in whose], _mean_of(values), QUICK)
    assert "SECRET" not in repr(found)


def test_a_figure_that_never_differs_says_that_its_interval_says_nothing() -> None:
    truth = np.array([0, 1] * 20)
    cases = ScoredCases(truth=truth, scores=truth)
    how = Resampling(method=Method.BCA, resamples=100)
    found = bootstrap_interval([str(n) for n in range(40)], lambda rows: roc_auc(cases.take(rows)), how)
    assert (found.low, found.high) == (1.0, 1.0)
    assert found.method is Method.PERCENTILE
    assert "No resample differs" in found.remarks[0]
    assert "BCa cannot be had" in found.remarks[1]


def test_bca_that_needs_a_patient_who_cannot_be_left_out_becomes_percentiles_and_says_so() -> None:
    truth, scores = np.array([1] + [0] * 39), np.linspace(0, 1, 40)
    cases = ScoredCases(truth=truth, scores=scores)  # without the only positive one there is no area
    how = Resampling(method=Method.BCA, resamples=150)
    found = bootstrap_interval([str(n) for n in range(40)], lambda rows: roc_auc(cases.take(rows)), how)
    assert (found.method, found.asked) == (Method.PERCENTILE, Method.BCA)
    assert "BCa cannot be had for this figure of these patients: percentiles instead." in found.remarks


def test_no_cases_have_no_interval() -> None:
    nothing = Figure(name="mean", value=None, reason="there is no case")
    found = bootstrap_interval([], lambda _: nothing, QUICK)
    assert found.remarks == ("the figure itself is undefined: there is no case",)
    assert found.patients == 0


@pytest.mark.parametrize("wrong", [{"resamples": 99}, {"level": 0.0}, {"level": 1.0}, {"level": math.nan}])
def test_a_resampling_that_gives_no_interval_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"interval|level"):
        Resampling(**wrong)


@pytest.mark.parametrize(
    "ends", [{"low": 0.5, "high": None}, {"low": None, "high": None}, {"low": 0.6, "high": 0.5}]
)
def test_an_interval_has_two_ends_in_order_or_says_why_not(ends: dict) -> None:
    with pytest.raises(ValueError, match="interval"):
        Interval(
            figure=Figure(name="mean", value=0.5),
            standard_error=None,
            level=0.95,
            method=Method.PERCENTILE,
            asked=Method.PERCENTILE,
            resamples=100,
            undefined=0,
            patients=3,
            seed=0,
            remarks=(),
            **ends,
        )


def _share_of(found: np.ndarray):
    def figure(rows: np.ndarray) -> Figure:
        there = found[rows][found[rows] >= 0]
        return share("sensitivity", int(there.sum()), len(there), "nothing is to be found")

    return figure


@pytest.mark.parametrize(("value", "wanted"), [(1, (0.025**0.1, 1.0)), (0, (0.0, 1 - 0.025**0.1))])
def test_all_or_nothing_is_not_certain_and_only_patients_that_have_some_count(value, wanted) -> None:
    # Ten patients with three lesions each, twenty without any
    whose = [f"p{n:02d}" for n in range(10) for _ in range(3)] + [f"q{n:02d}" for n in range(20)]
    found = bootstrap_interval(whose, _share_of(np.array([value] * 30 + [-1] * 20)), QUICK)
    assert (found.low, found.high) == pytest.approx(wanted)
    assert found.method is Method.EXACT
    assert "10 patients" in found.remarks[0]
    assert wanted == pytest.approx(_clopper_pearson(10 * value, 10))


def _clopper_pearson(part: int, whole: int) -> tuple[float, float]:
    exact = binomtest(part, whole).proportion_ci(0.95, method="exact")
    return exact.low, exact.high


def test_what_one_patient_alone_has_has_no_interval() -> None:
    found = bootstrap_interval(["a", "b", "c"], _share_of(np.array([1, -1, -1])), QUICK)
    assert found.low is None
    assert found.remarks == ("one patient alone has this figure",)
