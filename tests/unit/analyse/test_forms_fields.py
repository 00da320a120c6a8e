"""Maps, images, anomaly, boxes, heads and axes: whole engines whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from scipy.special import expit

from dicomnode.analyse.interpret.anomaly import place_among
from dicomnode.faults import NodeError
from dicomnode.values import FindingKind, Outcome, RegionKind, RemarkKind
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.analyse.conftest import affine_of
from tests.unit.analyse.forms import CT, HU, LESION, ONE, TISSUE, engine, node, onnx_bytes, run, step

FLOAT = TensorProto.FLOAT
BOX = ("x", [1, 1, "k", "j", "i"])
FIELD = [1, None, "k", "j", "i"]
SHAPE = (4, 6, 10)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, SHAPE).astype(np.float32)


def output(what: str, label: str, keys: str = "") -> str:
    return f'[[output]]\n{what} = "{label}"\nstep = "net"\n{keys}\n'


MAP = f"type = {LESION}\nunit = {ONE}"
SEGMENT = f'kind = "tissue"\ncategory = {TISSUE}\ntype = {TISSUE}\ntracking = "T"'


def unary(kind: str, shape=FIELD, given=BOX, **attributes: object) -> bytes:
    return onnx_bytes([node(kind, ["x"], ["y"], **attributes)], [given], [("y", shape, FLOAT)])


def test_a_probability_map_is_kept_on_the_grid_that_it_was_made_on(tmp_path, make_volume):
    body = step(keys='interpret = "map"\n[step.map]\nactivation = "sigmoid"') + output("map", "heat", MAP)
    inputs = CT + "prepare = [ { resample_mm = [2.0, 1.0, 1.0] } ]\n"
    package = engine(tmp_path / "e", body, {"net.onnx": unary("Neg")}, inputs)
    voxels = np.repeat(noise()[:2], 2, axis=0)  # pairs of equal slices, which become one each
    found = run(package, make_volume(voxels))
    (heat,) = found.maps
    assert heat.grid.spacing_kji_mm == (2.0, 1.0, 1.0)
    assert heat.grid.affine_lps[2, 3] == pytest.approx(0.5)
    assert heat.values.shape == (2, *SHAPE[1:])
    assert heat.values[0].mean() == pytest.approx(expit(-noise()[0]).mean(), abs=0.05)
    assert (heat.unit.value, heat.type.meaning) == ("1", "Lesion")
    assert not any("not yet in DICOM" in one.text for one in found.remarks)


def test_padding_of_a_box_is_no_part_of_a_map(tmp_path, make_volume):
    voxels = np.full(SHAPE, -1.0, np.float32)
    voxels[1:3, 2:5, 4:9] = 1.0
    body = step("find.onnx", 'interpret = "sigmoid"')
    body += step(keys='crop = { of = "find", multiple = 8, pad = -5.0 }\ninterpret = "map"')
    body += output("map", "same", MAP)
    networks = {"find.onnx": unary("Identity"), "net.onnx": unary("Neg")}
    (same,) = run(engine(tmp_path / "e", body, networks), make_volume(voxels)).maps
    assert np.array_equal(same.values, -voxels[1:3, 2:5, 4:9])
    assert same.grid.to_lps_mm([0, 0, 0]).tolist() == [4.0, 2.0, 1.0]


@pytest.mark.parametrize("interpret", ["labels", "sigmoid"])
def test_padding_of_a_box_is_nothing_that_can_be_found(tmp_path, make_volume, interpret):
    """What the network says of padding lies at places of the patient: nobody has looked there."""
    voxels = np.full(SHAPE, -1.0, np.float32)
    voxels[1:3, 2:5, 4:9] = 1.0
    voxels[1, 3, 5] = -1.0
    minus = onnx_bytes(
        [node("Neg", ["x"], ["minus"]), node("Concat", ["x", "minus"], ["y"], axis=1)],
        [BOX],
        [("y", [1, 2, "k", "j", "i"], FLOAT)],
    )
    body = step("find.onnx", 'interpret = "sigmoid"')
    body += step(keys=f'crop = {{ of = "find", multiple = 8, pad = -5.0 }}\ninterpret = "{interpret}"')
    body += step("last.onnx", 'crop = "net"\ninterpret = "map"') + output(
        "segment", "t", SEGMENT + "\nchannel = 1"
    )
    body += output("map", "around", MAP).replace('step = "net"', 'step = "last"')
    networks = {"find.onnx": unary("Identity"), "net.onnx": minus, "last.onnx": unary("Neg")}
    found = run(engine(tmp_path / "e", body, networks), make_volume(voxels))
    (segment,) = found.segments
    assert np.argwhere(segment.mask.to_array()).tolist() == [[1, 3, 5]]
    assert found.maps[0].values.shape == (1, 1, 1)  # the next step does not look at it either


@pytest.mark.parametrize("pad_value", [-7.0, 3.0])
def test_a_volume_smaller_than_a_window_is_padded_with_what_engine_toml_says(
    tmp_path, make_volume, pad_value
):
    most = onnx_bytes(
        [node("ReduceMax", ["x", "axes"], ["most"], keepdims=1), node("Sub", ["most", "x"], ["y"])],
        [BOX],
        [("y", FIELD, FLOAT)],
        {"axes": np.array([2, 3, 4])},
    )
    keys = f'window = {{ size_kji = [8, 8, 16], pad_value = {pad_value} }}\ninterpret = "map"'
    package = engine(tmp_path / "e", step(keys=keys) + output("map", "to-most", MAP), {"net.onnx": most})
    (found,) = run(package, make_volume(noise() - 5.0)).maps
    assert np.allclose(found.values, max(pad_value, (noise() - 5.0).max()) - (noise() - 5.0), atol=1e-5)


LOOKED_FOR = {
    "segment": output("segment", "t", SEGMENT.replace("tissue", "lesion", 1).replace('"T"', '"T {number}"')),
    "classification": output("classification", "sick", f"type = {LESION}"),
}


@pytest.mark.parametrize("what", LOOKED_FOR)
def test_what_nobody_looked_at_is_not_said_to_hold_nothing(tmp_path, make_volume, what):
    interpret = 'interpret = "sigmoid"'
    network = unary("Neg")
    if what == "classification":
        interpret = 'interpret = "classes"\n[step.classes]\nactivation = "sigmoid"'
        network = onnx_bytes(
            [node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)],
            [BOX],
            [("y", [1, 1], FLOAT)],
            {"axes": np.array([2, 3, 4])},
        )
    body = step("find.onnx", 'interpret = "sigmoid"')
    body += step(keys=f'crop = "find"\n{interpret}') + LOOKED_FOR[what]
    package = engine(tmp_path / "e", body, {"find.onnx": unary("Identity"), "net.onnx": network})
    found = run(package, make_volume(np.full(SHAPE, -1.0, np.float32)))
    assert found.outcome is Outcome.NOT_ANALYSED
    (remark,) = found.remarks
    assert remark.kind is RemarkKind.NOT_ANALYSED
    assert remark.text in (
        "Tissue: not looked for, as there was nothing to look at.",
        "sick: not determined, as there was nothing to look at.",
    )


def test_channels_keep_their_places_so_none_is_left_out(tmp_path, make_volume):
    """An earlier step that looked at nothing has no channel to give: the network does not run without."""
    total = onnx_bytes(
        [node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)],
        [("x", [1, None, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], FLOAT)],
        {"axes": np.array([1])},
    )
    body = step("find.onnx", 'interpret = "sigmoid"') + step("clean.onnx", 'crop = "find"\ninterpret = "map"')
    keys = 'inputs = { x = ["ct", "clean"] }\ninterpret = "map"'
    body += step(keys=keys, gate="shape = [1, 2, 8, 8, 8]") + output("map", "sum", MAP)
    networks = {"find.onnx": unary("Identity"), "clean.onnx": unary("Neg"), "net.onnx": total}
    found = run(engine(tmp_path / "e", body, networks), make_volume(np.full(SHAPE, -1.0, np.float32)))
    assert found.maps == ()
    assert found.outcome is Outcome.NOT_ANALYSED


def test_over_windows_a_map_is_what_one_pass_gives(tmp_path, make_volume):
    body = step(keys='window = { size_kji = [4, 4, 4] }\ninterpret = "map"') + output("map", "same", MAP)
    (same,) = run(engine(tmp_path / "e", body, {"net.onnx": unary("Neg")}), make_volume(noise())).maps
    assert np.allclose(same.values, -noise(), atol=1e-6)


def test_a_coarse_map_lies_on_a_coarse_grid(tmp_path, make_volume):
    pool = unary("AveragePool", kernel_shape=[2, 2, 2], strides=[2, 2, 2], shape=[1, 1, None, None, None])
    body = step(keys='interpret = "map"') + output("map", "coarse", MAP)
    (coarse,) = run(engine(tmp_path / "e", body, {"net.onnx": pool}), make_volume(noise())).maps
    expected = noise().reshape(2, 2, 3, 2, 5, 2).mean(axis=(1, 3, 5))
    assert np.allclose(coarse.values, expected, atol=1e-6)
    assert coarse.grid.spacing_kji_mm == (2.0, 2.0, 2.0)
    assert coarse.grid.to_lps_mm([0, 0, 0]).tolist() == [0.5, 0.5, 0.5]


IMAGE = 'interpret = "image"\n[step.image]\n'


def test_an_image_is_made_of_the_input_in_its_unit(tmp_path, make_volume):
    body = step(keys=IMAGE + "scale = 0.5\noffset = 10.0\nlimits = [10.0, 10.4]")
    body += output("image", "denoised", 'type = { scheme = "DCM", code = "113087", meaning = "Smoothing" }')
    found = run(engine(tmp_path / "e", body, {"net.onnx": unary("Neg")}), make_volume(noise()))
    (denoised,) = found.images
    assert denoised.unit == HOUNSFIELD
    assert np.allclose(denoised.values, np.clip(-noise() * 0.5 + 10.0, 10.0, 10.4), atol=1e-5)
    assert (denoised.description, denoised.type.value) == ("Smoothing", "113087")
    assert found.outcome == Outcome.FINDINGS
    assert not any("not yet in DICOM" in one.text for one in found.remarks)


def test_a_residual_is_added_to_what_the_network_saw_and_their_sum_taken_to_the_unit(tmp_path, make_volume):
    """Scaled from HU to a network's numbers by prepare, and back by the step."""
    inputs = CT + "prepare = [ { rescale = { slope = 0.01, intercept = -0.5 } } ]\n"
    body = step(keys=IMAGE + "scale = 100.0\noffset = 50.0\nresidual = true") + output("image", "denoised")
    package = engine(tmp_path / "e", body, {"net.onnx": unary("Abs")}, inputs)
    hu = 200.0 * noise()
    (denoised,) = run(package, make_volume(hu)).images
    seen = hu * 0.01 - 0.5
    assert np.allclose(denoised.values, hu + 100.0 * np.abs(seen), atol=1e-2)


