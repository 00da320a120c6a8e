"""Plans are built: by TensorRT-RTX, which needs no GPU for it, and which refuses as TensorRT does.

That it builds here is needed and not enough: TensorRT itself, and the run of a plan, take a GPU.
"""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from dicomnode.engine import list_engines
from dicomnode.engine.plans.compiled import seeded
from dicomnode.engine.plans.profiles import profile_of
from dicomnode.engine.precision import PRECISIONS, Calibration, convert
from dicomnode.engine.runtimes.contract import Network
from dicomnode.engine.runtimes.tensorrt import BuildOptions, BuildWatch, InputRange, build_plan
from dicomnode.engine.runtimes.tensorrt.logger import KEPT, TensorRtLog
from dicomnode.engine.runtimes.tensorrt.progress import Phases, Progress
from dicomnode.faults import PLAN_NOT_BUILT, PLAN_REFUSED, NodeError
from tests.fixtures.tensorrt.fetched import rtx
from tests.unit.engine.networks import NETWORKS, item_shape
from tests.unit.engine.small_engine import model, network

SMALL = InputRange(name="x", smallest=(1, 1, 2, 2, 2), best=(1, 1, 8, 8, 8), largest=(1, 1, 16, 16, 16))
DYNAMIC = BuildOptions(profiles=((SMALL,),))


@pytest.fixture
def trt():
    return rtx()


def given(content, file="net.onnx"):
    content = content if isinstance(content, bytes) else content.SerializeToString()
    return Network(engine="small 0.1.0", file=file, content=content)


def refused(trt, content, options=DYNAMIC, row=PLAN_REFUSED):
    with pytest.raises(NodeError) as caught:
        build_plan(trt, given(content), options)
    assert caught.value.fault is row
    assert "net.onnx of engine small 0.1.0" in str(caught.value)
    return str(caught.value)


OF_NO_PLAN = {"unusual.onnx"}
"""Filters of one channel over whole boxes: the builder wants 4 GiB at once for the largest, and gives up."""


def networks_that_ship(*, trees: bool):
    """Each network that ships: forests, which are in ONNX but of no GPU, or all others."""
    return [
        (package, step)
        for package in list_engines()
        for step in package.manifest.networks
        if (b"TreeEnsemble" in package.network_bytes(step)) is trees
    ]


def shipped():
    """Each network that ships, in each precision that the node can make of it."""
    return [
        pytest.param(package, step, precision, id=f"{package.manifest.name} {step.network} {precision}")
        for package, step in networks_that_ship(trees=False)
        for precision in PRECISIONS
        if step.network not in OF_NO_PLAN
    ]


def in_precision(content: bytes, precision: str, shape, low=0.0, high=1.0) -> bytes:
    """Return the network in a precision as the node itself converts it, calibrated on seeded inputs."""
    if precision == "fp32":
        return content
    return convert(content, precision, Calibration(shapes={"": shape}, low=low, high=high, count=1))[0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_of_all_kinds_become_plans(trt, kind):
    made = NETWORKS[kind]()
    ranges = InputRange.batches("x", item_shape(made), best=2, largest=4)
    built = build_plan(trt, given(made), BuildOptions(profiles=((ranges,),)))
    assert len(built) > 10_000


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_3d_u_net_becomes_a_plan_in_each_precision(trt, precision):
    made = NETWORKS["3D U-Net, InstanceNormalization, ConvTranspose"]()
    item = item_shape(made)
    content = in_precision(made.SerializeToString(), precision, (1, *item))
    options = BuildOptions(profiles=((InputRange.batches("x", item, 1, 2),),))
    assert build_plan(trt, given(content), options)


def test_a_network_of_fixed_lengths_needs_no_profile(trt):
    made = NETWORKS["2D U-Net"]()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert build_plan(trt, given(made), BuildOptions())


def test_two_profiles_are_two_profiles(trt):
    other = InputRange(name="x", smallest=(1, 1, 2, 2, 2), best=(1, 1, 2, 2, 2), largest=(1, 1, 2, 2, 2))
    assert build_plan(trt, given(network()), BuildOptions(profiles=((SMALL,), (other,))))


def test_an_operator_that_nobody_knows_is_named_with_its_node(trt):
    node = helper.make_node("Frobnicate", ["x"], ["mask"], name="the_culprit", domain="elsewhere")
    made = model([node], ["mask"])
    made.opset_import.append(helper.make_opsetid("elsewhere", 1))
    said = refused(trt, made)
    assert "node the_culprit (Frobnicate): " in said
    assert "INVALID_NODE" in said


def test_an_operator_that_is_not_supported_is_named_with_its_node(trt):
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"], name="where_not_zero"),
        helper.make_node("Cast", ["places"], ["mask"], to=TensorProto.FLOAT),
    ]
    said = refused(trt, model(nodes, ["mask"]))
    assert "node where_not_zero (NonZero): " in said
    assert "UNSUPPORTED_NODE" in said


