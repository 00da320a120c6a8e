"""Engines with steps for each lesion, whose every answer is known: spots of a few sizes and brightnesses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto

from dicomnode.engine import EnginePackage
from tests.unit.analyse.forms import CT, LESION, TISSUE, engine, node, onnx_bytes, step

FLOAT = TensorProto.FLOAT
SHAPE = (16, 24, 32)
SPOTS = (((4, 6, 7), 50.0), ((8, 16, 10), 80.0), ((10, 8, 24), 20.0))
"""Index (k, j, i) of the middle of each spot, and how bright its five voxels along each axis are."""
AROUND = 2
WIDTH = 10.0  # of the sigmoid of a class: 1 / (1 + exp(-(mean - 50) / 10))

FOUND = step(
    keys="""interpret = "centre_heat"
[step.centre_heat]
stride = 1
heat_at_least = 0.2
threshold = 0.01
at_most = 50
suppress_mm = 3.0
mask_reach_mm = 4.0
"""
)
ROWS = """
[[step]]
name = "rows"
algorithm = "radiomics"
each = "net"
interpret = "features"
[step.features]
names = ["intensity_mean", "intensity_maximum"]
"""
TYPE = step(
    "type.onnx",
    """each = "net"
inputs = { row = { of = "rows" } }
interpret = "classes"
[step.classes]
activation = "sigmoid"
names = ["bright", "dark"]
""",
    "shape = [1, 2]",
)
SEGMENT = f"""
[[output]]
segment = "spot"
step = "net"
kind = "lesion"
category = {TISSUE}
type = {LESION}
tracking = "Spot {{number}}"
measure = ["volume_mm3"]
"""
SELECTED = 'score = { of = "type", channel = 0, threshold = 0.3, at_most = 10 }\n'
BRIGHT = """
[[output]]
classification = "bright"
step = "type"
channel = 0
threshold = 0.6
type = { scheme = "99TEST", code = "BRIGHT", meaning = "Bright spot" }
"""
TEXTURE = '[[output]]\nfeatures = "texture"\nstep = "rows"\n'


def heat_of_middles() -> bytes:
    """Centre heat of an image of spots: a centre is hot where the mean of 5 × 5 × 5 voxels is high."""
    size = 2 * AROUND + 1
    return onnx_bytes(
        [
            node(
                "AveragePool",
                ["x"],
                ["mean"],
                kernel_shape=[size] * 3,
                pads=[AROUND] * 6,
                count_include_pad=1,
            ),
            node("Div", ["mean", "ten"], ["tenth"]),
            node("Sub", ["tenth", "two"], ["heat"]),
            node("Mul", ["mean", "zero"], ["nothing"]),
            node("Add", ["nothing", "logd"], ["logd_out"]),
            node("Sub", ["x", "five"], ["mask"]),
        ],
        [("x", [1, 1, "k", "j", "i"])],
        [(name, [1, 1, "k", "j", "i"], FLOAT) for name in ("heat", "logd_out", "mask")],
        {
            "ten": np.array(10.0, np.float32),
            "two": np.array(2.0, np.float32),
            "zero": np.array(0.0, np.float32),
            "logd": np.array(np.log(6.0), np.float32),
            "five": np.array(5.0, np.float32),
        },
    )


def type_of_mean() -> bytes:
    """Logits of two classes from (mean, maximum): bright is (mean - 50) / 10, dark its negative."""
    return onnx_bytes(
        [node("Gemm", ["row", "w", "b"], ["out"])],
        [("row", [1, 2])],
        [("out", [1, 2], FLOAT)],
        {
            "w": np.array([[1 / WIDTH, -1 / WIDTH], [0.0, 0.0]], np.float32),
            "b": np.array([-5.0, 5.0], np.float32),
        },
    )


def voxels(spots=SPOTS) -> np.ndarray:
    """Draw the spots: cubes of five voxels."""
    image = np.zeros(SHAPE, np.float32)
    for (k, j, i), value in spots:
        image[k - 2 : k + 3, j - 2 : j + 3, i - 2 : i + 3] = value
    return image


def bright(value: float) -> float:
    """Return the probability that a spot of this mean is bright."""
    return float(1.0 / (1.0 + np.exp(-(value - 50.0) / WIDTH)))


def spots_engine(folder: Path, body: str, inputs: str = CT, **networks: bytes) -> EnginePackage:
    """Write an engine with these steps and outputs, and the networks of this page."""
    files = {"net.onnx": heat_of_middles(), "type.onnx": type_of_mean()} | {
        f"{name}.onnx": content for name, content in networks.items()
    }
    used = {name: content for name, content in files.items() if name in body}
    return engine(
        folder, body.replace("[step.centre_heat]", '[step.centre_heat]\nsize = "logd_out"'), used, inputs
    )
