"""Engines for the tests of the forms: an engine.toml from its parts, and networks whose weights are known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine import EnginePackage, load_package
from dicomnode.values import Findings, SourceHeaders, Volume

HEAD = """
schema = 1
name = "{name}"
version = "1.0.0"
title = "A form"
use = "A test."
"""
CT = """
[[input]]
name = "ct"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }]
"""
LESION = '{ scheme = "SCT", code = "52988006", meaning = "Lesion" }'
TISSUE = '{ scheme = "SCT", code = "85756007", meaning = "Tissue" }'
ONE = '{ scheme = "UCUM", code = "1", meaning = "no units" }'
HU = '{ scheme = "UCUM", code = "[hnsf\'U]", meaning = "Hounsfield unit" }'

Tensor = tuple[str, Sequence[int | str | None]]


def onnx_bytes(
    nodes: Sequence[NodeProto],
    inputs: Sequence[Tensor],
    outputs: Sequence[tuple[str, Sequence[int | str | None], int]],
    weights: Mapping[str, object] | None = None,
) -> bytes:
    """Make an ONNX file: inputs are float32 of a shape, outputs of a shape and an element type."""
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "form",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs],
        [helper.make_tensor_value_info(name, kind, list(shape)) for name, shape, kind in outputs],
        stored,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object) -> NodeProto:
    """Make one node of a graph."""
    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def engine(folder: Path, body: str, networks: Mapping[str, bytes], inputs: str = CT) -> EnginePackage:
    """Write an engine whose steps and outputs are `body`, and load it. SHA(net.onnx) is filled in."""
    folder.mkdir(parents=True)
    text = HEAD.format(name=folder.name) + inputs + body
    for file, content in networks.items():
        (folder / file).write_bytes(content)
        text = text.replace(f"SHA({file})", hashlib.sha256(content).hexdigest())
    (folder / "engine.toml").write_text(text)
    return load_package(folder)


def step(file: str = "net.onnx", keys: str = "", gate: str = "shape = [1, 1, 8, 8, 8]") -> str:
    """Write a step with a network over the whole box; `keys` of the step, then tables of it."""
    plain, bracket, tables = keys.partition("[[step.head")
    if not bracket:
        plain, bracket, tables = keys.partition("[step.")
    return f"""
[[step]]
network = "{file}"
sha256 = "SHA({file})"
{plain if "window" in plain else 'window = "whole"' + chr(10) + plain}
{bracket}{tables}
[step.gate]
{gate}
low = 0.0
high = 1.0
"""


def run(package: EnginePackage, *volumes: Volume, names: Sequence[str] = ("ct", "pet")) -> Findings:
    """Analyse volumes, the first of them as "ct"."""
    analyst = Analyst(package, threads=1, node_version="9.9")
    try:
        analyst.warm()
        given = dict(zip(names, volumes, strict=False))
        when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        return analyst.analyse(Analysis(volumes=given, salt=b"s" * 32, study_version=1, made_at=when))
    finally:
        analyst.close()


def headers(**attributes: object) -> SourceHeaders:
    """Make the headers of a series of one instance."""
    header = Dataset()
    header.SOPClassUID = CTImageStorage
    header.SOPInstanceUID = "1.2.3.2.1"
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content = BytesIO()
    header.save_as(content, enforce_file_format=True)
    return SourceHeaders((content.getvalue(),))
