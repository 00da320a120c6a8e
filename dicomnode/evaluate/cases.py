"""Cases with what is true and how sure an engine was: what curves and calibration are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicomnode.values.geometry import Float64, read_only

Rows = NDArray[np.intp]
"""Indices of cases (n,); a case may stand in it several times."""

ONE_CLASS = "all {count} cases are {what}: it needs both"
NO_CASES = "there is no case"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredCases:
    """Cases of a question with yes or no.

    truth: bool (n,), whether the case has what was looked for. scores: float64 (n,), higher is surer; any
    finite numbers (probabilities only for calibration). A case is called positive where its score reaches
    a threshold, as `Classification.present` does.
    Raises ValueError on different lengths, on scores that are not finite and on truth that is not 0 or 1.
    """

    truth: NDArray[np.bool_]
    scores: Float64

    def __post_init__(self) -> None:
        given, scores = np.asarray(self.truth), np.array(self.scores, dtype=np.float64)
        if given.ndim != 1 or given.shape != scores.shape:
            raise ValueError(f"a truth and a score a case: got {given.shape} and {scores.shape}")
        if not np.isfinite(scores).all():
            raise ValueError("ScoredCases.scores must be finite")
        truth = given.astype(bool)
        if not np.array_equal(truth, given):
            raise ValueError("ScoredCases.truth must be yes or no (1 or 0)")
        object.__setattr__(self, "truth", read_only(truth))
        object.__setattr__(self, "scores", read_only(scores))

    @property
    def positives(self) -> int:
        """How many cases have what was looked for."""
        return int(np.count_nonzero(self.truth))

    @property
    def negatives(self) -> int:
        """How many have not."""
        return self.truth.size - self.positives

    def take(self, rows: Rows) -> ScoredCases:
        """The cases at `rows`, repeated ones repeated: a resample."""
        return ScoredCases(truth=self.truth[rows], scores=self.scores[rows])

    def one_sided(self) -> str:
        """Why nothing can be told apart here: no cases, or all of one kind; "" where there are both kinds."""
        if not self.truth.size:
            return NO_CASES
        if self.positives and self.negatives:
            return ""
        return ONE_CLASS.format(count=self.truth.size, what="positive" if self.positives else "negative")


def one_against_rest(truth: ArrayLike, probabilities: ArrayLike, class_index: int) -> ScoredCases:
    """Make a question with yes or no of one class of many.

    truth: int (n,), indices of classes. probabilities: float (n, classes).
    Raises ValueError where the shapes do not fit, or a class is not one of them.
    """
    labels, scores = _many(truth, probabilities)
    if not 0 <= class_index < scores.shape[1]:
        raise ValueError(f"class {class_index} of {scores.shape[1]}")
    return ScoredCases(truth=labels == class_index, scores=scores[:, class_index])


def surest_class(truth: ArrayLike, probabilities: ArrayLike) -> ScoredCases:
    """Whether the class of the highest probability is the true one, with that probability as the score.

    What the calibration of many classes is made of: Guo et al., On Calibration of Modern Neural Networks,
    ICML 2017, section 2. Of equal probabilities the first class. Arrays as of `one_against_rest`.
    """
    labels, scores = _many(truth, probabilities)
    chosen = np.argmax(scores, axis=1)
    return ScoredCases(truth=chosen == labels, scores=scores[np.arange(len(labels)), chosen])


def _many(truth: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.intp], Float64]:
    labels, scores = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 2 or not scores.shape[1] or labels.shape != scores.shape[:1]:
        raise ValueError(f"a class and a row of probabilities a case: got {labels.shape} and {scores.shape}")
    if labels.size and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"classes are given by their index, got {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= scores.shape[1]):
        raise ValueError(f"a class outside 0 to {scores.shape[1] - 1}")
    return labels.astype(np.intp), scores
