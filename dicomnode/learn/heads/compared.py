"""Heads, and a network beside them, judged on the same cases: figures with intervals by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dicomnode.evaluate import (
    ClassificationReport,
    Difference,
    Figure,
    Interval,
    McNemar,
    Resampling,
    Rows,
    ScoredCases,
    average_precision,
    bootstrap_interval,
    classification_report,
    compare_figures,
    headline,
    matrix_of_probabilities,
    mcnemar_test,
    one_against_rest,
    roc_auc,
)
from dicomnode.learn.heads.cases import Cases
from dicomnode.values import Float64

_PICKED: Final = (
    "The best two were picked by these very figures, so the test between them is kinder than chance: judge "
    "the winner on patients that were kept apart."
)
FigureOfHead = Callable[[Float64, Rows], Figure]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtherScores:
    """What something else said of the same cases, such as a network: float64 (cases, classes)."""

    name: str
    title: str
    probabilities: Float64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedHead:
    """One row of the table. figures: as `Comparison.names`, each with its interval by patient."""

    name: str
    title: str
    report: ClassificationReport
    figures: tuple[Interval, ...]
    probabilities: Float64

    def figure(self, name: str) -> Interval:
        """The figure of a name. Raises KeyError."""
        for one in self.figures:
            if one.figure.name == name:
                return one
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """All heads, the best first by `leading`; and the best two against each other.

    names: figures of each head. mcnemar, difference: of the best two, second minus first; None with one head.
    """

    classes: tuple[str, ...]
    positive: str | None
    cases: int
    patients: int
    leading: str
    heads: tuple[JudgedHead, ...]
    mcnemar: McNemar | None
    difference: Difference | None
    remarks: tuple[str, ...]

    def of(self, name: str) -> JudgedHead:
        """The row of a head. Raises KeyError."""
        for head in self.heads:
            if head.name == name:
                return head
        raise KeyError(name)


def compare_heads(
    cases: Cases, others: Sequence[OtherScores], resampling: Resampling | None = None
) -> Comparison:
    """Judge scores on the cases. others: of each head, and of what stands beside them; at least one.

    Of two classes the area under the ROC curve leads, of more the balanced accuracy. Of equal ones the first.
    Raises ValueError where there is nothing to judge, or scores do not fit the cases.
    """
    if not others:
        raise ValueError("there is no head to judge")
    figures = _figures(cases)
    judged = [_judged(cases, one, figures, resampling) for one in others]
    leading = next(iter(figures))
    ordered = sorted(judged, key=lambda one: -_value(one.figure(leading).figure))
    mcnemar, difference = None, None
    if len(ordered) > 1:
        first, second = ordered[:2]
        mcnemar = mcnemar_test(_right(cases, first), _right(cases, second), list(cases.patients))
        of = figures[leading]
        difference = compare_figures(
            list(cases.patients),
            lambda rows: of(first.probabilities, rows),
            lambda rows: of(second.probabilities, rows),
            resampling,
        )
    return Comparison(
        classes=cases.classes,
        positive=cases.positive,
        cases=len(cases.truth),
        patients=len(set(cases.patients)),
        leading=leading,
        heads=tuple(ordered),
        mcnemar=mcnemar,
        difference=difference,
        remarks=(_PICKED,) if mcnemar is not None else (),
    )


def _figures(cases: Cases) -> dict[str, FigureOfHead]:
    """Return the figures by name, the leading one first, each of scores at some rows."""
    looked_for = cases.classes.index(cases.positive) if cases.positive is not None else None

    def of_class(of: Callable[[ScoredCases], Figure], scores: Float64, rows: Rows) -> Figure:
        return of(one_against_rest(cases.truth[rows], scores[rows], looked_for or 0))

    def of_report(name: str, scores: Float64, rows: Rows) -> Figure:
        report = classification_report(
            matrix_of_probabilities(cases.truth[rows], scores[rows], cases.classes, cases.positive)
        )
        if name == "balanced_accuracy":
            return report.balanced_accuracy
        of_positive = report.of(cases.positive or "")
        return of_positive.recall if name == "recall" else of_positive.specificity

    told: dict[str, FigureOfHead] = {}
    if looked_for is not None:
        told["roc_auc"] = lambda scores, rows: of_class(roc_auc, scores, rows)
        told["average_precision"] = lambda scores, rows: of_class(average_precision, scores, rows)
        told["recall"] = lambda scores, rows: of_report("recall", scores, rows)
        told["specificity"] = lambda scores, rows: of_report("specificity", scores, rows)
    told["balanced_accuracy"] = lambda scores, rows: of_report("balanced_accuracy", scores, rows)
    return told


def _judged(
    cases: Cases, other: OtherScores, figures: dict[str, FigureOfHead], resampling: Resampling | None
) -> JudgedHead:
    scores = np.asarray(other.probabilities, dtype=np.float64)
    if scores.shape != (len(cases.truth), len(cases.classes)):
        raise ValueError(f"{other.name} has scores of {scores.shape}")
    patients = list(cases.patients)
    matrix = matrix_of_probabilities(cases.truth, scores, cases.classes, cases.positive)

    def interval(of: FigureOfHead) -> Interval:
        return bootstrap_interval(patients, lambda rows: of(scores, rows), resampling)

    return JudgedHead(
        name=other.name,
        title=other.title,
        report=classification_report(matrix),
        figures=tuple(interval(of) for of in figures.values()),
        probabilities=scores,
    )


def _right(cases: Cases, head: JudgedHead) -> Any:
    return np.argmax(head.probabilities, axis=1) == cases.truth


def _value(figure: Figure) -> float:
    return -1.0 if figure.value is None else figure.value


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return the JSON of a comparison; numbers are finite or null."""
    from dicomnode.evaluate.document_parts import figure_document, interval_document  # noqa: PLC0415

    test, difference = comparison.mcnemar, comparison.difference
    return {
        "classes": list(comparison.classes),
        "positive": comparison.positive,
        "cases": comparison.cases,
        "patients": comparison.patients,
        "leading": comparison.leading,
        "heads": [
            {
                "name": head.name,
                "title": head.title,
                "figures": [interval_document(one) for one in head.figures],
                "matrix": head.report.matrix.counts.tolist(),
                "warnings": list(headline(head.report).warnings),
            }
            for head in comparison.heads
        ],
        "best_two": None
        if test is None or difference is None
        else {
            "first": comparison.heads[0].name,
            "second": comparison.heads[1].name,
            "only_first_right": test.only_first,
            "only_second_right": test.only_second,
            "both_right": test.both,
            "neither_right": test.neither,
            "mcnemar_p": figure_document(test.p_value),
            "difference": interval_document(difference.interval),
        },
        "remarks": [*comparison.remarks, *(test.remarks if test is not None else ())],
    }
