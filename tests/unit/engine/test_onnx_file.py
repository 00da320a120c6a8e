"""The careful look into an ONNX file: no tensor may lie elsewhere, wherever it hides in the graph."""

from __future__ import annotations

import contextlib
from re import _parser as re_parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dicomnode.engine.onnx_file import _WAYS, UnsafeNetworkError, check_onnx
from dicomnode.engine.onnx_wire import FIXED32, FIXED64, LENGTH, VARINT, fields, numbers_but, varint_bytes
from tests.unit.engine.small_engine import model, network, with_weight


def _outside() -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def _in_subgraph(tensor: TensorProto):
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=tensor)],
        "inner",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])],
    )
    return helper.make_node("If", ["x"], ["mask"], then_branch=inner, else_branch=inner)


def _sparse(tensor: TensorProto):
    indices = numpy_helper.from_array(np.array([0], np.int64), "at")
    return helper.make_sparse_tensor(tensor, indices, [4])


def _with_function(tensor: TensorProto):
    made = network()
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    made.functions.append(helper.make_function("own", "F", [], ["y"], [node], [helper.make_opsetid("", 20)]))
    return made


def _with_training(tensor: TensorProto):
    made = network()
    made.training_info.add().algorithm.initializer.append(tensor)
    return made


def _with_sparse_initializer(tensor: TensorProto):
    made = network()
    made.graph.sparse_initializer.append(_sparse(tensor))
    return made


HIDING_PLACES = {
    "initializer": lambda tensor: model([helper.make_node("Add", ["x", "w"], ["m"])], ["m"], [tensor]),
    "constant": lambda tensor: model([helper.make_node("Constant", [], ["m"], value=tensor)], ["m"]),
    "list of tensors": lambda tensor: model([helper.make_node("Own", [], ["m"], values=[tensor])], ["m"]),
    "sparse constant": lambda tensor: model(
        [helper.make_node("Constant", [], ["m"], sparse_value=_sparse(tensor))], ["m"]
    ),
    "subgraph": lambda tensor: model([_in_subgraph(tensor)], ["mask"]),
    "function": _with_function,
    "training": _with_training,
    "sparse initializer": _with_sparse_initializer,
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_a_tensor_in_another_file_is_found_wherever_it_hides(place):
    with pytest.raises(UnsafeNetworkError, match="another file"):
        check_onnx(HIDING_PLACES[place](_outside()).SerializeToString())


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_a_tensor_inside_the_file_is_taken_in_the_same_place(place):
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "w")
    check_onnx(HIDING_PLACES[place](tensor).SerializeToString())


def test_the_table_knows_every_way_to_a_tensor_that_onnx_has():
    """Compared with the message types of the installed onnx package, so that a new one is noticed."""
    names = {
        "Model": onnx.ModelProto,
        "Graph": onnx.GraphProto,
        "Node": onnx.NodeProto,
        "Attribute": onnx.AttributeProto,
        "SparseTensor": onnx.SparseTensorProto,
        "Function": onnx.FunctionProto,
        "TrainingInfo": onnx.TrainingInfoProto,
        "Tensor": onnx.TensorProto,
    }
    short = {kind.DESCRIPTOR.full_name: name for name, kind in names.items()}

    def leads_to_tensor(descriptor, seen=()):
        if descriptor.full_name == "onnx.TensorProto":
            return True
        if descriptor.full_name in seen:
            return False
        inner = [f.message_type for f in descriptor.fields if f.type == FieldDescriptor.TYPE_MESSAGE]
        return any(leads_to_tensor(one, (*seen, descriptor.full_name)) for one in inner)

    for name, kind in names.items():
        ways = {
            field.number: short.get(field.message_type.full_name)
            for field in kind.DESCRIPTOR.fields
            if field.type == FieldDescriptor.TYPE_MESSAGE and leads_to_tensor(field.message_type)
        }
        assert ways == _WAYS[name], name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a network",
        b"\x00" * 40,
        bytes(range(256)),
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
    ids=["empty", "text", "zeros", "all bytes", "endless number"],
)
def test_what_is_no_network_is_refused(content):
    with pytest.raises(UnsafeNetworkError):
        check_onnx(content)


def test_a_network_that_was_cut_off_is_refused_wherever_it_was_cut():
    content = with_weight(np.zeros((1, 1, 2, 2, 2), np.float32)).SerializeToString()
    graph = content.index(b"small") - 40
    for end in range(1, len(content)):
        try:
            check_onnx(content[:end])
        except UnsafeNetworkError:
            continue
        # What comes after the graph (opset, producer) may be missing: the runtime refuses it then.
        assert end > graph


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_it_fail_in_another_way(content):
    with contextlib.suppress(UnsafeNetworkError):
        check_onnx(content)


