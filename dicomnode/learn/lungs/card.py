"""What stands in card.md of lung masks: what was learned from, how good it is there, what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomnode.learn.lungs.judging import DENSE_HU, Table
from dicomnode.learn.lungs.order import Order
from dicomnode.learn.lungs.worlds import SPACING_MM

_LIMITS: Final = (
    "All figures are of phantoms. Nothing is said of patients: judge it on real scans first.",
    (
        "It was shown collapse, consolidation and fluid of phantoms, and lungs filled by a formula. "
        "Tumours of the mediastinum, empyema, a chest after surgery, pneumothorax, children, prone scans and "
        "tilted gantries were not learned from."
    ),
    "Fluid and lung without air look alike without contrast medium: what it says between them is a guess.",
    "Its voxels are 4 mm: an outline is made of it only where classical code has none.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a training was made of. real: UID and digest of each scan. machine, versions: as told."""

    order: Order
    step: int
    real: Sequence[tuple[str, str]]
    left_out: Sequence[str]
    versions: dict[str, str] = field(default_factory=dict)


def card_text(made: Made, table: Table, size: int) -> str:
    """Return card.md. size: bytes of the network."""
    order = made.order
    lines = [
        f"# {order.title}",
        "",
        "Trained by `dicomnode train lung-masks`. Research and engineering. Not for clinical use.",
        "",
        "## What it learned from",
        "",
        *(f"- {one}" for one in _learned_from(made)),
        "",
        "## How good the network is on patients of nobody",
        "",
        (
            f"{len(table.patients)} phantoms of seeds from {order.judged_seeds.start}, held out, voxels of "
            f"{SPACING_MM:g} mm, through a simulated scanner. Dense lung is above {DENSE_HU:g} HU. Intervals "
            "of 95 % by the bootstrap over phantoms."
        ),
        "",
        *_figures(table),
        "",
        (
            f"In {len(table.nothing_ml)} drawn bellies, heads and empty tables it took "
            f"{max(table.nothing_ml):.0f} ml for lung at most."
        ),
        "",
        "## Limits",
        "",
        *(f"- {one}" for one in _LIMITS),
        "",
        "## How it was made",
        "",
        *(f"- {one}" for one in _how(made, size)),
    ]
    return "\n".join(lines) + "\n"


def _learned_from(made: Made) -> list[str]:
    order = made.order
    lines = [
        "Nobody labelled anything: what is lung in a phantom is known, also where there is no air in it.",
        (
            f"{order.worlds} procedural chests, seeds {order.trained.start} to {order.trained.stop - 1}; "
            f"{made.step * order.batch} scans of them in {made.step} steps: turned, stretched, in slabs, "
            "with lung filled, masses, arms, tables and metal; one of ten was a belly, a head or nothing."
        ),
    ]
    if not made.real:
        return [*lines, "No real scan."]
    lines.append("Real scans, labelled by the node's `lungs` where it was sure. Never judge it on these:")
    lines += [f"series {uid}, digest {digest}" for uid, digest in made.real]
    if made.left_out:
        lines.append(f"{len(made.left_out)} further real scans were refused, as their lungs were not sure.")
    return lines


def _figures(table: Table) -> list[str]:
    lines = ["| figure | value | from | to |", "| --- | ---: | ---: | ---: |"]
    for name, interval in table.lines:
        values = (interval.figure.value, interval.low, interval.high)
        lines.append(
            f"| {name} | " + " | ".join("–" if one is None else f"{one:.3f}" for one in values) + " |"
        )
    return lines


def _how(made: Made, size: int) -> list[str]:
    order = made.order
    return [
        f"steps {made.step}, batch {order.batch}, seed {order.seed}",
        f"on {order.machine or 'an unnamed machine'}, {order.device}, {order.threads} thread(s)",
        f"made at {order.made_at:%Y-%m-%d %H:%M} UTC; "
        + ", ".join(f"{name} {version}" for name, version in made.versions.items()),
        f"the network has {size / 1e6:.2f} MB; its digest stands in engine.toml",
        "with one thread on a CPU the same command gives the same weights; the curves are in curves.csv",
    ]
