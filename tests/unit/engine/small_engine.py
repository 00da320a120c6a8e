"""A small engine package for tests: engine.toml as text, and networks made with the onnx package."""

from __future__ import annotations

import hashlib
from pathlib import Path

from onnx import ModelProto, TensorProto, helper, numpy_helper

MANIFEST = """
schema = 1
name = "small"
version = "0.1.0"
title = "A small engine"
use = "Tests."

[[input]]
name = "ct"
kind = "volume"
require = [
  { tag = "Modality", equals = "CT" },
  { fact = "covers", contains = "lung" },
  { fact = "spacing_k_mm", at_most = 5.0 },
]
prefer = [ { fact = "spacing_k_mm", smaller = true } ]
prepare = [ { orient = "LPS" } ]

[[step]]
algorithm = "lungs"

[[step]]
network = "net.onnx"
sha256 = "SHA256"
crop = "lungs"
window = "whole"
interpret = "centre_heat"

[step.centre_heat]
threshold = 0.5

[step.gate]
shape = [1, 1, 4, 6, 8]
low = -1.0
high = 1.0

[[output]]
segment = "nodule"
step = "net"
kind = "lesion"
category = { scheme = "SCT", code = "49755003", meaning = "Morphologically Abnormal Structure" }
type = { scheme = "SCT", code = "27925004", meaning = "Nodule" }
tracking = "Nodule {number}"
measure = ["volume_mm3"]
"""


def network(mask: str = "Neg") -> ModelProto:
    """Make a network with the outputs of centre_heat: means of 2 x 2 x 2 voxels, and `mask` of each voxel.

    mask: an operator of one input that keeps the shape: "Neg", "Log" (not a number below 0),
    "RandomNormalLike" (other numbers each time), "Identity".
    """
    pool = {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]}
    nodes = [
        helper.make_node("AveragePool", ["x"], ["heat"], **pool),
        helper.make_node("MaxPool", ["x"], ["logd"], **pool),
        helper.make_node(mask, ["x"], ["mask"]),
    ]
    return model(nodes, ["heat", "logd", "mask"])


def model(nodes, outputs, initializers=()) -> ModelProto:
    """Make a network with the input `x`, in a form that all runtimes of the project read."""
    free = [1, 1, "k", "j", "i"]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, free)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, None, None, None])
            for name in outputs
        ],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def with_weight(weight) -> ModelProto:
    """Make a network that adds a stored array to its input."""
    tensor = numpy_helper.from_array(weight, "w")
    return model([helper.make_node("Add", ["x", "w"], ["mask"])], ["mask"], [tensor])


def write_engine(folder: Path, content: bytes | None = None, **changes: str) -> Path:
    """Write an engine package into `folder`; `changes` replace one text of the manifest by another."""
    content = network().SerializeToString() if content is None else content
    text = MANIFEST.replace("SHA256", hashlib.sha256(content).hexdigest())
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.onnx").write_bytes(content)
    (folder / "engine.toml").write_text(text)
    return folder