@pytest.mark.parametrize("content", [b"not a network", network().SerializeToString()[:-40]])
def test_what_is_no_network_is_refused(trt, content):
    assert "Failed to parse the ONNX model" in refused(trt, content)


def test_lengths_that_vary_need_a_profile(trt):
    assert "lengths of x may vary, and no profile says how far" in refused(trt, network(), BuildOptions())


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (InputRange.batches("y", (1, 2, 2, 2), 1, 1), r"it takes the inputs ['x'], the profile has ['y']"),
        (InputRange.batches("x", (2, 4, 4, 4), 1, 1), "x is (1, 1, -1, -1, -1) (-1: any), the profile says"),
        (InputRange.batches("x", (1, 4, 4), 1, 1), "the profile says (1, 1, 4, 4)"),
    ],
    ids=["another input", "another length", "another rank"],
)
def test_a_profile_that_is_not_the_networks_is_refused(trt, one, said):
    assert said in refused(trt, network(), BuildOptions(profiles=((one,),)))


def test_an_input_with_lengths_that_vary_is_in_every_profile(trt):
    free = [1, 1, "k", "j", "i"]
    made = model([helper.make_node("Add", ["x", "y"], ["mask"])], ["mask"])
    made.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, free))
    assert "lengths of y may vary, and the profile does not say how far" in refused(trt, made)


def test_what_tensorrt_cannot_build_is_a_row_with_its_own_words(trt):
    # TensorRT-RTX 1.7 reads a bf16 ConvTranspose in 3D, and finds at the build that it has none
    weight = helper.make_tensor("w", TensorProto.BFLOAT16, [1, 1, 2, 2, 2], [1.0] * 8)
    nodes = [
        helper.make_node("Cast", ["x"], ["b"], to=TensorProto.BFLOAT16),
        helper.make_node("ConvTranspose", ["b", "w"], ["t"], kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
        helper.make_node("Cast", ["t"], ["mask"], to=TensorProto.FLOAT),
    ]
    made = model(nodes, ["mask"], [weight])
    made.opset_import[0].version = 22
    said = refused(trt, made, row=PLAN_NOT_BUILT)
    assert said.startswith("DN-4101 TensorRT made no plan of net.onnx")
    assert "ConvTranspose" in said or "deconv" in said


def test_who_follows_a_build_sees_it_grow_to_the_end(trt):
    seen, lines = [], []
    watch = BuildWatch(
        progress=lambda progress: seen.append(progress) or True,
        line=lambda severity, text: lines.append((severity, text)),
    )
    assert build_plan(trt, given(network()), DYNAMIC, watch)
    parts = [progress.part for progress in seen]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert len(set(parts)) > 5
    assert any("network tensors" in text for _, text in lines)
    assert any("Engine generation completed" in text for _, text in lines)


def test_a_build_can_be_ended(trt):
    with pytest.raises(NodeError) as caught:
        build_plan(trt, given(network()), DYNAMIC, BuildWatch(progress=lambda progress: False))
    assert caught.value.fault is PLAN_NOT_BUILT
    assert "canceled by user" in str(caught.value)


@pytest.mark.parametrize("which", ["progress", "line"])
def test_an_error_of_who_follows_does_not_travel_through_tensorrt(trt, which):
    def fail(*given):
        raise KeyError("the disk of the log is full")

    with pytest.raises(KeyError, match="the disk of the log"):
        build_plan(trt, given(network()), DYNAMIC, BuildWatch(**{which: fail}))


def test_the_log_of_another_build_is_not_this_ones(trt):
    refused(trt, b"not a network")
    lines = []
    watch = BuildWatch(line=lambda severity, text: lines.append(text))
    assert build_plan(trt, given(network()), DYNAMIC, watch)
    assert lines
    assert not any("Failed to parse" in line for line in lines)


def test_the_log_keeps_its_last_lines():
    kept = TensorRtLog()
    kept.add("VERBOSE", "nobody reads this")
    for number in range(KEPT + 5):
        kept.add("INFO", f"line\n {number}")
    assert kept.count == KEPT + 5
    assert kept.tail()[0] == "INFO: line 5"
    assert kept.tail(since=KEPT + 3) == ("INFO: line 203", "INFO: line 204")
    assert kept.tail(since=kept.count) == ()
    assert kept.errors() == "INFO: line 204"
    kept.add("ERROR", "it broke.")
    kept.add("ERROR", "it broke.")
    kept.add("INTERNAL_ERROR", "and again")
    assert kept.errors(since=KEPT) == "it broke.; and again"
    assert TensorRtLog().errors() == "it gave no reason"


def test_progress_is_the_steps_of_phases_within_phases():
    phases = Phases()
    assert phases.start("whole", None, 4).part == 0
    assert phases.step("whole", 0).part == 0.25
    phases.start("inner", "whole", 10)
    assert phases.step("inner", 4) == Progress(phase="inner", part=0.375)
    phases.finish("inner")
    assert phases.step("whole", 1).part == 0.5
    assert phases.start("another", None, 10).part == 0.5  # a second whole does not turn it back
    assert phases.finish("unknown").part == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"smallest": (0, 1), "best": (1, 1), "largest": (2, 2)},
        {"smallest": (1, 3), "best": (1, 2), "largest": (2, 3)},
        {"smallest": (1, 1), "best": (3, 1), "largest": (2, 2)},
        {"smallest": (1, 1), "best": (1, 1, 1), "largest": (2, 2)},
        {"smallest": (), "best": (), "largest": ()},
    ],
)
def test_ranges_ascend(wrong):
    with pytest.raises(ValueError):
        InputRange(name="x", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"workspace_bytes": 0},
        {"optimisation_level": 6},
        {"profiles": ((),)},
        {"profiles": ((SMALL, SMALL),)},
    ],
)
def test_options_that_make_no_sense_cannot_be_made(wrong):
    with pytest.raises(ValueError):
        BuildOptions(**wrong)


