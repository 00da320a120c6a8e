"""What stands in card.md: what it learned from, how good it is on patients of nobody, what is not known."""

from __future__ import annotations

from typing import Final

from dicomnode.evaluate import Interval
from dicomnode.learn.planted.calibration import FALSE_ALARMS, Line
from dicomnode.learn.planted.figures import Table
from dicomnode.learn.planted.order import Made
from dicomnode.learn.planted.patches import KINDS, SIDE, SIZES_MM, real_part
from dicomnode.learn.planted.world import SPACING_MM

_LIMITS: Final = (
    (
        "All figures are of phantoms with planted nodules. Nothing is said of patients: judge it on real "
        "scans with readers' marks (`dicomnode evaluate`), and let it run in shadow first."
    ),
    "A planted nodule is easier than a real one, and what may be taken for one is richer in patients.",
    "The lungs of the held-out phantoms are the true ones; in service they come from the node's `lungs`.",
    "Children, chests after surgery, pneumothorax, prone scans and tilted gantries were not learned from.",
    "Scores are probabilities on the phantoms that they were fitted to. In patients nodules are rarer.",
)


def card_text(made: Made, line: Line, table: Table, size: int) -> str:
    """Return card.md. size: bytes of the network."""
    order = made.order
    lines = [
        f"# {order.title}",
        "",
        "Trained by `dicomnode train lung-nodules`. Research and engineering. Not for clinical use.",
        "",
        "## What it learned from",
        "",
        *(f"- {one}" for one in _learned_from(made)),
        "",
        "## How good it is on patients of nobody",
        "",
        (
            f"{table.scans} phantoms of held-out seeds with {table.nodules} nodules, at the threshold of "
            f"{table.threshold:g}, which was set on {len(order.seeds.calibrated)} others for at most "
            f"{FALSE_ALARMS:g} false alarm a scan. Intervals of 95 % by the bootstrap over phantoms. Kinds "
            "come as often as in the training, which is not as often as in patients."
        ),
        "",
        *_figures(table),
        "",
        "## Calibration",
        "",
        _calibrated(line),
        "",
        "## Limits",
        "",
        *(f"- {one}" for one in _LIMITS),
        "",
        "## How it was made",
        "",
        *(f"- {one}" for one in _made(made, size)),
    ]
    return "\n".join(lines) + "\n"


def _learned_from(made: Made) -> list[str]:
    order, seeds = made.order, made.order.seeds
    often = ", ".join(f"{kind} {100 * part:.0f} %" for kind, part in KINDS.items())
    sizes = ", ".join(f"{low:g} to {high:g} mm {100 * part:.0f} %" for part, low, high in SIZES_MM)
    lines = [
        "Nobody labelled anything: nodules of known shape were planted while it learned.",
        f"{order.worlds} procedural chests, seeds {seeds.trained.start} to {seeds.trained.stop - 1}.",
        f"{made.step * order.batch} patches of {SIDE}³ voxels of {SPACING_MM:g} mm in {made.step} steps.",
        f"Planted: {often}; {sizes}.",
    ]
    if not made.real:
        return [*lines, "No real scan."]
    scans = "real scan" if len(made.real) == 1 else "real scans"
    part = f"{100 * real_part(len(made.real)):.0f} %"
    lines.append(f"{len(made.real)} {scans} as texture, {part} of the patches. Never judge it on these:")
    lines += [f"series {uid}, digest {digest}" for uid, digest in made.real]
    if made.left_out:
        lines.append(f"{len(made.left_out)} further real scans were refused, as their lungs were not sure.")
    return lines


def _figures(table: Table) -> list[str]:
    lines = ["| figure | of | value | from | to |", "| --- | ---: | ---: | ---: | ---: |"]
    for one in table.lines:
        figure = one.interval.figure
        of = "–" if figure.whole is None else str(figure.whole)
        lines.append(f"| {one.name} | {of} | {_cells(one.interval)} |")
    lines += ["", "| false alarms a scan | sensitivity |", "| ---: | ---: |"]
    lines += [
        f"| {rate:g} | {'–' if figure.value is None else f'{figure.value:.3f}'} |"
        for rate, figure in table.rates
    ]
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


def _cells(interval: Interval) -> str:
    values = (interval.figure.value, interval.low, interval.high)
    return " | ".join("–" if one is None else f"{one:.3f}" for one in values)


def _calibrated(line: Line) -> str:
    if not line.fitted:
        return "The score is the network's own heat: there was too little to fit a probability to."
    return (
        f"The score is a probability by Platt scaling, and the graph gives it: {line.slope:.4g} · logit of "
        f"the heat {line.offset:+.4g}."
    )


def _made(made: Made, size: int) -> list[str]:
    order = made.order
    mined = ", ".join(str(step) for step in order.course.mine) or "none"
    return [
        f"steps {made.step}, batch {order.batch}, seed {order.seed}; mistakes were looked for after: {mined}",
        (
            f"on {order.machine or 'an unnamed machine'}, {order.device}, {order.threads} thread(s), "
            f"{order.workers} process(es) that draw"
        ),
        f"made at {order.made_at:%Y-%m-%d %H:%M} UTC; "
        + ", ".join(f"{k} {v}" for k, v in made.versions.items()),
        f"the network has {size / 1e6:.2f} MB; its digest stands in engine.toml",
        "with one thread on a CPU the same command gives the same weights; the curves are in curves.csv",
    ]
