"""Plots of scores: ROC, precision and recall, reliability. Each with its area and the cases behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from dicomnode.evaluate.calibration import Calibration, ReliabilityBin
from dicomnode.evaluate.classification import ClassFigures
from dicomnode.evaluate.outcomes import ClassCurves
from dicomnode.evaluate.page.axes import share_axis
from dicomnode.evaluate.page.frames import figure, folded, legend
from dicomnode.evaluate.page.markup import Markup
from dicomnode.evaluate.page.plots import Plot, Series
from dicomnode.evaluate.regression import NORMAL_975
from dicomnode.values.geometry import Float64

MOST_LINES: Final = 4  # on one plot


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A class of an engine on a plot. name: of the class, or of the engine where two are compared.

    called: its figures at the threshold of the engine, which are marked on the curve; None for no mark.
    """

    name: str
    curves: ClassCurves
    called: ClassFigures | None = None


def roc_figure(key: str, title: str, drawn: Sequence[Drawn]) -> Markup:
    """How many are found, against how many are called for nothing."""
    plot = Plot(share_axis("1 − specificity: called for nothing"), share_axis("sensitivity: found"))
    plot.line([(0.0, 0.0), (1.0, 1.0)], "rule")
    shown = []
    for index, one in enumerate(drawn):
        curve = one.curves.roc
        series = Series(index=index, name=f"{one.name}: area {curve.area.text}")
        points = zip(1.0 - curve.specificity, curve.sensitivity, strict=True)
        plot.line([(float(x), float(y)) for x, y in points], series.line)
        _mark_call(plot, series, one, roc=True)
        shown.append(series)
    told = _told("ROC curve", shown, "The dashed diagonal is chance.")
    lines = plot.finished(key, title, told)
    return figure(title, lines, legend(shown, lined=True), _roc_numbers(drawn), said=_said(drawn))


def precision_recall_figure(key: str, title: str, drawn: Sequence[Drawn]) -> Markup:
    """How many of those called are so, at each share that is found."""
    plot = Plot(share_axis("recall: found"), share_axis("precision: called so and so"))
    shown = []
    for index, one in enumerate(drawn):
        curve = one.curves.precision_recall
        series = Series(index=index, name=f"{one.name}: average precision {curve.area.text}")
        if curve.prevalence.value is not None:
            plot.across(curve.prevalence.value, "rule")
        # Recall ascending. Steps as the average precision sums them: a step has the precision of its end
        pairs = list(zip(curve.recall[::-1], curve.precision[::-1], strict=True))
        points = [(float(x), float(y)) for x, y in pairs]
        plot.steps([(0.0, points[0][1]), *points] if points else [], series.line, rise_first=True)
        _mark_call(plot, series, one, roc=False)
        shown.append(series)
    told = _told("Precision and recall", shown, "A dashed line is chance: the prevalence.")
    lines = plot.finished(key, title, told)
    return figure(title, lines, legend(shown, lined=True), _recall_numbers(drawn), said=_said(drawn))


def reliability_figure(key: str, title: str, drawn: Sequence[Drawn]) -> Markup:
    """How often it is so, at each probability that was told."""
    plot = Plot(share_axis("mean probability told"), share_axis("observed: share that is so"))
    plot.line([(0.0, 0.0), (1.0, 1.0)], "rule")
    shown, rows = [], []
    for index, one in enumerate(drawn):
        judged = one.curves.calibration
        if judged is None:
            continue
        series = Series(index=index, name=f"{one.name}: {_calibration_text(judged)}")
        plot.line([(bin_.mean_probability, bin_.observed) for bin_ in judged.bins], f"{series.line} thin")
        for bin_ in judged.bins:
            _draw_bin(plot, series, bin_)
            rows.append(_bin_row(one.name, bin_))
        shown.append(series)
    told = _told("Reliability", shown, "On the dashed diagonal a probability means what it says.")
    lines = plot.finished(key, title, told)
    said = (
        "Bars: Wilson's 95 % interval of each group, cases taken as independent. "
        "Below the diagonal the probabilities are too high."
    )
    head = ("Class", "Probability from", "to", "Mean", "Cases", "So", "Observed")
    numbers = folded("The groups in numbers", head, rows)
    return figure(title, lines, legend(shown, lined=False), numbers, said=said)


