"""From a forest to an engine: lungs, blobs in them, a row of each, trees on the row; and its card."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine import Draft, EnginePackage, shipped_engines_dir, write_draft
from dicomnode.evaluate import FrocCurve, Interval
from dicomnode.faults import TABLE_MISSING, NodeError
from dicomnode.learn.classical.forest import NODULE, OUTPUT, Lessons
from dicomnode.learn.classical.looked import BLOBS, CLOSING_MM, PROFILE
from dicomnode.learn.classical.order import ForestOrder
from dicomnode.learn.planted.calibration import FALSE_ALARMS, Line
from dicomnode.learn.planted.figures import Table

FILE: Final = "forest.onnx"
MODEL: Final = "lung-ct"
"""The engine whose input, lungs and words are taken."""

_BLOBS, _ROWS, _FOREST = "candidates", "rows", "forest"
_LOW_HU, _HIGH_HU = -1000.0, 400.0
_AT_MOST: Final = 10
_LIMITS: Final = (
    "All figures are of phantoms with planted nodules. Nothing is said of patients.",
    (
        "A nodule at the wall is seen where the closing of the lungs takes it in; what is larger than the "
        f"ball of {CLOSING_MM:g} mm there, or lies in consolidated lung, is outside of where it looks."
    ),
    (
        "The lungs of the held-out phantoms are the true ones, cut down to what has air and closed by the "
        "same ball; in service they come from the node's `lungs`."
    ),
    "A score is a probability on these phantoms. In patients nodules are rarer.",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What is known of a forest. candidates: FROC of all candidates; its ceiling is that of the filter."""

    table: Table
    candidates: FrocCurve
    line: Line
    lessons: Lessons


def write_forest(content: bytes, order: ForestOrder, judged: Judged) -> EnginePackage:
    """Write the engine whole; what lies at its place makes way. Raises NodeError as `write_draft`."""
    draft = Draft(
        table=engine_table(order, judged.table.threshold),
        networks={FILE: content},
        card=card_text(order, judged, len(content)),
    )
    return write_draft(draft, order.out, replace=order.out.exists())


def engine_table(order: ForestOrder, threshold: float) -> dict[str, Any]:
    """Return engine.toml. Raises NodeError(TABLE_MISSING) where the engine that ships is not there."""
    path = shipped_engines_dir() / MODEL / "engine.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NodeError(TABLE_MISSING, error=error) from error
    table.pop("schema", None)
    lungs = next(step for step in table["step"] if step.get("algorithm") == "lungs")
    outlines = [one for one in table["output"] if one["step"] == lungs.get("name", "lungs")]
    nodule = next(one for one in table["output"] if one.get("kind") == "lesion")
    return table | {
        "name": order.out.name,
        "version": order.version,
        "title": order.title,
        "step": [lungs, *_steps(lungs.get("name", "lungs"))],
        "output": [*outlines, _selected(nodule, threshold)],
    }


def _steps(lungs: str) -> list[dict[str, Any]]:
    return [
        {"name": _BLOBS, "algorithm": BLOBS.name, "interpret": "lesions", "crop": {"of": lungs}},
        {"name": _ROWS, "algorithm": PROFILE.name, "interpret": "features", "each": _BLOBS},
        {
            "name": _FOREST,
            "network": FILE,
            "each": _BLOBS,
            "inputs": {"row": {"of": _ROWS}},
            "window": "whole",
            "output": OUTPUT,
            "interpret": "classes",
            "classes": {"activation": "none", "names": ["no nodule", "nodule"]},
            "gate": {"shape": [1, len(PROFILE.names)], "low": _LOW_HU, "high": _HIGH_HU, "seed": 1},
        },
    ]


def _selected(nodule: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    score = {"of": _FOREST, "channel": NODULE, "threshold": threshold, "at_most": _AT_MOST}
    return dict(nodule) | {"step": _BLOBS, "score": score, "calibrated": True}


def card_text(order: ForestOrder, judged: Judged, size: int) -> str:
    """Return card.md. size: bytes of the forest."""
    table, lessons = judged.table, judged.lessons
    nodules = int(lessons.nodule.sum())
    command = (
        f"dicomnode train lung-forest --out {order.out.name} --worlds {order.worlds} "
        f"--plantings {order.plantings} --judged {order.judged} --trees {order.trees} --seed {order.seed}"
    )
    lines = [
        f"# {order.title}",
        "",
        "Blobs, numbers, trees: no network. Research and engineering. Not for clinical use.",
        "",
        "## What it is made of",
        "",
        (
            f"- `{BLOBS.label}` gives at most {BLOBS.parameters['at_most']:g} places a scan, "
            f"`{PROFILE.label}` {len(PROFILE.names)} numbers of each, {order.trees} extremely randomised "
            "trees the probability."
        ),
        (
            f"- {order.worlds} procedural chests, seeds {order.trained.start} to {order.trained.stop - 1}, "
            f"each with {order.plantings} × about twelve nodules: {nodules} candidates on a nodule, "
            f"{len(lessons.nodule) - nodules} on nothing. No real scan. Nobody labelled anything."
        ),
        "",
        "## How good it is on patients of nobody",
        "",
        (
            f"{table.scans} phantoms of held-out seeds with {table.nodules} nodules, at the threshold of "
            f"{table.threshold:g}, set on {len(order.calibrated)} others for at most {FALSE_ALARMS:g} false "
            "alarm a scan. Intervals of 95 % by the bootstrap over phantoms."
        ),
        "",
        *_figures(judged),
        "",
        *_calibrated(judged.line),
        "",
        "## Limits",
        "",
        *(f"- {one}" for one in _LIMITS),
        "",
        "## How it was made",
        "",
        f"- `{command}`",
        (
            f"- on {order.machine or 'an unnamed machine'}, {order.threads} thread(s); "
            f"{order.made_at:%Y-%m-%d %H:%M} UTC"
        ),
        f"- the forest has {size / 1e6:.2f} MB; the same command gives the same trees",
    ]
    return "\n".join(lines) + "\n"


def _figures(judged: Judged) -> list[str]:
    lines = ["| figure | of | value | from | to |", "| --- | ---: | ---: | ---: | ---: |"]
    for one in judged.table.lines:
        whole = one.interval.figure.whole
        lines.append(f"| {one.name} | {'–' if whole is None else whole} | {_cells(one.interval)} |")
    lines += ["", "| false alarms a scan | sensitivity |", "| ---: | ---: |"]
    lines += [f"| {rate:g} | {_number(figure.value)} |" for rate, figure in judged.table.rates]
    ceiling = _number(judged.candidates.ceiling.value)
    text = f"{ceiling} of the nodules have a candidate at all: no forest on these can find more."
    return [*lines, "", text]


def _cells(interval: Interval) -> str:
    return " | ".join(_number(one) for one in (interval.figure.value, interval.low, interval.high))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _calibrated(line: Line) -> list[str]:
    if not line.fitted:
        return ["The score is what the trees say: there was too little to fit a probability to."]
    text = f"{line.slope:.4g} · logit of what the trees say {line.offset:+.4g}. The graph gives it."
    return [f"The score is a probability by Platt scaling: {text}"]
