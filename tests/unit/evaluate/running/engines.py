"""An engine for phantoms of ellipsoids: what it finds follows from thresholds of HU, and can be computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto

from dicomnode.engine import EnginePackage
from tests.unit.analyse.forms import LESION, TISSUE, engine, node, onnx_bytes, step

FLOAT = TensorProto.FLOAT
LIVER = '{ scheme = "SCT", code = "10200004", meaning = "Liver" }'
VOLUME = '{ scheme = "SCT", code = "118565006", meaning = "Volume" }'
ML = '{ scheme = "UCUM", code = "ml", meaning = "ml" }'

LIVER_HU = (85.0, 200.0)  # of the voxels that it calls liver
LESION_HU = (20.0, 70.0)
VOXEL_ML = 0.125


def liver_engine(
    folder: Path, *, liver_hu: tuple[float, float] = LIVER_HU, lesion_hu: tuple[float, float] = LESION_HU
) -> EnginePackage:
    """Write and load an engine that gives liver, lesions, whether there is any, and the volume of the liver.

    Each voxel is of a class whose HU it has; "lesion" is present where at least 40 voxels are of it.
    """
    weights = {
        "low0": np.array(liver_hu[0], np.float32),
        "high0": np.array(liver_hu[1], np.float32),
        "low1": np.array(lesion_hu[0], np.float32),
        "high1": np.array(lesion_hu[1], np.float32),
        "axes": np.array([2, 3, 4]),
        "ml": np.array(VOXEL_ML, np.float32),
        "forty": np.array(40.0, np.float32),
        "wide": np.array(20.0, np.float32),
        "zero": np.array(0.0, np.float32),
    }
    nodes = []
    for n in range(2):
        nodes += [
            node("Sub", ["x", f"low{n}"], [f"over{n}"]),
            node("Sub", [f"high{n}", "x"], [f"under{n}"]),
            node("Min", [f"over{n}", f"under{n}"], [f"logit{n}"]),
            node("Greater", [f"logit{n}", "zero"], [f"is{n}"]),
            node("Cast", [f"is{n}"], [f"one{n}"], to=FLOAT),
            node("ReduceSum", [f"one{n}", "axes"], [f"count{n}"], keepdims=0),
        ]
    nodes += [
        node("Concat", ["logit0", "logit1"], ["seg"], axis=1),
        node("Sub", ["count1", "forty"], ["more"]),
        node("Div", ["more", "wide"], ["cls"]),
        node("Mul", ["count0", "ml"], ["reg"]),
    ]
    outputs = [("seg", [1, 2, "k", "j", "i"], FLOAT), ("cls", [1, 1], FLOAT), ("reg", [1, 1], FLOAT)]
    network = onnx_bytes(nodes, [("x", [1, 1, "k", "j", "i"])], outputs, weights)
    keys = "".join(
        f'[[step.head]]\nname = "{name}"\ninterpret = "{how}"\noutput = "{name}"\n{more}'
        for name, how, more in (
            ("seg", "sigmoid", ""),
            ("cls", "classes", '[step.head.classes]\nactivation = "sigmoid"\n'),
            ("reg", "regression", ""),
        )
    )
    body = step(keys=keys) + OUTPUTS
    return engine(folder, body, {"net.onnx": network})


OUTPUTS = f"""
[[output]]
segment = "liver"
step = "net"
head = "seg"
kind = "anatomy"
category = {TISSUE}
type = {LIVER}
tracking = "Liver"
largest = 1

[[output]]
segment = "lesion"
step = "net"
head = "seg"
kind = "lesion"
category = {TISSUE}
type = {LESION}
tracking = "Lesion {{number}}"

[[output]]
classification = "any-lesion"
step = "net"
head = "cls"
type = {{ scheme = "99TEST", code = "ANY", meaning = "Any lesion" }}
threshold = 0.5

[[output]]
measurement = "liver_volume_ml"
step = "net"
head = "reg"
type = {VOLUME}
unit = {ML}
"""
