"""Networks of the kinds that people segment and classify with, small, with seeded weights, as ONNX."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper


class Drawing:
    """A graph that is being drawn: each method adds a node and returns the name of its output."""

    def __init__(self, shape: list[int | str], opset: int = 20) -> None:
        self._nodes, self._weights, self._opset = [], [], opset
        self._random = np.random.default_rng(10)
        self._shape = shape

    def node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def weight(self, *shape: int, scale: float | None = None) -> str:
        fan_in = max(1, int(np.prod(shape[1:])))
        values = self._random.standard_normal(shape) * (scale or 1 / np.sqrt(fan_in))
        return self.constant(values.astype(np.float32))

    def constant(self, values: np.ndarray) -> str:
        name = f"w_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def conv(self, x: str, channels: tuple[int, int], rank: int, size: int = 3, stride: int = 1) -> str:
        weight = self.weight(channels[1], channels[0], *[size] * rank)
        pads = [size // 2] * (2 * rank)
        return self.node("Conv", [x, weight], kernel_shape=[size] * rank, pads=pads, strides=[stride] * rank)

    def norm(self, x: str, channels: int, kind: str) -> str:
        scale, bias = self.constant(np.ones(channels, np.float32)), self.weight(channels, scale=0.1)
        if kind == "batch":
            mean, var = self.weight(channels, scale=0.1), self.constant(np.ones(channels, np.float32))
            return self.node("BatchNormalization", [x, scale, bias, mean, var])
        if kind == "group":
            return self.node("GroupNormalization", [x, scale, bias], num_groups=2)
        return self.node("InstanceNormalization", [x, scale, bias])

    def block(self, x: str, channels: tuple[int, int], rank: int, norm: str, stride: int = 1) -> str:
        x = self.norm(self.conv(x, channels, rank, stride=stride), channels[1], norm)
        return self.node("LeakyRelu" if norm == "instance" else "Relu", [x])

    def up(self, x: str, channels: tuple[int, int], rank: int, how: str) -> str:
        if how == "transpose":
            weight = self.weight(channels[0], channels[1], *[2] * rank)
            return self.node("ConvTranspose", [x, weight], kernel_shape=[2] * rank, strides=[2] * rank)
        scales = self.constant(np.array([1, 1] + [2] * rank, np.float32))
        x = self.node("Resize", [x, "", scales], mode="linear", coordinate_transformation_mode="half_pixel")
        return self.conv(x, channels, rank, size=1)

    def done(self, y: str, rank: int) -> ModelProto:
        y = self.node("Identity", [y])
        graph = helper.make_graph(
            self._nodes,
            "drawn",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self._shape)],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, [None] * rank)],
            self._weights,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)], ir_version=10)
        checker.check_model(made)
        return made


def unet(rank: int, norm: str, up: str) -> ModelProto:
    """Two levels; batches of one spatial size."""
    g = Drawing(["n", 1, *[16] * rank], opset=21 if norm == "group" else 20)
    top = g.block("x", (1, 4), rank, norm)
    low = g.block(g.block(top, (4, 8), rank, norm, stride=2), (8, 8), rank, norm)
    joined = g.node("Concat", [top, g.up(low, (8, 4), rank, up)], axis=1)
    y = g.conv(g.block(joined, (8, 4), rank, norm), (4, 3), rank, size=1)
    return g.done(g.node("Softmax", [y], axis=1), rank + 2)


def resnet(rank: int = 2) -> ModelProto:
    """A stem and two residual blocks, the second with a projection, and a head."""
    g = Drawing(["n", 3, *[32] * rank])
    x = g.block("x", (3, 8), rank, "batch", stride=2)
    x = g.node("MaxPool", [x], kernel_shape=[3] * rank, strides=[2] * rank, pads=[1] * 2 * rank)
    for channels, stride in (((8, 8), 1), ((8, 16), 2)):
        way = g.block(x, channels, rank, "batch", stride=stride)
        way = g.norm(g.conv(way, (channels[1], channels[1]), rank), channels[1], "batch")
        past = x if stride == 1 else g.conv(x, channels, rank, size=1, stride=2)
        x = g.node("Relu", [g.node("Add", [way, past])])
    flat = g.node("Flatten", [g.node("GlobalAveragePool", [x])])
    return g.done(g.node("Gemm", [flat, g.weight(16, 4), g.weight(4)]), 2)


def densenet() -> ModelProto:
    """A dense block of three layers, a transition, and a head."""
    g = Drawing(["n", 1, 32, 32])
    x, channels = g.conv("x", (1, 8), 2), 8
    for _ in range(3):
        new = g.conv(g.node("Relu", [g.norm(x, channels, "batch")]), (channels, 4), 2)
        x, channels = g.node("Concat", [x, new], axis=1), channels + 4
    x = g.node("AveragePool", [g.conv(x, (channels, 8), 2, size=1)], kernel_shape=[2, 2], strides=[2, 2])
    flat = g.node("Flatten", [g.node("GlobalAveragePool", [x])])
    return g.done(g.node("Sigmoid", [g.node("Gemm", [flat, g.weight(8, 2), g.weight(2)])]), 2)


def transformer(tokens: int = 16, width: int = 32, heads: int = 4) -> ModelProto:
    """One encoder block on a sequence of tokens: attention, layer normalisation, GELU."""
    g = Drawing(["n", tokens, width])

    def norm(x: str) -> str:
        scale = g.constant(np.ones(width, np.float32))
        return g.node("LayerNormalization", [x, scale, g.weight(width, scale=0.1)], axis=-1)

    def split(x: str, turn: list[int]) -> str:
        x = g.node("MatMul", [x, g.weight(width, width)])
        x = g.node("Reshape", [x, g.constant(np.array([0, tokens, heads, width // heads]))])
        return g.node("Transpose", [x], perm=turn)

    normed = norm("x")
    query, value = split(normed, [0, 2, 1, 3]), split(normed, [0, 2, 1, 3])
    scores = g.node("MatMul", [query, split(normed, [0, 2, 3, 1])])
    scores = g.node("Mul", [scores, g.constant(np.float32((width // heads) ** -0.5))])
    seen = g.node("MatMul", [g.node("Softmax", [scores], axis=-1), value])
    seen = g.node(
        "Reshape", [g.node("Transpose", [seen], perm=[0, 2, 1, 3]), g.constant(np.array([0, tokens, width]))]
    )
    x = g.node("Add", ["x", g.node("MatMul", [seen, g.weight(width, width)])])
    wide = g.node("Gelu", [g.node("MatMul", [norm(x), g.weight(width, 4 * width)])])
    return g.done(g.node("Add", [x, g.node("MatMul", [wide, g.weight(4 * width, width)])]), 3)


NETWORKS = {
    "2D U-Net": lambda: unet(2, "batch", "transpose"),
    "3D U-Net, InstanceNormalization, ConvTranspose": lambda: unet(3, "instance", "transpose"),
    "3D U-Net, GroupNormalization, Resize": lambda: unet(3, "group", "resize"),
    "2D ResNet": resnet,
    "3D ResNet": lambda: resnet(3),
    "DenseNet": densenet,
    "transformer block": transformer,
}


def item_shape(model: ModelProto) -> tuple[int, ...]:
    """Return the shape of one item of a batch of its input."""
    return tuple(one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim)[1:]
