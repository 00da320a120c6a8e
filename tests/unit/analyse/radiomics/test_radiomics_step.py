"""Radiomics as a step of an engine: of an earlier step's mask, as a row for heads and findings."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.analyse.radiomics import NAMES, row_of_region
from dicomnode.analyse.resample import Prepared
from dicomnode.faults import MANIFEST_WRONG, PREPARATION_NEEDS, NodeError
from dicomnode.values import RemarkKind
from tests.unit.analyse.forms import LESION, engine, node, onnx_bytes, run, step

MASK = (
    step(keys='interpret = "sigmoid"')
    + f"""[[output]]
segment = "blob"
step = "net"
kind = "anatomy"
category = {LESION}
type = {LESION}
tracking = "Blob"
"""
)
RADIOMICS = """
[[step]]
algorithm = "radiomics"
interpret = "features"
crop = { of = "net" }
parameters = { bin_width = 10 }
"""
ROW = '[[output]]\nfeatures = "texture"\nstep = "radiomics"\n'


def brighter_than(value: float) -> bytes:
    """A network whose logit is above 0 where the image is brighter than `value`."""
    return onnx_bytes(
        [node("Sub", ["x", "t"], ["out"])],
        [("x", [1, 1, "k", "j", "i"])],
        [("out", [1, 1, "k", "j", "i"], TensorProto.FLOAT)],
        {"t": np.array(value, np.float32)},
    )


def voxels() -> np.ndarray:
    image = np.zeros((10, 12, 14), np.float32)
    image[2:8, 3:9, 4:12] = np.random.default_rng(7).integers(100, 200, (6, 6, 8))
    return image


def test_the_row_is_that_of_the_mask_which_the_step_before_found(tmp_path, make_volume):
    image = voxels()
    package = engine(tmp_path / "e", MASK + RADIOMICS + ROW, {"net.onnx": brighter_than(50.0)})
    volume = make_volume(image, spacing=(2.0, 1.0, 1.0))
    (found,) = run(package, volume).features
    expected = row_of_region(Prepared(image, volume.grid), image > 50, 10.0)
    assert found.names == NAMES
    assert np.array_equal(found.values, expected.astype(np.float32))
    assert found.algorithm == "radiomics 1"


def test_the_names_that_are_wanted_are_given_in_their_order(tmp_path, make_volume):
    named = RADIOMICS + '[step.features]\nnames = ["shape_volume", "intensity_mean"]\n'
    package = engine(tmp_path / "e", MASK + named + ROW, {"net.onnx": brighter_than(50.0)})
    (found,) = run(package, make_volume(voxels())).features
    assert found.names == ("shape_volume", "intensity_mean")
    assert found.values[1] == pytest.approx(voxels()[voxels() > 50].mean())


def test_without_a_mask_all_of_the_image_is_measured(tmp_path, make_volume):
    body = RADIOMICS.replace('crop = { of = "net" }\n', "") + ROW
    package = engine(tmp_path / "e", body, {})
    (found,) = run(package, make_volume(voxels())).features
    assert found.values[NAMES.index("shape_voxel_volume")] == pytest.approx(10 * 12 * 14)
    assert found.values[NAMES.index("intensity_mean")] == pytest.approx(voxels().mean(), rel=1e-6)


@pytest.mark.parametrize("threshold", [500.0, 198.5], ids=["nothing found", "a few voxels"])
def test_a_mask_without_features_is_said_to_be_so_and_a_head_on_it_is_silent(
    tmp_path, make_volume, threshold
):
    head = onnx_bytes(
        [node("Gemm", ["row", "w"], ["p"])],
        [("row", [1, len(NAMES)])],
        [("p", [1, 1], TensorProto.FLOAT)],
        {"w": np.zeros((len(NAMES), 1), np.float32)},
    )
    gate = f"shape = [1, {len(NAMES)}]"
    on_it = step("head.onnx", 'interpret = "regression"\ninputs = { row = { of = "radiomics" } }', gate)
    unit = '{ scheme = "UCUM", code = "1", meaning = "no units" }'
    given = f'[[output]]\nmeasurement = "risk"\nstep = "head"\ntype = {LESION}\nunit = {unit}\n'
    image = voxels()
    image[image > 198] = 150.0
    image[3, 4, 5] = 199.0
    package = engine(
        tmp_path / "e",
        MASK + RADIOMICS + on_it + ROW + given,
        {"net.onnx": brighter_than(threshold), "head.onnx": head},
    )
    findings = run(package, make_volume(image))
    assert not findings.features
    assert not findings.measurements
    said = [one.text for one in findings.remarks if one.kind == RemarkKind.NOT_ANALYSED]
    assert any("texture: not determined" in text for text in said)
    assert any("risk: not determined" in text for text in said)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('interpret = "features"\ncrop = { of = "net" }\n', "", "gives a row of numbers"),
        ('interpret = "features"\n', "", 'an algorithm with interpret = "features"'),
        ("bin_width = 10", "bins = 10", "parameters are bin_width, spacing_mm, not bins"),
        ("bin_width = 10", "bin_width = 0", "bin_width is a number above 0"),
        ('of = "net"', 'of = "net", margin_mm = 5.0', "it has no margin"),
        ('of = "net"', 'of = "ned"', "the name of an earlier step"),
        ('interpret = "features"', 'interpret = "classes"', "belongs to a step with a network"),
        ("parameters =", '[step.features]\nnames = ["shape_volum"]\n#', "shape_volume"),
        ("parameters =", '[step.features]\npool = "max"\n#', "gives no map that is pooled"),
        ("parameters =", '[step.features]\nnames = ["shape_volume", "shape_volume"]\n#', "once"),
    ],
)
def test_what_cannot_be_is_refused_when_the_engine_is_loaded(tmp_path, make_volume, was, becomes, said):
    body = MASK + RADIOMICS.replace(was, becomes) + ("" if "interpret" in was else ROW)
    with pytest.raises(NodeError) as caught:
        run(engine(tmp_path / "e", body, {"net.onnx": brighter_than(50.0)}), make_volume(voxels()))
    assert caught.value.fault is MANIFEST_WRONG
    assert said in str(caught.value)


def test_shapes_need_scikit_image_and_textures_do_not(tmp_path, make_volume, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "dicomnode.analyse.checks.find_spec", lambda name: None if name == "skimage" else found(name)
    )
    networks = {"net.onnx": brighter_than(50.0)}
    with pytest.raises(NodeError) as caught:
        run(engine(tmp_path / "e", MASK + RADIOMICS + ROW, networks), make_volume(voxels()))
    assert caught.value.fault is PREPARATION_NEEDS
    named = RADIOMICS + '[step.features]\nnames = ["glcm_contrast"]\n'
    assert run(engine(tmp_path / "f", MASK + named + ROW, networks), make_volume(voxels())).features