@pytest.mark.parametrize("number", [13, 14, 7])
def test_a_field_number_that_only_a_runtime_would_read_as_another_is_refused(number):
    """Protobuf in C++ drops what is beyond 32 bits of a tag: OpenVINO read a file that was named so."""
    hidden = varint_bytes((number << 3 | LENGTH) + 2**32) + varint_bytes(0)
    with pytest.raises(UnsafeNetworkError, match="not protobuf"):
        check_onnx(network().SerializeToString() + hidden)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1]).SerializeToString() + hidden
    made = HIDING_PLACES["initializer"](numpy_helper.from_array(np.zeros(1, np.float32), "w"))
    del made.graph.initializer[:]
    graph = made.graph.SerializeToString() + _field(5, tensor)
    made.ClearField("graph")
    with pytest.raises(UnsafeNetworkError, match="not protobuf"):
        check_onnx(made.SerializeToString() + _field(7, graph))


def test_a_place_of_data_that_a_runtime_would_cut_to_another_is_seen_as_that():
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1]).SerializeToString()
    tensor += varint_bytes(14 << 3) + varint_bytes(2**32 + TensorProto.EXTERNAL)
    made = HIDING_PLACES["initializer"](numpy_helper.from_array(np.zeros(1, np.float32), "w"))
    del made.graph.initializer[:]
    graph = made.graph.SerializeToString() + _field(5, tensor)
    made.ClearField("graph")
    with pytest.raises(UnsafeNetworkError, match="another file"):
        check_onnx(made.SerializeToString() + _field(7, graph))


def _field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_graphs_nested_without_end_are_refused():
    graph = b""
    for _ in range(400):  # graph in attribute in node in graph: onnx itself stops writing before that
        graph = _field(1, _field(5, _field(6, graph)))
    with pytest.raises(UnsafeNetworkError, match="nested"):
        check_onnx(_field(7, graph))


def _any_field(number: int, wire: int, value: int) -> bytes:
    content = {
        VARINT: varint_bytes(value),
        FIXED32: value.to_bytes(8, "little")[:4],
        FIXED64: value.to_bytes(8, "little"),
        LENGTH: varint_bytes(value % 7) + b"\x0a" * (value % 7),
    }
    return varint_bytes(number << 3 | wire) + content[wire]


_FIELDS = st.builds(
    _any_field,
    st.integers(1, 20),
    st.sampled_from([VARINT, FIXED32, FIXED64, LENGTH]),
    st.integers(0, 2**64 - 1),
)


def _seen(data: bytes, wanted: frozenset[int], passed_over=None) -> list[object]:
    """What a walk that wants some fields sees of a message, and how it ends."""
    seen: list[object] = []
    try:
        for number, wire, value in fields(memoryview(data), passed_over):
            if number in wanted or wire == LENGTH:
                seen.append((number, wire, value if isinstance(value, int) else bytes(value)))
    except UnsafeNetworkError as error:
        seen.append(str(error))
    return seen


@given(
    st.one_of(st.lists(_FIELDS, max_size=30).map(b"".join), st.binary(max_size=60)),
    st.binary(max_size=12),
    st.frozensets(st.integers(1, 20)),
)
def test_what_is_passed_over_is_numbers_that_nobody_wants(data, end, wanted):
    assert _seen(data + end, wanted, numbers_but(wanted)) == _seen(data + end, wanted)


def test_a_run_of_numbers_ends_before_a_field_that_does_not_fit():
    """As far as a number of too many bytes, and no byte of it: what follows is not read from within."""
    data = varint_bytes(1 << 3 | VARINT) + b"\x01" + varint_bytes(2 << 3 | VARINT) + b"\xff" * 11
    run = numbers_but({5}).match(data)
    assert run is not None
    assert run.end() == 2


@pytest.mark.parametrize("wanted", [frozenset(), frozenset({5}), frozenset(range(1, 16))])
def test_numbers_are_passed_over_by_no_repeat_that_older_pythons_end_too_late(wanted):
    """Possessive repeats and atomic groups: python/cpython#106052, in 3.11.0 to 3.11.4."""
    parts = _parts(re_parser.parse(numbers_but(wanted).pattern))
    assert "MAX_REPEAT" in parts
    assert not parts & {"POSSESSIVE_REPEAT", "ATOMIC_GROUP"}


def _parts(tree: Any) -> set[str]:
    """The kinds of all parts of a pattern that was parsed."""
    if isinstance(tree, re_parser.SubPattern | list | tuple):
        return {part for one in tree for part in _parts(one)}
    return {str(tree)}


def test_numbers_are_passed_over_in_one_go():
    data = _any_field(8, VARINT, 2**40) * 1000 + _any_field(7, FIXED32, 1) * 1000 + _any_field(9, LENGTH, 3)
    assert [number for number, _, _ in fields(memoryview(data), numbers_but({5}))] == [9]
