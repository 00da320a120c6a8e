"""From what was learned to an engine: the lungs of classical code, seen again by a network, and compared."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from torch import nn

from dicomnode.analyse.grids import Float32
from dicomnode.engine import Draft, EnginePackage, shipped_engines_dir, write_draft
from dicomnode.engine.runtimes.contract import Network, Reason
from dicomnode.engine.runtimes.onnxruntime import OnnxRuntime
from dicomnode.faults import NETWORK_FAILED, TABLE_MISSING, NodeError
from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.lungs.card import Made, card_text
from dicomnode.learn.lungs.judging import MULTIPLE, Run, Table
from dicomnode.learn.lungs.network import OUTPUT
from dicomnode.learn.lungs.order import Order
from dicomnode.learn.lungs.worlds import SPACING_MM

NETWORK_FILE: Final = "lung-masks.onnx"
CURVES_FILE: Final = "curves.csv"

_SOURCE: Final = "lung-masks"
_MODEL: Final = "lung-ct"  # whose [[input]] and lungs it takes
_INPUT: Final = "hu"
_SHAPE: Final = (1, 1, 32, 48, 64)
_LOW_HU, _HIGH_HU = -1000.0, 400.0
_PREPARED_MM: Final = 2.0  # what `lungs` works on
_AROUND_MM: Final = 200.0  # all of a chest, and no whole leg
_BYTES_PER_VOXEL: Final = 120.0


def exported(network: nn.Module) -> bytes:
    """Return the network as ONNX, compared with torch; NodeError as `export_onnx`."""
    example = Example(shape=_SHAPE, low=_LOW_HU, high=_HIGH_HU, free=(2, 3, 4), longer=MULTIPLE)
    return export_onnx(network.cpu(), {_INPUT: example}, [OUTPUT], source=_SOURCE)


@contextmanager
def by_onnx(content: bytes, threads: int) -> Iterator[Run]:
    """Run a network as an engine does. Raises NodeError(NETWORK_FAILED)."""
    runtime = OnnxRuntime()
    capability = runtime.probe(threads)
    if isinstance(capability, Reason):
        raise NodeError(NETWORK_FAILED, engine=_SOURCE, error=capability.text)
    session = runtime.load(Network(engine=_SOURCE, file=NETWORK_FILE, content=content), capability)

    def run(hu: Float32) -> Float32:
        return np.asarray(session.run({_INPUT: hu})[OUTPUT], dtype=np.float32)

    try:
        yield run
    finally:
        session.close()


def network_steps() -> list[dict[str, Any]]:
    """Return the steps that see the lungs again and compare: what another engine's table takes as it is."""
    step = {
        "network": NETWORK_FILE,
        "resample_mm": [SPACING_MM] * 3,
        "crop": {"of": "lungs", "margin_mm": _AROUND_MM, "multiple": MULTIPLE, "pad": -1000.0},
        "window": "whole",
        "interpret": "map",
        "map": {"activation": "softmax"},
        "precisions": ["fp32"],
        "memory_bytes_per_voxel": _BYTES_PER_VOXEL,
        "typical_kji": [80, 96, 112],
        "gate": {"shape": list(_SHAPE), "low": _LOW_HU, "high": _HIGH_HU, "seed": 1, "tolerance": 1e-3},
    }
    return [step, {"algorithm": "lungs_checked", "of": ["lungs", "lung-masks"]}]


def engine_table(order: Order) -> dict[str, Any]:
    """Return engine.toml: input and lungs of the engine that ships. Raises NodeError(TABLE_MISSING)."""
    path = shipped_engines_dir() / _MODEL / "engine.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NodeError(TABLE_MISSING, error=error) from error
    first = table["input"][0]
    prepare = [one for one in first["prepare"] if "resample_mm" not in one]
    lungs = [one for one in table["output"] if one.get("segment") == "lung"]
    return {
        "name": order.out.name,
        "version": order.version,
        "title": order.title,
        "use": table["use"],
        "input": [first | {"prepare": [*prepare, {"resample_mm": [_PREPARED_MM] * 3}]}],
        "step": [one for one in table["step"] if one.get("algorithm") == "lungs"] + network_steps(),
        "output": [one | {"step": "lungs_checked"} for one in lungs],
    }


def write_engine(content: bytes, made: Made, curves: str, table: Table) -> EnginePackage:
    """Write the engine whole; what lies at its place makes way. Raises NodeError as `write_draft`."""
    order = made.order
    draft = Draft(
        table=engine_table(order),
        networks={NETWORK_FILE: content},
        card=card_text(made, table, len(content)),
        files={CURVES_FILE: curves.encode()},
    )
    return write_draft(draft, order.out, replace=order.out.exists())
