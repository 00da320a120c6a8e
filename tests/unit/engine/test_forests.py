"""A forest beside a network: it runs on ONNX Runtime whatever is named, and no plan of it is made."""

from __future__ import annotations

from contextlib import closing

import pytest
from onnx import TensorProto, helper

from dicomnode.engine import find_engine
from dicomnode.engine.forests import is_forest
from dicomnode.engine.plans.compiled import Compiler
from dicomnode.engine.plans.wanted import orders_of
from dicomnode.engine.runtimes.wish import RuntimeWish
from dicomnode.engine.serving import check_engine, open_session


@pytest.fixture(scope="module")
def lung_ct():
    return find_engine("lung-ct")


def test_which_of_its_networks_is_one(lung_ct):
    networks = lung_ct.manifest.networks
    assert [step.name for step in networks if is_forest(lung_ct.network_bytes(step))] == ["types"]


def graph(domain: str, operator: str, inside: bytes = b"") -> bytes:
    """An ONNX file of one node, and what else stands in it."""
    made = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], domain=domain)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, doc_string=inside.decode()).SerializeToString()


@pytest.mark.parametrize("operator", ["TreeEnsembleClassifier", "LinearClassifier", "SVMRegressor", "Scaler"])
def test_any_operator_of_classical_learning_runs_on_onnx_runtime_alone(operator):
    assert is_forest(graph("ai.onnx.ml", operator))


def test_a_network_that_speaks_of_trees_or_could_have_some_is_none():
    assert not is_forest(graph("", "Relu", b"Better than TreeEnsembleClassifier of ai.onnx.ml."))


@pytest.mark.parametrize("content", [b"", b"TreeEnsemble", b"\x3a\xff"])
def test_of_what_is_no_network_another_says_so(content):
    assert not is_forest(content)


def test_plans_are_made_of_the_others_alone(lung_ct):
    compiler = Compiler(flavour="tensorrt-rtx", version="1.5", device=None)
    contents = {order.content for order in orders_of(lung_ct, [compiler])}
    others = {lung_ct.network_bytes(one) for one in lung_ct.manifest.networks if one.name != "types"}
    assert contents == others
    assert lung_ct.network_bytes(lung_ct.step("nodules")) in others


@pytest.mark.parametrize(
    "wish", [RuntimeWish(runtime="tensorrt"), RuntimeWish(runtime="openvino", precision="fp16")]
)
def test_it_runs_where_trees_do_whatever_is_named(lung_ct, wish):
    with closing(open_session(lung_ct, "types", 1, wish)) as session:
        assert session.runtime.startswith("onnxruntime ")


def test_the_runtime_that_is_named_serves_the_network_beside_it(lung_ct):
    network, trees = check_engine(lung_ct, 1, RuntimeWish(runtime="openvino")).runtimes
    assert network.startswith("openvino ")
    assert trees.startswith("onnxruntime ")
