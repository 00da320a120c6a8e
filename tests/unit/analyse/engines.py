"""Small engines made on the spot: a folder with engine.toml and a network whose every weight is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dicomnode.engine import EnginePackage, load_package

# logit = (HU - at) / width of each channel: of the labels, soft tissue is -100 to 600 HU, bone is above
SOFT_AND_BONE = ((-100.0, 50.0), (250.0, 25.0))

MANIFEST = """
schema = 1
name = "{name}"
version = "1.0.0"
title = "Tissue by attenuation"
use = "A test."

[[input]]
name = "ct"
kind = "volume"
require = [{{ tag = "Modality", equals = "CT" }}]
prepare = [{prepare}]
{first}
[[step]]
network = "tissue.onnx"
sha256 = "{digest}"
{crop}
window = {window}
interpret = "{interpret}"
[step.gate]
shape = [1, 1, 16, 16, 16]
low = -1000.0
high = 400.0

[[output]]
segment = "soft"
step = "tissue"
kind = "{kind}"
category = {{ scheme = "SCT", code = "85756007", meaning = "Tissue" }}
type = {{ scheme = "SCT", code = "87784001", meaning = "Soft tissue" }}
tracking = "{tracking}"
measure = ["volume_ml", "mean_hu", "long_axis_mm"]

[[output]]
segment = "bone"
step = "tissue"
kind = "tissue"
category = {{ scheme = "SCT", code = "85756007", meaning = "Tissue" }}
type = {{ scheme = "SCT", code = "272673000", meaning = "Bone" }}
tracking = "Bone"
measure = ["volume_ml"]
"""

LUNGS_FIRST = '\n[[step]]\nalgorithm = "lungs"\nparameters = { work_mm = 3.0 }\n'


def network(channels: tuple[tuple[float, float], ...]) -> bytes:
    """One 1 × 1 × 1 convolution: it looks at one voxel, so windows and one pass must agree."""
    weights = np.array([1.0 / width for _, width in channels], np.float32).reshape(-1, 1, 1, 1, 1)
    biases = np.array([-at / width for at, width in channels], np.float32)
    free = [1, 1, "k", "j", "i"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w", "b"], ["logits"])],
        "tissue",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(channels), "k", "j", "i"])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(biases, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def tissue_engine(
    folder: Path,
    *,
    interpret: str = "labels",
    window: str = '"whole"',
    prepare: str = "",
    first: str = "",
    crop: str = "",
    kind: str = "tissue",
    channels: int | None = None,
) -> EnginePackage:
    """Write an engine that tells soft tissue and bone apart by HU, and load it."""
    classes = SOFT_AND_BONE if interpret == "sigmoid" else ((0.0, 1e9), *SOFT_AND_BONE)
    content = network(classes[:channels])
    folder.mkdir(parents=True)
    (folder / "tissue.onnx").write_bytes(content)
    text = MANIFEST.format(
        name=folder.name,
        prepare=prepare,
        first=first,
        digest=hashlib.sha256(content).hexdigest(),
        crop=crop,
        window=window,
        interpret=interpret,
        kind=kind,
        tracking="Soft {number}" if kind == "lesion" else "Soft tissue",
    )
    (folder / "engine.toml").write_text(text)
    return load_package(folder)
