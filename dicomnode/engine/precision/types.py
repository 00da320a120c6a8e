"""Types of the values of an ONNX graph, and what an operator's schema says of its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, defs

_STANDARD: Final = ("", "ai.onnx")


class Types(dict[str, int]):
    """Name → element type (TensorProto.DataType), of a graph and those around it; own: of it alone."""

    def __init__(self, own: Mapping[str, int], outer: Mapping[str, int]) -> None:
        super().__init__({**outer, **own})
        self.own = frozenset(own)


def opset_of(model: ModelProto) -> int:
    """Return the version of the standard operators that a network uses; ValueError when it uses none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in _STANDARD]
    if not versions:
        raise ValueError("it uses no standard operators")
    return int(versions[0])


def types_of(graph: GraphProto, outer: Mapping[str, int], opset: int) -> Types:
    """Collect the types of a graph: of inputs, outputs, weights, what inference has found, and what follows.

    What follows: inference of onnx 1.23 knows no type behind a GroupNormalization, the operator's schema
    does. Values that are no tensors (sequences, optionals) are not in it.
    """
    own = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.input, *graph.output)
        if value.type.HasField("tensor_type")
    }
    own |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    own = {name: kind for name, kind in own.items() if kind != TensorProto.UNDEFINED}
    known = {**outer, **own}
    for node in graph.node:
        for name, kind in _following(node, known, opset).items():
            own.setdefault(name, kind)
            known.setdefault(name, kind)
    return Types(own, outer)


def _following(node: NodeProto, known: Mapping[str, int], opset: int) -> dict[str, int]:
    """Types of a node's outputs that share a type variable with an input."""
    if all(name in known for name in node.output if name):
        return {}
    bound = {variable: kind for variable, kind in _bound(node, node.input, known, opset) if kind is not None}
    schema = schema_of(node, opset)
    if schema is None:
        return {}
    variables = {name: parameter(schema.outputs, at).variable for at, name in enumerate(node.output) if name}
    return {name: bound[variable] for name, variable in variables.items() if variable in bound}


def _bound(
    node: NodeProto, names: Sequence[str], known: Mapping[str, int], opset: int
) -> Iterator[tuple[str, int | None]]:
    """Give each type variable of a node's inputs with the type that it has there."""
    schema = schema_of(node, opset)
    if schema is None:
        return
    for position, name in enumerate(names):
        formal = parameter(schema.inputs, position) if name else None
        if formal is not None and formal.variable and not formal.mixed:
            yield formal.variable, known.get(name)


def check_types(graph: GraphProto, opset: int, outer: Mapping[str, int] | None = None) -> None:
    """Raise ValueError where a node is given values of different types under one type variable."""
    types = types_of(graph, outer or {}, opset)
    for node in graph.node:
        found: dict[str, int] = {}
        for variable, kind in _bound(node, node.input, types, opset):
            if kind is not None and found.setdefault(variable, kind) != kind:
                raise ValueError(
                    f"node {node.name} ({node.op_type}) would be given two types under {variable}"
                )
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                check_types(inner, opset, types)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input or output of an operator: its type variable ("" where the type is fixed), and its types.

    mixed: whether values of several types may stand under the variable (variadic, as in If and Loop).
    """

    variable: str
    types: frozenset[int]
    mixed: bool = False


def parameter(formal: Sequence[Any], position: int) -> Parameter:
    """Return a formal parameter; the last one of a variadic operator stands for all that follow."""
    one = formal[min(position, len(formal) - 1)]
    fixed = "(" in one.type_str
    kinds = frozenset(_numbers(tuple(sorted(one.types))))
    return Parameter("" if fixed else one.type_str, kinds, mixed=not one.is_homogeneous)


@cache
def _numbers(names: tuple[str, ...]) -> tuple[int, ...]:
    """TensorProto.DataType of names such as "tensor(float16)"; what is no tensor is left out."""
    plain = [name[7:-1] for name in names if name.startswith("tensor(")]
    return tuple(TensorProto.DataType.Value(name.upper()) for name in plain)


def schema_of(node: NodeProto, opset: int) -> Any:
    """Return the schema of a standard operator; None for any other."""
    if node.domain not in _STANDARD or not defs.has(node.op_type, max_inclusive_version=opset):
        return None
    return defs.get_schema(node.op_type, opset)
