"""What stands in card.md: what it learned from, how good it is on patients of nobody, what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.learn.drawn.card import Card, Made, bullets, cells, how_made, number, real_lines
from dicomnode.learn.planted.calibration import FALSE_ALARMS, Line
from dicomnode.learn.planted.figures import Table
from dicomnode.learn.planted.order import Order
from dicomnode.learn.planted.patches import KINDS, SIDE, SIZES_MM, real_part
from dicomnode.learn.planted.world import SPACING_MM

_LIMITS: Final = (
    (
        "All figures are of phantoms with planted nodules. Nothing is said of patients: judge it on real "
        "scans with readers' marks (`dicomnode evaluate`), and let it run in shadow first."
    ),
    (
        "About twelve nodules were planted into each phantom; that an engine reports no more than so many a "
        "scan (`at_most` in engine.toml) is not counted in the figures."
    ),
    "A planted nodule is easier than a real one, and what may be taken for one is richer in patients.",
    "The lungs of the held-out phantoms are the true ones; in service they come from the node's `lungs`.",
    "Children, chests after surgery, pneumothorax, prone scans and tilted gantries were not learned from.",
)


def card_of(
    made: Made, order: Order, figures: tuple[Line, Table], network: bytes, others: Sequence[str] = ()
) -> Card:
    """Return the card of a network of nodules. others: networks that come along with the model."""
    line, table = figures
    mined = ", ".join(str(step) for step in order.course.mine) or "none"
    return Card(
        title=order.title,
        lead="Trained by `dicomnode train lung-nodules`.",
        sections=[
            ("What it learned from", bullets(_learned_from(made, order))),
            (
                "How good it is on patients of nobody",
                [
                    judged_on(table, len(order.seeds.calibrated))
                    + " Kinds come as often as in the training, which is not as often as in patients.",
                    "",
                    *figure_lines(table),
                ],
            ),
            ("Calibration", [calibrated(line, "the network's own heat", "the heat")]),
        ],
        limits=[*_LIMITS, *probability_limit(line), *_came_along(others)],
        made=[*how_made(made, network), f"mistakes were looked for after steps: {mined}"],
    )


def probability_limit(line: Line) -> list[str]:
    """Say whose probability a score is; nothing where it is none."""
    if not line.fitted:
        return []
    return [
        "Scores are probabilities on the phantoms that they were fitted to. In patients nodules are rarer."
    ]


def _came_along(others: Sequence[str]) -> list[str]:
    if not others:
        return []
    text = "What they say of nodules was learned, calibrated and judged on what the network of lung-ct finds"
    return [f"{', '.join(others)} came along with lung-ct. {text}; `dicomnode train lung-types` learns anew."]


def judged_on(table: Table, calibrated_on: int) -> str:
    """Say what the figures of a table are of."""
    return (
        f"{table.scans} phantoms of held-out seeds with {table.nodules} nodules, at the threshold of "
        f"{table.threshold:g}, which was set on {calibrated_on} others for at most {FALSE_ALARMS:g} false "
        "alarm a scan. Intervals of 95 % by the bootstrap over phantoms."
    )


def _learned_from(made: Made, order: Order) -> list[str]:
    seeds = order.seeds
    often = ", ".join(f"{kind} {100 * part:.0f} %" for kind, part in KINDS.items())
    sizes = ", ".join(f"{low:g} to {high:g} mm {100 * part:.0f} %" for part, low, high in SIZES_MM)
    part = f"as texture, {100 * real_part(len(made.real)):.0f} % of the patches"
    return [
        "Nobody labelled anything: nodules of known shape were planted while it learned.",
        f"{order.worlds} procedural chests, seeds {seeds.trained.start} to {seeds.trained.stop - 1}.",
        f"{order.steps * order.batch} patches of {SIDE}³ voxels of {SPACING_MM:g} mm in {order.steps} steps.",
        f"Planted: {often}; {sizes}.",
        *real_lines(made, part),
    ]


def figure_lines(table: Table) -> list[str]:
    """Return the tables of what was measured."""
    lines = ["| figure | of | value | from | to |", "| --- | ---: | ---: | ---: | ---: |"]
    for one in table.lines:
        whole = one.interval.figure.whole
        lines.append(f"| {one.name} | {'–' if whole is None else whole} | {cells(one.interval)} |")
    lines += ["", "| false alarms a scan | sensitivity |", "| ---: | ---: |"]
    lines += [f"| {rate:g} | {number(figure.value)} |" for rate, figure in table.rates]
    if table.volumes is not None:
        found = table.volumes
        lines += [
            "",
            (
                f"Volume of the {found.count} nodules from 6 mm that were found: median error "
                f"{found.median:+.0f} %, quartiles {found.low:+.0f} to {found.high:+.0f} %."
            ),
        ]
    return lines


def calibrated(line: Line, score: str, of: str) -> str:
    """Say what a score is. score: what it is without a line, of: what the line is put on."""
    if not line.fitted:
        return f"The score is {score}: there was too little to fit a probability to."
    return (
        f"The score is a probability by Platt scaling, and the graph gives it: {line.slope:.4g} · logit of "
        f"{of} {line.offset:+.4g}."
    )
