"""From a forest to an engine: the given one with two steps more: numbers of each nodule, and its type."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Final

from dicomnode.engine import Draft, EnginePackage, write_draft
from dicomnode.engine.adding.labelling import PRIVATE_SCHEME
from dicomnode.engine.manifest.read import MANIFEST_FILE
from dicomnode.learn.types.card import with_section
from dicomnode.learn.types.chests import KINDS
from dicomnode.learn.types.forest import OUTPUT
from dicomnode.learn.types.found import PROFILE, ROWS, STEP, lesions_step
from dicomnode.learn.types.order import TypesOrder
from dicomnode.phantom.lumps import Kind

FILE: Final = "types.onnx"
_RADELEMENT: Final = "RADELEMENT"  # PS3.16 Table 8-1: common data elements of radiology (RSNA, ACR)
COMPOSITION: Final = {"scheme": _RADELEMENT, "code": "RDE1301", "meaning": "Composition"}
"""Of a pulmonary nodule (set RDES195). PS3.16 itself has none among CID 6100 to 6149, those of chest CAD."""

CODES: Final[Mapping[Kind, tuple[str, str, str]]] = {
    "solid": (_RADELEMENT, "RDE1301.0", "solid"),
    "ground glass": (_RADELEMENT, "RDE1301.1", "ground glass"),
    "part-solid": (PRIVATE_SCHEME, "PARTSOLID", "part-solid"),
    "calcified": (PRIVATE_SCHEME, "CALCIFIED", "calcification"),
    "cavity": (PRIVATE_SCHEME, "CAVITATION", "cavitation"),
}
"""Scheme, code and meaning of each type: RadElement's where its code is sure, else this node's own."""

_LOW_HU, _HIGH_HU = -1000.0, 400.0
_CARD: Final = "card.md"


def write_types(
    content: bytes, given: EnginePackage, order: TypesOrder, section: str, *, calibrated: bool
) -> EnginePackage:
    """Write the engine whole: the given one with types. Raises NodeError as `write_draft`.

    section: what its card says of types. calibrated: whether probabilities were fitted.
    """
    networks = {one.network or "": given.network_bytes(one) for one in given.manifest.networks}
    card = given.folder / _CARD
    before = card.read_text(encoding="utf-8") if card.is_file() else f"# {given.manifest.title}\n"
    draft = Draft(
        table=engine_table(given, order, calibrated=calibrated),
        networks=networks | {FILE: content},
        card=with_section(before, section),
        files=_beside(given),
    )
    return write_draft(draft, order.out, replace=order.replace)


def _beside(given: EnginePackage) -> dict[str, bytes]:
    """Return what lies in the folder for people: curves, notes. Tensors of a network are within it now."""
    named = {MANIFEST_FILE, _CARD, FILE}
    for one in given.manifest.networks:
        named |= {one.network or "", *one.data}
    others = [one for one in sorted(given.folder.iterdir()) if one.is_file() and one.name not in named]
    return {one.name: one.read_bytes() for one in others}


def engine_table(given: EnginePackage, order: TypesOrder, *, calibrated: bool) -> dict[str, Any]:
    """Return engine.toml of the given engine with types; those that it has already make way."""
    table = tomllib.loads((given.folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    table.pop("schema", None)
    steps = [one for one in table["step"] if _name(one) not in {ROWS, STEP}]
    for step in steps:
        step.pop("data", None)  # tensors beside a network are within it now
    outputs = [one for one in table["output"] if one["step"] != STEP]
    lesions = lesions_step(given.manifest)
    each = "" if lesions is None else f"{lesions.step}/{lesions.head}".rstrip("/")
    return table | {
        "name": order.out.name,
        "version": order.version or given.manifest.version,
        "title": order.title or given.manifest.title,
        "step": [*steps, *_steps(each)],
        "output": [*outputs, *_outputs(order.sure, calibrated=calibrated)],
    }


def _name(step: Mapping[str, Any]) -> str:
    name: str = step.get("name") or step.get("algorithm") or step["network"].removesuffix(".onnx")
    return name


def _steps(each: str) -> list[dict[str, Any]]:
    return [
        {"name": ROWS, "algorithm": PROFILE.name, "each": each, "interpret": "features"},
        {
            "name": STEP,
            "network": FILE,
            "each": each,
            "inputs": {"row": {"of": [ROWS]}},
            "window": "whole",
            "output": OUTPUT,
            "interpret": "classes",
            "classes": {"activation": "none", "names": list(KINDS)},
            "gate": {"shape": [1, len(PROFILE.names)], "low": _LOW_HU, "high": _HIGH_HU, "seed": 1},
        },
    ]


def _outputs(sure: float, *, calibrated: bool) -> list[dict[str, Any]]:
    return [
        {
            "classification": kind.replace(" ", "-"),
            "step": STEP,
            "channel": channel,
            "type": dict(zip(("scheme", "code", "meaning"), CODES[kind], strict=True)),
            "attribute": COMPOSITION,
            "threshold": sure,
            "calibrated": calibrated,
        }
        for channel, kind in enumerate(KINDS)
    ]
