"""Engines that look at pictures, one of each kind, with networks whose answer is computable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto

from dicomnode.engine import EnginePackage
from tests.unit.analyse.forms import LESION, ONE, TISSUE, engine, node, onnx_bytes, step

FLOAT = TensorProto.FLOAT


def picture_input(name: str, rule: str, picture: str = "", kind: str = "picture", more: str = "") -> str:
    """Write an [[input]]; rule: what it requires, picture: keys of [input.picture], more: of the input."""
    table = f"[input.picture]\n{picture}\n" if picture else ""
    return f'\n[[input]]\nname = "{name}"\nkind = "{kind}"\nrequire = [{rule}]\n{more}\n{table}'


def feed(name: str, axes: str = "ncji") -> str:
    return f'inputs = {{ x = {{ of = ["{name}"], axes = "{axes}" }} }}\n'


def masses(folder: Path) -> EnginePackage:
    """The box of what is above 2000, of each mammogram, turned so that the chest wall is at the left."""
    nodes = [
        node("Greater", ["x", "at"], ["bright"]),
        node("Cast", ["bright"], ["seen"], to=FLOAT),
        node("ReduceMax", ["seen", "rows"], ["of_columns"], keepdims=0),
        node("ReduceMax", ["seen", "columns"], ["of_rows"], keepdims=0),
    ]
    ends = []
    for name in ("of_rows", "of_columns"):
        nodes += [
            node("ArgMax", [name], [f"first_{name}"], axis=1, keepdims=0),
            node("ArgMax", [name], [f"last_{name}"], axis=1, keepdims=0, select_last_index=1),
            node("Add", [f"last_{name}", "one"], [f"end_{name}"]),
        ]
    for corner in ("first_of_rows", "first_of_columns", "end_of_rows", "end_of_columns"):
        nodes.append(node("Cast", [corner], [f"f_{corner}"], to=FLOAT))
        nodes.append(node("Unsqueeze", [f"f_{corner}", "last"], [f"u_{corner}"]))
        ends.append(f"u_{corner}")
    nodes.append(node("Concat", ends, ["boxes"], axis=1))
    nodes.append(node("ReduceMax", ["seen", "all"], ["scores"], keepdims=0))
    weights = {
        "at": np.array(2000.0, np.float32),
        "rows": np.array([1, 2]),
        "columns": np.array([1, 3]),
        "all": np.array([1, 2, 3]),
        "one": np.array([1]),
        "last": np.array([1]),
    }
    outputs = [("boxes", [1, 4], FLOAT), ("scores", [1], FLOAT)]
    network = onnx_bytes(nodes, [("x", [1, 1, "j", "i"])], outputs, weights)
    body = step(keys=feed("mg") + 'interpret = "boxes"\n[step.boxes]\n', gate="shape = [1, 1, 8, 8]")
    body += f'\n[[output]]\nregion = "mass"\nstep = "net"\ntype = {LESION}\ntracking = "Mass {{number}}"\n'
    rules = '{ tag = "Modality", equals = "MG" }, { fact = "intent", equals = "for presentation" }'
    given = picture_input("mg", rules, 'rows_toward = "A"', more='series = "all"')
    return engine(folder, body, {"net.onnx": network}, given)


def opacities(folder: Path) -> EnginePackage:
    """What of a chest film is above 2000, outlined and measured."""
    nodes = [
        node("Sub", ["x", "at"], ["above"]),
        node("Sub", ["above", "above"], ["zero"]),
        node("Concat", ["zero", "above"], ["seg"], axis=1),
    ]
    outputs = [("seg", [1, 2, "j", "i"], FLOAT)]
    weights = {"at": np.array(2000.0, np.float32)}
    network = onnx_bytes(nodes, [("x", [1, 1, "j", "i"])], outputs, weights)
    body = step(keys=feed("film") + 'interpret = "labels"\n', gate="shape = [1, 1, 8, 8]")
    body += f"""
