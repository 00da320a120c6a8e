"""The plot of findings with a place: how many are found at how many false alarms a study (FROC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import Final

from dicomnode.evaluate.detection import FrocCurve, SizeClass
from dicomnode.evaluate.page.axes import Axis, share_axis
from dicomnode.evaluate.page.frames import figure, folded, legend, table
from dicomnode.evaluate.page.markup import Markup
from dicomnode.evaluate.page.plots import Plot, Series

_AXIS_TITLE: Final = "false alarms a study (logarithmic)"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFroc:
    """The curve of an engine. at: sensitivity and false alarms a study at its own threshold, if any.

    down_to: the score down to which candidates are known; None: those that it reports alone.
    """

    name: str
    curve: FrocCurve
    at: tuple[float, float] | None = None
    down_to: float | None = None


def froc_figure(key: str, title: str, drawn: Sequence[DrawnFroc]) -> Markup:
    """Draw the curves of one or more engines on the same studies."""
    most = max(float(one.curve.false_alarms[-1:].sum()) / max(one.curve.studies, 1) for one in drawn)
    plot = Plot(_rate_axis(drawn[0].curve.rates, most), share_axis("sensitivity: found"))
    shown, rows = [], []
    for index, one in enumerate(drawn):
        curve = one.curve
        series = Series(index=index, name=f"{one.name}: mean at these rates (CPM) {curve.cpm.text}")
        if curve.ceiling.value is not None:
            ceiling = f"most that any threshold finds: {curve.ceiling.value:.3f}" if not index else ""
            plot.across(curve.ceiling.value, "rule", ceiling)
        plot.steps(_points(curve), series.line, rise_first=False)
        for rate, found in zip(curve.rates, curve.at_rates, strict=True):
            rows.append((one.name, f"{rate:g}", found.text))
        if one.at is not None:
            told = f"{one.name} at its threshold: {one.at[0]:.3f} found, {one.at[1]:.2f} false alarms a study"
            plot.dot((one.at[1], one.at[0]), series, told, 1.4)
        shown.append(series)
    said = f"{drawn[0].curve.lesions} findings in {drawn[0].curve.studies} studies."
    if any(one.at for one in drawn):
        said += " The mark is the threshold of the engine."
    said += "".join(_known(one, several=len(drawn) > 1) for one in drawn)
    told = f"Free-response ROC. {'; '.join(one.name for one in shown)}. {said}"
    numbers = folded("The rates in numbers", ("Engine", "False alarms a study", "Sensitivity"), rows)
    return figure(title, plot.finished(key, title, told), legend(shown, lined=True), numbers, said=said)


def _known(one: DrawnFroc, *, several: bool) -> str:
    """Say how far down candidates are known: where a curve ends is no property of the engine."""
    whose = f" of {one.name}" if several else ""
    if one.down_to is None:
        return f" Candidates{whose} are known where the engine reports them, and the curve ends there."
    return f" Candidates{whose} are known down to a score of {one.down_to:.3g}."


def size_table(sizes: Sequence[SizeClass]) -> Markup:
    """How many findings of each size are found, at the threshold of the engine."""
    rows = [(_size(one), *_shared(one)) for one in sizes]
    return table(("Diameter", "Sensitivity", "Found", "Of"), rows, told="Sensitivity by size of the finding")


def _shared(one: SizeClass) -> tuple[str, str, str]:
    found = one.sensitivity
    value = "none of this size" if found.value is None else f"{found.value:.3f}"
    return value, str(found.part), str(found.whole)


def _size(one: SizeClass) -> str:
    if one.below_mm is None:
        return f"{one.from_mm:g} mm and more"
    return f"{one.from_mm:g} to below {one.below_mm:g} mm"


def _rate_axis(rates: Sequence[float], most: float) -> Axis:
    """An axis whose ticks are the rates at which the sensitivity is read, and on to `most`."""
    ticks = [rate for rate in rates if rate > 0] or [1.0]
    high = max(ticks[-1], most) * sqrt(2.0)
    while ticks[-1] * 2.0 <= high:
        ticks.append(ticks[-1] * 2.0)
    return Axis(
        title=_AXIS_TITLE,
        low=ticks[0] / sqrt(2.0),
        high=high,
        ticks=tuple(ticks),
        logarithmic=True,
        names=tuple(_written(rate) for rate in ticks),
    )


def _written(rate: float) -> str:
    """A rate as readers of such curves know it: 1/8, 1/4 … 8."""
    exact = Fraction(rate).limit_denominator(16)
    return str(exact) if float(exact) == rate else f"{rate:g}"


def _points(curve: FrocCurve) -> list[tuple[float, float]]:
    if not curve.lesions or not curve.studies:
        return []
    pairs = zip(curve.false_alarms / curve.studies, curve.found / curve.lesions, strict=True)
    return [(0.0, 0.0), *((float(x), float(y)) for x, y in pairs)]
