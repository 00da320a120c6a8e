"""Engines and volumes that show each form of the device path, for the host's kernels and for CUDA's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto

from dicomnode.engine import EnginePackage
from dicomnode.values import SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse.forms import CT, TISSUE, engine, node, onnx_bytes, step

FLOAT = TensorProto.FLOAT
SHAPE = (20, 30, 34)
LPS = np.array([[0.0, -0.9, 0.0, 10.0], [0.8, 0.0, 0.0, -5.0], [0.0, 0.0, 2.1, 3.0], [0.0, 0.0, 0.0, 1.0]])
SEGMENT = f'kind = "tissue"\ncategory = {TISSUE}\ntype = {TISSUE}\nmeasure = ["volume_ml", "mean_hu"]'
PREPARE = 'prepare = [ { orient = "LPS" }, { resample_mm = [2.0, 1.1, 1.3] }, { z_score = {} } ]\n'

Case = tuple[EnginePackage, dict[str, Volume]]


def volume(seed: int = 3, shape=SHAPE, affine=LPS, spots: int = 9) -> Volume:
    """Soft balls of several sizes in noise, int16, whose columns run to the back."""
    random = np.random.default_rng(seed)
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    voxels = random.normal(0.0, 30.0, shape)
    for _ in range(spots):
        centre = [random.uniform(2, n - 2) for n in shape]
        apart = sum(
            ((axis - at) * mm) ** 2 for axis, at, mm in zip(axes, centre, (2.1, 0.9, 0.8), strict=True)
        )
        voxels += random.uniform(100, 900) * np.exp(-apart / random.uniform(6.0, 40.0))
    return Volume(
        voxels=voxels.astype(np.int16),
        affine_lps=affine,
        unit=HOUNSFIELD,
        frame_of_reference_uid="1.2.3.9",
        study_instance_uid="1.2.3.1",
        series_instance_uid="1.2.3.2",
        frames=tuple(SourceFrame(f"1.2.3.2.{k + 1}") for k in range(shape[0])),
        headers=SourceHeaders(()),
    )


def classes(channels: int = 3, batch: int | str = "n", inputs: int = 1) -> bytes:
    """A 3 × 3 × 3 convolution of fixed random weights: a map with a channel a class, windows may differ."""
    random = np.random.default_rng(channels)
    weights = random.normal(0.0, 1.0, (channels, inputs, 3, 3, 3)).astype(np.float32)
    return onnx_bytes(
        [node("Conv", ["x", "w"], ["y"], pads=[1] * 6)],
        [("x", [batch, inputs, "k", "j", "i"])],
        [("y", [batch, channels, "k", "j", "i"], FLOAT)],
        {"w": weights},
    )


def segments(count: int, keys: Mapping[int, str] | None = None, of: str = "net", head: str = "") -> str:
    """Write [[output]] tables for so many classes."""
    keys = keys or {}
    of_head = f'head = "{head}"\n' if head else ""
    return "".join(
        f'[[output]]\nsegment = "{of}-{n}"\nstep = "{of}"\n{of_head}tracking = "T{n}"\n'
        f"{keys.get(n, '')}\n{SEGMENT}\n"
        for n in range(count)
    )


def mapped(interpret: str, window: str, more: str = "", keys: Mapping[int, str] | None = None):
    """An engine of one network whose map is read as classes."""

    def make(folder: Path) -> Case:
        text = f'window = {window}\ninterpret = "{interpret}"\n{more}'
        body = step(keys=text) + segments(2, keys)
        return engine(folder, body, {"net.onnx": classes()}, CT + PREPARE), {"ct": volume()}

    return make


def two_series(folder: Path) -> Case:
    pet = '[[input]]\nname = "pet"\nkind = "volume"\nrequire = [{ tag = "Modality", equals = "PT" }]\n'
    keys = (
        'window = { size_kji = [8, 12, 12], batch = 2 }\ninputs = { x = ["ct", "pet"] }\ninterpret = "labels"'
    )
    body = step(keys=keys, gate="shape = [1, 2, 8, 8, 8]") + segments(2)
    package = engine(folder, body, {"net.onnx": classes(inputs=2)}, CT + PREPARE + pet)
    return package, {"ct": volume(), "pet": volume(4, (15, 26, 30))}


def channels_of_one_image(folder: Path) -> Case:
    """Two series prepared together: the second lies on a grid of its own."""
    pet = '[[input]]\nname = "pet"\nkind = "volume"\nbeside_first = true\n'
    pet += 'require = [{ tag = "Modality", equals = "PT" }]\n'
    keys = 'window = { size_kji = [8, 12, 12] }\ninputs = { x = ["ct", "pet"] }\ninterpret = "labels"'
    body = step(keys=keys, gate="shape = [1, 2, 8, 8, 8]") + segments(2)
    package = engine(folder, body, {"net.onnx": classes(inputs=2)}, CT + PREPARE + pet + PREPARE)
    finer = LPS * np.array([0.9, 0.9, 0.6, 1.0])
    return package, {"ct": volume(), "pet": volume(4, (33, 33, 37), finer)}


def chained(folder: Path, second: str = 'interpret = "labels"') -> Case:
    """The second network is cropped to what the first found, and fed with it as a channel."""
    body = step(
        "first.onnx",
        'window = { size_kji = [8, 12, 12] }\ninterpret = "sigmoid"\n[step.sigmoid]\nthreshold = 0.9',
    )
    keys = 'crop = { of = "first", margin_mm = 2.0, multiple = 4, pad = -3.0 }\n'
    keys += (
        'window = { size_kji = [8, 12, 12], overlap = 0.25, batch = 3 }\ninputs = { x = ["ct", "first"] }\n'
    )
    body += step(keys=keys + second, gate="shape = [1, 2, 8, 8, 8]")
    body += segments(1, of="first") + segments(2)
    networks = {"first.onnx": classes(1, batch=1), "net.onnx": classes(inputs=2)}
    few = volume(spots=1)
    return engine(folder, body, networks, CT + PREPARE), {"ct": few}


def two_heads(folder: Path) -> Case:
    """A mask on the device, and a map that stays numbers, of one run; the second comes down."""
    network = onnx_bytes(
        [node("Conv", ["x", "w"], ["y"], pads=[1] * 6), node("Neg", ["x"], ["m"])],
        [("x", [1, 1, "k", "j", "i"])],
        [("y", [1, 2, "k", "j", "i"], FLOAT), ("m", [1, 1, "k", "j", "i"], FLOAT)],
        {"w": np.random.default_rng(5).normal(0, 1, (2, 1, 3, 3, 3)).astype(np.float32)},
    )
    heads = "window = { size_kji = [8, 12, 12] }\n"
    heads += '[[step.head]]\nname = "a"\noutput = "y"\ninterpret = "sigmoid"\n'
    heads += '[[step.head]]\nname = "b"\noutput = "m"\ninterpret = "map"\n'
    one = '{ scheme = "UCUM", code = "1", meaning = "no units" }'
    body = step(keys=heads) + segments(2, head="a")
    body += f'[[output]]\nmap = "minus"\nstep = "net"\nhead = "b"\ntype = {TISSUE}\nunit = {one}\n'
    return engine(folder, body, {"net.onnx": network}, CT + PREPARE), {"ct": volume()}


def of_slices(axes: str, inputs: int, window: str) -> Callable[[Path], Case]:
    """A network of planes, with other axes than the node's."""

    def make(folder: Path) -> Case:
        random = np.random.default_rng(7)
        weights = random.normal(0, 1, (3, inputs, 3, 3)).astype(np.float32)
        network = onnx_bytes(
            [node("Conv", ["x", "w"], ["y"], pads=[1] * 4)],
            [("x", ["n", inputs, "j", "i"])],
            [("y", ["n", 3, "j", "i"], FLOAT)],
            {"w": weights},
        )
        source = ["ct", "pet"][:inputs]
        feed = f'inputs = {{ x = {{ of = {source!r}, axes = "{axes}" }} }}'.replace("'", '"')
        keys = f'window = {window}\n{feed}\ninterpret = "labels"'
        body = step(keys=keys, gate=f"shape = [1, {inputs}, 8, 8]") + segments(2)
        pet = '[[input]]\nname = "pet"\nkind = "volume"\nrequire = [{ tag = "Modality", equals = "PT" }]\n'
        given = CT + PREPARE + (pet if inputs == 2 else "")
        volumes = {"ct": volume(), "pet": volume(4)}
        return engine(folder, body, {"net.onnx": network}, given), {name: volumes[name] for name in source}

    return make


