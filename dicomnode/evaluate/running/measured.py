"""Numbers: how far off they are, and whether they agree with the true ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import FigureOf, Interval, Resampling
from dicomnode.evaluate.leading import Headline
from dicomnode.evaluate.outcomes import RegressedCase, RegressionResult, Task
from dicomnode.evaluate.regression import (
    MeasuredCases,
    bias,
    concordance,
    limits_of_agreement,
    mean_absolute_error,
    pearson,
    root_mean_square_error,
)
from dicomnode.evaluate.running.answering import Case
from dicomnode.evaluate.running.collecting import Collector
from dicomnode.evaluate.truth import Labels, Wanted, true_number
from dicomnode.evaluate.truth.wanted import By
from dicomnode.values import Code, Findings, Measurement


def limit_low(cases: MeasuredCases) -> Figure:
    """Lower limit of agreement."""
    return limits_of_agreement(cases)[0]


def limit_high(cases: MeasuredCases) -> Figure:
    """Upper limit of agreement."""
    return limits_of_agreement(cases)[1]


FIGURES: Final = {
    "mean_absolute_error": mean_absolute_error,
    "root_mean_square_error": root_mean_square_error,
    "bias": bias,
    "limit_low": limit_low,
    "limit_high": limit_high,
    "concordance": concordance,
    "pearson_r": pearson,
}


class NumberCollector(Collector[float]):
    """Collects the numbers of one output. unit: of the output, as engine.toml has it."""

    task = Task.REGRESSION

    def __init__(self, wanted: Wanted, unit: Code) -> None:
        super().__init__(wanted)
        self.unit = unit
        self.cases: list[RegressedCase] = []

    def truth_of(self, labels: Labels) -> tuple[float, By, str] | None:
        """Return the true number in the unit of the output."""
        found = true_number(self.wanted, self.unit, labels)
        if found is not None and found.problem:
            self.problem(found.problem)
        if found is None or found.value is None:
            return None
        return found.value, found.by, found.source

    def is_answered(self, findings: Findings) -> bool:
        """Whether the number was determined."""
        return _found(findings, self.wanted.label) is not None

    def pair(self, case: Case, findings: Findings, truth: float) -> None:
        """Keep both numbers."""
        measured = _found(findings, self.wanted.label)
        assert measured is not None
        self.cases.append(RegressedCase(case=case.name, found=measured.value, true=truth))
        self.draw(case)

    def result(self, resampling: Resampling) -> RegressionResult:
        """Make the result of all cases."""
        cases = cases_of(self.cases)
        intervals = self.intervals([bound(one, cases) for one in FIGURES.values()], resampling)
        lead, *rest = (one.figure for one in intervals)
        return RegressionResult(
            output=self.output,
            headline=Headline(
                lead=lead, warnings=tuple(self._warnings(intervals)), contradictions=(), then=tuple(rest)
            ),
            intervals=intervals,
            unanswered=tuple(name for name, _ in self.unanswered),
            untold=self.untold,
            remarks=self.problems,
            unit=self.unit,
            cases=tuple(self.cases),
        )

    def _warnings(self, intervals: tuple[Interval, ...]) -> list[str]:
        told = self.warned()
        shift = next(one for one in intervals if one.figure.name == "bias")
        if shift.low is not None and shift.high is not None and not shift.low <= 0.0 <= shift.high:
            way = "high" if shift.low > 0 else "low"
            told.append(f"Numbers come out too {way}: by {abs(shift.figure.value or 0.0):.3g} on average.")
        return told


def cases_of(cases: Sequence[RegressedCase]) -> MeasuredCases:
    """All numbers as arrays."""
    return MeasuredCases.of([one.found for one in cases], [one.true for one in cases])


def bound(figure: Callable[[MeasuredCases], Figure], cases: MeasuredCases) -> FigureOf:
    """Make a figure of rows of these cases."""
    return lambda rows: figure(cases.take(rows))


def _found(findings: Findings, label: str) -> Measurement | None:
    for one in findings.measurements:
        if one.name == label:
            return one
    return None
