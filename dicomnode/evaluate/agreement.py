"""How far readers agree, beyond what chance would give: labels by kappa, outlines by overlap.

Cohen, Educational and Psychological Measurement 20 (1960), weighted: Psychological Bulletin 70 (1968);
Fleiss, Psychological Bulletin 76 (1971). Kappa is at most 1; 0 is chance, below it is worse than chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np

from dicomnode.evaluate.cases import NO_CASES
from dicomnode.evaluate.figures import Figure, mean, share
from dicomnode.evaluate.metrics import Voxels, dice
from dicomnode.evaluate.scikit import need_scikit_learn
from dicomnode.values import Mask


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
    need_scikit_learn("Cohen's kappa")
    from sklearn.metrics import cohen_kappa_score  # noqa: PLC0415 (of an extra)

    index = {label: n for n, label in enumerate(labels)}
    value = cohen_kappa_score(
        [index[one] for one in first],
        [index[one] for one in second],
        labels=list(index.values()),  # all of them: one that nobody used is a step all the same
        weights=None if weights is Weights.NONE else str(weights),
    )
    return Figure(name=name, value=float(value))


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
    # Neither SciPy nor scikit-learn has it. counts: (cases, labels)
    counts = np.array([[list(case).count(label) for label in labels] for case in readings], dtype=np.float64)
    observed = float(((counts**2).sum(axis=1) - many).mean()) / (many * (many - 1))
    expected = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return Figure(name=name, value=(observed - expected) / (1.0 - expected))


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
