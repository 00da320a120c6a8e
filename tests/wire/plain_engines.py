"""Small engines for tests of the service, and series for them: a mean, a segment, one that never ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from dicomnode.phantom import SeriesForm, write_series
from dicomnode.values import Grid
from tests.unit.analyse.forms import LESION, ONE, TISSUE, engine, node, onnx_bytes, step

_GRID = Grid((6, 16, 20), np.diag([1.5, 1.5, 2.0, 1.0]), "1.2.3.9")
_FLOAT = TensorProto.FLOAT
_MEASUREMENT = f"""
[[output]]
measurement = "mean"
step = "net"
type = {LESION}
unit = {ONE}
"""
_INPUT = """
[[input]]
name = "ct"
kind = "volume"
require = [{ tag = "Modality", equals = "MODALITY" }]
"""
_SEGMENT = f"""
[[output]]
segment = "bright"
step = "net"
kind = "tissue"
category = {TISSUE}
type = {TISSUE}
tracking = "Bright"
measure = ["volume_ml"]
"""
ABOVE_GATE = 2.0  # gates give numbers from 0 to 1
BELOW_GATE = -1.0


def series(folder: Path, seed: int, modality: str = "CT") -> list[Path]:
    """A study of one series of 6 slices; its largest voxel is far above `ABOVE_GATE`."""
    voxels = np.random.default_rng(seed).integers(-900, 900, _GRID.shape_kji)
    return write_series(voxels, _GRID, folder, seed=seed, form=SeriesForm(modality=modality))


def mean_engine(folder: Path, modality: str = "CT") -> Path:
    """Measures the mean of all voxels."""
    nodes = [node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0)]
    return _written(folder, _network(nodes), modality)


def bright_engine(folder: Path) -> Path:
    """Segments what is above 0."""
    weights = {"w": np.ones((1, 1, 1, 1, 1), np.float32)}
    nodes = [
        node("Conv", ["x", "w"], ["bright"]),
        node("Sub", ["bright", "bright"], ["zero"]),
        node("Concat", ["zero", "bright"], ["labels"], axis=1),
    ]
    shape = [1, 1, "k", "j", "i"]
    network = onnx_bytes(nodes, [("x", shape)], [("labels", [1, 2, "k", "j", "i"], _FLOAT)], weights)
    body = step(keys='interpret = "labels"\n') + _SEGMENT
    engine(folder, body, {"net.onnx": network}, _INPUT.replace("MODALITY", "CT"))
    return folder


def block_series(folder: Path, seed: int) -> list[Path]:
    """A study of one CT series of 6 slices, with a bright block in the middle."""
    voxels = np.full(_GRID.shape_kji, -900, np.int16)
    voxels[2:5, 5:12, 4:15] = 300
    return write_series(voxels, _GRID, folder, seed=seed)


def endless_engine(folder: Path, above: float, modality: str = "CT") -> Path:
    """Measures the mean as well; with a voxel above `above` it goes round and round for ever."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Neg", ["v"], ["next"])],
        "body",
        [value("n", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("v", _FLOAT, [1, 1])],
        [value("on", TensorProto.BOOL, []), value("next", _FLOAT, [1, 1])],
    )
    nodes = [
        node("ReduceMean", ["x", "axes"], ["first"], keepdims=0),
        node("ReduceMax", ["x"], ["largest"], keepdims=0),
        node("Greater", ["largest", "limit"], ["go"]),
        node("Loop", ["for_ever", "go", "first"], ["mean"], body=body),
    ]
    weights = {"limit": np.array(above, np.float32), "for_ever": np.array(2**62, np.int64)}
    return _written(folder, _network(nodes, weights), modality)


def _network(nodes, weights=None) -> bytes:
    stored = {"axes": np.array([2, 3, 4]), **(weights or {})}
    shape = [1, 1, "k", "j", "i"]
    return onnx_bytes(nodes, [("x", shape)], [("mean", [1, 1], _FLOAT)], stored)


def _written(folder: Path, network: bytes, modality: str) -> Path:
    body = step(keys='interpret = "regression"\n') + _MEASUREMENT
    engine(folder, body, {"net.onnx": network}, _INPUT.replace("MODALITY", modality))
    return folder
