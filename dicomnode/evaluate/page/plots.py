"""A plot in the making: axes with units, lines, marks, bars; an SVG that is read aloud by its title.

Colours, widths and dashes are classes of the page's style sheet (`style`): a plot has none of its own, so
that it fits a light page, a dark one and paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.evaluate.page.axes import Axis
from dicomnode.evaluate.page.markup import Markup, element, joined, number

Point = tuple[float, float]
"""x and y in the units of the axes."""

WIDE: Final = 360.0
HIGH: Final = 306.0
_TITLE: Final = 36.0  # width that the title of the y axis takes, with some air
_LETTER: Final = 7.4
_RIGHT: Final = 14.0
_TOP: Final = 12.0
_BOTTOM: Final = 52.0
_MARK: Final = 4.2  # half of a mark's width

SHAPES: Final = ("disc", "square", "diamond", "cross")
"""Marks of different series: told apart without their colours, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How one of several things on a plot is drawn: a number from 0 on, and its name in the legend."""

    index: int
    name: str

    @property
    def line(self) -> str:
        """Classes of its lines."""
        return f"line l{self.index % 4}"

    @property
    def dot(self) -> str:
        """Classes of its marks."""
        return f"dot d{self.index % 4}"

    @property
    def shape(self) -> str:
        """The form of its marks."""
        return SHAPES[self.index % len(SHAPES)]


class Plot:
    """A plot between two axes; coordinates are in their units.

    left: room for what is written beside the y axis, by default as much as that takes. high: of the whole
    drawing.
    """

    def __init__(self, x: Axis, y: Axis, *, left: float | None = None, high: float = HIGH) -> None:
        self._x = x
        self._y = y
        longest = max((len(text) for _, text in y.marked()), default=0)
        self._left = left or _TITLE + _LETTER * longest
        self._high = high
        self._drawn: list[Markup] = []

    def line(self, points: Iterable[Point], style: str) -> None:
        """Draw a line through points."""
        places = _thinned([self.place(one) for one in points])
        if len(places) > 1:
            self._drawn.append(element("polyline", class_=style, points=_listed(places)))

    def steps(self, points: Sequence[Point], style: str, *, rise_first: bool) -> None:
        """Draw a line without slopes. rise_first: up or down at the earlier x, else at the later one."""
        corners: list[Point] = []
        for x, y in points:
            if corners:
                before = corners[-1]
                corners.append((before[0], y) if rise_first else (x, before[1]))
            corners.append((x, y))
        self.line(corners, style)

    def across(self, y: float, style: str, text: str = "") -> None:
        """Draw a line from left to right, its text above its right end, or below where it ends the plot."""
        self.line([(self._x.low, y), (self._x.high, y)], style)
        if text:
            right, height = self.place((self._x.high, y))
            self._write(right - 4, height - 5 if height > 2 * _TOP else height + _TOP, text, "note end")

    def bar(self, low: Point, high: Point, style: str) -> None:
        """Draw a straight bar between two points: an interval."""
        (x0, y0), (x1, y1) = self.place(low), self.place(high)
        self._drawn.append(element("line", class_=style, x1=x0, y1=y0, x2=x1, y2=y1))

    def dot(self, at: Point, series: Series, told: str, size: float = 1.0) -> None:
        """Draw a mark; `told` is shown by browsers that point at it."""
        self._drawn.append(mark(self.place(at), series, told, _MARK * size))

    def place(self, point: Point) -> tuple[float, float]:
        """Where a point lies on the drawing."""
        x = self._left + self._x.part(point[0]) * (WIDE - self._left - _RIGHT)
        y = self._high - _BOTTOM - self._y.part(point[1]) * (self._high - _BOTTOM - _TOP)
        return x, y

    def finished(self, key: str, title: str, told: str) -> Markup:
        """The drawing. key: of this page only. told: what is to be seen, for those who do not see it."""
        return drawing(key, title, told, (WIDE, self._high), [self._frame(), *self._drawn])

    def _frame(self) -> Markup:
        left, top, right, bottom = self._left, _TOP, WIDE - _RIGHT, self._high - _BOTTOM
        parts = [element("rect", class_="frame", x=left, y=top, width=right - left, height=bottom - top)]
        for value, text in self._x.marked():
            x, _ = self.place((value, self._y.low))
            parts.append(element("line", class_="grid", x1=x, y1=top, x2=x, y2=bottom))
            parts.append(_label(x, bottom + 17, text, "tick middle"))
        for value, text in self._y.marked():
            _, y = self.place((self._x.low, value))
            parts.append(element("line", class_="grid", x1=left, y1=y, x2=right, y2=y))
            parts.append(_label(left - 6, y + 4.5, text, "tick end"))
        parts.append(_label((left + right) / 2, self._high - 10, self._x.title, "axis middle"))
        if self._y.title:
            turned = f"translate(15 {number((top + bottom) / 2)}) rotate(-90)"
            parts.append(element("text", self._y.title, class_="axis middle", transform=turned))
        return joined(*parts)

    def _write(self, x: float, y: float, text: str, style: str) -> None:
        self._drawn.append(_label(x, y, text, style))


def drawing(key: str, title: str, told: str, size: tuple[float, float], parts: Iterable[str]) -> Markup:
    """An SVG of a size, whose title and description are read aloud."""
    wide, high = (number(one) for one in size)
    names = f"{key}-title {key}-told"
    return element(
        "svg",
        element("title", title, id=f"{key}-title"),
        element("desc", told, id=f"{key}-told"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {wide} {high}",
        role="img",
        aria_labelledby=names,
    )


def mark(at: tuple[float, float], series: Series, told: str, half: float = _MARK) -> Markup:
    """One mark of a series at a place on the drawing."""
    x, y = at
    style, shape = series.dot, series.shape
    if shape == "disc":
        drawn = element("circle", class_=style, cx=x, cy=y, r=half)
    elif shape == "square":
        drawn = element("rect", class_=style, x=x - half, y=y - half, width=2 * half, height=2 * half)
    elif shape == "diamond":
        corners = [(x, y - 1.3 * half), (x + 1.3 * half, y), (x, y + 1.3 * half), (x - 1.3 * half, y)]
        drawn = element("polygon", class_=style, points=_listed(corners))
    else:
        ends = [(x - half, y - half, x + half, y + half), (x - half, y + half, x + half, y - half)]
        arms = " ".join(f"M{number(a)} {number(b)}L{number(c)} {number(d)}" for a, b, c, d in ends)
        drawn = element("path", class_=f"{style} open", d=arms)
    return element("g", element("title", told), drawn) if told else drawn


def swatch(series: Series, *, lined: bool) -> Markup:
    """A piece of a series for the legend: its mark, or its line."""
    drawn = (
        element("polyline", class_=series.line, points="1,7 27,7") if lined else mark((14.0, 7.0), series, "")
    )
    return element("svg", drawn, class_="swatch", viewBox="0 0 28 14", aria_hidden="true")


def _label(x: float, y: float, text: str, style: str) -> Markup:
    return element("text", text, class_=style, x=x, y=y)


def _listed(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in places)


def _thinned(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out places on a straight line between their neighbours, and those that are not told apart."""
    kept: list[tuple[float, float]] = []
    for x, y in ((round(x, 1), round(y, 1)) for x, y in places):
        if kept and kept[-1] == (x, y):
            continue
        if len(kept) > 1 and _straight(kept[-2], kept[-1], (x, y)):
            kept.pop()
        kept.append((x, y))
    return kept


def _straight(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on the way from a to c, along one of the axes."""
    same_x = a[0] == b[0] == c[0] and min(a[1], c[1]) <= b[1] <= max(a[1], c[1])
    same_y = a[1] == b[1] == c[1] and min(a[0], c[0]) <= b[0] <= max(a[0], c[0])
    return same_x or same_y
