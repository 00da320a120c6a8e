"""The engine as tables: its input, its lungs, the numbers of these, and a forest for each pattern."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dicomnode.analyse.algorithms import ALGORITHMS, ROW_ALGORITHMS
from dicomnode.engine import Draft, EnginePackage, write_draft
from dicomnode.learn.classical.forest import OUTPUT
from dicomnode.learn.drawn.engine import lungs_of, model_table
from dicomnode.learn.patterns.drawn import PATTERNS
from dicomnode.phantom.change import Disease
from dicomnode.phantom.patients import CHEST_VERSION

PROFILE: Final = ROW_ALGORITHMS["lung_profile"]
PREPARED_MM: Final = 2.0
"""Of the images that are measured: what the step `lungs` works on."""
EXTENT_MM: Final = 150.0
"""Images of less are not asked about: part of a lung tells neither height nor sides."""
PRESENT: Final = 1
"""The channel of a pattern that is there."""

_PREPARE: Final[tuple[Mapping[str, Any], ...]] = (
    {"clip": [-1024.0, 3071.0]},
    {"orient": "LPS"},
    {"resample_mm": [PREPARED_MM] * 3},
)
FORM: Final = (
    f"{ALGORITHMS['lungs'].label}, {PROFILE.label}, {PREPARED_MM:g} mm, chests {CHEST_VERSION}, drawn 1"
)
"""What is kept under another one is made again."""

DEMONSTRATION: Final = (
    "Demonstration of classification by numbers and trees: it knows drawn chests and nothing else. On real "
    "scans expect wrong answers. What it says is no finding, and what it does not say is not excluded."
)
_SHOWN: Final = "Demonstration"

CODES: Final[Mapping[Disease, tuple[str, str]]] = {
    "emphysema": ("87433001", "Pulmonary emphysema"),
    "consolidation": ("95436008", "Lung consolidation"),
    "effusion": ("60046008", "Pleural effusion"),
    "collapse": ("46621007", "Atelectasis"),
}
"""SNOMED CT."""

_LUNGS, _ROWS = "lungs", "numbers"
_LOW, _HIGH = -1000.0, 1000.0


def file_of(pattern: str) -> str:
    """Name the network of a pattern."""
    return f"{pattern}.onnx"


def measuring_table(name: str) -> dict[str, Any]:
    """Return the engine.toml of what measures alone. Raises NodeError(TABLE_MISSING)."""
    table = model_table()
    (given,) = table["input"]
    lungs, outlines = lungs_of(table)
    rules = [rule for rule in given["require"] if rule.get("fact") != "extent_k_mm"]
    extent = {"fact": "extent_k_mm", "at_least": EXTENT_MM}
    return table | {
        "name": name,
        "version": "1.0.0",
        "title": "Numbers of the lungs",
        "input": [given | {"require": [*rules, extent], "prepare": [dict(one) for one in _PREPARE]}],
        "step": [lungs, _numbers()],
        "output": [*outlines, {"features": "numbers", "step": _ROWS}],
    }


def write_measuring(folder: Path) -> EnginePackage:
    """Write the engine that measures; one that lies there makes way. Raises NodeError as `write_draft`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    card = "Measures lungs, for training. Not for clinical use.\n"
    draft = Draft(table=measuring_table(folder.name), networks={}, card=card)
    return write_draft(draft, folder, replace=folder.exists())


def judging_table(
    names: tuple[str, str, str], thresholds: Mapping[Disease, float], calibrated: Mapping[Disease, bool]
) -> dict[str, Any]:
    """Return engine.toml: a forest for each pattern behind the numbers. names: name, version, title."""
    table = measuring_table(names[0])
    outlines = [one for one in table["output"] if "segment" in one]
    return table | {
        "version": names[1],
        "title": titled(names[2]),
        "demonstration": DEMONSTRATION,
        "step": [*table["step"], *(_forest(pattern) for pattern in PATTERNS)],
        "output": [
            *outlines,
            *(_answer(pattern, thresholds[pattern], calibrated[pattern]) for pattern in PATTERNS),
        ],
    }


def titled(title: str) -> str:
    """Return a title that says what the engine is, as its manifest must."""
    return title if title.startswith(_SHOWN) else f"{_SHOWN}: {title}"


def _numbers() -> dict[str, Any]:
    return {"name": _ROWS, "algorithm": PROFILE.name, "interpret": "features", "crop": {"of": _LUNGS}}


def _forest(pattern: Disease) -> dict[str, Any]:
    return {
        "name": pattern,
        "network": file_of(pattern),
        "inputs": {"row": {"of": _ROWS}},
        "window": "whole",
        "output": OUTPUT,
        "interpret": "classes",
        "classes": {"activation": "none", "names": [f"no {pattern}", pattern]},
        "gate": {"shape": [1, len(PROFILE.names)], "low": _LOW, "high": _HIGH, "seed": 1},
    }


def _answer(pattern: Disease, threshold: float, calibrated: bool) -> dict[str, Any]:
    code, meaning = CODES[pattern]
    return {
        "classification": pattern,
        "step": pattern,
        "channel": PRESENT,
        "type": {"scheme": "SCT", "code": code, "meaning": meaning},
        "threshold": threshold,
        "calibrated": calibrated,
    }
