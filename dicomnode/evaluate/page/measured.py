"""Plots of what is measured case by case: Dice and distances of outlines, volumes, numbers with a unit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.page.axes import Axis, axis_around, share_axis
from dicomnode.evaluate.page.frames import figure, folded, legend
from dicomnode.evaluate.page.markup import Markup
from dicomnode.evaluate.page.plots import Plot, Series
from dicomnode.evaluate.regression import NORMAL_975

_ROW: Final = 46.0  # height of a strip
_AROUND: Final = 76.0  # height of axes and titles
_LETTERS: Final = 15  # of a name beside its strip
_PER_ROW: Final = 7  # marks one above the other at most
_BINS: Final = 90  # marks side by side


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number of a case. name: of the case, as it is shown."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What was found and what is true of a case, in one unit."""

    name: str
    found: float
    true: float

    @property
    def difference(self) -> float:
        """Found minus true."""
        return self.found - self.true


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The numbers of all cases of one output."""

    label: str
    cases: tuple[Measured, ...]


def strip_figure(key: str, title: str, x: Axis, strips: Sequence[Strip], *, lowest_first: bool) -> Markup:
    """Draw each case as a mark, one strip an output; the bar is the median. lowest_first: low is bad."""
    many = len(strips)
    names = tuple(_cut(one.label) for one in strips)
    places = tuple(float(many - 1 - n) for n in range(many))
    y = Axis(title="", low=-0.5, high=many - 0.5, ticks=places, names=names)
    plot = Plot(x, y, left=112.0, high=_AROUND + _ROW * many)
    rows = []
    for place, one in zip(places, strips, strict=True):
        _draw_strip(plot, x, place, one)
        cases = sorted(one.cases, key=lambda case: (case.value if lowest_first else -case.value, case.name))
        rows += [(one.label, case.name, f"{case.value:.3f}") for case in cases]
    told = f"{title}. {'; '.join(_strip_text(one) for one in strips)}."
    numbers = folded("The cases in numbers, worst first", ("Output", "Case", x.title), rows)
    said = "Each mark is a case, the bar the median."
    return figure(title, plot.finished(key, title, told), numbers, said=said)


def dice_axis() -> Axis:
    """0 to 1: the same for every engine, so that pages compare."""
    return share_axis("Dice")


def distance_axis(strips: Sequence[Strip]) -> Axis:
    """From 0 mm to the farthest."""
    return axis_around("HD95 in mm", [case.value for one in strips for case in one.cases], holds=(0.0,))


def agreement_figure(
    key: str, title: str, unit: str, pairs: Sequence[Pair], names: tuple[str, str] = ("found", "true")
) -> Markup:
    """Bland and Altman: the difference against the mean of both, with the limits of agreement.

    names: of what stands as found, and as true, of a pair.
    """
    differences = [one.difference for one in pairs]
    bias = math.fsum(differences) / len(differences)
    spread = statistics.stdev(differences) if len(differences) > 1 else None  # of one there are no limits
    low, high = (bias + sign * NORMAL_975 * (spread or 0.0) for sign in (-1.0, 1.0))
    found, true = names
    of, behind = (f", {unit}", f" {unit}") if unit else ("", "")
    x = axis_around(f"mean of {found} and {true}{of}", [(one.found + one.true) / 2 for one in pairs])
    y = axis_around(f"{found} − {true}{of}", differences, holds=(0.0, low, high))
    plot = Plot(x, y)
    plot.across(0.0, "zero")
    lines = [Series(index=1, name=f"bias {signed(bias)}{behind}")]
    if spread is not None:
        limits = f"limits of agreement {signed(low)} to {signed(high)}{behind}"
        lines.append(Series(index=2, name=limits))
        plot.across(high, lines[1].line)
        plot.across(low, lines[1].line)
    plot.across(bias, lines[0].line)
    series = Series(index=0, name="case")
    for one in pairs:
        text = f"{one.name}: {found} {one.found:.3f}, {true} {one.true:.3f}{behind}"
        plot.dot(((one.found + one.true) / 2, one.difference), series, text)
    cases = counted(len(pairs), "case")
    told = f"Bland–Altman plot of {cases}: {', '.join(one.name for one in lines)}."
    above = "too much was found" if names == ("found", "true") else f"{found} gives more"
    how = "Limits: bias ∓ 1.96 standard deviations." if len(lines) > 1 else "It takes two cases for limits."
    said = f"{cases}. Above 0 {above}. {how}"
    shown = legend(lines, lined=True)
    return figure(title, plot.finished(key, title, told), shown, _pair_rows(pairs, unit, names), said=said)


def percent_figure(key: str, title: str, unit: str, pairs: Sequence[Pair]) -> Markup:
    """The error in percent of the truth, against the truth: small things have large ones."""
    held = [one for one in pairs if one.true > 0]
    errors = [100.0 * one.difference / one.true for one in held]
    x = axis_around(f"true, {unit}", [one.true for one in held])
    y = axis_around("(found − true) / true, %", errors, holds=(0.0,))
    plot = Plot(x, y)
    plot.across(0.0, "zero")
    series = Series(index=0, name="case")
    for one, error in zip(held, errors, strict=True):
        plot.dot((one.true, error), series, f"{one.name}: {signed(error)} % of {one.true:.3f} {unit}")
    worst = max(errors, key=abs, default=0.0)
    said = f"{len(held)} cases with something to find; the largest error is {signed(worst)} %."
    return figure(title, plot.finished(key, title, f"{title}. {said}"), said=said)


def signed(value: float) -> str:
    """A difference with its sign, as exact as three figures of the value allow."""
    decimals = 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def _pair_rows(pairs: Sequence[Pair], unit: str, names: tuple[str, str]) -> Markup:
    worst = sorted(pairs, key=lambda one: (-abs(one.difference), one.name))
    rows = [(one.name, f"{one.found:.3f}", f"{one.true:.3f}", signed(one.difference)) for one in worst]
    of = f", {unit}" if unit else ""
    head = ("Case", *(f"{one[:1].upper()}{one[1:]}{of}" for one in names), "Difference")
    return folded("The cases in numbers, worst first", head, rows)


def _draw_strip(plot: Plot, x: Axis, place: float, strip: Strip) -> None:
    """Marks of about the same value one above the other; then the median."""
    bins: dict[int, list[Measured]] = {}
    for case in sorted(strip.cases, key=lambda one: (one.value, one.name)):
        bins.setdefault(round(x.part(case.value) * _BINS), []).append(case)
    series = Series(index=0, name=strip.label)
    if strip.cases:
        middle = statistics.median(case.value for case in strip.cases)
        plot.bar((middle, place - 0.44), (middle, place + 0.44), "median")
    for side_by_side in bins.values():
        apart = 0.62 / max(_PER_ROW, len(side_by_side))
        for n, case in enumerate(side_by_side):
            # 0, +1, -1, +2 … from the middle of the strip
            above = (n + 1) // 2 * (1 if n % 2 else -1) * apart
            plot.dot((case.value, place + above), series, f"{case.name}: {case.value:.3f}", 0.65)


def _strip_text(strip: Strip) -> str:
    if not strip.cases:
        return f"{strip.label}: no case"
    values = [case.value for case in strip.cases]
    middle = statistics.median(values)
    return f"{strip.label}: {len(values)} cases, {min(values):.3f} to {max(values):.3f}, median {middle:.3f}"


def _cut(label: str) -> str:
    return label if len(label) <= _LETTERS else f"{label[: _LETTERS - 1]}…"