def _mark_call(plot: Plot, series: Series, one: Drawn, *, roc: bool) -> None:
    """Mark where the engine calls."""
    called = one.called
    if called is None or called.recall.value is None:
        return
    across, up = (
        (called.specificity.value, called.recall.value)
        if roc
        else (called.recall.value, called.precision.value)
    )
    if across is not None and up is not None:
        told = f"{one.name}, as the engine calls: recall {called.recall.text}"
        plot.dot((1.0 - across if roc else across, up), series, told, 1.4)


def _said(drawn: Sequence[Drawn]) -> str:
    counts = [
        f"{one.curves.roc.positives} cases are {one.curves.label}, {one.curves.roc.negatives} are not"
        for one in drawn
    ]
    marked = " The mark is where the engine calls." if any(one.called for one in drawn) else ""
    return f"{'; '.join(dict.fromkeys(counts))}.{marked}"


def _told(what: str, shown: Sequence[Series], hint: str) -> str:
    return f"{what}. {'; '.join(one.name for one in shown)}. {hint}"


def _calibration_text(judged: Calibration) -> str:
    return f"Brier {judged.brier.text}, ECE {judged.ece.text}, slope {judged.slope.text}"


def _draw_bin(plot: Plot, series: Series, bin_: ReliabilityBin) -> None:
    low, high = wilson(bin_.positives, bin_.count)
    at = bin_.mean_probability
    plot.bar((at, low), (at, high), f"bar l{series.index % MOST_LINES}")
    told = f"{bin_.positives} of {bin_.count} are so, {at:.3f} was told"
    plot.dot((at, bin_.observed), series, told)


def _bin_row(name: str, bin_: ReliabilityBin) -> tuple[str, ...]:
    return (
        name,
        f"{bin_.lowest:.3f}",
        f"{bin_.highest:.3f}",
        f"{bin_.mean_probability:.3f}",
        str(bin_.count),
        str(bin_.positives),
        f"{bin_.observed:.3f}",
    )


def _roc_numbers(drawn: Sequence[Drawn]) -> Markup:
    rows = []
    for one in drawn:
        curve = one.curves.roc
        rows += _points(one.name, curve.thresholds, curve.sensitivity, curve.specificity)
    return folded("Some points in numbers", ("Class", "Threshold", "Sensitivity", "Specificity"), rows)


def _recall_numbers(drawn: Sequence[Drawn]) -> Markup:
    rows = []
    for one in drawn:
        curve = one.curves.precision_recall
        rows += _points(one.name, curve.thresholds, curve.recall, curve.precision)
    return folded("Some points in numbers", ("Class", "Threshold", "Recall", "Precision"), rows)


def _points(name: str, thresholds: Float64, first: Float64, second: Float64) -> list[tuple[str, ...]]:
    """Rows of some points of a curve."""
    return [
        (name, f"{thresholds[n]:.4g}", f"{first[n]:.3f}", f"{second[n]:.3f}") for n in _some(len(thresholds))
    ]


def _some(many: int, most: int = 12) -> list[int]:
    """At most `most` of `many` points, the first and the last among them."""
    if many <= most:
        return list(range(many))
    return [round(n * (many - 1) / (most - 1)) for n in range(most)]


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The 95 % interval of a share by its score (Wilson, JASA 22, 1927), 0 to 1. whole: above 0."""
    rate, square = part / whole, NORMAL_975 * NORMAL_975 / whole
    middle = (rate + square / 2.0) / (1.0 + square)
    half = NORMAL_975 * sqrt(rate * (1.0 - rate) / whole + square / (4.0 * whole)) / (1.0 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