def test_a_super_resolved_image_covers_the_same_with_more_voxels(tmp_path, make_volume):
    twice = onnx_bytes(
        [node("Resize", ["x", "", "scales"], ["y"], mode="nearest")],
        [BOX],
        [("y", [1, 1, None, None, None], FLOAT)],
        {"scales": np.array([1, 1, 1, 2, 2], np.float32)},
    )
    body = step(keys='interpret = "image"') + output("image", "fine", f"unit = {HU}")
    (fine,) = run(engine(tmp_path / "e", body, {"net.onnx": twice}), make_volume(noise())).images
    assert np.array_equal(fine.values, noise().repeat(2, axis=1).repeat(2, axis=2))
    assert fine.grid.spacing_kji_mm == (1.0, 0.5, 0.5)
    assert fine.grid.to_lps_mm([0, 0, 0]).tolist() == [-0.25, -0.25, 0.0]


def test_an_image_goes_into_the_next_network_and_a_mask_beside_it(tmp_path, make_volume):
    """Denoise, find what is bright in it, and give both as channels to a third network."""
    subtract = onnx_bytes(
        [node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)],
        [("x", [1, 3, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], FLOAT)],
        {"axes": np.array([1])},
    )
    body = step("denoise.onnx", IMAGE + "scale = 2.0")
    body += step("bright.onnx", 'inputs = { x = "denoise" }\ninterpret = "sigmoid"')
    keys = 'inputs = { x = ["ct", "denoise", "bright"] }\ninterpret = "map"'
    body += step(keys=keys, gate="shape = [1, 3, 8, 8, 8]") + output("map", "sum", MAP)
    body += output("segment", "bright", SEGMENT).replace('step = "net"', 'step = "bright"')
    networks = {"denoise.onnx": unary("Neg"), "bright.onnx": unary("Identity"), "net.onnx": subtract}
    voxels = noise()
    found = run(engine(tmp_path / "e", body, networks), make_volume(voxels))
    bright = -2.0 * voxels > 0
    assert np.array_equal(found.segments[0].mask.to_array(), bright)
    assert np.allclose(found.maps[0].values, voxels - 2.0 * voxels + bright, atol=1e-5)


