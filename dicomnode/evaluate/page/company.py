"""The part of the page on an engine beside the readers of its data: its figure beside their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.evaluate.figures import counted
from dicomnode.evaluate.intervals import Interval
from dicomnode.evaluate.page.frames import listed, section, table
from dicomnode.evaluate.page.markup import Markup, element
from dicomnode.evaluate.page.words import NO_INTERVAL, interval_text, percent, remarks_of, value_text
from dicomnode.evaluate.readers.company import Company

_SEVERAL: Final = "{many} outputs stand beside readers: of as many, one in twenty tells by chance alone."
_HOW: Final = (
    "Readers are numbered, never named. Each two readers, and the engine with both, on the cases of both. "
    "Where readers are the truth, what they reach among themselves is about what an engine can reach."
)


def company_section(companies: Sequence[Company]) -> Markup:
    """Each output beside its readers: all together first, then reader by reader."""
    parts = [part for one in companies for part in _output(one)]
    several = element("p", several_outputs(companies)) if len(companies) > 1 else ""
    return section("readers", "Beside the readers", several, *parts, element("p", _HOW, class_="faint"))


def several_outputs(companies: Sequence[Company]) -> str:
    """What must be said of many verdicts, as of many comparisons."""
    return _SEVERAL.format(many=len(companies))


def _output(one: Company) -> list[Markup]:
    head = (f"{one.measure}, mean of pairs", "Value", f"{percent(one.engine.level)} interval")
    rows = [
        ("the engine with each reader", value_text(one.engine.figure), interval_text(one.engine)),
        ("readers with one another", value_text(one.among.figure), interval_text(one.among)),
        ("difference", value_text(one.difference.figure), interval_text(one.difference)),
    ]
    cases, patients = counted(one.cases, "case"), counted(one.patients, "patient")
    told = f"{one.output}: {cases} of {patients} with two readers and more"
    of_readers = [each for reader in one.readers for each in (reader.engine, reader.others)]
    return [
        table(head, rows, told=told),
        element("p", one.verdict),
        _each(one),
        *([_against_truth(one)] if any(each.recall for each in one.readers) else []),
        listed([one.by, *one.remarks, *remarks_of([one.engine, one.among, one.difference, *of_readers])]),
    ]


def in_a_line(one: Company) -> str:
    """What stands on the card of the output: the engine's agreement beside that of the readers."""
    engine, among = value_text(one.engine.figure), value_text(one.among.figure)
    return f"{one.measure} with the readers: {engine}; of readers with one another: {among}"


def _each(one: Company) -> Markup:
    """Each reader: with the engine, with the others."""
    head = ("Reader", "Cases", "With the engine", "With the other readers")
    rows = [(each.reader, str(each.cases), _cell(each.engine), _cell(each.others)) for each in one.readers]
    return table(head, rows, told=f"{one.output}, reader by reader: {one.measure}")


def _against_truth(one: Company) -> Markup:
    """Each reader against the truth, and the engine on the same cases."""
    head = ("Reader", "Recall", "of the engine", "Specificity", "of the engine")
    rows = [
        (each.reader, *(_cell(half) for both in (each.recall, each.specificity) for half in both or ()))
        for each in one.readers
    ]
    return table(head, rows, told=f"{one.output}, reader by reader: against the truth")


def _cell(one: Interval) -> str:
    between = interval_text(one)
    return value_text(one.figure) + ("" if between == NO_INTERVAL else f" [{between}]")
