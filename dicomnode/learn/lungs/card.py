"""What stands in card.md of lung masks: what was learned from, how good it is there, what is not known."""

from __future__ import annotations

from collections import Counter
from typing import Final

from dicomnode.learn.drawn.card import Card, Made, bullets, cells, how_made, real_lines
from dicomnode.learn.lungs.judging import DENSE_HU, Table
from dicomnode.learn.lungs.order import Order
from dicomnode.learn.lungs.worlds import DENSE_DISEASES, SPACING_MM

_LIMITS: Final = (
    "All figures are of phantoms. Nothing is said of patients: judge it on real scans first.",
    (
        "It was shown collapse, consolidation and fluid of phantoms, and lungs filled by a formula. "
        "Tumours of the mediastinum, empyema, a chest after surgery, pneumothorax, children, prone scans and "
        "tilted gantries were not learned from."
    ),
    "Fluid and lung without air look alike without contrast medium: what it says between them is a guess.",
    "Its voxels are 4 mm: an outline is made of it only where classical code has none.",
    (
        "In service it sees a box around what classical code took for lungs; here it saw the whole phantom. "
        "Diseases that take the air out of lungs are far more frequent in these phantoms than in patients."
    ),
)


def card_of(made: Made, order: Order, table: Table, network: bytes) -> Card:
    """Return the card of a network of lung masks."""
    return Card(
        title=order.title,
        lead="Trained by `dicomnode train lung-masks`.",
        sections=[
            ("What it learned from", bullets(_learned_from(made, order))),
            ("How good the network is on patients of nobody", _judged(order, table)),
        ],
        limits=_LIMITS,
        made=how_made(made, network),
    )


def _learned_from(made: Made, order: Order) -> list[str]:
    trained = order.seeds.trained
    return [
        "Nobody labelled anything: what is lung in a phantom is known, also where there is no air in it.",
        (
            f"{order.worlds} procedural chests, seeds {trained.start} to {trained.stop - 1}; "
            f"{order.steps * order.batch} scans of them in {order.steps} steps: turned, stretched, in slabs, "
            "with lung filled, masses, arms, tables and metal; one of ten was a belly, a head or nothing."
        ),
        *real_lines(made, "were labelled by the node's `lungs` where it was sure"),
    ]


def _judged(order: Order, table: Table) -> list[str]:
    ill = Counter(name for one in table.patients for name in one.diseases if name in DENSE_DISEASES)
    told = ", ".join(f"{name} {ill[name]}" for name in DENSE_DISEASES)
    lines = [
        (
            f"{len(table.patients)} phantoms of seeds from {order.seeds.judged.start}, held out, voxels of "
            f"{SPACING_MM:g} mm, through a simulated scanner; of them had: {told}. Dense lung is above "
            f"{DENSE_HU:g} HU. Intervals of 95 % by the bootstrap over phantoms."
        ),
        "",
        "| figure | value | from | to |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name} | {cells(interval)} |" for name, interval in table.lines),
        "",
    ]
    most = max(table.nothing_ml)
    text = f"In {len(table.nothing_ml)} drawn bellies, heads and empty tables it took {most:.0f} ml"
    return [*lines, f"{text} for lung at most."]
