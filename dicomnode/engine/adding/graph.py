"""What an ONNX graph tells of itself, read without a library for ONNX and without running it.

Names, types and shapes of inputs and outputs, the operators in it and what its outputs end with, versions,
and the files that its tensors lie in. Field numbers are those of onnx.proto3, release 1.18.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dicomnode.engine.onnx_wire import UnsafeNetworkError, fields

# TensorProto.DataType → the name numpy has for it; of what is left out numpy or the runtimes know nothing
_DTYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "float32",
        2: "uint8",
        3: "int8",
        4: "uint16",
        5: "int16",
        6: "int32",
        7: "int64",
        8: "string",
        9: "bool",
        10: "float16",
        11: "float64",
        12: "uint32",
        13: "uint64",
        16: "bfloat16",
    }
)
# An output's meaning is what these make of it: they move numbers and do not change them
_MOVES: Final = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Flatten"})
_DEEPEST: Final = 64
_INT64_END: Final = 1 << 63
_EXTERNAL: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or output of a network.

    dtype: as numpy calls it; "" for what is no tensor, or of a type that nothing here knows. shape: a number,
    the name of a length that may vary, or None for one without a name; None as a whole where not even the
    number of axes is known.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        lengths = "?" if self.shape is None else ", ".join("any" if n is None else str(n) for n in self.shape)
        return f"{self.name} ({lengths}) {self.dtype or 'of no tensor type'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """The face of a network.

    opsets: version of each operator set by its domain ("" is ONNX's own). operators: how often each occurs,
    also in inner graphs; one of another domain with the domain before a dot. endings: by name of an output,
    the operator that makes its numbers. parameters: count of all stored numbers. outside: names of the files
    that tensors lie in. notes: metadata that the exporter left.
    """

    ir_version: int
    producer: str
    opsets: Mapping[str, int]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: Mapping[str, int]
    endings: Mapping[str, str]
    parameters: int
    outside: tuple[str, ...]
    notes: Mapping[str, str]


def read_graph(content: bytes) -> OnnxGraph:
    """Read an ONNX file; raises UnsafeNetworkError where it is none, or is damaged."""
    model = _Model()
    for number, _, value in fields(memoryview(content)):
        model.take(number, value)
    if not model.has_graph:
        raise UnsafeNetworkError("it is no ONNX network: it has no graph")
    if not model.outputs:
        raise UnsafeNetworkError("its graph has no output")
    return OnnxGraph(
        ir_version=model.ir_version,
        producer=" ".join(model.producer).strip(),
        opsets=MappingProxyType(model.opsets),
        # Before IR 4 the weights were listed among the inputs
        inputs=tuple(port for port in model.inputs if port.name not in model.weights),
        outputs=tuple(model.outputs),
        operators=MappingProxyType(dict(sorted(model.operators.items()))),
        endings=MappingProxyType({port.name: model.ending(port.name) for port in model.outputs}),
        parameters=model.parameters,
        outside=tuple(sorted(model.outside)),
        notes=MappingProxyType(model.notes),
    )


class _Model:
    """What is gathered on the way through the file."""

    def __init__(self) -> None:
        self.ir_version = 0
        self.producer = ["", ""]
        self.opsets: dict[str, int] = {}
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self.weights: set[str] = set()
        self.operators: Counter[str] = Counter()
        self.parameters = 0
        self.outside: set[str] = set()
        self.notes: dict[str, str] = {}
        self.has_graph = False
        self._makers: dict[str, tuple[str, str]] = {}  # output of a node → its operator, its first input

    def take(self, number: int, value: int | memoryview) -> None:
        """Read one field of ModelProto."""
        if number == 1 and isinstance(value, int):
            self.ir_version = value
        elif isinstance(value, int):
            return
        elif number in {2, 3}:
            self.producer[number - 2] = _text(value)
        elif number == 8:
            found = {field: part for field, _, part in fields(value)}
            version = found.get(2, 0)
            self.opsets[_text(found.get(1, b""))] = version if isinstance(version, int) else 0
        elif number == 14:
            found = {field: part for field, _, part in fields(value)}
            self.notes[_text(found.get(1, b""))] = _text(found.get(2, b""))
        elif number == 7:
            self.has_graph = True
            self._graph(value)
        elif number == 25:  # a function of the model's own: its nodes are no unknown operators
            for node in _children(value, 7):
                self._node(node, 1)

    def _graph(self, graph: memoryview) -> None:
        for number, _, value in fields(graph):
            if isinstance(value, int):
                continue
            if number == 1:
                self._node(value, 0)
            elif number == 5:
                self.weights.add(self._tensor(value))
            elif number == 11:
                self.inputs.append(_port(value))
            elif number == 12:
                self.outputs.append(_port(value))

    def _node(self, node: memoryview, depth: int) -> None:
        if depth >= _DEEPEST:
            raise UnsafeNetworkError(f"its graphs are nested more than {_DEEPEST} deep")
        operator, domain = "", ""
        inputs: list[str] = []
        outputs: list[str] = []
        for number, _, value in fields(node):
            if isinstance(value, int):
                continue
            match number:
                case 1:
                    inputs.append(_text(value))
                case 2:
                    outputs.append(_text(value))
                case 4:
                    operator = _text(value)
                case 5:
                    self._attribute(value, depth)
                case 7:
                    domain = _text(value)
        self.operators[operator if domain in {"", "ai.onnx"} else f"{domain}.{operator}"] += 1
        if depth == 0:
            self._makers |= dict.fromkeys(outputs, (operator, inputs[0] if inputs else ""))

    def _attribute(self, attribute: memoryview, depth: int) -> None:
        for number, _, value in fields(attribute):
            if isinstance(value, int):
                continue
            if number in {5, 10}:
                self._tensor(value)
            elif number in {6, 11}:
                for field, _, inner in fields(value):
                    if field == 1 and not isinstance(inner, int):
                        self._node(inner, depth + 1)
                    elif field == 5 and not isinstance(inner, int):
                        self._tensor(inner)

    def _tensor(self, tensor: memoryview) -> str:
        """Count a tensor and note the file that it lies in; return its name."""
        name, lengths, outside, location = "", [], False, ""
        for number, _, value in fields(tensor):
            if number == 1:
                lengths += [value] if isinstance(value, int) else _packed(value)
            elif number == 8 and not isinstance(value, int):
                name = _text(value)
            elif number == 13 and not isinstance(value, int):
                entry = {field: part for field, _, part in fields(value)}
                if _text(entry.get(1, b"")) == "location":
                    location = _text(entry.get(2, b""))
            elif number == 14 and value == _EXTERNAL:
                outside = True
        self.parameters += math.prod(lengths)
        if outside or location:
            self.outside.add(location)
        return name

    def ending(self, name: str) -> str:
        """Return the operator that makes an output's numbers, past what only moves them; "" for none."""
        seen: set[str] = set()
        operator = ""
        while name in self._makers and name not in seen:
            seen.add(name)
            operator, name = self._makers[name]
            if operator not in _MOVES:
                return operator
        return operator


def _port(value: memoryview) -> Port:
    """Read a ValueInfoProto."""
    name, kind = "", memoryview(b"")
    for number, _, part in fields(value):
        if number == 1 and not isinstance(part, int):
            name = _text(part)
        elif number == 2 and not isinstance(part, int):
            kind = part
    dtype, shape = "", None
    for tensor in _children(kind, 1):
        for number, _, part in fields(tensor):
            if number == 1 and isinstance(part, int):
                dtype = _DTYPES.get(part, "")
            elif number == 2 and not isinstance(part, int):
                shape = tuple(_length(one) for one in _children(part, 1))
    return Port(name=name, dtype=dtype, shape=shape)


def _length(dimension: memoryview) -> int | str | None:
    for number, _, value in fields(dimension):
        if number == 1 and isinstance(value, int):
            # Some exporters write -1 for "any": as a varint that is a number beyond int64
            return value if value < _INT64_END else None
        if number == 2 and not isinstance(value, int):
            return _text(value) or None
    return None


def _children(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, _, value in fields(message):
        if number == wanted and not isinstance(value, int):
            yield value


def _packed(value: memoryview) -> list[int]:
    """Read numbers that are written one after the other."""
    numbers, number, shift = [], 0, 0
    for byte in value:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number, shift = 0, 0
    return numbers


def _text(value: int | memoryview | bytes) -> str:
    return "" if isinstance(value, int) else bytes(value).decode("utf-8", errors="replace")
