"""fp32 networks as fp16 and bf16: the outside stays fp32, and so does what half precision would ruin."""

from __future__ import annotations

import io
import math
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from dicomnode.engine import shipped_engines_dir
from dicomnode.engine.plans.profiles import onnx_inputs
from dicomnode.engine.precision import Calibration, conversion_of, convert
from dicomnode.engine.precision.narrow import KEPT
from dicomnode.engine.precision.types import schema_of, types_of
from dicomnode.faults import CALIBRATION_WRONG, CONVERSION_REFUSED, CONVERTER_MISSING, NodeError

FLOAT, FP16, BF16 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16
LUNG_CT = (shipped_engines_dir() / "lung-ct" / "nodules.onnx").read_bytes()
LUNG_FEEDS = Calibration(shapes={"": (1, 1, 32, 48, 64)}, low=-1000, high=400, count=2)
FEEDS = Calibration(shapes={"": (1, 2, 8, 8, 8)}, low=-1, high=1, count=2)


class Net:
    """A small network with the input x (1, 2, 8, 8, 8), drawn a node at a time."""

    def __init__(self, opset: int = 21) -> None:
        self.nodes, self.weights, self.opset = [], [], opset
        self._random = np.random.default_rng(4)

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: object) -> str:
        name = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def weight(self, *shape: int, scale: float = 0.1) -> str:
        return self.constant((self._random.standard_normal(shape) * scale).astype(np.float32))

    def constant(self, values) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def conv(self, x: str, channels: tuple[int, int] = (2, 4)) -> str:
        return self.add("Conv", x, self.weight(channels[1], channels[0], 3, 3, 3), pads=[1] * 6)

    def model(self, *outputs: str, ir_version: int = 10) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", FLOAT, [1, 2, 8, 8, 8])],
            [helper.make_tensor_value_info(name, FLOAT, [None] * 5) for name in outputs],
            self.weights,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def converted(model: onnx.ModelProto | bytes, precision: str = "fp16", feeds: Calibration | None = FEEDS):
    content = model if isinstance(model, bytes) else model.SerializeToString()
    made, report = convert(content, precision, feeds)
    return onnx.load_from_string(made), report


def input_types(model: onnx.ModelProto) -> dict[str, set[int]]:
    """Types that each kind of operator takes, of its inputs that may have any floating type."""
    model = onnx.shape_inference.infer_shapes(model)
    opset, found = model.opset_import[0].version, {}

    def look(graph, outer) -> None:
        types = types_of(graph, outer, opset)
        for node in graph.node:
            schema = schema_of(node, opset)
            kinds = {
                types[name]
                for position, name in enumerate(node.input)
                if name and types[name] in (FLOAT, FP16, BF16)
                and len(schema.inputs[min(position, len(schema.inputs) - 1)].types) > 1
            }  # fmt: skip
            found.setdefault(node.op_type, set()).update(kinds)
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    look(attribute.g, types)

    look(model.graph, {})
    return found


def outside(model: onnx.ModelProto) -> set[int]:
    return {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}


def network_with(kind: str) -> Net:
    """A convolution, an operator, and a convolution: the operator is where halves have begun."""
    net = Net()
    x = net.conv("x")
    ones, zeros = net.constant(np.ones(4, np.float32)), net.constant(np.zeros(4, np.float32))
    if kind in ("InstanceNormalization", "GroupNormalization"):
        x = net.add(kind, x, ones, zeros, **({"num_groups": 2} if kind.startswith("Group") else {}))
    elif kind == "LayerNormalization":
        x = net.add(kind, x, net.constant(np.ones(8, np.float32)))
    elif kind == "BatchNormalization":
        x = net.add(kind, x, ones, zeros, zeros, ones)
    elif kind == "Resize":
        x = net.add(kind, x, "", net.constant(np.array([1, 1, 2, 2, 2], np.float32)), mode="linear")
    elif kind == "ConvTranspose":
        x = net.add(kind, x, net.weight(4, 4, 2, 2, 2), strides=[2, 2, 2])
    elif kind == "ReduceMean":
        x = net.add("Sub", x, net.add(kind, x, net.constant(np.array([2, 3, 4])), keepdims=1))
    elif kind == "Softmax":
        x = net.add(kind, x, axis=1)
    elif kind == "Clip":
        x = net.add(kind, x, net.constant(np.float32(-1)), net.constant(np.float32(6)))
    else:
        x = net.add(kind, x)
    net.add("Conv", x, net.weight(3, 4, 1, 1, 1), name="y")
    return net


