"""Figures of readers are those of their definitions by plain loops; what cannot be told is not told."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest

from dicomnode.evaluate import intraclass_correlation, krippendorff_alpha
from dicomnode.evaluate.evaluation import DataFacts
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.outcomes import CaseName
from dicomnode.evaluate.readers import ReadClasses, ReadNumbers, ReadOutlines, readers_report
from dicomnode.evaluate.readers.readings import OutlinedPair
from dicomnode.faults import READERS_NONE, NodeError

QUICK = Resampling(resamples=100, seed=1)
LABELS = ("none", "mild", "severe")
FACTS = DataFacts(studies=20, patients=10)


def cases(many: int, patients: int = 10) -> tuple[CaseName, ...]:
    return tuple(
        CaseName(patient=f"patient-{n % patients:04d}", study_instance_uid=f"1.2.{n:03d}", place=f"case-{n}")
        for n in range(many)
    )


def names(many: int) -> tuple[str, ...]:
    return tuple(f"reader {n + 1}" for n in range(many))


def classes(given, labels=LABELS, *, ordered: bool = False, patients: int = 10) -> ReadClasses:
    return ReadClasses(
        title="grade",
        readers=names(len(given[0])),
        by="columns",
        cases=cases(len(given), patients),
        given=tuple(tuple(row) for row in given),
        labels=labels,
        ordered=ordered,
    )


def figures(intervals) -> dict[str, float | None]:
    return {one.figure.name: one.figure.value for one in intervals}


def drawn(seed: int, readers: int, missing: float = 0.0, many: int = 24):
    """Labels that mostly agree; some are missing."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 3, many)
    rows = []
    for one in truth:
        agrees = generator.random(readers) < 0.7
        row = np.where(agrees, one, generator.integers(0, 3, readers))
        rows.append([None if generator.random() < missing else LABELS[n] for n in row])
    return rows


def kappa(a, b, apart) -> float:
    """Cohen, 1 - observed / expected disagreement, by every pair."""
    observed = np.mean([apart(x, y) for x, y in zip(a, b, strict=True)])
    expected = np.mean([apart(x, y) for x in a for y in b])
    return 1 - observed / expected


def alpha(rows, apart) -> float:
    """Krippendorff, by pairs of values: within cases weighted by 1 / (m - 1), and among all values."""
    units = [[one for one in row if one is not None] for row in rows]
    units = [unit for unit in units if len(unit) > 1]
    values = [one for unit in units for one in unit]
    observed = sum(apart(x, y) / (len(unit) - 1) for unit in units for x, y in permutations(unit, 2)) / len(
        values
    )
    expected = sum(apart(x, y) for x, y in permutations(values, 2)) / (len(values) * (len(values) - 1))
    return 1 - observed / expected


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_alpha_is_what_its_definition_says_also_where_readers_are_missing(missing: float) -> None:
    rows = drawn(3, 3, missing)
    counts = np.array([[row.count(label) for label in LABELS] for row in rows])
    figure = krippendorff_alpha(counts)
    assert figure.value == pytest.approx(alpha(rows, lambda x, y: float(x != y)))
    units = [[one for one in row if one is not None] for row in rows]
    often = [sum(unit.count(label) for unit in units if len(unit) > 1) for label in LABELS]

    def steps(x: str, y: str) -> float:
        low, high = sorted((LABELS.index(x), LABELS.index(y)))
        return (sum(often[low : high + 1]) - (often[low] + often[high]) / 2) ** 2

    ordered = krippendorff_alpha(counts, ordered=True)
    assert ordered.value == pytest.approx(alpha(rows, steps))


