"""The first screen: what matters most, with warnings that cannot be overlooked; then the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dicomnode.evaluate.evaluation import Evaluation, task_of
from dicomnode.evaluate.figures import Figure, counted
from dicomnode.evaluate.outcomes import (
    ClassificationResult,
    DetectionResult,
    Judged,
    RegressionResult,
    Result,
    SegmentationResult,
)
from dicomnode.evaluate.page.company import in_a_line
from dicomnode.evaluate.page.frames import listed, section
from dicomnode.evaluate.page.markup import Markup, element
from dicomnode.evaluate.page.shell import alarm
from dicomnode.evaluate.page.words import (
    NO_INTERVAL,
    counts_text,
    interval_of,
    interval_text,
    named,
    percent,
    value_text,
)

_BESIDE: Final[Mapping[type[Any], tuple[str, ...]]] = {
    ClassificationResult: ("specificity", "precision", "roc_auc"),
    DetectionResult: ("cpm",),
    SegmentationResult: ("mean_hd95_mm", "mean_volume_error_ml", "clean_share"),
    RegressionResult: ("bias", "limit_low", "limit_high"),
}


def head(evaluation: Evaluation) -> Markup:
    """Title, which engine, which data."""
    engine, data = evaluation.engine, evaluation.data
    part = f", part “{data.part}” of the split" if data.part else ""
    synthetic = f", {data.synthetic} of them synthetic" if data.synthetic else ""
    studies = counted(data.studies, "study", "studies")
    lines = [
        engine.title,
        f"{studies} of {counted(data.patients, 'patient')}{part}{synthetic}.",
        engine.use,
    ]
    other = evaluation.comparison.other.engine if evaluation.comparison else None
    against = f" against {other.name} {other.version}" if other else ""
    return element(
        "header",
        element("p", "Evaluation of an engine", class_="kind"),
        element("h1", f"{engine.name} {engine.version}{against}"),
        *(element("p", line) for line in lines if line),
    )


def leads(evaluation: Evaluation) -> Markup:
    """What is said first of each output, its warnings right below, and those of all runs above."""
    results = evaluation.results
    # Warnings of the evaluation repeat those of its results with the output's name before them
    own = {f"{one.output.label}: {text}" for one in results for text in _warned(one)}
    general = [text for text in evaluation.warnings if text not in own]
    if not results:
        general.append("Nothing was judged: no output of the engine has a truth in these data.")
    beside = {(one.output, one.task): in_a_line(one) for one in evaluation.companies}
    cards = [_card(one, beside.get((one.output.label, task_of(one)), "")) for one in results]
    return section("first", "What matters most", alarm(general), element("div", *cards, class_="cards"))


def limits(evaluation: Evaluation) -> Markup:
    """What the figures cannot tell, and what had no counterpart."""
    told = list(evaluation.remarks)
    for one in evaluation.results:
        told += [f"{one.output.label}: {text}" for text in _remarks(one)]
    told += evaluation.unmatched
    if not told:
        told = ["Nothing beyond what the figures say of themselves."]
    return section("limits", "Limits and remarks", listed(list(dict.fromkeys(told))))


def _card(result: Result, readers: str) -> Markup:
    lead, at = result.headline.lead, result.headline.at
    warned = bool(_warned(result))
    interval = interval_of(result, lead)
    between = interval_text(interval)
    sure = (
        "" if interval is None or between == NO_INTERVAL else f"{percent(interval.level)} interval {between}"
    )
    beside = "; ".join(text for text in (counts_text(lead), sure) if text)
    return element(
        "article",
        element("h3", f"{result.output.title}: {task_of(result)}"),
        element("p", named(result, lead), class_="lead-name"),
        element("p", value_text(lead), class_="lead" if lead.value is not None else "lead none"),
        element("p", _bought_with(result, at), class_="lead-at") if at else "",
        element("p", beside, class_="beside") if beside else "",
        alarm(_warned(result)),
        listed([*(_in_a_line(result, one) for one in _also(result)), *filter(None, [readers])], "also"),
        class_="card warned" if warned else "card",
    )


def _also(result: Judged) -> list[Figure]:
    """What must be seen beside the lead: a sensitivity says nothing without the false alarms."""
    lead, wanted = result.headline.lead, _BESIDE[type(result)]
    known = {(one.figure.name, one.figure.label): one.figure for one in result.intervals}
    known |= {
        (one.name, one.label): one for one in result.headline.then if (one.name, one.label) not in known
    }
    labels = dict.fromkeys((lead.label, None))
    found = [known[name, label] for name in wanted for label in labels if (name, label) in known]
    return [one for one in found if one != lead and one.value is not None]


def _in_a_line(result: Judged, figure: Figure) -> str:
    interval = interval_text(interval_of(result, figure))
    between = "" if interval == NO_INTERVAL else f" [{interval}]"
    return f"{named(result, figure)}: {value_text(figure)}{between}"


def _bought_with(result: Judged, at: Figure) -> str:
    interval = interval_text(interval_of(result, at))
    between = "" if interval == NO_INTERVAL else f" [{interval}]"
    return f"at {value_text(at)} {named(result, at)}{between}"


def _warned(result: Judged) -> tuple[str, ...]:
    headline = result.headline
    return (*headline.warnings, *(one.text for one in headline.contradictions))


def _remarks(result: Judged) -> list[str]:
    told = list(result.remarks)
    if result.untold:
        told.append(f"{result.untold} answered cases have no truth for it: they are in no figure.")
    if result.unanswered:
        told.append(f"{len(result.unanswered)} cases with a truth have no answer: they are in no figure.")
    if not result.intervals:
        told.append("The cases themselves are not known: no figure has an interval.")
    drawn = sum(one.low is not None for one in result.intervals)
    by_remark: dict[str, list[str]] = {}
    for one in result.intervals:
        for text in one.remarks:
            by_remark.setdefault(text, []).append(one.figure.title)
    # "Only 12 patients" belongs to all figures: it is said once
    for text, figures in by_remark.items():
        named = "" if len(figures) >= drawn else f" ({', '.join(figures)})"
        told.append(f"{text[:1].upper()}{text[1:].rstrip('.')}.{named}")
    return told