ANOMALY = 'interpret = "anomaly"\n[step.anomaly]\nnormals = [0.0, 0.1, 0.2, 0.3, 0.5]\n'
ANOMALOUS = (
    output("classification", "anomaly", f"type = {LESION}")
    + output("measurement", "score", f"type = {LESION}\nunit = {HU}")
    + output("map", "error", MAP)
)


@pytest.mark.parametrize(
    ("pool", "score"),
    [
        ("mean", lambda error: error.mean()),
        ("max", lambda error: error.max()),
        ("top", lambda error: np.sort(error.ravel())[-3:].mean()),
    ],
)
def test_an_autoencoder_gives_score_place_among_normals_and_a_map(tmp_path, make_volume, pool, score):
    clip = onnx_bytes(
        [node("Clip", ["x", "low", "high"], ["y"])],
        [BOX],
        [("y", FIELD, FLOAT)],
        {"low": np.float32(-0.5), "high": np.float32(0.5)},
    )
    keys = ANOMALY + f'reconstruction = "y"\npool = "{pool}"\nquantile = 0.5'
    found = run(engine(tmp_path / "e", step(keys=keys) + ANOMALOUS, {"net.onnx": clip}), make_volume(noise()))
    error = np.clip(np.abs(noise()) - 0.5, 0, None)
    assert np.allclose(found.maps[0].values, error, atol=1e-6)
    assert found.measurements[0].value == pytest.approx(score(error), abs=1e-6)
    place = np.interp(score(error), [0.0, 0.1, 0.2, 0.3, 0.5], [0, 0.25, 0.5, 0.75, 1])
    (anomaly,) = found.classifications
    assert anomaly.probability == pytest.approx(place, abs=1e-5)
    assert anomaly.threshold == 0.5
    assert anomaly.present is (pool != "mean")
    assert found.outcome == (Outcome.FINDINGS if anomaly.present else Outcome.NO_FINDINGS)