STAYS = [
    "InstanceNormalization", "GroupNormalization", "LayerNormalization", "ReduceMean", "Softmax", "Resize",
    "GlobalAveragePool", "Exp",
]  # fmt: skip
NARROWS = ["Relu", "BatchNormalization", "ConvTranspose", "Clip", "Sigmoid", "LeakyRelu"]


@pytest.mark.parametrize("kind", STAYS)
def test_what_half_precision_would_ruin_stays_fp32(kind):
    model, report = converted(network_with(kind).model("y"))
    types = input_types(model)
    assert types[kind] == {FLOAT}
    assert FP16 in types["Conv"]
    assert report.kept[kind] == 1
    assert outside(model) == {FLOAT}
    assert report.agreement[0].relative_l2 < 0.01
    assert report.agreement[0].argmax > 0.98


@pytest.mark.parametrize("kind", NARROWS)
def test_everything_else_computes_in_fp16(kind):
    model, report = converted(network_with(kind).model("y"))
    assert input_types(model)[kind] == {FP16}
    assert outside(model) == {FLOAT}
    assert report.casts == 2  # one at the input, one at the output
    assert 0 < report.agreement[0].relative_l2 < 0.01


def test_the_shipped_network_becomes_half_as_large_and_agrees():
    content, report = convert(LUNG_CT, "fp16", LUNG_FEEDS)
    before, model = onnx.load_from_string(LUNG_CT), onnx.load_from_string(content)
    checker.check_model(model, full_check=True)
    assert len(content) < 0.51 * len(LUNG_CT)
    assert report.weight_bytes < 0.501 * report.weight_bytes_before
    assert model.opset_import[0].version == before.opset_import[0].version == report.opset
    assert model.ir_version <= 10
    assert outside(model) == {FLOAT}
    assert [one.name for one in onnx_inputs(content)] == ["hu"]
    types = input_types(model)
    assert types["Conv"] == {FP16}
    assert types["Resize"] == {FLOAT}
    assert {one.output for one in report.agreement} == {"heat", "logd", "mask"}
    assert all(one.relative_l2 < 1e-3 and one.max_abs < 0.02 for one in report.agreement)
    assert report.flushed == 11  # of a million weights
    assert "relative L2" in report.sentence


def test_the_same_network_becomes_the_same_bytes():
    assert convert(LUNG_CT, "fp16")[0] == convert(LUNG_CT, "fp16")[0]


def test_fp32_keeps_its_numbers():
    content, report = convert(LUNG_CT, "fp32", LUNG_FEEDS)
    assert report.weight_bytes == report.weight_bytes_before
    assert {one.max_abs for one in report.agreement} == {0.0}
    assert TensorProto.FLOAT16 not in {t.data_type for t in onnx.load_from_string(content).graph.initializer}


def test_bf16_is_given_with_the_opset_that_has_it_and_the_reason_why_it_was_not_compared():
    model, report = converted(LUNG_CT, "bf16", LUNG_FEEDS)
    checker.check_model(model, full_check=True)
    types = input_types(model)
    assert types["Conv"] == {BF16}
    assert types["Resize"] == {FLOAT}
    assert (report.opset, model.ir_version) == (22, 8)
    assert outside(model) == {FLOAT}
    assert report.weight_bytes < 0.501 * report.weight_bytes_before
    assert report.agreement == ()
    assert "cannot run it" in report.not_compared
    assert "Conv" in report.not_compared


def test_a_bf16_transposed_convolution_stays_fp32():
    model, _ = converted(network_with("ConvTranspose").model("y"), "bf16", None)
    types = input_types(model)
    assert types["ConvTranspose"] == {FLOAT}
    assert types["Conv"] == {BF16}


