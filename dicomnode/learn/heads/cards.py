"""What a card says of a head: what it was made of, how it was judged, and what it is not good for."""

from __future__ import annotations

from collections import Counter

from dicomnode.evaluate import headline
from dicomnode.learn.features.table import FeatureTable
from dicomnode.learn.heads.anomaly import AnomalyHead
from dicomnode.learn.heads.cases import Cases
from dicomnode.learn.heads.compared import Comparison
from dicomnode.learn.heads.exported import ExportedHead
from dicomnode.learn.heads.nested import Search
from dicomnode.learn.heads.training import TrainedHeads

_SCORES = (
    "Classes weigh alike in training, so that a rare one counts as much as a frequent one: its numbers are "
    "scores, not probabilities of a patient of yours."
)
_JUDGED = (
    "Nested cross-validation by patient, {folds} parts, seed {seed}: each patient is judged by heads that "
    "were trained, and whose parameters were chosen, without them."
)
_ABOVE = (
    "- A score above {threshold:.4g} is abnormal: {percent:g} % of the normal cases lie below, each judged "
    "by a detector that has not seen its patient."
)
_IMAGES = (
    "- It knows images like those that it was trained on, and its features hang on scanner, protocol and "
    "outline: judge it on your own (`dicomnode evaluate`), and let it run in shadow first."
)


def card_of_head(title: str, table: FeatureTable, trained: TrainedHeads, search: Search) -> str:
    """Write the card of a head of classes."""
    lines = [
        *_start(title, trained.kind.title, table, trained.cases, trained.head),
        _SCORES,
        "",
        "## How good it is",
        "",
        _JUDGED.format(folds=search.folds, seed=search.seed),
        "",
        *_figures(trained.nested),
    ]
    if trained.tested is not None:
        lines += ["", "On patients that were kept apart:", "", *_figures(trained.tested)]
    warnings = headline(trained.nested.of(trained.head.name).report).warnings
    lines += ["", "## Limits", "", *(f"- {text}" for text in warnings)]
    return "\n".join([*lines, *_limits(table)]) + "\n"


def card_of_detector(
    title: str, table: FeatureTable, cases: Cases, detector: AnomalyHead, head: ExportedHead
) -> str:
    """Write the card of a detector of what is not normal."""
    area = "not judged: no case that is not normal was given" if detector.area is None else detector.area.text
    lines = [
        *_start(title, detector.kind.title, table, cases, head),
        "## How good it is",
        "",
        f"- Area under the ROC curve of telling the other cases from normal ones: {area}",
        _ABOVE.format(threshold=detector.threshold, percent=100 * detector.quantile),
        "",
        "## Limits",
        "",
    ]
    return "\n".join([*lines, *_limits(table)]) + "\n"


def _start(title: str, kind: str, table: FeatureTable, cases: Cases, head: ExportedHead) -> list[str]:
    counts = Counter(cases.classes[n] for n in cases.truth)
    told = ", ".join(f"{counts[name]} are {name!r}" for name in cases.classes)
    patients = len(set(cases.patients.tolist()))
    return [
        f"# {title}",
        "",
        f"A {kind} on {len(table.names)} features: {table.source}.",
        "",
        f"- Data: {len(cases.truth)} cases of {patients} patients: {told}",
        f"- Largest difference between scikit-learn and its ONNX on these cases: {head.apart:.1e}",
        "",
    ]


def _figures(comparison: Comparison) -> list[str]:
    names = [one.figure.name for one in comparison.heads[0].figures]
    lines = [
        "| head | " + " | ".join(name.replace("_", " ") for name in names) + " |",
        "| --- |" + " --- |" * len(names),
    ]
    return lines + [
        f"| {head.title} | " + " | ".join(one.text for one in head.figures) + " |"
        for head in comparison.heads
    ]


def _limits(table: FeatureTable) -> list[str]:
    return [
        "- Research and engineering. Not for clinical use.",
        _IMAGES,
        f"- Features: {', '.join(table.names[:8])}{' …' if len(table.names) > 8 else ''}",
    ]
