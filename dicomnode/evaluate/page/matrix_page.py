"""The page of a confusion matrix of others: what it says, what it hides, and what is printed beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.evaluate.classification import ClassificationReport
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.intervals import Interval
from dicomnode.evaluate.leading import Headline, Printed
from dicomnode.evaluate.page.frames import listed, section, table
from dicomnode.evaluate.page.markup import Markup, element
from dicomnode.evaluate.page.matrices import matrix_figure
from dicomnode.evaluate.page.shell import alarm, page_of
from dicomnode.evaluate.page.words import (
    NO_INTERVAL,
    counts_text,
    interval_text,
    percent,
    remarks_of,
    spoken,
    value_text,
)

_FOOT: Final = (
    "Made by dicomnode, for research and engineering: no part of it is for clinical use. All numbers stand "
    "in matrix.json."
)


def matrix_html(
    report: ClassificationReport,
    told: Headline,
    intervals: Sequence[Interval],
    printed: Sequence[Printed] = (),
) -> str:
    """Make the page. intervals: as `counted_intervals`; printed: what a document prints beside the matrix."""
    matrix = report.matrix
    sick = f", of what is looked for: {matrix.positive}" if matrix.positive else ""
    head = element(
        "header",
        element("p", "A confusion matrix, judged", class_="kind"),
        element("h1", f"{matrix.total} cases of {len(matrix.labels)} classes{sick}"),
    )
    first = section("first", "What matters most", element("div", _card(told, intervals), class_="cards"))
    drawn = element("div", matrix_figure("matrix", "Confusion matrix", matrix), class_="plots")
    parts = [head, first, section("counts", "The matrix", drawn), _figures(told, intervals)]
    return page_of(
        "A confusion matrix, judged", [*parts, *([_printed(told, printed)] if printed else [])], _FOOT
    )


def _card(told: Headline, intervals: Sequence[Interval]) -> Markup:
    lead = told.lead
    interval = _of(lead, intervals)
    between = interval_text(interval)
    sure = (
        "" if interval is None or between == NO_INTERVAL else f"{percent(interval.level)} interval {between}"
    )
    beside = "; ".join(text for text in (counts_text(lead), sure) if text)
    warned = (*told.warnings, *(one.text for one in told.contradictions))
    return element(
        "article",
        element("p", spoken(lead), class_="lead-name"),
        element("p", value_text(lead), class_="lead" if lead.value is not None else "lead none"),
        element("p", beside, class_="beside"),
        alarm(warned),
        class_="card warned" if warned else "card",
    )


def _figures(told: Headline, intervals: Sequence[Interval]) -> Markup:
    """All figures in the order of the headline: the accuracy last."""
    level = percent(intervals[0].level) if intervals else "95 %"
    rows = [
        (spoken(one), value_text(one), counts_text(one), interval_text(_of(one, intervals)))
        for one in (told.lead, *told.then)
    ]
    shown = table(("Figure", "Value", "Cases", f"{level} interval"), rows, told="Every figure of the matrix")
    said = remarks_of(one for one in intervals if one.figure.value is not None)
    return section("figures", "Figures", shown, listed(said))


def _printed(told: Headline, printed: Sequence[Printed]) -> Markup:
    """Each printed number beside what the matrix gives."""
    wrong = {one.printed: one for one in told.contradictions}
    rows = []
    for one in printed:
        found = wrong.get(one)
        name = one.name if one.label is None else f"{one.name} of {one.label}"
        rows.append(
            (name, one.text, "as printed" if found is None else found.shown, "✗ no" if found else "yes")
        )
    head = ("Printed", "as", "The matrix gives", "Do both agree?")
    return section(
        "printed", "What is printed beside it", table(head, rows, told="Printed numbers, held against it")
    )


def _of(figure: Figure, intervals: Sequence[Interval]) -> Interval | None:
    named = (figure.name, figure.label)
    return next((one for one in intervals if (one.figure.name, one.figure.label) == named), None)
