"""An engine that sees lungs twice: by classical code, and by a network in a spacing of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.analyse import Analyst
from dicomnode.engine import EnginePackage, load_package
from dicomnode.faults import NETWORK_FAILED, NodeError
from dicomnode.values import Findings, RemarkKind, Volume
from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest
from tests.unit.analyse.devices import CountingKernels, analysed, same
from tests.unit.analyse.forms import CT, TISSUE, engine, node, onnx_bytes, run, step

DENSE_HU = 150.0
FILLED = Chest(airways=False, balls=((-105.0, 0.0, 0.0, 32.0, DENSE_HU),))
LUNGS = '\n[[step]]\nalgorithm = "lungs"\nparameters = { work_mm = 3.0 }\n'
SOFTMAX = 'map = { activation = "softmax" }\n'
SEEN = (
    'resample_mm = [6.0, 6.0, 6.0]\ncrop = { of = "lungs", margin_mm = 300.0 }\ninterpret = "map"\n' + SOFTMAX
)
CHECKED = '\n[[step]]\nalgorithm = "lungs_checked"\nof = ["lungs", "net"]\n'


def lung_seer() -> bytes:
    """A network whose lungs are -850 HU, or as dense as the ball: right in the right half of its box."""
    nodes = [
        node("Sub", ["x", "air"], ["a"]), node("Abs", ["a"], ["b"]), node("Mul", ["b", "narrow"], ["c"]),
        node("Sub", ["x", "dense"], ["d"]), node("Abs", ["d"], ["e"]), node("Mul", ["e", "wide"], ["f"]),
        node("Max", ["c", "f"], ["g"]), node("Add", ["g", "two"], ["lung"]),
        node("Mul", ["x", "zero"], ["none"]), node("Exp", ["none"], ["ones"]),
        node("CumSum", ["ones", "last"], ["place"]), node("ReduceMax", ["place"], ["size"]),
        node("Mul", ["size", "half"], ["middle"]), node("Sub", ["place", "middle"], ["beyond"]),
        node("Relu", ["beyond"], ["on left"]), node("Neg", ["beyond"], ["before"]),
        node("Relu", ["before"], ["on right"]), node("Sub", ["lung", "on left"], ["right"]),
        node("Sub", ["lung", "on right"], ["left"]), node("Concat", ["none", "right", "left"], ["y"], axis=1),
    ]  # fmt: skip
    numbers = {"air": -850.0, "narrow": -1 / 60, "dense": DENSE_HU, "wide": -1 / 40, "two": 2.0}
    weights = {name: np.float32(value) for name, value in {**numbers, "zero": 0.0, "half": 0.5}.items()}
    weights["last"] = np.int64(4)
    box = [1, 1, "k", "j", "i"]
    return onnx_bytes(nodes, [("x", box)], [("y", [1, 3, "k", "j", "i"], TensorProto.FLOAT)], weights)


def output(side: str, of: str) -> str:
    return f"""
