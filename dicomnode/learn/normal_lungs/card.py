"""card.md of the demonstration of anomaly detection: what was learned from, and what is not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomnode.learn.drawn.card import Card, Made, bullets, how_made
from dicomnode.learn.normal_lungs.density import ITERATIONS
from dicomnode.learn.normal_lungs.filters import NAMES
from dicomnode.learn.normal_lungs.order import NormalOrder

_LIMITS: Final = (
    "It knows drawn lungs alone: texture, vessels and noise of every real scan differ from them.",
    (
        "It looks inside the outline that `lungs` gives: collapsed and consolidated lung, fluid and masses "
        "at the wall lie outside of it."
    ),
    "Cells are 4 mm: what is smaller than about two of them is hardly seen.",
    "A score says how unlike drawn lungs a scan is, and not what it shows.",
    "The training judges nobody. How good it is: `python -m tests.bench.anomaly_lung`.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalCard:
    """What a card tells. trained: scans with lungs that were learned from. normals: scores, rising.

    converged: whether the mixture did.
    """

    trained: int
    converged: bool
    normals: tuple[float, ...]
    quantile: float


def card_of(made: Made, order: NormalOrder, told: NormalCard, network: bytes) -> Card:
    """Return the card of the engine."""
    return Card(
        title=order.title,
        lead="**A demonstration.**",
        sections=[("What it is made of", bullets(_made_of(order, told)))],
        limits=_LIMITS,
        made=how_made(made, network),
    )


def _made_of(order: NormalOrder, told: NormalCard) -> list[str]:
    seeds, normals = order.seeds, told.normals
    lines = [
        (
            f"{len(NAMES)} numbers of each cell of 4 mm in the lungs, by filters that nobody trained: "
            f"{', '.join(NAMES)}. A mixture of {order.parts} Gaussians says how likely they are."
        ),
        (
            f"{order.chests} drawn chests without disease and nodules, seeds {seeds.trained.start} to "
            f"{seeds.trained.stop - 1}; {order.usual} others, seeds {seeds.calibrated.start} to "
            f"{seeds.calibrated.stop - 1}, say what is usual. No real scan. Nobody labelled anything."
        ),
        (
            "The map says of each cell minus the decimal logarithm of the part of cells of normal lungs that "
            "are as unusual (3: one of 1000), linear beyond 4, at most 8. The score: by how many standard "
            "deviations of normal scans the part of cells above 1, 2, 3 or 4 is larger than usual, where "
            "that is most."
        ),
        (
            f"Scores of the {len(normals)} scans that say what is usual, each by mean and spread of the "
            f"others: {normals[0]:.1f} to {normals[-1]:.1f}; the scale of the map is that of all of them. A "
            f"scan above {100 * told.quantile:g} % of them is called unusual."
        ),
    ]
    if not told.converged:
        lines.append(f"The mixture was stopped after {ITERATIONS} iterations, before it had converged.")
    without = order.chests + order.usual - told.trained - len(normals)
    if without:
        lines.append(f"In {without} of these chests no lungs were found: nothing was learned from them.")
    return lines