@pytest.mark.parametrize(
    ("normals", "score", "place"),
    [
        ([0.0] * 20 + [1.0], 0.0, 0.0),  # what all normal cases have is normal
        ([0.0] * 20 + [1.0], 0.5, 0.975),
        ([0.0, 1.0, 1.0, 1.0, 2.0], 1.0, 0.25),
        ([0.0, 1.0, 2.0], 1.0, 0.5),
        ([0.0, 1.0, 2.0], -1.0, 0.0),
        ([0.0, 1.0, 2.0, 2.0], 2.5, 1.0),
    ],
)
def test_a_score_that_many_normal_cases_have_lies_above_none_of_them(normals, score, place):
    assert place_among(score, normals) == pytest.approx(place)


def test_a_score_of_the_network_itself_needs_no_map(tmp_path, make_volume):
    mean = onnx_bytes([node("ReduceMean", ["x"], ["s"], keepdims=0)], [BOX], [("s", [], FLOAT)])
    body = step(keys=ANOMALY + 'score = "s"') + output("classification", "anomaly", f"type = {LESION}")
    found = run(engine(tmp_path / "e", body, {"net.onnx": mean}), make_volume(np.full(SHAPE, 9.0)))
    assert found.classifications[0].probability == 1.0
    assert found.classifications[0].threshold == 0.95


def lists(boxes, scores, labels) -> bytes:
    """Boxes that do not depend on the input but for its type."""
    outputs = {"boxes": np.float32(boxes), "scores": np.float32(scores), "labels": np.int64(labels)}
    nodes = [node("ReduceMean", ["x"], ["m"], keepdims=0), node("Sub", ["m", "m"], ["none"])]
    nodes += [node("Add", [f"{name}_w", "none"], [name]) for name in ("boxes", "scores")]
    nodes.append(node("Identity", ["labels_w"], ["labels"]))
    return onnx_bytes(
        nodes,
        [BOX],
        [
            ("boxes", outputs["boxes"].shape, FLOAT),
            ("scores", outputs["scores"].shape, FLOAT),
            ("labels", outputs["labels"].shape, TensorProto.INT64),
        ],
        {f"{name}_w": value for name, value in outputs.items()},
    )


REGION = f'type = {LESION}\ntracking = "Box {{number}}"\n'


