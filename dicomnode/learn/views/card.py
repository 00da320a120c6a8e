"""What stands in card.md: what it learned from, how often it is right, what nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.learn.drawn.card import Card, Made, bullets, how_made, with_ends
from dicomnode.learn.views.judging import PIXELS, Line, Table
from dicomnode.learn.views.order import Order
from dicomnode.learn.views.others import KINDS
from dicomnode.learn.views.questions import CUT_FROM_MM, QUESTIONS, VIEW
from dicomnode.learn.views.training import OTHERS

_LIMITS: Final = (
    (
        "All figures are of projections of procedural chests. Nothing is said of patients: judge it on the "
        "site's own radiographs, and let it run in shadow first."
    ),
    (
        "Dextrocardia and situs inversus look like a mirrored image, and are called one: laterality is told "
        "by heart, aorta and diaphragm alone. Letters in the image are not read; they were drawn at random."
    ),
    (
        "PA and AP are not told apart: a phantom has no arms that roll the shoulder blades away. A lateral "
        "view is not said to be left or right, nor mirrored."
    ),
    (
        "Children, one lung, large effusions, scoliosis, portable films with many lines, and dual energy "
        "were not learned from."
    ),
    (
        "Of Patient Orientation the first value alone is compared: an image that is flipped top to bottom "
        "against a right header is not noticed by it. View Code Sequence is not read."
    ),
    "The maps have 8 × 8 places: they show where something spoke for an answer, and are no outline.",
)


_FIGURES: Final = ("area under the ROC curve", "sensitivity", "specificity", "ECE")


def card_of(made: Made, order: Order, found: tuple[Sequence[float], Table], network: bytes) -> Card:
    """Return the card of a view check. found: its temperatures, and what was measured."""
    temperatures, table = found
    heats = ", ".join(f"{one.name} {heat:g}" for one, heat in zip(QUESTIONS, temperatures, strict=True))
    measured = (
        f"{table.pictures} pictures of {table.patients} patients of held-out seeds (from "
        f"{order.seeds.judged.start}), {PIXELS} pixels along the longer side, through the node's own "
        "analyst. Intervals of 95 % by the bootstrap over patients, exact ones of a share of 1; an answer "
        "counts as given from a probability of 0.5."
    )
    calibrated = (
        f"A temperature for each question (Guo et al. 2017), fitted on {order.calibrated} other patients "
        f"(seeds from {order.seeds.calibrated.start}) and part of the graph: {heats}. What is asked of "
        "chests only is told as the probability that it is a chest (mirrored: a frontal one) and that it is "
        "so."
    )
    return Card(
        title=order.title,
        lead="Trained by `dicomnode train view-check`.",
        sections=[
            ("What it learned from", bullets(_learned_from(order))),
            ("How often it is right on patients of nobody", [measured, "", *figure_lines(table)]),
            ("Calibration", [calibrated]),
        ],
        limits=_LIMITS,
        made=how_made(made, network),
    )


def _learned_from(order: Order) -> list[str]:
    seeds = order.seeds.trained
    return [
        "Nobody labelled anything, and no real image was used: what is true of a film was drawn with it.",
        (
            f"{order.patients} procedural chests, seeds {seeds.start} to {seeds.stop - 1}, as cone beams "
            "from the front, the back and both sides, turned by up to 10 degrees."
        ),
        (
            f"{order.steps * order.batch} films, none twice: {100 * OTHERS:.0f} % of no chest "
            f"({', '.join(KINDS)}), drawn coarsely. Scatter, heel, grid, noise, grey scale, collimators, "
            "leads, arms and burnt-in letters at random."
        ),
        f"A lung is cut off from {CUT_FROM_MM:g} mm on; between 0 and that nothing was asked.",
    ]


def figure_lines(table: Table) -> list[str]:
    """Return the tables of what was measured."""
    return [*_figures(table), "", *_confusion(table), "", *_severity(table), "", *_others(table)]


def _figures(table: Table) -> list[str]:
    head = " | ".join(_FIGURES)
    lines = [f"| answer | of | true of | {head} |", "| --- | ---: | ---: |" + " ---: |" * len(_FIGURES)]
    lines += [_row(one) for one in table.lines]
    lines += ["", "| question | the surest answer is right |", "| --- | ---: |"]
    return [*lines, *(f"| {name} | {with_ends(interval)} |" for name, interval in table.whole.items())]


def _row(line: Line) -> str:
    cells = " | ".join(with_ends(line.figures[name]) for name in _FIGURES)
    return f"| {line.name} | {line.asked} | {line.there} | {cells} |"


def _confusion(table: Table) -> list[str]:
    names = VIEW.answers
    lines = [f"| true, said | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    rows = zip(names, table.confusion, strict=True)
    return [*lines, *(f"| {name} | {' | '.join(str(one) for one in row)} |" for name, row in rows)]


def _severity(table: Table) -> list[str]:
    """How often each cut is called one, by how much of the lung is outside."""
    spans = [(low, high) for low, high, *_ in next(iter(table.severity.values()))]
    head = " | ".join(f"{low:g} to {high:g} mm" for low, high in spans)
    lines = [
        "Called cut off, by how much of the lung lies outside of what was exposed (below 0: so much room):",
        "",
        f"| | {head} |",
        "| --- |" + " ---: |" * len(spans),
    ]
    for name, found in table.severity.items():
        cells = " | ".join(f"{called} of {count}" if count else "–" for _, _, count, called in found)
        lines.append(f"| {name} | {cells} |")
    return lines


def _others(table: Table) -> list[str]:
    told = ", ".join(f"{name} {wrong} of {count}" for name, (count, wrong) in table.missed_others.items())
    return [f"Taken for a chest, of what is none: {told or 'nothing was drawn'}."]
