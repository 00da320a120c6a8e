"""From what was learned to an engine package: exported, compared, written whole, with its own gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from torch import nn

from dicomnode.engine import Draft, EnginePackage, write_draft
from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.train.curves import CSV_FILE, HTML_FILE, curves_csv, curves_html
from dicomnode.learn.train.fusion import NUMBERS
from dicomnode.learn.train.job import Meaning
from dicomnode.learn.train.loop import Learned
from dicomnode.learn.train.plan import INPUT, USE, Plan
from dicomnode.learn.train.recipe import RECIPE_FILE, Recipe
from dicomnode.learn.train.transfer import WEIGHTS_FILE, weights_bytes

NETWORK_FILE: Final = "network.onnx"
STEP: Final = "network"
_LOW, _HIGH = -2.0, 2.0  # of prepared values, whose spread is about 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """What people read of an engine: name (of its folder), version, title."""

    name: str
    version: str
    title: str


def table_of(title: Title, plan: Plan, meaning: Meaning) -> dict[str, Any]:
    """Return engine.toml as a table, without digests and expectations."""
    flat = plan.shape.is_flat
    images = [1, plan.channels, *plan.shape.own_patch]
    inputs: dict[str, Any] = {
        INPUT: {
            "of": [one["name"] for one in plan.inputs if one["kind"] != "tags"],
            "axes": "ncji" if flat else "nckji",
        }
    }
    gate: dict[str, Any] = {"shape": images}
    if plan.numbers:
        inputs[NUMBERS] = {"of": [NUMBERS]}
        gate = {"shapes": {INPUT: images, NUMBERS: [1, plan.numbers]}}
    step: dict[str, Any] = {
        "name": STEP,
        "network": NETWORK_FILE,
        "inputs": inputs,
        "gate": gate | {"low": _LOW, "high": _HIGH},
    }
    return {
        "name": title.name,
        "version": title.version,
        "title": title.title,
        "use": USE,
        "input": plan.inputs,
        "step": [step | dict(meaning.step)],
        "output": [dict(one) for one in meaning.outputs],
    }


def exported(network: nn.Module, plan: Plan, outputs: Sequence[str], source: str) -> bytes:
    """Return the ONNX file, compared with torch. Raises NodeError(NOT_CONVERTIBLE, EXPORT_DIFFERS)."""
    example = Example(
        shape=(1, plan.channels, *plan.shape.own_patch),
        low=_LOW,
        high=_HIGH,
        free=() if plan.free is None else (2, 3, 4),
        longer=16 if plan.free is None else max(plan.free),
    )
    examples = {INPUT: example}
    if plan.numbers:
        examples[NUMBERS] = Example(shape=(1, plan.numbers), low=_LOW, high=_HIGH)
    return export_onnx(network, examples, list(outputs), source=source)


def files_of(recipe: Recipe, learned: Learned, score_name: str, title: str) -> Mapping[str, bytes]:
    """Return what lies beside the network: the recipe, the weights to begin from, the curves."""
    page = curves_html(f"{title}: training", learned.rows, learned.best_epoch, score_name)
    return {
        RECIPE_FILE: replace(recipe, network=recipe.net).text.encode(),  # whatever is usual one day
        WEIGHTS_FILE: weights_bytes(recipe.net, learned.weights),
        CSV_FILE: curves_csv(learned.rows).encode(),
        HTML_FILE: page.encode(),
    }


def write_engine(
    table: Mapping[str, Any], network: bytes, files: Mapping[str, bytes], card: str, folder: Path
) -> EnginePackage:
    """Write the folder; what lies there makes way. Raises NodeError as `write_draft`."""
    draft = Draft(table=table, networks={NETWORK_FILE: network}, card=card, files=files)
    return write_draft(draft, folder, replace=folder.exists())
