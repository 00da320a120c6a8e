"""Engines that take whatever there is: each volume, each picture, each cine. They measure its mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto

from tests.unit.analyse.forms import LESION, ONE, engine, node, onnx_bytes, step

_FLOAT = TensorProto.FLOAT
_MEASUREMENT = f'[[output]]\nmeasurement = "mean"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
_ANY = '{ tag = "SOPClassUID", present = true }'  # also captures, which must be asked for


def any_engines(folder: Path) -> list[Path]:
    """Write an engine for each kind of input; what is in no volume, picture or cine is refused by all."""
    volume, picture, cine = ["k", "j", "i"], ["j", "i"], ["t", 1, "j", "i"]
    return [
        _mean(folder / "any-volume", "volume", "nckji", [1, 1, *volume], [2, 3, 4]),
        _mean(folder / "any-picture", "picture", "ncji", [1, 1, *picture], [2, 3]),
        _mean(folder / "any-cine", "cine", "ntcji", [1, *cine], [1, 3, 4]),
    ]


def _mean(folder: Path, kind: str, axes: str, shape: list[int | str], over: list[int]) -> Path:
    nodes = [node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0)]
    network = onnx_bytes(nodes, [("x", shape)], [("mean", [1, 1], _FLOAT)], {"axes": np.array(over)})
    feed = f'inputs = {{ x = {{ of = ["any"], axes = "{axes}" }} }}\n'
    gate = f"shape = {[one if isinstance(one, int) else 8 for one in shape]}"
    body = step(keys=feed + 'interpret = "regression"\n', gate=gate) + _MEASUREMENT
    given = f'\n[[input]]\nname = "any"\nkind = "{kind}"\nrequire = [{_ANY}]\nseries = "all"\n'
    engine(folder, body, {"net.onnx": network}, given)
    return folder