def test_alpha_of_the_example_that_krippendorff_hands_down() -> None:
    """Computing Krippendorff's Alpha-Reliability (2011), example C: 0.743 nominal, 0.815 ordinal."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = list(zip(*observers, strict=True))
    counts = np.array([[unit.count(label) for label in range(1, 6)] for unit in units])
    assert krippendorff_alpha(counts).value == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(counts, ordered=True).value == pytest.approx(0.815, abs=5e-4)


def test_icc_of_the_example_of_shrout_and_fleiss() -> None:
    """Psychological Bulletin 86 (1979), table 2: ICC(2,1) 0.29."""
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert intraclass_correlation(table).value == pytest.approx(0.2898, abs=5e-5)
    assert intraclass_correlation([[1.0, 1.0]] * 3).value is None
    assert intraclass_correlation([[1.0, 2.0]]).value is None


def test_two_readers_of_degrees_lead_with_the_weighted_kappa() -> None:
    rows = drawn(5, 2)
    (one,) = readers_report([classes(rows, ordered=True)], FACTS, QUICK).results
    a, b = ([LABELS.index(row[n]) for row in rows] for n in range(2))
    found = figures(one.together)
    assert one.lead.figure.name == "cohen_kappa_quadratic"
    assert found["cohen_kappa_quadratic"] == pytest.approx(kappa(a, b, lambda x, y: (x - y) ** 2))
    assert found["cohen_kappa_linear"] == pytest.approx(kappa(a, b, lambda x, y: abs(x - y)))
    assert found["cohen_kappa"] == pytest.approx(kappa(a, b, lambda x, y: float(x != y)))
    assert found["observed_agreement"] == pytest.approx(np.mean(np.equal(a, b)))
    assert one.lead.low < one.lead.figure.value < one.lead.high
    (pair,) = one.pairs
    assert np.sum(pair.counts) == len(rows)
    assert pair.counts[0][1] == sum(x == 0 and y == 1 for x, y in zip(a, b, strict=True))


def test_of_three_readers_all_pairs_are_told_and_missing_cells_leave_fleiss_out() -> None:
    whole, parts = drawn(7, 3), drawn(7, 3, 0.3)
    (one,) = readers_report([classes(whole)], FACTS, QUICK).results
    assert [figure.figure.name for figure in one.together] == ["fleiss_kappa", "krippendorff_alpha"]
    assert [(pair.first, pair.second) for pair in one.pairs] == list(combinations(names(3), 2))
    (other,) = readers_report([classes(parts)], FACTS, QUICK).results
    assert [figure.figure.name for figure in other.together] == ["krippendorff_alpha"]
    compared = [row for row in parts if sum(cell is not None for cell in row) > 1]
    assert other.compared == len(compared)
    assert other.alone == len(parts) - len(compared)
    for pair, (first, second) in zip(other.pairs, combinations(range(3), 2), strict=True):
        assert pair.cases == sum(row[first] is not None and row[second] is not None for row in parts)


def test_numbers_have_limits_of_the_second_minus_the_first_and_an_icc() -> None:
    generator = np.random.default_rng(11)
    first = generator.normal(50, 10, 20)
    second = first + 2 + generator.normal(0, 1, 20)
    given = np.column_stack([first, second])
    given[4, 1] = np.nan
    read = ReadNumbers(title="size", readers=names(2), by="columns", cases=cases(20), given=given)
    (one,) = readers_report([read], FACTS, QUICK).results
    found = figures(one.together)
    apart = np.delete(second - first, 4)
    assert one.alone == 1
    assert found["bias"] == pytest.approx(apart.mean())
    assert found["limit_low"] == pytest.approx(apart.mean() - 1.959964 * apart.std(ddof=1), abs=1e-5)
    assert found["limit_high"] == pytest.approx(apart.mean() + 1.959964 * apart.std(ddof=1), abs=1e-5)
    table = np.delete(given, 4, axis=0)
    rows, columns = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    n, k = table.shape
    between = k * ((rows - table.mean()) ** 2).sum() / (n - 1)
    readers = n * ((columns - table.mean()) ** 2).sum() / (k - 1)
    rest = ((table - rows - columns + table.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    assert found["icc_2_1"] == pytest.approx(
        (between - rest) / (between + (k - 1) * rest + k * (readers - rest) / n)
    )


def outlined(case: int, dice: float, first: float = 2.0, second: float = 3.0) -> OutlinedPair:
    both = first > 0 and second > 0
    return OutlinedPair(
        case=case, first=0, second=1, dice=dice, hd95_mm=4.0 * dice if both else None,
        first_ml=first, second_ml=second,
    )  # fmt: skip


def test_outlines_count_where_one_is_there_and_empty_ones_are_told_apart() -> None:
    pairs = (outlined(0, 0.8), outlined(1, 0.6), outlined(2, 0.0, 1.0, 0.0), outlined(3, 1.0, 0.0, 0.0))
    read = ReadOutlines(title="Liver", readers=names(2), by="authors", cases=cases(4), pairs=pairs, alone=2)
    (one,) = readers_report([read], FACTS, QUICK).results
    found = figures(one.together)
    assert found["mean_dice"] == pytest.approx((0.8 + 0.6 + 0.0) / 3)
    assert found["mean_hd95_mm"] == pytest.approx(4.0 * 0.7)
    assert found["mean_volume_difference_ml"] == pytest.approx((1 + 1 - 1) / 3)
    assert found["one_says_there_is_none"] == pytest.approx(1 / 4)
    assert (one.compared, one.alone) == (4, 2)


def test_cases_of_one_patient_have_no_interval_and_that_is_a_warning() -> None:
    (one,) = readers_report([classes(drawn(5, 2), patients=1)], FACTS, QUICK).results
    assert one.lead.low is None
    assert any("of one patient" in text for text in one.warnings)


def test_readers_who_agree_by_chance_are_warned_of() -> None:
    generator = np.random.default_rng(2)
    rows = [[LABELS[n] for n in generator.integers(0, 3, 2)] for _ in range(40)]
    report = readers_report([classes(rows, patients=40)], FACTS, QUICK)
    assert any("Readers agree little" in text for text in report.warnings)


def test_where_nobody_read_what_another_read_that_is_said() -> None:
    rows = [["none", None], [None, "mild"]]
    with pytest.raises(NodeError) as caught:
        readers_report([classes(rows)], FACTS, QUICK)
    assert caught.value.fault is READERS_NONE
    with pytest.raises(NodeError):
        readers_report([], FACTS, QUICK)


def test_two_who_call_everything_the_same_have_no_kappa() -> None:
    (one,) = readers_report([classes([["none", "none"]] * 5)], FACTS, QUICK).results
    assert one.lead.figure.value is None
    assert one.lead.figure.reason == "both call every case the same"
    assert math.isclose(figures(one.together)["observed_agreement"], 1.0)


def test_an_icc_of_all_readers_says_of_which_cases_it_is() -> None:
    given = np.random.default_rng(5).normal(50, 10, (20, 3))
    given[4:, 2] = np.nan
    read = ReadNumbers(title="size", readers=names(3), by="columns", cases=cases(20), given=given)
    (one,) = readers_report([read], FACTS, QUICK).results
    assert one.lead.figure.value == pytest.approx(intraclass_correlation(given[:4]).value)
    assert (one.compared, one.by_all) == (20, 4)
    assert "All together: of the 4 cases that each of them has read." in one.remarks


def test_a_poor_kappa_of_readers_who_mostly_say_the_same_says_why() -> None:
    """The paradox of prevalence: 96 of 100 alike, and a kappa below 0."""
    rows = [["no", "no"]] * 96 + [["yes", "no"]] * 2 + [["no", "yes"]] * 2
    report = readers_report(
        [classes(rows, ("no", "yes"), patients=100)], DataFacts(studies=100, patients=100), QUICK
    )
    (one,) = report.results
    assert one.lead.figure.value == pytest.approx((0.96 - (0.98**2 + 0.02**2)) / (1 - (0.98**2 + 0.02**2)))
    assert any("say the same in 0.960" in text for text in report.warnings)
