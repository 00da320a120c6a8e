"""A network that nobody of the project made, over windows.

It sees 30 voxels around itself, so what is near the faces of a window differs from what one pass gives: the
weights are what keeps it small.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from dicomnode.engine import Window, load_package, open_session
from tests.unit.analyse.one_input import infer_one

MANIFEST = """
schema = 1
name = "head"
version = "1.0.0"
title = "Grey and white matter"
use = "A test."
[[input]]
name = "mr"
kind = "volume"
require = [{{ tag = "Modality", equals = "MR" }}]
[[step]]
network = "model5_gw_ae.onnx"
sha256 = "{digest}"
window = "whole"
interpret = "labels"
[step.gate]
shape = [1, 1, 32, 32, 32]
low = 0.0
high = 1.0
[[output]]
segment = "tissue"
step = "model5_gw_ae"
kind = "tissue"
category = {{ scheme = "SCT", code = "85756007", meaning = "Tissue" }}
type = {{ scheme = "SCT", code = "12738006", meaning = "Brain" }}
tracking = "Brain"
"""


def head(path: Path) -> np.ndarray:
    """The inner part of a NIfTI-1 file (little endian, uint8), scaled to 0 … 1."""
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, "<i2", 8, 40)[1:4]
    offset = int(np.frombuffer(content, "<f4", 1, 108)[0])
    voxels = np.frombuffer(content, np.uint8, int(np.prod(shape)), offset).reshape(shape, order="F")
    inner = voxels[64:192, 64:192, 64:192].astype(np.float32)
    return np.ascontiguousarray((inner - inner.min()) / (inner.max() - inner.min()))


@pytest.mark.real_data
@pytest.mark.slow
def test_a_foreign_network_over_windows_gives_nearly_what_one_pass_gives(tmp_path, real_data):
    folder = real_data("models/brainchop-meshnet")
    content = (folder / "model5_gw_ae.onnx").read_bytes()
    (tmp_path / "model5_gw_ae.onnx").write_bytes(content)
    (tmp_path / "engine.toml").write_text(MANIFEST.format(digest=hashlib.sha256(content).hexdigest()))
    session = open_session(load_package(tmp_path), "model5_gw_ae", threads=2)
    try:
        (given,), (output,) = session.inputs, session.outputs
        box = head(folder / "t1_crop.nii.gz")

        def infer(tensor: np.ndarray) -> dict[str, np.ndarray]:
            return session.run({given.name: tensor})

        whole = infer_one(infer, box, Window())[output.name]
        parts = infer_one(infer, box, Window(size_kji=(96, 96, 96), overlap=0.5), multiple=8)[output.name]
    finally:
        session.close()
    assert parts.shape == whole.shape == (3, 128, 128, 128)
    classes = whole.argmax(axis=0)
    assert {0, 1, 2} == set(np.unique(classes))
    assert (parts.argmax(axis=0) == classes).mean() > 0.95
