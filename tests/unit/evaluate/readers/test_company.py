"""What is said of an engine beside readers is said on the same cases, and of no few patients."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from dicomnode.evaluate import classification_report, matrix_of_labels
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import Resampling
from dicomnode.evaluate.leading import Headline
from dicomnode.evaluate.outcomes import (
    CaseName,
    ClassificationResult,
    OutputName,
    RegressionResult,
    Result,
    SegmentationResult,
)
from dicomnode.evaluate.readers import Company
from dicomnode.evaluate.readers.company_figures import ReadByAll, company_of
from dicomnode.values import Code, Mask

QUICK = Resampling(resamples=200, seed=1)
WHAT = {
    "output": OutputName(label="it", type=None, truth="column it", by="label"),
    "headline": Headline(lead=Figure(name="x", value=1.0), warnings=(), contradictions=(), then=()),
    "intervals": (),
}
OUTLINES = SegmentationResult(**WHAT)
NUMBERS = RegressionResult(**WHAT, unit=Code("mm", "UCUM", "mm"))
CALLS = ClassificationResult(
    **WHAT,
    labels=("no", "yes"),
    report=classification_report(matrix_of_labels(["no", "yes"], ["no", "yes"], ("no", "yes"))),
)


def mask(*voxels: int) -> Mask:
    return Mask.from_array(np.array(voxels, dtype=bool).reshape(1, 1, -1))


def company(result: Result, rows) -> Company:
    """Each row: the engine, then the readers; a patient each."""
    cases = [CaseName(patient=f"patient-{n:04d}", study_instance_uid=f"1.2.{n}") for n in range(len(rows))]
    names = [f"reader {n}" for n in range(1, len(rows[0]))]
    read = ReadByAll(cases=cases, rows=[list(row) for row in rows], truths=["no"] * len(rows))
    return company_of(result, read, names, "columns", QUICK)


def test_an_engine_like_the_readers_case_by_case_is_not_nearer_for_easier_cases() -> None:
    """Sixty cases of two readers who all agree, twelve of another pair who all overlap by half."""
    easy = mask(1, 1, 0, 0)
    rows = [(easy, easy, easy, None)] * 60
    rows += [(mask(1, 1, 0, 0), mask(1, 0, 1, 0), None, mask(1, 0, 0, 1))] * 12
    one = company(OUTLINES, rows)
    assert one.among.figure.value == pytest.approx((1.0 + 0.5) / 2)
    assert one.difference.figure.value == pytest.approx(0.0)
    assert "nearer" not in one.verdict
    assert one.remarks == ("1 of 3 pairs of readers have too few cases in common, and are in no figure.",)


def test_what_hangs_on_one_patient_is_no_verdict() -> None:
    one = company(CALLS, [("yes", "yes", "no"), *[("no", "no", "no")] * 29])
    assert one.difference.low == one.difference.high == 0.5  # as each draw with this patient gives
    assert one.differing == 1
    assert one.verdict == "Nothing can be said of the difference: of all but 1 patient, all say the same."


def test_two_readers_who_always_say_the_same_word_are_not_passed_over() -> None:
    """Kappa of two who never say yes does not exist; the mean of the other pairs is another figure."""
    one = company(CALLS, [*[("yes", "no", "no", "yes")] * 8, *[("no", "no", "no", "no")] * 22])
    assert one.among.figure.value is None
    assert "a pair calls every case the same" in one.among.figure.reason
    assert one.verdict == "Nothing can be said of the difference."


def test_a_case_that_both_readers_leave_empty_is_of_no_overlap() -> None:
    """Of an outline where nobody outlines anything the share of clean cases tells."""
    some, none = mask(1, 1, 0, 0), mask(0, 0, 0, 0)
    rows = [(some, some, some)] * 8 + [(some, none, none)] * 8
    one = company(OUTLINES, rows)
    assert one.engine.figure.value == one.among.figure.value == 1.0
    half = company(OUTLINES, [(none, some, none)] * 8)
    assert (half.engine.figure.value, half.among.figure.value) == (0.5, 0.0)


def test_numbers_of_missing_readers_are_compared_pair_by_pair() -> None:
    generator = np.random.default_rng(3)
    truth = generator.normal(50, 10, 40)
    table = truth[:, None] + generator.normal(0, 3, (40, 4))
    table[generator.random((40, 4)) < 0.3] = np.nan
    table[:, 0] = truth  # the engine answered all
    rows = [[None if np.isnan(one) else float(one) for one in row] for row in table]
    rows = [row for row in rows if sum(one is not None for one in row[1:]) > 1]
    values = np.array([[np.nan if one is None else one for one in row] for row in rows])

    def icc(two: np.ndarray) -> float:
        """Shrout and Fleiss, by the table of variances."""
        n, k = two.shape
        cases, readers = two.mean(axis=1, keepdims=True), two.mean(axis=0, keepdims=True)
        between = k * ((cases - two.mean()) ** 2).sum() / (n - 1)
        apart = n * ((readers - two.mean()) ** 2).sum() / (k - 1)
        rest = ((two - cases - readers + two.mean()) ** 2).sum() / ((n - 1) * (k - 1))
        return (between - rest) / (between + (k - 1) * rest + k * (apart - rest) / n)

    mine, theirs = [], []
    for a, b in combinations((1, 2, 3), 2):
        both = values[~np.isnan(values[:, [a, b]]).any(axis=1)]
        theirs.append(icc(both[:, [a, b]]))
        mine += [icc(both[:, [0, a]]), icc(both[:, [0, b]])]
    one = company(NUMBERS, rows)
    assert one.among.figure.value == pytest.approx(np.mean(theirs))
    assert one.engine.figure.value == pytest.approx(np.mean(mine))
    assert one.difference.figure.value == pytest.approx(np.mean(mine) - np.mean(theirs))