def test_boxes_are_placed_in_the_patient_once_each(tmp_path, make_volume):
    network = lists(
        [[0, 1, 2, 2, 4, 8], [0, 1, 2, 2, 4, 7], [1, 0, 0, 9, 2, 2], [2, 2, 2, 3, 3, 3]],
        [0.9, 0.8, 0.7, 0.2],
        [1, 1, 0, 1],
    )
    keys = 'interpret = "boxes"\n[step.boxes]\nclasses = "labels"'
    body = step(keys=keys) + output("region", "fracture", REGION + "channel = 1")
    body += output("region", "node", REGION + "channel = 0")
    volume = make_volume(noise(), affine=affine_of((2.0, 1.0, 0.5), (10.0, 20.0, 30.0)))
    found = run(engine(tmp_path / "e", body, {"net.onnx": network}), volume)
    first, second = found.regions
    assert (first.label, first.kind, first.tracking_id) == ("fracture-1", RegionKind.BOX, "Box 1")
    assert first.score == pytest.approx(0.9)
    # voxel 0 reaches from half a voxel before its centre
    assert np.allclose(first.points_lps_mm, [[10.75, 20.5, 29.0], [13.75, 23.5, 33.0]])
    assert second.label == "node-1"
    assert np.allclose(second.points_lps_mm[1], [10.75, 21.5, 37.0])  # cut off at the end of the volume
    assert found.outcome == Outcome.FINDINGS


def test_boxes_of_all_windows_are_put_together(tmp_path, make_volume):
    """The same box in the middle of each window: one a window, and those that overlap count once."""
    network = lists([[1, 1, 1, 3, 3, 3]], [0.9], [0])
    body = step(keys='window = { size_kji = [4, 4, 4], overlap = 0.0 }\ninterpret = "boxes"\n[step.boxes]\n')
    body += output("region", "box", REGION)
    found = run(
        engine(tmp_path / "e", body, {"net.onnx": network}), make_volume(np.zeros((4, 4, 12), np.float32))
    )
    assert [one.points_lps_mm[0] for one in found.regions] == [
        (0.5, 0.5, 0.5),
        (4.5, 0.5, 0.5),
        (8.5, 0.5, 0.5),
    ]


def test_no_box_is_said_with_how_near_the_best_one_came(tmp_path, make_volume):
    body = step(keys='interpret = "boxes"\n[step.boxes]\n') + output("region", "box", REGION)
    package = engine(tmp_path / "e", body, {"net.onnx": lists([[0, 0, 0, 1, 1, 1]], [0.475], [0])})
    found = run(package, make_volume(noise()))
    assert found.outcome == Outcome.NO_FINDINGS
    (remark,) = [one for one in found.remarks if one.kind is RemarkKind.NO_FINDING]
    assert remark.text == (
        "Lesion: none reaches the score of 0.5; 1 box below it was not reported, the highest 0.47."
    )


def test_one_network_with_several_heads_gives_segments_and_a_class(tmp_path, make_volume):
    both = onnx_bytes(
        [
            node("Sub", ["x", "x"], ["zero"]),
            node("Concat", ["zero", "x"], ["seg"], axis=1),
            node("ReduceMean", ["x", "axes"], ["cls"], keepdims=0),
        ],
        [BOX],
        [("seg", [1, 2, "k", "j", "i"], FLOAT), ("cls", [1, 1], FLOAT)],
        {"axes": np.array([2, 3, 4])},
    )
    body = step(
        keys='[[step.head]]\nname = "seg"\ninterpret = "labels"\noutput = "seg"\n'
        '[[step.head]]\nname = "cls"\ninterpret = "classes"\noutput = "cls"\n'
        '[step.head.classes]\nactivation = "sigmoid"\n'
    )
    body += output("segment", "tissue", SEGMENT + '\nhead = "seg"')
    body += output("classification", "sick", f'type = {LESION}\nhead = "cls"')
    found = run(engine(tmp_path / "e", body, {"net.onnx": both}), make_volume(noise()))
    assert np.array_equal(found.segments[0].mask.to_array(), noise() > 0)
    assert found.segments[0].kind is FindingKind.TISSUE
    assert found.classifications[0].probability == pytest.approx(expit(noise().mean()), abs=1e-6)


