"""Plots put values where they belong: axes, lines, marks, and the numbers that curves are made of."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from dicomnode.evaluate import (
    KnownLesion,
    ScoredCases,
    StudyOutcome,
    calibration_of,
    froc,
    precision_recall_curve,
    roc_curve,
)
from dicomnode.evaluate.outcomes import ClassCurves
from dicomnode.evaluate.page.axes import Axis, axis_around, share_axis
from dicomnode.evaluate.page.curves import (
    Drawn,
    precision_recall_figure,
    reliability_figure,
    roc_figure,
    wilson,
)
from dicomnode.evaluate.page.lesions import DrawnFroc, froc_figure
from dicomnode.evaluate.page.markup import Markup, element, number
from dicomnode.evaluate.page.measured import (
    Measured,
    Pair,
    Strip,
    agreement_figure,
    dice_axis,
    percent_figure,
    signed,
    strip_figure,
)
from dicomnode.evaluate.page.plots import Plot, Series
from dicomnode.evaluate.regression import MeasuredCases, bias, limits_of_agreement
from tests.unit.evaluate.evaluations import detection
from tests.unit.evaluate.page.reading import SVG, lines, rows, shown

_FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def _cases() -> ScoredCases:
    return ScoredCases(
        truth=np.array([0, 0, 1, 0, 1, 1], bool), scores=np.array([0.1, 0.4, 0.35, 0.6, 0.8, 0.8])
    )


def _drawn(cases: ScoredCases) -> Drawn:
    return Drawn(
        name="sick",
        curves=ClassCurves(
            label="sick",
            roc=roc_curve(cases),
            precision_recall=precision_recall_curve(cases),
            calibration=calibration_of(cases, 3),
        ),
    )


def _svg(markup: Markup) -> ET.Element:
    return next(one for one in ET.fromstring(markup).iter(f"{SVG}svg") if one.get("class") != "swatch")


def _places(x: Axis, y: Axis, points) -> list[tuple[float, float]]:
    """Where points must lie on a drawing, to a tenth of its unit."""
    plot = Plot(x, y)
    return [tuple(round(one, 1) for one in plot.place(point)) for point in points]


@given(st.lists(_FINITE, max_size=20), st.lists(_FINITE, max_size=3))
@example([], [])
@example([5.0], [])
@example([], [2.2250738585072014e-308])
@example([1e6, 1e6 + 1e-4], [])
@example([0.0, 0.0], [0.0])
def test_an_axis_holds_all_its_values_and_has_round_numbers_beside_it(values, holds) -> None:
    axis = axis_around("volume, ml", values, holds=holds)
    assert all(axis.low <= value <= axis.high for value in (*values, *holds))
    assert 2 <= len(axis.ticks) <= 10
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    written = [text for _, text in axis.marked()]
    assert len(set(written)) == len(written)
    for tick, text in axis.marked():
        assert float(text.replace("−", "-")) == pytest.approx(tick, abs=1e-9 * max(1.0, abs(tick)))


def test_a_logarithmic_axis_has_equal_ratios_at_equal_distances() -> None:
    axis = Axis(title="a study", low=0.125, high=8.0, ticks=(0.125, 1.0, 8.0), logarithmic=True)
    assert [axis.part(one) for one in (0.125, 1.0, 8.0)] == pytest.approx([0.0, 0.5, 1.0])
    assert axis.part(0.0) == 0.0


@pytest.mark.parametrize(
    ("low", "high", "logarithmic"), [(1, 1, False), (2, 1, False), (0, 1, True), (0, math.inf, False)]
)
def test_an_axis_without_a_length_is_refused(low: float, high: float, logarithmic: bool) -> None:
    with pytest.raises(ValueError, match="axis"):
        Axis(title="", low=low, high=high, ticks=(), logarithmic=logarithmic)


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (0.125, "0.12"), (-0.001, "0"), (1e7, "10000000"), (-2.5, "-2.5")]
)
def test_places_are_written_short(value: float, text: str) -> None:
    assert number(value) == text


def test_an_element_escapes_what_is_no_element() -> None:
    assert element("p", "a < b & c", class_='"x"') == '<p class="&quot;x&quot;">a &lt; b &amp; c</p>'
    assert element("p", element("b", "x"), "<i>") == "<p><b>x</b>&lt;i&gt;</p>"
    with pytest.raises(ValueError, match="content"):
        element("img", "x")


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=40))
def test_a_line_without_what_is_not_seen_covers_the_same_places(steps) -> None:
    # A staircase, as curves are: thinning must leave each of its corners
    x, y, points = 0, 0, []
    for right, up in steps:
        points += [(float(x := x + right), float(y)), (float(x), float(y := y + up))]
    axis = Axis(title="", low=-1.0, high=float(max(x, y) + 1), ticks=(0.0,))
    plot = Plot(axis, axis)
    plot.line(points, "line")
    drawn = lines(ET.fromstring(plot.finished("key", "title", "told")), "line")
    wanted = {tuple(round(one, 1) for one in plot.place(point)) for point in points}
    corners = set(drawn[0]) if drawn else set()
    for a, b in wanted - corners:
        assert not drawn or any(
            (p[0] == a == q[0] and min(p[1], q[1]) <= b <= max(p[1], q[1]))
            or (p[1] == b == q[1] and min(p[0], q[0]) <= a <= max(p[0], q[0]))
            for p, q in pairwise(drawn[0])
        )


def test_the_roc_curve_goes_through_its_points_and_straight_between_them() -> None:
    (curve,) = lines(_svg(roc_figure("k", "ROC", [_drawn(_cases())])), "l0")
    x, y = share_axis("1 − specificity: called for nothing"), share_axis("sensitivity: found")
    third = 1.0 / 3.0
    # Both of 0.8 at once, 0.6 and 0.4 for nothing, 0.35 found, 0.1 for nothing
    corners = [(0, 0), (0, 2 * third), (2 * third, 2 * third), (2 * third, 1), (1, 1)]
    assert curve == _places(x, y, corners)


def test_precision_and_recall_are_drawn_in_steps_that_enclose_the_average_precision() -> None:
    cases = _cases()
    (curve,) = lines(_svg(precision_recall_figure("k", "PR", [_drawn(cases)])), "l0")
    (x0, y0), (x1, y1) = _places(share_axis(""), share_axis("p"), [(0, 0), (1, 1)])
    area = sum((b[0] - a[0]) / (x1 - x0) * (y0 - b[1]) / (y0 - y1) for a, b in pairwise(curve))
    assert area == pytest.approx(precision_recall_curve(cases).area.value, abs=0.005)
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(curve))


def test_reliability_gives_each_group_with_its_cases() -> None:
    generator = np.random.default_rng(1)
    scores = generator.uniform(0, 1, 60)
    cases = ScoredCases(truth=generator.uniform(0, 1, 60) < scores, scores=scores)
    drawn = _drawn(cases)
    page = ET.fromstring(reliability_figure("k", "Reliability", [drawn]))
    table = rows(page)[1:]
    assert [int(row[4]) for row in table] == [one.count for one in drawn.curves.calibration.bins]
    assert [row[6] for row in table] == [f"{one.observed:.3f}" for one in drawn.curves.calibration.bins]
    assert f"Brier {drawn.curves.calibration.brier.value:.3f}" in shown(page)


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_s_interval_is_that_of_scipy(part: int, more: int) -> None:
    whole = part + more
    wanted = binomtest(part, whole).proportion_ci(method="wilson")
    assert wilson(part, whole) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_the_froc_curve_reads_as_its_rates_do() -> None:
    curve = detection().curve
    page = ET.fromstring(froc_figure("k", "FROC", [DrawnFroc(name="nodule", curve=curve, at=(0.7, 1.2))]))
    assert [row[2] for row in rows(page)[1:]] == [one.text for one in curve.at_rates]
    drawing = next(one for one in page.iter(f"{SVG}svg"))
    ticks = [shown(one) for one in drawing.iter(f"{SVG}text") if one.get("class") == "tick middle"]
    assert ticks == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    (line,) = lines(drawing, "l0")
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(line))
    highest = min(y for _, y in line)
    ceiling = Plot(Axis(title="", low=0, high=1, ticks=()), share_axis("")).place((0, curve.ceiling.value))[1]
    assert highest == pytest.approx(ceiling, abs=0.06)


def test_the_froc_curve_ends_where_it_ends_and_not_at_the_last_rate() -> None:
    outcomes = [StudyOutcome(lesions=(KnownLesion(diameter_mm=9.0, score=0.2),), false_alarms=(0.5,) * 30)]
    page = ET.fromstring(froc_figure("k", "FROC", [DrawnFroc(name="nodule", curve=froc(outcomes))]))
    drawing = next(one for one in page.iter(f"{SVG}svg"))
    ticks = [shown(one) for one in drawing.iter(f"{SVG}text") if one.get("class") == "tick middle"]
    assert ticks[-3:] == ["8", "16", "32"]
    (line,) = lines(drawing, "l0")
    frame = next(drawing.iter(f"{SVG}rect"))
    assert max(x for x, _ in line) < float(frame.get("x")) + float(frame.get("width")) - 5


def test_limits_of_agreement_on_the_plot_are_those_of_the_figures() -> None:
    generator = np.random.default_rng(2)
    true = generator.uniform(5, 40, 25)
    found = true * 0.9 + generator.normal(0, 2, 25)
    pairs = [
        Pair(name=f"case {n}", found=float(a), true=float(b))
        for n, (a, b) in enumerate(zip(found, true, strict=True))
    ]
    told = shown(ET.fromstring(agreement_figure("k", "Volume", "ml", pairs)))
    cases = MeasuredCases.of(found, true)
    low, high = limits_of_agreement(cases)
    assert f"bias {signed(bias(cases).value)} ml" in told
    assert f"limits of agreement {signed(low.value)} to {signed(high.value)} ml" in told


def test_every_case_has_a_mark_that_names_it_and_the_worst_stand_first() -> None:
    values = (0.9, 0.2, 0.9, 0.9, 0.95)
    cases = tuple(Measured(name=f"case {n}", value=one) for n, one in enumerate(values))
    page = ET.fromstring(
        strip_figure("k", "Dice", dice_axis(), [Strip(label="lung", cases=cases)], lowest_first=True)
    )
    marks = list(page.iter(f"{SVG}circle"))
    assert len(marks) == len({(one.get("cx"), one.get("cy")) for one in marks}) == 5
    assert [row[1] for row in rows(page)[1:]] == ["case 1", "case 0", "case 2", "case 3", "case 4"]
    assert "median 0.900" in shown(page)


def test_an_error_in_percent_is_of_what_is_true_and_needs_something_true() -> None:
    pairs = [Pair(name="a", found=5.0, true=10.0), Pair(name="b", found=1.0, true=0.0)]
    page = ET.fromstring(percent_figure("k", "Volume error", "ml", pairs))
    assert len(list(page.iter(f"{SVG}circle"))) == 1
    assert "a: −50.00 % of 10.000 ml" in shown(page)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.000"), (0.1234, "+0.123"), (-1.239, "−1.24"), (1234.56, "+1234.6")]
)
def test_a_difference_is_written_with_its_sign(value: float, text: str) -> None:
    assert signed(value) == text


def test_series_are_told_apart_without_their_colours() -> None:
    series = [Series(index=n, name="") for n in range(4)]
    assert len({one.shape for one in series}) == 4
    assert len({one.line for one in series}) == 4


@pytest.mark.parametrize("at", [0.0, 0.5, 0.97, 1.0])
def test_what_is_written_at_a_line_across_lies_within_the_drawing(at: float) -> None:
    plot = Plot(share_axis("found"), share_axis("true"))
    plot.across(at, "line", "as high as it gets")
    drawn = ET.fromstring(str(plot.finished("p", "a plot", "a line")))
    (note,) = [one for one in drawn.iter(f"{SVG}text") if one.text == "as high as it gets"]
    assert float(note.get("y", "0")) >= 10.0  # the letters stand on this line
