"""Classes, regression, features and sequences: whole engines whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from scipy.special import expit, softmax

from dicomnode.faults import MANIFEST_WRONG, NETWORK_FAILED, NodeError
from dicomnode.values import Outcome, RemarkKind
from tests.unit.analyse.forms import CT, LESION, engine, node, onnx_bytes, run, step

FLOAT = TensorProto.FLOAT
BOX = ("x", [1, 1, "k", "j", "i"])
SHAPE = (6, 8, 10)


def of_the_mean(weights: list[float], biases: list[float], columns: int | None = None) -> bytes:
    """A network that gives weight · mean + bias, a number a channel: (1, n)."""
    count = len(weights)
    return onnx_bytes(
        [
            node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            node("Unsqueeze", ["mean", "last"], ["row"]),
            node("Gemm", ["row", "w", "b"], ["out"]),
        ],
        [BOX],
        [("out", [1, columns or count], FLOAT)],
        {
            "axes": np.array([2, 3, 4]),
            "last": np.array([], np.int64),
            "w": np.array([weights], np.float32),
            "b": np.array(biases, np.float32),
        },
    )


def classification(label: str, keys: str = "") -> str:
    return f'[[output]]\nclassification = "{label}"\nstep = "net"\ntype = {LESION}\n{keys}\n'


def even(value: float) -> np.ndarray:
    return np.full(SHAPE, value, np.float32)


def test_one_of_several_classes_has_its_calibrated_probability(tmp_path, make_volume):
    network = of_the_mean([1.0, 2.0, -1.0], [0.0, -1.0, 3.0])
    keys = 'interpret = "classes"\n[step.classes]\ntemperature = 2.0\nnames = ["none", "benign", "malignant"]'
    body = step(keys=keys) + classification("malignant", "channel = 2\ncalibrated = true")
    body += classification("none", "channel = 0")
    found = run(engine(tmp_path / "e", body, {"net.onnx": network}), make_volume(even(2.0)))
    expected = softmax(np.array([2.0, 3.0, 1.0]) / 2.0)
    malignant, none = found.classifications
    assert [malignant.calibrated, none.calibrated] == [True, False], "as engine.toml declares"
    assert malignant.probability == pytest.approx(expected[2], abs=1e-6)
    assert none.probability == pytest.approx(expected[0], abs=1e-6)
    assert [one.label for one in malignant.probabilities] == ["none", "benign", "malignant"]
    assert [one.probability for one in malignant.probabilities] == pytest.approx(list(expected), abs=1e-6)
    assert not malignant.present
    assert found.outcome == Outcome.NO_FINDINGS
    assert malignant.algorithm == "net 1.0.0"


def test_several_classes_may_be_present_at_once_each_from_its_own_threshold(tmp_path, make_volume):
    network = of_the_mean([1.0, 1.0], [0.0, -2.0])
    body = step(keys='interpret = "classes"\n[step.classes]\nactivation = "sigmoid"')
    body += classification("fluid", "threshold = 0.9") + classification("air", "threshold = 0.3")
    found = run(engine(tmp_path / "e", body, {"net.onnx": network}), make_volume(even(1.5)))
    fluid, air = found.classifications
    assert (fluid.probability, air.probability) == pytest.approx((expit(1.5), expit(-0.5)), abs=1e-6)
    assert (fluid.present, air.present) == (False, True)
    assert found.outcome == Outcome.FINDINGS


def test_numbers_that_are_no_probabilities_are_not_taken_for_some(tmp_path, make_volume):
    body = step(keys='interpret = "classes"\n[step.classes]\nactivation = "none"') + classification("a")
    package = engine(tmp_path / "e", body, {"net.onnx": of_the_mean([1.0], [0.0])})
    assert run(package, make_volume(even(0.25))).classifications[0].probability == pytest.approx(0.25)
    with pytest.raises(NodeError, match="no probabilities") as caught:
        run(package, make_volume(even(1.5)))
    assert caught.value.fault is NETWORK_FAILED


def test_an_output_of_a_channel_that_is_not_there_is_named(tmp_path, make_volume):
    body = step(keys='interpret = "classes"') + classification("a", "channel = 5")
    package = engine(tmp_path / "e", body, {"net.onnx": of_the_mean([1.0, 1.0], [0.0, 0.0])})
    with pytest.raises(NodeError, match="is made of channel 5, the network has 2"):
        run(package, make_volume(even(0.0)))


MEASUREMENT = """
[[output]]
measurement = "bone-age"
step = "net"
type = { scheme = "99TEST", code = "BA", meaning = "Bone age" }
unit = { scheme = "UCUM", code = "mo", meaning = "month" }
scale = -2.0
offset = 240.0
plausible = [0.0, 228.0]
interval_channels = [1, 2]
interval_percent = 90.0
"""


@pytest.mark.parametrize(("mean", "value", "doubted"), [(50.0, 140.0, False), (4.0, 232.0, True)])
def test_a_number_has_unit_interval_and_a_doubt_where_it_is_not_plausible(
    tmp_path, make_volume, mean, value, doubted
):
    network = of_the_mean([1.0, 1.0, 1.0], [0.0, -6.0, 4.0])
    package = engine(
        tmp_path / "e", step(keys='interpret = "regression"') + MEASUREMENT, {"net.onnx": network}
    )
    found = run(package, make_volume(even(mean)))
    (age,) = found.measurements
    assert (age.name, age.concept.value, age.unit.value) == ("bone-age", "BA", "mo")
    assert age.value == pytest.approx(value)
    assert age.interval == pytest.approx((value - 8.0, value + 12.0))
    assert age.interval_percent == 90.0
    doubts = [one.text for one in found.remarks if one.kind is RemarkKind.QUALITY]
    assert bool(doubts) is doubted
    if doubted:
        assert doubts == [
            "Bone age: 232 mo lies outside of what is plausible, 0 to 228 mo. Do not rely on it."
        ]
    assert found.outcome == Outcome.FINDINGS


def features_network() -> bytes:
    """Mean and largest value, as one row."""
    return onnx_bytes(
        [
            node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            node("ReduceMax", ["x", "axes"], ["most"], keepdims=0),
            node("Concat", ["mean", "most"], ["f"], axis=1),
        ],
        [BOX],
        [("f", [1, 2], FLOAT)],
        {"axes": np.array([2, 3, 4])},
    )


def linear_classifier(inputs: int) -> bytes:
    """What skl2onnx makes of a logistic regression: a label and a row of probabilities."""
    classify = node(
        "LinearClassifier",
        ["x"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        coefficients=[-1.0] * inputs + [1.0] * inputs,
        intercepts=[0.5, -0.5],
        classlabels_ints=[0, 1],
        post_transform="SOFTMAX",
    )
    return onnx_bytes(
        [classify],
        [("x", [None, inputs])],
        [("label", [None], TensorProto.INT64), ("probabilities", [None, 2], FLOAT)],
    )


def test_features_are_kept_and_go_into_a_classical_head(tmp_path, make_volume):
    body = step("deep.onnx", 'interpret = "features"\n[step.features]\nnames = ["mean", "most"]')
    body += step(
        keys='inputs = { x = "deep" }\ninterpret = "classes"\noutput = "probabilities"\n'
        '[step.classes]\nactivation = "none"',
        gate="shape = [1, 2]",
    )
    body += classification("sick", "channel = 1") + '[[output]]\nfeatures = "radiomics"\nstep = "deep"\n'
    networks = {"deep.onnx": features_network(), "net.onnx": linear_classifier(2)}
    voxels = even(0.25)
    voxels[1, 2, 3] = 1.0
    found = run(engine(tmp_path / "e", body, networks), make_volume(voxels))
    (kept,) = found.features
    mean = float(voxels.mean())
    assert (kept.label, kept.names) == ("radiomics", ("mean", "most"))
    assert kept.values == pytest.approx([mean, 1.0], abs=1e-6)
    (sick,) = found.classifications
    total = mean + 1.0
    assert sick.probability == pytest.approx(softmax([0.5 - total, total - 0.5])[1], abs=1e-6)
    assert any("not yet in DICOM: features radiomics." in one.text for one in found.remarks)


def test_features_of_a_map_are_pooled_over_its_voxels(tmp_path, make_volume):
    twice = onnx_bytes(
        [node("Concat", ["x", "x"], ["y"], axis=1)], [BOX], [("y", [1, 2, "k", "j", "i"], FLOAT)]
    )
    body = step(keys='interpret = "features"\n[step.features]\npool = "max"')
    body += '[[output]]\nfeatures = "deep"\nstep = "net"\n'
    voxels = even(-1.0)
    voxels[2, 2, 2] = 7.0
    (kept,) = run(engine(tmp_path / "e", body, {"net.onnx": twice}), make_volume(voxels)).features
    assert kept.names == ("f0", "f1")
    assert kept.values.tolist() == [7.0, 7.0]


def test_features_of_a_map_are_those_of_the_box_and_not_of_its_padding(tmp_path, make_volume):
    same = onnx_bytes([node("Identity", ["x"], ["y"])], [BOX], [("y", [1, 1, "k", "j", "i"], FLOAT)])
    body = step("find.onnx", 'interpret = "sigmoid"')
    body += step(keys='crop = { of = "find", multiple = 8, pad = -5.0 }\ninterpret = "features"')
    body += '[[output]]\nfeatures = "deep"\nstep = "net"\n'
    voxels = even(-1.0)
    voxels[1:4, 2:5, 3:6] = 2.0
    package = engine(tmp_path / "e", body, {"find.onnx": same, "net.onnx": same})
    (kept,) = run(package, make_volume(voxels)).features
    assert kept.values.tolist() == [2.0]


def slices(axes: str) -> bytes:
    """The mean of each slice: of a network with the axes "ncji" as (n, 1), with "ntcji" as (1, t)."""
    if axes == "ncji":
        return onnx_bytes(
            [
                node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
                node("Unsqueeze", ["mean", "last"], ["f"]),
            ],
            [("x", ["n", 1, "j", "i"])],
            [("f", ["n", 1], FLOAT)],
            {"axes": np.array([1, 2, 3]), "last": np.array([1])},
        )
    return onnx_bytes(
        [
            node("ReduceMean", ["x", "axes"], ["f"], keepdims=0),
            node("ReduceSum", ["f", "last"], ["study"], keepdims=1),
        ],
        [("x", [1, "t", 1, "j", "i"])],
        [("f", [1, "t"], FLOAT), ("study", [1, 1], FLOAT)],
        {"axes": np.array([2, 3, 4]), "last": np.array([1])},
    )


def ramp() -> np.ndarray:
    return np.broadcast_to(np.linspace(-3, 2, SHAPE[0])[:, None, None], SHAPE).astype(np.float32)


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ('pool = "max"', lambda p: p.max()),
        ('pool = "mean"', lambda p: p.mean()),
        ('pool = "top"\ntop_part = 0.3', lambda p: np.sort(p)[-2:].mean()),
    ],
    ids=["max", "mean", "top"],
)
def test_a_network_of_single_slices_scores_each_and_their_pool_the_study(
    tmp_path, make_volume, pool, expected
):
    keys = (
        f'inputs = {{ x = {{ of = "ct", axes = "ncji" }} }}\ninterpret = "sequence"\n[step.sequence]\n{pool}'
    )
    body = step(keys=keys, gate="shape = [2, 1, 8, 8]") + classification("bleeding")
    volume = make_volume(ramp())
    found = run(engine(tmp_path / "e", body, {"net.onnx": slices("ncji")}), volume)
    scores = expit(np.linspace(-3, 2, SHAPE[0]))
    assert [one.score for one in found.frame_scores] == pytest.approx(list(scores), abs=1e-6)
    assert [one.k for one in found.frame_scores] == list(range(SHAPE[0]))
    assert [one.frame for one in found.frame_scores] == list(volume.frames)
    assert {one.label for one in found.frame_scores} == {"bleeding"}
    assert found.classifications[0].probability == pytest.approx(expected(scores), abs=1e-6)


def test_a_recurrent_network_sees_the_slices_as_a_sequence_and_answers_for_the_study(tmp_path, make_volume):
    keys = (
        'inputs = { x = { of = "ct", axes = "ntcji" } }\ninterpret = "sequence"\noutput = "f"\n'
        '[step.sequence]\nstudy = "study"'
    )
    body = step(keys=keys, gate="shape = [1, 4, 1, 8, 8]") + classification("bleeding")
    found = run(engine(tmp_path / "e", body, {"net.onnx": slices("ntcji")}), make_volume(ramp()))
    values = np.linspace(-3, 2, SHAPE[0])
    assert [one.score for one in found.frame_scores] == pytest.approx(list(expit(values)), abs=1e-6)
    assert found.classifications[0].probability == pytest.approx(expit(values.sum()), abs=1e-6)


def test_slices_that_run_another_way_than_those_of_the_series_have_no_scores(tmp_path, make_volume):
    keys = 'inputs = { x = { of = "ct", axes = "ncji" } }\ninterpret = "sequence"'
    inputs = CT + 'prepare = [ { orient = "LSP" } ]\n'  # k runs along j of the series
    body = step(keys=keys, gate="shape = [2, 1, 6, 10]") + classification("bleeding")
    package = engine(tmp_path / "e", body, {"net.onnx": slices("ncji")}, inputs)
    found = run(package, make_volume(ramp()))
    assert found.frame_scores == ()
    assert found.classifications[0].probability == pytest.approx(expit(-0.5), abs=1e-6)
    (remark,) = [one for one in found.remarks if "single slices" in one.text]
    assert remark.kind is RemarkKind.LIMIT


def test_slices_that_were_resampled_go_back_to_the_source_each_once(tmp_path, make_volume):
    """Six slices of 2 mm become twelve of 1 mm, of which two are nearest to each of the six."""
    keys = 'inputs = { x = { of = "ct", axes = "ncji" } }\ninterpret = "sequence"'
    inputs = CT + "prepare = [ { resample_mm = [1.0, 1.0, 1.0] } ]\n"
    body = step(keys=keys, gate="shape = [2, 1, 8, 8]") + classification("bleeding")
    package = engine(tmp_path / "e", body, {"net.onnx": slices("ncji")}, inputs)
    found = run(package, make_volume(ramp(), spacing=(2.0, 1.0, 1.0)))
    assert [one.k for one in found.frame_scores] == list(range(SHAPE[0]))
    # slice k of the source lies between the new ones at k - 1/4 and k + 1/4; the last edge is held
    expected = [*expit(np.linspace(-3, 2, SHAPE[0])[:-1] + 0.25), expit(2.0)]
    assert [one.score for one in found.frame_scores] == pytest.approx(expected, abs=1e-5)


def test_inputs_that_the_network_does_not_have_are_refused_when_it_is_loaded(tmp_path, make_volume):
    body = step(keys='inputs = { y = "ct" }\ninterpret = "classes"') + classification("a")
    package = engine(tmp_path / "e", body, {"net.onnx": of_the_mean([1.0], [0.0])})
    with pytest.raises(
        NodeError, match=r"the network has the inputs \['x'\], \[step.inputs\] \['y'\]"
    ) as caught:
        run(package, make_volume(even(0.0)))
    assert caught.value.fault is MANIFEST_WRONG


def test_axes_and_outputs_that_the_network_does_not_have_are_refused_when_it_is_loaded(tmp_path, make_volume):
    keys = 'inputs = { x = { of = "ct", axes = "ncji" } }\ninterpret = "classes"\noutput = "no"'
    package = engine(
        tmp_path / "e", step(keys=keys) + classification("a"), {"net.onnx": of_the_mean([1.0], [0.0])}
    )
    with pytest.raises(NodeError) as caught:
        run(package, make_volume(even(0.0)))
    assert "engine.toml gives it the axes ncji" in str(caught.value)
    assert "the network has no output no, it has out" in str(caught.value)


def test_a_softmax_over_the_only_class_is_refused_when_the_engine_is_loaded(tmp_path, make_volume):
    """It would be 1 whatever the network says."""
    body = step(keys='interpret = "classes"') + classification("sick", "channel = 0")
    package = engine(tmp_path / "e", body, {"net.onnx": of_the_mean([1.0], [0.0])})
    with pytest.raises(NodeError, match="over the only class is always 1") as caught:
        run(package, make_volume(even(-9.0)))
    assert caught.value.fault is MANIFEST_WRONG


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('inputs = { x = ["ct", "ct"] }', "x takes 1 channels, engine.toml gives 2"),
        ('inputs = { x = { of = "ct", neighbours = 1 } }', "x takes 1 channels, engine.toml gives 3"),
    ],
)
def test_channels_that_the_network_does_not_take_are_refused_when_it_is_loaded(
    tmp_path, make_volume, keys, said
):
    body = step(keys=f'{keys}\ninterpret = "regression"')
    body += f'[[output]]\nmeasurement = "age"\nstep = "net"\ntype = {LESION}\nunit = {LESION}\n'
    package = engine(tmp_path / "e", body, {"net.onnx": of_the_mean([1.0], [0.0])})
    with pytest.raises(NodeError, match=said) as caught:
        run(package, make_volume(even(0.0)))
    assert caught.value.fault is MANIFEST_WRONG
