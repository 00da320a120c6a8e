"""Whether one engine is better than another on the same cases: both are judged on the same draws.

The difference of any figure has an interval by the bootstrap over patients: the same patients are drawn for
both engines. Areas under curves are compared in this way, too. DeLong's test (Biometrics 44, 1988) is not
here: it takes cases for independent, which several studies of a patient are not, neither SciPy nor
scikit-learn has it, and one rule for all figures is easier to trust than one for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dicomnode.evaluate.cases import Rows, ScoredCases
from dicomnode.evaluate.curves import average_precision, roc_auc
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import FigureOf, Interval, Resampling, bootstrap_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure of two engines on the same cases; interval: of the second minus the first."""

    first: Figure
    second: Figure
    interval: Interval

    @property
    def tells(self) -> bool | None:
        """Whether the interval leaves out 0, so that the engines differ; None where there is none."""
        low, high = self.interval.low, self.interval.high
        return None if low is None or high is None else not low <= 0.0 <= high

    @property
    def text(self) -> str:
        """Both figures, and what the difference says."""
        verdict = {True: "they differ", False: "it may be chance", None: "nothing can be said"}[self.tells]
        return f"{self.first.text}, {self.second.text}; difference {self.interval.text}: {verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Cases that only one of two engines got right, and how likely such a split is by chance.

    p_value: exact, two-sided, 0 to 1; small where the engines differ. remarks: sentences that belong to it.
    """

    only_first: int
    only_second: int
    both: int
    neither: int
    p_value: Figure
    remarks: tuple[str, ...] = ()


def compare_figures(
    patients: Sequence[str], first: FigureOf, second: FigureOf, resampling: Resampling | None = None
) -> Difference:
    """Compare a figure of two engines, `second` minus `first`, each given the same rows of the same cases.

    A resample that lacks the figure of either counts for neither.
    """
    rows = np.arange(len(patients))

    def difference(chosen: Rows) -> Figure:
        return _minus(second(chosen), first(chosen))

    return Difference(
        first=first(rows), second=second(rows), interval=bootstrap_interval(patients, difference, resampling)
    )


def compare_areas(
    patients: Sequence[str], first: ScoredCases, second: ScoredCases, resampling: Resampling | None = None
) -> tuple[Difference, Difference]:
    """Compare the area under the ROC curve, and the average precision, of two engines' scores.

    Raises ValueError where the cases are not the same: other truths, or not as many as patients.
    """
    if not np.array_equal(first.truth, second.truth) or len(patients) != first.truth.size:
        raise ValueError("two engines are compared on the same cases, with a patient for each")

    def compared(area: Callable[[ScoredCases], Figure]) -> Difference:
        return compare_figures(
            patients, lambda rows: area(first.take(rows)), lambda rows: area(second.take(rows)), resampling
        )

    return compared(roc_auc), compared(average_precision)


def mcnemar_test(
    first_right: ArrayLike, second_right: ArrayLike, patients: Sequence[str] | None = None
) -> McNemar:
    """McNemar's test in its exact form: of the cases that one engine alone got right, chance gives each half.

    first_right, second_right: bool (n,), whether an engine called the case what it is. Source: McNemar,
    Psychometrika 12 (1947); exact: the two-sided binomial test of the discordant cases. It takes cases for
    independent: with `patients`, several cases of one are a remark. Raises ValueError on different lengths.
    """
    a, b = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape or (patients is not None and len(patients) != a.size):
        raise ValueError("two engines are compared on the same cases, with a patient for each")
    only_first, only_second = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    repeated = patients is not None and len(set(patients)) < len(patients)
    remark = "Patients have several cases each, which are not independent: the interval by patient holds."
    return McNemar(
        only_first=only_first,
        only_second=only_second,
        both=int(np.count_nonzero(a & b)),
        neither=int(np.count_nonzero(~a & ~b)),
        p_value=_split(only_first, only_second),
        remarks=(remark,) if repeated else (),
    )


def _split(only_first: int, only_second: int) -> Figure:
    discordant = only_first + only_second
    if not discordant:
        why = "no case was called right by one engine alone"
        return Figure(name="mcnemar_p", value=None, reason=why)
    from scipy.stats import binomtest  # noqa: PLC0415 (slow to load, of use only here)

    return Figure(name="mcnemar_p", value=float(binomtest(only_first, discordant, 0.5).pvalue))


def _minus(second: Figure, first: Figure) -> Figure:
    name = f"difference_of_{first.name}"
    if first.value is None or second.value is None:
        return Figure(name=name, value=None, reason=first.reason or second.reason, label=first.label)
    return Figure(name=name, value=second.value - first.value, label=first.label)
