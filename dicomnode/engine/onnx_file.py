"""A careful look into an ONNX file before a runtime parses it: its weights lie inside it, or in named files.

ONNX may name other files for its tensors (`external_data`), and a path there may lead anywhere. Only files
that engine.toml lists with their digests are taken, and their bytes are put into the network before a
runtime sees it: no runtime opens a file that a network names. The file is walked as protobuf by a table of
the message types that can hold a tensor (onnx.proto3, release 1.18); all else is skipped by its length.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dicomnode.engine.onnx_wire import (
    LENGTH,
    UnsafeNetworkError,
    fields,
    numbers_but,
    spans,
    varint_bytes,
)

__all__ = ["LARGEST_MESSAGE_BYTES", "UnsafeNetworkError", "check_onnx", "whole_onnx"]

# Message type → field number → message type of that field, for all ways that lead to a TensorProto.
_WAYS: Final[Mapping[str, Mapping[int, str]]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Tensor": {},
}
# What lies between those ways and is no way
_NUMBERS: Final = {kind: numbers_but(ways) for kind, ways in _WAYS.items()}
_TENSOR_EXTERNAL_DATA: Final = 13
_TENSOR_DATA_LOCATION: Final = 14
_TENSOR_RAW_DATA: Final = 9
_EXTERNAL: Final = 1  # TensorProto.DataLocation
_INT32: Final = 0xFFFF_FFFF  # of a number for an enum, what protobuf keeps
_MODEL_GRAPH: Final = 7
_DEEPEST: Final = 64  # subgraphs within subgraphs; networks have one or two

LARGEST_MESSAGE_BYTES: Final = 2**31 - 1


def check_onnx(content: bytes, data: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Raise UnsafeNetworkError unless `content` is whole protobuf with a graph and all tensors at hand.

    data: the files that tensors may lie in, by name.
    """
    _check_graph(content)
    _walk(memoryview(content), "Model", 0, data)


def whole_onnx(content: bytes, data: Mapping[str, bytes]) -> bytes:
    """Return the network with the tensors of `data` inside it; raises UnsafeNetworkError as `check_onnx`.

    A message ends at 2 GiB (protobuf): UnsafeNetworkError for a network that would be larger.
    """
    if not data:
        return content
    _check_graph(content)
    whole = _whole(memoryview(content), "Model", 0, data)
    if len(whole) > LARGEST_MESSAGE_BYTES:
        raise UnsafeNetworkError(f"with its data it has {len(whole)} bytes, more than 2 GiB")
    return whole


def _check_graph(content: bytes) -> None:
    if not any(field == _MODEL_GRAPH for field, _, _ in fields(memoryview(content))):
        raise UnsafeNetworkError("it is no ONNX network: it has no graph")


def _walk(message: memoryview, kind: str, depth: int, data: Mapping[str, bytes]) -> None:
    if kind == "Tensor":
        _outside(message, data)
        return
    for field, wire, value in fields(message, _NUMBERS[kind]):
        if field in _WAYS[kind]:
            _walk(_message(kind, field, wire, value, depth), _WAYS[kind][field], depth + 1, data)


def _message(kind: str, field: int, wire: int, value: int | memoryview, depth: int) -> memoryview:
    if wire != LENGTH or isinstance(value, int):
        raise UnsafeNetworkError(f"it is no ONNX network: field {field} of {kind} is no message")
    if depth >= _DEEPEST:
        raise UnsafeNetworkError(f"its graphs are nested more than {_DEEPEST} deep")
    return value


def _whole(message: memoryview, kind: str, depth: int, data: Mapping[str, bytes]) -> bytes:
    """Write a message again, with the tensors in it that lie elsewhere."""
    outside = _outside(message, data) if kind == "Tensor" else None
    parts: list[bytes | memoryview] = []
    at = 0
    for field, wire, value, end in spans(message):
        if outside is not None and field in {_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION}:
            pass
        elif kind != "Tensor" and field in _WAYS[kind]:
            inner = _whole(_message(kind, field, wire, value, depth), _WAYS[kind][field], depth + 1, data)
            parts += [varint_bytes(field << 3 | LENGTH), varint_bytes(len(inner)), inner]
        else:
            parts.append(message[at:end])
        at = end
    if outside is not None:
        parts += [varint_bytes(_TENSOR_RAW_DATA << 3 | LENGTH), varint_bytes(len(outside)), outside]
    return b"".join(parts)


def _outside(tensor: memoryview, data: Mapping[str, bytes]) -> memoryview | None:
    """Return the bytes of a tensor that lies in another file; None for one that does not."""
    entries: dict[str, str] = {}
    named = False
    for field, wire, value in fields(tensor):
        if field == _TENSOR_EXTERNAL_DATA:
            key, text = _entry(_message("Tensor", field, wire, value, 0))
            entries[key], named = text, True
        elif field == _TENSOR_DATA_LOCATION and isinstance(value, int) and value & _INT32 == _EXTERNAL:
            named = True
    if not named:
        return None
    location = entries.get("location", "")
    if location not in data:
        raise UnsafeNetworkError(
            f"a tensor of it lies in another file, {location!r}, which engine.toml does not list as data"
        )
    whole = memoryview(data[location])
    start = _number(entries, "offset", 0)
    length = _number(entries, "length", len(whole) - start)
    if start + length > len(whole):
        raise UnsafeNetworkError(f"a tensor of it lies beyond the end of {location}")
    return whole[start : start + length]


def _entry(message: memoryview) -> tuple[str, str]:
    """Read a StringStringEntryProto: key, value."""
    texts = {
        field: bytes(value).decode("utf-8", errors="replace")
        for field, _, value in fields(message)
        if not isinstance(value, int)
    }
    return texts.get(1, ""), texts.get(2, "")


def _number(entries: Mapping[str, str], key: str, otherwise: int) -> int:
    text = entries.get(key, str(otherwise))
    if not text.isascii() or not text.isdigit():
        raise UnsafeNetworkError(f"the {key} of a tensor that lies in another file is {text!r}")
    return int(text)
