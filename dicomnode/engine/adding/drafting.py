"""Writes a draft as an engine package: tried in a child, with digests and expectations, whole or not."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from dicomnode.engine.adding.colouring import coloured
from dicomnode.engine.adding.draft import Draft
from dicomnode.engine.adding.folders import put_in_place, staged_folder
from dicomnode.engine.adding.graph import read_graph
from dicomnode.engine.adding.toml_text import toml_text
from dicomnode.engine.adding.trial import (
    Limits,
    Refused,
    Shapes,
    TrialOrder,
    Tried,
    trial_failure,
    try_network,
)
from dicomnode.engine.manifest.read import MANIFEST_FILE, read_manifest
from dicomnode.engine.manifest.tree import SCHEMA, Fingerprint
from dicomnode.engine.onnx_file import UnsafeNetworkError, check_onnx
from dicomnode.engine.package import EnginePackage, load_package
from dicomnode.faults import DRAFT_WRONG, ENGINE_EXISTS, ENGINE_NOT_WRITTEN, NETWORK_UNFIT, NodeError

CARD_FILE: Final = "card.md"
_ORDER: Final = ("schema", "name", "version", "title", "use", "demonstration", "input", "step", "output")
_STEP_ORDER: Final = (
    "name",
    "algorithm",
    "parameters",
    "network",
    "sha256",
    "data",
    "inputs",
    "crop",
    "window",
    "interpret",
    "output",
    "precisions",
    "memory_bytes_per_voxel",
    "typical_kji",
)
_LAST: Final = ("head", "gate")
_DIGITS: Final = 7  # of a float32, all that mean something
_TOLERANCE: Final = 1e-3
# Sums in another order differ by some 1e-6 of the span of the outputs; a wrong network by parts of it
_OF_SPAN: Final = 1e-4


def write_draft(
    draft: Draft, folder: Path, *, replace: bool = False, limits: Limits | None = None
) -> EnginePackage:
    """Write a draft into `folder`, which appears with all its files or does not; return the package.

    Each network runs twice on the seeded input of its gate, in a limited child; what came out stands in
    engine.toml as what its gate expects. replace: an engine that lies there makes way.
    Raises NodeError: ENGINE_EXISTS, DRAFT_WRONG with all problems of the manifest, TRIAL_FAILED,
    NETWORK_UNFIT, ENGINE_NOT_WRITTEN.
    """
    _refuse_existing(folder, replace=replace)
    table = _with_digests(draft)
    _check(draft, table)
    table["output"] = coloured(table["output"])
    tried = limits or Limits()
    for step in table["step"]:
        if "network" in step:
            step["gate"] = _gate(step, draft.networks[step["network"]], tried)
    _check(draft, table)
    text = toml_text(table, f"{table['title']}. {CARD_FILE} says what it was made from.")
    files = {**draft.files, MANIFEST_FILE: text.encode(), CARD_FILE: _card(draft).encode(), **draft.networks}
    try:
        with staged_folder(folder, files) as staged:
            load_package(staged)
            put_in_place(staged, folder)
    except OSError as error:
        raise NodeError(ENGINE_NOT_WRITTEN, path=folder, error=error.strerror or str(error)) from error
    return load_package(folder)


def _refuse_existing(folder: Path, *, replace: bool) -> None:
    if not os.path.lexists(folder):
        return
    if not replace:
        raise NodeError(ENGINE_EXISTS, path=folder, what="")
    if folder.is_symlink() or not (folder / MANIFEST_FILE).is_file():
        raise NodeError(ENGINE_EXISTS, path=folder, what=", and is no engine that could be replaced")


def _with_digests(draft: Draft) -> dict[str, Any]:
    """Return the table in the order of engine.toml, with the digests of the networks."""
    table = {"schema": SCHEMA, **_plain(draft.table)}
    for step in table["step"]:
        if "network" in step:
            step["sha256"] = hashlib.sha256(draft.networks[step["network"]]).hexdigest()
    table["step"] = [_ordered(step, _STEP_ORDER, _LAST) for step in table["step"]]
    return _ordered(table, _ORDER)


def _plain(value: Any) -> Any:
    """Copy a table, its lists and inner tables as plain ones."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _ordered(table: Mapping[str, Any], first: tuple[str, ...], last: tuple[str, ...] = ()) -> dict[str, Any]:
    middle = [name for name in table if name not in first and name not in last]
    return {name: table[name] for name in (*first, *middle, *last) if name in table}


