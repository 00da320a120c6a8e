"""Classes: what was called what, how sure, and whether a probability can be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.calibration import brier, calibration_of, expected_calibration_error
from dicomnode.evaluate.cases import Rows, ScoredCases
from dicomnode.evaluate.classification import ClassFigures, ClassificationReport, classification_report
from dicomnode.evaluate.confusion import ConfusionMatrix
from dicomnode.evaluate.curves import average_precision, precision_recall_curve, roc_auc, roc_curve
from dicomnode.evaluate.figures import Figure, counted
from dicomnode.evaluate.intervals import FigureOf, Resampling
from dicomnode.evaluate.leading import headline
from dicomnode.evaluate.outcomes import ClassCurves, ClassificationResult, ClassifiedCase, Task
from dicomnode.evaluate.running.answering import Case
from dicomnode.evaluate.running.collecting import Collector
from dicomnode.evaluate.truth import Asked, Labels, Wanted, true_class, true_yes
from dicomnode.evaluate.truth.wanted import By
from dicomnode.values import Classification, Findings
from dicomnode.values.geometry import Float64

Indices = NDArray[np.intp]

NOT_CALIBRATED: Final = "The engine does not declare its scores to be probabilities: look at the calibration."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calls:
    """All cases of a question as arrays: indices of `labels` (n,), and scores (n, labels)."""

    labels: tuple[str, ...]
    positive: str | None
    truth: Indices
    called: Indices
    scores: Float64

    @classmethod
    def of(cls, cases: list[ClassifiedCase], labels: tuple[str, ...], positive: str | None) -> Calls:
        """Make it of the cases of a result."""
        return cls(
            labels=labels,
            positive=positive,
            truth=np.array([labels.index(one.truth) for one in cases], dtype=np.intp),
            called=np.array([labels.index(one.called) for one in cases], dtype=np.intp),
            scores=np.array([one.scores for one in cases], dtype=np.float64).reshape(-1, len(labels)),
        )

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each case was called what it is."""
        right: NDArray[np.bool_] = self.truth == self.called
        return right

    def take(self, rows: Rows) -> Calls:
        """The cases at `rows`, repeated ones repeated: a resample."""
        return replace(self, truth=self.truth[rows], called=self.called[rows], scores=self.scores[rows])

    def matrix(self) -> ConfusionMatrix:
        """Count what was called what."""
        many = len(self.labels)
        counts = np.bincount(self.truth * many + self.called, minlength=many * many)
        return ConfusionMatrix(labels=self.labels, counts=counts.reshape(many, many), positive=self.positive)

    def report(self) -> ClassificationReport:
        """All figures of the matrix."""
        return classification_report(self.matrix())

    def against_rest(self, label: str) -> ScoredCases:
        """One class against all others."""
        index = self.labels.index(label)
        return ScoredCases(truth=self.truth == index, scores=self.scores[:, index])

    @property
    def asked(self) -> tuple[str, ...]:
        """Classes that figures are made of: what is looked for, or all."""
        return self.labels if self.positive is None else (self.positive,)


FigureOfCalls = Callable[[Calls], Figure]


def figures_of_calls(labels: tuple[str, ...], positive: str | None) -> list[FigureOfCalls]:
    """Return the figures of a question in the order of a report: what is missed first."""
    asked = labels if positive is None else (positive,)
    figures: list[FigureOfCalls] = [
        _of_class(label, name) for label in asked for name in ("recall", "specificity", "precision", "f1")
    ]
    figures += [lambda calls: calls.report().balanced_accuracy]
    if positive is None:
        figures += [lambda calls: calls.report().macro_f1]
    figures += [_of_scores(label, area) for label in asked for area in (roc_auc, average_precision)]
    if positive is not None:
        figures += [_of_scores(positive, one) for one in (brier, expected_calibration_error)]
    return [*figures, lambda calls: calls.report().accuracy]


def _of_class(label: str, name: str) -> FigureOfCalls:
    def figure(calls: Calls) -> Figure:
        of: ClassFigures = calls.report().of(label)
        found: Figure = getattr(of, name)
        return found

    return figure


def _of_scores(label: str, area: Callable[[ScoredCases], Figure]) -> FigureOfCalls:
    def figure(calls: Calls) -> Figure:
        return replace(area(calls.against_rest(label)), label=label)

    return figure


def bound(figure: FigureOfCalls, calls: Calls) -> FigureOf:
    """Make a figure of rows of these cases."""
    return lambda rows: figure(calls.take(rows))


