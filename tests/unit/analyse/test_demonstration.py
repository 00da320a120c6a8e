"""What an engine that only demonstrates says of itself stands in each of its results."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.engine import load_package
from dicomnode.values import DEMONSTRATION, RemarkKind
from tests.unit.analyse.forms import LESION, engine, node, onnx_bytes, run, step

WHY = "It knows drawn lungs alone."
NET = onnx_bytes(
    [node("GlobalAveragePool", ["x"], ["mean"]), node("Flatten", ["mean"], ["out"])],
    [("x", [1, 1, "k", "j", "i"])],
    [("out", [1, 1], TensorProto.FLOAT)],
)
BODY = step(keys='interpret = "anomaly"\n[step.anomaly]\nscore = "out"\nnormals = [0.0, 1.0]\n') + (
    f'[[output]]\nclassification = "strange"\nstep = "net"\ntype = {LESION}\n'
)


@pytest.mark.parametrize("shown", [True, False])
def test_each_result_says_that_it_is_a_demonstration(shown: bool, tmp_path, make_volume) -> None:
    package = engine(tmp_path / "one", BODY, {"net.onnx": NET})
    if shown:
        path = package.folder / "engine.toml"
        text = path.read_text().replace('title = "A form"', 'title = "Demonstration: a form"')
        path.write_text(text.replace('use = "A test."', f'use = "A test."\ndemonstration = "{WHY}"'))
        package = load_package(package.folder)
    found = run(package, make_volume(np.full((6, 8, 10), 0.5, np.float32)))
    said = [one for one in found.remarks if one.text == WHY]
    assert [one.kind for one in said] == ([RemarkKind.QUALITY] if shown else [])
    assert found.provenance.details.get(DEMONSTRATION) == (WHY if shown else None)
