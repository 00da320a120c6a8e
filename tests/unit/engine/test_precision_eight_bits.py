"""int8 and fp8: explicit Q/DQ around convolutions, in the form that TensorRT's parser takes."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from dicomnode.engine.precision import convert
from dicomnode.faults import CALIBRATION_WRONG, CONVERSION_REFUSED, NodeError
from tests.unit.engine.test_precision import FEEDS, LUNG_CT, LUNG_FEEDS, Net, network_with, outside

EIGHT = {"int8": TensorProto.INT8, "fp8": TensorProto.FLOAT8E4M3FN}


@pytest.fixture(scope="module", params=list(EIGHT))
def made(request):
    content, report = convert(LUNG_CT, request.param, LUNG_FEEDS)
    return request.param, onnx.load_from_string(content), report


def test_the_shipped_network_becomes_a_quarter_as_large_and_roughly_agrees(made):
    precision, model, report = made
    checker.check_model(model)
    assert report.weight_bytes < 0.26 * report.weight_bytes_before
    assert outside(model) == {TensorProto.FLOAT}
    assert model.ir_version <= 10
    assert report.opset == (17 if precision == "int8" else 19)
    # Figures, and no acceptance: what serves is decided by the gate
    assert all(0 < one.relative_l2 < 0.05 for one in report.agreement)


def test_every_convolution_takes_its_numbers_through_a_pair_and_its_bias_in_fp32(made):
    precision, model, _ = made
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 22
    for node in convolutions:
        data, weight = makers[node.input[0]], makers[node.input[1]]
        assert data.op_type == weight.op_type == "DequantizeLinear"
        assert makers[data.input[0]].op_type == "QuantizeLinear"
        assert weights[weight.input[0]].data_type == EIGHT[precision]
        # int32 biases are what TensorRT's parser refuses
        assert len(node.input) < 3 or weights[node.input[2]].data_type == TensorProto.FLOAT


def test_scales_are_symmetric_and_one_an_output_channel_of_weights(made):
    _, model, _ = made
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        assert not weights[node.input[2]].astype(np.float32).any()
        if node.input[0] in weights:
            assert weights[node.input[1]].shape == (weights[node.input[0]].shape[0],)
            assert next(one.i for one in node.attribute if one.name == "axis") == 0


def test_weights_are_rounded_to_the_nearest_step(made):
    precision, model, _ = made
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    before = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(LUNG_CT).graph.initializer}
    checked = 0
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in weights:
            continue
        name = node.input[0].removesuffix("_QuantizeLinear_Output")
        scale = weights[node.input[1]].reshape(-1, *[1] * (before[name].ndim - 1))
        found = weights[node.input[0]].astype(np.float32) * scale
        # Of int8 half a step; E4M3 has three bits behind the point: a sixteenth of the number
        most = 0.5001 * scale if precision == "int8" else np.abs(before[name]) / 16 + scale * 2**-9
        assert (np.abs(found - before[name]) <= most).all()
        checked += 1
    assert checked == 22


@pytest.mark.parametrize("precision", list(EIGHT))
def test_inputs_of_the_site_decide_the_ranges(precision, tmp_path):
    def scale_of_input(largest: float) -> float:
        folder = tmp_path / f"{precision}-{largest}"
        folder.mkdir()
        np.savez(folder / "1.npz", x=np.full((1, 2, 8, 8, 8), largest, np.float32))
        model = onnx.load_from_string(convert(content, precision, type(FEEDS)(folder=str(folder)))[0])
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        node = next(
            one for one in model.graph.node if one.op_type == "QuantizeLinear" and one.input[0] == "x"
        )
        return float(numpy_helper.to_array(weights[node.input[1]]))

    content = network_with("Relu").model("y").SerializeToString()
    largest = 127 if precision == "int8" else 448
    assert scale_of_input(1.0) == pytest.approx(1 / largest, rel=1e-5)
    assert scale_of_input(10.0) == pytest.approx(10 / largest, rel=1e-5)


@pytest.mark.parametrize("precision", list(EIGHT))
def test_without_inputs_nothing_is_quantised(precision):
    with pytest.raises(NodeError) as caught:
        convert(LUNG_CT, precision)
    assert caught.value.fault is CALIBRATION_WRONG


@pytest.mark.parametrize("precision", list(EIGHT))
def test_a_network_without_a_convolution_is_refused(precision):
    net = Net()
    net.add("Relu", "x", name="y")
    with pytest.raises(NodeError, match="it has no convolution") as caught:
        convert(net.model("y").SerializeToString(), precision, FEEDS)
    assert caught.value.fault is CONVERSION_REFUSED


def test_inputs_that_the_network_does_not_take_are_refused_in_a_sentence():
    with pytest.raises(NodeError, match="could not quantise it") as caught:
        convert(LUNG_CT, "int8", type(FEEDS)(shapes={"": (1, 3, 4)}))
    assert caught.value.fault is CONVERSION_REFUSED


def test_the_library_writes_nothing_to_us(capfd):
    root = logging.getLogger()
    level = root.level
    convert(LUNG_CT, "fp8", LUNG_FEEDS)
    assert root.level == level
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


def test_a_network_that_is_quantised_already_is_not_quantised_twice():
    """Its numbers are what its maker wanted: it runs as fp32, as it says."""
    content = convert(network_with("Relu").model("y").SerializeToString(), "int8", FEEDS)[0]
    counts = [
        sum(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(one).graph.node)
        for one in (content, convert(content, "fp16", FEEDS)[0])
    ]
    assert counts[0] == counts[1] > 0
    assert helper.find_min_ir_version_for(onnx.load_from_string(content).opset_import) <= 10