@pytest.mark.parametrize("square", ["Mul", "Pow", "ReduceSumSquare"])
def test_a_norm_of_single_operators_never_squares_in_fp16(square):
    """Deviations of 300 (σ of some CT activations) have squares of 90000: infinite in fp16."""
    net = Net()
    x = net.conv("x")
    axes = net.constant(np.array([2, 3, 4]))
    off = net.add("Sub", x, net.add("ReduceMean", x, axes, keepdims=1))
    if square == "ReduceSumSquare":
        variance = net.add("Div", net.add(square, off, axes, keepdims=1), net.constant(np.float32(512)))
    else:
        second = off if square == "Mul" else net.constant(np.float32(2))
        variance = net.add("ReduceMean", net.add(square, off, second), axes, keepdims=1)
    root = net.add("Sqrt", net.add("Add", variance, net.constant(np.float32(1e-5)), name="variance"))
    net.add("Conv", net.add("Div", off, root), net.weight(3, 4, 1, 1, 1), name="y")
    net.weights[0].CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(net.weights[0]) * np.float32(3000), net.weights[0].name)
    )
    model, report = converted(net.model("y"))
    types = input_types(model)
    assert types["Conv"] == {FP16}
    assert types[square] == {FLOAT}
    assert types["ReduceMean"] == {FLOAT}
    # All of the way from the square to the root, and not only its first step
    assert types["Sqrt"] == {FLOAT}
    assert types["Add"] == {FLOAT} or square == "ReduceSumSquare"
    assert report.agreement[0].relative_l2 < 0.01


def test_arithmetic_on_shapes_stays_exact():
    """As exporters write "twice as long": Shape, Cast to float, Mul, Cast to int, Resize."""
    net = Net()
    x = net.conv("x")
    lengths = net.add("Cast", net.add("Shape", x), to=FLOAT)
    doubled = net.add("Mul", lengths, net.constant(np.array([1, 1, 2, 2, 2], np.float32)))
    x = net.add("Resize", x, "", "", net.add("Cast", doubled, to=TensorProto.INT64), mode="nearest")
    net.add("Conv", x, net.weight(3, 4, 1, 1, 1), name="y")
    model, _ = converted(net.model("y"))
    assert input_types(model)["Mul"] == {FLOAT}


def test_what_comes_before_the_first_convolution_stays_fp32():
    net = Net()
    x = net.add("Div", net.add("Sub", "x", net.constant(np.float32(300))), net.constant(np.float32(70)))
    net.add("Relu", net.conv(x), name="y")
    model, report = converted(net.model("y"))
    types = input_types(model)
    assert (types["Sub"], types["Div"], types["Conv"]) == ({FLOAT}, {FLOAT}, {FP16})
    assert report.casts == 2


def test_constants_are_weights_like_others_and_one_used_in_both_types_is_there_in_both():
    net = Net()
    scale = helper.make_tensor("v", FLOAT, [4, 1, 1, 1], [0.5, 1, 2, 4])
    net.nodes.append(helper.make_node("Constant", [], ["scale"], value=scale))
    net.nodes.append(helper.make_node("Constant", [], ["one"], value_float=1.0))
    x = net.add("Mul", net.conv("x"), "scale")
    x = net.add("Resize", x, "", net.constant(np.array([1, 1, 2, 2, 2], np.float32)), mode="linear")
    x = net.add("Softmax", net.add("Mul", net.conv(x, (4, 4)), "scale"), axis=1)
    net.add("Mul", net.add("Exp", net.add("Mul", x, "one")), "scale", name="y")
    model, _ = converted(net.model("y"))
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds["scale"] == FLOAT
    assert kinds["scale__float16"] == FP16
    assert "Constant" not in {node.op_type for node in model.graph.node}


def test_a_subgraph_is_converted_with_the_values_of_the_graph_around_it():
    net = Net()
    x = net.conv("x")
    inner = net.weight(4, 4, 1, 1, 1)
    branches = {}
    for branch in ("then", "else"):
        made = helper.make_node("Conv", [x, inner], [f"{branch}_conv"], name=f"{branch}_conv")
        last = helper.make_node("Relu" if branch == "then" else "Neg", [made.output[0]], [f"{branch}_out"])
        out = helper.make_tensor_value_info(f"{branch}_out", FLOAT, [1, 4, 8, 8, 8])
        branches[f"{branch}_branch"] = helper.make_graph([made, last], branch, [], [out])
    truth = net.constant(np.array(True))
    net.add("Conv", net.add("If", truth, **branches), net.weight(3, 4, 1, 1, 1), name="y")
    model, report = converted(net.model("y"))
    types = input_types(model)
    assert types["Relu"] | types["Neg"] == {FP16}
    assert types["Conv"] == {FP16}
    assert outside(model) == {FLOAT}
    assert report.agreement[0].relative_l2 < 0.01