[[output]]
segment = "lung"
step = "{of}"
kind = "anatomy"
laterality = "{side}"
category = {TISSUE}
type = {TISSUE}
tracking = "{side}"
measure = ["volume_ml"]
"""


def twice(
    folder: Path, body: str = LUNGS + step(keys=SEEN) + CHECKED, of: str = "lungs_checked"
) -> EnginePackage:
    both = "".join(output(side, of) for side in ("right", "left"))
    return engine(folder, body + both, {"net.onnx": lung_seer()}, CT)


@pytest.fixture
def volume(make_volume) -> Volume:
    return make_volume(drawn.draw(FILLED).astype(np.int16), affine=drawn.affine())


def lungs_of(findings: Findings) -> dict[str, np.ndarray]:
    return {one.tracking_id: one.mask.to_array() for one in findings.segments}


def test_dense_lung_comes_in_and_the_reader_is_told(tmp_path, volume):
    alone = run(twice(tmp_path / "alone", LUNGS, "lungs"), volume)
    both = run(twice(tmp_path / "both"), volume)
    truth = drawn.lung("right", FILLED)
    before, after = lungs_of(alone)["right"], lungs_of(both)["right"]
    ball = (drawn.draw(FILLED) > 100.0) & truth
    assert (before & ball).sum() < 0.5 * ball.sum()
    assert (after & ball).sum() > 0.85 * ball.sum()
    assert np.array_equal(lungs_of(alone)["left"], lungs_of(both)["left"])
    said = [one for one in both.remarks if "by the network only" in one.text]
    assert len(said) == 1, [one.text for one in both.remarks]
    assert said[0].kind is RemarkKind.QUALITY
    assert "right lung" in said[0].text
    assert {one.algorithm for one in both.segments} == {f"{alone.segments[0].algorithm}, lungs_checked 1"}


def test_on_a_device_it_is_the_same(tmp_path, volume):
    package = twice(tmp_path / "both")
    on_device = analysed(package, {"ct": volume}, CountingKernels())
    assert same(on_device, analysed(package, {"ct": volume}))
    assert "spacing of its own" in str(on_device.provenance.details)


def test_what_was_not_seen_again_is_taken_over_and_said(tmp_path, volume):
    """The network is cropped to what another one found, which found nothing."""
    nothing = onnx_bytes(
        [node("Mul", ["x", "zero"], ["y"])],
        [("x", [1, 1, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], TensorProto.FLOAT)],
        {"zero": np.float32(0.0)},
    )
    body = (
        LUNGS
        + step("no.onnx", 'interpret = "sigmoid"')
        + step(keys=SEEN.replace('of = "lungs"', 'of = "no"'))
    )
    both = "".join(output(side, "lungs_checked") for side in ("right", "left"))
    package = engine(tmp_path / "e", body + CHECKED + both, {"no.onnx": nothing, "net.onnx": lung_seer()}, CT)
    found = run(package, volume)
    assert sorted(lungs_of(found)) == ["left", "right"]
    assert any("was not cross-checked" in one.text for one in found.remarks)


def test_a_map_of_other_classes_than_are_compared_is_named(tmp_path, volume):
    one = onnx_bytes(
        [node("Mul", ["x", "zero"], ["y"])],
        [("x", [1, 1, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], TensorProto.FLOAT)],
        {"zero": np.float32(0.0)},
    )
    both = "".join(output(side, "lungs_checked") for side in ("right", "left"))
    seen = SEEN.replace(SOFTMAX, "")
    package = engine(tmp_path / "e", LUNGS + step(keys=seen) + CHECKED + both, {"net.onnx": one}, CT)
    with pytest.raises(NodeError, match="map has 1 channels, lungs_checked compares 3 classes") as caught:
        run(package, volume)
    assert caught.value.fault is NETWORK_FAILED


def test_a_map_that_holds_no_probabilities_is_named(tmp_path, volume):
    """How sure the network is counts: 0.9 of a logit is another thing."""
    package = twice(tmp_path / "e", LUNGS + step(keys=SEEN.replace(SOFTMAX, "")) + CHECKED)
    with pytest.raises(NodeError, match="lungs_checked compares probabilities") as caught:
        run(package, volume)
    assert caught.value.fault is NETWORK_FAILED


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('of = ["lungs", "net"]', 'of = ["net", "lungs"]', "an algorithm with a mask"),
        (f'interpret = "map"\n{SOFTMAX}', 'interpret = "labels"\n', "a network with the map of 3 classes"),
        ('of = ["lungs", "net"]', "", "needs of"),
        ('of = ["lungs", "net"]', 'of = ["lungs", "net"]\nparameters = { taken = 3.0 }', "taken_ml"),
        ('algorithm = "lungs_checked"', 'algorithm = "lungs"\nname = "again"', "compares nothing"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused_when_the_engine_is_loaded(tmp_path, was, becomes, said):
    folder = tmp_path / "e"
    twice(folder)
    path = folder / "engine.toml"
    text = path.read_text().replace(was, becomes)
    path.write_text(text.replace('step = "lungs_checked"', 'step = "again"') if "again" in becomes else text)
    with pytest.raises(NodeError, match="DN-") as caught:
        Analyst(load_package(folder), node_version="9.9").close()
    assert said in str(caught.value)
