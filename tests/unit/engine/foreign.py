"""Networks as other people export them, good and bad, as ONNX files; and a small CT series for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dicomnode.phantom import write_series
from dicomnode.values import Grid
from tests.unit.engine.networks import NETWORKS, Drawing

FREE = (1, 1, "k", "j", "i")
Shape = Sequence[int | str | None] | None


def graph_of(
    nodes: Sequence[object],
    *,
    shape: Shape = FREE,
    dtype: int = TensorProto.FLOAT,
    weights: Sequence[object] = (),
    outputs: Sequence[tuple[str, int]] = (("y", TensorProto.FLOAT),),
    imports: Sequence[tuple[str, int]] = (("", 20),),
    ir: int = 10,
) -> ModelProto:
    """A network with the input `x`, unchecked: also those that no runtime takes."""
    graph = helper.make_graph(
        list(nodes),
        "foreign",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        list(weights),
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*one) for one in imports], ir_version=ir
    )


def one(operator: str, domain: str = "", **about: object) -> ModelProto:
    """A network of one operator."""
    return graph_of([helper.make_node(operator, ["x"], ["y"], domain=domain)], **about)


def endless() -> ModelProto:
    """A loop whose condition is always true."""
    kept = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [
            kept("n", TensorProto.INT64, []),
            kept("go", TensorProto.BOOL, []),
            kept("v", TensorProto.FLOAT, None),
        ],
        [kept("on", TensorProto.BOOL, []), kept("w", TensorProto.FLOAT, None)],
    )
    true = numpy_helper.from_array(np.array(True), "true")
    return graph_of([helper.make_node("Loop", ["", "true", "x"], ["y"], body=body)], weights=[true])


def greedy(numbers: int = 25_000_000_000) -> ModelProto:
    """A constant of so many float32: 100 GB."""
    size = numpy_helper.from_array(np.array([numbers], np.int64), "size")
    ones = numpy_helper.from_array(np.array([1.0], np.float32))
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["huge"], value=ones),
        helper.make_node("ReduceMax", ["huge"], ["most"], keepdims=0),
        helper.make_node("Add", ["x", "most"], ["y"]),
    ]
    return graph_of(nodes, weights=[size])


def vision_transformer(side: int = 32, width: int = 16) -> ModelProto:
    """Patches of 8 x 8 pixels as tokens, one block of attention, a head of three classes."""
    g = Drawing(["n", 1, side, side])
    tokens = (side // 8) ** 2
    x = g.node("Conv", ["x", g.weight(width, 1, 8, 8)], kernel_shape=[8, 8], strides=[8, 8])
    x = g.node(
        "Transpose", [g.node("Reshape", [x, g.constant(np.array([0, width, tokens]))])], perm=[0, 2, 1]
    )
    query, key, value = (g.node("MatMul", [x, g.weight(width, width)]) for _ in range(3))
    scores = g.node("MatMul", [query, g.node("Transpose", [key], perm=[0, 2, 1])])
    x = g.node("Add", [x, g.node("MatMul", [g.node("Softmax", [scores], axis=-1), value])])
    scale = g.constant(np.ones(width, np.float32))
    x = g.node("LayerNormalization", [x, scale, g.weight(width, scale=0.1)], axis=-1)
    pooled = g.node("ReduceMean", [x, g.constant(np.array([1]))], keepdims=0)
    return g.done(g.node("Gemm", [pooled, g.weight(width, 3), g.weight(3)]), 2)


def box_finder() -> ModelProto:
    """A list of two boxes in space with scores and classes, whatever it sees."""
    boxes = numpy_helper.from_array(np.array([[2, 2, 2, 8, 9, 10], [1, 1, 1, 3, 3, 3]], np.float32), "b")
    scores = numpy_helper.from_array(np.array([0.9, 0.2], np.float32), "s")
    kinds = numpy_helper.from_array(np.array([0, 0], np.int64), "c")
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0),
        helper.make_node("Mul", ["m", "zero"], ["z"]),
        helper.make_node("Add", ["b", "z"], ["boxes"]),
        helper.make_node("Add", ["s", "z"], ["scores"]),
        helper.make_node("Identity", ["c"], ["classes"]),
    ]
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    kept = [("boxes", TensorProto.FLOAT), ("scores", TensorProto.FLOAT), ("classes", TensorProto.INT64)]
    return graph_of(nodes, weights=[boxes, scores, kinds, zero], outputs=kept)


def of_numbers() -> ModelProto:
    """Two numbers in, probabilities of two classes out."""
    weights = numpy_helper.from_array(np.array([[0.1, -0.1], [0.0, 0.2]], np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"])]
    return graph_of(nodes, shape=["n", 2], weights=[weights])


KINDS: dict[str, Callable[[], ModelProto]] = {
    **{name: make for name, make in NETWORKS.items() if name != "transformer block"},
    "vision transformer": vision_transformer,
    "box finder": box_finder,
    "of numbers": of_numbers,
    "a mask of any size": lambda: one("Sigmoid"),
    "in half precision": lambda: one(
        "Sigmoid", dtype=TensorProto.FLOAT16, outputs=[("y", TensorProto.FLOAT16)]
    ),
    "in double precision": lambda: one(
        "Sigmoid", dtype=TensorProto.DOUBLE, outputs=[("y", TensorProto.DOUBLE)]
    ),
    "of whole numbers": lambda: graph_of(
        [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Sigmoid", ["f"], ["y"]),
        ],
        dtype=TensorProto.INT32,
    ),
}


def save(model: ModelProto, path: Path) -> Path:
    """Write a network into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def small_ct(folder: Path) -> Path:
    """A CT series of 24 slices with 48 x 40 pixels of 4 mm: air, a body, and a ball in it."""
    k, j, i = np.ogrid[:24, :48, :40]
    voxels = np.full((24, 48, 40), -1000, np.int16)
    voxels[(((j - 24) / 20) ** 2 + ((i - 20) / 16) ** 2 + 0 * k) < 1] = 30
    voxels[((k - 12) ** 2 + (j - 20) ** 2 + (i - 24) ** 2) < 36] = 300
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-80.0, -96.0, -48.0]
    write_series(voxels, Grid((24, 48, 40), affine, "2.25.20002"), folder, seed=21)
    return folder
