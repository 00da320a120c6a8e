"""From a forest to an engine: lungs, blobs in them, a row of each, trees on the row; and its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine import EnginePackage
from dicomnode.evaluate import FrocCurve
from dicomnode.learn.classical.forest import NODULE, OUTPUT, Lessons
from dicomnode.learn.classical.looked import BLOBS, CLOSING_MM, PROFILE
from dicomnode.learn.classical.order import ForestOrder
from dicomnode.learn.drawn.card import Card, Made, bullets, how_made, number
from dicomnode.learn.drawn.engine import lungs_of, model_table, write_engine
from dicomnode.learn.planted.calibration import Line
from dicomnode.learn.planted.card import calibrated, figure_lines, judged_on, probability_limit
from dicomnode.learn.planted.figures import Table

FILE: Final = "forest.onnx"

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
    f"An engine reports {_AT_MOST} at most; in the figures that does not count.",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What is known of a forest. candidates: FROC of all candidates; its ceiling is that of the filter."""

    table: Table
    candidates: FrocCurve
    line: Line
    lessons: Lessons


def write_forest(content: bytes, order: ForestOrder, judged: Judged, card: Card) -> EnginePackage:
    """Write the engine whole. Raises NodeError as `write_draft`."""
    return write_engine(order, engine_table(order, judged), {FILE: content}, card, {})


def engine_table(order: ForestOrder, judged: Judged) -> dict[str, Any]:
    """Return engine.toml. Raises NodeError(TABLE_MISSING) where the engine that ships is not there."""
    table = model_table()
    lungs, outlines = lungs_of(table)
    nodule = next(one for one in table["output"] if one.get("kind") == "lesion")
    return table | {
        "name": order.out.name,
        "version": order.version,
        "title": order.title,
        "step": [lungs, *_steps(lungs.get("name", "lungs"))],
        "output": [*outlines, _selected(nodule, judged)],
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


def _selected(nodule: Mapping[str, Any], judged: Judged) -> dict[str, Any]:
    score = {"of": _FOREST, "channel": NODULE, "threshold": judged.table.threshold, "at_most": _AT_MOST}
    return dict(nodule) | {"step": _BLOBS, "score": score, "calibrated": judged.line.fitted}


def card_of(made: Made, order: ForestOrder, judged: Judged, content: bytes) -> Card:
    """Return the card of a forest."""
    table, trained = judged.table, order.seeds.trained
    nodules = int(judged.lessons.nodule.sum())
    ceiling = number(judged.candidates.ceiling.value)
    made_of = [
        (
            f"`{BLOBS.label}` gives at most {BLOBS.parameters['at_most']:g} places a scan, "
            f"`{PROFILE.label}` {len(PROFILE.names)} numbers of each, {order.trees} extremely randomised "
            "trees the probability."
        ),
        (
            f"{order.worlds} procedural chests, seeds {trained.start} to {trained.stop - 1}, "
            f"each with {order.plantings} × about twelve nodules: {nodules} candidates on a nodule, "
            f"{len(judged.lessons.nodule) - nodules} on nothing. No real scan. Nobody labelled anything."
        ),
    ]
    figures = [
        judged_on(table, len(order.seeds.calibrated)),
        "",
        *figure_lines(table),
        "",
        f"{ceiling} of the nodules have a candidate at all: no forest on these can find more.",
        "",
        calibrated(judged.line, "what the trees say", "what the trees say"),
    ]
    return Card(
        title=order.title,
        lead="Blobs, numbers, trees: no network.",
        sections=[
            ("What it is made of", bullets(made_of)),
            ("How good it is on patients of nobody", figures),
        ],
        limits=[*_LIMITS, *probability_limit(judged.line)],
        made=how_made(made, content, "forest"),
    )
