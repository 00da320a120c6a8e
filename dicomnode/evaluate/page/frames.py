"""What stands around a plot or a table: a heading, a legend, a sentence, the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.plots import Series, swatch

MOST_ROWS: Final = 60
"""Rows of numbers under a plot; all of them are in the JSON beside the page."""

Row = Sequence[str]


def table(head: Row, rows: Sequence[Row], *, told: str, numbers_from: int = 1) -> Markup:
    """A table that scrolls by itself where it is too wide. numbers_from: first column set to the right."""

    def cells(tag: str, row: Row) -> Markup:
        made = []
        for n, text in enumerate(row):
            tagged = "th" if n == 0 and tag == "td" else tag
            scope = {"scope": "row" if tag == "td" else "col"} if tagged == "th" else {}
            style = {"class_": "n"} if n >= numbers_from else {}
            made.append(element(tagged, text, **scope, **style))
        return element("tr", *made)

    made = element(
        "table",
        element("thead", cells("th", head)),
        element("tbody", *(cells("td", row) for row in rows)),
    )
    named = {"role": "region", "aria_label": told} if told else {}
    scrolled = element("div", made, class_="scroll", tabindex="0", **named)
    # Above, not a caption within: that would be cut off where the table is wider than the screen
    return joined(element("p", told, class_="above") if told else "", scrolled)


def folded(summary: str, head: Row, rows: Sequence[Row]) -> Markup:
    """A table that opens when it is asked for."""
    shown = rows[:MOST_ROWS]
    rest = len(rows) - len(shown)
    more = element("p", f"… and {rest} more: the JSON beside this page has them all.") if rest else ""
    return element("details", element("summary", summary), table(head, shown, told=""), more)


def figure(title: str, drawn: Markup, *beside: str, said: str = "") -> Markup:
    """A plot with its heading, a sentence below, and what else belongs beside it (legend, numbers)."""
    told = element("p", said) if said else ""
    return element("figure", element("figcaption", title), drawn, *beside, told)


def legend(entries: Sequence[Series], *, lined: bool) -> Markup:
    """Which line or mark is what."""
    if not entries:
        return joined()
    items = (element("li", swatch(one, lined=lined), element("span", one.name)) for one in entries)
    return element("ul", *items, class_="legend")


def listed(sentences: Sequence[str], style: str = "") -> Markup:
    """Sentences as a list; nothing where there is none."""
    if not sentences:
        return joined()
    items = [element("li", one) for one in sentences]
    return element("ul", *items, class_=style) if style else element("ul", *items)


def section(key: str, title: str, *parts: str) -> Markup:
    """A part of the page with its heading."""
    heading = element("h2", title, id=f"{key}-heading")
    return element("section", heading, *parts, id=key, aria_labelledby=f"{key}-heading")