def test_a_weight_or_a_value_may_be_an_output_and_an_output_may_be_used_again():
    net = Net()
    middle = net.add("Relu", net.conv("x"), name="middle")
    net.add("Conv", middle, net.weight(3, 4, 1, 1, 1), name="y")
    model, report = converted(net.model("middle", "y", net.weights[0].name))
    assert [value.name for value in model.graph.output] == ["middle", "y", "w0"]
    assert outside(model) == {FLOAT}
    assert report.agreement[2].max_abs == 0.0
    assert report.casts == 3  # the second convolution takes what was there before the Cast


@pytest.mark.parametrize(("value", "row"), [(65504.0, None), (70000.0, "70000"), (math.inf, None)])
def test_a_weight_beyond_fp16_is_refused_and_named(value, row):
    net = Net()
    net.add("Add", net.conv("x"), net.constant(np.array([value], np.float32)), name="y")
    if row is None:
        converted(net.model("y"), feeds=None)
    else:
        with pytest.raises(NodeError, match="w1 holds 70000, the largest number of fp16 is 65504") as caught:
            converted(net.model("y"))
        assert caught.value.fault is CONVERSION_REFUSED
        converted(net.model("y"), "bf16", None)  # has the range of fp32


def test_weights_that_become_nothing_are_counted():
    net = Net()
    net.add("Add", net.conv("x"), net.constant(np.array([1e-9], np.float32)), name="y")
    assert converted(net.model("y"))[1].flushed == 1


def test_a_network_of_an_old_form_is_brought_up_to_date():
    """Before IR 4 the weights were inputs too; axes were attributes before opset 13."""
    net = Net(opset=12)
    x = net.add("ReduceMean", net.conv("x"), axes=[2, 3, 4], keepdims=1)
    net.add("Conv", x, net.weight(3, 4, 1, 1, 1), name="y")
    old = net.model("y", ir_version=3)
    old.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in net.weights
    )
    model, report = converted(old)
    assert [value.name for value in model.graph.input] == ["x"]
    assert (report.opset, model.ir_version) == (13, 8)
    assert report.agreement[0].relative_l2 < 0.01


@pytest.mark.parametrize(
    "content",
    [
        b"no network",
        b"",
        LUNG_CT[:-1000],
        helper.make_model(helper.make_graph([], "g", [], []), opset_imports=[]).SerializeToString(),
    ],
    ids=["text", "nothing", "cut off", "no operators"],
)
def test_what_is_no_network_is_refused(content):
    with pytest.raises(NodeError) as caught:
        convert(content, "fp16")
    assert caught.value.fault is CONVERSION_REFUSED


def test_operators_of_others_stay_as_they_are():
    net = Net()
    x = net.conv("x")
    net.nodes.append(helper.make_node("FusedThing", [x], ["own"], domain="com.example"))
    net.add("Relu", net.conv("own", (4, 3)), name="y")
    model = net.model("y")
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    made, report = converted(model)
    own = next(node for node in made.graph.node if node.op_type == "FusedThing")
    maker = {name: node for node in made.graph.node for name in node.output}[own.input[0]]
    assert (maker.op_type, maker.attribute[0].i) == ("Cast", FLOAT)
    # Nobody can say of which type its output is: what takes it stays fp32
    assert report.kept == {"FusedThing": 1, "Conv": 1}
    assert "cannot run it" in report.not_compared


def test_an_unknown_precision_is_a_bug():
    with pytest.raises(ValueError, match="fp64"):
        convert(LUNG_CT, "fp64")


def test_without_the_onnx_package_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NodeError) as caught:
        convert(LUNG_CT, "fp16")
    assert caught.value.fault is CONVERTER_MISSING
    assert "pip install 'dicomnode[convert]'" in caught.value.remedy


