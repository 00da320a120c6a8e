"""The page of readers: how far people agree among themselves, thing by thing. Nobody is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicomnode.evaluate.figures import Figure, counted
from dicomnode.evaluate.intervals import Interval
from dicomnode.evaluate.page.frames import listed, section, table
from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.measured import (
    Measured,
    Pair,
    Strip,
    agreement_figure,
    dice_axis,
    distance_axis,
    strip_figure,
)
from dicomnode.evaluate.page.shell import alarm, page_of
from dicomnode.evaluate.page.words import (
    NO_INTERVAL,
    case_text,
    interval_text,
    percent,
    remarks_of,
    spoken_of_readers,
    value_text,
)
from dicomnode.evaluate.readers.readings import ReadClasses, ReadNumbers, ReadOutlines
from dicomnode.evaluate.readers.results import PairOfReaders, ReadersReport, ReadersResult

_FOOT: Final = (
    "Made by dicomnode, for research and engineering: no part of it is for clinical use. All numbers, with "
    "every case, stand in readers.json. Cases are named by their place within the data: where folders carry "
    "names, so does this page. Readers are numbered, and not named."
)
_HOW: Final = (
    "Kappa, alpha and ICC are 1 where all agree, 0 where they agree as chance would, below 0 where less. "
    "Dice is 1 where outlines are the same, 0 where they do not touch. Differences are the second reader "
    "minus the first."
)
_MOST_PLOTS: Final = 6
_FIRST: Final = f"Plots and counts are of the first {_MOST_PLOTS} of {{many}} pairs; readers.json has all."


def readers_html(report: ReadersReport) -> str:
    """Make the page; equal reports give equal bytes."""
    data = report.data
    studies = counted(data.studies, "study", "studies")
    synthetic = f", {data.synthetic} of them synthetic" if data.synthetic else ""
    head = element(
        "header",
        element("p", "Agreement of readers", class_="kind"),
        element("h1", "How far the readers agree"),
        element("p", f"{studies} of {counted(data.patients, 'patient')}{synthetic}."),
    )
    cards = [_card(one) for one in report.results]
    cards_of = element("div", *cards, class_="cards")
    first = section("first", "What matters most", alarm(report.general), cards_of)
    parts = [head, first, *(_part(f"read-{n}", one) for n, one in enumerate(report.results))]
    return page_of("Agreement of readers", [*parts, _method(report)], _FOOT)


def _card(one: ReadersResult) -> Markup:
    figure, between = one.lead.figure, interval_text(one.lead)
    sure = "" if between == NO_INTERVAL else f"; {percent(one.lead.level)} interval {between}"
    cases, patients = counted(one.compared, "case"), counted(one.patients, "patient")
    by_all = f", {one.by_all} of them read by all" if one.by_all < one.compared else ""
    beside = f"{cases} of {patients}{by_all}, {len(_who(one))} readers{sure}"
    also = [
        f"{_named(one, other.figure)}: {value_text(other.figure)}{_between(other)}"
        for other in one.together[1:]
        if other.figure.value is not None
    ]
    return element(
        "article",
        element("h3", one.readings.title),
        element("p", _named(one, figure), class_="lead-name"),
        element("p", value_text(figure), class_="lead" if figure.value is not None else "lead none"),
        element("p", beside, class_="beside"),
        alarm(one.warnings),
        listed(also, "also"),
        class_="card warned" if one.warnings else "card",
    )


def _between(one: Interval) -> str:
    between = interval_text(one)
    return "" if between == NO_INTERVAL else f" [{between}]"


def _named(one: ReadersResult, figure: Figure) -> str:
    return f"{spoken_of_readers(figure)}{_unit(one, figure)}"


def _unit(one: ReadersResult, figure: Figure) -> str:
    of = one.readings
    measured = isinstance(of, ReadNumbers) and of.unit is not None and figure.name != "icc_2_1"
    return f", {of.unit.meaning}" if measured and isinstance(of, ReadNumbers) and of.unit else ""


def _who(one: ReadersResult) -> list[str]:
    """Return the readers who are compared."""
    return list(dict.fromkeys(name for pair in one.pairs for name in (pair.first, pair.second)))


def _part(key: str, one: ReadersResult) -> Markup:
    parts = [element("p", one.readings.by, class_="faint"), _pairs(one)]
    if isinstance(one.readings, ReadClasses):
        parts += [_counts(pair, one.readings.labels) for pair in one.pairs[:_MOST_PLOTS]]
    elif isinstance(one.readings, ReadNumbers):
        parts.append(_differences(key, one.readings))
    else:
        parts.append(_strips(key, one.readings))
    told = [
        *one.remarks,
        *remarks_of([*one.together, *(each for pair in one.pairs for each in pair.intervals)]),
    ]
    if len(one.pairs) > _MOST_PLOTS:
        told.append(_FIRST.format(many=len(one.pairs)))
    return section(key, one.readings.title, *parts, listed(told))


def _pairs(one: ReadersResult) -> Markup:
    """Figures of all together, then of each two readers."""
    level = percent(one.lead.level)
    head = ("Readers", "Figure", "Value", f"{level} interval", "Cases")
    groups = [(f"{pair.first}, {pair.second}", pair.cases, pair.intervals) for pair in one.pairs]
    if len(groups) > 1:
        groups.insert(0, ("all", one.by_all, one.together))
    rows = []
    for who, cases, intervals in groups:
        for each in intervals:
            named = _named(one, each.figure)
            rows.append((who, named, value_text(each.figure), interval_text(each), str(cases)))
    return table(head, rows, told="Agreement, of all and of each two readers", numbers_from=2)


def _counts(pair: PairOfReaders, labels: Sequence[str]) -> Markup:
    """How often each label of one met each of the other."""
    rows = [
        (label, *(str(count) for count in row), str(sum(row)))
        for label, row in zip(labels, pair.counts, strict=True)
    ]
    called = [str(sum(column)) for column in zip(*pair.counts, strict=True)]
    head = (f"{pair.first} \\ {pair.second}", *labels, "all")
    told = f"What {pair.first} (rows) and {pair.second} (columns) called the cases"
    return table(head, [*rows, ("all", *called, str(pair.cases))], told=told)


def _differences(key: str, of: ReadNumbers) -> Markup:
    """Bland and Altman's plot of each two readers."""
    plots: list[Markup] = []
    for first in range(len(of.readers)):
        for second in range(first + 1, len(of.readers)):
            both = np.flatnonzero(~np.isnan(of.given[:, [first, second]]).any(axis=1))
            if not both.size or len(plots) >= _MOST_PLOTS:
                continue
            names = (of.readers[second], of.readers[first])
            pairs = [
                Pair(
                    name=case_text(of.cases[n]),
                    found=float(of.given[n, second]),
                    true=float(of.given[n, first]),
                )
                for n in both
            ]
            unit = "" if of.unit is None else of.unit.meaning
            title = f"{names[1]} and {names[0]}: Bland–Altman"
            plots.append(agreement_figure(f"{key}-{first}-{second}", title, unit, pairs, names))
    return element("div", *plots, class_="plots")


