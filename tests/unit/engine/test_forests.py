"""A forest beside a network: it runs on ONNX Runtime whatever is named, and no plan of it is made."""

from __future__ import annotations

from contextlib import closing

import pytest

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
    found = {step.name: is_forest(lung_ct.network_bytes(step)) for step in lung_ct.manifest.networks}
    assert found == {"nodules": False, "types": True}


def test_plans_are_made_of_the_others_alone(lung_ct):
    compiler = Compiler(flavour="tensorrt-rtx", version="1.5", device=None)
    contents = {order.content for order in orders_of(lung_ct, [compiler])}
    assert contents == {lung_ct.network_bytes(lung_ct.step("nodules"))}


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
