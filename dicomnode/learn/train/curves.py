"""The curves of a training: a table for programs, and one page for people that needs nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

from dicomnode.evaluate.page.axes import axis_around
from dicomnode.evaluate.page.frames import figure, folded, legend
from dicomnode.evaluate.page.markup import Markup, element
from dicomnode.evaluate.page.plots import Plot, Series
from dicomnode.evaluate.page.style import STYLE
from dicomnode.learn.train.loop import Row

CSV_FILE: Final = "curves.csv"
HTML_FILE: Final = "curves.html"
_MOST_LINES: Final = 4


def curves_csv(rows: Sequence[Row]) -> str:
    """One line an epoch: epoch, learning_rate, loss, score, and each figure of the validation."""
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["epoch", "learning_rate", "loss", "score", *names])
    for row in rows:
        writer.writerow(
            [
                row.epoch,
                *map(_short, (row.learning_rate, row.loss, row.score)),
                *(_cell(row, name) for name in names),
            ]
        )
    return out.getvalue()


def curves_html(title: str, rows: Sequence[Row], best_epoch: int, score: str) -> str:
    """One page: the loss of the training, and the score of the validation with its figures.

    score: what the score is, in words. Equal rows give equal bytes.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    lines = {score: [row.score for row in rows]}
    lines |= {name: [row.figures.get(name, row.score) for row in rows] for name in names[: _MOST_LINES - 1]}
    said = f"The weights of epoch {best_epoch} were kept." if rows else "Nothing was trained."
    left = f" {len(names) - _MOST_LINES + 1} more are in {CSV_FILE}." if len(names) >= _MOST_LINES else ""
    parts = []
    if rows:
        parts = [
            _plot("loss", "Loss of the training part", {"loss": [row.loss for row in rows]}, rows, said=""),
            _plot("score", "Validation", lines, rows, said=said + left),
        ]
    head = ["epoch", "loss", score]
    cells = [[str(row.epoch), f"{row.loss:.4f}", f"{row.score:.4f}"] for row in rows]
    body = element(
        "main", element("h1", title), element("p", said), *parts, folded("All epochs", head, cells)
    )
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width"),
            element("title", title),
            element("style", Markup(STYLE)),
        ),
        element("body", body),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{page}\n"


def _plot(key: str, title: str, lines: dict[str, list[float]], rows: Sequence[Row], *, said: str) -> Markup:
    epochs = [float(row.epoch) for row in rows]
    values = [value for one in lines.values() for value in one]
    plot = Plot(axis_around("epoch", epochs), axis_around(key, values))
    shown = []
    for index, (name, one) in enumerate(lines.items()):
        series = Series(index=index, name=name)
        shown.append(series)
        plot.line(list(zip(epochs, one, strict=True)), series.line)
        plot.dot((epochs[-1], one[-1]), series, f"{name} {one[-1]:.4f} in epoch {rows[-1].epoch}")
    told = "; ".join(f"{name} from {one[0]:.3f} to {one[-1]:.3f}" for name, one in lines.items())
    return figure(title, plot.finished(key, title, told), legend(shown, lined=True), said=said)


def _cell(row: Row, name: str) -> str:
    return _short(row.figures[name]) if name in row.figures else ""


def _short(value: float) -> str:
    return f"{value:.6g}"
