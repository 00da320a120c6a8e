"""What an ONNX graph tells of itself: the same that the onnx package reads from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dicomnode.engine import shipped_engines_dir
from dicomnode.engine.adding.graph import Port, read_graph
from dicomnode.engine.onnx_wire import UnsafeNetworkError
from tests.unit.engine.foreign import KINDS, endless, graph_of, one


def read(model: onnx.ModelProto):
    return read_graph(model.SerializeToString())


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_tells_what_the_onnx_package_tells(kind):
    model = KINDS[kind]()
    graph = read(model)
    assert graph.ir_version == model.ir_version
    assert graph.opsets == {one.domain: one.version for one in model.opset_import}
    assert [port.name for port in graph.inputs] == [one.name for one in model.graph.input]
    assert [port.name for port in graph.outputs] == [one.name for one in model.graph.output]
    assert graph.parameters == sum(
        numpy_helper.to_array(one).size
        for one in [
            *model.graph.initializer,
            *(a.t for node in model.graph.node for a in node.attribute if a.HasField("t")),
        ]
    )
    kinds = [node.op_type for node in model.graph.node]
    assert graph.operators == {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def test_the_shipped_network_is_read():
    graph = read_graph((shipped_engines_dir() / "lung-ct" / "nodules.onnx").read_bytes())
    assert [port.name for port in graph.outputs] == ["heat", "logd", "mask"]
    assert graph.parameters > 900_000


def test_lengths_have_numbers_names_or_neither():
    shape = [1, "slices", None]
    graph = read(one("Relu", shape=shape))
    assert graph.inputs == (Port(name="x", dtype="float32", shape=(1, "slices", None)),)
    assert read(one("Relu", shape=None)).inputs[0].shape is None


def test_a_length_of_minus_one_is_any():
    model = one("Relu")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = -1
    assert read(model).inputs[0].shape == (1, 1, None, "j", "i")


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.FLOAT16, "float16"),
        (TensorProto.DOUBLE, "float64"),
        (TensorProto.INT64, "int64"),
        (TensorProto.STRING, "string"),
        (TensorProto.BFLOAT16, "bfloat16"),
        (TensorProto.COMPLEX64, ""),
    ],
)
def test_types_are_named_as_numpy_names_them(kind, dtype):
    assert read(one("Relu", dtype=kind)).inputs[0].dtype == dtype


def test_weights_listed_as_inputs_are_no_inputs():
    weight = numpy_helper.from_array(np.ones(1, np.float32), "w")
    model = graph_of([helper.make_node("Add", ["x", "w"], ["y"])], weights=[weight])
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]))
    assert [port.name for port in read(model).inputs] == ["x"]


def test_the_ending_of_an_output_is_what_makes_its_numbers():
    nodes = [
        helper.make_node("Softmax", ["x"], ["p"]),
        helper.make_node("Transpose", ["p"], ["t"]),
        helper.make_node("Cast", ["t"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Neg", ["p"], ["n"]),
    ]
    outputs = [("y", TensorProto.FLOAT), ("n", TensorProto.FLOAT), ("x", TensorProto.FLOAT)]
    assert read(graph_of(nodes, outputs=outputs)).endings == {"y": "Softmax", "n": "Neg", "x": ""}


def test_operators_of_other_domains_and_in_inner_graphs_are_counted():
    assert read(one("Blend", "acme")).operators == {"acme.Blend": 1}
    assert read(endless()).operators == {"Identity": 2, "Loop": 1}


def test_a_circle_of_nodes_ends():
    nodes = [helper.make_node("Identity", ["y"], ["z"]), helper.make_node("Identity", ["z"], ["y"])]
    assert read(graph_of(nodes)).endings == {"y": "Identity"}


def test_files_that_tensors_lie_in_are_named(tmp_path: Path):
    onnx.save(
        KINDS["2D U-Net"](),
        tmp_path / "net.onnx",
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    assert read_graph((tmp_path / "net.onnx").read_bytes()).outside == ("w.bin",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "no graph"), (b"PK\x03\x04", "not protobuf|damaged"), (b"\x3a\x00", "no output")],
    ids=["empty", "an archive", "an empty graph"],
)
def test_what_is_no_network_is_refused(content, reason):
    with pytest.raises(UnsafeNetworkError, match=reason):
        read_graph(content)


def test_no_cut_of_a_network_is_more_than_refused():
    content = one("Sigmoid").SerializeToString()
    for end in range(len(content)):
        try:
            read_graph(content[:end])
        except UnsafeNetworkError:
            continue
