"""The least time that a network can take: its arithmetic over the GPU's, or its bytes over the bandwidth.

A count of what convolutions and matrix products must do and move. Everything else is taken to be fused into
them and to cost nothing, so the figure is a floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

# Dense fp16 tensor-core arithmetic in FLOP/s, from NVIDIA's data sheets; the largest of a name's variants
PEAK_FP16: Final = {
    "T4": 65e12,
    "V100": 125e12,
    "A10": 125e12,
    "A100": 312e12,
    "A30": 165e12,
    "L4": 121e12,
    "L40": 362e12,
    "RTX 4090": 330e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a node must do: operations (a product and a sum are two), and elements read and written."""

    name: str
    flops: float
    elements: float


def works_of(content: bytes, shapes: dict[str, tuple[int, ...]]) -> list[Work]:
    """Count the work of each convolution and product of an ONNX network for inputs of these shapes."""
    import onnx

    model = onnx.load_model_from_string(content)
    for value in model.graph.input:
        if value.name in shapes:
            for axis, length in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
                axis.dim_value = length
    for value in (*model.graph.output, *model.graph.value_info):
        value.type.tensor_type.ClearField("shape")
    for node in model.graph.node:
        if node.op_type == "GroupNormalization":  # a function, whose shape onnx does not infer
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    known = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        known.setdefault(value.name, tuple(one.dim_value for one in value.type.tensor_type.shape.dim))
    found = [_work(node, known) for node in graph.node]
    return [work for work in found if work is not None]


def _work(node: Any, known: dict[str, tuple[int, ...]]) -> Work | None:
    if node.op_type not in _COUNTS:
        return None
    shapes = [known[name] for name in node.input if name]
    out = known[node.output[0]]
    elements = float(sum(prod(shape) for shape in (*shapes, out)))
    return Work(node.name or node.output[0], 2.0 * _COUNTS[node.op_type](node, shapes, out), elements)


def _conv(node: Any, shapes: list[tuple[int, ...]], out: tuple[int, ...]) -> float:
    return float(prod(out) * prod(shapes[1][1:]))  # weights: (out, in / groups, kernel …)


def _conv_transpose(node: Any, shapes: list[tuple[int, ...]], out: tuple[int, ...]) -> float:
    return float(prod(shapes[0]) * prod(shapes[1][1:]))  # weights: (in, out / groups, kernel …)


def _matmul(node: Any, shapes: list[tuple[int, ...]], out: tuple[int, ...]) -> float:
    return float(prod(out) * shapes[0][-1])


def _gemm(node: Any, shapes: list[tuple[int, ...]], out: tuple[int, ...]) -> float:
    turned = any(one.name == "transA" and one.i for one in node.attribute)
    return float(prod(out) * shapes[0][0 if turned else 1])


_COUNTS: Final = {"Conv": _conv, "ConvTranspose": _conv_transpose, "MatMul": _matmul, "Gemm": _gemm}


def floor_ms(works: list[Work], flops_per_s: float | None, bytes_per_s: float, element_bytes: int) -> float:
    """The sum over nodes of the longer of arithmetic and movement; without the first, of movement alone."""
    total = 0.0
    for work in works:
        moved = work.elements * element_bytes / bytes_per_s
        total += max(moved, work.flops / flops_per_s if flops_per_s else 0.0)
    return 1e3 * total


def peak_of(name: str) -> float | None:
    """Return the fp16 arithmetic of a GPU by its name, FLOP/s; None where it is not in the table."""
    fitting = [one for one in PEAK_FP16 if f" {one} " in f" {name.replace('-', ' ')} "]
    return PEAK_FP16[max(fitting, key=len)] if fitting else None
