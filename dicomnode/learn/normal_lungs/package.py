"""From what is usual to an engine: lungs, a network that looks inside them, and words that say what it is."""

from __future__ import annotations

from typing import Any, Final

from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.drawn.engine import lungs_of, model_table
from dicomnode.learn.normal_lungs.network import OUTPUTS, Unusual
from dicomnode.learn.normal_lungs.order import NormalOrder
from dicomnode.learn.normal_lungs.scans import AROUND, CLIP_HU, MULTIPLE, SPACING_MM

NETWORK_FILE: Final = "unusual.onnx"
QUANTILE: Final = 0.9
"""A score above so large a part of those of normal scans is called unusual."""
DEMONSTRATION: Final = (
    "Demonstration of anomaly detection: it knows drawn lungs without disease and nothing else. Expect it to "
    "call every real scan unusual. What it marks is no finding, and what it does not mark is not normal."
)
USE: Final = "Demonstration only. Research and engineering. Not for clinical use."

_STEP: Final = "unusual"
_INPUT: Final = "shown"
_SHAPE: Final = (1, 2, 16, 24, 32)
_LOW_HU, _HIGH_HU = -1000.0, 400.0
_BYTES_PER_VOXEL: Final = 60.0
_OWN: Final = "99DICOMNODE"
_NO_UNIT: Final = {"scheme": "UCUM", "code": "1", "meaning": "no units"}


def exported(network: Unusual) -> bytes:
    """Return the network as ONNX, compared with torch; NodeError as `export_onnx`."""
    example = Example(shape=_SHAPE, low=_LOW_HU, high=_HIGH_HU, free=(2, 3, 4), longer=MULTIPLE)
    return export_onnx(network.cpu().eval(), {_INPUT: example}, OUTPUTS, source="lung-anomaly")


def engine_table(order: NormalOrder, normals: tuple[float, ...]) -> dict[str, Any]:
    """Return engine.toml: input and lungs of the engine that ships. Raises NodeError(TABLE_MISSING)."""
    table = model_table()
    first = table["input"][0]
    lungs, _ = lungs_of(table)
    prepare = [{"clip": list(CLIP_HU)}, {"orient": "LPS"}, {"resample_mm": [SPACING_MM] * 3}]
    return {
        "name": order.out.name,
        "version": order.version,
        "title": order.title,
        "use": USE,
        "demonstration": DEMONSTRATION,
        "input": [first | {"prepare": prepare}],
        "step": [lungs, _step(first["name"], normals)],
        "output": _outputs(),
    }


def _step(image: str, normals: tuple[float, ...]) -> dict[str, Any]:
    return {
        "name": _STEP,
        "network": NETWORK_FILE,
        "inputs": {_INPUT: {"of": [image, "lungs"]}},
        "crop": {"of": "lungs", "margin_mm": AROUND.margin_mm, "multiple": MULTIPLE, "pad": AROUND.pad},
        "window": "whole",
        "interpret": "anomaly",
        "anomaly": {
            "map": OUTPUTS[0],
            "score": OUTPUTS[1],
            "normals": [round(one, 4) for one in normals],
            "quantile": QUANTILE,
        },
        "precisions": ["fp32"],
        "memory_bytes_per_voxel": _BYTES_PER_VOXEL,
        "typical_kji": [128, 112, 160],
        "gate": {"shape": list(_SHAPE), "low": _LOW_HU, "high": _HIGH_HU, "seed": 1, "tolerance": 1e-3},
    }


def _outputs() -> list[dict[str, Any]]:
    return [
        {
            "classification": "unlike-drawn-lungs",
            "step": _STEP,
            "type": _code("UNLIKEDRAWN", "Demonstration: unlike drawn normal lungs"),
            "calibrated": False,
        },
        {
            "measurement": "unusual-score",
            "step": _STEP,
            "type": _code("UNUSUALSCORE", "Demonstration: score of how unlike drawn normal lungs"),
            "unit": _NO_UNIT,
        },
        {
            "map": "unusual-map",
            "step": _STEP,
            "type": _code("UNUSUALMAP", "Demonstration: how unlike drawn normal lungs"),
            "unit": _NO_UNIT,
        },
    ]


def _code(code: str, meaning: str) -> dict[str, str]:
    return {"scheme": _OWN, "code": code, "meaning": meaning}