def _check(draft: Draft, table: Mapping[str, Any]) -> None:
    try:
        text = toml_text(table)
    except (ValueError, TypeError) as error:
        raise NodeError(DRAFT_WRONG, name=draft.table.get("name"), problems=error) from error
    manifest, problems = read_manifest(Path(MANIFEST_FILE), text.encode())
    if manifest is None:
        listed = "; ".join(f"{one.key}: expected {one.expected}. {one.hint}".rstrip(". ") for one in problems)
        raise NodeError(DRAFT_WRONG, name=draft.table.get("name"), problems=listed)


# ── the gate ──


def _gate(step: Mapping[str, Any], content: bytes, limits: Limits) -> dict[str, Any]:
    """Run a network on its seeded input; return its gate with what came out."""
    gate = dict(step["gate"])
    file = step["network"]
    order = TrialOrder(
        file=file,
        groups=[[_shapes(step, gate, content)]],
        low=gate["low"],
        high=gate["high"],
        seed=gate.get("seed", 1),
        runs=2,
    )
    [found] = try_network(content, order, limits)
    if isinstance(found, Refused):
        raise trial_failure(file, "; ".join(found.errors), limits)
    _refuse_unfit(file, found)
    prints = [one.fingerprint for one in found.outputs if one.fingerprint is not None]
    gate.setdefault("seed", 1)
    gate.setdefault("tolerance", _tolerance(prints))
    gate["expect"] = [_written(one) for one in prints]
    return gate


def _shapes(step: Mapping[str, Any], gate: Mapping[str, Any], content: bytes) -> Shapes:
    file = step["network"]
    try:
        check_onnx(content)  # before a runtime sees it: it would look for data in files of this machine
        names = [port.name for port in read_graph(content).inputs]
    except UnsafeNetworkError as error:
        advice = "Export it again."
        raise NodeError(NETWORK_UNFIT, path=file, reason=error, advice=advice) from error
    fed = list(step.get("inputs") or {}) or names[:1]
    if set(fed) != set(names):
        problem = f"[step.inputs] feeds {', '.join(fed)}, and {file} takes {', '.join(names)}"
        raise NodeError(DRAFT_WRONG, name=step.get("name", file), problems=problem)
    return {name: tuple(gate.get("shapes", {}).get(name, gate.get("shape", ()))) for name in names}


def _refuse_unfit(file: str, found: Tried) -> None:
    """Refuse what no gate could ever pass."""
    for one in found.outputs:
        reason, advice = "", ""
        if one.fingerprint is None:
            reason = f"its output {one.name} of {one.shape} has no number in it"
            advice = "Export it for an input of the size that it is meant for."
        elif not one.finite:
            reason = f"its output {one.name} has what is not a number, or infinite, on a seeded input"
            advice = (
                "Look at the range of its input ([step.gate] low, high), and for a division by zero in it."
            )
        elif not one.repeated:
            reason = f"its output {one.name} is another one when it runs again on the same input"
            advice = "Export it for inference: without dropout and without random numbers (model.eval())."
        if reason:
            raise NodeError(NETWORK_UNFIT, path=file, reason=reason, advice=advice)


def _tolerance(prints: list[Fingerprint]) -> float:
    span = max((one.largest - one.smallest for one in prints), default=0.0)
    wanted = max(_TOLERANCE, _OF_SPAN * span)
    digit = 10.0 ** math.floor(math.log10(wanted))
    return float(f"{math.ceil(wanted / digit * (1 - 1e-9)) * digit:.1g}")


def _written(print_: Fingerprint) -> dict[str, Any]:
    return {name: _short(value) for name, value in asdict(print_).items()}


def _short(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_short(one) for one in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


# ── the folder ──


def _card(draft: Draft) -> str:
    """The card, with what was left out where it does not say so itself."""
    unsaid = [sentence for sentence in draft.left_out if sentence not in draft.card]
    if not unsaid:
        return draft.card
    listed = "\n".join(f"- {sentence}" for sentence in unsaid)
    return f"{draft.card.rstrip()}\n\n## What the source has and this engine does not do\n\n{listed}\n"
