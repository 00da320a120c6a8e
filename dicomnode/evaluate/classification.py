"""What a confusion matrix says: of each class, and of all together.

Definitions: Sokolova and Lapalme, A systematic analysis of performance measures for classification tasks,
Information Processing & Management 45 (2009), tables 2 and 3; each class against the rest. All figures are
0 to 1, and None with the reason where nothing would be divided by nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dicomnode.evaluate.confusion import ConfusionMatrix
from dicomnode.evaluate.figures import Figure, mean, share


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """One class against all others.

    support: its true cases. prevalence: their share of all cases. precision: how many of those called so are
    so (positive predictive value). recall: how many of those that are so were called so (sensitivity).
    specificity: how many of the others were called something else. f1: harmonic mean of precision and recall,
    2·TP / (2·TP + FP + FN).
    """

    label: str
    support: int
    prevalence: Figure
    precision: Figure
    recall: Figure
    specificity: Figure
    f1: Figure

    def figures(self) -> tuple[Figure, ...]:
        """The figures, what is missed first."""
        return (self.recall, self.specificity, self.precision, self.f1, self.prevalence)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationReport:
    """All figures of a matrix.

    accuracy: cases that were called what they are. balanced_accuracy: mean of the recalls (Brodersen et al.,
    ICPR 2010). macro_f1: mean of the classes' F1. Both are None where a class has none of its own.
    accuracy_without_looking: accuracy of calling every case the most frequent class, without looking.
    """

    matrix: ConfusionMatrix
    classes: tuple[ClassFigures, ...]
    accuracy: Figure
    balanced_accuracy: Figure
    macro_f1: Figure
    accuracy_without_looking: Figure

    def of(self, label: str) -> ClassFigures:
        """The figures of a class. Raises KeyError where there is none of this label."""
        for one in self.classes:
            if one.label == label:
                return one
        raise KeyError(label)

    def figures(self) -> Iterator[Figure]:
        """Every figure, those of the classes first."""
        for one in self.classes:
            yield from one.figures()
        yield from (self.balanced_accuracy, self.macro_f1, self.accuracy, self.accuracy_without_looking)


def classification_report(matrix: ConfusionMatrix) -> ClassificationReport:
    """Make all figures of a matrix."""
    classes = tuple(_class(matrix, index) for index in range(len(matrix.labels)))
    none = "there is no case"
    return ClassificationReport(
        matrix=matrix,
        classes=classes,
        accuracy=share("accuracy", matrix.right, matrix.total, none),
        balanced_accuracy=mean("balanced_accuracy", [one.recall for one in classes]),
        macro_f1=mean("macro_f1", [one.f1 for one in classes]),
        accuracy_without_looking=share("accuracy_without_looking", max(matrix.support), matrix.total, none),
    )


def _class(matrix: ConfusionMatrix, index: int) -> ClassFigures:
    label, total = matrix.labels[index], matrix.total
    support, called = matrix.support[index], matrix.called[index]
    hits = int(matrix.counts[index, index])
    others_right = total - support - called + hits
    return ClassFigures(
        label=label,
        support=support,
        prevalence=share("prevalence", support, total, "there is no case", label),
        precision=share("precision", hits, called, f"no case was called {label}", label),
        recall=share("recall", hits, support, f"no case is {label}", label),
        specificity=share("specificity", others_right, total - support, f"every case is {label}", label),
        f1=_f1(hits, support + called, label),
    )


def _f1(hits: int, support_and_called: int, label: str) -> Figure:
    if not support_and_called:
        return Figure(name="f1", label=label, value=None, reason=f"no case is {label}, none was called so")
    return Figure(name="f1", label=label, value=2 * hits / support_and_called)
