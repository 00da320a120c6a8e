"""How far readers agree, beyond what chance would give: labels by kappa and alpha, numbers, outlines.

Cohen, Educational and Psychological Measurement 20 (1960), weighted: Psychological Bulletin 70 (1968);
Fleiss, Psychological Bulletin 76 (1971); Krippendorff, Content Analysis (2004), chapter 11; intraclass
correlation: Shrout and Fleiss, Psychological Bulletin 86 (1979). Each is at most 1; 0 is chance, below it is
worse than chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicomnode.evaluate.cases import NO_CASES
from dicomnode.evaluate.figures import Figure, mean, share
from dicomnode.evaluate.metrics import Voxels, dice
from dicomnode.values import Mask
from dicomnode.values.geometry import Float64

_ROUNDING: Final = 1e-12  # of a sum of squares: what is less than this part of it is none


class Weights(StrEnum):
    """How much two different labels disagree."""

    NONE = "none"  # any two as much as any other two
    LINEAR = "linear"  # by the steps between them
    QUADRATIC = "quadratic"  # by the square of the steps


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDice:
    """The overlap of the outlines of two readers (their indices) of one case."""

    first: int
    second: int
    dice: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadersDice:
    """The overlaps of all pairs of readers, and of those the mean and the lowest.

    both_empty: pairs that outlined nothing, which counts as full agreement.
    """

    pairs: tuple[PairDice, ...]
    mean: Figure
    lowest: Figure
    both_empty: int


def observed_agreement(first: Sequence[str], second: Sequence[str]) -> Figure:
    """Share of the cases that two readers call the same, 0 to 1; says nothing of chance.

    Raises ValueError on different lengths.
    """
    _must_be_pairs(first, second)
    same = sum(a == b for a, b in zip(first, second, strict=True))
    return share("observed_agreement", same, len(first), NO_CASES)


def cohen_kappa(
    first: Sequence[str], second: Sequence[str], labels: Sequence[str], weights: Weights = Weights.NONE
) -> Figure:
    """Agreement of two readers, 1 - Σ w·observed / Σ w·expected.

    labels: all of them; their order is what weights count steps in. None where both use one and the same
    label throughout: chance alone would agree. Raises ValueError on different lengths, unknown labels and
    labels that stand twice.
    """
    _must_be_pairs(first, second)
    _must_be_known({*first, *second}, labels)
    name = "cohen_kappa" if weights is Weights.NONE else f"cohen_kappa_{weights}"
    if not len(first):
        return Figure(name=name, value=None, reason=NO_CASES)
    used = {*first, *second}
    if len(used) == 1:
        return Figure(name=name, value=None, reason=f"both call every case {used.pop()}")
    index = {label: n for n, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, ([index[one] for one in first], [index[one] for one in second]), 1)
    return Figure(name=name, value=kappa_of_counts(counts, weights))


def kappa_of_counts(counts: ArrayLike, weights: Weights = Weights.NONE) -> float | None:
    """Cohen's kappa of how often two readers gave each pair of labels: (labels of one, of the other).

    None without a case, and where chance alone would agree. It is made thousands of times in a bootstrap,
    where scikit-learn's, which the tests hold against it, would take minutes.
    """
    table = np.asarray(counts, dtype=np.float64)
    total = table.sum()
    if not total:
        return None
    steps = np.abs(np.subtract.outer(np.arange(len(table)), np.arange(len(table))))
    apart = {Weights.NONE: steps > 0, Weights.LINEAR: steps, Weights.QUADRATIC: steps**2}[weights]
    expected = float((apart * np.outer(table.sum(axis=1), table.sum(axis=0))).sum()) / total
    return None if expected == 0.0 else 1.0 - float((apart * table).sum()) / expected


def fleiss_kappa(readings: Sequence[Sequence[str]], labels: Sequence[str]) -> Figure:
    """Agreement of any number of readers. readings: of each case, the label that each reader gave.

    Readers need not be the same from case to case, but as many. None where one label is used throughout.
    Raises ValueError on fewer than two readers, on cases with different numbers of them, on unknown labels.
    """
    name = "fleiss_kappa"
    if not readings:
        return Figure(name=name, value=None, reason=NO_CASES)
    readers = {len(case) for case in readings}
    if len(readers) != 1 or min(readers) < 2:
        raise ValueError(f"each case has the same number of readers, two or more; got {sorted(readers)}")
    used = {label for case in readings for label in case}
    _must_be_known(used, labels)
    if len(used) == 1:
        return Figure(name=name, value=None, reason=f"all call every case {used.pop()}")
    many = readers.pop()
    counts = [[list(case).count(label) for label in labels] for case in readings]
    return fleiss_of_counts(np.array(counts), many)


def fleiss_of_counts(counts: NDArray[np.integer], readers: int) -> Figure:
    """Fleiss' kappa of how often each label was given to each case (cases, labels); rows add up to `readers`.

    Neither SciPy nor scikit-learn has it.
    """
    given = counts.sum(axis=0)
    if not given.any() or np.count_nonzero(given) == 1:
        reason = "all call every case the same" if given.any() else NO_CASES
        return Figure(name="fleiss_kappa", value=None, reason=reason)
    observed = float((counts.astype(np.float64) ** 2).sum(axis=1).mean() - readers)
    expected = float(((given / given.sum()) ** 2).sum())
    observed /= readers * (readers - 1)
    return Figure(name="fleiss_kappa", value=(observed - expected) / (1.0 - expected))


def krippendorff_alpha(counts: NDArray[np.integer], *, ordered: bool = False) -> Figure:
    """Krippendorff's alpha: any number of readers, of whom not all have read every case.

    counts: how often each label was given to each case (cases, labels); a case that one reader alone has read
    says nothing. ordered: labels stand in an order, and lie as far apart as there are values between them;
    else any two differ alike. None where one label is used throughout.
    """
    name = "krippendorff_alpha_ordinal" if ordered else "krippendorff_alpha"
    of_case = counts.sum(axis=1)
    paired = counts[of_case > 1].astype(np.float64)
    if not len(paired):
        return Figure(name=name, value=None, reason="no case has two readers")
    each = paired / (of_case[of_case > 1] - 1)[:, None]
    together = each.T @ paired - np.diag(each.sum(axis=0))  # coincidences (labels, labels)
    given = together.sum(axis=1)
    if np.count_nonzero(given) == 1:
        return Figure(name=name, value=None, reason="all call every case the same")
    apart = _apart(given, ordered=ordered)
    expected = float((apart * np.outer(given, given)).sum()) / (float(given.sum()) - 1.0)
    return Figure(name=name, value=1.0 - float((apart * together).sum()) / expected)


def _apart(given: Float64, *, ordered: bool) -> Float64:
    """How far labels lie from each other, squared (labels, labels); given: how often each was."""
    many = len(given)
    if not ordered:
        return 1.0 - np.eye(many)
    upto = np.cumsum(given)
    middle = upto - given / 2.0  # half of a label's own values count
    squared: Float64 = np.subtract.outer(middle, middle) ** 2
    return squared


def intraclass_correlation(numbers: ArrayLike) -> Figure:
    """ICC(2,1) of Shrout and Fleiss: readers drawn from many, absolute agreement, one reading each.

    numbers: float (cases, readers), none missing. None with fewer than two cases or readers, and where all
    numbers are the same.
    """
    name = "icc_2_1"
    table = np.asarray(numbers, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        return Figure(name=name, value=None, reason="it takes two cases and two readers, and more")
    many, readers = table.shape
    if table.min() == table.max():  # rounding would leave differences, and a figure made of them
        return Figure(name=name, value=None, reason="all numbers are the same")
    middle = table.mean()
    between_cases = readers * float(((table.mean(axis=1) - middle) ** 2).sum())
    between_readers = many * float(((table.mean(axis=0) - middle) ** 2).sum())
    rest = max(float(((table - middle) ** 2).sum()) - between_cases - between_readers, 0.0)
    of_cases, of_readers = between_cases / (many - 1), between_readers / (readers - 1)
    left = rest / ((many - 1) * (readers - 1))
    whole = of_cases + (readers - 1) * left + readers * (of_readers - left) / many
    if whole <= _ROUNDING * (of_cases + of_readers + left):
        return Figure(name=name, value=None, reason="cases have the same mean, and so have readers")
    return Figure(name=name, value=(of_cases - left) / whole)


def readers_dice(outlines: Sequence[Mask | Voxels]) -> ReadersDice:
    """Overlap of each two readers' outlines of one case, on one grid: bool (k, j, i).

    Raises ValueError on fewer than two readers and where grids differ in shape.
    """
    if len(outlines) < 2:
        raise ValueError(f"two readers and more agree or not, got {len(outlines)}")
    pairs = tuple(
        PairDice(first=a, second=b, dice=dice(outlines[a], outlines[b]))
        for a, b in combinations(range(len(outlines)), 2)
    )
    blank = sum(not _any(mask) for mask in outlines)
    overlaps = [Figure(name="dice", value=pair.dice) for pair in pairs]
    return ReadersDice(
        pairs=pairs,
        mean=mean("readers_dice", overlaps),
        lowest=Figure(name="lowest_readers_dice", value=min(pair.dice for pair in pairs)),
        both_empty=math.comb(blank, 2),
    )


def _any(mask: Mask | Voxels) -> bool:
    return not mask.is_empty if isinstance(mask, Mask) else bool(np.any(mask))


def _must_be_pairs(first: Sequence[str], second: Sequence[str]) -> None:
    if len(first) != len(second):
        raise ValueError(f"two readers of the same cases: got {len(first)} and {len(second)} labels")


def _must_be_known(used: set[str], labels: Sequence[str]) -> None:
    if len(set(labels)) != len(labels):
        raise ValueError(f"a label stands twice in {tuple(labels)!r}")
    unknown = sorted(used - set(labels))
    if unknown:
        raise ValueError(f"labels {unknown!r} are none of {tuple(labels)!r}")
