"""From what was learned to an engine: the lungs of classical code, seen again by a network, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from torch import nn

from dicomnode.engine import EnginePackage
from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.drawn.card import Card
from dicomnode.learn.drawn.engine import CURVES_FILE, lungs_of, model_table, running, write_engine
from dicomnode.learn.lungs.judging import MULTIPLE, Run
from dicomnode.learn.lungs.network import OUTPUT
from dicomnode.learn.lungs.order import Order
from dicomnode.learn.lungs.worlds import SPACING_MM

NETWORK_FILE: Final = "lung-masks.onnx"

_SOURCE: Final = "lung-masks"
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
    with running(content, NETWORK_FILE, threads) as run:
        yield lambda hu: np.asarray(run({_INPUT: hu})[OUTPUT], dtype=np.float32)


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
    table = model_table()
    first = table["input"][0]
    prepare = [one for one in first["prepare"] if "resample_mm" not in one]
    lungs, told = lungs_of(table, "lungs_checked")
    return {
        "name": order.out.name,
        "version": order.version,
        "title": order.title,
        "use": table["use"],
        "input": [first | {"prepare": [*prepare, {"resample_mm": [_PREPARED_MM] * 3}]}],
        "step": [lungs, *network_steps()],
        "output": told,
    }


def write_masks(content: bytes, order: Order, card: Card, curves: bytes) -> EnginePackage:
    """Write the engine whole. Raises NodeError as `write_draft`."""
    return write_engine(order, engine_table(order), {NETWORK_FILE: content}, card, {CURVES_FILE: curves})
