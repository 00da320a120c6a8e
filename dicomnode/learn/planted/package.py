"""From what was learned to an engine: lung-ct's table with another network, its threshold, and a card."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dicomnode.engine import Draft, EnginePackage, shipped_engines_dir, write_draft
from dicomnode.engine.runtimes.contract import Network, Reason
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
from dicomnode.faults import NETWORK_FAILED, TABLE_MISSING, NodeError
from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.planted.calibration import Line
from dicomnode.learn.planted.card import card_text
from dicomnode.learn.planted.figures import Table
from dicomnode.learn.planted.looking import Maps, Run
from dicomnode.learn.planted.loss import MASK_LOGIT
from dicomnode.learn.planted.network import MULTIPLE, OUTPUTS, Calibrated
from dicomnode.learn.planted.order import Made, Order

NETWORK_FILE: Final = "nodules.onnx"
CURVES_FILE: Final = "curves.csv"
MODEL: Final = "lung-ct"
"""The engine whose table is taken."""

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
    runtime = OnnxRuntime()
    capability = runtime.probe(threads)
    if isinstance(capability, Reason):
        raise NodeError(NETWORK_FAILED, engine=MODEL, error=capability.text)
    session = runtime.load(Network(engine=MODEL, file=NETWORK_FILE, content=content), capability)

    def run(box: NDArray[np.float32]) -> Maps:
        return session.run({_INPUT: box})

    try:
        yield run
    finally:
        session.close()


def engine_table(order: Order, threshold: float) -> dict[str, Any]:
    """Return engine.toml of the engine that ships, for another network. Raises NodeError(TABLE_MISSING)."""
    path = shipped_engines_dir() / MODEL / "engine.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NodeError(TABLE_MISSING, error=error) from error
    table.pop("schema", None)
    table |= {"name": order.out.name, "version": order.version, "title": order.title}
    for step in table["step"]:
        if "network" not in step:
            continue
        step.pop("sha256", None)
        tolerance = step["gate"].get("tolerance", 1e-3)
        step |= {
            "network": NETWORK_FILE,
            "memory_bytes_per_voxel": _BYTES_PER_VOXEL,
            "gate": {
                "shape": list(_SHAPE),
                "low": _LOW_HU,
                "high": _HIGH_HU,
                "seed": 1,
                "tolerance": tolerance,
            },
            "centre_heat": step["centre_heat"] | read_as(threshold),
        }
    return table


def read_as(threshold: float) -> Mapping[str, Any]:
    """Return what is this network's own in [step.centre_heat]: its heat is the score, and a probability."""
    return {
        "score": "heat",
        "threshold": threshold,
        "heat_at_least": round(_CANDIDATES * threshold, 6),
        "mask_logit": round(MASK_LOGIT, _DIGITS),
    }


def write_engine(content: bytes, made: Made, line: Line, table: Table) -> EnginePackage:
    """Write the engine whole; what lies at its place makes way. Raises NodeError as `write_draft`."""
    order = made.order
    draft = Draft(
        table=engine_table(order, table.threshold),
        networks={NETWORK_FILE: content},
        card=card_text(made, line, table, len(content)),
        files={CURVES_FILE: made.curves.encode()},
    )
    return write_draft(draft, order.out, replace=order.out.exists())
