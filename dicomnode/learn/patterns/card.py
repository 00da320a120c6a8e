"""card.md of the forests: what they learned from, how good they are on phantoms, what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomnode.evaluate import Interval
from dicomnode.learn.drawn.card import Card, Made, bullets, how_made, with_ends
from dicomnode.learn.patterns.heads import FOREST, RULES, PatternHead
from dicomnode.learn.patterns.judging import Judged
from dicomnode.learn.patterns.order import PatternsOrder
from dicomnode.learn.patterns.steps import DEMONSTRATION, EXTENT_MM, PROFILE, titled

_LIMITS: Final = (
    (
        "All figures are of phantoms. Nothing is said of patients: a drawn effusion, collapse or "
        "consolidation is simpler than a real one, and lies where the generator lays it."
    ),
    (
        "A probability is one on these phantoms, where each pattern was drawn in about every third patient. "
        "Among patients with fewer of them it is too high."
    ),
    (
        "Emphysema of phantoms is a lung with small holes in it. What a sharp kernel or a low dose adds to "
        "real scans beyond the noise of the phantom has not been learned."
    ),
    (
        "The phantoms know no pneumothorax, no fibrosis, no oedema, no surgery, no large tumour, and no "
        "child: what these look like to it is not known."
    ),
    (
        "It says that a pattern is there, not where. The lungs are those of the step `lungs`, which leaves "
        "airless lung and fluid out of their outline."
    ),
    (
        f"Images of less than {EXTENT_MM:g} mm along the body are not answered: neither heights nor sides "
        "can be compared there."
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatternCard:
    """What a card tells. taught: pattern, patients with it, without. left_out: why some gave no numbers."""

    heads: Sequence[PatternHead]
    forests: Sequence[Judged]
    rules: Sequence[Judged]
    taught: Sequence[tuple[str, int, int]]
    left_out: Sequence[str]


def card_of(made: Made, order: PatternsOrder, told: PatternCard) -> Card:
    """Return the card of the forests."""
    held_out = order.seeds.judged
    judged_on = (
        f"{told.forests[0].patients} phantoms of held-out seeds ({held_out.start} to {held_out.stop - 1}), "
        "each pattern drawn by itself. Intervals of 95 % by the bootstrap over phantoms. A rule is one "
        "number of the same row; its threshold was set on the patients that the forests learned from."
    )
    compared_on = (
        f"Area under the ROC curve, nested cross-validation: each of {told.heads[0].nested[FOREST].patients} "
        "patients is judged by heads that were trained, and whose parameters were chosen, without him. The "
        "forest ships, whichever leads."
    )
    return Card(
        title=titled(order.title),
        lead=f"{DEMONSTRATION} No network is in it.",
        sections=[
            ("What it is made of", bullets(_made_of(order, told))),
            ("How good it is on patients of nobody", [judged_on, "", *_judged(told)]),
            ("Beside other heads", [compared_on, "", *_compared(told.heads)]),
        ],
        limits=_LIMITS,
        made=how_made(made, b"".join(head.content for head in told.heads), "set of forests"),
    )


def _made_of(order: PatternsOrder, told: PatternCard) -> list[str]:
    seeds = order.seeds
    counts = ", ".join(f"{name} {yes} with and {no} without" for name, yes, no in told.taught)
    lines = [
        (
            f"`lungs` outlines both lungs, `{PROFILE.label}` gives {len(PROFILE.names)} numbers of them and "
            f"of what lies where lung should be; a random forest of {order.trees} trees for each pattern "
            "tells whether it is there."
        ),
        (
            f"{order.patients} drawn chests, seeds {seeds.trained.start} to {seeds.trained.stop - 1}, with "
            "all else that the phantom draws (scars, mosaic, nodules, caps, thick and thin slices, three "
            f"kernels, doses): {counts}. No real scan. Nobody labelled anything."
        ),
        (
            f"Probability by Platt's line on {told.heads[0].unseen} patients whom no tree has seen: "
            f"{order.calibrated} of seeds from {seeds.calibrated.start}, the others out of fold. The graph "
            "gives it. The threshold is where sensitivity and specificity together were largest on them."
        ),
    ]
    if told.left_out:
        lines.append(f"{len(told.left_out)} patients gave no numbers, such as: {told.left_out[0]}")
    return lines


def _judged(told: PatternCard) -> list[str]:
    lines = [
        "| pattern | by | present | area under ROC | threshold | sensitivity | specificity | Brier |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for forest, rule in zip(told.forests, told.rules, strict=True):
        lines.append(_row(forest, "forest"))
        lines.append(_row(rule, f"`{RULES[rule.name]}`"))  # type: ignore[index]  # a pattern's name
    return lines


def _row(one: Judged, by: str) -> str:
    figures = (one.area, one.sensitivity, one.specificity)
    area, sensitivity, specificity = (short(figure) for figure in figures)
    told = "–" if one.brier is None else short(one.brier)
    return (
        f"| {one.name} | {by} | {one.present} of {one.patients} | {area} | {one.threshold:.3g} | "
        f"{sensitivity} | {specificity} | {told} |"
    )


def _compared(heads: Sequence[PatternHead]) -> list[str]:
    names = list(heads[0].nested)
    lines = [f"| pattern | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    for head in heads:
        told = [short(head.nested[name].area) for name in names]
        lines.append(f"| {head.pattern} | {' | '.join(told)} |")
    return lines


def short(interval: Interval) -> str:
    """Return a figure with its interval: "0.93 (0.85–0.99)"; counts where it has some."""
    figure = interval.figure
    counts = f"{figure.part} of {figure.whole}, " if figure.value is not None and figure.whole else ""
    return counts + with_ends(interval, 2)
