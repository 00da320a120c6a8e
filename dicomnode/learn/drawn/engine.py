"""From what was learned to an engine: the table of the one that ships, a network that runs, a folder."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.engine import Draft, EnginePackage, shipped_engines_dir, write_draft
from dicomnode.engine.runtimes.contract import Network, Reason
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
from dicomnode.faults import NETWORK_FAILED, TABLE_MISSING, NodeError
from dicomnode.learn.drawn.card import Card
from dicomnode.learn.drawn.order import DrawnOrder

MODEL: Final = "lung-ct"
"""The engine that ships whose table others take."""

CURVES_FILE: Final = "curves.csv"
NOTES_FILE: Final = "notes.md"
"""What people wrote of an engine: it stays when another training takes its place, and the card has it."""

Arrays = Mapping[str, NDArray[np.float32]]


def model_table() -> dict[str, Any]:
    """Return engine.toml of the engine that ships, without its schema. Raises NodeError(TABLE_MISSING)."""
    path = shipped_engines_dir() / MODEL / "engine.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NodeError(TABLE_MISSING, error=error) from error
    table.pop("schema", None)
    return table


def lungs_of(table: Mapping[str, Any], step: str = "") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the step that outlines lungs, and what is told of them as if `step` gave it; else that step."""
    lungs = next(one for one in table["step"] if one.get("algorithm") == "lungs")
    given = step or lungs.get("name", "lungs")
    told = [one | {"step": given} for one in table["output"] if one.get("segment") == "lung"]
    return lungs, told


@contextmanager
def running(content: bytes, file: str, threads: int) -> Iterator[Callable[[Arrays], Arrays]]:
    """Run a network as an engine does. Raises NodeError(NETWORK_FAILED)."""
    runtime = OnnxRuntime()
    capability = runtime.probe(threads)
    if isinstance(capability, Reason):
        raise NodeError(NETWORK_FAILED, engine=file, error=capability.text)
    session = runtime.load(Network(engine=file, file=file, content=content), capability)
    try:
        yield session.run
    finally:
        session.close()


def write_engine(
    order: DrawnOrder,
    table: Mapping[str, Any],
    networks: Mapping[str, bytes],
    card: Card,
    files: Mapping[str, bytes],
) -> EnginePackage:
    """Write the engine whole, with the notes of the one that makes way. Raises NodeError as `write_draft`."""
    notes = order.out / NOTES_FILE
    kept = {NOTES_FILE: notes.read_bytes()} if notes.is_file() else {}
    text = card.text("".join(one.decode("utf-8", errors="replace") for one in kept.values()))
    draft = Draft(table=table, networks=networks, card=text, files={**files, **kept})
    return write_draft(draft, order.out, replace=order.replace or order.resume)
