"""The figures of a suite as markdown tables, for a card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.bench.lung.judging import CaseRow

GOALS: Final = {"6 mm and more": "≥ 0.90", "4 to 6 mm": "≥ 0.60"}
"""Of sensitivity at no more than one false alarm a scan."""
GOAL_ALARMS: Final = "≤ 1"
GOAL_LUNGS: Final = "≥ 0.97"

_MOST_MISSES: Final = 60

Figures = Mapping[str, Any]


def page(name: str, figures: Figures, cases: Sequence[CaseRow] = ()) -> Iterator[str]:
    """Give the lines of one engine; of each case one, where `cases` are given."""
    yield f"## {name}"
    yield ""
    yield f"{figures['scans']} scans; not analysed: {len(figures['not_analysed'])}."
    if "reported" in figures:
        yield from _detection(figures)
        yield from _curve(figures)
        yield from _by_kind(figures["size_by_kind"])
        yield from _measures(figures["measures"])
        yield from _calibration(figures["calibration"])
        yield from _alarms(figures)
        yield from _misses(figures["misses"])
    yield from _lungs(figures["lungs"])
    if cases:
        yield from _case_by_case(cases)


def _detection(figures: Figures) -> Iterator[str]:
    told, at_rate = figures["reported"], figures["at_rate"]
    yield ""
    yield f"### Nodules: {figures['nodules']} that count"
    yield ""
    yield (
        "Intervals: 95 %, by bootstrap over patients. The second column is at the score "
        f"({at_rate['threshold']:.3f}) with at most {at_rate['rate']:g} false alarm a scan on these very "
        "scans: chosen after the fact, so a little too good."
    )
    yield ""
    yield f"| | as reported | at {at_rate['rate']:g} a scan | goal |"
    yield "| --- | --- | --- | --- |"
    alarms, other = told["alarms_a_scan"], at_rate["alarms_a_scan"]
    yield f"| false alarms a scan | {number(alarms['all'])} | {number(other['all'])} | {GOAL_ALARMS} |"
    for stratum, one in told["sensitivity"].items():
        if one["whole"]:
            at = at_rate["sensitivity"][stratum]
            yield f"| {stratum} | {number(one)} | {number(at)} | {GOALS.get(stratum, '')} |"
    yield ""
    yield "| false alarms a scan | as reported |"
    yield "| --- | --- |"
    for stratum, one in alarms.items():
        if one["value"] is not None:
            yield f"| {stratum} | {number(one)} |"


def number(one: Mapping[str, Any], form: str = ".2f") -> str:
    """Give a figure with its interval and its counts."""
    if one["value"] is None:
        return "–"
    text = format(one["value"], form)
    if one["low"] is not None:
        text += f" ({one['low']:{form}}–{one['high']:{form}})"
    return text if one["whole"] is None else f"{text}, {one['part']} of {one['whole']}"


def _curve(figures: Figures) -> Iterator[str]:
    yield ""
    yield "### Sensitivity by false alarms a scan (FROC)"
    yield ""
    yield (
        "| "
        + " | ".join(f"{one['rate']:g}" for one in figures["froc"])
        + " | mean (CPM) | with any candidate |"
    )
    yield "| --- " * (len(figures["froc"]) + 2) + "|"
    rates = " | ".join(f"{one['value']:.2f}" if one["value"] is not None else "–" for one in figures["froc"])
    ceiling = "–" if figures["ceiling"] is None else f"{figures['ceiling']:.2f}"
    yield f"| {rates} | {number(figures['cpm'])} | {ceiling} |"
    yield ""
    down = figures["down_to"]
    yield (
        "Of what is reported alone: candidates below are not known."
        if down is None
        else f"Of all candidates, reported or not, down to a score of {down:.3g}."
    )


def _by_kind(table: Mapping[str, Mapping[str, list[int]]]) -> Iterator[str]:
    sizes = list(next(iter(table.values())))
    yield ""
    yield "### Reported of all, by kind and size"
    yield ""
    yield "| | " + " | ".join(sizes) + " |"
    yield "| --- " * (len(sizes) + 1) + "|"
    for kind, row in table.items():
        cells = (f"{hits} of {whole}" if whole else "–" for hits, whole in row.values())
        yield f"| {kind} | " + " | ".join(cells) + " |"


def _measures(table: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    yield "### Errors of reported nodules: median (quartiles), how many"
    yield ""
    yield "| | volume, % | diameter of the ball, mm | centre, mm | Dice |"
    yield "| --- | --- | --- | --- | --- |"
    for name, row in table.items():
        if row["centre_mm"] is not None:
            cells = [_quartiles(row["volume_percent"], "+.0f"), _quartiles(row["diameter_mm"], "+.1f")]
            cells += [_quartiles(row["centre_mm"], ".1f"), _quartiles(row["dice"], ".2f")]
            yield f"| {name} | " + " | ".join(cells) + " |"


def _quartiles(one: Mapping[str, Any] | None, form: str) -> str:
    if one is None:
        return "–"
    low, middle, high = (format(one[name], form) for name in ("low", "median", "high"))
    return f"{middle} ({low} … {high}), {one['count']}"


def _calibration(both: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "### Calibration: is the score a probability that there is a nodule?"
    for name, one in both.items():
        if one is None:
            continue
        slope = "–" if one["slope"] is None else f"{one['slope']:.2f}"
        yield ""
        yield (
            f"{one['candidates']} candidates, {name}: Brier {one['brier']:.3f}, ECE {one['ece']:.3f}, slope "
            f"{slope}."
        )
        yield ""
        yield "| mean score | " + " | ".join(f"{row['mean']:.2f}" for row in one["bins"]) + " |"
        yield "| --- " * (len(one["bins"]) + 1) + "|"
        yield "| nodules | " + " | ".join(f"{row['observed']:.2f}" for row in one["bins"]) + " |"
        yield "| candidates | " + " | ".join(str(row["count"]) for row in one["bins"]) + " |"


def _alarms(figures: Figures) -> Iterator[str]:
    yield ""
    yield "### What reported false alarms are on"
    yield ""
    yield from _on(figures["alarms"])
    yield ""
    yield (
        "Beside them, these reported candidates lie on what is to be ignored (hidden nodules, and what no "
        "reader could tell from a nodule) and count nowhere; "
        f"{figures['repeats']} more are second ones on a nodule."
    )
    yield ""
    yield from _on(figures["ignored"])


def _on(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "| on | where | count |"
    yield "| --- | --- | --- |"
    for one in rows:
        yield f"| {one['on'] or 'no distractor'} | {one['where']} | {one['count']} |"


def _misses(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    yield f"### What is missed: {len(rows)}, the largest first"
    yield ""
    yield "| case | nodule | mm | kind | place | slices, mm | its score |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in rows[:_MOST_MISSES]:
        score = "no candidate" if row["score"] is None else f"{row['score']:.2f}"
        yield (
            f"| {row['case']} | {row['nodule']} | {row['diameter_mm']:.1f} | {row['kind']} | {row['place']} "
            f"| {row['thickness_mm']:g} | {score} |"
        )
    if len(rows) > _MOST_MISSES:
        yield ""
        yield f"… and {len(rows) - _MOST_MISSES} smaller ones (all of them in the JSON)."


def _lungs(lungs: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield f"### Lungs (goal: Dice {GOAL_LUNGS} of each; reached by both in {lungs['reached_goal']} scans)"
    yield ""
    yield (
        "| scans with | n | Dice right, mean | least | Dice left, mean | least | HD95 right, mm "
        "| HD95 left, mm | volume right, % | volume left, % |"
    )
    yield "| --- " * 10 + "|"
    for name, row in lungs["by_disease"].items():
        cells = [str(row["scans"])]
        for side in ("right", "left"):
            cells += [number(row[side]["dice"], ".3f"), f"{row[side]['least_dice']:.3f}"]
        cells += [_spread(row[side]["hd95_mm"], ".1f") for side in ("right", "left")]
        cells += [_spread(row[side]["volume_percent"], "+.1f") for side in ("right", "left")]
        yield f"| {name} | " + " | ".join(cells) + " |"
    verdict = lungs["verdict"]
    yield ""
    yield "| the mask of either lung | said to be ok | said to be doubtful |"
    yield "| --- | --- | --- |"
    yield f"| right (Dice ≥ 0.95) | {verdict['right_ok']} | {verdict['right_doubted']} |"
    yield f"| wrong | **{verdict['wrong_ok']}** | {verdict['wrong_doubted']} |"
    yield ""
    yield "| said against the lungs | of right masks | of wrong ones |"
    yield "| --- | --- | --- |"
    for one in lungs["doubts"]:
        yield f"| {one['text']} | {one['right']} | {one['wrong']} |"
    for one in lungs["wrong_called_ok"]:
        yield ""
        yield (
            f"Wrong and called ok: case {one['case']}, right {one['right']}, left {one['left']} "
            f"({', '.join(one['diseases']) or 'no disease'})."
        )


def _case_by_case(cases: Sequence[CaseRow]) -> Iterator[str]:
    yield ""
    yield "### Scan by scan"
    yield ""
    yield "| case | slices, mm | kernel | nodules | false alarms | Dice right, left | lungs | diseases |"
    yield "| --- " * 8 + "|"
    for case in cases:
        found = sum(one.reported for one in case.nodules)
        alarms = sum(one.reported for one in case.alarms)
        dices = ", ".join(f"{one.dice:.3f}" for one in case.lungs)
        said = "not analysed" if case.nothing else "doubtful" if case.doubts else "ok"
        yield (
            f"| {case.seed} | {case.thickness_mm:g} | {case.kernel} | {found} of {len(case.nodules)} "
            f"| {alarms} | {dices} | {said} | {', '.join(case.diseases)} |"
        )


def _spread(one: Mapping[str, Any] | None, form: str) -> str:
    if one is None:
        return "–"
    return f"{one['median']:{form}} ({one['low']:{form}} … {one['high']:{form}})"