WINDOWS = {
    "whole": '"whole"',
    "whole, mirrored": '{ mirror = ["k", "i"] }',
    "even": "{ size_kji = [8, 12, 12] }",
    "even, batch of 3": "{ size_kji = [8, 12, 12], overlap = 0.3, batch = 3 }",
    "monai": '{ size_kji = [8, 12, 16], overlap = 0.25, rule = "monai", batch = 2 }',
    "monai, constant": '{ size_kji = [8, 12, 16], rule = "monai", blend = "constant" }',
    "monai, padded": '{ size_kji = [40, 12, 48], rule = "monai", pad_value = -2.0 }',
    "nnunet, mirrored": '{ size_kji = [8, 12, 16], rule = "nnunet", mirror = ["k", "j"], batch = 2 }',
    "nnunet, padded": '{ size_kji = [32, 16, 16], rule = "nnunet", pad = "reflect", mirror = ["i"] }',
}
WINDOW = WINDOWS["even, batch of 3"]

CASES: dict[str, Callable[[Path], Case]] = {
    **{f"labels, {name}": mapped("labels", window) for name, window in WINDOWS.items()},
    **{
        f"sigmoid, {name}": mapped("sigmoid", WINDOWS[name])
        for name in ("whole", "whole, mirrored", "even", "nnunet, mirrored")
    },
    "labels of probabilities": mapped("labels", WINDOW, '[step.labels]\ninterpolate = "probabilities"'),
    "labels of classes": mapped("labels", WINDOW, '[step.labels]\ninterpolate = "classes"'),
    "labels across thick slices": mapped("labels", WINDOW, '[step.labels]\nthick_slices = "nearest"'),
    "sigmoid of probabilities": mapped("sigmoid", WINDOW, '[step.sigmoid]\ninterpolate = "probabilities"'),
    "sigmoid of classes": mapped(
        "sigmoid", WINDOW, '[step.sigmoid]\ninterpolate = "classes"\nthreshold = 0.8'
    ),
    "sigmoid, exclusive": mapped("sigmoid", WINDOW, "[step.sigmoid]\nexclusive = true"),
    "largest part": mapped("labels", WINDOW, keys={0: "largest = 2", 1: "largest = 1"}),
    "largest part of sigmoid": mapped("sigmoid", WINDOW, keys={0: "largest = 1"}),
    "channels out of order": mapped("labels", WINDOW, keys={0: "channel = 2", 1: "channel = 0"}),
    "two series": two_series,
    "channels of one image": channels_of_one_image,
    "chained": chained,
    "chained, sigmoid": lambda folder: chained(folder, 'interpret = "sigmoid"'),
    "chained, sigmoid of probabilities": lambda folder: chained(
        folder, 'interpret = "sigmoid"\n[step.sigmoid]\ninterpolate = "probabilities"'
    ),
    "chained, labels of classes": lambda folder: chained(
        folder, 'interpret = "labels"\n[step.labels]\ninterpolate = "classes"'
    ),
    "two heads": two_heads,
    "slices": of_slices("ncji", 1, '"whole"'),
    "slices of two series": of_slices("ncji", 2, '"whole"'),
    "slices of two series in windows": of_slices("ncji", 2, "{ size_kji = [1, 12, 12], batch = 4 }"),
    "thick windows of slices": of_slices("ncji", 2, "{ size_kji = [4, 12, 12], batch = 4 }"),
}