[[output]]
segment = "opacity"
step = "net"
kind = "lesion"
category = {TISSUE}
type = {LESION}
tracking = "Opacity {{number}}"
measure = ["long_axis_mm"]
"""
    rules = '{ tag = "Modality", one_of = ["DX", "CR"] }, { fact = "view", one_of = ["PA", "AP"] }'
    return engine(folder, body, {"net.onnx": network}, picture_input("film", rules))


def moles(folder: Path, rule: str = '{ fact = "colour", equals = true }') -> EnginePackage:
    """The mean of red and blue of a photograph as a probability of their difference."""
    nodes = [
        node("ReduceMean", ["x", "axes"], ["means"], keepdims=0),
        node("Div", ["means", "most"], ["classes"]),
    ]
    weights = {"axes": np.array([2, 3]), "most": np.array(255.0, np.float32)}
    network = onnx_bytes(nodes, [("x", [1, 3, "j", "i"])], [("classes", [1, 3], FLOAT)], weights)
    keys = feed("photo") + 'interpret = "classes"\n[step.classes]\nactivation = "none"\n'
    body = step(keys=keys, gate="shape = [1, 3, 8, 8]")
    body += f'\n[[output]]\nclassification = "red"\nstep = "net"\nchannel = 0\ntype = {LESION}\n'
    return engine(folder, body, {"net.onnx": network}, picture_input("photo", rule, 'colour = "rgb"'))


def effusion(folder: Path) -> EnginePackage:
    """Of each frame of a clip its mean over 255, the largest for all of them; 12.5 frames a second."""
    nodes = [
        node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        node("Div", ["mean", "most"], ["frames"]),
    ]
    weights = {"axes": np.array([3, 4]), "most": np.array(255.0, np.float32)}
    network = onnx_bytes(nodes, [("x", [1, "t", 1, "j", "i"])], [("frames", [1, "t", 1], FLOAT)], weights)
    keys = (
        feed("clip", "ntcji") + 'interpret = "sequence"\n[step.sequence]\nactivation = "none"\npool = "max"\n'
    )
    body = step(keys=keys, gate="shape = [1, 4, 1, 8, 8]")
    body += f'\n[[output]]\nclassification = "effusion"\nstep = "net"\ntype = {LESION}\nthreshold = 0.3\n'
    given = picture_input("clip", '{ tag = "Modality", equals = "US" }', "frames_per_s = 12.5", kind="cine")
    return engine(folder, body, {"net.onnx": network}, given)


def asymmetry(folder: Path) -> EnginePackage:
    """The mean of all four views of a mammogram, each turned so that the chest wall is at the left."""
    views = [("lcc", "CC", "L"), ("rcc", "CC", "R"), ("lmlo", "MLO", "L"), ("rmlo", "MLO", "R")]
    names = [name for name, _, _ in views]
    nodes = [
        node("Concat", names, ["all"], axis=1),
        node("ReduceMean", ["all", "axes"], ["means"], keepdims=0),
    ]
    shape = [1, 1, "j", "i"]
    network = onnx_bytes(
        nodes,
        [(name, shape) for name in names],
        [("means", [1, 4], FLOAT)],
        {"axes": np.array([2, 3])},
    )
    inputs = "".join(
        picture_input(
            name,
            f'{{ tag = "Modality", equals = "MG" }}, {{ fact = "view", equals = "{view}" }}, '
            f'{{ fact = "laterality", equals = "{side}" }}',
            'rows_toward = "A"',
        )
        for name, view, side in views
    )
    feeds = ", ".join(f'{name} = {{ of = ["{name}"], axes = "ncji" }}' for name in names)
    gates = ", ".join(f"{name} = [1, 1, 8, 8]" for name in names)
    body = step(keys=f'inputs = {{ {feeds} }}\ninterpret = "regression"\n', gate=f"shapes = {{ {gates} }}")
    body += "".join(
        f'\n[[output]]\nmeasurement = "{name}"\nstep = "net"\nchannel = {n}\ntype = {LESION}\nunit = {ONE}\n'
        for n, name in enumerate(names)
    )
    return engine(folder, body, {"net.onnx": network}, inputs)