def test_without_inputs_nothing_is_compared_and_that_is_said():
    report = convert(LUNG_CT, "fp16")[1]
    assert report.agreement == ()
    assert report.not_compared == "no inputs were given to compare with"
    assert "not compared" in report.sentence


def test_kept_operators_are_operators():
    assert [kind for kind in KEPT if not onnx.defs.has(kind)] == []


def test_a_conversion_adds_the_casts_that_it_tells_and_no_other_node():
    model, report = converted(network_with("Resize").model("y"), feeds=None)
    assert len(model.graph.node) - report.casts == len(network_with("Resize").nodes)


# ── what a key says of the conversion ──


def test_a_key_tells_conversions_apart_by_library_and_calibration():
    other = Calibration(shapes={"": (1, 2, 8, 8, 8)}, low=-1, high=2)
    said = [
        conversion_of("fp32"),
        conversion_of("fp16"),
        conversion_of("int8", FEEDS),
        conversion_of("int8", other),
    ]
    assert said[0] == ""
    assert len(set(said)) == 4
    assert f"onnx {onnx.__version__}" in said[1]
    assert "onnxruntime" in said[2]


def test_a_folder_of_inputs_is_told_by_its_contents_and_not_by_its_place(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "1.npz", x=np.arange(3))
    digests = [Calibration(folder=str(tmp_path / name)).digest for name in ("a", "b")]
    assert digests[0] == digests[1]
    np.savez(tmp_path / "b" / "2.npz", x=np.arange(3))
    assert Calibration(folder=str(tmp_path / "b")).digest != digests[0]


def test_inputs_of_a_folder_are_given_by_name_in_the_order_of_their_files(tmp_path):
    np.savez(tmp_path / "2.npz", x=np.full(3, 2.0), more=np.zeros(1))
    np.savez(tmp_path / "1.npz", x=np.full(3, 1.0))
    feeds = list(Calibration(folder=str(tmp_path)).feeds(["x"], {"x": "float32"}))
    assert [float(feed["x"][0]) for feed in feeds] == [1.0, 2.0]
    assert feeds[0]["x"].dtype == np.float32
    assert set(feeds[0]) == {"x"}


def test_inputs_that_cannot_be_used_are_told(tmp_path):
    def told(calibration: Calibration, names: list[str]) -> str:
        with pytest.raises(NodeError) as caught:
            list(calibration.feeds(names, dict.fromkeys(names, "float32")))
        assert caught.value.fault is CALIBRATION_WRONG
        return str(caught.value)

    folder = Calibration(folder=str(tmp_path))
    assert "has no .npz file" in told(folder, ["x"])
    np.savez(tmp_path / "1.npz", other=np.arange(3))
    assert "1.npz" in told(folder, ["x"])
    whole = (tmp_path / "1.npz").read_bytes()
    damaged = whole[:45] + bytes(byte ^ 0xFF for byte in whole[45:80]) + whole[80:]
    one_array = io.BytesIO()
    np.save(one_array, np.arange(3))
    for content in (b"no archive", b"", whole[: len(whole) // 2], damaged, one_array.getvalue()):
        (tmp_path / "1.npz").write_bytes(content)
        assert "1.npz" in told(folder, ["other"])
    (tmp_path / "1.npz").unlink()
    (tmp_path / "1.npz").mkdir()
    assert "1.npz" in told(folder, ["x"])
    with pytest.raises(NodeError, match=r"1\.npz: Is a directory"):
        _ = folder.digest
    assert "the shape of input y is not given" in told(Calibration(shapes={"x": (1, 2)}), ["y"])


@pytest.mark.parametrize(
    "given", [{}, {"shapes": {"x": ()}}, {"shapes": {"x": (0, 1)}}, {"shapes": {"x": (1,)}, "count": 0}]
)
def test_a_calibration_without_inputs_cannot_be(given):
    with pytest.raises(ValueError):
        Calibration(**given)


def test_seeded_inputs_differ_and_come_again():
    first, again = (list(FEEDS.feeds(["x"], {"x": "float32"})) for _ in range(2))
    assert len(first) == 2
    assert not np.array_equal(first[0]["x"], first[1]["x"])
    assert np.array_equal(first[1]["x"], again[1]["x"])
