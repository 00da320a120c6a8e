"""Puts half precision into an ONNX network: inputs and outputs stay fp32, and so does what fp16 would ruin.

TensorRT from 11 on computes in the type that the network says. So each node is given one: `target` (fp16 or
bf16), or float32; Casts stand where two meet. The decision is made node by node, by these rules in turn:

1. an operator of `KEPT`, or one whose schema does not know the target, stays;
2. arithmetic on shapes (what comes from Shape alone) stays: a length of 2049 is no fp16 number;
3. what comes before the first convolution or matrix product stays: raw intensities are scaled there;
4. squares, sums and exponentials stay until a root, a logarithm or a quotient makes them small again: the
   square of 256 is infinite in fp16, and the variance of a hand-written norm with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dicomnode.engine.precision.types import Types, opset_of, parameter, schema_of, types_of

# Normalisation and statistics, what sums many numbers, and what places voxels
KEPT: Final = frozenset(
    {
        "InstanceNormalization",
        "GroupNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "MeanVarianceNormalization",
        "LpNormalization",
        "LRN",
        "ReduceMean",
        "ReduceSum",
        "ReduceSumSquare",
        "ReduceL1",
        "ReduceL2",
        "ReduceProd",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "GlobalAveragePool",
        "GlobalLpPool",
        "CumSum",
        "Softmax",
        "LogSoftmax",
        "Softplus",
        "Pow",
        "Exp",
        "Resize",
        "Upsample",
        "GridSample",
        "QuantizeLinear",
        "DequantizeLinear",
    }
)
# §4: their results may be beyond 65504
_GROWING: Final = frozenset({"Pow", "Exp", "ReduceSum", "ReduceSumSquare", "ReduceProd", "CumSum"})
# and these make a number small again
_SHRINKING: Final = frozenset(
    {
        "Sqrt",
        "Log",
        "Reciprocal",
        "Div",
        "Sigmoid",
        "Tanh",
        "Erf",
        "Softmax",
        "LogSoftmax",
        "InstanceNormalization",
        "GroupNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "LpNormalization",
        "ArgMax",
    }
)
_PRODUCTS: Final = frozenset(
    {"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "LSTM", "GRU", "RNN", "Attention"}
)
_SHAPES: Final = frozenset({"Shape", "Size"})
# No kernel for the type, although the schema has it: TensorRT-RTX 1.7 on a bf16 ConvTranspose in 3D
_WITHOUT_KERNEL: Final[Mapping[int, frozenset[str]]] = {TensorProto.BFLOAT16: frozenset({"ConvTranspose"})}
_FLOAT: Final = TensorProto.FLOAT
_FP16_LARGEST: Final = 65504.0


class WeightTooLargeError(ValueError):
    """A weight is beyond the range of the target; the text names it."""


@dataclass(slots=True)
class Narrowed:
    """What was done. kept: operators that stay in fp32, with how often. casts: nodes added."""

    kept: Counter[str] = field(default_factory=Counter)
    narrowed: Counter[str] = field(default_factory=Counter)
    casts: int = 0
    flushed: int = 0


def narrow(model: ModelProto, target: int) -> Narrowed:
    """Change `model` in place; target: TensorProto.FLOAT16 or BFLOAT16.

    The model has types for all of its values (`onnx.shape_inference`). Raises WeightTooLargeError.
    """
    done = Narrowed()
    _Graph(model.graph, target, opset_of(model), done, None).rewrite()
    return done


class _Graph:
    """One graph on its way from fp32 to two types; a subgraph sees the values of the one around it."""

    def __init__(
        self, graph: GraphProto, target: int, opset: int, done: Narrowed, outer: _Graph | None
    ) -> None:
        self.graph, self.target, self.opset, self.done, self.outer = graph, target, opset, done, outer
        self.types: Types = types_of(graph, outer.types if outer else {}, opset)
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.form: dict[str, int] = {}  # of float values: the type that they have now
        self.cast: dict[tuple[str, int], str] = {}
        self.wanted: dict[str, set[int]] = {}  # of weights: the types in which they are used
        self.nodes: list[NodeProto] = []

    def rewrite(self) -> None:
        kept = _kept(self.graph, self.types, self.target, self.opset)
        outputs = {value.name for value in self.graph.output}
        for index, node in enumerate(self.graph.node):
            low = index not in kept
            (self.done.narrowed if low else self.done.kept)[node.op_type] += 1
            for position, name in enumerate(node.input):
                if name and self.types.get(name) == _FLOAT:
                    node.input[position] = self._in_form(name, self._need(node, position, name, low=low))
            for inner in _subgraphs(node):
                _Graph(inner, self.target, self.opset, self.done, self).rewrite()
            self.nodes.append(node)
            if low:
                self._narrow_outputs(node, outputs)
        for name in outputs & set(self.weights):
            self.wanted.setdefault(name, set()).add(_FLOAT)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        self._rewrite_weights()
        del self.graph.value_info[:]  # the types have changed; whoever needs them infers them again

    def _need(self, node: NodeProto, position: int, name: str, *, low: bool) -> int:
        if node.op_type in _SHAPES:
            return self._form(name)  # takes whatever there is
        if not low:
            return _FLOAT
        formal = parameter(schema_of(node, self.opset).inputs, position)
        return self.target if self.target in formal.types else _FLOAT

    def _form(self, name: str) -> int:
        if name in self.form:
            return self.form[name]
        if name not in self.weights and self.outer is not None:
            return self.outer._form(name)  # noqa: SLF001  the graph around this one
        return _FLOAT

    def _in_form(self, name: str, need: int) -> str:
        """Return the name under which a value has the type that is needed."""
        if name in self.weights:
            self.wanted.setdefault(name, set()).add(need)
            return name if need == _FLOAT else _named(name, need)
        if self._form(name) == need:
            self._note_outer(name)
            return name
        if (name, need) not in self.cast:
            self._note_outer(name)
            made = _named(name, need)
            self.nodes.append(helper.make_node("Cast", [name], [made], name=f"cast_{made}", to=need))
            self.done.casts += 1
            self.cast[name, need] = made
        return self.cast[name, need]

    def _note_outer(self, name: str) -> None:
        """Keep the fp32 form of a weight of a graph around this one that is used here."""
        graph = self.outer
        while graph is not None and name not in self.types.own:
            if name in graph.weights:
                graph.wanted.setdefault(name, set()).add(_FLOAT)
                return
            graph = graph.outer

    def _narrow_outputs(self, node: NodeProto, outputs: set[str]) -> None:
        schema = schema_of(node, self.opset)
        for position, name in enumerate(node.output):
            if not name or self.types.get(name) != _FLOAT:
                continue
            if self.target not in parameter(schema.outputs, position).types:
                continue
            self.form[name] = self.target
            if name in outputs:  # the outside sees fp32
                made = _named(name, self.target)
                node.output[position] = made
                self.nodes.append(helper.make_node("Cast", [made], [name], name=f"cast_{name}", to=_FLOAT))
                self.done.casts += 1
                self.form[name] = _FLOAT
                self.cast[name, self.target] = made

    def _rewrite_weights(self) -> None:
        tensors = []
        for name, tensor in self.weights.items():
            wanted = self.wanted.get(name, set())
            if self.target in wanted:
                tensors.append(self._narrowed(tensor))
            if wanted != {self.target}:
                tensors.append(tensor)
        del self.graph.initializer[:]
        self.graph.initializer.extend(tensors)

    def _narrowed(self, tensor: TensorProto) -> TensorProto:
        values = numpy_helper.to_array(tensor)
        made = _named(tensor.name, self.target)
        dtype = helper.tensor_dtype_to_np_dtype(self.target)
        if self.target == TensorProto.FLOAT16:
            largest = float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))
            if largest > _FP16_LARGEST:
                raise WeightTooLargeError(
                    f"{tensor.name} holds {largest:g}, the largest number of fp16 is {_FP16_LARGEST:g}"
                )
        with np.errstate(under="ignore"):
            narrowed = values.astype(dtype)
        self.done.flushed += int(np.count_nonzero((narrowed == 0) & (values != 0)))
        return numpy_helper.from_array(narrowed, made)


def _named(name: str, form: int) -> str:
    return f"{name}__{TensorProto.DataType.Name(form).lower()}"


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def _kept(graph: GraphProto, types: Types, target: int, opset: int) -> set[int]:
    """Return which nodes stay in fp32, by the rules at the top."""
    weights = {tensor.name for tensor in graph.initializer}
    static: set[str] = set()
    deep: set[str] = set()
    grown: set[str] = set()
    kept: set[int] = set()
    for index, node in enumerate(graph.node):
        inputs = [name for name in node.input if name]
        values = [name for name in inputs if name not in weights]
        of_shape = node.op_type in _SHAPES or (bool(values) and all(name in static for name in values))
        after_product = node.op_type in _PRODUCTS or any(name in deep for name in inputs)
        squares = node.op_type in _GROWING or (node.op_type == "Mul" and len(set(inputs)) < len(inputs))
        of_grown = any(name in grown for name in inputs)
        if (
            of_shape
            or squares
            or of_grown
            or (not after_product and node.op_type not in _SHAPES)
            or not _may_narrow(node, types, target, opset)
        ):
            kept.add(index)
        for mark, marked in (
            (of_shape, static),
            (after_product or any(True for _ in _subgraphs(node)), deep),
            (squares or (of_grown and not _shrinks(node, grown)), grown),
        ):
            if mark:
                marked.update(node.output)
    return kept


def _shrinks(node: NodeProto, grown: set[str]) -> bool:
    """Whether what a node gives is small again; of a quotient only where the divisor had grown as well."""
    return node.op_type in _SHRINKING and (node.op_type != "Div" or node.input[1] in grown)


def _may_narrow(node: NodeProto, types: Types, target: int, opset: int) -> bool:
    """Whether a node can compute in the target type, by its operator's schema and the types of its values."""
    if node.op_type in KEPT | _WITHOUT_KERNEL.get(target, frozenset()) or any(True for _ in _subgraphs(node)):
        return False
    schema = schema_of(node, opset)
    if schema is None or any(types.get(name) is None for name in (*node.input, *node.output) if name):
        return False
    bound = set()
    for position, name in enumerate(node.input):
        if not name or types.get(name) != _FLOAT:
            continue
        formal = parameter(schema.inputs, position)
        if target in formal.types:
            bound.add(formal.variable)
        elif formal.variable:
            return False
    # An output whose type no narrowed input decides has it from an attribute (Cast, RandomNormal, EyeLike)
    return bool(bound) and all(
        parameter(schema.outputs, position).variable in bound
        for position, name in enumerate(node.output)
        if name and types.get(name) == _FLOAT
    )


def fold_constants(graph: GraphProto) -> None:
    """Turn Constant nodes with numbers into initialisers, in subgraphs too: then all weights are alike."""
    kept = []
    for node in graph.node:
        for inner in _subgraphs(node):
            fold_constants(inner)
        tensor = _constant(node) if node.op_type == "Constant" and not node.domain else None
        if tensor is None:
            kept.append(node)
        else:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)


def _constant(node: NodeProto) -> TensorProto | None:
    (attribute,) = node.attribute
    value: Any = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        copy = TensorProto()
        copy.CopyFrom(value)
        return copy
    if attribute.name in ("value_float", "value_floats"):
        return numpy_helper.from_array(np.asarray(value, dtype=np.float32))
    if attribute.name in ("value_int", "value_ints"):
        return numpy_helper.from_array(np.asarray(value, dtype=np.int64))
    return None


def weight_bytes(graph: GraphProto) -> int:
    """Bytes of all weights, as raw numbers."""
    own = sum(
        int(np.prod(tensor.dims, dtype=np.int64)) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        for tensor in graph.initializer
        if tensor.data_type != TensorProto.STRING
    )
    return own + sum(weight_bytes(inner) for node in graph.node for inner in _subgraphs(node))
