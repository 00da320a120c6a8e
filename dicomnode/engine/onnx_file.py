"""A careful look into an ONNX file before a runtime parses it: its weights must be inside it.

ONNX may name other files for its tensors (`external_data`), and a path there may lead anywhere. This
version takes no such network. The file is walked as protobuf by a table of the message types that can hold
a tensor (onnx.proto3, release 1.18); everything else is skipped by its length, never parsed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

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
_TENSOR_EXTERNAL_DATA: Final = 13
_TENSOR_DATA_LOCATION: Final = 14
_EXTERNAL: Final = 1  # TensorProto.DataLocation
_MODEL_GRAPH: Final = 7
_DEEPEST: Final = 64  # subgraphs within subgraphs; networks have one or two

# Wire types (protobuf encoding): numbers of 1 to 10 bytes, of 8 bytes, with a length, of 4 bytes
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10


class UnsafeNetworkError(ValueError):
    """The file is not what may be given to a runtime; the text says why."""


def check_onnx(content: bytes) -> None:
    """Raise UnsafeNetworkError unless `content` is whole protobuf with a graph and all tensors inside."""
    data = memoryview(content)
    if not any(field == _MODEL_GRAPH for field, _, _ in _fields(data)):
        raise UnsafeNetworkError("it is no ONNX network: it has no graph")
    _walk(data, "Model", 0)


def _walk(data: memoryview, kind: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise UnsafeNetworkError(f"its graphs are nested more than {_DEEPEST} deep")
    ways = _WAYS[kind]
    for field, wire, value in _fields(data):
        if kind == "Tensor":
            _check_tensor_field(field, value)
        elif field in ways:
            if wire != _LENGTH or isinstance(value, int):
                raise UnsafeNetworkError(f"it is no ONNX network: field {field} of {kind} is no message")
            _walk(value, ways[field], depth + 1)


def _check_tensor_field(field: int, value: int | memoryview) -> None:
    if field == _TENSOR_EXTERNAL_DATA or (field == _TENSOR_DATA_LOCATION and value == _EXTERNAL):
        raise UnsafeNetworkError("a tensor of it lies in another file (ONNX external data)")


def _fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield (field number, wire type, value) of one message; raise UnsafeNetworkError where it is broken."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, wire = tag >> 3, tag & 7
        value: int | memoryview
        if wire == _VARINT:
            value, at = _varint(data, at)
        elif wire in {_FIXED64, _FIXED32, _LENGTH}:
            size = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
            if size < 0:
                size, at = _varint(data, at)
            if size > len(data) - at:
                raise UnsafeNetworkError("it is cut off or damaged")
            value = data[at : at + size]
            at += size
        else:
            raise UnsafeNetworkError("it is no ONNX network: it is not protobuf")
        if field == 0:
            raise UnsafeNetworkError("it is no ONNX network: it is not protobuf")
        yield field, wire, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for count in range(_LONGEST_VARINT):
        if at + count >= len(data):
            raise UnsafeNetworkError("it is cut off or damaged")
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    raise UnsafeNetworkError("it is no ONNX network: it is not protobuf")
