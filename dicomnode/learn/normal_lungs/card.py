"""What stands in card.md as it is made: what was learned from, and what is not known."""

from __future__ import annotations

from typing import Final

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
)


def card_text(order: NormalOrder, normals: tuple[float, ...], quantile: float, size: int) -> str:
    """Return card.md. normals: scores of normal scans, rising. size: bytes of the network."""
    command = (
        f"dicomnode train lung-anomaly --out {order.out.name} --chests {order.chests} --usual {order.usual} "
        f"--parts {order.parts} --seed {order.seed}"
    )
    lines = [
        f"# {order.title}",
        "",
        "**A demonstration.** Research and engineering. Not for clinical use.",
        "",
        "## What it is made of",
        "",
        (
            f"- {len(NAMES)} numbers of each cell of 4 mm in the lungs, by filters that nobody trained: "
            f"{', '.join(NAMES)}. A mixture of {order.parts} Gaussians says how likely they are."
        ),
        (
            f"- {order.chests} drawn chests without disease and nodules, seeds {order.trained.start} to "
            f"{order.trained.stop - 1}; {order.usual} others, seeds {order.calibrated.start} to "
            f"{order.calibrated.stop - 1}, say what is usual. No real scan. Nobody labelled anything."
        ),
        (
            "- The map says of each cell minus the decimal logarithm of the part of cells of normal lungs "
            "that are as unusual (3: one of 1000), linear beyond 4, at most 8. The score: by how many "
            "standard deviations of normal scans the part of cells above 1, 2, 3 or 4 is larger than usual, "
            "where that is most."
        ),
        (
            f"- Scores of the {len(normals)} scans that say what is usual, each by the others: "
            f"{normals[0]:.1f} to {normals[-1]:.1f}. A scan above {100 * quantile:g} % of them is called "
            "unusual."
        ),
        "",
        "## Limits",
        "",
        *(f"- {one}" for one in _LIMITS),
        "",
        "## How it was made",
        "",
        f"- `{command}`",
        f"- on {order.machine or 'an unnamed machine'}; {order.made_at:%Y-%m-%d %H:%M} UTC",
        f"- the network has {size / 1e6:.2f} MB",
        "- how good it is: `python -m tests.bench.anomaly_lung`",
    ]
    return "\n".join(lines) + "\n"