def test_what_a_key_is_made_of_changes_with_each_option():
    other = BuildOptions(profiles=((InputRange.batches("x", (1, 2, 2, 2), 1, 2),),))
    changed = [DYNAMIC, other, BuildOptions(tf32=True), BuildOptions(workspace_bytes=1), BuildOptions()]
    changed.append(BuildOptions(optimisation_level=5))
    materials = [str(options.material()) for options in changed]
    assert len(set(materials)) == len(materials)


@pytest.mark.parametrize(("package", "step", "precision"), shipped())
def test_every_network_that_ships_becomes_a_plan_in_each_of_its_precisions(trt, package, step, precision):
    content = package.network_bytes(step)
    if precision != "fp32":
        content = convert(content, precision, seeded(step))[0]
    assert len(build_plan(trt, given(content, step.network), options_of(step, content))) > 10_000


def options_of(step, content):
    ranges = tuple(
        InputRange(name=name, smallest=tuple(low), best=tuple(best), largest=tuple(high))
        for name, low, best, high in profile_of(step, content)
    )
    return BuildOptions(profiles=(ranges,)) if ranges else BuildOptions()


@pytest.mark.long
def test_a_network_of_no_plan_says_why_and_runs_on_onnx_runtime_then(trt):
    given_up = [one for one in networks_that_ship(trees=False) if one[1].network in OF_NO_PLAN]
    assert {step.network for _, step in given_up} == OF_NO_PLAN
    for package, step in given_up:
        content = package.network_bytes(step)
        with pytest.raises(NodeError) as caught:
            build_plan(trt, given(content, step.network), options_of(step, content))
        assert caught.value.fault is PLAN_NOT_BUILT
        assert "OutOfMemory" in str(caught.value)


def test_a_forest_that_ships_is_refused_by_the_name_of_its_node(trt):
    """It runs where ONNX Runtime does: the runtimes of a step are tried one after the other."""
    forests = networks_that_ship(trees=True)
    assert forests
    for package, step in forests:
        with pytest.raises(NodeError) as caught:
            build_plan(trt, given(package.network_bytes(step), step.network), BuildOptions())
        assert caught.value.fault is PLAN_REFUSED
        assert "TreeEnsembleClassifier" in str(caught.value)