class ClassCollectorBase(Collector[str]):
    """What both kinds of questions share: their cases, and the result of them."""

    task = Task.CLASSIFICATION

    def __init__(self, wanted: Wanted, labels: tuple[str, ...], positive: str | None) -> None:
        super().__init__(wanted)
        self.labels, self.positive = labels, positive
        self.cases: list[ClassifiedCase] = []
        self.threshold: float | None = None
        self.calibrated = False

    def result(self, resampling: Resampling) -> ClassificationResult:
        """Make the result of all cases."""
        calls = Calls.of(self.cases, self.labels, self.positive)
        report = calls.report()
        figures = [bound(one, calls) for one in figures_of_calls(self.labels, self.positive)]
        told = headline(report)
        remarks = list(self.problems)
        if not self.calibrated:
            remarks.append(NOT_CALIBRATED)
        return ClassificationResult(
            output=self.output,
            headline=replace(told, warnings=(*told.warnings, *self._warnings(report))),
            intervals=self.intervals(figures, resampling),
            unanswered=tuple(name for name, _ in self.unanswered),
            untold=self.untold,
            remarks=tuple(remarks),
            labels=self.labels,
            positive=self.positive,
            threshold=self.threshold,
            calibrated=self.calibrated,
            cases=tuple(self.cases),
            report=report,
            curves=tuple(_curves(calls, label) for label in calls.asked),
        )

    def _warnings(self, report: ClassificationReport) -> list[str]:
        told = self.warned()
        if self.positive is None:
            return told
        unseen = sum(truth == self.positive for _, truth in self.unanswered)
        found = report.of(self.positive).recall
        if unseen and found.whole is not None:
            rate = (found.part or 0) / (found.whole + unseen)
            told.append(
                f"{counted(unseen, 'case')} of {self.positive} without an answer: with these as missed, the "
                f"recall is {rate:.3f}."
            )
        return told


def _curves(calls: Calls, label: str) -> ClassCurves:
    cases = calls.against_rest(label)
    return ClassCurves(
        label=label,
        roc=roc_curve(cases),
        precision_recall=precision_recall_curve(cases),
        calibration=calibration_of(cases),
    )


class YesNoCollector(ClassCollectorBase):
    """Collects a question with yes or no: one output, called present from its threshold up.

    others: names of the classes that exclude it.
    """

    def __init__(self, wanted: Wanted, others: tuple[str, ...] = ()) -> None:
        super().__init__(wanted, (f"no {wanted.label}", wanted.label), wanted.label)
        self._others = others

    def truth_of(self, labels: Labels) -> tuple[str, By, str] | None:
        """Return the true one of both labels."""
        found = true_yes(self.wanted, labels, self._others)
        if found is not None and found.problem:
            self.problem(found.problem)
        if found is None or found.value is None:
            return None
        return self.labels[int(found.value)], found.by, found.source

    def is_answered(self, findings: Findings) -> bool:
        """Whether the class was called at all."""
        return _called(findings, self.wanted.label) is not None

    def pair(self, case: Case, findings: Findings, truth: str) -> None:
        """Keep what was called."""
        called = _called(findings, self.wanted.label)
        assert called is not None
        self.threshold, self.calibrated = called.threshold, called.calibrated
        self.cases.append(
            ClassifiedCase(
                case=case.name,
                truth=truth,
                called=self.labels[int(called.present)],
                scores=(1.0 - called.probability, called.probability),
            )
        )
        self.draw(case)


class ClassCollector(ClassCollectorBase):
    """Collects a question with one of several classes as the answer: the surest is called."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked.wanted[0], asked.classes, None)
        self._asked = asked

    def truth_of(self, labels: Labels) -> tuple[str, By, str] | None:
        """Return the true class."""
        found = true_class(self._asked, labels)
        if found is not None and found.problem:
            self.problem(found.problem)
        if found is None or found.value is None:
            return None
        return found.value, found.by, found.source

    def is_answered(self, findings: Findings) -> bool:
        """Whether the classes were called at all."""
        return bool(self._probabilities(findings))

    def pair(self, case: Case, findings: Findings, truth: str) -> None:
        """Keep what was called."""
        scores = self._probabilities(findings)
        self.calibrated = all(one.calibrated for one in findings.classifications if one.label in self.labels)
        surest = self.labels[int(np.argmax(scores))]
        self.cases.append(ClassifiedCase(case=case.name, truth=truth, called=surest, scores=scores))
        self.draw(case)

    def _probabilities(self, findings: Findings) -> tuple[float, ...]:
        """Of all classes in the order of the network; () where they were not called."""
        for wanted in self._asked.wanted:
            called = _called(findings, wanted.label)
            if called is not None and len(called.probabilities) == len(self.labels):
                return tuple(one.probability for one in called.probabilities)
        return ()


def _called(findings: Findings, label: str) -> Classification | None:
    for one in findings.classifications:
        if one.label == label:
            return one
    return None