def _strips(key: str, of: ReadOutlines) -> Markup:
    """Dice and distance of each case, a strip for each two readers."""
    each = sorted({(one.first, one.second) for one in of.pairs})[:_MOST_PLOTS]
    near, far = [], []
    for first, second in each:
        own = [one for one in of.pairs if (one.first, one.second) == (first, second)]
        label = f"{of.readers[first].removeprefix('reader ')} – {of.readers[second].removeprefix('reader ')}"
        dices = [(one.case, one.dice) for one in own if not one.both_empty]
        away = [(one.case, one.hd95_mm) for one in own if one.hd95_mm is not None]
        near.append(Strip(label=label, cases=_measured(of, dices)))
        far.append(Strip(label=label, cases=_measured(of, away)))
    plots = []
    if any(one.cases for one in near):
        title = "Dice of each two readers, case by case"
        plots.append(strip_figure(f"{key}-dice", title, dice_axis(), near, lowest_first=True))
    if any(one.cases for one in far):
        title = "95th percentile of the surface distance (HD95), case by case"
        plots.append(strip_figure(f"{key}-hd95", title, distance_axis(far), far, lowest_first=False))
    return element("div", *plots, class_="plots") if plots else joined()


def _measured(of: ReadOutlines, values: Sequence[tuple[int, float]]) -> tuple[Measured, ...]:
    return tuple(Measured(name=case_text(of.cases[case]), value=value) for case, value in values)


def _method(report: ReadersReport) -> Markup:
    how, data = report.resampling, report.data
    drawn = f"bootstrap of whole patients, {how.resamples} resamples, seed {how.seed}, {percent(how.level)}"
    said = {
        "Data": f"{data.studies} studies of {data.patients} patients, {data.annotations} annotations",
        "Labels": data.labels,
        "SHA-256 of studies and labels": data.digest,
        "Intervals": drawn,
        "dicomnode": report.node_version,
        "Made": "" if report.made_at is None else report.made_at.isoformat(timespec="seconds"),
    }
    shown = [(element("dt", name), element("dd", value)) for name, value in said.items() if value]
    listing = element("dl", *(one for pair in shown for one in pair))
    return section("method", "How it was done", element("p", _HOW), listed(report.remarks), listing)
