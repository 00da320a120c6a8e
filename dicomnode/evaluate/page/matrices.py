"""A confusion matrix as a picture: rows are true, columns are called, shades are shares of the row."""

from __future__ import annotations

from typing import Final

from dicomnode.evaluate.confusion import ConfusionMatrix
from dicomnode.evaluate.page.frames import figure, folded
from dicomnode.evaluate.page.markup import Markup, element
from dicomnode.evaluate.page.plots import drawing

MOST_CLASSES: Final = 12
"""Of more classes there is the table alone: cells would be too small to read."""

_WIDE: Final = 360.0
_LEFT: Final = 96.0
_TOP: Final = 52.0
_SUM: Final = 52.0  # width of the column of row sums
_SHADES: Final = 9
_LONGEST: Final = 12  # letters of a label beside a row


def matrix_figure(key: str, title: str, matrix: ConfusionMatrix) -> Markup:
    """Draw the matrix with its row sums, and give it as a table."""
    numbers = folded("The matrix in numbers", _head(matrix), _rows(matrix))
    said = f"{matrix.right} of {matrix.total} cases were called what they are. Shades: share of the row."
    if len(matrix.labels) > MOST_CLASSES:
        return figure(title, numbers, said=said)
    drawn = drawing(key, title, _told(matrix), (_WIDE, _high(matrix)), _parts(matrix))
    return figure(title, drawn, numbers, said=said)


def _side(matrix: ConfusionMatrix) -> tuple[float, float]:
    """Width and height of a cell."""
    many = len(matrix.labels)
    wide = (_WIDE - _LEFT - _SUM - 4) / many
    return wide, min(wide, 64.0)


def _high(matrix: ConfusionMatrix) -> float:
    return _TOP + len(matrix.labels) * _side(matrix)[1] + 34.0


def _parts(matrix: ConfusionMatrix) -> list[Markup]:
    wide, high = _side(matrix)
    many = len(matrix.labels)
    parts = [
        element("text", "called", class_="axis middle", x=_LEFT + many * wide / 2, y=16),
        element("text", "all", class_="axis middle", x=_LEFT + many * wide + _SUM / 2, y=_TOP - 10),
        element("text", "true", class_="axis", x=2, y=_TOP - 10),
        element("text", "all", class_="axis", x=2, y=_TOP + many * high + 20),
    ]
    for n, label in enumerate(matrix.labels):
        middle = _LEFT + (n + 0.5) * wide
        style = "tick middle strong" if label == matrix.positive else "tick middle"
        parts.append(element("text", _cut(label, wide), class_=style, x=middle, y=_TOP - 10))
        parts.append(_plain(str(matrix.called[n]), middle, _TOP + many * high + 20))
        parts += _row(matrix, n)
    total_x = _LEFT + many * wide + _SUM / 2
    parts.append(_plain(str(matrix.total), total_x, _TOP + many * high + 20))
    return parts


def _row(matrix: ConfusionMatrix, n: int) -> list[Markup]:
    wide, high = _side(matrix)
    label, whole, top = matrix.labels[n], matrix.support[n], _TOP + n * high
    style = "tick end strong" if label == matrix.positive else "tick end"
    parts = [element("text", _cut(label, _LEFT), class_=style, x=_LEFT - 8, y=top + high / 2 + 5)]
    for m, called in enumerate(matrix.labels):
        count = int(matrix.counts[n, m])
        part = count / whole if whole else 0.0
        shade = round(part * (_SHADES - 1))
        place = {"x": _LEFT + m * wide + 1, "y": top + 1, "width": wide - 2, "height": high - 2}
        told = element("title", f"{count} cases that are {label} were called {called}")
        cell = element("rect", class_=f"cell {'right' if n == m else 'wrong'}{shade}", **place)
        ink = "count strong" if shade * 2 >= _SHADES else "count"
        middle = _LEFT + (m + 0.5) * wide
        second = high >= 44.0 and wide >= 44.0 and whole > 0
        texts = [
            element(
                "text", str(count), class_=f"{ink} middle", x=middle, y=top + high / 2 + (0 if second else 5)
            )
        ]
        if second:
            text = f"{100.0 * part:.1f} %"
            texts.append(element("text", text, class_=f"{ink} small middle", x=middle, y=top + high / 2 + 17))
        parts.append(element("g", told, cell, *texts))
    parts.append(_plain(str(whole), _LEFT + len(matrix.labels) * wide + _SUM / 2, top + high / 2 + 5))
    return parts


def _plain(text: str, x: float, y: float) -> Markup:
    return element("text", text, class_="tick middle", x=x, y=y)


def _cut(label: str, wide: float) -> str:
    most = min(_LONGEST, max(3, int(wide / 7.2)))
    return label if len(label) <= most else f"{label[: most - 1]}…"


def _told(matrix: ConfusionMatrix) -> str:
    rows = []
    for n, label in enumerate(matrix.labels):
        called = [f"{int(matrix.counts[n, m])} {other}" for m, other in enumerate(matrix.labels)]
        rows.append(f"{matrix.support[n]} cases are {label}; called {', '.join(called)}")
    return f"Confusion matrix. {'. '.join(rows)}."


def _head(matrix: ConfusionMatrix) -> list[str]:
    return ["true \\ called", *matrix.labels, "all"]


def _rows(matrix: ConfusionMatrix) -> list[list[str]]:
    rows = [
        [label, *(str(int(count)) for count in matrix.counts[n]), str(matrix.support[n])]
        for n, label in enumerate(matrix.labels)
    ]
    return [*rows, ["all", *(str(count) for count in matrix.called), str(matrix.total)]]
