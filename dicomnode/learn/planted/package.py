"""From what was learned to an engine: lung-ct's table with another network, its threshold, and a card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from torch import nn

from dicomnode.analyse.window import mirrored
from dicomnode.engine import CentreHeat, EnginePackage, shipped_engines_dir
from dicomnode.faults import TABLE_MISSING, NodeError
from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.drawn.card import Card
from dicomnode.learn.drawn.engine import CURVES_FILE, MODEL, model_table, running, write_engine
from dicomnode.learn.planted.calibration import Line
from dicomnode.learn.planted.looking import Run
from dicomnode.learn.planted.loss import MASK_LOGIT
from dicomnode.learn.planted.network import MULTIPLE, OUTPUTS, Calibrated
from dicomnode.learn.planted.order import Order

__all__ = ["CURVES_FILE", "MODEL", "NETWORK_FILE", "by_onnx", "engine_table", "exported", "read_as"]

NETWORK_FILE: Final = "nodules.onnx"

_INPUT: Final = "hu"
_SHAPE: Final = (1, 1, 32, 48, 64)
_LOW_HU, _HIGH_HU = -1000.0, 400.0
_CANDIDATES: Final = 0.2  # of the threshold: lower maxima of heat are not counted as candidates
_BYTES_PER_VOXEL: Final = 80.0  # measured with ONNX Runtime: 70 of a whole chest
_DIGITS: Final = 3


def exported(network: nn.Module, line: Line) -> bytes:
    """Return the calibrated network as ONNX, compared with torch; NodeError as `export_onnx`."""
    example = Example(shape=_SHAPE, low=_LOW_HU, high=_HIGH_HU, free=(2, 3, 4), longer=MULTIPLE)
    whole = Calibrated(network.cpu(), line.slope, line.offset)
    return export_onnx(whole, {_INPUT: example}, list(OUTPUTS), source=MODEL)


@contextmanager
def by_onnx(content: bytes, threads: int) -> Iterator[Run]:
    """Run a network as an engine does. Raises NodeError(NETWORK_FAILED)."""
    with running(content, NETWORK_FILE, threads) as run:
        yield lambda box: run({_INPUT: box})


def engine_table(order: Order, threshold: float, *, calibrated: bool) -> dict[str, Any]:
    """Return engine.toml of the engine that ships, for another network. Raises NodeError(TABLE_MISSING).

    calibrated: whether a probability was fitted to the heat, so that the score is one.
    """
    table = model_table() | {"name": order.out.name, "version": order.version, "title": order.title}
    step = _heat_step(table)
    for output in table["output"]:
        if output.get("kind") == "lesion":
            output["calibrated"] = calibrated
    step.pop("sha256", None)
    gate = {"shape": list(_SHAPE), "low": _LOW_HU, "high": _HIGH_HU, "seed": 1}
    step |= {
        "network": NETWORK_FILE,
        "memory_bytes_per_voxel": _BYTES_PER_VOXEL,
        "gate": gate | {"tolerance": step["gate"].get("tolerance", 1e-3)},
        "centre_heat": step["centre_heat"] | read_as(threshold),
    }
    return table


def other_networks(table: Mapping[str, Any]) -> list[str]:
    """Return the files of the networks that come along with the model."""
    return sorted({step["network"] for step in table["step"] if "network" in step} - {NETWORK_FILE})


def _heat_step(table: Mapping[str, Any]) -> dict[str, Any]:
    found: list[dict[str, Any]] = [one for one in table["step"] if "centre_heat" in one]
    if len(found) != 1:
        raise NodeError(TABLE_MISSING, error=f"{len(found)} of its steps have centre_heat")
    return found[0]


def seen_as_shipped(run: Run) -> Run:
    """Return `run` that also sees its box flipped along the axes that lung-ct sees it, and gives the mean.

    What a network is calibrated and judged on must be what its engine does.
    """
    window = _heat_step(model_table())["window"]
    axes = tuple(window.get("mirror", ())) if isinstance(window, dict) else ()
    seen = mirrored(lambda tensors: run(tensors[_INPUT]), axes)
    return lambda box: {name: np.asarray(one, np.float32) for name, one in seen({_INPUT: box}).items()}


def read_loosely(least: float, at_most: int) -> CentreHeat:
    """Return how lung-ct reads heat, from a score of `least` on: all that may be a candidate is looked at."""
    how = _heat_step(model_table())["centre_heat"] | read_as(least)
    return CentreHeat(**how | {"heat_at_least": least, "at_most": at_most})


def read_as(threshold: float) -> Mapping[str, Any]:
    """Return what is this network's own in [step.centre_heat]: its heat is the score, and a probability."""
    return {
        "score": "heat",
        "threshold": threshold,
        "heat_at_least": round(_CANDIDATES * threshold, 6),
        "mask_logit": round(MASK_LOGIT, _DIGITS),
    }


def write_nodules(
    content: bytes, order: Order, table: Mapping[str, Any], card: Card, curves: bytes
) -> EnginePackage:
    """Write the engine whole, with the other networks of its model. Raises NodeError as `write_draft`."""
    others = other_networks(table)
    try:
        networks = {name: (shipped_engines_dir() / MODEL / name).read_bytes() for name in others}
    except OSError as error:
        raise NodeError(TABLE_MISSING, error=error) from error
    return write_engine(order, table, networks | {NETWORK_FILE: content}, card, {CURVES_FILE: curves})
