"""What an answer of classes adds: figures of each class, the matrix, curves of what is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.evaluate.classification import ClassFigures
from dicomnode.evaluate.dataset.suspects import answer_suspects
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.outcomes import ClassCurves, ClassificationResult
from dicomnode.evaluate.page.curves import (
    MOST_LINES,
    Drawn,
    precision_recall_figure,
    reliability_figure,
    roc_figure,
)
from dicomnode.evaluate.page.frames import table
from dicomnode.evaluate.page.looks import suspects_part
from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.matrices import matrix_figure
from dicomnode.evaluate.page.words import NO_INTERVAL, counts_text, interval_of, interval_text, value_text

Other = tuple[str, ClassificationResult]
"""The engine that is compared with, by its name, and its answers to the same question."""


IN_CLASSES: Final = ("recall", "specificity", "precision", "f1", "prevalence")
"""Figures of each class that its row of the table holds."""


def class_parts(
    key: str, result: ClassificationResult, other: Other | None, together: Markup
) -> list[Markup]:
    """Everything on an answer of classes. together: the table of the figures of all classes."""
    plots = [matrix_figure(f"{key}-matrix", "Confusion matrix", result.report.matrix)]
    for n, drawn in enumerate(_together(result, other)):
        name = f"{key}-{n}"
        plots.append(roc_figure(f"{name}-roc", "ROC curve", drawn))
        plots.append(precision_recall_figure(f"{name}-pr", "Precision and recall", drawn))
        if any(one.curves.calibration is not None for one in drawn):
            plots.append(reliability_figure(f"{name}-calibration", "Reliability of the probabilities", drawn))
    return [_by_class(result), together, element("div", *plots, class_="plots"), _doubted(result)]


def _doubted(result: ClassificationResult) -> Markup:
    """Labels that the engine's own answers speak against; nothing where there are no scores."""
    suspects = answer_suspects(result)
    if suspects.reason:
        return joined()
    by = "the engine itself, which must not have learnt from these studies"
    return suspects_part(suspects, [one.case for one in result.cases], by)


def _by_class(result: ClassificationResult) -> Markup:
    """A row for each class: figures of all together hide what happens to the rare one."""
    ordered = sorted(result.report.classes, key=lambda one: one.label != result.positive)
    head = ("Class", "Cases", "Recall", "Specificity", "Precision", "F1", "Prevalence")
    rows = []
    for one in ordered:
        figures = (one.recall, one.specificity, one.precision, one.f1, one.prevalence)
        rows.append((one.label, str(one.support), *(_cell(result, figure) for figure in figures)))
    return table(head, rows, told="Figures of each class, with their intervals")


def _cell(result: ClassificationResult, figure: Figure) -> Markup:
    """The number, its counts and its interval one below the other."""
    if figure.value is None:
        return joined("undefined ", element("small", figure.reason))
    interval = interval_text(interval_of(result, figure))
    below = [text for text in (counts_text(figure), "" if interval == NO_INTERVAL else interval) if text]
    return joined(value_text(figure), *(joined(" ", element("small", text)) for text in below))


def _together(result: ClassificationResult, other: Other | None) -> list[list[Drawn]]:
    """What stands on one plot: what is looked for, of both engines; else the classes, a few at a time."""
    curves = result.curves
    if result.positive is not None:
        own = _curves_of(result, result.positive)
        if own is None:
            return []
        name = "this engine" if other else result.positive
        drawn = [Drawn(name=name, curves=own, called=_called(result))]
        theirs = _curves_of(other[1], result.positive) if other else None
        if other and theirs is not None:
            drawn.append(Drawn(name=other[0], curves=theirs, called=_called(other[1])))
        return [drawn]
    drawn = [Drawn(name=one.label, curves=one) for one in curves]
    return [drawn[start : start + MOST_LINES] for start in range(0, len(drawn), MOST_LINES)]


def _curves_of(result: ClassificationResult, label: str) -> ClassCurves | None:
    return next((one for one in result.curves if one.label == label), None)


def _called(result: ClassificationResult) -> ClassFigures | None:
    labels: Sequence[str] = result.report.matrix.labels
    return result.report.of(result.positive) if result.positive in labels and result.positive else None
