"""The part of the page on two engines: paired differences on the same cases, and what they say."""

from __future__ import annotations

from typing import Final

from dicomnode.evaluate.evaluation import Compared, Comparison, Evaluation, Verdict
from dicomnode.evaluate.page.frames import listed, section, table
from dicomnode.evaluate.page.markup import Markup, element
from dicomnode.evaluate.page.words import interval_text, spoken, value_text

_WORDS: Final = {
    Verdict.BETTER: "▲ better",
    Verdict.WORSE: "▼ worse",
    Verdict.CHANCE: "it may be chance",
    Verdict.UNKNOWN: "nothing can be said",
}


def comparison_section(evaluation: Evaluation, comparison: Comparison) -> Markup:
    """Differences, this engine minus the other one; an interval without 0 tells."""
    this, other = (f"{one.name} {one.version}" for one in (evaluation.engine, comparison.other.engine))
    head = ("Output", "Figure", other, this, "Difference", "Interval", "This engine is")
    rows = [_row(one) for one in comparison.differences]
    parts = [table(head, rows, told=f"{this} against {other}, on the same cases", numbers_from=2)]
    if comparison.calls:
        parts.append(_calls(comparison, this, other))
    said = (
        "Each patient is drawn for both engines; a difference tells where its interval leaves out 0. To be "
        "better, both must differ on six patients or more."
    )
    return section("comparison", f"Against {other}", *parts, element("p", said), listed(comparison.remarks))


def _row(one: Compared) -> tuple[str, ...]:
    difference = one.difference
    return (
        one.output,
        spoken(difference.first),
        value_text(difference.first),
        value_text(difference.second),
        value_text(difference.interval.figure),
        interval_text(difference.interval),
        _WORDS[one.verdict],
    )


def _calls(comparison: Comparison, this: str, other: str) -> Markup:
    """McNemar's test: cases that only one of both called what they are."""
    head = ("Output", "Both right", f"Only {this}", f"Only {other}", "Neither", "p (McNemar, exact)")
    rows = []
    for one in comparison.calls:
        test = one.test
        counts = (test.both, test.only_second, test.only_first, test.neither)
        rows.append((one.output, *(str(count) for count in counts), value_text(test.p_value)))
    return table(head, rows, told="Cases that one engine alone called right")
