"""The part of the page on the data set: a map, what lies apart, what is there twice, doubtful labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.evaluate.dataset.look import LEAST, DataSetLook
from dicomnode.evaluate.dataset.neighbours import NearDuplicate
from dicomnode.evaluate.dataset.suspects import LabelSuspect, Suspects
from dicomnode.evaluate.outcomes import CaseName
from dicomnode.evaluate.page.axes import axis_around
from dicomnode.evaluate.page.frames import figure, legend, listed, section, table
from dicomnode.evaluate.page.gallery import BURNED_IN, png_element
from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.plots import Plot, Series
from dicomnode.evaluate.page.words import case_text

_MOST: Final = 12  # rows of a table
_SERIES: Final = 4  # that marks tell apart
_LEAST_CASES: Final = 3
_SHOWN: Final = 6  # pictures of a row


def look_section(look: DataSetLook) -> Markup:
    """Everything that was looked for, also where nothing was found."""
    parts = [_map(look)] if len(look.cases) >= _LEAST_CASES and look.explained else []
    said = (
        f"{len(look.cases)} cases by {look.features} features ({look.by}), each standardised. "
        f"{_groups_text(look)}"
    )
    return section(
        "look",
        "What the data set looks like",
        element("p", said),
        element("div", *parts, class_="plots") if parts else "",
        *_pictures(look),
        _outliers(look),
        _duplicates(look),
        suspects_part(look.suspects, look.cases, "features, out of fold"),
        listed(look.remarks),
    )


def _pictures(look: DataSetLook) -> list[Markup]:
    """What is typical of each group, then what lies apart, then twins: a row of small pictures each."""
    if not look.pictures:
        return []
    many = int(look.groups.max()) + 1 if len(look.groups) else 0
    titles = [f"Group {n + 1}, {int((look.groups == n).sum())} cases" for n in range(many)]
    rows = list(zip(titles if many > 1 else ["What is usual"], look.middles, strict=False))
    rows.append(("What lies apart", tuple(one.case for one in look.outliers[:_SHOWN])))
    twins = [n for one in look.duplicates[: _SHOWN // 2] for n in (one.first, one.second)]
    rows.append(("Nearly the same, two by two", tuple(twins)))
    made = [_row(title, cases, look) for title, cases in rows if cases]
    return [*made, element("p", BURNED_IN, class_="faint")] if made else []


def _row(title: str, cases: Sequence[int], look: DataSetLook) -> Markup:
    shown = [
        element("li", png_element(look.pictures[n], f"{title}: {case_text(look.cases[n])}")) for n in cases
    ]
    return joined(element("p", title, class_="above"), element("ul", *shown, class_="small-pictures"))


def suspects_part(suspects: Suspects, cases: Sequence[CaseName], by: str) -> Markup:
    """Labels worth a second look. by: what the probabilities come from."""
    if suspects.reason:
        return element("p", f"Labels were not doubted: {suspects.reason}.")
    if not suspects.found:
        return element("p", f"No label is doubted ({suspects.asked} were judged by {by}).")
    shown = suspects.found[:_MOST]
    rows = [_suspect(one, cases) for one in shown]
    head = ("Case", "Label", "Seems", "Probability of the label", "of the other")
    many = _of(len(shown), len(suspects.found))
    told = f"Labels worth a second look: {many}, of {suspects.asked} judged by {by}"
    hint = (
        "A person decides: such a case may be hard rather than mislabelled (Northcutt et al., JAIR 70, 2021)."
    )
    return joined(table(head, rows, told=told, numbers_from=3), element("p", hint, class_="faint"))


def _suspect(one: LabelSuspect, cases: Sequence[CaseName]) -> tuple[str, ...]:
    scores = (f"{one.probability:.3f}", f"{one.likelier_probability:.3f}")
    return (case_text(cases[one.case]), one.given, one.likelier, *scores)


def _map(look: DataSetLook) -> Markup:
    titles = [
        f"component {n}, {100.0 * part:.1f} % of the variance"
        for n, part in enumerate(look.explained, start=1)
    ]
    titles += ["nothing else varies"] * (2 - len(titles))
    x, y = (axis_around(title, [float(v) for v in look.places[:, n]]) for n, title in enumerate(titles))
    plot = Plot(x, y)
    names, of = _series(look)
    series = [Series(index=n, name=name) for n, name in enumerate(names)]
    apart = {one.case for one in look.outliers}
    for n, case in enumerate(look.cases):
        at = (float(look.places[n, 0]), float(look.places[n, 1]))
        told = f"{case_text(case)}: {names[of[n]]}{', an outlier' if n in apart else ''}"
        plot.dot(at, series[of[n]], told, 1.7 if n in apart else 1.0)
    title = "Cases along their first two principal components"
    told = f"{title}. {len(look.cases)} cases: {', '.join(names)}. {_groups_text(look)}"
    drawn = plot.finished("look-map", title, told)
    said = "Larger marks are outliers." if apart else ""
    return figure(title, drawn, legend(series, lined=False), said=said)


def _series(look: DataSetLook) -> tuple[list[str], list[int]]:
    """What marks tell apart: labels where there are, else groups; the rarest beyond four together."""
    labels = [one or "no label" for one in look.labels]
    if len(set(labels)) == 1:
        labels = [f"group {n + 1}" for n in look.groups]
    order = sorted(set(labels), key=lambda one: (-labels.count(one), one))
    names = order if len(order) <= _SERIES else [*order[: _SERIES - 1], "others"]
    index = {name: n for n, name in enumerate(names)}
    counted = [
        f"{name} ({sum(index.get(one, _SERIES - 1) == n for one in labels)})" for n, name in enumerate(names)
    ]
    return counted, [index.get(one, _SERIES - 1) for one in labels]


def _groups_text(look: DataSetLook) -> str:
    if len(look.cases) < LEAST:
        return f"Of fewer than {LEAST} cases neither groups nor outliers are looked for."
    if look.silhouette is None:
        return "They form one group."
    many = int(look.groups.max()) + 1
    sizes = ", ".join(str(int((look.groups == n).sum())) for n in range(many))
    return f"They form {many} groups of {sizes} cases (silhouette {look.silhouette:.2f})."


def _outliers(look: DataSetLook) -> Markup:
    if len(look.cases) < LEAST:
        return joined()
    if not look.outliers:
        return element("p", "No case lies apart from the others.")
    shown = look.outliers[:_MOST]
    rows = [
        (case_text(look.cases[one.case]), f"{one.local_outlier_factor:.2f}", f"{one.isolation:.2f}")
        for one in shown
    ]
    head = ("Case", "Local outlier factor (1 is usual)", "Isolation (0.5 is usual)")
    return table(head, rows, told=f"Cases that lie apart: {_of(len(shown), len(look.outliers))}")


def _duplicates(look: DataSetLook) -> Markup:
    if not look.duplicates:
        return element("p", "No two cases are nearly the same.")
    shown = look.duplicates[:_MOST]
    rows = [_duplicate(one, look.cases) for one in shown]
    head = ("Case", "and case", "Patient", "The second is", "Cosine", "Bits apart, %")
    told = f"Cases that are nearly the same: {_of(len(shown), len(look.duplicates))}"
    return table(head, rows, told=told, numbers_from=4)


def _duplicate(one: NearDuplicate, cases: Sequence[CaseName]) -> tuple[str, ...]:
    apart = "—" if one.bits_apart is None else f"{100.0 * one.bits_apart:.1f}"
    whose = "the same" if one.same_patient else "another"
    names = (case_text(cases[one.first]), case_text(cases[one.second]))
    return (*names, whose, one.turned or "as it was", f"{one.cosine:.4f}", apart)


def _of(shown: int, many: int) -> str:
    return str(many) if shown == many else f"the first {shown} of {many}"