def test_of_regions_that_overlap_the_later_channel_wins_where_engine_toml_says_so(tmp_path, make_volume):
    nested = onnx_bytes(
        [node("Sub", ["x", "at"], ["y"])],
        [BOX],
        [("y", [1, 3, "k", "j", "i"], FLOAT)],
        {"at": np.array([-0.5, 0.0, 0.5], np.float32).reshape(1, 3, 1, 1, 1)},
    )
    keys = 'interpret = "sigmoid"\n[step.sigmoid]\nexclusive = true'
    body = step(keys=keys) + "".join(
        output("segment", name, SEGMENT + f"\nchannel = {n}") for name, n in (("core", 2), ("edema", 0))
    )
    found = run(engine(tmp_path / "e", body, {"net.onnx": nested}), make_volume(noise()))
    masks = {one.label: one.mask.to_array() for one in found.segments}
    assert np.array_equal(masks["core"], noise() > 0.5)
    assert np.array_equal(masks["edema"], (noise() > -0.5) & (noise() <= 0.0))


@pytest.mark.parametrize(
    ("axes", "shape", "along"),
    [
        ("nckji", [1, 1, "k", "j", "i"], 0),
        ("ncijk", [1, 1, "i", "j", "k"], 2),
        ("nkjic", [1, "k", "j", "i", 1], 1),
        ("nijk", [1, "i", "j", "k"], 1),
        ("ncij", ["n", 1, "i", "j"], 2),
        ("nctji", [1, 1, "t", "j", "i"], 0),
    ],
)
def test_a_network_with_other_axes_sees_them_and_its_map_comes_back(
    tmp_path, make_volume, axes, shape, along
):
    """A running sum along the third axis of the tensor, which lies along `along` of the volume."""
    total = onnx_bytes(
        [node("CumSum", ["x", "axis"], ["y"])],
        [("x", shape)],
        [("y", shape, FLOAT)],
        {"axis": np.array(2)},
    )
    keys = f'inputs = {{ x = {{ of = "ct", axes = "{axes}" }} }}\ninterpret = "map"'
    gate = f"shape = {[8 if isinstance(n, str) else 1 for n in shape]}"
    body = step(keys=keys, gate=gate) + output("map", "sum", MAP)
    (found,) = run(engine(tmp_path / "e", body, {"net.onnx": total}), make_volume(noise())).maps
    assert np.allclose(found.values, noise().cumsum(axis=along), atol=1e-5)


@pytest.mark.parametrize("window", ['window = "whole"', "window = { size_kji = [1, 6, 10], batch = 3 }"])
def test_a_network_of_slices_with_their_neighbours_is_run_in_any_batches(tmp_path, make_volume, window):
    middle = onnx_bytes(
        [node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)],
        [("x", ["n", 3, "j", "i"])],
        [("y", ["n", 1, "j", "i"], FLOAT)],
        {"axes": np.array([1])},
    )
    keys = f'{window}\ninputs = {{ x = {{ of = "ct", axes = "ncji", neighbours = 1 }} }}\ninterpret = "map"'
    body = step(keys=keys, gate="shape = [2, 3, 8, 8]") + output("map", "sum", MAP)
    (found,) = run(engine(tmp_path / "e", body, {"net.onnx": middle}), make_volume(noise())).maps
    wide = np.pad(noise(), ((1, 1), (0, 0), (0, 0)), mode="edge")
    assert np.allclose(found.values, wide[:-2] + wide[1:-1] + wide[2:], atol=1e-5)


def test_a_network_with_a_fixed_batch_is_run_as_often_as_it_takes(tmp_path, make_volume):
    one = unary("Neg", given=("x", [1, 1, "j", "i"]), shape=[1, 1, "j", "i"])
    keys = 'inputs = { x = { of = "ct", axes = "ncji" } }\ninterpret = "map"'
    body = step(keys=keys, gate="shape = [1, 1, 8, 8]") + output("map", "neg", MAP)
    (found,) = run(engine(tmp_path / "e", body, {"net.onnx": one}), make_volume(noise())).maps
    assert np.array_equal(found.values, -noise())


def test_what_is_not_a_number_is_no_result(tmp_path, make_volume):
    body = step(keys='interpret = "map"') + output("map", "log", MAP)
    log = unary("Log")
    package = engine(tmp_path / "e", body.replace("low = 0.0", "low = 0.1"), {"net.onnx": log})
    with pytest.raises(NodeError, match="not a number"):
        run(package, make_volume(noise()))
