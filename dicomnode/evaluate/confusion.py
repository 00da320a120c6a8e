"""How often a case of each class was called each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicomnode.evaluate.cases import ScoredCases
from dicomnode.values import least_reaching
from dicomnode.values.geometry import read_only

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConfusionMatrix:
    """Counts int64 (true, called), the rows and columns in the order of `labels`.

    positive: the label of what is looked for ("sick"), None where no class is more than another.
    Raises ValueError on fewer than two labels, labels that repeat, a matrix that does not fit them, counts
    that are no whole numbers from 0 up, and a positive label that is none of them.
    """

    labels: tuple[str, ...]
    counts: Counts
    positive: str | None = None

    def __post_init__(self) -> None:
        labels, given = tuple(self.labels), np.asarray(self.counts)
        if len(labels) < 2 or len(set(labels)) != len(labels):
            raise ValueError(f"a confusion matrix has two and more different labels, got {labels!r}")
        if given.shape != (len(labels), len(labels)):
            raise ValueError(f"{len(labels)} labels need {len(labels)} rows and columns, got {given.shape}")
        counts = given.astype(np.int64)
        if not np.array_equal(counts, given) or counts.min() < 0:
            raise ValueError("a confusion matrix holds counts: whole numbers from 0 up")
        if self.positive is not None and self.positive not in labels:
            raise ValueError(f"the positive label {self.positive!r} is none of {labels!r}")
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "counts", read_only(counts))

    @property
    def total(self) -> int:
        """All cases."""
        return int(self.counts.sum())

    @property
    def right(self) -> int:
        """Cases that were called what they are."""
        return int(np.trace(self.counts))

    @property
    def support(self) -> tuple[int, ...]:
        """True cases of each class: the row sums."""
        return tuple(int(n) for n in self.counts.sum(axis=1))

    @property
    def called(self) -> tuple[int, ...]:
        """Cases that were called each class: the column sums."""
        return tuple(int(n) for n in self.counts.sum(axis=0))


def matrix_of_labels(
    truth: Sequence[str], called: Sequence[str], labels: Sequence[str], positive: str | None = None
) -> ConfusionMatrix:
    """Count what was called what. labels: all classes in the order of the report, also those without a case.

    Raises ValueError on different lengths and on a class that is none of `labels`.
    """
    index = {label: n for n, label in enumerate(labels)}
    unknown = sorted({*truth, *called} - set(index))
    if unknown:
        raise ValueError(f"classes {unknown!r} are none of {tuple(labels)!r}")
    return _counted([index[one] for one in truth], [index[one] for one in called], labels, positive)


def matrix_at(
    cases: ScoredCases, threshold: float, labels: tuple[str, str] = ("absent", "present")
) -> ConfusionMatrix:
    """Call a case positive where its score reaches `threshold`. labels: of negative and positive cases.

    Raises ValueError on a threshold that is not a number.
    """
    if math.isnan(threshold):
        raise ValueError("a threshold is a number")
    return _counted(cases.truth, cases.scores >= least_reaching(threshold), labels, labels[1])


def matrix_of_probabilities(
    truth: ArrayLike, probabilities: ArrayLike, labels: Sequence[str], positive: str | None = None
) -> ConfusionMatrix:
    """Call each case the class of its highest probability, of equal ones the first.

    truth: int (n,), indices of `labels`. probabilities: float (n, labels).
    Raises ValueError where shapes do not fit, or a probability is not a number.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != len(labels):
        raise ValueError(f"{len(labels)} labels need as many probabilities a case, got {scores.shape}")
    if np.isnan(scores).any():
        raise ValueError("a probability is not a number")
    return _counted(truth, np.argmax(scores, axis=1), labels, positive)


def _counted(
    truth: ArrayLike, called: ArrayLike, labels: Sequence[str], positive: str | None
) -> ConfusionMatrix:
    rows, columns = (np.asarray(index) for index in (truth, called))
    many = len(labels)
    if not all(index.size == 0 or index.dtype.kind in "biu" for index in (rows, columns)):
        raise ValueError(f"classes are given by their index, got {rows.dtype} and {columns.dtype}")
    if rows.shape != columns.shape or rows.ndim != 1:
        raise ValueError(f"a true and a called class a case: got {rows.shape} and {columns.shape}")
    if rows.size and (rows.min() < 0 or rows.max() >= many):
        raise ValueError(f"a class outside 0 to {many - 1}")
    # Counting, thousands of times in a bootstrap: scikit-learn's takes some sixty times as long for the same
    counts = np.bincount(
        rows.astype(np.intp) * many + columns.astype(np.intp), minlength=many * many
    ).reshape(many, many)
    return ConfusionMatrix(labels=tuple(labels), counts=counts, positive=positive)
