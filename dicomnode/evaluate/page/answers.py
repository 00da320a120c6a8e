"""One part of the page for each output of the engine: figures with intervals, plots, worst cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from dicomnode.evaluate.evaluation import Evaluation, task_of
from dicomnode.evaluate.figures import Figure
from dicomnode.evaluate.outcomes import (
    ClassificationResult,
    DetectionResult,
    Judged,
    RegressionResult,
    Result,
    SegmentationResult,
)
from dicomnode.evaluate.page.classes import IN_CLASSES, class_parts
from dicomnode.evaluate.page.frames import section, table
from dicomnode.evaluate.page.lesions import DrawnFroc, froc_figure, size_table
from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.measured import (
    Measured,
    Pair,
    Strip,
    agreement_figure,
    dice_axis,
    distance_axis,
    percent_figure,
    strip_figure,
)
from dicomnode.evaluate.page.words import (
    case_text,
    counts_text,
    interval_of,
    interval_text,
    named,
    percent,
    value_text,
)
from dicomnode.evaluate.worst import worst_cases

_STRIPS: Final = 8  # on one plot
_BY: Final = {"code": "by its code", "label": "by its label", "said": "by hand"}


def answer_sections(evaluation: Evaluation) -> list[Markup]:
    """The parts of all outputs, with the outlines of all of them in one plot before the first outline."""
    parts = []
    outlined = False
    for n, result in enumerate(evaluation.results):
        if isinstance(result, SegmentationResult) and not outlined:
            outlined = True
            parts.append(_all_outlines(evaluation.segmentations))
        parts.append(_answer(f"output-{n}", result, _other(evaluation, result)))
    return parts


def _other(evaluation: Evaluation, result: Result) -> tuple[str, Result] | None:
    """What the engine that it is compared with answered to the same question."""
    if evaluation.comparison is None:
        return None
    other = evaluation.comparison.other
    for one in other.results:
        if type(one) is type(result) and one.output.label == result.output.label:
            return f"{other.engine.name} {other.engine.version}", one
    return None


def _answer(key: str, result: Result, other: tuple[str, Result] | None) -> Markup:
    parts = _PARTS[type(result)](key, result, other)
    title = f"{result.output.title}: {task_of(result)}"
    by = _BY.get(result.output.by, result.output.by)
    truth = element("p", f"Held against {result.output.truth}, matched {by}.", class_="faint")
    return section(key, title, truth, *parts, _worst(result))


def _figures(result: Judged, figures: Sequence[Figure] | None = None) -> Markup:
    """Figures with their intervals: all of them, the lead first, or some."""
    told = f"Figures of {result.output.label}"
    rows = [_figure_row(result, one) for one in (_in_order(result) if figures is None else figures)]
    level = percent(result.intervals[0].level) if result.intervals else "95 %"
    head = ("Figure", "Value", "Cases", f"{level} interval")
    if not any(counts for _, _, counts, _ in rows):
        return table((head[0], head[1], head[3]), [(one[0], one[1], one[3]) for one in rows], told=told)
    return table(head, rows, told=told)


def _in_order(result: Judged) -> list[Figure]:
    headline = result.headline
    seen = {(headline.lead.name, headline.lead.label)}
    figures = [headline.lead]
    for one in (*(interval.figure for interval in result.intervals), *headline.then):
        if (one.name, one.label) not in seen:
            seen.add((one.name, one.label))
            figures.append(one)
    # The accuracy comes last: `Headline.then` has it so, and intervals do not know it
    last = ("accuracy", "accuracy_without_looking")
    return sorted(figures, key=lambda one: one.name in last)


def _figure_row(result: Judged, figure: Figure) -> tuple[str, str, str, str]:
    interval = interval_text(interval_of(result, figure))
    value = value_text(figure)
    if figure.value is None:
        value = joined("undefined ", element("small", figure.reason))
    return named(result, figure), value, counts_text(figure), interval


def _of_one_class(figure: Figure) -> bool:
    """Whether the table of classes has it."""
    return figure.label is not None and figure.name in IN_CLASSES


def _worst(result: Result) -> Markup:
    found = worst_cases(result)
    if not found:
        return joined()
    rows = [(case_text(one.case), one.said) for one in found]
    return table(("Worst cases", "What is wrong"), rows, told="The worst cases, worst first", numbers_from=2)


def _class_parts(
    key: str, result: ClassificationResult, other: tuple[str, Result] | None
) -> Sequence[Markup]:
    against = other[1] if other and isinstance(other[1], ClassificationResult) else None
    together = _figures(result, [one for one in _in_order(result) if not _of_one_class(one)])
    return [*class_parts(key, result, (other[0], against) if other and against else None, together)]


def _lesion_parts(key: str, result: DetectionResult, other: tuple[str, Result] | None) -> Sequence[Markup]:
    drawn = [_drawn_froc("this engine" if other else result.output.label, result)]
    if other and isinstance(other[1], DetectionResult):
        drawn.append(_drawn_froc(other[0], other[1]))
    plot = froc_figure(f"{key}-froc", "Free-response ROC (FROC)", drawn)
    parts = [_figures(result), element("div", plot, class_="plots")]
    return [*parts, size_table(result.by_size)] if result.by_size else parts


def _drawn_froc(name: str, result: DetectionResult) -> DrawnFroc:
    found, alarms = (
        next((one.figure.value for one in result.intervals if one.figure.name == asked), None)
        for asked in ("sensitivity", "false_positives_per_study")
    )
    at = None if found is None or alarms is None else (found, alarms)
    return DrawnFroc(name=name, curve=result.curve, at=at, down_to=result.down_to)


def _outline_parts(key: str, result: SegmentationResult, _: tuple[str, Result] | None) -> Sequence[Markup]:
    # As the figures: a volume where there is nothing is no error of measurement, but a false alarm
    pairs = [
        Pair(name=case_text(one.case), found=one.found_ml, true=one.true_ml)
        for one in result.cases
        if one.true_ml > 0
    ]
    if not pairs:
        return [_figures(result)]
    drawn = [
        agreement_figure(f"{key}-volume", "Volume: Bland–Altman", "ml", pairs),
        percent_figure(f"{key}-error", "Volume error by volume", "ml", pairs),
    ]
    return [_figures(result), element("div", *drawn, class_="plots")]


def _number_parts(key: str, result: RegressionResult, _: tuple[str, Result] | None) -> Sequence[Markup]:
    unit = result.unit.meaning
    pairs = [Pair(name=case_text(one.case), found=one.found, true=one.true) for one in result.cases]
    if not pairs:
        return [_figures(result)]
    drawn = agreement_figure(f"{key}-agreement", "Found and true: Bland–Altman", unit, pairs)
    return [_figures(result), element("div", drawn, class_="plots")]


def _all_outlines(results: Sequence[SegmentationResult]) -> Markup:
    """Dice and distance of every case of every output, side by side."""
    drawn = []
    for start in range(0, len(results), _STRIPS):
        some = results[start : start + _STRIPS]
        strips = [
            Strip(
                label=one.output.label,
                cases=tuple(
                    Measured(name=case_text(case.case), value=case.dice)
                    for case in one.cases
                    if case.true_ml > 0
                ),
            )
            for one in some
        ]
        key = f"outlines-{start}"
        drawn.append(
            strip_figure(f"{key}-dice", "Dice, case by case", dice_axis(), strips, lowest_first=True)
        )
        far = [_distances(one) for one in some]
        if any(one.cases for one in far):
            axis = distance_axis(far)
            title = "95th percentile of the surface distance (HD95), case by case"
            drawn.append(strip_figure(f"{key}-hd95", title, axis, far, lowest_first=False))
    said = "Cases with something to outline. A distance is missing where nothing was outlined."
    return section("outlines", "All outlines", element("div", *drawn, class_="plots"), element("p", said))


def _distances(result: SegmentationResult) -> Strip:
    return Strip(
        label=result.output.label,
        cases=tuple(
            Measured(name=case_text(case.case), value=case.hd95_mm)
            for case in result.cases
            if case.hd95_mm is not None and case.true_ml > 0
        ),
    )


_PARTS: Final[dict[type[Any], Callable[[str, Any, tuple[str, Result] | None], Sequence[Markup]]]] = {
    ClassificationResult: _class_parts,
    DetectionResult: _lesion_parts,
    SegmentationResult: _outline_parts,
    RegressionResult: _number_parts,
}
