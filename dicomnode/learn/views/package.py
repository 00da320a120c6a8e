"""From what was learned to an engine: the graph that answers, and what each answer is called in a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from dicomnode.engine import EnginePackage
from dicomnode.learn.convert.export import Example, export_onnx
from dicomnode.learn.drawn.card import USE, Card
from dicomnode.learn.drawn.engine import CURVES_FILE, write_engine
from dicomnode.learn.train.activation_map import CLASS_ACTIVATION
from dicomnode.learn.views.answering import AGAINST, OUTPUTS, SAID_ROWS, SAID_VIEW, SHOWN, Answering
from dicomnode.learn.views.network import SIDE, ViewNet
from dicomnode.learn.views.order import Order
from dicomnode.learn.views.questions import QUESTIONS
from dicomnode.values.codes import NO_UNIT

NETWORK_FILE: Final = "views.onnx"
STEP: Final = "views"
_PICTURE, _HEADER = "picture", "header"
_AGAINST_HEAD: Final = "against-header"

CONCEPTS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        # CID 4010
        "frontal": ("SCT", "399033003", "frontal"),
        "lateral": ("SCT", "399067008", "lateral"),
        # Neither DICOM nor SNOMED CT has these
        "other": ("99DICOMNODE", "NOTACHEST", "Not a radiograph of the chest"),
        "turned-left": ("99DICOMNODE", "TURNEDLEFT", "Image is turned to the left by a quarter"),
        "upside-down": ("99DICOMNODE", "UPSIDEDOWN", "Image is upside down"),
        "turned-right": ("99DICOMNODE", "TURNEDRIGHT", "Image is turned to the right by a quarter"),
        "mirrored": ("99DICOMNODE", "MIRRORED", "Image looks mirrored: heart on the other side"),
        "inverted": ("99DICOMNODE", "INVERTED", "Grey scale looks inverted: bones dark"),
        "apices-cut": ("99DICOMNODE", "APICESCUT", "Lung apices are cut off"),
        "bases-cut": ("99DICOMNODE", "BASESCUT", "Lung bases are cut off"),
        "sides-cut": ("99DICOMNODE", "SIDESCUT", "A side of the lungs is cut off"),
        "view-against-header": (
            "99DICOMNODE",
            "AGAINSTVIEW",
            "Image shows another view than its header says",
        ),
        "mirrored-against-header": (
            "99DICOMNODE",
            "AGAINSTSIDE",
            "Image looks mirrored against what its header says",
        ),
        "turned-against-header": (
            "99DICOMNODE",
            "AGAINSTTURN",
            "Image lies turned against what its header says",
        ),
    }
)
"""Scheme, code and meaning of what is told."""


def exported(network: ViewNet, temperatures: Sequence[float]) -> bytes:
    """Return the graph that answers as ONNX, compared with torch; NodeError as `export_onnx`."""
    inputs = {
        _PICTURE: Example(shape=(1, 1, SIDE, SIDE), low=0.0, high=1.0),
        _HEADER: Example(shape=(1, 2), low=0.0, high=6.0),
    }
    return export_onnx(Answering(network, temperatures), inputs, list(OUTPUTS), source="view check")


def engine_table(order: Order) -> dict[str, Any]:
    """Return engine.toml as a table, without digests and expectations."""
    header = [
        {"tag": "ViewPosition", "values": dict(SAID_VIEW), "default": 0.0},
        {"tag": "PatientOrientation", "values": dict(SAID_ROWS), "default": 0.0},
    ]
    step = {
        "name": STEP,
        "network": NETWORK_FILE,
        "inputs": {_PICTURE: {"of": [_PICTURE], "axes": "ncji"}, _HEADER: {"of": [_HEADER]}},
        "window": "whole",
        "head": _heads(),
        "gate": {
            "shapes": {_PICTURE: [1, 1, SIDE, SIDE], _HEADER: [1, 2]},
            "low": 0.0,
            "high": 1.0,
            "seed": 1,
        },
    }
    return {
        "name": order.out.name,
        "version": order.version,
        "title": order.title,
        "use": USE,
        "input": [_picture_table(), {"name": _HEADER, "kind": "tags", "tags": header}],
        "step": [step],
        "output": _outputs(),
    }


def _picture_table() -> dict[str, Any]:
    return {
        "name": _PICTURE,
        "kind": "picture",
        "require": [{"tag": "Modality", "one_of": ["CR", "DX", "RG"]}],
        "series": "all",
        "picture": {"display": True},
        "prepare": [
            {"percentile": {"lower": 0.5, "upper": 99.5, "clip": True}},
            {"letterbox": {"shape_ji": [SIDE, SIDE]}},
        ],
    }


def _heads() -> list[dict[str, Any]]:
    heads = [_classes(one.name, one.name, one.answers) for one in QUESTIONS]
    heads.append(_classes(_AGAINST_HEAD, "against_header", AGAINST))
    return [*heads, {"name": "evidence", "output": "evidence", "interpret": "map"}]


def _classes(name: str, output: str, names: Sequence[str]) -> dict[str, Any]:
    how = {"activation": "none", "names": list(names)}
    return {"name": name, "output": output, "interpret": "classes", "classes": how}


def _outputs() -> list[dict[str, Any]]:
    """All answers but those that nothing is wrong."""
    told = [
        _told(answer, one.name, channel, calibrated=True)
        for one in QUESTIONS
        for channel, answer in enumerate(one.answers)
        if answer in CONCEPTS
    ]
    told += [_told(answer, _AGAINST_HEAD, n, calibrated=False) for n, answer in enumerate(AGAINST)]
    maps = [
        {
            "map": f"{one.answers[-1]}-evidence",
            "step": STEP,
            "head": "evidence",
            "channel": channel,
            "type": dict(CLASS_ACTIVATION),
            "unit": {"scheme": NO_UNIT.scheme, "code": NO_UNIT.value, "meaning": NO_UNIT.meaning},
        }
        for channel, one in enumerate(SHOWN)
    ]
    return [*told, *maps]


def _told(answer: str, head: str, channel: int, *, calibrated: bool) -> dict[str, Any]:
    scheme, code, meaning = CONCEPTS[answer]
    return {
        "classification": answer,
        "step": STEP,
        "head": head,
        "channel": channel,
        "type": {"scheme": scheme, "code": code, "meaning": meaning},
        "calibrated": calibrated,
    }


def write_views(content: bytes, order: Order, card: Card, curves: bytes) -> EnginePackage:
    """Write the engine whole. Raises NodeError as `write_draft`."""
    return write_engine(order, engine_table(order), {NETWORK_FILE: content}, card, {CURVES_FILE: curves})
